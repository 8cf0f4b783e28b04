"""Activations, softmax, dropout and layer norm, each in one or two launches."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.backend import cupy
from engine.gpu import capture, launch
from engine.gpu.launch import in_order, int32, int64, ordered, serves
from engine.gpu.layout import flat, lie, turned, unflat

STRIP = 64  # rows whose parts of a sum are added up one after another


def _usable(*arrays: Any) -> bool:
    return bool(arrays[0].size) and serves(*arrays)


def unary(name: str, x: Any) -> Any:
    """The kernel `name` of every element: "relu" or "gelu"."""
    if turned(x):
        made = unary(name, flat(x))
        return None if made is None else unflat(made)
    if not _usable(x):
        return None
    out = cupy().empty(x.shape, x.dtype)
    launch.each(name, x.dtype.char, x.size, x, out, int64(x.size))
    return out


ADD, SUB, MUL, DIV = range(4)
TURNED = {ADD: ADD, SUB: 4, MUL: MUL, DIV: 5}  # with the number first
EXACT = 1 << 53  # whole numbers below are exact as a double


def arithmetic(what: int, a: Any, b: Any) -> Any:
    """Sum, difference, product or quotient of two arrays alike, or of an array and a number."""
    number = 0.0
    if type(b) is float or (type(b) is int and -EXACT < b < EXACT):
        number, b = float(b), NOTHING
    elif type(a) is float or (type(a) is int and -EXACT < a < EXACT):
        number, a, b, what = float(a), b, NOTHING, TURNED[what]
    elif type(a) is not type(b) or b.dtype != a.dtype or a.shape != b.shape or not in_order(b):
        return None
    if (
        getattr(a, "dtype", None) is None
        or a.dtype.char not in launch.KINDS
        or not in_order(a)
        or not a.size
        or not launch.compiled(a.dtype.char)
    ):
        return None
    out = cupy().empty(a.shape, a.dtype)
    launch.each("arithmetic", a.dtype.char, a.size, a, b, out, a.size, number, int32(what))
    return out


NOTHING = int64(0)


def gradient(name: str, g: Any, kept: Any) -> Any:
    """The kernel `name` of a gradient and what was kept for it."""
    if turned(kept):
        made = gradient(name, flat(lie(g, True)), flat(kept))
        return None if made is None else unflat(made)
    if g.shape != kept.shape or not _usable(g, kept):
        return None
    out = cupy().empty(g.shape, g.dtype)
    launch.each(name, g.dtype.char, g.size, g, kept, out, int64(g.size))
    return out


def add_bias(rows: Any, bias: Any) -> bool:
    """Add one number for each column to `rows` in place; whether it was done."""
    if bias.ndim != 1 or rows.shape[-1:] != bias.shape or not _usable(rows, bias):
        return False
    launch.each("add_bias", rows.dtype.char, rows.size, rows, bias, int64(rows.size), int32(bias.size))
    return True


def softmax(x: Any, logarithm: bool) -> Any:
    """Softmax over the last dimension, or its logarithm."""
    if not x.ndim or not _usable(x):
        return None
    out, columns = cupy().empty(x.shape, x.dtype), x.shape[-1]
    launch.rows("softmax", x.dtype.char, x.size // columns, columns, x, out, int32(columns), int32(logarithm))
    return out


def softmax_gradient(g: Any, out: Any, logarithm: bool) -> Any:
    """Its gradient from the result."""
    g = ordered(g)
    if g.shape != out.shape or not out.ndim or not _usable(g, out):
        return None
    to, columns = cupy().empty(g.shape, g.dtype), g.shape[-1]
    launch.rows(
        "softmax_gradient",
        g.dtype.char,
        g.size // columns,
        columns,
        g,
        out,
        to,
        int32(columns),
        int32(logarithm),
    )
    return to


def layer_norm(x: Any, weight: Any, bias: Any, size: int, eps: float) -> Any:
    """(result, means, 1 / standard deviations) over the last `size` elements; not of half precision."""
    if weight is None or bias is None or x.dtype.char == "e" or not _usable(x, weight, bias):
        return None
    module, count = cupy(), x.size // size
    out, means, rstds = (
        module.empty(x.shape, x.dtype),
        module.empty(count, x.dtype),
        module.empty(count, x.dtype),
    )
    launch.rows(
        "layer_norm", x.dtype.char, count, size, x, weight, bias, out, means, rstds, int32(size), float(eps)
    )
    return out, means, rstds


def layer_norm_gradients(g: Any, x: Any, weight: Any, means: Any, rstds: Any, size: int) -> Any:
    """The gradients for the input, the weight and the bias."""
    module = cupy()
    g = ordered(g)
    if weight is None or x.dtype.char == "e" or not _usable(x, g, weight, means, rstds):
        return None
    kind, count = x.dtype.char, x.size // size
    to = module.empty(x.shape, x.dtype)
    launch.rows("layer_norm_gradient", kind, count, size, g, x, weight, means, rstds, to, int32(size))
    strips = -(-count // STRIP)
    parts = module.empty((strips, 2, size), x.dtype)
    launch.kernel("layer_norm_sums", kind)(
        (-(-size // 128), strips),
        (128,),
        (g, x, means, rstds, parts, int32(count), int32(size), int32(STRIP)),
    )
    sums = parts.sum(axis=0)
    return to, sums[0], sums[1]


def classes(target: Any, dtype: Any, ignored: int, mean: bool) -> Any:
    """(what each class counts, the classes with those that are ignored made 0, the least and the largest on the GPU)."""
    kind, size = dtype.char, target.size
    if (
        target.dtype != np.int64
        or not 0 < size <= FEW
        or not in_order(target)
        or kind not in launch.KINDS
        or not launch.compiled(kind)
    ):
        return None
    module = cupy()
    safe, counts, found = (
        module.empty(target.shape, "int64"),
        module.empty(target.shape, dtype),
        module.empty(2, "int64"),
    )
    launch.kernel("classes", kind)((1,), (256,), (target, size, ignored, int32(mean), safe, counts, found))
    return counts, safe, found


FEW = 1 << 16  # classes that one block goes through


def cross_entropy(x: Any, target: Any, counts: Any) -> Any:
    """(probabilities, losses) of rows of scores, their classes and what each counts."""
    if (
        x.ndim != 2
        or target.dtype != np.int64
        or counts.shape != target.shape
        or not in_order(target)
        or not _usable(x, counts)
    ):
        return None
    module, (count, columns) = cupy(), x.shape
    probabilities, loss = module.empty(x.shape, x.dtype), module.empty(count, x.dtype)
    kind = x.dtype.char
    launch.rows("cross_entropy", kind, count, columns, x, target, counts, probabilities, loss, int32(columns))
    return probabilities, loss


def cross_entropy_gradient(probabilities: Any, target: Any, each: Any) -> Any:
    """The gradient of the scores, given that of each row's loss."""
    if (
        target.dtype != np.int64
        or not target.flags.c_contiguous
        or each.ndim != 1
        or not _usable(probabilities, each)
    ):
        return None
    to, size = cupy().empty(probabilities.shape, probabilities.dtype), probabilities.size
    launch.each(
        "cross_entropy_gradient", to.dtype.char, size, probabilities, target, each, to, int64(size),
        int32(probabilities.shape[1]),
    )  # fmt: skip
    return to


