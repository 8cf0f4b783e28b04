"""Rounding. No gradient but zero flows through a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.dispatch import apply, unary
from engine.op import op
from engine.ops.arithmetic import UNARY

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _zero_vjp(xp: Any, g: Any, out: Any, input: Any, **_: Any) -> Any:
    return xp.zeros_like(g)


@op("floor", **UNARY, ufunc="floor", onnx="Floor", formula="⌊input⌋", vjp=_zero_vjp)
def FLOOR(xp: Any, input: Any) -> Any:
    """The next whole number below."""
    return xp.floor(input)


@op("ceil", **UNARY, ufunc="ceil", onnx="Ceil", formula="⌈input⌉", vjp=_zero_vjp)
def CEIL(xp: Any, input: Any) -> Any:
    """The next whole number above."""
    return xp.ceil(input)


@op("trunc", **UNARY, ufunc="trunc", formula="the whole part of input", vjp=_zero_vjp)
def TRUNC(xp: Any, input: Any) -> Any:
    """The whole part."""
    return xp.trunc(input)


@op("round", **UNARY, onnx="Round", formula="nearest whole number, halves to even", vjp=_zero_vjp)
def ROUND(xp: Any, input: Any, *, decimals: int) -> Any:
    """The nearest number with `decimals` decimals; halves go to the even one."""
    return xp.round(input, decimals)


def floor(input: Any) -> Tensor:
    """The next whole number below."""
    return unary(FLOOR, input)


def ceil(input: Any) -> Tensor:
    """The next whole number above."""
    return unary(CEIL, input)


def trunc(input: Any) -> Tensor:
    """The whole part."""
    return unary(TRUNC, input)


def round(input: Any, *, decimals: int = 0) -> Tensor:
    """The nearest number with `decimals` decimals; halves go to the even one."""
    return apply(ROUND, (input,), {"decimals": decimals})  # type: ignore[no-any-return]
