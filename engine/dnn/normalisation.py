"""Batch and layer normalisation and their gradients, by C of our own or by oneDNN. None where NumPy has to do it."""

from __future__ import annotations

from ctypes import c_float, c_uint
from typing import Any

import numpy as np

from engine.dnn import batch
from engine.dnn import library as dnn
from engine.dnn.library import Cache, Library, Primitive
from engine.pool import channels_last, is_last, pool

_cache = Cache()


# What a relu behind the normalisation makes of its result is computed with it; the statistics are given.
RELU, GIVEN = 8, 1


def _described(lib: Library, shape: tuple[int, ...], strides: tuple[int, ...], eps: float, flags: int) -> Any:
    data = lib.layout(shape, strides)
    forward = lib.describe(
        "batch_normalization_forward", dnn.FORWARD, data, data, c_float(eps), c_uint(flags), None
    )
    return data, lib.layout(shape[1:2], (1,)), forward, c_float(eps), c_uint(flags)


def _forward(lib: Library, shape: Any, strides: Any, eps: float, flags: int) -> tuple[Primitive, int]:
    """The computation, and the bytes of the places where the result is positive (0 without a relu)."""
    data, row, forward, *_ = _described(lib, shape, strides, eps, flags)
    kinds, layouts = [dnn.SRC, dnn.DST, dnn.MEAN, dnn.VARIANCE], [data, data, row, row]
    for flag, kind in ((dnn.SCALE, dnn.SCALES), (dnn.SHIFT, dnn.SHIFTS)):
        if flags & flag:
            kinds.append(kind)
            layouts.append(row)
    size = 0
    if flags & RELU:
        places = lib.asked(forward, dnn.QUERY_WORKSPACE)
        size = lib.size(places)
        kinds.append(dnn.WORKSPACE)
        layouts.append(places)
    return Primitive(lib, forward, kinds, layouts), size


def _backward(lib: Library, shape: Any, strides: Any, eps: float, flags: int) -> Primitive:
    data, row, forward, *rest = _described(lib, shape, strides, eps, flags)
    back = lib.describe("batch_normalization_backward", dnn.BACKWARD, data, data, data, *rest, forward, None)
    kinds = [dnn.SRC, dnn.DIFF_DST, dnn.MEAN, dnn.VARIANCE, dnn.DIFF_SRC]
    layouts = [data, data, row, row, data]
    more = [(dnn.SCALE, dnn.SCALES), (dnn.SCALE, dnn.DIFF_SCALES), (dnn.SHIFT, dnn.DIFF_SHIFTS)]
    for flag, kind in more:
        if flags & flag:
            kinds.append(kind)
            layouts.append(row)
    if flags & RELU:
        kinds.append(dnn.WORKSPACE)
        layouts.append(lib.asked(forward, dnn.QUERY_WORKSPACE))
    return Primitive(lib, back, kinds, layouts)


def _ready(x: Any, *others: Any) -> Library | None:
    if x.ndim != 4 or not dnn.serves(x, *(o for o in others if o is not None)):
        return None
    return dnn.library() if x.flags.c_contiguous or is_last(x) else None


