"""Elements in order, the first few of them, and the order itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine import dtype, shapes
from engine.dispatch import apply
from engine.errors import ArgumentProblem, Shape
from engine.op import op
from engine.ops.gather import SCATTER_ZEROS
from engine.ops.nested import nested
from engine.shapes import check_dim, sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor


class Sorted(NamedTuple):
    """Values in order, and where each was."""

    values: Any
    indices: Any


def order(xp: Any, x: Any, axis: int, descending: bool) -> Any:
    """The indices that sort `x`; equal elements keep their order and NaN counts as largest."""
    if not descending:
        return xp.argsort(x, axis=axis, kind="stable")
    # Reversed twice, so that equal elements keep their order in a descending sort too.
    back = xp.flip(xp.argsort(xp.flip(x, axis), axis=axis, kind="stable"), axis)
    return x.shape[axis] - 1 - back


def _same(x: Any, *, dim: int, descending: bool) -> Any:
    shape = sizes(x)
    check_dim(dim, len(shape))
    return shape, shape


def _two(d: Any, **_: Any) -> Any:
    return d, dtype.int64


def _vjp(xp: Any, g: Any, out: Any, input: Any, *, dim: int, indices: Any, **_: Any) -> Any:
    if input.shape == ():
        return g[0]
    return nested(xp, SCATTER_ZEROS, g[0], index=indices, shape=tuple(input.shape), dim=dim)


ORDERED: dict[str, Any] = {
    "family": "other",
    "dtype": _two,
    "outputs": 2,
    "vjp": _vjp,
    "extras": ("indices",),
    "check": True,
}


@op(
    "sort",
    **ORDERED,
    shape=_same,
    origin=shapes.same_origin,
    formula="input in order along dim, and where each was",
)
def SORT(xp: Any, input: Any, *, dim: int, descending: bool) -> Any:
    """Elements in order along `dim`; equal ones keep theirs, and NaN counts as largest."""
    if input.ndim == 0:
        where = xp.zeros((), np.int64)
        return (input.copy(), where), where
    where = order(xp, input, dim, descending)
    return (xp.take_along_axis(input, where, axis=dim), where), where


def _top_shape(x: Any, *, k: Any, dim: int, largest: bool, sorted: bool) -> Any:
    shape = list(sizes(x))
    d = check_dim(dim, len(shape))
    have = shape[d] if shape else 1
    if isinstance(k, bool) or not isinstance(k, int) or not 0 <= k <= have:
        raise ArgumentProblem(
            ValueError, f"k has to be from 0 to the {have} elements of {{0}} along dim {dim}, got {k!r}"
        )
    if shape:
        shape[d] = k
    return tuple(shape), tuple(shape)


def _top_origin(
    shapes: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    return [] if dim == attrs["dim"] % max(len(out), 1) else [(0, dim)]  # k is the call's own number


@op(
    "topk",
    **ORDERED,
    shape=_top_shape,
    origin=_top_origin,
    onnx="TopK",
    formula="the k largest along dim, and where each was",
)
def TOPK(xp: Any, input: Any, *, k: int, dim: int, largest: bool, sorted: bool) -> Any:
    """The largest (or smallest) elements along `dim`, in order."""
    if input.ndim == 0:
        where = xp.zeros((), np.int64)
        return (input.copy(), where), where
    n = input.shape[dim]
    after = (slice(None),) * (input.ndim - 1 - dim % input.ndim)
    few = 0 < k < n // 8
    if few and xp is np and bool((input == input).all()):  # not where there is NaN
        return _few(xp, input, k, dim, largest)
    index: tuple[Any, ...] = (..., slice(0, k), *after)
    where = xp.ascontiguousarray(order(xp, input, dim, largest)[index])
    return (xp.take_along_axis(input, where, axis=dim), where), where


def _few(xp: Any, x: Any, k: int, dim: int, largest: bool) -> Any:
    """As `TOPK` where few of many are wanted: only these are sorted."""
    part = xp.argpartition(x, -k if largest else k - 1, axis=dim)
    chosen = xp.take(part, range(x.shape[dim] - k, x.shape[dim]) if largest else range(k), axis=dim)
    # By position first: of equal elements the earlier one comes first.
    chosen = xp.sort(chosen, axis=dim)
    inner = order(xp, xp.take_along_axis(x, chosen, axis=dim), dim, largest)
    where = xp.take_along_axis(chosen, inner, axis=dim)
    return (xp.take_along_axis(x, where, axis=dim), where), where


def _index_dtype(d: Any, **_: Any) -> Any:
    return dtype.int64


def _one(x: Any, *, dim: int, descending: bool) -> Shape:
    return _same(x, dim=dim, descending=descending)[0]  # type: ignore[no-any-return]


@op(
    "argsort", family="other", shape=_one, dtype=_index_dtype, origin=shapes.same_origin, check=True,
    formula="where the elements in order are",
)  # fmt: skip
def ARGSORT(xp: Any, input: Any, *, dim: int, descending: bool) -> Any:
    """The indices that sort along `dim`."""
    return order(xp, input, dim, descending) if input.ndim else xp.zeros((), np.int64)


def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Sorted:
    """(values, indices) in order along `dim`; always stable. NaN counts as largest."""
    return Sorted(*apply(SORT, (input,), {"dim": dim, "descending": descending}))


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort along `dim`. Always stable."""
    return apply(ARGSORT, (input,), {"dim": dim, "descending": descending})  # type: ignore[no-any-return]


def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Sorted:
    """(values, indices) of the `k` largest (or smallest) elements along `dim`, always in order.

    Raises `ValueError` when there are fewer than `k`.
    """
    return Sorted(*apply(TOPK, (input,), {"k": k, "dim": dim, "largest": largest, "sorted": sorted}))
