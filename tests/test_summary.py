"""The statistics of trace level 2 are those that NumPy gives in float64, whatever the size, the mean and the range."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from dsviz.debuggee.summary import BINS, BLOCK, FEW, SAMPLE, summarize


@pytest.mark.parametrize("size", [1, 2, FEW, FEW + 1, 1000, BLOCK - 1, BLOCK, 2 * BLOCK + 7])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "?"])
@pytest.mark.parametrize(("mean", "scale"), [(0.0, 1.0), (1000.0, 0.5), (-3.0, 2.0), (0.5, 0.0)])
def test_statistics_are_numpys(size: int, dtype: str, mean: float, scale: float) -> None:
    array = (np.random.default_rng(size).standard_normal(size) * scale + mean).astype(dtype)
    array[:: 5] = array[0]  # fmt: skip
    array[1::7] = 0
    exact = array.astype(np.float64)
    found = summarize(3, array)
    assert found is not None
    assert (found.node, found.count, found.nans, found.infs) == (3, size, 0, 0)
    assert (found.minimum, found.maximum) == (exact.min(), exact.max())
    assert found.edges == (exact.min(), exact.max())
    assert found.zeros == int((exact == 0).sum())
    reach = max(abs(found.minimum), abs(found.maximum))
    assert found.mean == pytest.approx(exact.mean(), rel=1e-4, abs=1e-5 * reach)
    assert found.std == pytest.approx(exact.std(), rel=1e-3, abs=1e-6 * reach)
    assert found.sampled == sum(found.histogram) <= max(size, SAMPLE)
    if size <= SAMPLE and found.minimum < found.maximum and dtype in ("f8", "i4", "?"):
        assert list(found.histogram) == np.histogram(exact, BINS)[0].tolist() or size > FEW
    assert len(found.histogram) == (BINS if found.minimum < found.maximum else 1)


@pytest.mark.parametrize("size", [3, FEW + 5, 40_000])
def test_what_is_not_finite_is_counted_and_left_out(size: int) -> None:
    array = np.linspace(-1, 1, size).astype(np.float32)
    array[0], array[size // 2] = np.nan, -np.inf
    found = summarize(1, array)
    assert found is not None
    rest = array[np.isfinite(array)].astype(np.float64)
    assert (found.nans, found.infs, found.count) == (1, 1, size)
    assert (found.minimum, found.maximum) == (rest.min(), rest.max())
    assert found.mean == pytest.approx(rest.mean(), abs=1e-5)
    assert found.std == pytest.approx(rest.std(), rel=1e-4)
    nothing = summarize(1, np.full(size, np.nan))
    assert nothing is not None
    assert math.isnan(nothing.mean)


@pytest.mark.parametrize("size", [2, 300, BLOCK + 1])
@pytest.mark.parametrize(
    ("dtype", "most"), [("f4", 3e38), ("f8", 1.7e308), ("f4", 1e-40), ("f8", 5e-324), ("f2", 6e4)]
)
def test_the_ends_of_the_range_raise_nothing(size: int, dtype: str, most: float) -> None:
    array = np.zeros(size, dtype)
    array[0], array[-1] = -most, most
    found = summarize(1, array)
    assert found is not None
    assert (found.minimum, found.maximum) == (float(array[0]), float(array[-1]))


@pytest.mark.parametrize("array", [np.zeros((0, 3)), np.array(["text"]), "text", None])
def test_what_has_no_numbers_has_no_statistics(array: Any) -> None:
    assert summarize(1, array) is None


def test_a_view_is_looked_at_as_it_is() -> None:
    array = np.arange(60, dtype=np.float32).reshape(6, 10)
    assert summarize(1, array.T) == summarize(1, np.ascontiguousarray(array.T))
    numbers = np.random.default_rng(0).standard_normal(9000).astype(np.float32)
    assert summarize(1, numbers[::3]) == summarize(1, numbers[::3].copy())
    assert summarize(1, numbers[::-1]) == summarize(1, numbers[::-1].copy())
