"""Maximum and sum over sliding windows, on raw arrays, and the transposes of both.

Work goes a cacheful at a time, and over the elements of a window in turn: each step is one pass over all
windows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from engine.dnn import pooling
from engine.errors import Shape
from engine.ops.add_at import add_at
from engine.ops.nested import on_gpu
from engine.ops.window import Pairs, Window, pad_zeros

# Bytes of input worked on at a time on a CPU: what stays in its cache.
CACHE = 1 << 18
# Elements up to which all windows are taken at once.
SMALL = 1 << 12


def blocks(xp: Any, shape: Shape, rank: int, itemsize: int) -> Iterator[slice]:
    """Slices over the leading dimensions taken as one, each about a cacheful on a CPU."""
    lead = math.prod(shape[: len(shape) - rank])
    size = math.prod(shape[len(shape) - rank :]) * itemsize
    step = max(1, CACHE // max(size, 1)) if xp is np else max(lead, 1)
    for start in range(0, lead, step):
        yield slice(start, start + step)


def lowest(kind: Any) -> Any:
    """What no element is below: minus infinity, or the least integer."""
    if kind.kind in "iu":
        return np.iinfo(kind).min
    return False if kind.kind == "b" else -math.inf


def place_type(taps: int) -> Any:
    """The smallest type that numbers the elements of a window."""
    return np.dtype(np.uint8 if taps <= 256 else np.uint16 if taps <= 65536 else np.int32)


def max_windows(xp: Any, x: Any, w: Window) -> tuple[Any, Any]:
    """The largest element of each window, and which of the window's elements it is.

    NaN is larger than all.
    """
    if xp is np and (fast := pooling.maximum(x, w)) is not None:
        return fast
    if on_gpu(xp):
        from engine.gpu import pooling as gpu

        if (made := gpu.maximum(x, w)) is not None:
            return made  # type: ignore[no-any-return]
    if xp is np and 0 < x.size <= SMALL and (made := _at_once(x, w)) is not None:
        return made
    rank = len(w.kernel)
    out_size = w.out(x.shape[-rank:])
    offsets = w.offsets()
    out = xp.empty((*x.shape[:-rank], *out_size), x.dtype)
    places = xp.zeros(out.shape, place_type(len(offsets)))
    flat = x.reshape(-1, *x.shape[-rank:])
    out_flat, places_flat = out.reshape(-1, *out_size), places.reshape(-1, *out_size)
    for at in blocks(xp, x.shape, rank, x.itemsize):
        part = pad_zeros(xp, flat[at], w.padding, lowest(x.dtype)) if w.padded else flat[at]
        best, place = out_flat[at], places_flat[at]
        best[...] = part[w.slices(offsets[0], out_size)]
        for k, offset in enumerate(offsets[1:], 1):
            other = part[w.slices(offset, out_size)]
            better = other > best
            xp.maximum(best, other, out=best)
            # k only grows, so the later of two places is the larger.
            xp.maximum(place, better.astype(place.dtype) * place.dtype.type(k), out=place)
        settle(xp, part, best, place, w, lowest(x.dtype))
    return out, places


@lru_cache(maxsize=64)
def _members(size: Shape, w: Window) -> Any:
    """The numbers [windows, elements] of the elements of each window in the padded plane."""
    flat: Any = np.zeros((1, 1), np.int64)
    for n, k, stride, dilation in zip(size, w.kernel, w.stride, w.dilation, strict=True):
        count = (n - (k - 1) * dilation - 1) // stride + 1
        at = np.arange(count)[:, None] * stride + np.arange(k) * dilation
        flat = (flat[:, None, :, None] * n + at[None, :, None, :]).reshape(len(flat) * count, -1)
    flat.flags.writeable = False
    return flat


def _at_once(x: Any, w: Window) -> tuple[Any, Any] | None:
    """`max_windows` of a small array, all windows at once; None where there is NaN, or nothing but what pads."""
    rank, low = len(w.kernel), lowest(x.dtype)
    part = pad_zeros(np, x, w.padding, low) if w.padded else x
    size = part.shape[-rank:]
    members = _members(size, w._replace(padding=((0, 0),) * rank))
    planes = part.reshape(-1, math.prod(size))
    places = planes[:, members].argmax(-1)
    best = planes[np.arange(len(planes))[:, None], members[np.arange(len(members)), places]]
    if not (best > low).all():
        return None
    shape = (*x.shape[:-rank], *w.out(x.shape[-rank:]))
    return best.reshape(shape), places.astype(place_type(members.shape[1])).reshape(shape)


def settle(xp: Any, part: Any, best: Any, place: Any, w: Window, low: Any) -> None:
    """Name the right element where comparing cannot: of a NaN, and never one of the padding."""
    out_size = best.shape[-len(w.kernel) :]
    if best.dtype.kind == "f" and bool(xp.isnan(best).any()):
        for k, offset in enumerate(w.offsets()):
            place[xp.isnan(part[w.slices(offset, out_size)])] = k
    if w.padded and bool((best == low).any()):
        size = [n - sum(pair) for n, pair in zip(part.shape[1:], w.padding, strict=True)]
        inside = pad_zeros(xp, xp.ones(size, np.bool_), w.padding)
        for k, offset in reversed(list(enumerate(w.offsets()))):
            place[(best == low) & inside[w.slices(offset, out_size)]] = k


@lru_cache(maxsize=256)
def plane(w: Window, size: Shape) -> tuple[Any, Any]:
    """How far each element of a window lies from its start in a plane of spatial `size`, and where windows
    start.
    """
    steps = [math.prod(size[i + 1 :]) for i in range(len(size))]
    table = np.array(
        [sum(o * s for o, s in zip(offset, steps, strict=True)) for offset in w.offsets()], np.intp
    )
    start = np.zeros((), np.intp)
    for n, stride, (before, _), step in zip(w.out(size), w.stride, w.padding, steps, strict=True):
        start = np.add.outer(start, (np.arange(n) * stride - before) * step)
    table.flags.writeable = start.flags.writeable = False
    return table, start


def flat_index(xp: Any, places: Any, w: Window, size: Shape) -> Any:
    """Where in the plane of spatial `size` the named elements lie, counted through it in order (int64)."""
    table, start = plane(w, size)
    index = xp.asarray(table).take(places)
    index += xp.asarray(start)
    return index


def scatter_windows(xp: Any, g: Any, places: Any, w: Window, size: Shape) -> Any:
    """Each element of `g` added to the element of its window that `places` names."""
    if xp is np and (fast := pooling.scatter(g, places, w, size)) is not None:
        return fast
    if on_gpu(xp):
        from engine.gpu import pooling as gpu

        if (made := gpu.scatter(g, places, w, size)) is not None:
            return made
    rank = len(w.kernel)
    volume = math.prod(size)
    into = xp.zeros((*g.shape[:-rank], *size), g.dtype)
    flat, g_flat, places_flat = (
        into.reshape(-1, volume),
        *(a.reshape(-1, *a.shape[-rank:]) for a in (g, places)),
    )
    for at in blocks(xp, into.shape, rank, g.itemsize):
        index = flat_index(xp, places_flat[at], w, size)
        index += (xp.arange(index.shape[0]) * volume).reshape(-1, *(1,) * rank)
        add_at(flat[at].reshape(-1), index.reshape(-1), g_flat[at].reshape(-1))
    return into


def pick_windows(xp: Any, x: Any, places: Any, w: Window) -> Any:
    """The element of each window that `places` names."""
    rank = len(w.kernel)
    size = x.shape[-rank:]
    index = flat_index(xp, places, w, size).reshape(-1, math.prod(places.shape[-rank:]))
    return xp.take_along_axis(x.reshape(-1, math.prod(size)), index, axis=1).reshape(places.shape)


def sum_windows(xp: Any, x: Any, w: Window) -> Any:
    """The sum of each window, one dimension after the other."""
    rank = len(w.kernel)
    out_size = w.out(x.shape[-rank:])
    out = xp.empty((*x.shape[:-rank], *out_size), x.dtype)
    flat, out_flat = x.reshape(-1, *x.shape[-rank:]), out.reshape(-1, *out_size)
    for at in blocks(xp, x.shape, rank, x.itemsize):
        part = pad_zeros(xp, flat[at], w.padding) if w.padded else flat[at]
        for axis in range(rank):
            if apart(w, axis, out_size[axis], part.shape[axis + 1]) and w.kernel[axis] >= 8:
                after = part.shape[axis + 2 :]
                part = part.reshape(*part.shape[: axis + 1], out_size[axis], w.kernel[axis], *after).sum(
                    axis=axis + 2
                )
                continue
            pieces = [part[line(axis, rank, k, w, out_size[axis])] for k in range(w.kernel[axis])]
            if len(pieces) == 1:
                part = pieces[0]
                continue
            part = pieces[0] + pieces[1]
            for piece in pieces[2:]:
                part += piece
        out_flat[at] = part
    return out


def spread_windows(xp: Any, g: Any, w: Window, size: Shape) -> Any:
    """Each element of `g` added to every element of its window: the transpose of `sum_windows`."""
    rank = len(w.kernel)
    out_size = g.shape[-rank:]
    padded = [n + before + after for n, (before, after) in zip(size, w.padding, strict=True)]
    inside = (..., *[slice(before, before + n) for n, (before, _) in zip(size, w.padding, strict=True)])
    into = xp.empty((*g.shape[:-rank], *size), g.dtype)
    flat, g_flat = into.reshape(-1, *size), g.reshape(-1, *out_size)
    for at in blocks(xp, into.shape, rank, g.itemsize):
        part = g_flat[at]
        for axis in reversed(range(rank)):
            if apart(w, axis, out_size[axis], padded[axis]) and w.kernel[axis] >= 4:
                part = xp.repeat(part, w.kernel[axis], axis=axis + 1)
                continue
            shape = list(part.shape)
            shape[part.ndim - rank + axis] = padded[axis]
            wider = xp.zeros(shape, g.dtype)
            for k in range(w.kernel[axis]):
                wider[line(axis, rank, k, w, out_size[axis])] += part
            part = wider
        flat[at] = part[inside]
    return into


def apart(w: Window, axis: int, count: int, size: int) -> bool:
    """Whether along one axis the windows lie side by side and nothing is left over."""
    return w.stride[axis] == w.kernel[axis] and w.dilation[axis] == 1 and count * w.kernel[axis] == size


def line(axis: int, rank: int, k: int, w: Window, count: int) -> tuple[Any, ...]:
    """Element `k` of all windows along one axis, as an index."""
    start = k * w.dilation[axis]
    s = w.stride[axis]
    return (..., slice(start, start + (count - 1) * s + 1, s), *(slice(None),) * (rank - axis - 1))


@lru_cache(maxsize=256)
def counts(w: Window, size: Shape, padding: Pairs, include_pad: bool) -> Any:
    """How many elements each window's mean is over: one number where all are alike, else a read-only array.

    What hangs over the end beyond `padding` never counts, padding does with `include_pad`.
    """
    total: Any = 1
    for k, s, (before, _), (_, after), n, count in zip(
        w.kernel, w.stride, w.padding, padding, size, w.out(size), strict=True
    ):
        start = np.arange(count) * s - before
        end = np.minimum(start + k, n + after)
        inside = end - start if include_pad else np.minimum(end, n) - np.maximum(start, 0)
        total = np.multiply.outer(total, inside)
    if (total == total.flat[0]).all():
        return int(total.flat[0])
    total.flags.writeable = False
    return total
