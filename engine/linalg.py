"""Linear algebra on matrices and batches of them, read as `ds.linalg`. Gradients of any order.

The rules are those of Giles 2008, "Collected matrix derivative results for forward and reverse mode AD".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from engine import complexes, dtype, shapes
from engine.backend import move
from engine.dispatch import apply
from engine.errors import ArgumentProblem, LinAlgError, Shape, ShapeClash, shape_text
from engine.located import located
from engine.op import HOLOMORPHIC, LINEAR, op
from engine.ops import reduction
from engine.ops.arithmetic import abs, div, mul
from engine.ops.assemble import adjoint
from engine.ops.blend import cross, matrix_power
from engine.ops.complex import conj, real
from engine.ops.diagonal import tril, triu
from engine.ops.layout import transpose, unsqueeze
from engine.ops.length import norm as vector_norm_of
from engine.ops.linear import matmul
from engine.ops.matrix_exp import matrix_exp
from engine.ops.nested import nested
from engine.shapes import sizes
from engine.tensor import Tensor, beside

__all__ = [
    "LinAlgError", "cholesky", "cond", "cross", "det", "eig", "eigh", "eigvals", "eigvalsh", "inv", "lstsq", "matrix_exp", "matrix_norm", "matrix_power",
    "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd", "svdvals",
    "vecdot", "vector_norm",
]  # fmt: skip


def _square(a: Any, **_: Any) -> Shape:
    shape = sizes(a)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ShapeClash(
            ["...", "n", "n"], 0, [(0, len(shape) - 2), (0, len(shape) - 1)] if len(shape) > 1 else [],
            f"{{op}} needs square matrices, {{0}} is {shape_text(shape)}.",
        )  # fmt: skip
    return shape


def _numbers(xp: Any, function: Any, *arrays: Any, **more: Any) -> Any:
    """NumPy's routines know float32 and float64: float16 is computed as float32."""
    kind = arrays[0].dtype
    if kind == np.float16:
        made = function(*[a.astype(np.float32) for a in arrays], **more)
        return tuple(m.astype(kind) for m in made) if isinstance(made, tuple) else made.astype(kind)
    return function(*arrays, **more)


def _singular(error: Exception, what: str) -> ArgumentProblem:
    return ArgumentProblem(LinAlgError, f"{{0}} {what} ({error})", 0)


def _t(xp: Any, x: Any) -> Any:
    return xp.swapaxes(x, -1, -2)


def _h(xp: Any, x: Any) -> Any:
    """The transpose, complex numbers conjugated."""
    turned = _t(xp, x)
    return xp.conj(turned) if x.dtype.kind == "c" else turned


MATRIX: dict[str, Any] = {
    "family": "linear",
    "shape": _square,
    "dtype": dtype.floating,
    "origin": shapes.same_origin,
    "check": True,
}


def _inv_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    back = _t(xp, out)
    return -(back @ g @ back)


@op("inv", complex=HOLOMORPHIC, **MATRIX, formula="input⁻¹", vjp=_inv_vjp, saves=("out",))
def INV(xp: Any, input: Any) -> Any:
    """Inverse of square matrices."""
    try:
        return _numbers(xp, xp.linalg.inv, input)
    except np.linalg.LinAlgError as error:
        raise _singular(error, "has no inverse") from None


def _solve_shape(a: Any, b: Any) -> Shape:
    first, second = _square(a), sizes(b)
    if len(second) < 2 or second[-2] != first[-1]:
        raise ShapeClash(
            [*second[:-2], first[-1], second[-1] if len(second) > 1 else "k"], 1,
            [(0, len(first) - 1), (1, max(len(second) - 2, 0))] if second else [],
            f"{{0}} has {first[-1]} equations, {{1}} is {shape_text(second)}.",
        )  # fmt: skip
    return (*shapes.broadcast(first[:-2], second[:-2]), *second[-2:])


