"""Functions of two numbers, and of one, beyond the usual arithmetic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from engine.complexes import is_complex
from engine.dispatch import binary, unary
from engine.dtype import truth
from engine.op import op
from engine.ops.arithmetic import (
    ELEMENTWISE,
    FLOATING,
    UNARY,
    abs,
    clamp,
    div,
    maximum,
    minimum,
    mul,
    pow,
    sub,
)
from engine.ops.comparison import isinf, isnan, where
from engine.ops.exponential import FLOAT_UNARY, log
from engine.ops.rounding import trunc
from engine.ops.trigonometric import sin

if TYPE_CHECKING:
    from engine.tensor import Tensor

__all__ = [
    "addcdiv", "addcmul", "bitwise_left_shift", "bitwise_right_shift", "clamp_max", "clamp_min", "copysign", "deg2rad", "float_power", "fmax", "fmin", "fmod",
    "frac", "heaviside", "hypot", "isclose", "isneginf", "isposinf", "ldexp", "lerp", "logaddexp",
    "logaddexp2", "logit", "nan_to_num", "positive", "rad2deg", "rsub", "signbit", "sinc", "xlogy",
]  # fmt: skip


def _fmod_vjp(xp: Any, g: Any, out: Any, input: Any, other: Any) -> Any:
    # The quotient rounded towards 0, exactly: what was taken away, divided by the divisor.
    taken = input - out
    return g, -g * (taken / other) if getattr(other, "shape", None) is not None else None


@op(
    "fmod",
    **{**ELEMENTWISE, "quiet": True},
    formula="input - trunc(input / other) other",
    vjp=_fmod_vjp,
    saves=("input", "other", "out"),
)
def FMOD(xp: Any, input: Any, other: Any) -> Any:
    """Remainder of division, with the sign of what is divided."""
    return xp.fmod(input, other)


def _hypot_vjp(xp: Any, g: Any, out: Any, input: Any, other: Any) -> Any:
    return g * input / out, g * other / out


@op("hypot", **FLOATING, formula="√(input² + other²)", vjp=_hypot_vjp, saves=("input", "other", "out"))
def HYPOT(xp: Any, input: Any, other: Any) -> Any:
    """The third side of a right triangle, without overflow."""
    return xp.hypot(input, other)


def _logaddexp_vjp(xp: Any, g: Any, out: Any, input: Any, other: Any) -> Any:
    # Two infinities of one sign have no difference; neither gets a gradient then.
    def part(x: Any) -> Any:
        gone = x - out
        return g * xp.exp(xp.where(gone == gone, gone, -math.inf))

    return part(input), part(other)


@op(
    "logaddexp",
    **FLOATING,
    formula="ln (e^input + e^other)",
    vjp=_logaddexp_vjp,
    saves=("input", "other", "out"),
)
def LOGADDEXP(xp: Any, input: Any, other: Any) -> Any:
    """Logarithm of a sum of exponentials, without overflow."""
    return xp.logaddexp(input, other)


@op("signbit", **{**UNARY, "dtype": truth}, formula="whether input has a minus sign")
def SIGNBIT(xp: Any, input: Any) -> Any:
    """Whether the sign is minus; -0.0 has one."""
    return xp.signbit(input) if input.dtype.kind == "f" else input < 0


def fmod(input: Any, other: Any) -> Tensor:
    """The remainder of `input / other` with the sign of `input`, as C's fmod."""
    return binary(FMOD, input, other)


def hypot(input: Any, other: Any) -> Tensor:
    """`sqrt(input² + other²)`, without overflow."""
    return binary(HYPOT, input, other)


def logaddexp(input: Any, other: Any) -> Tensor:
    """`log(exp(input) + exp(other))`, without overflow."""
    return binary(LOGADDEXP, input, other)


def logaddexp2(input: Any, other: Any) -> Tensor:
    """`log2(2**input + 2**other)`, without overflow."""
    two = math.log(2)
    return div(logaddexp(mul(input, two), mul(other, two)), two)


def signbit(input: Any) -> Tensor:
    """Whether the sign is minus; -0.0 has one."""
    return unary(SIGNBIT, input)


def copysign(input: Any, other: Any) -> Tensor:
    """The size of `input` with the sign of `other`; 0.0 and -0.0 differ in theirs."""
    minus = signbit(other) if hasattr(other, "node") else math.copysign(1.0, other) < 0
    size = abs(input)
    return where(minus, -size, size)  # type: ignore[no-any-return]


def frac(input: Any) -> Tensor:
    """What is left of `input` without its whole part; it has the sign of `input`."""
    return sub(input, trunc(input).detach())


def heaviside(input: Any, values: Any) -> Tensor:
    """0 for negative `input`, 1 for positive, `values` at 0."""
    return where(input == 0, values, (input > 0).to(input.dtype))  # type: ignore[no-any-return]


def lerp(input: Any, end: Any, weight: Any) -> Tensor:
    """`input + weight (end - input)`."""
    return input + mul(sub(end, input), weight)  # type: ignore[no-any-return]


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
    """`input + value · tensor1 · tensor2`."""
    product = mul(tensor1, tensor2)
    return input + (product if value == 1 else mul(product, value))  # type: ignore[no-any-return]


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
    """`input + value · tensor1 / tensor2`."""
    quotient = div(tensor1, tensor2)
    return input + (quotient if value == 1 else mul(quotient, value))  # type: ignore[no-any-return]


