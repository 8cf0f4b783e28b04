"""The lengths of vectors: p-norms, with the gradient 0 where a length is 0."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from engine import dtype as types
from engine.dispatch import apply
from engine.errors import ArgumentProblem
from engine.located import located
from engine.op import op
from engine.ops.arithmetic import abs
from engine.ops.reduction import REDUCE, Dim, axes, spread

if TYPE_CHECKING:
    from engine.tensor import Tensor


def gradient(xp: Any, g: Any, out: Any, input: Any, *, p: float, dim: Any, keepdim: bool) -> Any:
    """`g` times the slope of lengths `out` by `input`."""
    shape = input.shape
    g, out = spread(xp, g, shape, dim, keepdim), spread(xp, out, shape, dim, keepdim)
    if p == 0:
        return g * 0.0
    if math.isinf(p):
        chosen = (xp.abs(input) == out).astype(g.dtype)
        return g * xp.sign(input) * (chosen / xp.sum(chosen, axis=axes(dim), keepdims=True))
    if p == 1:
        return g * xp.sign(input)
    # A length of 0 has no direction; PyTorch's choice, 0, is ours.
    none = out == 0
    safe = xp.where(none, 1.0, out)
    if p == 2:
        return g * xp.where(none, 0.0, input / safe)
    size = xp.abs(input)
    # |x| ** (p - 1) is infinite at 0 for p below 1.
    away = xp.where(size == 0, 1.0, size) if p < 2 else size
    grown = (away / safe) ** (p - 1.0)
    return g * xp.sign(input) * xp.where(none, 0.0, grown)


@op(
    "norm",
    **{**REDUCE, "dtype": types.floating},
    formula="(Σ |input|^p)^(1/p)",
    vjp=gradient,
    saves=("input", "out"),
)
def NORM(xp: Any, input: Any, *, p: float, dim: Any, keepdim: bool) -> Any:
    """The p-norm: 2 the Euclidean length, 1 the sum of sizes, inf the largest size, 0 how many are not 0."""
    kind = types.floating(input.dtype)
    if p == 2:
        x = input.astype(kind, copy=False)
        return xp.sqrt(xp.square(x).sum(axis=axes(dim), keepdims=keepdim))
    size = xp.abs(input).astype(kind, copy=False)
    if math.isinf(p):
        if not size.size:
            raise ArgumentProblem(ValueError, "there is no largest size of nothing: {0} has no elements", 0)
        return (size.max if p > 0 else size.min)(axis=axes(dim), keepdims=keepdim)
    if p == 0:
        return (size != 0).sum(axis=axes(dim), keepdims=keepdim).astype(kind)
    if p == 1:
        return size.sum(axis=axes(dim), keepdims=keepdim)
    return (size**p).sum(axis=axes(dim), keepdims=keepdim) ** (1.0 / p)


def norm(input: Any, p: Any = 2, dim: Dim = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """The p-norm over `dim` (one, several, or all); `p` is a number, `inf`, or "fro" for 2."""
    x = input if dtype is None else input.to(dtype)
    if p == "fro" or p is None:
        p = 2
    if isinstance(p, str):
        raise located(ValueError(f'p is a number or "fro", got {p!r}'))
    if getattr(x, "dtype", None) is not None and x.dtype.kind == "c":
        x = abs(x)
    return apply(NORM, (x,), {"p": float(p), "dim": dim, "keepdim": keepdim})  # type: ignore[no-any-return]
