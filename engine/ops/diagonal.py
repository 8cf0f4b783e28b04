"""Diagonals and triangles of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype, shapes
from engine.dispatch import apply
from engine.errors import ArgumentProblem, Shape, ShapeClash
from engine.located import located
from engine.op import LINEAR, op
from engine.ops.nested import nested
from engine.shapes import check_dim, sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor


def two_dims(rank: int, dim1: int, dim2: int) -> tuple[int, int]:
    """Both dims counted from the front. Raises `ArgumentProblem` when they are the same."""
    first, second = check_dim(dim1, rank, "dim1"), check_dim(dim2, rank, "dim2")
    if first == second:
        raise ArgumentProblem(ValueError, f"dim1 and dim2 have to differ, got {dim1} and {dim2}")
    return first, second


def length(rows: int, columns: int, offset: int) -> int:
    """How long a diagonal is."""
    return max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))


def _diagonal_shape(x: Any, *, offset: int, dim1: int, dim2: int) -> Shape:
    x = sizes(x)
    a, b = two_dims(len(x), dim1, dim2)
    return (*(n for i, n in enumerate(x) if i not in (a, b)), length(x[a], x[b], offset))


def _diagonal_origin(
    shapes: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    x = sizes(shapes[0])
    a, b = two_dims(len(x), attrs["dim1"], attrs["dim2"])
    if dim == len(out) - 1:
        return [(0, a), (0, b)]
    return [(0, [i for i in range(len(x)) if i not in (a, b)][dim])]


def _diagonal_vjp(xp: Any, g: Any, out: Any, input: Any, *, offset: int, dim1: int, dim2: int) -> Any:
    return nested(xp, DIAGONAL_ZEROS, g, shape=tuple(input.shape), offset=offset, dim1=dim1, dim2=dim2)


@op(
    "diagonal",
    complex=LINEAR,
    family="shape",
    shape=_diagonal_shape,
    dtype=dtype.first,
    origin=_diagonal_origin,
    vjp=_diagonal_vjp,
    check=True,
    view=True,
    formula="out[..., i] = input[..., i, i + offset]",
)
def DIAGONAL(xp: Any, input: Any, *, offset: int, dim1: int, dim2: int) -> Any:
    """The diagonal of two dimensions, as the last dimension; a view."""
    line = xp.diagonal(input, offset, dim1, dim2)
    if xp is np and input.flags.writeable:
        line.flags.writeable = True  # NumPy hands it out locked
    return line


def _zeros_shape(x: Any, *, shape: Shape, offset: int, dim1: int, dim2: int) -> Shape:
    return shape


def _zeros_vjp(
    xp: Any, g: Any, out: Any, input: Any, *, shape: Shape, offset: int, dim1: int, dim2: int
) -> Any:
    return nested(xp, DIAGONAL, g, offset=offset, dim1=dim1, dim2=dim2)


@op(
    "diagonal_zeros",
    complex=LINEAR,
    family="shape",
    shape=_zeros_shape,
    dtype=dtype.first,
    vjp=_zeros_vjp,
    formula="out[..., i, i + offset] = input[..., i], 0 elsewhere",
)
def DIAGONAL_ZEROS(xp: Any, input: Any, *, shape: Shape, offset: int, dim1: int, dim2: int) -> Any:
    """Zeros with a diagonal: the transpose of `diagonal`."""
    out = xp.zeros(shape, input.dtype)
    a, b = two_dims(len(shape), dim1, dim2)
    moved = xp.moveaxis(out, (a, b), (-2, -1))
    i = xp.arange(input.shape[-1])
    moved[..., i - min(offset, 0), i + max(offset, 0)] = input
    return out


# --- triangles ------------------------------------------------------------------------------------------


def _matrix(x: Any, *, diagonal: int) -> Shape:
    shape = sizes(x)
    if len(shape) < 2:
        raise ShapeClash(
            ["n", "m"], 0, [], f"{{op}} needs {{0}} with at least 2 dimensions, {{0}} has {len(shape)}."
        )
    return shape


TRIANGLE: dict[str, Any] = {
    "family": "shape",
    "shape": _matrix,
    "dtype": dtype.first,
    "origin": shapes.same_origin,
    "check": True,
    "onnx": "Trilu",
}


def _tril_vjp(xp: Any, g: Any, out: Any, input: Any, *, diagonal: int) -> Any:
    return nested(xp, TRIL, g, diagonal=diagonal)


@op(
    "tril",
    complex=LINEAR,
    **TRIANGLE,
    vjp=_tril_vjp,
    formula="input[..., i, j] where j ≤ i + diagonal, else 0",
)
def TRIL(xp: Any, input: Any, *, diagonal: int) -> Any:
    """The part on and below a diagonal; 0 above it."""
    return xp.tril(input, diagonal)


def _triu_vjp(xp: Any, g: Any, out: Any, input: Any, *, diagonal: int) -> Any:
    return nested(xp, TRIU, g, diagonal=diagonal)


@op(
    "triu",
    complex=LINEAR,
    **TRIANGLE,
    vjp=_triu_vjp,
    formula="input[..., i, j] where j ≥ i + diagonal, else 0",
)
def TRIU(xp: Any, input: Any, *, diagonal: int) -> Any:
    """The part on and above a diagonal; 0 below it."""
    return xp.triu(input, diagonal)


# --- the functions people call ---------------------------------------------------------------------------


def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of dimensions `dim1` and `dim2` as a new last dimension; `offset` above (or below, if
    negative).
    """
    attrs = {"offset": offset, "dim1": dim1, "dim2": dim2}
    return apply(DIAGONAL, (input,), attrs)  # type: ignore[no-any-return]


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Square matrices of zeros with the last dimension of `input` as their diagonal."""
    *lead, n = input.shape
    a, b = sorted(two_dims(len(lead) + 2, dim1, dim2))
    shape = list(lead)
    shape.insert(a, n + abs(offset))
    shape.insert(b, n + abs(offset))
    attrs = {"shape": tuple(shape), "offset": offset, "dim1": dim1, "dim2": dim2}
    return apply(DIAGONAL_ZEROS, (input,), attrs)  # type: ignore[no-any-return]


def diag(input: Any, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix of zeros with a vector as its diagonal.

    Raises `ValueError` for anything but one or two dimensions.
    """
    if len(input.shape) == 1:
        return diag_embed(input, diagonal)
    if len(input.shape) != 2:
        raise located(ValueError(f"diag needs a vector or a matrix, got {len(input.shape)} dimensions"))
    attrs = {"offset": diagonal, "dim1": 0, "dim2": 1}
    return apply(DIAGONAL, (input,), attrs)  # type: ignore[no-any-return]


def tril(input: Any, diagonal: int = 0) -> Tensor:
    """The lower triangle of the last two dimensions, `diagonal` above the main one included."""
    return apply(TRIL, (input,), {"diagonal": diagonal})  # type: ignore[no-any-return]


def triu(input: Any, diagonal: int = 0) -> Tensor:
    """The upper triangle of the last two dimensions, from `diagonal` above the main one."""
    return apply(TRIU, (input,), {"diagonal": diagonal})  # type: ignore[no-any-return]
