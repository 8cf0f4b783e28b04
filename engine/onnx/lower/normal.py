"""Normalisation, as ONNX has it."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.onnx.lower.table import lowers, one_of
from engine.onnx.writer import Unsupported, Writer
from engine.program import Call


def _or_constant(w: Writer, arg: Any, value: float, shape: tuple[int, ...], kind: Any) -> str:
    return w.arg(arg) if arg is not None else w.constant(np.full(shape, value), kind)


@lowers("batch_norm", "instance_norm", "group_norm")
def _norm(w: Writer, call: Call) -> Any:
    k = call.kwargs
    x, kind = one_of(w, call)
    channels = (w.shape_of(call.args[0])[1],)
    w.fixed(call.args[0], 1)
    scale = _or_constant(w, call.args[-2], 1.0, channels, kind)
    shift = _or_constant(w, call.args[-1], 0.0, channels, kind)
    eps = float(k["eps"])
    if call.op == "group_norm":
        return w.add("GroupNormalization", [x, scale, shift], num_groups=int(k["num_groups"]), epsilon=eps)
    if call.op == "instance_norm":
        return w.add("InstanceNormalization", [x, scale, shift], epsilon=eps)
    if k["training"]:
        raise Unsupported("it uses the statistics of the batch; export in evaluation mode (model.eval())")
    return w.add(
        "BatchNormalization", [x, scale, shift, w.arg(call.args[1]), w.arg(call.args[2])], epsilon=eps
    )


@lowers("layer_norm")
def _layer_norm(w: Writer, call: Call) -> Any:
    x, kind = one_of(w, call)
    shape = tuple(call.kwargs["normalized_shape"])
    scale = _or_constant(w, call.args[1], 1.0, shape, kind)
    inputs = [x, scale] if call.args[2] is None else [x, scale, w.arg(call.args[2])]
    return w.add("LayerNormalization", inputs, axis=-len(shape), epsilon=float(call.kwargs["eps"]))


@lowers("rms_norm")
def _rms_norm(w: Writer, call: Call) -> Any:
    x, kind = one_of(w, call)
    axes = w.ints(list(range(-len(call.kwargs["normalized_shape"]), 0)))
    mean = w.add("ReduceMean", [w.add("Mul", [x, x]), axes], keepdims=1)
    made = w.add("Div", [x, w.add("Sqrt", [w.add("Add", [mean, w.constant(call.kwargs["eps"], kind)])])])
    return made if call.args[1] is None else w.add("Mul", [made, w.arg(call.args[1])])
