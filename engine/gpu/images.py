"""What ops do on a GPU with images that have their channels last in memory, by functions that take what the ops take.

`..._vjp` is the gradient rule. What is not done here gives None, and the op's own function serves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from engine.dtype import as_dtype
from engine.gpu import batch, elementwise, launch
from engine.gpu.launch import in_order, int32, int64
from engine.gpu.layout import ALIGNMENT, MOST, flat, lie, room_for, turned, unflat
from engine.ops.activation import foresee


def _served(*arrays: Any) -> bool:
    """Whether a kernel of these is there: one type, addresses as it takes them."""
    kind = arrays[0].dtype
    return (
        kind.char in launch.KINDS
        and all(a.dtype == kind and not a.data.ptr % ALIGNMENT for a in arrays)
        and launch.compiled(kind.char, "images")
    )


def add(input: Any, other: Any) -> Any:
    """The sum of two arrays of one shape."""
    if not turned(input) and not turned(other):
        return None
    if getattr(other, "shape", None) != input.shape or not input.size or not _served(input, other):
        return None
    input, other = lie(input, True), lie(other, True)
    out = room_for(input.shape, input.dtype, True)
    launch.each(
        "sum", input.dtype.char, -(-input.size // 4), input, other, out, int64(input.size), file="images"
    )
    return out


def cast(input: Any, *, dtype: str) -> Any:
    """Another element type."""
    return _as(input, as_dtype(dtype))


def cast_vjp(g: Any, out: Any, input: Any, *, dtype: str) -> Any:
    """The gradient in the type that the input has."""
    return _as(g, input.dtype)


def _as(array: Any, kind: Any) -> Any:
    """A copy of another type, which lies as the array does."""
    last, (a, b) = turned(array), (array.dtype.char, kind.char)
    short = a if b == "f" else b
    if (
        "f" not in (a, b)
        or short not in "eE"
        or not array.size
        or not (last or in_order(array))
        or not _served(array)
    ):
        return unflat(flat(array).astype(kind)) if last else None
    if not launch.compiled(short, "images"):
        return None
    to = room_for(array.shape, kind, last)
    name = "widen" if b == "f" else "narrow"
    launch.each(name, short, -(-array.size // 4), array, to, int64(array.size), file="images")
    return to


def relu(input: Any) -> Any:
    """What is positive."""
    return elementwise.unary("relu", input)


def relu_vjp(g: Any, out: Any, input: Any, *, spare: bool = False) -> Any:
    """The gradient where the result is positive."""
    if turned(out) and getattr(input, "op", None) is not None and input.op.name in ("batch_norm", "add"):
        foresee(input)
    if g.shape != out.shape or not out.size or not _served(g, out):
        return elementwise.gradient("relu_gradient", g, out)
    last = turned(out)
    if not last and not in_order(out):
        return None
    g, to = lie(g, last), room_for(out.shape, out.dtype, last)
    launch.each("rectified", g.dtype.char, -(-to.size // 4), g, out, to, int64(to.size), file="images")
    return to


# --- batch normalisation -----------------------------------------------------------------------------------


def batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any,
    *, training: bool, momentum: float, eps: float,
) -> Any:  # fmt: skip
    """The result, mean and 1 / deviation: two of the rows of what the kernels keep."""
    if not turned(input):
        return None
    made = batch.normalise(input, weight, bias, running_mean, running_var, momentum, eps, training)
    return None if made is None else (made[0], made[1][0], made[1][1], weight is not None)


def kept(mean: Any, rstd: Any) -> bool:
    """Whether these are rows of what our kernels keep, and not of cuDNN's or CuPy's making."""
    return (
        getattr(mean.base, "shape", None) == (4, *mean.shape)
        and rstd.data.ptr == mean.data.ptr + mean.nbytes
        and mean.dtype == rstd.dtype
    )


def batch_norm_vjp(
    g: Any, out: Any, input: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any,
    *, training: bool, momentum: float, eps: float, mean: Any, rstd: Any, affine: bool,
) -> Any:  # fmt: skip
    """The gradients of the images, the weight and the bias."""
    if input is None or (affine and weight is None) or not turned(input) or not kept(mean, rstd):
        return None
    made = batch.gradients(g, input, weight, mean, training)
    if made is None:
        return None
    return norm_gradients(made, affine, bias)


def norm_gradients(made: Any, affine: bool, bias: Any) -> Any:
    """What `batch.gradients` gave, as the gradients of the arguments."""
    to_bias = made[2] if bias is not None and getattr(bias, "requires", True) else None
    return made[0], None, None, made[1] if affine else None, to_bias


# --- the mean of each image ----------------------------------------------------------------------------------


def _pooled(shape: tuple[int, ...], output_size: Any) -> bool:
    return len(shape) == 4 and (output_size == 1 or output_size == (1, 1)) and 0 < math.prod(shape) < MOST


def adaptive_avg_pool2d(input: Any, *, output_size: Any) -> Any:
    """The mean of each channel of each image."""
    if not turned(input) or not _pooled(input.shape, output_size) or not _served(input):
        return None
    n, channels, height, width = input.shape
    out = room_for((n, channels, 1, 1), input.dtype, False)
    launch.each(
        "mean_last", input.dtype.char, out.size, input, out, int64(out.size), int32(channels),
        int32(height * width), file="images",
    )  # fmt: skip
    return out


def adaptive_avg_pool2d_vjp(g: Any, out: Any, input: Any, *, output_size: Any) -> Any:
    """The share of each pixel."""
    if not _pooled(input.shape, output_size):
        return None
    g = lie(g, False)
    if not _served(g):
        return None
    to = room_for(input.shape, g.dtype, True)
    _, channels, height, width = input.shape
    pixels = height * width
    launch.each(
        "spread_last", g.dtype.char, to.size, g, to, int64(to.size), int32(channels), int32(pixels),
        1 / pixels, file="images",
    )  # fmt: skip
    return to


# By the names of the ops.
FORWARD: dict[str, Callable[..., Any]] = {
    "add": add, "cast": cast, "relu": relu, "batch_norm": batch_norm, "adaptive_avg_pool2d": adaptive_avg_pool2d,
}  # fmt: skip
RULES: dict[str, Callable[..., Any]] = {
    "cast": cast_vjp, "relu": relu_vjp, "batch_norm": batch_norm_vjp,
    "adaptive_avg_pool2d": adaptive_avg_pool2d_vjp,
}  # fmt: skip
