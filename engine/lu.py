"""Triangular factors with rows exchanged, and other ways to say the solution of linear equations."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from engine import dtype
from engine.dispatch import apply
from engine.linalg import INV, _constant, _square, _t, cholesky, inv, solve, solve_triangular
from engine.located import located
from engine.op import op
from engine.ops.arithmetic import pow
from engine.ops.assemble import adjoint
from engine.ops.diagonal import diagonal as _diagonal
from engine.ops.diagonal import tril, triu
from engine.ops.gather import gather
from engine.ops.layout import reshape, transpose, unsqueeze
from engine.ops.linear import matmul
from engine.ops.nested import nested
from engine.tensor import Tensor, beside, tensor

__all__ = [
    "cholesky_ex", "cholesky_inverse", "cholesky_solve", "diagonal", "inv_ex", "lu", "lu_factor", "lu_factor_ex",
    "lu_solve", "lu_unpack", "solve_ex", "tensorinv", "tensorsolve", "vander",
]  # fmt: skip


def _factored(a: Any) -> tuple[Any, Any]:
    """L (below its diagonal of ones) and U in one, of rows that are in order."""
    made = np.array(a, copy=True)
    for k in range(made.shape[-1] - 1):
        made[..., k + 1 :, k] /= made[..., k, k][..., None]
        made[..., k + 1 :, k + 1 :] -= made[..., k + 1 :, k, None] * made[..., None, k, k + 1 :]
    return np.tril(made, -1) + np.eye(made.shape[-1], dtype=made.dtype), np.triu(made)


def _exchanged(a: Any) -> Any:
    """Which rows LAPACK exchanges, one after another: of each step the largest below. Whole numbers from 0."""
    made = np.array(a, np.float64 if a.dtype != np.float32 else np.float32, copy=True)
    flat = made.reshape(-1, *made.shape[-2:])
    n = made.shape[-1]
    pivots = np.empty((len(flat), n), np.int64)
    rows = np.arange(len(flat))
    for k in range(n):
        at = k + np.abs(flat[:, k:, k]).argmax(-1)
        pivots[:, k] = at
        flat[rows, k], flat[rows, at] = flat[rows, at].copy(), flat[rows, k].copy()
        top = flat[:, k, k][:, None]
        factor = flat[:, k + 1 :, k] / np.where(top == 0, 1, top)
        flat[:, k + 1 :, k + 1 :] -= factor[..., None] * flat[:, None, k, k + 1 :]
    return pivots.reshape(*made.shape[:-2], n)


def _order(pivots: Any) -> Any:
    """The order of rows that exchanges lead to."""
    n = pivots.shape[-1]
    flat = pivots.reshape(-1, n)
    order = np.tile(np.arange(n), (len(flat), 1))
    rows = np.arange(len(flat))
    for k in range(n):
        at = flat[:, k]
        order[rows, k], order[rows, at] = order[rows, at].copy(), order[rows, k].copy()
    return order.reshape(pivots.shape)


def _lu_vjp(xp: Any, g: Any, out: Any, input: Any, *, lower: Any, upper: Any) -> Any:
    to_l, to_u = g
    if hasattr(to_l if to_l is not None else to_u, "node"):
        L, U = apply(LU, (input,))
    else:
        L, U = lower, upper
    n = L.shape[-1]
    inside: Any = None
    if to_l is not None:
        below = _t(xp, L) @ to_l
        inside = below * _constant(xp, np.tril(np.ones((n, n)), -1), below)
    if to_u is not None:
        above = to_u @ _t(xp, U)
        above = above * _constant(xp, np.triu(np.ones((n, n))), above)
        inside = above if inside is None else inside + above
    return _t(xp, nested(xp, INV, L)) @ inside @ _t(xp, nested(xp, INV, U))


def _twice(a: Any) -> Any:
    shape = _square(a)
    return shape, shape


def _both_floating(d: Any, **_: Any) -> Any:
    kind = dtype.floating(d)
    return kind, kind


@op(
    "lu", family="linear", shape=_twice, dtype=_both_floating, outputs=2, extras=("lower", "upper"), vjp=_lu_vjp,
    saves=("input",), check=True, formula="L, U with input = L U, L of diagonal 1",
)  # fmt: skip
def LU(xp: Any, input: Any) -> Any:
    """Triangular factors of square matrices, rows in order."""
    if xp is np:
        with np.errstate(all="ignore"):  # a singular matrix gives nan
            lower, upper = _factored(input)
    else:
        lower, upper = (xp.asarray(part) for part in _factored(input.get()))
    return (lower, upper), lower, upper


class Factored(NamedTuple):
    """What `lu` gives: A = P L U."""

    P: Any
    L: Any
    U: Any


class Packed(NamedTuple):
    """What `lu_factor` gives: L below the diagonal and U from it on, and which rows were exchanged, counted from 1."""

    LU: Any
    pivots: Any


class PackedInfo(NamedTuple):
    """What `lu_factor_ex` gives."""

    LU: Any
    pivots: Any
    info: Any


class Checked(NamedTuple):
    """What `inv_ex` and `solve_ex` give: `info` is 0 where there is a solution."""

    result: Any
    info: Any


def _parts(A: Any, name: str) -> tuple[Any, Any, Any]:
    if len(A.shape) < 2 or A.shape[-1] != A.shape[-2]:
        raise located(RuntimeError(f"{name} needs square matrices, got {list(A.shape)}"))
    pivots = _exchanged(np.asarray(A.detach().cpu().array))
    order = beside(A, _order(pivots))
    moved = gather(A, -2, unsqueeze(order, -1).expand(*A.shape))
    lower, upper = apply(LU, (moved,))
    return pivots, lower, upper


def _permutation(pivots: Any, like: Any) -> Any:
    n = pivots.shape[-1]
    return beside(like, np.swapaxes(np.eye(n)[_order(pivots)], -1, -2).astype(like.dtype))


def lu(A: Any, *, pivot: bool = True) -> Factored:
    """P, L, U with `A = P L U`: P exchanges rows, L is lower triangular with ones, U upper. For square `A`.

    Raises `RuntimeError` for other matrices, and for `pivot=False`.

    >>> import engine as ds
    >>> ds.linalg.lu(ds.tensor([[0.0, 2.0], [1.0, 3.0]])).U.tolist()
    [[1.0, 3.0], [0.0, 2.0]]
    """
    if not pivot:
        raise located(RuntimeError("lu: pivot=False is not there; rows are exchanged"))
    pivots, lower, upper = _parts(A, "lu")
    return Factored(_permutation(pivots, A), lower, upper)


def lu_factor(A: Any, *, pivot: bool = True) -> Packed:
    """The factors of `lu` in one matrix, and the exchanged rows as LAPACK counts them."""
    if not pivot:
        raise located(RuntimeError("lu_factor: pivot=False is not there; rows are exchanged"))
    pivots, lower, upper = _parts(A, "lu_factor")
    return Packed(tril(lower, -1) + upper, beside(A, (pivots + 1).astype(np.int32)))


def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False) -> PackedInfo:
    """As `lu_factor`, with 0 for each matrix that has an inverse, else the place of the first 0 in U's diagonal."""
    found = lu_factor(A, pivot=pivot)
    corner = np.asarray(_diagonal(found.LU.detach(), 0, -2, -1).cpu().array)
    zero = ~(np.abs(corner) > 0)
    info = np.where(zero.any(-1), zero.argmax(-1) + 1, 0).astype(np.int32)
    if check_errors and info.any():
        raise located(RuntimeError("lu_factor: a matrix is singular"))
    return PackedInfo(*found, beside(A, info))


