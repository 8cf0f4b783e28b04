"""Sums, products, powers and their like, element by element with broadcasting."""

from __future__ import annotations

import cmath
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype, shapes
from engine.dispatch import apply, binary, unary
from engine.dtype import get_default_dtype
from engine.errors import ArgumentError
from engine.located import located
from engine.op import HOLOMORPHIC, LINEAR, op
from engine.ops.nested import on_gpu

if TYPE_CHECKING:
    from engine.tensor import Tensor

ELEMENTWISE: dict[str, Any] = {
    "family": "elementwise",
    "shape": shapes.broadcast,
    "dtype": dtype.promoted,
    "origin": shapes.broadcast_origin,
    "broadcasts": True,
}
FLOATING: dict[str, Any] = {**ELEMENTWISE, "dtype": dtype.floating, "quiet": True}
UNARY: dict[str, Any] = {
    **ELEMENTWISE,
    "shape": shapes.same,
    "origin": shapes.same_origin,
    "broadcasts": False,
}


def _on_gpu(what: int, xp: Any, a: Any, b: Any) -> Any:
    """By one launch of a kernel of the engine's, which takes a third less to start; None where it does not serve."""
    global _gpu
    if not on_gpu(xp):
        return None
    if _gpu is None:
        from engine.gpu import elementwise

        _gpu = elementwise
    return _gpu.arithmetic(what, a, b)


_gpu: Any = None
_ADD, _SUB, _MUL, _DIV = range(4)


def _both(xp: Any, g: Any, out: Any, input: Any, other: Any) -> Any:
    return g, g


@op("add", complex=LINEAR, **ELEMENTWISE, ufunc="add", onnx="Add", formula="input + other", vjp=_both)
def ADD(xp: Any, input: Any, other: Any) -> Any:
    """Sum."""
    fast = _on_gpu(_ADD, xp, input, other)
    return xp.add(input, other) if fast is None else fast


def _sub_vjp(xp: Any, g: Any, out: Any, input: Any, other: Any) -> Any:
    return g, -g if getattr(other, "requires", False) else None


@op("sub", complex=LINEAR, **ELEMENTWISE, ufunc="subtract", onnx="Sub", formula="input - other", vjp=_sub_vjp)
def SUB(xp: Any, input: Any, other: Any) -> Any:
    """Difference."""
    fast = _on_gpu(_SUB, xp, input, other)
    return xp.subtract(input, other) if fast is None else fast


def _mul_vjp(xp: Any, g: Any, out: Any, input: Any, other: Any) -> Any:
    if xp is not np and on_gpu(xp):
        return tuple(
            [
                None if by is None else g * by if (fast := _on_gpu(_MUL, xp, g, by)) is None else fast
                for by in (other, input)
            ]
        )
    return None if other is None else g * other, None if input is None else g * input


@op(
    "mul",
    complex=HOLOMORPHIC,
    **ELEMENTWISE,
    ufunc="multiply",
    onnx="Mul",
    formula="input * other",
    vjp=_mul_vjp,
    saves=("input", "other"),
    saved_for={"input": ("other",), "other": ("input",)},
)
def MUL(xp: Any, input: Any, other: Any) -> Any:
    """Product, element by element."""
    fast = _on_gpu(_MUL, xp, input, other)
    return xp.multiply(input, other) if fast is None else fast


def _div_vjp(xp: Any, g: Any, out: Any, input: Any, other: Any) -> Any:
    return g / other, None if input is None else -g * input / (other * other)


@op(
    "div",
    complex=HOLOMORPHIC,
    **{**ELEMENTWISE, "dtype": dtype.floating},
    quiet=True,
    onnx="Div",
    formula="input / other",
    vjp=_div_vjp,
    saves=("input", "other"),
    saved_for={"input": ("other",)},
)
def DIV(xp: Any, input: Any, other: Any) -> Any:
    """True division."""
    fast = _on_gpu(_DIV, xp, input, other)
    return xp.true_divide(input, other) if fast is None else fast


def _neg_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return -g


@op("neg", complex=LINEAR, **UNARY, ufunc="negative", onnx="Neg", formula="-input", vjp=_neg_vjp)
def NEG(xp: Any, input: Any) -> Any:
    """Negation."""
    return xp.negative(input)


