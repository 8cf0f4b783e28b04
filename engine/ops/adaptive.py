"""Pooling to a given size: as many windows as asked for, as even as they can be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype
from engine.dispatch import apply
from engine.errors import ArgumentProblem, Shape
from engine.op import Op, op
from engine.ops import pooling, resample
from engine.ops.gather import SCATTER_ZEROS
from engine.ops.nested import nested
from engine.ops.pool import WINDOW_SPREAD, check_rank
from engine.ops.resize import RESAMPLE_BACK
from engine.ops.window import Window, frozen, index_of
from engine.shapes import sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor


def target(rank: int, size: Shape, output_size: Any) -> Shape:
    """The spatial size asked for; None keeps that of the input."""
    each = output_size if isinstance(output_size, tuple) else (output_size,) * rank
    if len(each) != rank or any(n is not None and (not isinstance(n, int) or n < 0) for n in each):
        raise ArgumentProblem(
            ValueError,
            f"output_size has to be an int or {rank} ints or None, none below 0, got {output_size!r}",
        )
    return tuple(n if m is None else m for n, m in zip(size, each, strict=True))


def even(size: Shape, out: Shape) -> Window | None:
    """The window when `size` divides into `out` equal ones, else None."""
    if any(m == 0 or n % m or n == 0 for n, m in zip(size, out, strict=True)):
        return None
    kernel = tuple(n // m for n, m in zip(size, out, strict=True))
    return Window(kernel, kernel, ((0, 0),) * len(size), (1,) * len(size))


def adaptive_shape(rank: int, x: Any, output_size: Any) -> Shape:
    """The input's shape with its last dimensions replaced."""
    x = sizes(x)
    check_rank(rank, x)
    return (*x[:-rank], *target(rank, x[-rank:], output_size))


