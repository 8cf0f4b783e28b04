"""Comparisons, logic, and choosing by a condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine import dtype, shapes
from engine.complexes import is_complex
from engine.dispatch import apply, binary, unary
from engine.dnn import loop
from engine.located import located
from engine.op import LINEAR, op
from engine.ops.arithmetic import ELEMENTWISE, UNARY
from engine.ops.nested import on_gpu

if TYPE_CHECKING:
    from engine.tensor import Tensor

TRUTH: dict[str, Any] = {**ELEMENTWISE, "dtype": dtype.truth}
TRUTH_UNARY: dict[str, Any] = {**UNARY, "dtype": dtype.truth}


@op("eq", complex=LINEAR, **TRUTH, ufunc="equal", onnx="Equal", formula="input == other")
def EQ(xp: Any, input: Any, other: Any) -> Any:
    """Whether equal."""
    return xp.equal(input, other)


@op("ne", complex=LINEAR, **TRUTH, ufunc="not_equal", formula="input ≠ other")
def NE(xp: Any, input: Any, other: Any) -> Any:
    """Whether different."""
    return xp.not_equal(input, other)


@op("lt", **TRUTH, ufunc="less", onnx="Less", formula="input < other")
def LT(xp: Any, input: Any, other: Any) -> Any:
    """Whether less."""
    return xp.less(input, other)


@op("le", **TRUTH, ufunc="less_equal", onnx="LessOrEqual", formula="input ≤ other")
def LE(xp: Any, input: Any, other: Any) -> Any:
    """Whether less or equal."""
    return xp.less_equal(input, other)


@op("gt", **TRUTH, ufunc="greater", onnx="Greater", formula="input > other")
def GT(xp: Any, input: Any, other: Any) -> Any:
    """Whether greater."""
    return xp.greater(input, other)


@op("ge", **TRUTH, ufunc="greater_equal", onnx="GreaterOrEqual", formula="input ≥ other")
def GE(xp: Any, input: Any, other: Any) -> Any:
    """Whether greater or equal."""
    return xp.greater_equal(input, other)


def _truth(xp: Any, x: Any) -> Any:
    """What a logical function is given: CuPy's take no complex numbers."""
    return x != 0 if on_gpu(xp) and is_complex(x) else x


@op("logical_and", complex=LINEAR, **TRUTH, ufunc="logical_and", onnx="And", formula="input ∧ other")
def AND(xp: Any, input: Any, other: Any) -> Any:
    """Whether both are true (not 0)."""
    return xp.logical_and(_truth(xp, input), _truth(xp, other))


@op("logical_or", complex=LINEAR, **TRUTH, ufunc="logical_or", onnx="Or", formula="input ∨ other")
def OR(xp: Any, input: Any, other: Any) -> Any:
    """Whether one is true (not 0)."""
    return xp.logical_or(_truth(xp, input), _truth(xp, other))


@op("logical_xor", complex=LINEAR, **TRUTH, ufunc="logical_xor", onnx="Xor", formula="input ⊻ other")
def XOR(xp: Any, input: Any, other: Any) -> Any:
    """Whether exactly one is true (not 0)."""
    return xp.logical_xor(_truth(xp, input), _truth(xp, other))


@op("logical_not", complex=LINEAR, **TRUTH_UNARY, ufunc="logical_not", onnx="Not", formula="¬input")
def NOT(xp: Any, input: Any) -> Any:
    """Whether 0 or false."""
    return xp.logical_not(_truth(xp, input))


@op("bitwise_and", **ELEMENTWISE, ufunc="bitwise_and", formula="input & other")
def BITAND(xp: Any, input: Any, other: Any) -> Any:
    """Bits set in both; of booleans, whether both are true."""
    return xp.bitwise_and(input, other)


@op("bitwise_or", **ELEMENTWISE, ufunc="bitwise_or", formula="input | other")
def BITOR(xp: Any, input: Any, other: Any) -> Any:
    """Bits set in one; of booleans, whether one is true."""
    return xp.bitwise_or(input, other)


@op("bitwise_xor", **ELEMENTWISE, ufunc="bitwise_xor", formula="input ^ other")
def BITXOR(xp: Any, input: Any, other: Any) -> Any:
    """Bits set in exactly one."""
    return xp.bitwise_xor(input, other)


@op("bitwise_not", **UNARY, ufunc="invert", formula="~input")
def BITNOT(xp: Any, input: Any) -> Any:
    """Bits inverted; of booleans, the opposite."""
    return xp.invert(input)


@op("isnan", complex=LINEAR, **TRUTH_UNARY, ufunc="isnan", onnx="IsNaN", formula="input is nan")
def ISNAN(xp: Any, input: Any) -> Any:
    """Whether not a number."""
    return xp.isnan(input)


@op("isinf", complex=LINEAR, **TRUTH_UNARY, ufunc="isinf", onnx="IsInf", formula="|input| = ∞")
def ISINF(xp: Any, input: Any) -> Any:
    """Whether infinite."""
    return xp.isinf(input)


@op("isfinite", complex=LINEAR, **TRUTH_UNARY, ufunc="isfinite", formula="|input| < ∞")
def ISFINITE(xp: Any, input: Any) -> Any:
    """Whether neither infinite nor nan."""
    return xp.isfinite(input)


