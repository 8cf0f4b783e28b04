"""Sines, cosines and tangents, and the hyperbolic ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.dispatch import binary, unary
from engine.op import HOLOMORPHIC, op
from engine.ops.arithmetic import ELEMENTWISE
from engine.ops.exponential import FLOAT_UNARY

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _sin_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g * xp.cos(input)


@op(
    "sin", complex=HOLOMORPHIC, **FLOAT_UNARY, onnx="Sin", formula="sin input", vjp=_sin_vjp, saves=("input",)
)
def SIN(xp: Any, input: Any) -> Any:
    """Sine of an angle in radians."""
    return xp.sin(input)


def _cos_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return -g * xp.sin(input)


@op(
    "cos", complex=HOLOMORPHIC, **FLOAT_UNARY, onnx="Cos", formula="cos input", vjp=_cos_vjp, saves=("input",)
)
def COS(xp: Any, input: Any) -> Any:
    """Cosine of an angle in radians."""
    return xp.cos(input)


def _tan_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g * (out * out + 1)


@op("tan", complex=HOLOMORPHIC, **FLOAT_UNARY, onnx="Tan", formula="tan input", vjp=_tan_vjp, saves=("out",))
def TAN(xp: Any, input: Any) -> Any:
    """Tangent of an angle in radians."""
    return xp.tan(input)


def _asin_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g / xp.sqrt(1 - input * input)


@op(
    "asin",
    complex=HOLOMORPHIC,
    **FLOAT_UNARY,
    onnx="Asin",
    formula="arcsin input",
    vjp=_asin_vjp,
    saves=("input",),
)
def ASIN(xp: Any, input: Any) -> Any:
    """Angle of a sine, in radians."""
    return xp.arcsin(input)


def _acos_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return -g / xp.sqrt(1 - input * input)


@op(
    "acos",
    complex=HOLOMORPHIC,
    **FLOAT_UNARY,
    onnx="Acos",
    formula="arccos input",
    vjp=_acos_vjp,
    saves=("input",),
)
def ACOS(xp: Any, input: Any) -> Any:
    """Angle of a cosine, in radians."""
    return xp.arccos(input)


def _atan_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g / (input * input + 1)


@op(
    "atan",
    complex=HOLOMORPHIC,
    **FLOAT_UNARY,
    onnx="Atan",
    formula="arctan input",
    vjp=_atan_vjp,
    saves=("input",),
)
def ATAN(xp: Any, input: Any) -> Any:
    """Angle of a tangent, in radians."""
    return xp.arctan(input)


def _atan2_vjp(xp: Any, g: Any, out: Any, input: Any, other: Any) -> Any:
    norm = input * input + other * other
    # At the origin there is no angle to change: 0 there, as in PyTorch.
    share = g / xp.where(norm == 0, 1.0, norm)
    return share * other, -share * input


@op(
    "atan2",
    **{**ELEMENTWISE, "quiet": True, "dtype": FLOAT_UNARY["dtype"]},
    formula="angle of (other, input)",
    vjp=_atan2_vjp,
    saves=("input", "other"),
)
def ATAN2(xp: Any, input: Any, other: Any) -> Any:
    """Angle of the point (other, input), in radians, all quadrants."""
    return xp.arctan2(input, other)


def _sinh_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g * xp.cosh(input)


@op(
    "sinh",
    complex=HOLOMORPHIC,
    **FLOAT_UNARY,
    onnx="Sinh",
    formula="sinh input",
    vjp=_sinh_vjp,
    saves=("input",),
)
def SINH(xp: Any, input: Any) -> Any:
    """Hyperbolic sine."""
    return xp.sinh(input)


def _cosh_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g * xp.sinh(input)


@op(
    "cosh",
    complex=HOLOMORPHIC,
    **FLOAT_UNARY,
    onnx="Cosh",
    formula="cosh input",
    vjp=_cosh_vjp,
    saves=("input",),
)
def COSH(xp: Any, input: Any) -> Any:
    """Hyperbolic cosine."""
    return xp.cosh(input)


def _asinh_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g / xp.sqrt(input * input + 1)


@op(
    "asinh",
    complex=HOLOMORPHIC,
    **FLOAT_UNARY,
    onnx="Asinh",
    formula="arsinh input",
    vjp=_asinh_vjp,
    saves=("input",),
)
def ASINH(xp: Any, input: Any) -> Any:
    """Inverse hyperbolic sine."""
    return xp.arcsinh(input)


def _complex_acosh_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g / xp.conj(xp.sqrt(input - 1) * xp.sqrt(input + 1))


def _acosh_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g / xp.sqrt(input * input - 1)


@op(
    "acosh",
    complex=_complex_acosh_vjp,
    **FLOAT_UNARY,
    onnx="Acosh",
    formula="arcosh input",
    vjp=_acosh_vjp,
    saves=("input",),
)
def ACOSH(xp: Any, input: Any) -> Any:
    """Inverse hyperbolic cosine."""
    return xp.arccosh(input)


def _atanh_vjp(xp: Any, g: Any, out: Any, input: Any) -> Any:
    return g / (1 - input * input)


@op(
    "atanh",
    complex=HOLOMORPHIC,
    **FLOAT_UNARY,
    onnx="Atanh",
    formula="artanh input",
    vjp=_atanh_vjp,
    saves=("input",),
)
def ATANH(xp: Any, input: Any) -> Any:
    """Inverse hyperbolic tangent."""
    return xp.arctanh(input)


def sin(input: Any) -> Tensor:
    """Sine of an angle in radians."""
    return unary(SIN, input)


def cos(input: Any) -> Tensor:
    """Cosine of an angle in radians."""
    return unary(COS, input)


def tan(input: Any) -> Tensor:
    """Tangent of an angle in radians."""
    return unary(TAN, input)


def asin(input: Any) -> Tensor:
    """Angle of a sine, in radians."""
    return unary(ASIN, input)


def acos(input: Any) -> Tensor:
    """Angle of a cosine, in radians."""
    return unary(ACOS, input)


def atan(input: Any) -> Tensor:
    """Angle of a tangent, in radians."""
    return unary(ATAN, input)


def atan2(input: Any, other: Any) -> Tensor:
    """Angle of the point (other, input), in radians."""
    return binary(ATAN2, input, other)


def sinh(input: Any) -> Tensor:
    """Hyperbolic sine."""
    return unary(SINH, input)


def cosh(input: Any) -> Tensor:
    """Hyperbolic cosine."""
    return unary(COSH, input)


def asinh(input: Any) -> Tensor:
    """Inverse hyperbolic sine."""
    return unary(ASINH, input)


def acosh(input: Any) -> Tensor:
    """Inverse hyperbolic cosine."""
    return unary(ACOSH, input)


def atanh(input: Any) -> Tensor:
    """Inverse hyperbolic tangent."""
    return unary(ATANH, input)
