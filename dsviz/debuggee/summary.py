"""Statistics of an array for trace level 2, in about ten calls of NumPy whatever its size."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from dsviz.events import Summary

BINS = 32
SAMPLE = 4096  # elements the histogram looks at
FEW = 16  # elements up to which Python alone is quicker
BLOCK = 1 << 16  # elements summed by one product with ones
# Squares of this sum stay finite in float32 and in float64.
_ROOM = {4: 1e37, 8: 1e300}
_NAN = math.nan


def summarize(node: int, array: Any) -> Summary | None:
    """The statistics of `array`, of complex numbers those of their magnitudes; None where it has no numbers (booleans count as 0 and 1)."""
    if type(array) is not np.ndarray:
        if not hasattr(array, "get"):
            return None
        array = array.get()  # from the GPU
    size = array.size
    if array.dtype.kind == "c":
        array = magnitudes(array)
    if not size or array.dtype.kind not in "fiub":
        return None
    # One run of memory: how an array lies must not change a bit of its statistics, which a replay is compared by.
    flat = np.ascontiguousarray(array.reshape(-1))
    if flat.dtype.kind != "f":
        flat = flat.astype(np.float64)
    elif flat.dtype.itemsize == 2:
        flat = flat.astype(np.float32)
    if size <= FEW and (few := _few(node, flat)) is not None:
        return few
    nans = infs = 0
    low, high = float(np.minimum.reduce(flat)), float(np.maximum.reduce(flat))
    finite = flat
    if not (math.isfinite(low) and math.isfinite(high)):
        nans = int(np.count_nonzero(np.isnan(flat)))
        infs = int(np.count_nonzero(np.isinf(flat)))
        finite = flat[np.isfinite(flat)]
        if not finite.size:
            return Summary(node, _NAN, _NAN, _NAN, _NAN, 0, nans, infs, size, 0, (), (0.0, 0.0))
        low, high = float(np.minimum.reduce(finite)), float(np.maximum.reduce(finite))
    mean, std = _moments(finite, low, high)
    zeros = int(np.count_nonzero(finite == 0)) if low <= 0 <= high else 0
    sample = finite if finite.size <= SAMPLE else finite[:: -(-finite.size // SAMPLE)]
    return Summary(
        node,
        low,
        high,
        mean,
        std,
        zeros,
        nans,
        infs,
        size,
        sample.size,
        _histogram(sample, low, high),
        (low, high),
    )


def magnitudes(array: Any) -> Any:
    """The magnitudes of complex numbers. What is nan in one part and infinite in the other counts as nan."""
    with np.errstate(all="ignore"):
        sizes = np.asarray(np.abs(array))
        sizes[np.isnan(array.real) | np.isnan(array.imag)] = _NAN
    return sizes


def sampled(array: Any) -> Any:
    """A copy of some of the numbers of a floating array, spread evenly, complex ones as pairs; None where it has none."""
    dtype = getattr(array, "dtype", None)
    if dtype is None or dtype.kind not in "fc" or not array.size:
        return None
    flat = array.reshape(-1)
    some = flat[:: -(-flat.size // SAMPLE)].copy()
    return some if dtype.kind == "f" else some.view(some.real.dtype)


def moved(before: Any, array: Any) -> float:
    """How far an array moved since `before` was sampled of it, as a share of what it is: a norm over a norm."""
    now = sampled(array)
    if now is None or now.shape != before.shape:
        return _NAN
    with np.errstate(all="ignore"):
        far, size = float(((now - before) ** 2).sum()), float((now**2).sum())
    return math.sqrt(far / size) if size else (0.0 if not far else math.inf)


def _moments(flat: Any, low: float, high: float) -> tuple[float, float]:
    if low == high:
        return low, 0.0
    size = flat.size
    most = max(-low, high)
    if size > 1 and most * most * size < _ROOM.get(flat.itemsize, 0.0):
        mean, square = _sum(flat) / size, float(np.dot(flat, flat)) / size
        variance = square - mean * mean
        if variance > square / 4:
            return mean, math.sqrt(variance)
    with np.errstate(all="ignore"):
        return _shifted(flat, low, high)


def _shifted(flat: Any, low: float, high: float) -> tuple[float, float]:
    """The moments where nearly all of it is the mean, or the squares have no room."""
    size = flat.size
    # Shifted by the middle of the range the squares do not cancel.
    middle = flat.dtype.type(low / 2 + high / 2)
    shifted = flat - middle
    if shifted.dtype == np.float32 and high - low > 1e15:
        shifted = shifted.astype(np.float64)
    mean = float(np.add.reduce(shifted)) / size
    square = float(np.dot(shifted, shifted)) / size
    return float(middle) + mean, math.sqrt(max(square - mean * mean, 0.0))


@functools.lru_cache(4)
def _ones(dtype: str) -> Any:
    return np.ones(BLOCK, dtype)


def _sum(flat: Any) -> float:
    """The sum of a contiguous array, by products with ones: they take less than half the time of a sum."""
    ones = _ones(flat.dtype.str)
    whole = flat.size // BLOCK * BLOCK
    total = float(np.dot(flat[whole:], ones[: flat.size - whole]))
    return total + float((flat[:whole].reshape(-1, BLOCK) @ ones).sum(dtype=np.float64)) if whole else total


def _few(node: int, flat: Any) -> Summary | None:
    """The statistics of a few numbers; None where one is not finite."""
    values = flat.tolist()
    low, high, size = min(values), max(values), len(values)
    width = high - low
    if not math.isfinite(sum(values)) or not width < 1e150:
        return None
    mean = sum(values) / size if width else low
    std = math.sqrt(sum([(value - mean) ** 2 for value in values]) / size) if width else 0.0
    if width <= 0 or not math.isfinite(BINS / width):
        counts = [size]
    else:
        counts, scale = [0] * BINS, BINS / width
        for value in values:
            place = int((value - low) * scale)
            counts[place if place < BINS else BINS - 1] += 1
    zeros = values.count(0.0)
    return Summary(node, low, high, mean, std, zeros, 0, 0, size, size, tuple(counts), (low, high))


def _histogram(sample: Any, low: float, high: float) -> tuple[int, ...]:
    width = high - low
    if width <= 0 or not math.isfinite(width) or not math.isfinite(BINS / width):
        return (int(sample.size),)
    # In float64: beside the smallest and the greatest numbers of float32 the scale is none of its own.
    places = ((sample.astype(np.float64) - low) * (BINS / width)).astype(np.intp)
    counts = np.bincount(places, minlength=BINS + 1).tolist()
    counts[BINS - 1] += sum(counts[BINS:])  # the greatest value belongs to the last bin
    return tuple(counts[:BINS])
