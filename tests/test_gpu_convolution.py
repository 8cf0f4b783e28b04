"""Convolutions on a GPU by cuDNN: what is asked of it, which of its ways is taken, and that the numbers are right.

A stand-in for the library (`fake_cudnn.py`) computes with NumPy what the engine describes to it.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_cudnn
import numpy as np
import pytest
import strict_cupy
from fake_cudnn import Way

import dsviz as ds
from dsviz import nn
from engine import backend
from engine.gpu import capture, convolution, kept, library
from engine.gpu.plan import DOWN_CONVERTED, NONDETERMINISTIC, TENSOR_CORE, strides_last
from engine.native.cache import folder

pytestmark = pytest.mark.skipif(
    backend.cupy() is not None,
    reason="a GPU is here: test_gpu.py runs on it, and a stand-in beside it would not do",
)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`gpu(cudnn)` puts that library behind the stand-in for CuPy."""
    with strict_cupy.installed() as cupy:

        def install(cudnn: fake_cudnn.Cudnn) -> fake_cudnn.Cudnn:
            class Event:
                def record(self) -> None:
                    self.at = cudnn.clock

                def synchronize(self) -> None:
                    pass

            cuda = cupy.cuda
            monkeypatch.setattr(cuda, "Event", Event, raising=False)
            monkeypatch.setattr(cuda, "get_elapsed_time", lambda a, b: b.at - a.at, raising=False)
            monkeypatch.setattr(cuda, "alloc", lambda size: types.SimpleNamespace(ptr=16), raising=False)
            monkeypatch.setattr(
                cuda, "get_current_stream", lambda: types.SimpleNamespace(ptr=0), raising=False
            )
            made = library.Library(cudnn)  # type: ignore[arg-type]
            monkeypatch.setattr(library, "library", lambda: made)
            monkeypatch.setattr(convolution, "_plans", {})
            return cudnn

        yield install


