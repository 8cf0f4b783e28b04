"""The product of all elements up to each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype, shapes
from engine.dispatch import apply
from engine.errors import Shape
from engine.op import HOLOMORPHIC, op
from engine.shapes import check_dim, sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor


# As many times as long as there are lines: then they go one after the other.
FEW = 64


def _along(input: Any, *, dim: int) -> Shape:
    check_dim(dim, len(sizes(input)))
    return sizes(input)


def _dtype(input: Any, **_: Any) -> Any:
    return dtype.int64 if input.kind in "biu" else input


def _vjp(xp: Any, g: Any, out: Any, input: Any, *, dim: int) -> Any:
    # Of element i: the product before it, times the sum over k >= i of g[k] and the product from i + 1 to k.
    # That sum is g[i] + input[i + 1] times the one of i + 1, so there is no division and zeros are exact.
    if not input.ndim:
        return g
    d = dim % input.ndim
    before = (slice(None),) * d

    def at(x: Any, i: int) -> Any:
        index: tuple[Any, ...] = (*before, slice(i, i + 1))
        return x[index]

    n = input.shape[d]
    if not n:
        return g
    if xp is np:
        return _raw_vjp(g, out, input, d)
    found: list[Any] = [None] * n
    later: Any = None
    for i in range(n - 1, -1, -1):
        later = at(g, i) if later is None else at(g, i) + at(input, i + 1) * later
        found[i] = later if i == 0 else at(out, i - 1) * later
    return xp.concatenate(found, axis=d)


def _raw_vjp(g: Any, out: Any, input: Any, d: int) -> Any:
    """The same of NumPy's arrays: of all lines at once in place, or of one after the other where few are long."""
    if not g.size:
        return g
    long = input.shape[d]
    few = long > FEW * (input.size // long)
    to = -1 if few else 0
    g, out, x = (np.ascontiguousarray(np.moveaxis(a, d, to)) for a in (g, out, input))
    made = np.empty_like(g)
    if few:
        for parts in zip(*(a.reshape(-1, long) for a in (made, g, out, x)), strict=True):
            parts[0][...] = _line(*(p.astype(np.result_type(p.dtype, np.float64)) for p in parts[1:]))
    else:
        rows, g, out, x = (a.reshape(long, -1) for a in (made, g, out, x))
        later = g[-1].copy()
        for i in range(long - 1, 0, -1):
            np.multiply(out[i - 1], later, out=rows[i])
            later *= x[i]
            later += g[i - 1]
        rows[0] = later
    return np.ascontiguousarray(np.moveaxis(made, to, d))


def _line(g: Any, out: Any, x: Any) -> Any:
    """Of one line: sums from behind divided by the element up to the first zero, without division there, 0 beyond."""
    zeros = np.flatnonzero(x == 0)
    k = int(zeros[0]) if zeros.size else len(x)
    made = np.zeros_like(g)
    with np.errstate(all="ignore"):
        made[:k] = np.cumsum((g[:k] * out[:k])[::-1])[::-1] / x[:k]
        if zeros.size:
            behind = np.cumprod(np.concatenate([np.ones(1, x.dtype), x[k + 1 :]]))
            made[k] = (out[k - 1] if k else 1) * (g[k:] * behind).sum()
    return made


@op(
    "cumprod",
    complex=HOLOMORPHIC,
    family="reduce",
    shape=_along,
    dtype=_dtype,
    origin=shapes.same_origin,
    vjp=_vjp,
    saves=("input", "out"),
    check=True,
    onnx="CumProd",
    formula="running Π input",
)
def CUMPROD(xp: Any, input: Any, *, dim: int) -> Any:
    """Product of all elements up to each, along `dim`."""
    kind = np.int64 if input.dtype.kind in "biu" else input.dtype
    return xp.cumprod(input, axis=dim, dtype=kind) if input.ndim else input.astype(kind)


def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Tensor:
    """Product of all elements up to each, along `dim`. Exact gradients also where there are zeros."""
    return apply(CUMPROD, (input if dtype is None else input.to(dtype),), {"dim": dim})  # type: ignore[no-any-return]
