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
        [[0.0], [-0.0]],
        [1.0, 2000.0],
        [182258.67, -1048108.5],
        [12819105.0],
        [0.1, float("inf"), -float("inf"), 3],
        [[float("nan")] * 40],
        [0.5 - i for i in range(9)],
        [1e-8 * i for i in range(1001)],
        [[[i * j - 7 for i in range(26)] for j in range(8)] for _ in range(8)],
        [True] * 1001,
        [[0.5 + 2j, -1 - 0.25j, 3j, 1.5] * 2],
        [1 + 2000j],
    ):
        assert repr(ds.tensor(values)) == repr(torch.tensor(values))
    for shape in ((), (2, 0), (0,)):
        assert repr(ds.empty(shape, dtype="int32")[:0] if shape else ds.ones(())) == (
            repr(torch.empty(shape, dtype=torch.int32)[:0] if shape else torch.ones(())).replace("torch.", "")
        )
    wide = (
        ds.ones(3, 9, dtype="float64", requires_grad=True),
        torch.ones(3, 9, dtype=torch.float64, requires_grad=True),
    )
    assert repr(wide[0]) == repr(wide[1]).replace("torch.", "")


@pytest.mark.parametrize(
    "options",
    [
        {"sci_mode": True},
        {"sci_mode": False},
        {"linewidth": 40, "precision": 2, "edgeitems": 1, "threshold": 4},
    ],
)
def test_numbers_print_as_pytorchs_do_with_options(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
    try:
        for lib in (ds, torch):
            lib.set_printoptions(**options)
        for values in (
            [1e-5, 1.0, float("inf")],
            [[0.5, 2.0]] * 5,
            [1.0, 2000.0],
            list(range(30)),
            [[1 + 2.5j] * 3] * 3,
        ):
            assert repr(ds.tensor(values)) == repr(torch.tensor(values))
    finally:
        for lib in (ds, torch):
            lib.set_printoptions(profile="default")


def test_layers_print_their_options() -> None:
    for text in (
        "LeakyReLU(negative_slope=0.1)",
        "Softmax(dim=1)",
        "Flatten(start_dim=1, end_dim=-1)",
        "ReLU()",
        "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)",
        "InstanceNorm1d(3, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=False)",
        "GroupNorm(1, 3, eps=1e-05, affine=True, bias=True)",
        "LayerNorm((3,), eps=1e-05, elementwise_affine=True, bias=False)",
        "RMSNorm((3,), eps=None, elementwise_affine=True)",
        "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
        "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))",
        "AvgPool2d(kernel_size=3, stride=1, padding=0)",
        "MaxUnpool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))",
        "LPPool2d(norm_type=2, kernel_size=3, stride=None, ceil_mode=False)",
        "ConvTranspose2d(1, 2, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), output_padding=(1, 1))",
        "Upsample(scale_factor=2.0, mode='nearest')",
        "Bilinear(in1_features=2, in2_features=3, out_features=4, bias=True)",
        "EmbeddingBag(3, 4, mode='sum')",
        "GRU(2, 3, bias=False)",
        "ConstantPad1d(padding=(1, 1), value=2.0)",
        "Softshrink(0.5)",
        "LocalResponseNorm(2, alpha=0.0001, beta=0.75, k=1.0)",
        "CrossEntropyLoss()",
        "CosineSimilarity()",
    ):
        assert repr(eval(f"ds.nn.{text}", {"ds": ds})) == text


def test_what_holds_others_prints_as_pytorchs_does() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")

    def net(lib: Any) -> Any:
        class Named(lib.nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.inner = lib.nn.ModuleList(
                    [lib.nn.Sequential(lib.nn.ReLU(), lib.nn.ReLU()) for _ in range(2)]
                )
                self.inner.append(lib.nn.Linear(1, 2))
                self.held = lib.nn.ParameterList(
                    [lib.nn.Parameter(lib.zeros(2, 3)), lib.nn.Parameter(lib.zeros(1))]
                )
                self.criterion = lib.nn.MSELoss()

            def extra_repr(self) -> str:
                return "first\nsecond"

            def _get_name(self) -> str:
                return "Other"

        return Named()

    assert repr(net(ds)) == repr(net(torch)).replace("torch.", "")
    ours, theirs = (
        lib.optim.SGD(
            [{"params": [lib.nn.Parameter(lib.zeros(2))], "lr": 0.5}, {"params": []}], lr=0.1, momentum=0.9
        )
        for lib in (ds, torch)
    )
    lines = repr(ours).splitlines()
    assert lines[:2] == ["SGD (", "Parameter Group 0"]
    assert set(lines) <= set(repr(theirs).splitlines())


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
