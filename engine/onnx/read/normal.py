"""How ONNX's normalisations and its dropout are done with the engine's own."""

from __future__ import annotations

from typing import Any

import engine as ds
from engine.onnx.read.step import Step, reads


@reads("BatchNormalization")
def _batch_norm(s: Step) -> Any:
    x, scale, shift, mean, var = s.inputs
    eps = float(s.attr("epsilon", 1e-5))
    if not s.attr("training_mode", 0):
        return ds.batch_norm(x, mean, var, scale, shift, False, 0.0, eps)
    axes = (0, *range(2, x.ndim))
    now_mean, now_var = ds.mean(x, axes), ds.var(x, axes, correction=0)
    momentum = float(s.attr("momentum", 0.9))
    out = ds.batch_norm(x, None, None, scale, shift, True, 0.0, eps)
    return [out, mean * momentum + now_mean * (1 - momentum), var * momentum + now_var * (1 - momentum)]


@reads("InstanceNormalization")
def _instance_norm(s: Step) -> Any:
    x, scale, shift = s.inputs
    return ds.instance_norm(x, None, None, scale, shift, True, 0.1, float(s.attr("epsilon", 1e-5)))


@reads("LRN")
def _lrn(s: Step) -> Any:
    x, size = s.inputs[0], s.attributes["size"]
    squares = x * x
    before = (size - 1) // 2
    padded = ds.pad(squares, (*[0] * (2 * (x.ndim - 2)), before, size - 1 - before))
    total = ds.narrow(padded, 1, 0, x.shape[1])
    for i in range(1, size):
        total = total + ds.narrow(padded, 1, i, x.shape[1])
    return x / (s.attr("bias", 1.0) + s.attr("alpha", 1e-4) / size * total) ** s.attr("beta", 0.75)


@reads("LpNormalization")
def _lp_norm(s: Step) -> Any:
    x, axis, p = s.inputs[0], int(s.attr("axis", -1)), int(s.attr("p", 2))
    size = ds.sum(ds.abs(x), axis, True) if p == 1 else ds.sqrt(ds.sum(x * x, axis, True))
    return ds.where(size == 0, ds.zeros_like(x), x / ds.where(size == 0, ds.ones_like(size), size))
