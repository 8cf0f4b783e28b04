"""A tensor with some of its elements replaced or added to, and elements taken by their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine import backend, shapes
from engine.dispatch import apply
from engine.errors import ArgumentError, ArgumentProblem
from engine.located import located
from engine.op import op
from engine.ops.add_at import at, numbered
from engine.ops.arithmetic import div, mul
from engine.ops.gather import GATHER, gather
from engine.ops.indexing import PUT, getitem, part_shape, put_back, raw_index
from engine.ops.layout import broadcast_to, cat, reshape
from engine.ops.nested import nested
from engine.ops.scatter import SCATTER_ADD, SCATTER_LIKE, checked, places, scatter, scatter_add, within

if TYPE_CHECKING:
    from engine.tensor import Tensor

__all__ = [
    "diagonal_scatter", "index_add", "index_copy", "index_fill", "index_put", "masked_scatter", "scatter_reduce",
    "select_scatter", "slice_scatter", "take", "take_along_dim", "unfold_dim",
]  # fmt: skip


def _axis(dim: Any, rank: int) -> int:
    try:
        return shapes.check_dim(dim, rank)
    except ArgumentProblem as problem:
        raise located(problem.error(problem.sentence)) from None


def _put(input: Any, index: Any, value: Any) -> Tensor:
    return apply(PUT, (input, value), {"index": raw_index(index, input)})  # type: ignore[no-any-return]


def _slices(input: Any, dim: int, index: Any) -> tuple[Any, ...]:
    return (*(slice(None),) * _axis(dim, len(input.shape)), index)


def _spread(input: Any, dim: int, index: Any, source: Any) -> Any:
    """A vector of places along `dim` as an index of the shape of `source`."""
    shape = [1] * len(input.shape)
    shape[_axis(dim, len(input.shape))] = -1
    raw = getattr(index, "array", index)
    from engine.tensor import Tensor

    xp = backend.namespace(raw)
    return Tensor(xp.ascontiguousarray(xp.broadcast_to(raw.reshape(shape), source.shape)))


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Tensor:
    """`input` with slice i of `source` (times `alpha`) added to the slice that `index[i]` names along `dim`."""
    source = source if alpha == 1 else mul(source, alpha)
    at = _axis(dim, len(input.shape))
    shape = input.shape
    if len(index.shape) == 1 and tuple(source.shape) == (*shape[:at], index.shape[0], *shape[at + 1 :]):
        place = raw_index(_slices(input, dim, index) if at else index, input)
        return input + put_back(None, source, tuple(shape), place)  # type: ignore[no-any-return]
    return scatter_add(input, dim, _spread(input, dim, index, source), source)


def index_copy(input: Any, dim: int, index: Any, source: Any) -> Tensor:
    """`input` with slice i of `source` in place of the slice that `index[i]` names along `dim`."""
    return scatter(input, dim, _spread(input, dim, index, source), source)


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Tensor:
    """`input` with `value` in the slices that `index` names along `dim`."""
    return _put(input, _slices(input, dim, index), value)


def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Tensor:
    """`input` with `input[indices] = values`; with `accumulate`, `+=`, repeats of an index adding up."""
    place = raw_index(tuple(indices), input)
    if not accumulate:
        return _put(input, place, values)
    part = part_shape(input.shape, place)
    return input + put_back(None, broadcast_to(values, part), input.shape, place)  # type: ignore[no-any-return]


def masked_scatter(input: Any, mask: Any, source: Any) -> Tensor:
    """`input` with the elements of `source`, in order, where `mask` is true."""
    mask = broadcast_to(mask, input.shape)
    count = int(mask.array.sum())
    if source.numel() < count:
        raise located(ValueError(f"source has {source.numel()} elements for the {count} places of mask"))
    return _put(input, mask, getitem(reshape(source, -1), slice(0, count)))


def select_scatter(input: Any, src: Any, dim: int, index: int) -> Tensor:
    """`input` with `src` as slice number `index` along `dim`."""
    return _put(input, _slices(input, dim, index), src)


def slice_scatter(
    input: Any, src: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """`input` with `src` as the slices `start:end:step` along `dim`."""
    return _put(input, _slices(input, dim, slice(start, end, step)), src)


def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """`input` with `src` as its diagonal."""
    rank = len(input.shape)
    a, b = _axis(dim1, rank), _axis(dim2, rank)
    length = src.shape[-1]
    rows = np.arange(length) + max(0, -offset)
    columns = np.arange(length) + max(0, offset)
    order = [d for d in range(rank) if d not in (a, b)]
    turned = input.permute(*order, a, b)
    back = np.argsort([*order, a, b]).tolist()
    return _put(turned, (Ellipsis, rows, columns), src).permute(*back)


def take(input: Any, index: Any) -> Tensor:
    """The elements of the flattened `input` at `index`, in the shape of `index`."""
    return getitem(reshape(input, -1), index)


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Tensor:
    """`gather`, with `input` and `indices` broadcast to each other outside `dim`; without it in the flat input."""
    if dim is None:
        return gather(reshape(input, -1), 0, reshape(indices, -1))
    d = _axis(dim, len(input.shape))
    shape = list(
        np.broadcast_shapes(
            (*input.shape[:d], 1, *input.shape[d + 1 :]), (*indices.shape[:d], 1, *indices.shape[d + 1 :])
        )
    )
    there, here = list(shape), list(shape)
    there[d], here[d] = input.shape[d], indices.shape[d]
    return gather(broadcast_to(input, there), d, broadcast_to(indices, here))


def unfold_dim(input: Any, dimension: int, size: int, step: int) -> Tensor:
    """All windows of `size` along a dimension, `step` apart, as a new last dimension (`Tensor.unfold`).

    Raises `ValueError` for a window larger than the dimension.
    """
    d = _axis(dimension, len(input.shape))
    have = input.shape[d]
    if size > have:
        raise located(
            ArgumentError(f"a window of {size} is larger than dimension {d} of input {list(input.shape)}")
        )
    starts = np.arange(0, have - size + 1, step)
    windows = getitem(input, (*(slice(None),) * d, starts[:, None] + np.arange(size)))
    order = [*range(d + 1), *range(d + 2, windows.ndim), d + 1]
    return windows.permute(*order)


# --- scatter_reduce -----------------------------------------------------------------------------------


def _extreme_vjp(
    xp: Any, g: Any, out: Any, input: Any, index: Any, src: Any, *, dim: int, largest: bool
) -> Any:
    raw = getattr(index, "array", index)
    reached = nested(xp, GATHER, out, raw, dim=dim)
    chosen, kept = (src == reached).astype(g.dtype), (input == out).astype(g.dtype)
    count = nested(xp, SCATTER_ADD, kept, raw, chosen, dim=dim)
    share = g / count
    return share * kept, None, nested(xp, GATHER, share, raw, dim=dim) * chosen


@op(
    "scatter_extreme",
    **{**SCATTER_LIKE, "saves": ("input", "index", "src", "out"), "onnx": ""},
    vjp=_extreme_vjp,
    formula="out[index[...]] = max(out[index[...]], src)",
)
def SCATTER_EXTREME(xp: Any, input: Any, index: Any, src: Any, *, dim: int, largest: bool) -> Any:
    """The largest (or smallest) of an element and all of `src` that `index` sends to it; equal ones share the gradient."""
    out = input.copy()
    checked(xp, index, input.shape[dim], dim)
    # CuPy's own is for a few types only, so the CPU does it for a GPU.
    there = [backend.move(a, "cpu") if backend.is_array(a) else a for a in (out, index, within(src, index))]
    at(np.maximum if largest else np.minimum, there[0], places(np, there[1], dim), there[2])
    return xp.asarray(there[0])


def scatter_reduce(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`input` with all of `src` that `index` sends to a place taken together there.

    `reduce` is "sum", "prod", "mean", "amax" or "amin"; not `include_self`: without the element that was there.
    Raises `ValueError` for another `reduce`.
    """
    known = ("sum", "prod", "mean", "amax", "amin")
    if reduce not in known:
        raise located(ValueError(f"reduce is one of {', '.join(known)}, got {reduce!r}"))
    if tuple(index.shape) != tuple(src.shape):
        src = getitem(src, tuple(slice(0, n) for n in index.shape))
    start = {"sum": 0.0, "mean": 0.0, "prod": 1.0, "amax": float("-inf"), "amin": float("inf")}[reduce]
    base = input
    if not include_self:
        neutral = np.iinfo(input.dtype) if input.dtype.kind in "iu" else None
        if neutral is not None and reduce in ("amax", "amin"):
            start = neutral.min if reduce == "amax" else neutral.max
        base = scatter(input, dim, index, value=start)
    if reduce in ("amax", "amin"):
        return apply(SCATTER_EXTREME, (base, index, src), {"dim": dim, "largest": reduce == "amax"})  # type: ignore[no-any-return]
    if reduce == "prod":
        return _product(base, dim, index, src)
    total = scatter_add(base, dim, index, src)
    if reduce == "sum":
        return total
    ones = np.ones(index.shape, input.dtype)
    count = scatter_add(_like(input, 1 if include_self else 0), dim, index, _constant(input, ones))
    count = count.clamp(min=1)
    return div(total, count) if input.dtype.kind == "f" else total // count