def _solve_vjp(xp: Any, g: Any, out: Any, A: Any, B: Any) -> Any:
    to_b = nested(xp, SOLVE, _t(xp, A), g)
    return -(to_b @ _t(xp, out)), to_b


@op(
    "solve", complex=HOLOMORPHIC, **{**MATRIX, "shape": _solve_shape, "origin": None, "dtype": dtype.floating},
    formula="X with A X = B", vjp=_solve_vjp, saves=("A", "out"),
)  # fmt: skip
def SOLVE(xp: Any, A: Any, B: Any) -> Any:
    """Solutions of linear equations with square matrices."""
    try:
        return _numbers(xp, xp.linalg.solve, A, B.astype(A.dtype, copy=False))
    except np.linalg.LinAlgError as error:
        raise _singular(error, "has no inverse") from None


def _number(a: Any) -> Shape:
    return _square(a)[:-2]


def _det_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    if xp is np and _flat(input, out):
        return np.asarray(g)[..., None, None] * _cofactors(input)
    both = xp.expand_dims(xp.expand_dims(g * out, -1), -1)
    return both * _t(xp, nested(xp, INV, input))


def _flat(a: Any, volume: Any) -> bool:
    """Whether one of some small matrices spans next to nothing of what its rows could, so that its inverse has no digits."""
    n = a.shape[-1]
    if n > 64 or not np.isfinite(volume).all():
        return False
    most = np.sqrt(np.square(np.abs(a)).sum(-1)).prod(-1)
    return bool((np.abs(volume) <= most * (16 * n * np.finfo(a.dtype).eps)).any())


def _cofactors(a: Any) -> Any:
    """The gradient of the determinant of any square matrices, singular ones too: det(A) A⁻ᵀ by way of U S V."""
    u, values, v = _numbers(np, np.linalg.svd, a)
    n = a.shape[-1]
    others = np.where(np.eye(n, dtype=bool), 1, values[..., None, :]).prod(-1)
    turned = (_numbers(np, np.linalg.det, u) * _numbers(np, np.linalg.det, v))[..., None, None]
    return turned * ((u.conj() * others[..., None, :]) @ v.conj())


@op(
    "det",
    complex=HOLOMORPHIC,
    **{**MATRIX, "shape": _number, "origin": None},
    formula="det input",
    vjp=_det_vjp,
    saves=("input", "out"),
)
def DET(xp: Any, input: Any) -> Any:
    """Determinant of square matrices; its gradient needs an inverse."""
    return xp.asarray(_numbers(xp, xp.linalg.det, input))


def _two_numbers(a: Any) -> Any:
    return _number(a), _number(a)


def _two_kinds(a: Any) -> Any:
    return dtype.floating(a), dtype.real_of(dtype.floating(a))


def _log_det_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return xp.expand_dims(xp.expand_dims(g[1], -1), -1) * _t(xp, nested(xp, INV, input))


def _complex_log_det_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    # Of a change dA the logarithm of the determinant changes by tr(A⁻¹ dA): its real part, and the angle of the sign.
    along = g[1]
    if g[0] is not None:
        turned = xp.imag(xp.conj(g[0]) * nested(xp, SLOGDET, input)[0]) * -1j
        along = turned if along is None else along + turned
    return xp.expand_dims(xp.expand_dims(along, -1), -1) * _h(xp, nested(xp, INV, input))


@op(
    "slogdet",
    complex=_complex_log_det_vjp,
    **{**MATRIX, "shape": _two_numbers, "dtype": _two_kinds, "origin": None},
    outputs=2,
    formula="sign det input, ln |det input|",
    vjp=_log_det_vjp,
    saves=("input",),
)
def SLOGDET(xp: Any, input: Any) -> Any:
    """Sign of the determinant and logarithm of its absolute value, which do not overflow; the gradient needs an inverse."""
    return tuple(xp.asarray(part) for part in _numbers(xp, _plainly(xp.linalg.slogdet), input))


def _plainly(function: Any) -> Any:
    """A result with names as a plain tuple."""
    return lambda a: tuple(function(a))


