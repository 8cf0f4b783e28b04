"""The engine's own kernels for a GPU give what NumPy gives: on a GPU, or compiled as C++ (`cuda_as_cpp.py`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cuda_as_cpp
import numpy as np
import pytest
from sample_row import Row
from samples import SAMPLES
from test_gpu import NEAR, run

import dsviz as ds
from engine.gpu import launch

pytestmark = cuda_as_cpp.needed

OPS = "add sub mul div relu sigmoid tanh gelu softmax log_softmax layer_norm cross_entropy dropout max_pool2d linear lstm"
ROWS = [row for row in SAMPLES if row.op in OPS.split()]


@pytest.fixture(scope="module", autouse=True)
def device_library() -> Iterator[None]:
    """CuPy, or the stand-in that compiles."""
    with cuda_as_cpp.available():
        yield


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the kernels that are launched."""
    names: list[str] = []
    plain = launch.kernel

    def noted(name: str, *given: Any) -> Any:
        names.append(name)
        return plain(name, *given)

    noted.cache_clear = plain.cache_clear  # type: ignore[attr-defined]
    monkeypatch.setattr(launch, "kernel", noted)
    return names


@pytest.mark.parametrize("row", ROWS, ids=[f"{i}-{row}" for i, row in enumerate(ROWS)])
def test_a_kernel_gives_what_numpy_gives(row: Row) -> None:
    for here, there in zip(run(row, "cpu"), run(row, "cuda"), strict=True):
        for a, b in zip(here, there, strict=True):
            if a is not None:
                assert a.dtype == b.dtype
                np.testing.assert_allclose(a, b, **NEAR)


@pytest.mark.parametrize(("kind", "near"), [("float32", 1e-5), ("float64", 1e-13), ("float16", 1e-2)])
def test_small_probabilities_keep_their_digits(kind: str, near: float, launched: list[str]) -> None:
    array = np.array([-1000, -60, -30, -9, -1, 0, 3, 60, np.inf, -np.inf], kind)
    here, there = (ds.sigmoid(ds.tensor(array, device=d)).cpu().numpy() for d in ("cpu", "cuda"))
    assert "sigmoid" in launched
    np.testing.assert_allclose(there, here, rtol=near)


NUMBERS = (2.0, -3, 0.1, 0, 1 << 20, float("inf"))


@pytest.mark.parametrize("kind", ["float32", "float64", "float16"])
def test_arithmetic_with_numbers_rounds_as_numpy_does(kind: str, launched: list[str]) -> None:
    array = np.random.default_rng(0).standard_normal((3, 5)).astype(kind)
    for number in NUMBERS:
        for op in ("__add__", "__sub__", "__mul__", "__truediv__", "__rsub__", "__rtruediv__"):
            here, there = (getattr(ds.tensor(array, device=device), op)(number) for device in ("cpu", "cuda"))
            with np.errstate(all="ignore"):
                np.testing.assert_array_equal(here.numpy(), there.cpu().numpy())
    for a, b in (
        (array, array.T.copy().T),
        (array, array[:1]),
        (array, array[0]),
        (array[:, ::2], array[:, ::2]),
    ):
        here, there = (ds.tensor(a, device=d) * ds.tensor(b, device=d) for d in ("cpu", "cuda"))
        np.testing.assert_array_equal(here.numpy(), there.cpu().numpy())
    assert launched.count("arithmetic") > 6 * len(NUMBERS)


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_classes_count_on_a_gpu_as_on_the_cpu(kind: str, reduction: str, launched: list[str]) -> None:
    draw = np.random.default_rng(0)
    flat, images = (
        draw.standard_normal((300, 5)).astype(kind),
        draw.standard_normal((2, 5, 3, 4)).astype(kind),
    )
    flat[1] = np.inf  # of an item that is ignored
    some = draw.integers(0, 5, 300)
    some[::3] = some[1] = -100
    for x, y in ((flat, some), (flat, np.full(300, -100)), (images, draw.integers(0, 5, (2, 3, 4)))):
        found = []
        for device in ("cpu", "cuda"):
            t = ds.tensor(x, device=device, requires_grad=True)
            loss = ds.nn.functional.cross_entropy(t, ds.tensor(y, device=device), reduction=reduction)
            with np.errstate(all="ignore"):
                (loss * 2).sum().backward()
            found.append([loss.detach().cpu().numpy(), t.grad.cpu().numpy()])
        (loss, grad), (far, far_grad) = found
        assert loss.dtype == far.dtype
        near: dict[str, float] = {
            "rtol": 1e-5 if kind == "float32" else 1e-12,
            "atol": 1e-6 if kind == "float32" else 1e-14,
        }
        np.testing.assert_allclose(loss, far, **near)
        counted = np.isfinite(grad)
        np.testing.assert_allclose(grad[counted], far_grad[counted], **near)
    assert launched.count("classes") == 3
    for wrong in (5, -1):
        with pytest.raises(IndexError, match=f"class {wrong}(.|\n)*test_gpu_kernels.py"):
            ds.nn.functional.cross_entropy(
                ds.ones(2, 5, device="cuda"), ds.tensor([0, wrong], device="cuda"), reduction=reduction
            )
