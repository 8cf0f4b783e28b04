"""Activations and softmax by oneDNN, on float32 arrays that lie in one piece. None where NumPy has to do it."""

from __future__ import annotations

from ctypes import c_float, c_int
from typing import Any

import numpy as np

from engine.dnn import library as dnn
from engine.dnn.library import Cache, Library, Primitive
from engine.dnn.loop import below_infinity
from engine.pool import is_last, owns, pool

RELU_BY_RESULT, GELU, GELU_TANH = 256, 49, 43
SOFTMAX = 0x30000
# Elements from which it pays: a call takes about 6 us.
ENOUGH = 1 << 14

_cache = Cache()


def _lib(first: Any, *others: Any) -> Library | None:
    """The library where all arrays lie alike and in one piece."""
    if first.size < ENOUGH or not dnn.serves(first, *others):
        return None
    if first.flags.c_contiguous:
        alike = all(other.flags.c_contiguous for other in others)
    else:
        alike = is_last(first) and all(other.strides == first.strides for other in others)
    return dnn.library() if alike and all(other.shape == first.shape for other in others) else None


def _forward(lib: Library, kind: int, size: int) -> tuple[Any, Any]:
    line = lib.layout((size,), (1,))
    zero = c_float(0)
    return line, lib.describe("eltwise_forward", dnn.FORWARD, kind, line, line, zero, zero, None)


def _applied(lib: Library, kind: int, size: int) -> Primitive:
    line, forward = _forward(lib, kind, size)
    return Primitive(lib, forward, (dnn.SRC, dnn.DST), (line, line))


def _back(lib: Library, kind: int, size: int) -> Primitive:
    line, forward = _forward(lib, kind, size)
    back = lib.describe("eltwise_backward", kind, line, line, line, c_float(0), c_float(0), forward, None)
    known = dnn.DST if kind == RELU_BY_RESULT else dnn.SRC
    return Primitive(lib, back, (known, dnn.DIFF_DST, dnn.DIFF_SRC), (line, line, line))


def gelu(x: Any, kind: int = GELU) -> Any:
    """x Φ(x), or with `GELU_TANH` what approximates it."""
    lib = _lib(x)
    if lib is None or not below_infinity(x):  # the kernels make other numbers of others than they should
        return None
    with lib.lock:
        run = _cache.get((kind, x.size), lambda: _applied(lib, kind, x.size))
        if run is None:
            return None
        out = pool.like(x)
        run(x, out)
    return out


def gelu_gradient(g: Any, x: Any, kind: int = GELU) -> Any:
    """`g` times the slope of `gelu` at `x`."""
    return _gradient(kind, g, x, False)


def relu_gradient(g: Any, out: Any, spare: bool) -> Any:
    """`g` where `out` is above 0; written to `g` itself where it is `spare`."""
    return _gradient(RELU_BY_RESULT, g, out, spare)


def like(g: Any, known: Any) -> Any:
    """A gradient that is one number everywhere, as that of a sum is, as an array that lies like `known`."""
    if g.size >= ENOUGH and g.shape == known.shape and 0 in g.strides and known.flags.c_contiguous:
        return np.ascontiguousarray(g)
    return g


def _gradient(kind: int, g: Any, known: Any, spare: bool) -> Any:
    g = like(g, known)
    lib = _lib(known, g)
    if lib is None:
        return None
    with lib.lock:
        run = _cache.get((kind, "back", g.size), lambda: _back(lib, kind, g.size))
        if run is None:
            return None
        into = g if spare and owns(g) else pool.like(known)
        run(known, g, into)
    return into


def _softmax(lib: Library, rows: int, size: int, back: bool) -> Primitive:
    table = lib.layout((rows, size), (size, 1))
    axis = c_int(1)
    forward = lib.describe("softmax_forward", dnn.FORWARD, SOFTMAX, table, table, axis, None)
    if not back:
        return Primitive(lib, forward, (dnn.SRC, dnn.DST), (table, table))
    description = lib.describe("softmax_backward", SOFTMAX, table, table, table, axis, forward, None)
    return Primitive(lib, description, (dnn.DST, dnn.DIFF_DST, dnn.DIFF_SRC), (table, table, table))


def softmax(x: Any) -> Any:
    """Softmax over the last dimension."""
    lib = _lib(x) if x.flags.c_contiguous else None
    if lib is None or not below_infinity(x):
        return None
    with lib.lock:
        key = (x.size // x.shape[-1], x.shape[-1], False)
        run = _cache.get(("softmax", *key), lambda: _softmax(lib, *key))
        if run is None:
            return None
        out = pool.like(x)
        run(x, out)
    return out


def softmax_gradient(g: Any, out: Any) -> Any:
    """The gradient of `softmax` by its result."""
    g = like(g, out)
    lib = _lib(out, g) if out.flags.c_contiguous else None
    if lib is None:
        return None
    with lib.lock:
        key = (out.size // out.shape[-1], out.shape[-1], True)
        run = _cache.get(("softmax", *key), lambda: _softmax(lib, *key))
        if run is None:
            return None
        into = pool.like(out)
        run(out, g, into)
    return into
