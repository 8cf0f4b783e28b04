"""The product of all elements up to each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype, shapes
from engine.dispatch import apply
from engine.errors import Shape
from engine.op import op
from engine.shapes import check_dim, sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor


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
    found: list[Any] = [None] * n
    later: Any = None
    for i in range(n - 1, -1, -1):
        later = at(g, i) if later is None else at(g, i) + at(input, i + 1) * later
        found[i] = later if i == 0 else at(out, i - 1) * later
    return xp.concatenate(found, axis=d)


@op(
    "cumprod",
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


def cumprod(input: Any, dim: int) -> Tensor:
    """Product of all elements up to each, along `dim`. Exact gradients also where there are zeros."""
    return apply(CUMPROD, (input,), {"dim": dim})  # type: ignore[no-any-return]