def _like(input: Any, value: int) -> Any:
    return _constant(input, np.full(input.shape, value, input.dtype))


def _constant(like: Any, array: Any) -> Any:
    from engine.tensor import beside

    return beside(like, array)


def _product(base: Any, dim: int, index: Any, src: Any) -> Tensor:
    """Pair after pair of the factors of each place, so that gradients are exact where there are zeros too."""
    raw = backend.move(index.array, "cpu")
    if not base.shape or not raw.size:
        return mul(base, src) if raw.size else base
    alike = raw.ndim == len(base.shape)
    ids = numbered(base.shape, places(np, raw, dim)) if alike else None
    if ids is None:
        return scatter_add(base, dim, index, src)  # which says what is wrong
    order = np.argsort(ids, axis=None, kind="stable")
    ids, factors = ids.reshape(-1)[order], getitem(reshape(src, -1), order)
    one = _constant(base, np.ones(1, base.dtype))
    while True:
        first = np.flatnonzero(np.diff(ids, prepend=-1))
        if len(first) == len(ids):
            break
        turn = np.arange(len(ids)) - np.repeat(first, np.diff(first, append=len(ids)))
        left = np.flatnonzero(turn % 2 == 0)
        after = np.minimum(left + 1, len(ids) - 1)
        right = np.where((after > left) & (ids[after] == ids[left]), after, len(ids))
        factors = mul(getitem(factors, left), getitem(cat([factors, one]), right))
        ids = ids[left]
    whole = apply(PUT, (_like(base, 1), factors), {"index": np.unravel_index(ids, base.shape)})
    return mul(base, whole)
