"""Ops element by element, as ONNX has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.onnx.lower.table import lowers, one_of
from engine.onnx.writer import Unsupported, Writer
from engine.program import Call


@lowers("square", "rsqrt", "exp2", "expm1", "log1p", "log2", "log10", "silu", "trunc", "isfinite")
def _unary(w: Writer, call: Call) -> Any:
    x, kind = one_of(w, call)

    def number(value: float) -> str:
        return w.constant(value, kind)

    match call.op:
        case "square":
            return w.add("Mul", [x, x])
        case "rsqrt":
            return w.add("Reciprocal", [w.add("Sqrt", [x])])
        case "exp2":
            return w.add("Exp", [w.add("Mul", [x, number(np.log(2.0))])])
        case "expm1":
            return w.add("Sub", [w.add("Exp", [x]), number(1)])
        case "log1p":
            return w.add("Log", [w.add("Add", [x, number(1)])])
        case "log2" | "log10":
            return w.add("Div", [w.add("Log", [x]), number(np.log(2.0 if call.op == "log2" else 10.0))])
        case "silu":
            return w.add("Mul", [x, w.add("Sigmoid", [x])])
        case "trunc":
            return w.add("Mul", [w.add("Sign", [x]), w.add("Floor", [w.add("Abs", [x])])])
    infinite = w.add("Or", [w.add("IsNaN", [x]), w.add("IsInf", [x])])
    return w.add("Not", [infinite])


@lowers("div", "pow", "floor_divide", "remainder", "ne", "masked_fill")
def _binary(w: Writer, call: Call) -> Any:
    if call.op == "masked_fill":
        x, mask = call.args
        return w.add("Where", [w.arg(mask), w.constant(call.kwargs["value"], w.kind_of(x)), w.arg(x)])
    met = w.met(call.args)
    if call.op == "div" and met.kind != "f":
        met = np.dtype("float64")
    a, b = w.same(call.args, met)
    if call.op == "ne":
        return w.add("Not", [w.add("Equal", [a, b])])
    if call.op == "floor_divide":
        if met.kind != "f":  # ONNX rounds towards 0: one less where the signs differ and something is left
            whole = w.add("Div", [a, b])
            left = w.add("Sub", [a, w.add("Mul", [whole, b])])
            zero = w.constant(0, met)
            other = w.add("Xor", [w.add("Less", [left, zero]), w.add("Less", [b, zero])])
            less = w.add("And", [other, w.add("Not", [w.add("Equal", [left, zero])])])
            return w.add("Sub", [whole, w.cast(less, met)])
        return w.add("Floor", [w.add("Div", [a, b])])
    if call.op == "remainder":
        if met.kind != "f":
            return w.add("Mod", [a, b])
        return w.add("Sub", [a, w.add("Mul", [w.add("Floor", [w.add("Div", [a, b])]), b])])
    return w.add("Div" if call.op == "div" else "Pow", [a, b])


@lowers("fmod", "atan2")
def _two_numbers(w: Writer, call: Call) -> Any:
    met = w.met(call.args)
    if call.op == "fmod":
        return w.add("Mod", w.same(call.args), fmod=1)
    y, x = w.same(call.args, met if met.kind == "f" else np.dtype("float64"))
    kind = met if met.kind == "f" else np.dtype("float64")
    zero = w.constant(0, kind)
    half = w.constant(np.pi / 2, kind)
    # Of the smaller through the larger, so that nothing is divided by 0; then turned into its quarter.
    steep = w.add("Greater", [w.add("Abs", [y]), w.add("Abs", [x])])
    below = w.add("Where", [steep, y, x])
    safe = w.add("Where", [w.add("Equal", [below, zero]), w.constant(1, kind), below])
    angle = w.add("Atan", [w.add("Div", [w.add("Where", [steep, x, y]), safe])])
    side = w.add("Where", [w.add("Less", [y, zero]), w.add("Neg", [half]), half])
    turn = w.add("Mul", [w.add("Add", [side, side]), w.cast(w.add("Less", [x, zero]), kind)])
    return w.add("Where", [steep, w.add("Sub", [side, angle]), w.add("Add", [angle, turn])])


@lowers("hypot", "logaddexp", "erfc", "signbit", "det")
def _composed(w: Writer, call: Call) -> Any:
    names = w.same(call.args)
    kind = w.met(call.args)
    match call.op:
        case "hypot":
            a, b = (w.add("Mul", [name, name]) for name in names)
            return w.add("Sqrt", [w.add("Add", [a, b])])
        case "logaddexp":
            most = w.add("Max", names)
            a, b = (w.add("Exp", [w.add("Sub", [name, most])]) for name in names)
            return w.add("Add", [most, w.add("Log", [w.add("Add", [a, b])])])
        case "erfc":
            return w.add("Sub", [w.constant(1, kind), w.add("Erf", names)])
        case "signbit":
            return w.add("Less", [*names, w.constant(0, kind)])
    return w.add("Det", names)


@lowers("logical_and", "logical_or", "logical_xor", "logical_not")
def _logical(w: Writer, call: Call) -> Any:
    names = [w.arg(a) if w.kind_of(a) == np.bool_ else w.cast(w.arg(a), "bool") for a in call.args]
    return w.add(call.op.removeprefix("logical_").capitalize(), names)


@lowers("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not")
def _bitwise(w: Writer, call: Call) -> Any:
    name = call.op.removeprefix("bitwise_").capitalize()
    names = w.same(call.args)
    return w.add(name if w.met(call.args) == np.bool_ else f"Bitwise{name}", names)


@lowers("round")
def _round(w: Writer, call: Call) -> Any:
    if call.kwargs["decimals"]:
        raise Unsupported("it rounds to whole numbers only")
    return w.add("Round", [w.arg(call.args[0])])


@lowers("clamp")
def _clamp(w: Writer, call: Call) -> Any:
    x, kind = one_of(w, call)
    low, high = (call.kwargs[name] for name in ("min", "max"))
    return w.add(
        "Clip",
        [x, "" if low is None else w.constant(low, kind), "" if high is None else w.constant(high, kind)],
    )


@lowers("cast")
def _cast(w: Writer, call: Call) -> Any:
    return w.cast(w.arg(call.args[0]), call.kwargs["dtype"])


@lowers("gelu", "elu", "leaky_relu", "softplus", "softmax", "log_softmax")
def _activation(w: Writer, call: Call) -> Any:
    x, kind = one_of(w, call)
    k = call.kwargs
    match call.op:
        case "gelu":
            return w.add("Gelu", [x], approximate=k["approximate"])
        case "elu":
            return w.add("Elu", [x], alpha=float(k["alpha"]))
        case "leaky_relu":
            return w.add("LeakyRelu", [x], alpha=float(k["negative_slope"]))
        case "softplus":
            beta = w.constant(k["beta"], kind)
            scaled = w.add("Mul", [x, beta])
            soft = w.add("Div", [w.add("Softplus", [scaled]), beta])
            return w.add("Where", [w.add("Greater", [scaled, w.constant(k["threshold"], kind)]), x, soft])
    return w.add("Softmax" if call.op == "softmax" else "LogSoftmax", [x], axis=int(k["dim"]))


@lowers("logit")
def _logit(w: Writer, call: Call) -> Any:
    x, kind = one_of(w, call)
    return w.add("Log", [w.add("Div", [x, w.add("Sub", [w.constant(1, kind), x])])])


@lowers("slogdet")
def _slogdet(w: Writer, call: Call) -> Any:
    made = w.add("Det", [w.arg(call.args[0])])
    return [w.add("Sign", [made]), w.add("Log", [w.add("Abs", [made])])]