def _pow_vjp(xp: Any, g: Any, out: Any, input: Any, other: Any) -> Any:
    # x ** (y - 1) is infinite or nan at x = 0 for y = 0, where the gradient is 0.
    if isinstance(other, (int, float)):
        base = (
            g * 0.0
            if other == 0
            else g
            if other == 1
            else g * (input * other if other == 2 else _power(xp, input, other - 1) * other)
        )
        return base, None
    to_input = g * xp.where(other == 0, 0.0, other * input ** xp.where(other == 0, 1.0, other - 1))
    if isinstance(input, (int, float)):
        log = math.log(input) if input > 0 else 0.0
    else:
        log = xp.log(xp.where(input > 0, input, 1.0))
    return to_input, g * (out * log)


def _complex_pow_vjp(xp: Any, g: Any, out: Any, input: Any, other: Any) -> Any:
    if not hasattr(other, "dtype"):
        return (g * xp.conj(input ** (other - 1) * other) if other != 0 else g * 0.0), None
    # At 0 the logarithm is not finite, where nothing to the power of a positive number stays nothing.
    none = other == 0
    to_input = g * xp.conj(xp.where(none, 0.0, other * input ** xp.where(none, 1.0, other - 1)))
    if not hasattr(input, "dtype"):
        return None, g * xp.conj(out * (cmath.log(input) if input else 0.0))
    zero = input == 0
    return to_input, g * xp.conj(xp.where(zero, 0.0, out * xp.log(xp.where(zero, 1.0, input))))


@op(
    "pow",
    complex=_complex_pow_vjp,
    **{**ELEMENTWISE, "quiet": True},
    onnx="Pow",
    formula="input ** other",
    vjp=_pow_vjp,
    saves=("input", "other", "out"),
)
def POW(xp: Any, input: Any, other: Any) -> Any:
    """Power; whole numbers stay whole, and what is between them becomes 0."""
    if (
        getattr(other, "ndim", 0)
        and other.dtype.kind == "i"
        and (isinstance(input, int) or getattr(input, "dtype", np.dtype(float)).kind in "iu")
        and (other < 0).any()
    ):
        below = xp.where(input == 1, 1, xp.where(input == -1, 1 - 2 * (other % 2), 0))
        return xp.where(other < 0, below, _power(xp, input, xp.maximum(other, 0)))
    return _power(xp, input, other)


def _power(xp: Any, x: Any, exponent: Any) -> Any:
    """`x ** exponent`; small whole powers of floats by products, which take a tenth of the time."""
    kind = type(exponent)
    if (kind is int or kind is float) and exponent in (2, 3, 4) and hasattr(x, "dtype") and x.ndim:
        if exponent == 2 and (kind is int or x.dtype.kind == "f"):
            return x * x
        if x.dtype.kind == "f":
            return x * x * x if exponent == 3 else x * x * x * x
    if not hasattr(xp, "power"):  # on Tensors
        return x**exponent
    return xp.square(x) if kind is int and exponent == 2 else xp.power(x, exponent)


def _square_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g * (input * 2)


@op(
    "square",
    complex=HOLOMORPHIC,
    **UNARY,
    ufunc="square",
    formula="input ** 2",
    vjp=_square_vjp,
    saves=("input",),
)
def SQUARE(xp: Any, input: Any) -> Any:
    """Square."""
    return xp.square(input)


def _sqrt_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g / (out * 2)


@op(
    "sqrt",
    complex=HOLOMORPHIC,
    **{**UNARY, "dtype": dtype.floating},
    quiet=True,
    onnx="Sqrt",
    formula="√input",
    vjp=_sqrt_vjp,
    saves=("out",),
)
def SQRT(xp: Any, input: Any) -> Any:
    """Square root."""
    return xp.sqrt(input)


def _root_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    flat = out == 0
    return xp.where(flat, 0.0, g / xp.where(flat, 1.0, out * 2))


@op("root", **{**UNARY, "dtype": dtype.floating}, quiet=True, onnx="Sqrt", formula="√input, with gradient 0 at 0",
    vjp=_root_vjp, saves=("out",))  # fmt: skip
def ROOT(xp: Any, input: Any) -> Any:
    """The root in a norm or a standard deviation: where all is 0, no direction is up, and the gradient is 0."""
    return xp.sqrt(input)


def _rsqrt_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g * (out * out * out * -0.5)


@op(
    "rsqrt",
    complex=HOLOMORPHIC,
    **{**UNARY, "dtype": dtype.floating},
    quiet=True,
    formula="1 / √input",
    vjp=_rsqrt_vjp,
    saves=("out",),
)
def RSQRT(xp: Any, input: Any) -> Any:
    """Reciprocal of the square root."""
    return 1 / xp.sqrt(input)


def _reciprocal_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return -g * (out * out)


