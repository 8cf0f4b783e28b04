"""What scripts set once for all, and what they ask about the machine."""

from __future__ import annotations

from typing import Any

import pytest

import engine as ds


def test_how_tensors_print() -> None:
    try:
        ds.set_printoptions(precision=2, threshold=5, edgeitems=1)
        assert repr(ds.tensor([1.23456])) == "tensor([1.23])"
        assert "..." in repr(ds.arange(8))
        ds.set_printoptions(profile="full")
        assert "..." not in repr(ds.arange(2000))
    finally:
        ds.set_printoptions(profile="default")


def test_numbers_print_as_pytorchs_do() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
    for values in (
        3.5,
        [True],
        [True, False],
        [1e-5, 1e5],
        [0.1, float("nan")],
        [-1.5, 2],
        [[0.5, 1], [100.25, 3]],
        [],
    ):
        assert repr(ds.tensor(values)) == repr(torch.tensor(values))


def test_layers_print_their_options() -> None:
    for text in (
        "LeakyReLU(negative_slope=0.1)",
        "Softmax(dim=1)",
        "Flatten(start_dim=1, end_dim=-1)",
        "ReLU()",
    ):
        assert repr(eval(f"ds.nn.{text}", {"ds": ds})) == text


def test_threads_of_matrix_products() -> None:
    before = ds.get_num_threads()
    try:
        ds.set_num_threads(1)
        assert ds.get_num_threads() == 1
    finally:
        ds.set_num_threads(before)
    assert ds.get_num_threads() == before


def test_what_needs_nothing_here_is_taken_and_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    ds.use_deterministic_algorithms(True)
    assert ds.are_deterministic_algorithms_enabled()
    ds.use_deterministic_algorithms(False)
    ds.set_float32_matmul_precision("high")
    assert ds.get_float32_matmul_precision() == "high"
    assert ds.backends.cuda.matmul.allow_tf32
    ds.set_float32_matmul_precision("highest")
    assert not ds.backends.cuda.matmul.allow_tf32
    monkeypatch.setattr(ds.backends.cudnn, "benchmark", True)
    monkeypatch.setattr(ds.backends.cudnn, "deterministic", True)
    assert not ds.backends.mps.is_available()
    ds.set_default_device("cpu")
    assert ds.get_default_device() == ds.device("cpu")
    assert ds.typename(ds.ones(1)).endswith("Tensor")


def test_the_gpu_that_is_not_there() -> None:
    if ds.cuda.is_available():
        pytest.skip("this machine has a GPU: tests/test_gpu.py asks it")
    assert ds.cuda.device_count() == 0
    assert ds.cuda.memory_allocated() == ds.cuda.max_memory_allocated() == 0
    ds.cuda.empty_cache()
    ds.cuda.manual_seed_all(3)
    assert ds.initial_seed() == 3
    with pytest.raises(RuntimeError, match="no usable CUDA device"):
        ds.cuda.get_device_name(0)
    with pytest.raises(RuntimeError, match="no usable CUDA device"):
        ds.cuda.synchronize()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ds.set_printoptions(profile="wide"), "got 'wide'"),
        (lambda: ds.set_num_threads(0), "1 or more, got 0"),
        (lambda: ds.set_num_threads("2"), "whole number, got str"),
        (lambda: ds.set_float32_matmul_precision("low"), "got 'low'"),
        (lambda: ds.set_default_device("cuda"), "no usable CUDA device"),
    ],
)
def test_bad_settings_are_told(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError, RuntimeError), match=message):
        call()