def clamp_min(input: Any, min: Any) -> Tensor:
    """Values below `min` become `min`."""
    return clamp(input, min=min)


def clamp_max(input: Any, max: Any) -> Tensor:
    """Values above `max` become `max`."""
    return clamp(input, max=max)


def fmax(input: Any, other: Any) -> Tensor:
    """The larger of the two; a number where the other is nan."""
    return where(isnan(input), other, where(isnan(other), input, maximum(input, other)))  # type: ignore[no-any-return]


def fmin(input: Any, other: Any) -> Tensor:
    """The smaller of the two; a number where the other is nan."""
    return where(isnan(input), other, where(isnan(other), input, minimum(input, other)))  # type: ignore[no-any-return]


def float_power(input: Any, exponent: Any) -> Tensor:
    """`input ** exponent` in float64, or in complex128."""
    wide = "complex128" if is_complex(input) or is_complex(exponent) else "float64"
    base = input.to(wide) if hasattr(input, "node") else complex(input) if is_complex(input) else float(input)
    power = exponent.to(wide) if hasattr(exponent, "node") else exponent
    return pow(base, power) if hasattr(base, "node") else base**power


def ldexp(input: Any, other: Any) -> Tensor:
    """`input · 2**other`."""
    return mul(input, pow(2.0, other.to("float32") if other.dtype.kind in "iu" else other))


def xlogy(input: Any, other: Any) -> Tensor:
    """`input · log(other)`, 0 where `input` is 0 and `other` is a number."""
    nothing = (input == 0) & (other <= 0)
    return where(nothing, 0.0, mul(input, log(where(nothing, 1.0, other))))  # type: ignore[no-any-return]


@op("bitwise_left_shift", **ELEMENTWISE, ufunc="left_shift", formula="input · 2^other, for integers")
def LEFT_SHIFT(xp: Any, input: Any, other: Any) -> Any:
    """Bits moved up."""
    return xp.left_shift(input, other)


@op("bitwise_right_shift", **ELEMENTWISE, ufunc="right_shift", formula="⌊input / 2^other⌋, for integers")
def RIGHT_SHIFT(xp: Any, input: Any, other: Any) -> Any:
    """Bits moved down; the sign stays."""
    return xp.right_shift(input, other)


def bitwise_left_shift(input: Any, other: Any) -> Tensor:
    """`input << other`, for integers."""
    return binary(LEFT_SHIFT, input, other)


def bitwise_right_shift(input: Any, other: Any) -> Tensor:
    """`input >> other`, for integers."""
    return binary(RIGHT_SHIFT, input, other)


def _logit_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g / (input * (1 - input))


@op("logit", **FLOAT_UNARY, formula="ln(input / (1 - input))", vjp=_logit_vjp, saves=("input",))
def LOGIT(xp: Any, input: Any) -> Any:
    """The inverse of the logistic function."""
    return xp.log(input / (1 - input))


def logit(input: Any, eps: float | None = None) -> Tensor:
    """`log(input / (1 - input))`; with `eps`, of `input` held between `eps` and `1 - eps`."""
    return unary(LOGIT, input if eps is None else clamp(input, eps, 1 - eps))


def sinc(input: Any) -> Tensor:
    """`sin(π input) / (π input)`, 1 at 0."""
    at_zero = input == 0
    turned = mul(where(at_zero, 1.0, input), math.pi)
    return where(at_zero, 1.0, div(sin(turned), turned))  # type: ignore[no-any-return]


def deg2rad(input: Any) -> Tensor:
    """Degrees to radians."""
    return mul(input, math.pi / 180)


def rad2deg(input: Any) -> Tensor:
    """Radians to degrees."""
    return mul(input, 180 / math.pi)


def positive(input: Any) -> Tensor:
    """`input` itself."""
    return input  # type: ignore[no-any-return]


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """`other - alpha · input`."""
    scaled = input if alpha == 1 else mul(input, alpha)
    return other - scaled  # type: ignore[no-any-return]


def nan_to_num(
    input: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """`nan` for nan, and `posinf` and `neginf` for the infinities: the largest numbers of the dtype by default."""
    import numpy as np

    if input.dtype.kind != "f":
        return input.clone()  # type: ignore[no-any-return]
    limit = float(np.finfo(input.dtype).max)
    high = limit if posinf is None else posinf
    low = -limit if neginf is None else neginf
    x = where(isnan(input), nan, input)
    x = where(isposinf(x), high, x)
    return where(isneginf(x), low, x)  # type: ignore[no-any-return]


def isposinf(input: Any) -> Tensor:
    """Whether each element is +inf."""
    return isinf(input) & (input > 0)  # type: ignore[no-any-return]


def isneginf(input: Any) -> Tensor:
    """Whether each element is -inf."""
    return isinf(input) & (input < 0)  # type: ignore[no-any-return]


def isclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether each pair differs by at most `atol + rtol |other|`."""
    near = (input == other) | (abs(sub(input, other)) <= atol + rtol * abs(other))
    if input.dtype.kind != "f":
        return near  # type: ignore[no-any-return]
    near = near & ((input == other) | ~(isinf(input) | isinf(other)))
    return near | (isnan(input) & isnan(other)) if equal_nan else near  # type: ignore[no-any-return]