@op(
    "reciprocal",
    complex=HOLOMORPHIC,
    **{**UNARY, "dtype": dtype.floating},
    quiet=True,
    onnx="Reciprocal",
    formula="1 / input",
    vjp=_reciprocal_vjp,
    saves=("out",),
)
def RECIPROCAL(xp: Any, input: Any) -> Any:
    """1 / input."""
    return xp.true_divide(1, input)


def _abs_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g * xp.sign(input)


def _complex_abs_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    size = xp.abs(input)
    return g * (input / xp.where(size == 0, 1.0, size))


def _abs_dtype(input: Any) -> Any:
    return dtype.real_of(dtype.promoted(input))


@op(
    "abs", **{**UNARY, "dtype": _abs_dtype}, complex=_complex_abs_vjp, ufunc="absolute", onnx="Abs", formula="|input|",
    vjp=_abs_vjp, saves=("input",),
)  # fmt: skip
def ABS(xp: Any, input: Any) -> Any:
    """Absolute value, of complex numbers the magnitude; its gradient at 0 is 0."""
    return xp.absolute(input)


def _zero_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return xp.zeros_like(g)


@op("sign", **UNARY, ufunc="sign", onnx="Sign", formula="sign(input)", vjp=_zero_vjp)
def SIGN(xp: Any, input: Any) -> Any:
    """-1, 0 or 1."""
    return xp.sign(input)


def _share(xp: Any, g: Any, chosen: Any, tie: Any) -> Any:
    """The part of `g` for the argument that was chosen; half of it where both are equal."""
    dtype = g.dtype
    return g * (chosen.astype(dtype) + tie.astype(dtype) * 0.5)


def _maximum_vjp(xp: Any, g: Any, out: Any, input: Any, other: Any) -> Any:
    tie = input == other
    return _share(xp, g, input > other, tie), _share(xp, g, other > input, tie)


@op(
    "maximum",
    **ELEMENTWISE,
    ufunc="maximum",
    onnx="Max",
    formula="max(input, other)",
    vjp=_maximum_vjp,
    saves=("input", "other"),
)
def MAXIMUM(xp: Any, input: Any, other: Any) -> Any:
    """The larger of the two; equal values share the gradient."""
    return xp.maximum(input, other)


def _minimum_vjp(xp: Any, g: Any, out: Any, input: Any, other: Any) -> Any:
    tie = input == other
    return _share(xp, g, input < other, tie), _share(xp, g, other < input, tie)


@op(
    "minimum",
    **ELEMENTWISE,
    ufunc="minimum",
    onnx="Min",
    formula="min(input, other)",
    vjp=_minimum_vjp,
    saves=("input", "other"),
)
def MINIMUM(xp: Any, input: Any, other: Any) -> Any:
    """The smaller of the two; equal values share the gradient."""
    return xp.minimum(input, other)


def _clamp_vjp(xp: Any, g: Any, out: Any, input: Any, *, min: Any, max: Any) -> Any:
    inside = True
    if min is not None:
        inside = input >= min
    if max is not None:
        inside = inside & (input <= max)
    return g * inside


@op("clamp", **UNARY, onnx="Clip", formula="min(max(input, min), max)", vjp=_clamp_vjp, saves=("input",))
def CLAMP(xp: Any, input: Any, *, min: Any, max: Any) -> Any:
    """Values below `min` become `min`, above `max` become `max`."""
    return xp.clip(input, min, max)


def _mod_vjp(xp: Any, g: Any, out: Any, input: Any, other: Any) -> Any:
    return g, -g * xp.floor_divide(input, other)


@op(
    "remainder",
    **{**ELEMENTWISE, "quiet": True},
    onnx="Mod",
    formula="input - ⌊input / other⌋ other",
    vjp=_mod_vjp,
    saves=("input", "other"),
)
def REMAINDER(xp: Any, input: Any, other: Any) -> Any:
    """Remainder of division, with the sign of the divisor."""
    return xp.remainder(input, other)


@op("floor_divide", **{**ELEMENTWISE, "quiet": True}, formula="⌊input / other⌋")
def FLOOR_DIVIDE(xp: Any, input: Any, other: Any) -> Any:
    """Division rounded down."""
    return xp.floor_divide(input, other)


# --- the functions people call -----------------------------------------------------------------------