def _phi(xp: Any, x: Any) -> Any:
    """The lower triangle with half of the diagonal."""
    n = x.shape[-1]
    mask = np.tril(np.ones((n, n))) - np.eye(n) / 2
    return x * _constant(xp, mask, x)


def _constant(xp: Any, array: Any, like: Any) -> Any:
    array = array.astype(like.dtype)
    if hasattr(like, "node"):
        return beside(like, array)
    return xp.asarray(array)


def _cholesky_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    low = _h(xp, nested(xp, INV, out))
    inside = _phi(xp, _h(xp, out) @ g)
    made = low @ inside @ _h(xp, low)
    return (made + _h(xp, made)) * 0.5


@op("cholesky", complex=LINEAR, **MATRIX, formula="L with L Lᴴ = input", vjp=_cholesky_vjp, saves=("out",))
def CHOLESKY(xp: Any, input: Any) -> Any:
    """Lower triangular factor of symmetric positive matrices."""
    try:
        return _numbers(xp, xp.linalg.cholesky, input)
    except np.linalg.LinAlgError as error:
        raise _singular(error, "is not positive definite") from None


def _eigh_shape(a: Any) -> Any:
    shape = _square(a)
    return shape[:-1], shape


def _eigh_dtypes(d: Any, **_: Any) -> Any:
    return dtype.real_of(d), d


def _eigh_vjp(xp: Any, g: Any, out: Any, input: Any, *, values: Any, vectors: Any) -> Any:
    if not hasattr(g[0] if g[0] is not None else g[1], "node"):
        L, V = values, vectors
    else:
        L, V = apply(EIGH, (input,))
    n = values.shape[-1]
    to_values, to_vectors = g
    inside: Any = None
    if to_vectors is not None:
        eye = _constant(xp, np.eye(n), to_vectors)
        apart = xp.expand_dims(L, -2) - xp.expand_dims(L, -1)
        # Vectors of one eigenvalue turn into one another freely: what depends on that has no gradient.
        equal = apart == 0
        inside = (_h(xp, V) @ to_vectors) * xp.where(equal, 0.0, 1.0 / xp.where(equal, 1.0, apart))
    if to_values is not None:
        eye = _constant(xp, np.eye(n), to_values)
        spread = xp.expand_dims(to_values, -1) * eye
        inside = spread if inside is None else inside + spread
    made = V @ inside @ _h(xp, V)
    return (made + _h(xp, made)) * 0.5


@op(
    "eigh", complex=LINEAR, family="linear", shape=_eigh_shape, dtype=_eigh_dtypes, outputs=2, extras=("values", "vectors"),
    vjp=_eigh_vjp, saves=("input",), check=True, formula="λ, V with input = V diag(λ) Vᴴ",
)  # fmt: skip
def EIGH(xp: Any, input: Any) -> Any:
    """Eigenvalues, in order, and eigenvectors of symmetric or Hermitian matrices (the lower triangle counts)."""
    values, vectors = _numbers(xp, lambda a: tuple(xp.linalg.eigh(a)), input)
    return (values, vectors), values, vectors


def _eig_dtypes(d: Any, **_: Any) -> Any:
    kind = dtype.complex_of(dtype.floating(d))
    return kind, kind


def _eig_vjp(xp: Any, g: Any, out: Any, input: Any, *, values: Any, vectors: Any) -> Any:
    # Boeddeker et al. 2017, "On the computation of complex-valued gradients"; lengths and phases of vectors are free,
    # so that no gradient comes of them.
    to_values, to_vectors = g
    if hasattr(to_vectors if to_values is None else to_values, "node"):
        values, vectors = apply(EIG, (input,))
    n, turned = values.shape[-1], _h(xp, vectors)
    eye = _constant(xp, np.eye(n), vectors)
    inside: Any = None
    if to_values is not None:
        inside = xp.expand_dims(to_values, -1) * eye
    if to_vectors is not None:
        along = turned @ to_vectors
        lengths = xp.expand_dims(xp.real(xp.sum(along * eye, axis=-2)), -2)
        apart = xp.conj(xp.expand_dims(values, -2) - xp.expand_dims(values, -1)) + eye
        equal = apart == 0
        turns = (along - turned @ (vectors * lengths)) * xp.where(
            equal, 0.0, (1 - eye) / xp.where(equal, 1.0, apart)
        )
        inside = turns if inside is None else inside + turns
    return nested(xp, SOLVE, turned, inside @ turned)


