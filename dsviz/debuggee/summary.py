"""Statistics of an array for trace level 2, in about ten calls of NumPy whatever its size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dsviz.events import Summary

BINS = 32
SAMPLE = 4096  # elements the histogram looks at
_NAN = math.nan


def summarize(node: int, array: Any) -> Summary | None:
    """The statistics of `array`; None where it has no numbers (booleans count as 0 and 1)."""
    if type(array) is not np.ndarray:
        if not hasattr(array, "get"):
            return None
        array = array.get()  # from the GPU
    size = array.size
    if not size or array.dtype.kind not in "fiub":
        return None
    flat = array.reshape(-1)
    if flat.dtype.kind != "f":
        flat = flat.astype(np.float64)
    elif flat.dtype.itemsize == 2:
        flat = flat.astype(np.float32)
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


def sampled(array: Any) -> Any:
    """A copy of some of the numbers of a floating array, spread evenly; None where it has none."""
    dtype = getattr(array, "dtype", None)
    if dtype is None or dtype.kind != "f" or not array.size:
        return None
    flat = array.reshape(-1)
    return flat[:: -(-flat.size // SAMPLE)].copy()


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
    # Shifted by the middle of the range the squares do not cancel, whatever the mean is.
    middle = flat.dtype.type(low / 2 + high / 2)
    shifted = flat - middle
    if shifted.dtype == np.float32 and high - low > 1e15:
        shifted = shifted.astype(np.float64)
    mean = float(np.add.reduce(shifted)) / size
    square = float(np.dot(shifted, shifted)) / size
    return float(middle) + mean, math.sqrt(max(square - mean * mean, 0.0))


def _histogram(sample: Any, low: float, high: float) -> tuple[int, ...]:
    width = high - low
    if width <= 0 or not math.isfinite(width) or not math.isfinite(BINS / width):
        return (int(sample.size),)
    places = ((sample - low) * (BINS / width)).astype(np.intp)
    counts = np.bincount(places, minlength=BINS + 1).tolist()
    counts[BINS - 1] += sum(counts[BINS:])  # the greatest value belongs to the last bin
    return tuple(counts[:BINS])
