"""How ONNX's ops that work element by element are done with the engine's own."""

from __future__ import annotations

from typing import Any

import numpy as np

import engine as ds
from engine.dtype import is_floating
from engine.onnx.read.step import READ, Reader, Step, plain, reads

UNARY: dict[str, Any] = {
    "Abs": ds.abs, "Neg": ds.neg, "Exp": ds.exp, "Log": ds.log, "Sqrt": ds.sqrt, "Relu": ds.relu, "Tanh": ds.tanh,
    "Sigmoid": ds.sigmoid, "Sin": ds.sin, "Cos": ds.cos, "Tan": ds.tan, "Asin": ds.asin, "Acos": ds.acos,
    "Atan": ds.atan, "Sinh": ds.sinh, "Cosh": ds.cosh, "Asinh": ds.asinh, "Acosh": ds.acosh, "Atanh": ds.atanh,
    "Erf": ds.erf, "Floor": ds.floor, "Ceil": ds.ceil, "Round": ds.round, "Sign": ds.sign, "Reciprocal": ds.reciprocal,
    "Not": ds.logical_not, "IsNaN": ds.isnan, "Softsign": ds.softsign, "Mish": ds.mish,
    "BitwiseNot": ds.bitwise_not, "HardSwish": ds.hardswish,
}  # fmt: skip
BINARY: dict[str, Any] = {
    "Add": ds.add, "Sub": ds.sub, "Mul": ds.mul, "Equal": ds.eq, "Less": ds.lt, "LessOrEqual": ds.le, "Greater": ds.gt,
    "GreaterOrEqual": ds.ge, "And": ds.logical_and, "Or": ds.logical_or, "Xor": ds.logical_xor,
    "BitwiseAnd": ds.bitwise_and, "BitwiseOr": ds.bitwise_or, "BitwiseXor": ds.bitwise_xor, "MatMul": ds.matmul,
}  # fmt: skip
for _name, _function in UNARY.items():
    READ[_name] = lambda s, f=_function: f(s.inputs[0])  # type: ignore[misc]
for _name, _function in BINARY.items():
    READ[_name] = lambda s, f=_function: f(s.inputs[0], _beside(s))  # type: ignore[misc]


def _beside(s: Step) -> Any:
    """The second argument; before opset 7 `axis` says which dimension of the first its own first one is."""
    other = s.inputs[1]
    if s.opset >= 7 or not s.attr("broadcast", 0) or "axis" not in s.attributes:
        return other
    after = s.inputs[0].ndim - int(s.attributes["axis"]) % s.inputs[0].ndim - other.ndim
    return other.reshape(*other.shape, *[1] * after)


@reads("Identity")
def _identity(s: Step) -> Any:
    return [s.inputs[0]]


@reads("Div")
def _div(s: Step) -> Any:
    a, b = s.inputs[0], _beside(s)
    if is_floating(a.dtype):
        return a / b
    # Whole numbers are rounded towards 0.
    x, y = a.array.astype(np.int64), b.array.astype(np.int64)
    return plain((np.sign(x) * np.sign(y) * (np.abs(x) // np.abs(y))).astype(a.dtype))


@reads("Mod")
def _mod(s: Step) -> Any:
    a, b = s.inputs
    return plain(np.fmod(a.array, b.array)) if s.attr("fmod", 0) else ds.remainder(a, b)


@reads("Pow")
def _pow(s: Step) -> Any:
    a, b = s.inputs
    return (
        plain(np.power(a.array.astype(np.float64), b.array).astype(a.dtype))
        if not is_floating(a.dtype)
        else (a ** b.to(a.dtype))
    )


def _folded(function: Any, mean: bool = False) -> Reader:
    def read(s: Step) -> Any:
        out = s.inputs[0]
        for other in s.inputs[1:]:
            out = function(out, other)
        return [out / len(s.inputs) if mean else out]

    return read


READ["Max"], READ["Min"] = _folded(ds.maximum), _folded(ds.minimum)
READ["Sum"], READ["Mean"] = _folded(ds.add), _folded(ds.add, True)


@reads("IsInf")
def _isinf(s: Step) -> Any:
    x = s.inputs[0]
    found = ds.isinf(x)
    if not s.attr("detect_negative", 1):
        found = ds.logical_and(found, x > 0)
    if not s.attr("detect_positive", 1):
        found = ds.logical_and(found, x < 0)
    return found


@reads("Clip")
def _clip(s: Step) -> Any:
    x, low, high = s.inputs[0], s.get(1), s.get(2)
    low = (
        low
        if low is not None or "min" not in s.attributes
        else plain(np.asarray(s.attributes["min"], x.dtype))
    )
    high = (
        high
        if high is not None or "max" not in s.attributes
        else plain(np.asarray(s.attributes["max"], x.dtype))
    )
    if low is not None:
        x = ds.maximum(x, low)
    return [x if high is None else ds.minimum(x, high)]


@reads("Where")
def _where(s: Step) -> Any:
    return ds.where(*s.inputs)


@reads("LeakyRelu")
def _leaky(s: Step) -> Any:
    return ds.leaky_relu(s.inputs[0], s.attr("alpha", 0.01))


@reads("Elu")
def _elu(s: Step) -> Any:
    return ds.elu(s.inputs[0], s.attr("alpha", 1.0))


@reads("Celu")
def _celu(s: Step) -> Any:
    return ds.celu(s.inputs[0], s.attr("alpha", 1.0))


@reads("Softplus")
def _softplus(s: Step) -> Any:
    return ds.softplus(s.inputs[0], 1.0, 1e9)


@reads("Gelu")
def _gelu(s: Step) -> Any:
    return ds.gelu(s.inputs[0], approximate=s.attr("approximate", "none"))


READ["Softmax"] = lambda s: _along(s, ds.softmax)
READ["LogSoftmax"] = lambda s: _along(s, ds.log_softmax)


@reads("Hardmax")
def _hardmax(s: Step) -> Any:
    def hard(x: Any, dim: int) -> Any:
        return plain((np.arange(x.shape[dim]).reshape([-1 if d == dim % x.ndim else 1 for d in range(x.ndim)])
                      == np.expand_dims(x.array.argmax(dim), dim)).astype(x.dtype))  # fmt: skip

    return _along(s, hard)


def _along(s: Step, function: Any) -> Any:
    x = s.inputs[0]
    if s.opset >= 13:
        return function(x, int(s.attr("axis", -1)))
    axis = int(s.attr("axis", 1)) % max(x.ndim, 1)
    lead = int(np.prod(x.shape[:axis]))
    return function(x.reshape(lead, -1), 1).reshape(*x.shape)