@op(
    "eig", complex=LINEAR, family="linear", shape=_eigh_shape, dtype=_eig_dtypes, outputs=2, extras=("values", "vectors"),
    vjp=_eig_vjp, saves=("input",), check=True, formula="λ, V with input V = V diag(λ)",
    source="Boeddeker et al. 2017, arXiv:1701.00392",
)  # fmt: skip
def EIG(xp: Any, input: Any) -> Any:
    """Eigenvalues, in no order, and eigenvectors of length 1 of any square matrices, all complex."""
    complexes.arm()
    kind = dtype.complex_of(dtype.floating(input.dtype))
    raw = move(input, "cpu")
    made = np.linalg.eig(raw.astype(np.float32) if raw.dtype == np.float16 else raw)  # CuPy has none
    values, vectors = (xp.asarray(part.astype(kind)) for part in made)
    return (values, vectors), values, vectors


class Eigen(NamedTuple):
    """Eigenvalues and eigenvectors."""

    eigenvalues: Any
    eigenvectors: Any


class Decomposition(NamedTuple):
    """What `svd` gives: input = U diag(S) Vh."""

    U: Any
    S: Any
    Vh: Any


class Factors(NamedTuple):
    """What `qr` gives."""

    Q: Any
    R: Any


class SignLog(NamedTuple):
    """What `slogdet` gives."""

    sign: Any
    logabsdet: Any


class Solution(NamedTuple):
    """What `lstsq` gives."""

    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


def inv(A: Any) -> Tensor:
    """Inverse of square matrices [..., n, n]. Raises `RuntimeError` for a singular one."""
    return apply(INV, (A,))  # type: ignore[no-any-return]


def solve(A: Any, B: Any, *, left: bool = True) -> Tensor:
    """X with `A X = B` (`X A = B` unless `left`); `B` is a matrix, or a vector for one matrix `A`.

    Raises `RuntimeError` for a singular `A`.
    """
    if not left:
        return transpose(solve(transpose(A, -1, -2), transpose(B, -1, -2)), -1, -2)
    if len(B.shape) == 1:
        return apply(SOLVE, (A, unsqueeze(B, -1))).squeeze(-1)  # type: ignore[no-any-return]
    return apply(SOLVE, (A, B))  # type: ignore[no-any-return]