def _where_vjp(xp: Any, g: Any, out: Any, condition: Any, input: Any, other: Any) -> Any:
    return None, loop.chosen(xp, condition, g, 0.0), loop.chosen(xp, condition, 0.0, g)


def _where_dtype(condition: Any, input: Any, other: Any) -> Any:
    return dtype.promoted(input, other)


@op(
    "where",
    complex=LINEAR,
    **{**ELEMENTWISE, "dtype": _where_dtype},
    meets=1,
    onnx="Where",
    formula="input where condition, else other",
    vjp=_where_vjp,
    saves=("condition",),
)
def WHERE(xp: Any, condition: Any, input: Any, other: Any) -> Any:
    """`input` where the condition is true, `other` elsewhere."""
    return loop.chosen(xp, condition, input, other)


def _fill_vjp(xp: Any, g: Any, out: Any, input: Any, mask: Any, *, value: Any) -> Any:
    return loop.chosen(xp, mask, 0.0, g), None


def _fill_dtype(input: Any, mask: Any, *, value: Any) -> Any:
    return input


def _fill_shape(input: Any, mask: Any, *, value: Any) -> Any:
    return shapes.broadcast(input, mask)


@op(
    "masked_fill",
    complex=LINEAR,
    **{**ELEMENTWISE, "dtype": _fill_dtype, "shape": _fill_shape},
    formula="value where mask, else input",
    vjp=_fill_vjp,
    saves=("mask",),
)
def MASKED_FILL(xp: Any, input: Any, mask: Any, *, value: Any) -> Any:
    """`value` where the mask is true, `input` elsewhere."""
    return xp.where(mask, xp.asarray(value, input.dtype), input)


def eq(input: Any, other: Any) -> Tensor:
    """`input == other`, element by element."""
    return binary(EQ, input, other)


def equals(input: Any, other: Any) -> Tensor:
    """`input == other`, element by element. Nothing is equal to None, as a whole."""
    return NotImplemented if other is None else binary(EQ, input, other)


def differs(input: Any, other: Any) -> Tensor:
    """`input != other`, element by element. All is different from None, as a whole."""
    return NotImplemented if other is None else binary(NE, input, other)


def ne(input: Any, other: Any) -> Tensor:
    """`input != other`, element by element."""
    return binary(NE, input, other)


def lt(input: Any, other: Any) -> Tensor:
    """`input < other`, element by element."""
    return binary(LT, input, other)


def le(input: Any, other: Any) -> Tensor:
    """`input <= other`, element by element."""
    return binary(LE, input, other)


def gt(input: Any, other: Any) -> Tensor:
    """`input > other`, element by element."""
    return binary(GT, input, other)


def ge(input: Any, other: Any) -> Tensor:
    """`input >= other`, element by element."""
    return binary(GE, input, other)


def logical_and(input: Any, other: Any) -> Tensor:
    """Whether both are true (not 0)."""
    return binary(AND, input, other)


def logical_or(input: Any, other: Any) -> Tensor:
    """Whether one is true (not 0)."""
    return binary(OR, input, other)


def logical_xor(input: Any, other: Any) -> Tensor:
    """Whether exactly one is true (not 0)."""
    return binary(XOR, input, other)


def logical_not(input: Any) -> Tensor:
    """Whether 0 or false."""
    return unary(NOT, input)


def bitwise_and(input: Any, other: Any) -> Tensor:
    """`input & other`, for integers and booleans."""
    return binary(BITAND, input, other)


def bitwise_or(input: Any, other: Any) -> Tensor:
    """`input | other`, for integers and booleans."""
    return binary(BITOR, input, other)


def bitwise_xor(input: Any, other: Any) -> Tensor:
    """`input ^ other`, for integers and booleans."""
    return binary(BITXOR, input, other)


def bitwise_not(input: Any) -> Tensor:
    """`~input`, for integers and booleans."""
    return unary(BITNOT, input)


def isnan(input: Any) -> Tensor:
    """Whether not a number, element by element."""
    return unary(ISNAN, input)


def isinf(input: Any) -> Tensor:
    """Whether infinite, element by element."""
    return unary(ISINF, input)


def isfinite(input: Any) -> Tensor:
    """Whether neither infinite nor nan, element by element."""
    return unary(ISFINITE, input)


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where `condition`, `other` elsewhere; with only a condition, the indices where it is true."""
    if input is None and other is None:
        from engine.ops.indexing import nonzero

        return nonzero(condition, as_tuple=True)
    if input is None or other is None:
        raise located(TypeError("where takes a condition alone, or two more tensors or numbers"))
    return apply(WHERE, (condition, input, other))


def masked_fill(input: Any, mask: Any, value: Any) -> Tensor:
    """`input` with `value` (a number or a tensor without dimensions) where `mask` is true."""
    if hasattr(value, "node") and value.node.requires:
        return apply(WHERE, (mask, value, input))  # type: ignore[no-any-return]
    return apply(MASKED_FILL, (input, mask), {"value": value.item() if hasattr(value, "node") else value})  # type: ignore[no-any-return]
