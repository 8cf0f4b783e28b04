"""Products added to something: `addmm` and its relatives, `baddbmm`, inner products and powers of matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.located import located
from engine.ops import reduction
from engine.ops.arithmetic import add, mul
from engine.ops.complex import conj
from engine.ops.einsum import einsum
from engine.ops.layout import broadcast_to, reshape
from engine.ops.linear import bmm, linear, matmul, mm
from engine.ops.products import mv, outer, tensordot

if TYPE_CHECKING:
    from engine.tensor import Tensor

__all__ = [
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "bilinear", "chain_matmul", "cross", "inner", "matrix_power", "vdot",
]  # fmt: skip


def _mixed(input: Any, product: Any, beta: Any, alpha: Any) -> Tensor:
    scaled = product if alpha == 1 else mul(product, alpha)
    if beta == 0:
        return scaled
    return add(input if beta == 1 else mul(input, beta), scaled)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta · input + alpha · mat1 @ mat2`."""
    return _mixed(input, mm(mat1, mat2), beta, alpha)


def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta · input + alpha · mat @ vec`."""
    return _mixed(input, mv(mat, vec), beta, alpha)


def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta · input + alpha · outer(vec1, vec2)`."""
    return _mixed(input, outer(vec1, vec2), beta, alpha)


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta · input + alpha · batch1 @ batch2`, a product for each matrix of the batch."""
    return _mixed(input, bmm(batch1, batch2), beta, alpha)


def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta · input + alpha ·` the sum over the batch of `batch1 @ batch2`."""
    return _mixed(input, reduction.sum(bmm(batch1, batch2), 0), beta, alpha)


def chain_matmul(*matrices: Any) -> Tensor:
    """The product of several matrices, from the left."""
    out = matrices[0]
    for matrix in matrices[1:]:
        out = matmul(out, matrix)
    return out  # type: ignore[no-any-return]


def matrix_power(input: Any, n: int) -> Tensor:
    """Square matrices to the power `n`, by repeated squaring; a negative `n` is a power of the inverse."""
    if len(input.shape) < 2 or input.shape[-1] != input.shape[-2]:
        raise located(ValueError(f"matrix_power needs square matrices, got {list(input.shape)}"))
    if n < 0:
        from engine.linalg import inv

        return matrix_power(inv(input), -n)
    if n == 0:
        from engine.creation import eye

        size = input.shape[-1]
        return broadcast_to(eye(size, dtype=input.dtype, device=input.device), input.shape).clone()
    out = None
    base = input
    while n:
        if n % 2:
            out = base if out is None else matmul(out, base)
        n //= 2
        if n:
            base = matmul(base, base)
    return out  # type: ignore[return-value]


def inner(input: Any, other: Any) -> Tensor:
    """Sums of products over the last dimensions."""
    if not input.shape or not other.shape:
        return mul(input, other)
    return tensordot(input, other, [[-1], [-1]])


def vdot(input: Any, other: Any) -> Tensor:
    """The sum of the products of two vectors, the first conjugated."""
    return einsum("i,i->", conj(input), other)


def cross(input: Any, other: Any, dim: int | None = None) -> Tensor:
    """The vector product along a dimension of 3, the first such one unless `dim` names it.

    Raises `ValueError` where there is none.
    """
    if dim is None:
        dim = next((i for i, n in enumerate(input.shape) if n == 3), None)
    if dim is None or input.shape[dim] != 3:
        raise located(ValueError(f"cross needs a dimension of size 3, got {list(input.shape)}"))
    return mul(input.roll(-1, dim), other.roll(-2, dim)) - mul(input.roll(-2, dim), other.roll(-1, dim))


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Tensor:
    """`x1ᵀ W x2 + b` for each of the matrices `weight` [out, in1, in2]."""
    lead = input1.shape[:-1]
    products = einsum(
        "ni,nj->nij", reshape(input1, -1, input1.shape[-1]), reshape(input2, -1, input2.shape[-1])
    )
    flat = linear(reshape(products, products.shape[0], -1), reshape(weight, weight.shape[0], -1), bias)
    return reshape(flat, *lead, weight.shape[0])