@pytest.fixture
def switches(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`switches(deterministic=False, ...)` sets them for one test."""

    def put(**wanted: Any) -> None:
        for name, value in wanted.items():
            monkeypatch.setattr(ds.backends.cudnn, name, value)

    return put


CASES: dict[str, tuple[tuple[int, ...], Any]] = {
    "3x3": ((2, 3, 6, 5), lambda: nn.Conv2d(3, 4, 3, padding=1)),
    "1x1": ((2, 3, 4, 4), lambda: nn.Conv2d(3, 5, 1, bias=False)),
    "strided": ((1, 4, 7, 7), lambda: nn.Conv2d(4, 6, 3, stride=2, dilation=2, padding=2)),
    "groups": ((2, 4, 5, 5), lambda: nn.Conv2d(4, 4, 3, groups=2)),
    "line": ((2, 3, 9), lambda: nn.Conv1d(3, 4, 3, stride=2)),
    "volume": ((1, 2, 4, 4, 4), lambda: nn.Conv3d(2, 3, 2)),
    "even": ((2, 3, 8, 8), lambda: nn.Conv2d(3, 4, 3, stride=2, padding=1)),
    "fewer pixels": ((2, 3, 8, 8), lambda: nn.Conv2d(3, 4, 1, stride=2)),
    "grown": ((2, 3, 4, 4), lambda: nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1, output_padding=1)),
    "transposed": ((2, 3, 4, 4), lambda: nn.ConvTranspose2d(3, 2, 3, stride=2)),
}


def computed(device: str, shape: tuple[int, ...], make: Any) -> list[Any]:
    """What a layer gives, and the gradients."""
    ds.manual_seed(0)
    layer = make().to(device)
    x = ds.tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32), device=device)
    x.requires_grad = True
    out = layer(x)
    (out * out).sum().backward()
    return [t.detach().cpu().numpy() for t in (out, x.grad, *(p.grad for p in layer.parameters()))]


@pytest.mark.parametrize("name", CASES)
def test_a_convolution_and_its_gradients_by_cudnn(name: str, gpu: Any) -> None:
    cudnn = gpu(fake_cudnn.Cudnn())
    shape, make = CASES[name]
    for here, there in zip(computed("cpu", shape, make), computed("cuda", shape, make), strict=True):
        np.testing.assert_allclose(here, there, rtol=2e-5, atol=2e-5)
    assert len(cudnn.ran) == 3
    # Where a gradient asks for less padding behind than before, cuDNN's ways are a hundred times as slow.
    assert all(before == after for before, after in cudnn.padding)


WAYS = (
    Way(1, (TENSOR_CORE, DOWN_CONVERTED)), Way(2, (NONDETERMINISTIC,), takes=0.1), Way(3, takes=0.9), Way(4, takes=0.5),
    Way(5, (TENSOR_CORE,), takes=0.01),
)  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "engine"),
    [
        ({"allow_tf32": False}, 3),  # as it is unless somebody says otherwise: the same bits each time
        ({"allow_tf32": False, "deterministic": False}, 2),
        ({"deterministic": False}, 1),
        ({}, 1),
        ({"allow_tf32": False, "benchmark": True}, 4),
        ({"allow_tf32": False, "deterministic": False, "benchmark": True}, 2),
    ],
    ids=str,
)
def test_which_way_is_taken(asked: dict[str, bool], engine: int, gpu: Any, switches: Any) -> None:
    cudnn = gpu(fake_cudnn.Cudnn(*WAYS))
    switches(**asked)
    shape, make = CASES["3x3"]
    computed("cuda", shape, make)
    cudnn.ran.clear()
    computed("cuda", shape, make)
    assert cudnn.ran == [engine] * 3  # and without asking or timing again


def test_deterministic_algorithms_are_those_of_cudnn_too(gpu: Any, switches: Any) -> None:
    cudnn = gpu(fake_cudnn.Cudnn(*WAYS))
    switches(deterministic=False, allow_tf32=False)
    ds.use_deterministic_algorithms(True)
    try:
        computed("cuda", *CASES["3x3"])
    finally:
        ds.use_deterministic_algorithms(False)
    assert set(cudnn.ran) == {3}


def test_no_time_is_taken_while_a_step_is_recorded(
    gpu: Any, switches: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cudnn = gpu(fake_cudnn.Cudnn(*WAYS))
    switches(benchmark=True, allow_tf32=False)
    monkeypatch.setattr(capture, "recording", True)
    computed("cuda", *CASES["3x3"])
    assert cudnn.ran == [3] * 3


def test_what_cudnn_does_not_do_is_computed_all_the_same(gpu: Any, switches: Any) -> None:
    cudnn = gpu(fake_cudnn.Cudnn(Way(1, (NONDETERMINISTIC,))))
    shape, make = CASES["3x3"]
    for here, there in zip(computed("cpu", shape, make), computed("cuda", shape, make), strict=True):
        np.testing.assert_allclose(here, there, rtol=2e-5, atol=2e-5)
    assert not cudnn.ran


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`disk()` is the start of another program; what cuDNN chose is kept below `tmp_path`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kept, "real", lambda lib: True)
    monkeypatch.setattr(kept, "_new", {})
    monkeypatch.setattr(kept.atexit, "register", lambda call: None)  # a test writes itself

    def start() -> None:
        for cached in (folder, kept._place, kept._held):
            cached.cache_clear()
        convolution._plans.clear()

    start()
    yield start
    start()


def test_what_was_chosen_is_kept_for_the_next_program(
    gpu: Any, disk: Any, switches: Any, tmp_path: Path
) -> None:
    switches(allow_tf32=False)
    first = gpu(fake_cudnn.Cudnn(*WAYS))
    expected = computed("cuda", *CASES["3x3"])
    assert (first.asked > 0, first.read) == (True, 0)
    kept.write()
    (file,) = (tmp_path / "dsviz" / "cudnn").iterdir()
    assert file.parent.stat().st_mode & 0o077 == 0

    disk()
    second = gpu(fake_cudnn.Cudnn(*WAYS))
    for one, other in zip(expected, computed("cuda", *CASES["3x3"]), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (second.asked, second.read, second.ran) == (0, 3, [3, 3, 3])
    computed("cuda", *CASES["1x1"])  # another is asked for, and joins the file
    kept.write()
    switches(deterministic=False)  # something else is wanted
    computed("cuda", *CASES["3x3"])
    assert second.ran[-3:] == [2, 2, 2]
    switches(deterministic=True, benchmark=True)  # what is timed is timed anew
    computed("cuda", *CASES["3x3"])
    assert second.ran[-3:] == [4, 4, 4]

    switches(benchmark=False)
    disk()
    third = gpu(fake_cudnn.Cudnn(*WAYS))
    computed("cuda", *CASES["1x1"])
    assert (third.asked, third.read) == (0, 3)


@pytest.mark.parametrize("harm", ["cut", "changed", "empty", "another"])
def test_a_file_of_plans_that_is_not_whole_is_not_used(
    harm: str, gpu: Any, disk: Any, switches: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu(fake_cudnn.Cudnn())
    computed("cuda", *CASES["3x3"])
    kept.write()
    (file,) = (tmp_path / "dsviz" / "cudnn").iterdir()
    content = file.read_bytes()
    changed = content.replace(b"forward", b"fortune")
    file.write_bytes({"cut": content[:-1], "changed": changed, "empty": b"", "another": content}[harm])
    disk()
    cudnn = fake_cudnn.Cudnn()
    if harm == "another":  # a newer library has a file of its own
        cudnn.cudnnGetVersion = fake_cudnn.Function(lambda: 99999)
    gpu(cudnn)
    computed("cuda", *CASES["3x3"])
    assert (cudnn.asked > 0, cudnn.read) == (True, 0)


def test_strides_of_channels_that_are_last() -> None:
    for shape in ((2, 3, 5, 7), (2, 3, 5), (1, 4, 2, 3, 6)):
        plain = np.empty((shape[0], *shape[2:], shape[1]), np.int8)
        assert np.moveaxis(plain, -1, 1).strides == strides_last(shape)
