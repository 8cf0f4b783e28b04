"""The table of how each op is written in ONNX. An op whose record names an ONNX op that does the same needs no entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.onnx.writer import Unsupported, Writer
from engine.op import OPS
from engine.program import Call

Lowering = Callable[[Writer, Call], Any]
LOWER: dict[str, Lowering] = {}

# Elementwise ops whose record names the ONNX op that does exactly the same.
DIRECT = frozenset(
    [
        "abs",
        "neg",
        "exp",
        "log",
        "sqrt",
        "root",
        "relu",
        "tanh",
        "sigmoid",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "asinh",
        "acosh",
        "atanh",
        "erf",
        "floor",
        "ceil",
        "sign",
        "reciprocal",
        "isnan",
        "isinf",
        "arrange",
        "clone",
        "add",
        "sub",
        "mul",
        "maximum",
        "minimum",
        "eq",
        "lt",
        "le",
        "gt",
        "ge",
        "where",
        "matmul",
    ]
)


def lower(w: Writer, call: Call) -> Any:
    """Write `call`; gives the names of its results. Raises `Unsupported` with the reason."""
    made = LOWER.get(call.op)
    if made is not None:
        return made(w, call)
    record = OPS.get(call.op)
    if record is None or not record.onnx or not (call.op in DIRECT or record.custom):
        raise Unsupported("it has no ONNX form")
    if record.custom:
        return w.add(record.onnx, [w.arg(a, np.float32) for a in call.args])
    if call.op == "where":
        condition, *values = call.args
        return w.add("Where", [w.arg(condition), *w.same(values)])
    if len(call.args) == 1:
        return w.add(record.onnx, [w.arg(call.args[0])])
    return w.add(record.onnx, w.same(call.args))


def lowers(*names: str) -> Callable[[Lowering], Lowering]:
    """The decorated function writes these ops."""

    def register(function: Lowering) -> Lowering:
        for name in names:
            LOWER[name] = function
        return function

    return register


def one_of(w: Writer, call: Call) -> tuple[str, Any]:
    """The name and the element type of the first argument."""
    return w.arg(call.args[0]), w.kind_of(call.args[0])


def axis_of(w: Writer, call: Call, dim: int) -> int:
    """A dimension of the first argument, counted from the front."""
    return dim % max(len(w.shape_of(call.args[0])), 1)


def axes_of(w: Writer, dim: Any) -> list[str]:
    """The input that says which dimensions are reduced; none for all of them."""
    if dim is None:
        return []
    return [w.ints(list(dim) if isinstance(dim, (tuple, list)) else [dim])]


def batched(w: Writer, call: Call, n: int) -> None:
    """Raise `Unsupported` where the first argument has no batch dimension before its channels and `n` more."""
    if len(w.shape_of(call.args[0])) != n + 2:
        raise Unsupported("ONNX wants a batch dimension here")


def each(value: Any, count: int) -> list[int]:
    """One number for each of `count` dimensions."""
    return [int(v) for v in value] if isinstance(value, (tuple, list)) else [int(value)] * count