def add(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """`input + alpha * other`, broadcasting."""
    return binary(ADD, input, other if alpha == 1 else mul(other, alpha))


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """`input - alpha * other`, broadcasting."""
    return binary(SUB, input, other if alpha == 1 else mul(other, alpha))


def mul(input: Any, other: Any) -> Tensor:
    """`input * other` element by element, broadcasting."""
    return binary(MUL, input, other)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """`input / other`; `rounding_mode` is None, "floor" or "trunc"."""
    if rounding_mode == "floor":
        return binary(FLOOR_DIVIDE, input, other)
    if rounding_mode == "trunc":
        from engine.ops.rounding import trunc

        whole = [
            getattr(getattr(x, "dtype", None), "kind", "i" if type(x) is int else "f") in "iu"
            for x in (input, other)
        ]
        if not all(whole):
            return trunc(binary(DIV, input, other))
        down = binary(FLOOR_DIVIDE, input, other)
        # One more where the exact quotient is below 0 and not whole.
        return binary(ADD, down, binary(MUL, down, other).ne(input) & ((input < 0) ^ (other < 0)))
    if rounding_mode is not None:
        raise located(ValueError(f'rounding_mode is None, "floor" or "trunc", got {rounding_mode!r}'))
    return binary(DIV, input, other)


def floor_divide(input: Any, other: Any) -> Tensor:
    """`input // other`: division rounded down. No gradient flows through it."""
    return binary(FLOOR_DIVIDE, input, other)


def remainder(input: Any, other: Any) -> Tensor:
    """`input % other`, with the sign of `other`."""
    return binary(REMAINDER, input, other)


def neg(input: Any) -> Tensor:
    """`-input`."""
    return unary(NEG, input)


def pow(input: Any, exponent: Any) -> Tensor:
    """`input ** exponent`."""
    return binary(POW, input, exponent)


def square(input: Any) -> Tensor:
    """`input * input`."""
    return unary(SQUARE, input)


def sqrt(input: Any) -> Tensor:
    """Square root; nan for negative values."""
    return unary(SQRT, input)


def root(input: Any) -> Tensor:
    """Square root whose gradient at 0 is 0, as norms and standard deviations take it."""
    return unary(ROOT, input)


def rsqrt(input: Any) -> Tensor:
    """`1 / sqrt(input)`."""
    return unary(RSQRT, input)


def reciprocal(input: Any) -> Tensor:
    """`1 / input`."""
    return unary(RECIPROCAL, input)


def abs(input: Any) -> Tensor:
    """Absolute value."""
    return unary(ABS, input)


def sign(input: Any) -> Tensor:
    """-1, 0 or 1."""
    return unary(SIGN, input)


def maximum(input: Any, other: Any) -> Tensor:
    """The larger of the two, element by element."""
    return binary(MAXIMUM, input, other)


def minimum(input: Any, other: Any) -> Tensor:
    """The smaller of the two, element by element."""
    return binary(MINIMUM, input, other)


def clamp(input: Any, min: Any = None, max: Any = None) -> Tensor:
    """`input` held between `min` and `max`, either of which may be None. Tensors are allowed for both.

    Raises `ValueError` when both are None.
    """
    if min is None and max is None:
        raise located(ArgumentError("clamp needs min or max"))
    if np.ndim(_value(min)) or np.ndim(_value(max)) or hasattr(min, "node") or hasattr(max, "node"):
        held = input if min is None else maximum(input, min)
        return held if max is None else minimum(held, max)
    if input.dtype.kind in "iub" and (isinstance(min, float) or isinstance(max, float)):
        input = input.to(get_default_dtype())
    return apply(CLAMP, (input,), {"min": min, "max": max})  # type: ignore[no-any-return]


def _value(bound: Any) -> Any:
    return 0 if bound is None else getattr(bound, "array", bound)


# Operators. The reflected ones have a plain number or a raw array on the left.


def radd(input: Any, other: Any) -> Tensor:
    """`other + input`."""
    return binary(ADD, input, other)


def rsub(input: Any, other: Any) -> Tensor:
    """`other - input`."""
    return apply(SUB, (other, input))  # type: ignore[no-any-return]


def rdiv(input: Any, other: Any) -> Tensor:
    """`other / input`."""
    return apply(DIV, (other, input))  # type: ignore[no-any-return]


def rpow(input: Any, other: Any) -> Tensor:
    """`other ** input`."""
    return apply(POW, (other, input))  # type: ignore[no-any-return]


def rfloordiv(input: Any, other: Any) -> Tensor:
    """`other // input`."""
    return apply(FLOOR_DIVIDE, (other, input))  # type: ignore[no-any-return]


def rmod(input: Any, other: Any) -> Tensor:
    """`other % input`."""
    return apply(REMAINDER, (other, input))  # type: ignore[no-any-return]
