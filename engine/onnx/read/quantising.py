"""Numbers in 8 bits and less: QuantizeLinear, DequantizeLinear, and the products and convolutions of whole numbers.

A quantised number q stands for `(q - zero point) * scale`. Scale and zero point are one for the tensor, one for each
place along `axis`, or one for each block of places along it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import engine as ds
from engine.onnx.read.casting import NARROW_WHOLE, cast, is_plain, narrowed
from engine.onnx.read.products import convolved
from engine.onnx.read.step import Step, kind_of, plain, reads


def _spread(value: Any, like: Any, axis: int, block: int) -> Any:
    """A scale or zero point in a shape that meets `like`."""
    array = value if isinstance(value, np.ndarray) else value.array
    if array.ndim == 0 or (array.size == 1 and array.ndim < 2):
        return array.reshape(())
    if block or array.ndim == like.ndim:
        wide = np.repeat(array, block or 1, axis)
        return np.take(wide, np.arange(like.shape[axis]), axis)
    return array.reshape([-1 if d == axis % like.ndim else 1 for d in range(like.ndim)])


def _range(kind: Any) -> tuple[int, int]:
    if kind.name in NARROW_WHOLE:
        return NARROW_WHOLE[kind.name]
    info = np.iinfo(kind)
    return int(info.min), int(info.max)


def quantised(x: Any, scale: Any, zero: Any, kind: Any, saturate: bool = True) -> Any:
    """`x / scale + zero`, rounded to the nearest number (half to even) that `kind` has."""
    kind = np.dtype(kind)
    scaled = ds.div(x, plain(scale.astype(x.dtype)))
    if "float" in kind.name:
        return plain(narrowed(scaled.array + zero.astype(np.float32), kind, saturate))
    low, high = _range(kind)
    whole = ds.clamp(ds.round(scaled) + plain(zero.astype(x.dtype)), low, high)
    return whole.to(dtype=kind) if is_plain(kind) else plain(whole.array.astype(np.int8).astype(kind))


@reads("QuantizeLinear")
def _quantize(s: Step) -> Any:
    x, scale, zero = s.inputs[0], s.inputs[1], s.get(2)
    axis, block = int(s.attr("axis", 1)), int(s.attr("block_size", 0))
    given = s.attr("output_dtype", 0)
    kind: Any = zero.dtype if zero is not None else kind_of(given) if given else np.dtype("uint8")
    if not is_plain(x.dtype) or x.dtype.kind != "f":
        x = cast(x, np.float32)
    elif x.dtype == np.float16:
        x = x.to(dtype="float32")
    at = np.zeros((), np.int32) if zero is None else _spread(zero.array.astype(np.float32), x, axis, block)
    return quantised(
        x, _spread(scale.array.astype(np.float32), x, axis, block), at, kind, bool(s.attr("saturate", 1))
    )


@reads("DequantizeLinear")
def _dequantize(s: Step) -> Any:
    x, scale, zero = s.inputs[0], s.inputs[1], s.get(2)
    axis, block = int(s.attr("axis", 1)), int(s.attr("block_size", 0))
    given = s.attr("output_dtype", 0)
    kind: Any = np.dtype(kind_of(given)) if given else scale.dtype
    number = cast(x, np.float32)
    if zero is not None:
        number = number - plain(_spread(zero.array.astype(np.float32), x, axis, block))
    return cast(number * plain(_spread(scale.array.astype(np.float32), x, axis, block)), kind)


@reads("DynamicQuantizeLinear")
def _dynamic(s: Step) -> Any:
    x = s.inputs[0]
    high, low = max(float(x.array.max(initial=0)), 0.0), min(float(x.array.min(initial=0)), 0.0)
    scale = np.asarray((np.float32(high) - np.float32(low)) / np.float32(255) or 1, np.float32)
    zero = np.clip(np.rint(np.float32(0) - np.float32(low) / scale), 0, 255).astype(np.uint8)
    return [quantised(x, scale, zero, np.uint8), plain(scale), plain(zero)]


def _away(x: Any, zero: Any, axis: int) -> Any:
    """The whole numbers `x` less their zero point, in float64, where sums of their products are exact."""
    number = cast(x, np.float64)
    if zero is None:
        return number
    return number - plain(_spread(zero.array.astype(np.float64), x, axis, 0))


@reads("MatMulInteger")
def _matmul_integer(s: Step) -> Any:
    a, b = _away(s.inputs[0], s.get(2), -2), _away(s.inputs[1], s.get(3), -1)
    return ds.matmul(a, b).to(dtype="int32")


@reads("QLinearMatMul")
def _qlinear_matmul(s: Step) -> Any:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = s.inputs
    made = ds.matmul(_away(a, a_zero, -2), _away(b, b_zero, -1))
    first, second = (v.array.astype(np.float64) for v in (a_scale, b_scale))
    factor = _spread(first, made, -2, 0) * _spread(second, made, -1, 0)
    return quantised(
        made * plain(factor),
        _spread(y_scale.array.astype(np.float64), made, -2, 0),
        _spread(y_zero, made, -2, 0),
        y_zero.dtype,
    )


@reads("ConvInteger")
def _conv_integer(s: Step) -> Any:
    return convolved(s, _away(s.inputs[0], s.get(2), 1), _away(s.inputs[1], s.get(3), 0), None).to(
        dtype="int32"
    )


@reads("QLinearConv")
def _qlinear_conv(s: Step) -> Any:
    x, x_scale, x_zero, weight, w_scale, w_zero, y_scale, y_zero = s.inputs[:8]
    bias = None if s.get(8) is None else cast(s.get(8), np.float64)
    made = convolved(s, _away(x, x_zero, 1), _away(weight, w_zero, 0), bias)
    factor = x_scale.array.astype(np.float64) * _spread(w_scale.array.astype(np.float64), made, 1, 0)
    return quantised(
        made * plain(np.asarray(factor)),
        y_scale.array.astype(np.float64),
        _spread(y_zero, made, 1, 0),
        y_zero.dtype,
    )