def _strides(x: Any) -> tuple[int, ...]:
    return tuple(step // 4 for step in x.strides)


def _variance(rstd: Any, eps: float) -> Any:
    """What the library adds `eps` to, from 1 / deviation."""
    return (1 / (rstd.astype(np.float64) ** 2) - eps).astype(np.float32)


def normalise(x: Any, weight: Any, bias: Any, eps: float) -> tuple[Any, Any, Any] | None:
    """`x` with mean 0 and variance 1 in each channel, scaled and shifted; its mean and variance (biased)."""
    mean, variance = np.empty(x.shape[1:2], np.float32), np.empty(x.shape[1:2], np.float32)
    made = _normalised(x, weight, bias, eps, mean, variance, 0)
    return None if made is None else (made[0], mean, variance)


def rectified(x: Any, weight: Any, bias: Any, eps: float) -> tuple[Any, Any, Any, Any] | None:
    """The relu of `normalise`, mean and variance, and where the result is positive, as `gradients` takes it.

    The bits are those of one after the other. oneDNN does not do what is not finite: of NaN, relu makes NaN and it
    would make 0.
    """
    mean, variance = np.empty(x.shape[1:2], np.float32), np.empty(x.shape[1:2], np.float32)
    made = _normalised(x, weight, bias, eps, mean, variance, RELU)
    if made is None:
        return None
    given = (v for v in (mean, variance, weight, bias) if v is not None)
    if type(made[1]) is not batch.Signs and not all(np.isfinite(v).all() for v in given):
        return None
    return made[0], mean, variance, made[1]


def again(x: Any, weight: Any, bias: Any, eps: float, mean: Any, variance: Any, relu: bool = False) -> Any:
    """`normalise` (or the relu of it) with the statistics it found, to the bit."""
    made = _normalised(x, weight, bias, eps, mean, variance, GIVEN | (RELU if relu else 0))
    return None if made is None else made[0]


def _normalised(
    x: Any, weight: Any, bias: Any, eps: float, mean: Any, variance: Any, flags: int
) -> tuple[Any, Any] | None:
    given, relu = bool(flags & GIVEN), bool(flags & RELU)
    out = batch.forward(x, weight, bias, eps, mean, variance, given, relu)
    if out is not None:
        return out, batch.Signs(None if bias is None else bias.copy()) if relu else None
    lib = _ready(x, weight, bias)
    if lib is None:
        return None
    flags |= (0 if weight is None else dnn.SCALE) | (0 if bias is None else dnn.SHIFT)
    key = ("forward", x.shape, _strides(x), eps, flags)
    with lib.lock:
        found = _cache.get(key, lambda: _forward(lib, *key[1:]))
        if found is None:
            return None
        run, size = found
        out = pool.like(x)
        places = [pool.empty((size,), np.uint8)] if flags & RELU else []
        scales = [np.ascontiguousarray(v) for v in (weight, bias) if v is not None]
        run(x, out, mean, variance, *scales, *places)
    return out, places[0] if places else None


def gradients(
    g: Any, x: Any, weight: Any, mean: Any, rstd: Any, eps: float, places: Any = None
) -> tuple[Any, Any, Any] | None:
    """The gradients of the input, the weight (None without one) and the bias.

    With the `places` that `rectified` gave, `g` is the gradient of the relu's result.
    """
    signs = type(places) is batch.Signs
    if places is None or signs:
        found = batch.backward(g, x, weight, mean, rstd, signs, places.bias if signs else None)
        if found is not None or signs:
            return found
    lib = _ready(x, g, weight)
    if lib is None:
        return None
    g = channels_last(g) if is_last(x) else np.ascontiguousarray(g)
    flags = dnn.SHIFT | (0 if weight is None else dnn.SCALE) | (0 if places is None else RELU)
    key = ("backward", x.shape, _strides(x), eps, flags)
    variance = _variance(rstd, eps)
    to_bias = np.empty_like(mean)
    to_weight = None if weight is None else np.empty_like(mean)
    with lib.lock:
        run = _cache.get(key, lambda: _backward(lib, *key[1:]))
        if run is None:
            return None
        to_input = pool.like(x)
        scales = () if weight is None else (np.ascontiguousarray(weight), to_weight)
        run(x, g, mean, variance, to_input, *scales, to_bias, *(() if places is None else (places,)))
    return to_input, to_weight, to_bias


def _rows(lib: Library, rows: int, size: int, eps: float, back: bool) -> Primitive:
    table, column, line = (
        lib.layout((rows, size), (size, 1)),
        lib.layout((rows,), (1,)),
        lib.layout((size,), (1,)),
    )
    settings = c_float(eps), c_uint(dnn.SCALE | dnn.SHIFT)
    forward = lib.describe("layer_normalization_forward", dnn.FORWARD, table, table, column, *settings, None)
    if not back:
        given = (dnn.SRC, dnn.DST, dnn.MEAN, dnn.VARIANCE, dnn.SCALES, dnn.SHIFTS)
        return Primitive(lib, forward, given, (table, table, column, column, line, line))
    description = lib.describe(
        "layer_normalization_backward", dnn.BACKWARD, table, table, table, column, *settings, forward, None
    )
    kinds = (
        dnn.SRC, dnn.DIFF_DST, dnn.MEAN, dnn.VARIANCE, dnn.SCALES, dnn.SHIFTS,
        dnn.DIFF_SRC, dnn.DIFF_SCALES, dnn.DIFF_SHIFTS,
    )  # fmt: skip
    return Primitive(lib, description, kinds, (table, table, column, column, line, line, table, line, line))


# Elements from which the rows are worth a call.
ENOUGH = 1 << 14


def _row_lib(x: Any, *others: Any) -> Library | None:
    if x.size < ENOUGH or not dnn.serves(x, *others) or not all(a.flags.c_contiguous for a in (x, *others)):
        return None
    return dnn.library()


def normalise_rows(
    x: Any, weight: Any, bias: Any, eps: float, shape: tuple[int, ...]
) -> tuple[Any, Any, Any] | None:
    """Each row of `x` [rows, size] with mean 0 and variance 1, scaled and shifted, as `shape`; their means and variances."""
    lib = _row_lib(x, weight, bias)
    if lib is None:
        return None
    mean, variance = np.empty(len(x), np.float32), np.empty(len(x), np.float32)
    key = (*x.shape, eps, False)
    with lib.lock:
        run = _cache.get(key, lambda: _rows(lib, *key))
        if run is None:
            return None
        out = pool.empty(shape, np.float32)  # no view, so that it can be taken over
        run(x, out, mean, variance, weight, bias)
    return out, mean, variance


def row_gradients(
    g: Any, x: Any, weight: Any, mean: Any, rstd: Any, eps: float, shape: tuple[int, ...]
) -> tuple[Any, Any, Any] | None:
    """The gradients of the rows, as `shape`, of the weight and of the bias."""
    lib = _row_lib(x, g, weight)
    if lib is None:
        return None
    variance = _variance(rstd, eps)
    to_weight, to_bias = np.empty_like(weight), np.empty_like(weight)
    key = (*x.shape, eps, True)
    with lib.lock:
        run = _cache.get(key, lambda: _rows(lib, *key))
        if run is None:
            return None
        into = pool.empty(shape, np.float32)
        # It asks for a shift, of which nothing depends: any row will do.
        run(x, g, mean, variance, weight, weight, into, to_weight, to_bias)
    return into, to_weight, to_bias