def bounds(index: Any) -> tuple[int, int] | None:
    """The least and the largest of whole numbers on a GPU; this waits for them."""
    if index.dtype != np.int64 or not index.flags.c_contiguous or not launch.compiled("f"):
        return None
    found = cupy().empty(2, "int64")
    launch.kernel("bounds", "f")((1,), (256,), (index, int64(index.size), found))
    least, most = found.tolist()
    return least, most


def dropout(x: Any, p: float, seed: int, counter: int) -> Any:
    """(result, what is kept): the elements that NumPy's generator keeps from the same seed."""
    if not _usable(x) or x.dtype.char == "d":
        capture.refuse("a dropout that is drawn by the CPU")
        return None
    module = cupy()
    out, mask = module.empty(x.shape, x.dtype), module.empty(x.shape, bool)
    launch.each(
        "dropout", x.dtype.char, -(-x.size // 8), x, out, mask, int64(x.size), *_drawn(p, seed, counter),
    )  # fmt: skip
    return out, mask


def dropped(shape: tuple[int, ...], dtype: Any, p: float, seed: int, counter: int) -> Any:
    """What a dropout multiplies with, 0 or 1 / (1 - p)."""
    if 0 in shape or dtype.char not in launch.KINDS or not launch.compiled(dtype.char):
        capture.refuse("a dropout that is drawn by the CPU")
        return None
    out = cupy().empty(shape, dtype)
    launch.each("dropped", dtype.char, -(-out.size // 8), out, int64(out.size), *_drawn(p, seed, counter))
    return out


def _drawn(p: float, seed: int, counter: int) -> tuple[Any, ...]:
    key = capture.words(seed, counter)
    return *key, np.float32(p), float(1 / (1 - p) if p < 1 else 0.0), capture.seeded(seed, counter)
