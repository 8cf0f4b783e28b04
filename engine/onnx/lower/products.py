"""Products, convolutions and attention, as ONNX has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.onnx.lower.table import batched, each, lowers
from engine.onnx.writer import Unsupported, Writer
from engine.program import Call


@lowers("linear")
def _linear(w: Writer, call: Call) -> Any:
    x, weight, bias = call.args
    a, b = w.same([x, weight])
    if bias is not None and len(w.shape_of(x)) == 2:
        return w.add("Gemm", [a, b, w.arg(bias)], transB=1)
    made = w.add("MatMul", [a, w.add("Transpose", [b], perm=[1, 0])])
    return made if bias is None else w.add("Add", [made, w.arg(bias)])


@lowers("einsum")
def _einsum(w: Writer, call: Call) -> Any:
    return w.add("Einsum", w.same(call.args), equation=call.kwargs["equation"])


@lowers("embedding")
def _embedding(w: Writer, call: Call) -> Any:
    weight, ids = call.args
    return w.add("Gather", [w.arg(weight), w.arg(ids)], axis=0)


@lowers("conv1d", "conv2d", "conv3d")
def _conv(w: Writer, call: Call) -> Any:
    k, n = call.kwargs, int(call.op[4])
    batched(w, call, n)
    padding = k["padding"]
    if padding == "same":
        pads, auto = None, "SAME_UPPER"
    else:
        pads = [0] * (2 * n) if padding == "valid" else [*each(padding, n), *each(padding, n)]
        auto = None
    inputs = [w.arg(a) for a in call.args if a is not None]
    return w.add(
        "Conv", inputs, strides=each(k["stride"], n), dilations=each(k["dilation"], n), group=int(k["groups"]),
        pads=pads, auto_pad=auto,
    )  # fmt: skip


@lowers("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _conv_transpose(w: Writer, call: Call) -> Any:
    k, n = call.kwargs, int(call.op.removesuffix("_with_indices")[-2])
    batched(w, call, n)
    pads = each(k["padding"], n)
    return w.add(
        "ConvTranspose", [w.arg(a) for a in call.args if a is not None], strides=each(k["stride"], n),
        dilations=each(k["dilation"], n), group=int(k["groups"]), pads=[*pads, *pads],
        output_padding=each(k["output_padding"], n),
    )  # fmt: skip


@lowers("scaled_dot_product_attention")
def _attention(w: Writer, call: Call) -> Any:
    query, key, value, mask = call.args
    k = call.kwargs
    if k["dropout_p"]:
        raise Unsupported("it drops weights at random; export in evaluation mode")
    kind = w.kind_of(query)
    scaled = w.add("Mul", [w.arg(query), w.constant(k["scale"], kind)])
    rank = len(w.shape_of(key))
    perm = [*range(rank - 2), rank - 1, rank - 2]
    scores = w.add("MatMul", [scaled, w.add("Transpose", [w.arg(key)], perm=perm)])
    lowest = w.constant(-np.inf, kind)
    if mask is not None:
        if w.kind_of(mask) == np.bool_:
            scores = w.add("Where", [w.arg(mask), scores, lowest])
        else:
            scores = w.add("Add", [scores, w.arg(mask)])
    if k["is_causal"]:
        rows = w.add("Shape", [scores], start=-2)
        ones = w.add("Expand", [w.constant(np.ones((1, 1), np.float32)), rows])
        lower = w.cast(w.add("Trilu", [ones], upper=0), "bool")
        scores = w.add("Where", [lower, scores, lowest])
    return w.add("MatMul", [w.add("Softmax", [scores], axis=-1), w.arg(value)])