def lu_unpack(LU_data: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True) -> Factored:
    """P, L and U of what `lu_factor` gave."""
    pivots = np.asarray(LU_pivots.detach().cpu().array).astype(np.int64) - 1
    eye = beside(LU_data, np.eye(LU_data.shape[-1], dtype=LU_data.dtype))
    return Factored(_permutation(pivots, LU_data), tril(LU_data, -1) + eye, triu(LU_data))


def lu_solve(LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """X with `A X = B` (`X A = B` unless `left`), of the factors that `lu_factor` gave of A (of Aᵀ if `adjoint`)."""
    P, lower, upper = lu_unpack(LU, pivots)
    A = matmul(P, matmul(lower, upper))
    return solve(transpose(A, -1, -2) if adjoint else A, B, left=left)


def inv_ex(A: Any, *, check_errors: bool = False) -> Checked:
    """The inverse, and 0; where there is none `info` is 1, or with `check_errors` a `RuntimeError`."""
    return _told(A, lambda: inv(A), check_errors)


def solve_ex(A: Any, B: Any, *, left: bool = True, check_errors: bool = False) -> Checked:
    """X with `A X = B`, and 0; where there is none `info` is 1, or with `check_errors` a `RuntimeError`."""
    return _told(A, lambda: solve(A, B, left=left), check_errors)


def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False) -> Checked:
    """The Cholesky factor, and 0; where there is none `info` is 1, or with `check_errors` a `RuntimeError`."""
    return _told(A, lambda: cholesky(A, upper=upper), check_errors)