def solve_triangular(
    A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """`solve` of which only one triangle of `A` counts; with `unitriangular` its diagonal is taken as ones."""
    A = triu(A) if upper else tril(A)
    if unitriangular:
        eye = beside(A, np.eye(A.shape[-1], dtype=A.dtype))
        A = A * (1 - eye) + eye
    return solve(A, B, left=left)


def det(A: Any) -> Tensor:
    """Determinant of square matrices; its gradient needs an inverse."""
    return apply(DET, (A,))  # type: ignore[no-any-return]


def slogdet(A: Any) -> SignLog:
    """Sign of the determinant and logarithm of its absolute value."""
    sign, size = apply(SLOGDET, (A,))
    return SignLog(sign if sign.is_complex() else sign.detach(), size)


def cholesky(A: Any, *, upper: bool = False) -> Tensor:
    """L with `L Lᵀ = A` (`L Lᴴ` of complex ones), or its transpose. Raises `RuntimeError` for a matrix that is not positive definite."""
    found = apply(CHOLESKY, (A,))
    return adjoint(found) if upper else found


def eigh(A: Any, UPLO: str = "L") -> Eigen:
    """Eigenvalues, in order, and eigenvectors of symmetric or Hermitian matrices, of which one triangle counts."""
    lower = tril(A, -1) if UPLO == "L" else adjoint(triu(A, 1))
    diagonal = real(A)
    eye = beside(A, np.eye(A.shape[-1], dtype=diagonal.dtype))
    symmetric = lower + adjoint(lower) + diagonal * eye
    return Eigen(*apply(EIGH, (symmetric,)))


def eig(A: Any) -> Eigen:
    """Eigenvalues and eigenvectors, the columns of a matrix, of any square matrices [..., n, n]; complex, in no order.

    The length of a vector is 1 and its phase is free: what a loss makes of either has no gradient.
    """
    return Eigen(*apply(EIG, (A,)))


def eigvals(A: Any) -> Tensor:
    """Eigenvalues of any square matrices, complex, in no order."""
    return eig(A).eigenvalues  # type: ignore[no-any-return]


def eigvalsh(A: Any, UPLO: str = "L") -> Tensor:
    """Eigenvalues of symmetric or Hermitian matrices, in order."""
    return eigh(A, UPLO).eigenvalues  # type: ignore[no-any-return]


def svd(A: Any, full_matrices: bool = False) -> Decomposition:
    """U, S, Vh with `A = U diag(S) Vh`, of full rank. The sign of each pair of vectors is free.

    Raises `ValueError` for `full_matrices`: the vectors that fill up U or V have no gradient.
    """
    rows, columns = A.shape[-2:]
    if full_matrices and rows != columns:
        raise located(
            ValueError("full_matrices=True is not there; the default gives the part that A determines")
        )
    if rows < columns:
        turned = svd(adjoint(A))
        return Decomposition(adjoint(turned.Vh), turned.S, adjoint(turned.U))
    # The eigenvectors of AᵀA would lose half of the digits; those of [[0, Aᵀ], [A, 0]] lose none.
    from engine.ops.layout import cat
    from engine.ops.pad import pad

    upper = pad(adjoint(A), (columns, 0))
    lower = pad(A, (0, rows))
    values, vectors = apply(EIGH, (cat([upper, lower], -2),))
    S = values[..., -columns:].flip((-1,))
    chosen = vectors[..., -columns:].flip((-1,)) * float(np.sqrt(2))
    return Decomposition(chosen[..., columns:, :], S, adjoint(chosen[..., :columns, :]))


def svdvals(A: Any) -> Tensor:
    """Singular values, the largest first."""
    return svd(A).S  # type: ignore[no-any-return]


def qr(A: Any, mode: str = "reduced") -> Factors:
    """Q, R with `A = Q R`, Q of orthonormal columns and R upper triangular; `A` [..., n, m] with n >= m.

    Raises `ValueError` for more columns than rows.
    """
    rows, columns = A.shape[-2:]
    if rows < columns or mode != "reduced":
        raise located(
            ValueError(f"qr needs as many rows as columns or more and mode='reduced', got {list(A.shape)}")
        )
    # R is the Cholesky factor of AᵀA up to signs; the signs are those of LAPACK's Householder vectors.
    raw = np.linalg.qr(np.asarray(A.detach().cpu().array))[1]
    signs = beside(A, np.where(np.diagonal(raw, axis1=-2, axis2=-1).real < 0, -1, 1).astype(A.dtype))
    R = cholesky(matmul(adjoint(A), A), upper=True) * unsqueeze(signs, -1)
    return Factors(matmul(A, inv(R)), R)


def pinv(A: Any, rcond: float = 1e-15) -> Tensor:
    """Pseudo-inverse of matrices of full rank."""
    turned = adjoint(A)
    if A.shape[-2] >= A.shape[-1]:
        return solve(matmul(turned, A), turned)
    return adjoint(pinv(turned))


def lstsq(A: Any, B: Any) -> Solution:
    """The X that makes `A X - B` smallest, for `A` of full column rank."""
    vector = len(B.shape) == 1
    b = unsqueeze(B, -1) if vector else B
    turned = adjoint(A)
    X = solve(matmul(turned, A), matmul(turned, b))
    left = reduction.sum(abs(matmul(A, X) - b) ** 2, -2)
    return Solution(X.squeeze(-1) if vector else X, left, matrix_rank(A), svdvals(A.detach()))


def matrix_rank(
    A: Any, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Tensor:
    """How many singular values are above `atol` and above `rtol` times the largest, as a number without gradient.

    `rtol` is the larger side times the dtype's epsilon where neither is given; `tol` is the older name of `atol`.
    """
    raw = np.asarray(A.detach().cpu().array)
    values = np.linalg.svd(raw, compute_uv=False, hermitian=hermitian)
    absolute, relative = (
        None if v is None else np.asarray(getattr(v, "array", v))[..., None]
        for v in (tol if atol is None else atol, rtol)
    )
    share: Any = relative
    if share is None:
        share = (
            0.0
            if absolute is not None and np.all(absolute > 0)
            else max(raw.shape[-2:]) * np.finfo(raw.dtype).eps
        )
    least = np.maximum(
        0.0 if absolute is None else absolute, share * values.max(-1, keepdims=True, initial=0.0)
    )
    return beside(A, np.asarray((values > least).sum(-1), np.int64))


def cond(A: Any) -> Tensor:
    """The largest singular value divided by the smallest."""
    S = svdvals(A)
    return div(S[..., 0], S[..., -1])


def vector_norm(x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The norm of order `ord` over `dim` (one, several, or all)."""
    return vector_norm_of(x, ord, dim, keepdim)


def matrix_norm(A: Any, ord: Any = "fro", dim: Sequence[int] = (-2, -1), keepdim: bool = False) -> Tensor:
    """Norm of matrices: "fro", "nuc", 1, -1, 2, -2, inf or -inf."""
    rows, columns = (d % len(A.shape) for d in dim)
    if ord == "fro":
        return vector_norm_of(A, 2, (rows, columns), keepdim)
    if ord in (1, -1, float("inf"), -float("inf")):
        along, across = (rows, columns) if ord in (1, -1) else (columns, rows)
        sums = reduction.sum(abs(A), along, True)
        found = (reduction.amax if ord > 0 else reduction.amin)(sums, across, True)
    elif ord in ("nuc", 2, -2):
        S = svdvals(A.movedim((rows, columns), (-2, -1)))
        found = {"nuc": reduction.sum, 2: reduction.amax, -2: reduction.amin}[ord](S, -1)
        return found.unsqueeze(rows).unsqueeze(columns) if keepdim else found
    else:
        raise located(ValueError(f'ord is "fro", "nuc", 1, -1, 2, -2, inf or -inf, got {ord!r}'))
    return found if keepdim else found.squeeze((rows, columns))


def norm(x: Any, ord: Any = None, dim: Any = None, keepdim: bool = False) -> Tensor:
    """`matrix_norm` for two dimensions and an `ord`, `vector_norm` otherwise."""
    pair = isinstance(dim, (tuple, list)) and len(dim) == 2
    if (
        ord is None
        or (isinstance(dim, int) or (dim is None and len(x.shape) == 1))
        or not (pair or (dim is None and len(x.shape) == 2))
    ):
        return vector_norm_of(x, 2 if ord is None else ord, dim, keepdim)
    return matrix_norm(x, ord, dim if pair else (-2, -1), keepdim)


def multi_dot(tensors: Sequence[Any]) -> Tensor:
    """The product of several matrices."""
    out = tensors[0]
    for t in tensors[1:]:
        out = matmul(out, t)
    return out  # type: ignore[no-any-return]


def vecdot(x: Any, y: Any, *, dim: int = -1) -> Tensor:
    """Sums of products along `dim`, `x` conjugated."""
    return reduction.sum(mul(conj(x), y), dim)


from engine import lu as _lu  # noqa: E402 - made of what is above
from engine.lu import *  # noqa: E402, F403

__all__ += _lu.__all__
__all__.remove("lu_unpack")
