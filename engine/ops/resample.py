"""Arrays resampled along one dimension after another: every output element a weighted sum of a few inputs.

That is what nearest and linear interpolation and adaptive mean pooling are. Each is described by `Taps`,
whose transpose is as direct as they are; no other input touches an output, so NaN and infinity stay where
they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from engine.ops.window import index_of


class Tap(NamedTuple):
    """Outputs at `to` get the inputs at `at`, times `weight` (None: 1).

    `to` and `at` are slices where they can be.
    """

    to: Any
    at: Any
    weight: Any


class Taps(NamedTuple):
    """All of one dimension: `size` elements become `out`.

    `back` is grouped so that no tap names an input twice. Where each output is the mean of a long stretch of inputs,
    `spans` says of which, and there are no taps.
    """

    size: int
    out: int
    taps: tuple[Tap, ...]
    back: tuple[Tap, ...]
    spans: tuple[tuple[int, int], ...] = ()


def as_slice(index: Any) -> Any:
    """`index` as a slice where it goes in even steps."""
    if len(index) == 1:
        return slice(int(index[0]), int(index[0]) + 1)
    steps = np.diff(index)
    if steps[0] > 0 and (steps == steps[0]).all():
        return slice(int(index[0]), int(index[-1]) + 1, int(steps[0]))
    return index


def taps(size: int, out: int, parts: Sequence[tuple[Any, Any, Any]]) -> Taps:
    """`parts` are (outputs, inputs, weights), arrays of equal length; inputs never decrease."""
    forward, back = [], []
    for to, at, weight in parts:
        if not len(to):
            continue
        alike = weight is None or bool((weight == 1).all())
        forward.append(Tap(as_slice(to), as_slice(at), None if alike else weight))
        # The how-manieth use of its input each output is: uses of one rank name each input once.
        first = np.searchsorted(at, at)
        rank = np.arange(len(at)) - first
        for r in range(int(rank.max()) + 1):
            chosen = rank == r
            back.append(Tap(as_slice(to[chosen]), as_slice(at[chosen]), None if alike else weight[chosen]))
    return Taps(size, out, tuple(forward), tuple(back))


def resample(xp: Any, x: Any, dims: Sequence[Taps]) -> Any:
    """The last dimensions of `x`, each as its taps say."""
    # Dimensions that shrink first: less is left to do for the others.
    for axis in sorted(range(-len(dims), 0), key=lambda a: dims[a].out / max(dims[a].size, 1)):
        t = dims[axis]
        x = _means(xp, x, axis, t) if t.spans else _apply(xp, x, axis, t.out, t.taps, True)
    return x


def transposed(xp: Any, g: Any, dims: Sequence[Taps]) -> Any:
    """The transpose of `resample`."""
    for axis in sorted(range(-len(dims), 0), key=lambda a: dims[a].size / max(dims[a].out, 1)):
        t = dims[axis]
        g = _shares(xp, g, axis, t) if t.spans else _apply(xp, g, axis, t.size, t.back, False)
    return g


def _means(xp: Any, x: Any, axis: int, t: Taps) -> Any:
    """The mean of each span along `axis`."""
    after = (slice(None),) * (-axis - 1)
    shape = list(x.shape)
    shape[axis] = t.out
    made = xp.empty(shape, x.dtype)
    for i, (start, stop) in enumerate(t.spans):
        made[index_of((i, *after))] = x[index_of((slice(start, stop), *after))].mean(axis=axis)
    return made


def _shares(xp: Any, g: Any, axis: int, t: Taps) -> Any:
    """The transpose of `_means`: each element goes in equal parts to all of its span."""
    after = (slice(None),) * (-axis - 1)
    shape = list(g.shape)
    shape[axis] = t.size
    made = xp.zeros(shape, g.dtype)
    for i, (start, stop) in enumerate(t.spans):
        share = g[index_of((slice(i, i + 1), *after))] * (1 / (stop - start))
        made[index_of((slice(start, stop), *after))] += share
    return made


def _apply(xp: Any, x: Any, axis: int, size: int, parts: Sequence[Tap], forward: bool) -> Any:
    after = (slice(None),) * (-axis - 1)
    shape = list(x.shape)
    shape[axis] = size
    result = None
    for tap in parts:
        to, at = (tap.to, tap.at) if forward else (tap.at, tap.to)
        term = x[index_of((at if isinstance(at, slice) else xp.asarray(at), *after))]
        if tap.weight is not None:
            term = term * xp.asarray(tap.weight, dtype=x.dtype).reshape(-1, *(1,) * len(after))
        if result is None:
            if to == slice(0, size, 1) if isinstance(to, slice) else False:
                result = term if tap.weight is not None or not isinstance(at, slice) else term.copy()
                continue
            result = xp.zeros(shape, x.dtype)
        result[index_of((to if isinstance(to, slice) else xp.asarray(to), *after))] += term
    return xp.zeros(shape, x.dtype) if result is None else result


# Elements of a window from which one pass over each window is faster than one over each of its elements.
LONG = 8

# --- kinds of taps --------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def windows(size: int, out: int) -> Taps:
    """The mean of `out` windows that cover `size` elements as evenly as they can."""
    if size >= LONG * out > 0:
        return Taps(size, out, (), (), tuple(zip(*bounds(size, out), strict=True)))
    i = np.arange(out)
    start = i * size // out
    length = -(-(i + 1) * size // out) - start
    parts = []
    for k in range(int(length.max(initial=0))):
        to = i[length > k]
        parts.append((to, start[to] + k, 1 / length[to]))
    return taps(size, out, parts)


def bounds(size: int, out: int) -> tuple[list[int], list[int]]:
    """Where each window of `windows` starts and ends."""
    return [i * size // out for i in range(out)], [-(-(i + 1) * size // out) for i in range(out)]


@lru_cache(maxsize=256)
def nearest(size: int, out: int, scale: float | None, exact: bool) -> Taps:
    """The element each output lies on, `scale` outputs to an input; `exact` measures from centres."""
    step = np.float32(1 / scale) if scale else np.float32(size / out)
    place = (np.arange(out) + 0.5) * step if exact else np.arange(out) * step
    # In float32 as PyTorch does it: where an output falls on the edge of two inputs, rounding decides.
    at = np.minimum(np.floor(place.astype(np.float32)).astype(np.int64), size - 1)
    return taps(size, out, [(np.arange(out), at, None)])


@lru_cache(maxsize=256)
def linear(size: int, out: int, scale: float | None, align_corners: bool) -> Taps:
    """The mean of the two elements each output lies between, by distance."""
    place = places(size, out, scale, align_corners)
    if not align_corners:
        place = np.maximum(place, 0)
    low = np.minimum(np.floor(place).astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    weight = np.clip(place - low, 0, 1)
    return taps(size, out, [(np.arange(out), low, 1 - weight), (np.arange(out), high, weight)])


def places(size: int, out: int, scale: float | None, align_corners: bool) -> Any:
    """Where in the input each output lies."""
    if align_corners:
        return np.arange(out) * ((size - 1) / (out - 1) if out > 1 else 0.0)
    return (np.arange(out) + 0.5) * (1 / scale if scale else size / out) - 0.5


@lru_cache(maxsize=256)
def cubic(size: int, out: int, scale: float | None, align_corners: bool) -> Taps:
    """Cubic convolution over four elements with a = -0.75 (Keys 1981); the border repeats."""
    place = places(size, out, scale, align_corners)
    base = np.floor(place).astype(np.int64)
    t = place - base
    a = -0.75
    parts = []
    for k in range(-1, 3):
        d = np.abs(t - k)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        parts.append((np.arange(out), np.clip(base + k, 0, size - 1), np.where(d <= 1, near, far)))
    return taps(size, out, parts)


def scaled(size: int, scale: float) -> int:
    """How many elements `size` become."""
    return math.floor(size * scale)


def _triangle(x: Any) -> Any:
    return np.maximum(1 - np.abs(x), 0)


def _keys(x: Any) -> Any:
    """Keys's cubic of a = -1/2."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


@lru_cache(maxsize=256)
def covering(size: int, out: int, factor: float | None, corners: bool, cubic: bool) -> Taps:
    """Linear or cubic weights stretched over all the inputs that an output covers."""
    scale = 1 / factor if factor else size / out
    if corners:
        scale = (size - 1) / (out - 1) if out > 1 else 0.0
    filtered, reach = (_keys, 2.0) if cubic else (_triangle, 1.0)
    stretch = max(scale, 1.0)
    centre = scale * (np.arange(out) + 0.5)
    start = np.maximum((centre - reach * stretch + 0.5).astype(np.int64), 0)
    stop = np.minimum((centre + reach * stretch + 0.5).astype(np.int64), size)
    k = np.arange(int((stop - start).max(initial=0)))
    at = start[:, None] + k
    weight = filtered((at - centre[:, None] + 0.5) / stretch) * (at < stop[:, None])
    weight /= weight.sum(1, keepdims=True)
    parts = []
    for j in k:
        to = np.flatnonzero(at[:, j] < stop)
        parts.append((to, at[to, j], weight[to, j]))
    return taps(size, out, parts)
