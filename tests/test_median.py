"""The k-th of elements in order, and medians: PyTorch's values, places that hold them, and gradients among equal ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dsviz as ds

torch = pytest.importorskip("torch")
NAN = float("nan")


def numbers(seed: int, *shape: int, holes: float = 0.0) -> Any:
    """Few different numbers, so that many are equal, and a share of NaN."""
    rng = np.random.default_rng(seed)
    made = rng.integers(-4, 5, shape).astype(np.float32)
    made[rng.random(shape) < holes] = NAN
    return made


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["median", "nanmedian"])
def test_medians_beside_pytorch(name: str, seed: int) -> None:
    raw = numbers(seed, 5, 7, 6, holes=(0.0, 0.02, 0.5)[seed % 3])
    raw[1, :, 2] = NAN if seed % 3 else 1.0
    for dim in (0, 1, -1):
        ours = getattr(ds, name)(ds.tensor(raw), dim, keepdim=True)
        theirs = getattr(torch, name)(torch.tensor(raw), dim, keepdim=True)
        np.testing.assert_array_equal(ours.values.array, theirs.values.numpy())
        held = np.take_along_axis(raw, ours.indices.array, dim)
        np.testing.assert_array_equal(held, ours.values.array)
    np.testing.assert_array_equal(
        getattr(ds, name)(ds.tensor(raw)).array, getattr(torch, name)(torch.tensor(raw)).numpy()
    )


@pytest.mark.parametrize("k", [1, 4, 9])
def test_the_earlier_of_equal_ones_comes_first(k: int) -> None:
    raw = numbers(k, 4, 9, holes=0.2)
    for dim, at in ((1, k), (0, min(k, 4))):
        values, places = ds.kthvalue(ds.tensor(raw), at, dim)
        order = np.argsort(raw, axis=dim, kind="stable").take(at - 1, axis=dim)
        np.testing.assert_array_equal(places.array, order)
        np.testing.assert_array_equal(values.array, np.sort(raw, axis=dim).take(at - 1, axis=dim))


@pytest.mark.parametrize("raw", [[1.0, 2.0, 2.0, 3.0], [2.0] * 20, [NAN, 1.0, NAN], [[1.0, 5.0], [1.0, 0.0]]])
def test_the_gradient_of_a_median_of_all_goes_to_all_equal_ones(raw: Any) -> None:
    ours, theirs = ds.tensor(raw, requires_grad=True), torch.tensor(raw, requires_grad=True)
    (ds.median(ours) * 3).backward()
    (torch.median(theirs) * 3).backward()
    np.testing.assert_allclose(ours.grad.array, theirs.grad.numpy(), rtol=1e-6)


def test_nothing_has_no_middle() -> None:
    assert np.isnan(ds.median(ds.zeros(0)).item())
    assert ds.median(ds.zeros(0, 3), 1).values.shape == (0,)
    with pytest.raises(IndexError, match=r"has nothing along dim 0 to be in order"):
        ds.nanmedian(ds.zeros(0, 3), 0)


@pytest.mark.parametrize("shape", [(5, 9), (4, 1), (3, 4, 40)])
def test_the_most_frequent_beside_pytorch(shape: tuple[int, ...]) -> None:
    raw = numbers(3, *shape)
    for dim in range(len(shape)):
        ours, theirs = ds.mode(ds.tensor(raw), dim), torch.mode(torch.tensor(raw), dim)
        np.testing.assert_array_equal(ours.values.array, theirs.values.numpy())
        held = np.take_along_axis(raw, np.expand_dims(ours.indices.array, dim), dim).squeeze(dim)
        np.testing.assert_array_equal(held, ours.values.array)


def test_small_windows_to_a_given_size_are_as_large_ones() -> None:
    from engine.ops import adaptive

    raw = numbers(5, 2, 3, 7, 6, 5, holes=0.05)
    for goal in ((3, 2, 5), (7, 1, 2), (9, 8, 1)):
        for rank in (1, 2, 3):
            ours, theirs = (
                adaptive.at_once(raw, rank, goal[:rank]),
                adaptive.whole(np, raw, rank, goal[:rank]),
            )
            for a, b in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("window", [((3,), 2, 1, 1, 1), ((2, 3), 1, 1, 1, 2), ((2, 2, 2), 2, 1, 0, 1)])
def test_small_windows_have_the_largest_of_large_ones(window: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.ops import pooling
    from engine.ops.window import Window

    kernel, stride, before, after, dilation = window
    rank = len(kernel)
    w = Window(kernel, (stride,) * rank, ((before, after),) * rank, (dilation,) * rank)
    for kind in (np.float32, np.float64, np.int64):
        raw = numbers(9, 2, 3, *(7, 6, 5)[:rank]).astype(kind)
        ours = pooling._at_once(raw, w)
        assert ours is not None
        monkeypatch.setattr(pooling, "SMALL", 0)
        for a, b in zip(ours, pooling.max_windows(np, raw, w), strict=True):
            np.testing.assert_array_equal(a, b)
    raw = numbers(2, 1, 1, *(7, 6, 5)[:rank], holes=0.1)
    assert pooling._at_once(raw, w) is None
    assert pooling._at_once(np.full_like(raw, -np.inf), w) is None
