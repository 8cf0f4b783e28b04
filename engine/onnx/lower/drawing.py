"""Random numbers, as ONNX has them."""

from __future__ import annotations

from typing import Any

from engine.onnx.lower.table import lowers
from engine.onnx.symbol import Size
from engine.onnx.writer import KINDS, Unsupported, Writer
from engine.program import Call


@lowers("rand", "randn")
def _random(w: Writer, call: Call) -> Any:
    name = "RandomUniform" if call.op == "rand" else "RandomNormal"
    if any(isinstance(size, Size) for size in call.kwargs["shape"]):
        raise Unsupported("random numbers of a size that depends on the input")
    shape = [int(n) for n in call.kwargs["shape"]]
    return w.add(name, [], shape=shape, dtype=KINDS[call.kwargs["dtype"]])
