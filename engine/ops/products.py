"""Products of vectors and tensors, by the names people know them under."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.located import located
from engine.ops.einsum import LETTERS, einsum
from engine.ops.linear import matmul

if TYPE_CHECKING:
    from engine.tensor import Tensor


def outer(input: Any, vec2: Any) -> Tensor:
    """[n] and [m] to [n, m]: every product of two elements."""
    return einsum("i,j->ij", input, vec2)


def dot(input: Any, other: Any) -> Tensor:
    """The sum of the products of two vectors."""
    return einsum("i,i->", input, other)


def mv(input: Any, vec: Any) -> Tensor:
    """Product of a matrix and a vector."""
    return matmul(input, vec)


def tensordot(a: Any, b: Any, dims: int | Sequence[Sequence[int]] = 2) -> Tensor:
    """Sum of products over `dims`: the last of `a` with the first of `b`, or two lists of dimensions.

    Raises `ShapeMismatchError` where the sizes differ.
    """
    n, m = len(a.shape), len(b.shape)
    if isinstance(dims, int):
        left, right = list(range(n - dims, n)), list(range(dims))
    else:
        left, right = [d % n for d in dims[0]], [d % m for d in dims[1]]
    if len(left) != len(right):
        raise located(
            ValueError(f"tensordot needs as many dimensions of a as of b, got {len(left)} and {len(right)}")
        )
    first = list(LETTERS[:n])
    second = list(LETTERS[n : n + m])
    for i, j in zip(left, right, strict=True):
        second[j] = first[i]
    kept = [c for i, c in enumerate(first) if i not in left] + [
        c for j, c in enumerate(second) if j not in right
    ]
    return einsum(f"{''.join(first)},{''.join(second)}->{''.join(kept)}", a, b)
