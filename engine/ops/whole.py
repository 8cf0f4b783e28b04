"""Whole numbers: common divisors and multiples; and the parts that floating numbers are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine import backend
from engine.dispatch import binary
from engine.located import located
from engine.op import op
from engine.ops.arithmetic import ELEMENTWISE, FLOATING, mul

if TYPE_CHECKING:
    from engine.tensor import Tensor

__all__ = ["frexp", "gcd", "lcm", "nextafter"]


@op("gcd", **ELEMENTWISE, formula="the largest whole number that divides input and other")
def GCD(xp: Any, input: Any, other: Any) -> Any:
    """Greatest common divisor of whole numbers; of 0 and 0 it is 0."""
    return xp.gcd(input, other)


@op("lcm", **ELEMENTWISE, formula="the smallest whole number that input and other divide")
def LCM(xp: Any, input: Any, other: Any) -> Any:
    """Least common multiple of whole numbers."""
    return xp.lcm(input, other)


@op("nextafter", **FLOATING, formula="the floating number after input on the way to other")
def NEXTAFTER(xp: Any, input: Any, other: Any) -> Any:
    """The next floating number."""
    return xp.nextafter(input, other)


def _whole(name: str, *tensors: Any) -> None:
    for t in tensors:
        if getattr(t, "dtype", np.dtype(type(t))).kind not in "iu":
            raise located(
                RuntimeError(f"{name} is of whole numbers, got {getattr(t, 'dtype', type(t).__name__)}")
            )


def gcd(input: Any, other: Any) -> Tensor:
    """Greatest common divisor, element by element. Raises `RuntimeError` for numbers that are not whole.

    >>> import engine as ds
    >>> ds.gcd(ds.tensor([12, 10]), ds.tensor([8, 15])).tolist()
    [4, 5]
    """
    _whole("gcd", input, other)
    return binary(GCD, input, other)


def lcm(input: Any, other: Any) -> Tensor:
    """Least common multiple, element by element. Raises `RuntimeError` for numbers that are not whole."""
    _whole("lcm", input, other)
    return binary(LCM, input, other)


def nextafter(input: Any, other: Any) -> Tensor:
    """The next floating number after `input` on the way to `other`, element by element."""
    return binary(NEXTAFTER, input, other)


class Parts(NamedTuple):
    """What `frexp` gives: input = mantissa · 2^exponent."""

    mantissa: Any
    exponent: Any


def frexp(input: Any) -> Parts:
    """Mantissas of size 1/2 to 1, and whole exponents: `input = mantissa * 2**exponent`.

    >>> import engine as ds
    >>> ds.frexp(ds.tensor([8.0])).exponent.tolist()
    [4]
    """
    from engine.tensor import beside

    array = input.detach().array
    xp = backend.namespace(array)
    raw, exponent = xp.frexp(array)
    # By two factors: 2^-exponent alone would overflow for the smallest numbers.
    half = -exponent // 2
    made = mul(
        mul(input, beside(input, xp.ldexp(xp.ones_like(raw), half))),
        beside(input, xp.ldexp(xp.ones_like(raw), -exponent - half)),
    )
    return Parts(made, beside(input, exponent.astype(np.int32)))