def _told(A: Any, compute: Any, check_errors: bool) -> Checked:
    batch = tuple(A.shape[:-2])
    try:
        return Checked(compute(), beside(A, np.zeros(batch, np.int32)))
    except RuntimeError:
        if check_errors:
            raise
        return Checked(beside(A, np.full(A.shape, np.nan, A.dtype)), beside(A, np.ones(batch, np.int32)))


def cholesky_solve(B: Any, L: Any, upper: bool = False) -> Tensor:
    """X with `L Lᵀ X = B` (`Lᵀ L X = B` if `upper`)."""
    low = adjoint(L) if upper else L
    return solve_triangular(adjoint(low), solve_triangular(low, B, upper=False), upper=True)


def cholesky_inverse(L: Any, upper: bool = False) -> Tensor:
    """The inverse of `L Lᵀ` (`Lᵀ L` if `upper`)."""
    return cholesky_solve(beside(L, np.eye(L.shape[-1], dtype=L.dtype)), L, upper)


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices."""
    return _diagonal(A, offset, dim1, dim2)


def vander(x: Any, N: int | None = None) -> Tensor:
    """The powers 0 to N - 1 of each number, as rows.

    >>> import engine as ds
    >>> ds.linalg.vander(ds.tensor([2.0, 3.0]), N=3).tolist()
    [[1.0, 2.0, 4.0], [1.0, 3.0, 9.0]]
    """
    count = x.shape[-1] if N is None else N
    if count < 0:
        raise located(RuntimeError(f"vander: N has to be 0 or more, got {N}"))
    powers = tensor(np.arange(count), dtype=x.dtype, device=x.device)
    return pow(unsqueeze(x, -1), powers)


def tensorinv(A: Any, ind: int = 2) -> Tensor:
    """The inverse of `tensordot(A, X, ind)`: A's first `ind` dimensions are as many elements as the others."""
    first, last = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    if ind <= 0 or math.prod(first) != math.prod(last):
        raise located(
            RuntimeError(
                f"tensorinv: dimensions {list(first)} and {list(last)} have to have as many elements, ind above 0"
            )
        )
    return reshape(inv(reshape(A, math.prod(first), -1)), *last, *first)


def tensorsolve(A: Any, B: Any, dims: Any = None) -> Tensor:
    """X with `tensordot(A, X, X.ndim) = B`; `dims` of A are moved to its end first."""
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(-len(dims), 0)))
    shape = tuple(A.shape[len(B.shape) :])
    if math.prod(shape) != math.prod(B.shape):
        raise located(
            RuntimeError(
                f"tensorsolve: A {list(A.shape)} has to have as many elements as B {list(B.shape)}, squared"
            )
        )
    return reshape(solve(reshape(A, -1, math.prod(shape)), reshape(B, -1)), *shape)