def adaptive_origin(
    shapes: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    """Spatial sizes are decided by the call, the others by the input."""
    rank = len(attrs["output_size"]) if isinstance(attrs["output_size"], tuple) else 1
    return [(0, dim)] if dim < len(out) - rank else []


def _mean_record(rank: int) -> Op:
    def shape(x: Any, *, output_size: Any) -> Shape:
        return adaptive_shape(rank, x, output_size)

    def vjp(xp: Any, g: Any, out: Any, input: Any, *, output_size: Any) -> Any:
        size = input.shape[-rank:]
        goal = target(rank, size, output_size)
        w = even(size, goal)
        if w is None:
            dims = tuple(resample.windows(n, m) for n, m in zip(size, goal, strict=True))
            return nested(xp, RESAMPLE_BACK, g, dims=dims)
        g = g * (1 / math.prod(w.kernel))
        if math.prod(goal) == 1:
            return xp.broadcast_to(g, input.shape)
        return nested(xp, WINDOW_SPREAD, g, kernel=w.kernel, stride=w.stride, padding=w.padding, size=size)

    def forward(xp: Any, input: Any, *, output_size: Any) -> Any:
        """The mean of each window."""
        size = input.shape[-rank:]
        goal = target(rank, size, output_size)
        w = even(size, goal)
        if w is None:
            return resample.resample(
                xp, input, [resample.windows(n, m) for n, m in zip(size, goal, strict=True)]
            )
        if math.prod(goal) == 1:
            return input.reshape(*input.shape[:-rank], -1).mean(axis=-1).reshape(*input.shape[:-rank], *goal)
        out = pooling.sum_windows(xp, input, w)
        out /= math.prod(w.kernel)
        return out

    return op(
        f"adaptive_avg_pool{rank}d",
        family="reduce",
        shape=shape,
        dtype=dtype.first,
        origin=adaptive_origin,
        vjp=vjp,
        check=True,
        onnx="GlobalAveragePool",
        formula="mean of input[⌊i · size / out⌋ : ⌈(i + 1) · size / out⌉]",
    )(forward)


# Elements of a window from which one pass over each window is faster than one over each of its elements, and windows
# up to which each is taken whole and not one dimension after the other.
MANY, FEW = 16, 64
# Elements up to which all windows are taken at once.
SMALL = 1 << 13


def largest(xp: Any, x: Any, rank: int, goal: Shape) -> tuple[Any, Any]:
    """The largest element of each window, and where in the plane it lies. NaN is larger than all."""
    size = x.shape[-rank:]
    w = even(size, goal)
    if w is not None and math.prod(w.kernel) < MANY:
        out, places = pooling.max_windows(xp, x, w)
        return out, pooling.flat_index(xp, places, w, size).astype(np.int64, copy=False)
    if xp is np and 0 < x.size <= SMALL and math.prod(goal):
        return at_once(x, rank, goal)
    if rank > 1 and math.prod(goal) <= FEW:
        return whole(xp, x, rank, goal)
    # One dimension after the other, the last one first: of equal elements the first in the plane's order stays.
    best, index = x, None
    step = 1
    for axis in range(rank - 1, -1, -1):
        before = x.ndim - rank + axis
        shape = (*best.shape[:before], goal[axis], *best.shape[before + 1 :])
        found, at = xp.empty(shape, x.dtype), xp.empty(shape, np.int64)
        for i, (start, stop) in enumerate(zip(*resample.bounds(size[axis], goal[axis]), strict=True)):
            span = (..., slice(start, stop), *(slice(None),) * (rank - axis - 1))
            cell = index_of((slice(i, i + 1), *span[2:]))
            where = xp.argmax(best[span], axis=before, keepdims=True)
            found[cell] = xp.take_along_axis(best[span], where, axis=before)
            at[cell] = (where + start) * step
            if index is not None:
                at[cell] += xp.take_along_axis(index[span], where, axis=before)
        best, index = found, at
        step *= size[axis]
    return best, index


@lru_cache(maxsize=64)
def _members(size: Shape, goal: Shape) -> Any:
    """The numbers [windows, elements] of the elements of each window in the plane; the last is repeated in smaller ones."""
    flat: Any = np.zeros((1, 1), np.int64)
    for n, m in zip(size, goal, strict=True):
        start, stop = (np.asarray(edge)[:, None] for edge in resample.bounds(n, m))
        at = np.minimum(start + np.arange((stop - start).max(initial=1)), stop - 1)
        flat = (flat[:, None, :, None] * n + at[None, :, None, :]).reshape(len(flat) * m, -1)
    flat.flags.writeable = False
    return flat


def at_once(x: Any, rank: int, goal: Shape) -> tuple[Any, Any]:
    """`largest`, all windows of a small array at once; the first of equal elements stays."""
    members = _members(x.shape[-rank:], goal)
    lead = x.shape[:-rank]
    planes = x.reshape(-1, math.prod(x.shape[-rank:]))
    index = members[np.arange(len(members)), planes[:, members].argmax(-1)]
    best = planes[np.arange(len(planes))[:, None], index]
    return best.reshape(*lead, *goal), index.reshape(*lead, *goal)


def whole(xp: Any, x: Any, rank: int, goal: Shape) -> tuple[Any, Any]:
    """`largest`, window by window."""
    size = x.shape[-rank:]
    out = xp.empty((*x.shape[:-rank], *goal), x.dtype)
    index = xp.zeros(out.shape, np.int64)
    edges = [list(zip(*resample.bounds(n, m), strict=True)) for n, m in zip(size, goal, strict=True)]
    for cell in product(*[range(m) for m in goal]):
        spans = [edges[axis][i] for axis, i in enumerate(cell)]
        part = x[index_of([slice(a, b) for a, b in spans])].reshape(*x.shape[:-rank], -1)
        where = part.argmax(axis=-1)
        out[index_of(cell)] = xp.take_along_axis(part, where[..., None], axis=-1)[..., 0]
        flat = xp.zeros_like(where)
        left = where
        step = 1
        for axis in range(rank - 1, -1, -1):
            a, b = spans[axis]
            flat += (left % (b - a) + a) * step
            left = left // (b - a)
            step *= size[axis]
        index[index_of(cell)] = flat
    return out, index


def _max_record(rank: int, indices: bool) -> Op:
    def shape(x: Any, *, output_size: Any) -> Any:
        out = adaptive_shape(rank, x, output_size)
        return (out, out) if indices else out

    def vjp(xp: Any, g: Any, out: Any, input: Any, *, output_size: Any, index: Any) -> Any:
        g = g[0] if indices else g
        lead = math.prod(input.shape[:-rank])
        flat = nested(
            xp, SCATTER_ZEROS, g.reshape(lead, -1), index=index.reshape(lead, -1),
            shape=(lead, math.prod(input.shape[-rank:])), dim=1,
        )  # fmt: skip
        return flat.reshape(input.shape)

    def forward(xp: Any, input: Any, *, output_size: Any) -> Any:
        """The largest element of each window."""
        out, index = largest(xp, input, rank, target(rank, input.shape[-rank:], output_size))
        return (out, index) if indices else out, index

    def kinds(d: Any, **_: Any) -> Any:
        return (d, dtype.int64) if indices else d

    return op(
        f"adaptive_max_pool{rank}d" + ("_with_indices" if indices else ""),
        family="reduce",
        shape=shape,
        dtype=kinds,
        origin=adaptive_origin,
        vjp=vjp,
        extras=("index",),
        outputs=2 if indices else 1,
        check=True,
        onnx="GlobalMaxPool",
        formula="max of input[⌊i · size / out⌋ : ⌈(i + 1) · size / out⌉]",
    )(forward)


AVG = {rank: _mean_record(rank) for rank in (1, 2, 3)}
MAX = {rank: _max_record(rank, False) for rank in (1, 2, 3)}
MAX_INDICES = {rank: _max_record(rank, True) for rank in (1, 2, 3)}


def _goal(rank: int, output_size: Any) -> Any:
    # Always as many sizes as there are dimensions: who reads the node need not know the rank.
    size = frozen(output_size)
    return (size,) * rank if size is None or isinstance(size, int) else size


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Tensor:
    """The mean of each of `output_size` windows that cover the last dimension."""
    return apply(AVG[1], (input,), {"output_size": _goal(1, output_size)})  # type: ignore[no-any-return]


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Tensor:
    """The mean of each window; the last two dimensions become `output_size` (an int, or a pair; None keeps
    one).
    """
    return apply(AVG[2], (input,), {"output_size": _goal(2, output_size)})  # type: ignore[no-any-return]


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Tensor:
    """As `adaptive_avg_pool2d` over three dimensions."""
    return apply(AVG[3], (input,), {"output_size": _goal(3, output_size)})  # type: ignore[no-any-return]


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest element of each of `output_size` windows; with `return_indices` also where it lies."""
    return apply(
        (MAX_INDICES if return_indices else MAX)[1], (input,), {"output_size": _goal(1, output_size)}
    )


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest element of each window; the last two dimensions become `output_size`."""
    return apply(
        (MAX_INDICES if return_indices else MAX)[2], (input,), {"output_size": _goal(2, output_size)}
    )


def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """As `adaptive_max_pool2d` over three dimensions."""
    return apply(
        (MAX_INDICES if return_indices else MAX)[3], (input,), {"output_size": _goal(3, output_size)}
    )
