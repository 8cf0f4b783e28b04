"""How ONNX's products and convolutions are done with the engine's own."""

from __future__ import annotations

from typing import Any

import numpy as np

import engine as ds
from engine.onnx.read.step import Step, Unreadable, plain, reads
from engine.onnx.read.windows import Windows


@reads("Gemm")
def _gemm(s: Step) -> Any:
    a, b, c = s.inputs[0], s.inputs[1], s.get(2)
    a = a.T if s.attr("transA", 0) else a
    plainly = s.attr("alpha", 1.0) == 1.0 and s.attr("beta", 1.0) == 1.0 and s.attr("transB", 0)
    if plainly and (c is None or (c.ndim == 1 and c.shape == b.shape[:1])):
        return ds.linear(a, b, c)
    out = ds.matmul(a, b.T if s.attr("transB", 0) else b)
    if s.attr("alpha", 1.0) != 1.0:
        out = out * s.attr("alpha")
    if c is not None:
        out = out + (c if s.attr("beta", 1.0) == 1.0 else c * s.attr("beta"))
    return out


@reads("Einsum")
def _einsum(s: Step) -> Any:
    return ds.einsum(s.attr("equation").replace(" ", ""), *s.inputs)


@reads("Conv")
def _conv(s: Step) -> Any:
    return convolved(s, s.inputs[0], s.inputs[1], s.get(2))


def convolved(s: Step, x: Any, weight: Any, bias: Any) -> Any:
    """The convolution that the attributes of `s` describe."""
    n = x.ndim - 2
    w = Windows(s, list(weight.shape[2:]), x.shape[2:])
    if n not in (1, 2, 3):
        raise Unreadable(f"a convolution over {n} dimensions")
    convolve = (ds.conv1d, ds.conv2d, ds.conv3d)[n - 1]
    padding: Any = tuple(w.before)
    if w.before != w.after:
        x, padding = w.padded(x), 0
    return convolve(x, weight, bias, tuple(w.strides), padding, tuple(w.dilations), s.attr("group", 1))


@reads("ConvTranspose")
def _conv_transpose(s: Step) -> Any:
    x, weight, bias = s.inputs[0], s.inputs[1], s.get(2)
    n = x.ndim - 2
    kernel = list(weight.shape[2:])
    strides, dilations = list(s.attr("strides") or [1] * n), list(s.attr("dilations") or [1] * n)
    extra, wanted = list(s.attr("output_padding") or [0] * n), s.attr("output_shape")
    pads = list(s.attr("pads") or [0] * (2 * n))
    before, after = pads[:n], pads[n:]
    auto = s.attr("auto_pad", "NOTSET")
    if auto.startswith("SAME") and not wanted:
        wanted = [size * stride for size, stride in zip(x.shape[2:], strides, strict=True)]
    if wanted:
        for i in range(n):
            whole = strides[i] * (x.shape[2 + i] - 1) + extra[i] + (kernel[i] - 1) * dilations[i] + 1
            total = max(0, whole - wanted[i])
            extra[i] += max(0, wanted[i] - whole)
            small = total // 2
            before[i], after[i] = (small, total - small) if auto == "SAME_UPPER" else (total - small, small)
    convolve = (ds.conv_transpose1d, ds.conv_transpose2d, ds.conv_transpose3d)[n - 1]
    out = convolve(x, weight, bias, tuple(strides), 0, 0, s.attr("group", 1), tuple(dilations))
    flat = [v for i in reversed(range(n)) for v in (-before[i], extra[i] - after[i])]
    if not any(flat):
        return out
    out = ds.pad(out, tuple(flat))
    if bias is not None and any(extra):
        out = out + _missing_bias(out, bias, before, extra, after)
    return out


def _missing_bias(out: Any, bias: Any, before: list[int], extra: list[int], after: list[int]) -> Any:
    """What padding the result left without its bias."""
    mask = np.zeros(out.shape[2:], out.dtype)
    for i in range(len(extra)):
        added = max(0, extra[i] - after[i])
        if added:
            mask[tuple([slice(None)] * i + [slice(mask.shape[i] - added, None)])] = 1
    return bias.reshape(-1, *[1] * len(extra)) * plain(mask)


@reads("Det")
def _det(s: Step) -> Any:
    return ds.det(s.inputs[0])
