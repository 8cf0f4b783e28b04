"""The k-th of elements in order, and the middle one, found without putting all of them in order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from engine import dtype
from engine.dispatch import apply
from engine.errors import ArgumentProblem, Shape
from engine.located import located
from engine.op import op
from engine.ops.gather import SCATTER_ZEROS
from engine.ops.indexing import put_back
from engine.ops.layout import reshape
from engine.ops.nested import nested, on_gpu
from engine.ops.sort import order
from engine.shapes import check_dim, sizes

__all__ = ["kthvalue", "median", "nanmedian"]

# What is asked for beside the k-th: the middle, NaN where there is one; and the middle of what is not NaN.
MIDDLE, MIDDLE_OF_NUMBERS = -1, -2
# Elements up to which all are put in order.
FEW = 256


class Pair(NamedTuple):
    """Values and where each was."""

    values: Any
    indices: Any


def dimension(dim: Any, rank: int) -> int:
    """`dim` counted from the front. Raises `IndexError` where there is none such."""
    try:
        return check_dim(dim, rank)
    except ArgumentProblem as problem:
        raise located(problem.error(problem.sentence)) from None


def _shapes(input: Any, *, k: int, dim: int, even: bool) -> Any:
    shape = list(sizes(input))
    if shape:
        d = check_dim(dim, len(shape))
        if not shape[d] and 0 not in shape[:d] + shape[d + 1 :]:
            raise ArgumentProblem(IndexError, f"{{0}} has nothing along dim {d} to be in order", 0)
        shape[d] = 1
    return tuple(shape), tuple(shape)


def _dtypes(input: Any, **_: Any) -> Any:
    return input, dtype.int64


def _origin(
    shapes: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    return [] if dim == attrs["dim"] % max(len(out), 1) else [(0, dim)]


def _vjp(xp: Any, g: Any, out: Any, input: Any, *, k: int, dim: int, even: bool, indices: Any) -> Any:
    g, shape = g[0], tuple(input.shape)
    if not shape:
        return g
    if even:
        count = int(indices.sum()) if indices.dtype == np.bool_ else len(indices)
        return put_back(xp, g[np.zeros(count, np.int64)] * (1 / count), shape, indices)
    return nested(xp, SCATTER_ZEROS, g, index=indices, shape=shape, dim=dim)


@op(
    "kthvalue", family="other", shape=_shapes, dtype=_dtypes, origin=_origin, outputs=2, vjp=_vjp,
    extras=("indices",), check=True, formula="the k-th smallest of input along dim, and where it was",
)  # fmt: skip
def KTHVALUE(xp: Any, input: Any, *, k: int, dim: int, even: bool) -> Any:
    """The `k`-th smallest along `dim`, the earlier of equal ones first; NaN counts as largest.

    `k` -1 is the lower middle, NaN where there is one, and -2 the lower middle of what is not NaN. The gradient of a
    vector's goes to all equal ones alike where it is to be `even`.
    """
    if not input.ndim:
        where = xp.zeros((), np.int64)
        return (input.copy(), where), where
    rows = xp.moveaxis(input, dim, -1)
    flat = rows.reshape(-1, rows.shape[-1])
    few = on_gpu(xp) or flat.size <= FEW
    at = (_by_order if few else _by_parts)(xp, flat, k)
    values, where = (
        xp.expand_dims(found.reshape(rows.shape[:-1]), dim) for found in (flat[xp.arange(len(flat)), at], at)
    )
    if not even:
        return (values, where), where
    alike = (input == values) | ((input != input) & (values != values))
    # A few places by their numbers, many by a truth value each.
    return (values, where), xp.flatnonzero(alike) if int(alike.sum()) < len(alike) // 8 else alike


def _ranks(xp: Any, rows: Any, k: int) -> Any:
    """Which element in order is asked for, counted from 0: one number, or one for each row."""
    size = rows.shape[-1]
    if k > 0:
        return k - 1
    if rows.dtype.kind != "f":
        return (size - 1) // 2
    holes = (rows != rows).sum(-1)
    if not holes.any():
        return (size - 1) // 2
    if k == MIDDLE_OF_NUMBERS:
        return xp.maximum(size - holes - 1, 0) // 2
    # The first NaN of all: they are the last in order.
    return xp.where(holes > 0, size - holes, (size - 1) // 2)


def _by_order(xp: Any, rows: Any, k: int) -> Any:
    ranks = _ranks(xp, rows, k)
    ordered = order(xp, rows, -1, False)
    if isinstance(ranks, int):
        return ordered[..., ranks]
    return xp.take_along_axis(ordered, ranks[..., None], axis=-1)[..., 0]


def _by_parts(xp: Any, rows: Any, k: int) -> Any:
    """Where the elements asked for are: the value first, for which the others need not be in order, then its place."""
    size = rows.shape[-1]
    rows = np.ascontiguousarray(rows)
    if k == MIDDLE and rows.dtype.kind == "f":
        holes = rows != rows
        bad = holes.any(-1)
        if bad.any():
            found = holes.argmax(-1)
            if not bad.all():
                found[~bad] = _by_parts(xp, rows[~bad], MIDDLE_OF_NUMBERS)
            return found
        k = (size + 1) // 2
    ranks = _ranks(np, rows, k)
    if isinstance(ranks, int):
        values = np.partition(rows, ranks, axis=-1)[:, ranks, None]
    else:  # one rank a row
        values = np.take_along_axis(np.sort(rows, axis=-1), ranks[:, None], axis=-1)
    hit, below = rows == values, rows < values
    none = np.flatnonzero(values != values)  # NaN equals nothing, and everything else is below
    if none.size:
        hit[none] = rows[none] != rows[none]
        below[none] = ~hit[none]
    later = ranks - below.sum(-1, dtype=np.int64)  # of so many equal ones it comes after
    found = hit.argmax(-1)
    for row in np.flatnonzero(later):
        found[row] = np.flatnonzero(hit[row])[later[row]]
    return found


def _taken(input: Any, k: int, d: int, keepdim: bool) -> Pair:
    values, indices = apply(KTHVALUE, (input,), {"k": k, "dim": d, "even": False})
    if keepdim or not input.shape:
        return Pair(values, indices)
    return Pair(values.squeeze(d), indices.squeeze(d))


def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Pair:
    """(value, index) of the `k`-th smallest element along `dim`, counted from 1.

    Raises `ValueError` when there are fewer than `k`.
    """
    d = dimension(dim, len(input.shape))
    have = input.shape[d] if input.shape else 1
    if not 1 <= k <= have:
        raise located(ValueError(f"k has to be from 1 to the {have} elements along dimension {d}, got {k}"))
    return _taken(input, k, d, keepdim)


def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle value (the lower of two), nan if there is one: of all elements, or (value, index) along `dim`."""
    return _middle(input, MIDDLE, dim, keepdim)


def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` of what is not nan."""
    return _middle(input, MIDDLE_OF_NUMBERS, dim, keepdim)


def _middle(input: Any, k: int, dim: int | None, keepdim: bool) -> Any:
    if dim is not None:
        return _taken(input, k, dimension(dim, len(input.shape)), keepdim)
    flat = reshape(input, -1)
    if not flat.shape[0]:
        return flat.sum() * math.nan if input.dtype.kind == "f" else flat.amax()
    return apply(KTHVALUE, (flat,), {"k": k, "dim": 0, "even": True})[0].squeeze(0)
