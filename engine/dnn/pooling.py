"""Maximum over sliding windows of images and its transpose, by oneDNN. None where NumPy has to do it."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.dnn import library as dnn
from engine.dnn.convolution import geometry, strides_last, usable
from engine.dnn.library import Cache, Library, Primitive
from engine.ops.window import Sizes, Window
from engine.pool import channels_last, is_last, pool

MAXIMUM = 0x1FF
ENOUGH = 1 << 14

_cache = Cache()


def _described(lib: Library, x: Sizes, y: Sizes, w: Window) -> tuple[Any, ...]:
    src, dst = lib.layout(x, strides_last(x)), lib.layout(y, strides_last(y))
    stride, dilation, before, after = geometry(w)
    moves = (stride, dnn.dims(w.kernel), dilation, before, after)
    forward = lib.describe("pooling_forward", dnn.FORWARD, MAXIMUM, src, dst, *moves, None)
    places = lib.asked(forward, dnn.QUERY_WORKSPACE)
    # One byte for each window says which of its elements is the largest, and lies as the result does.
    if lib.size(places) != int(np.prod(y)):
        raise dnn.Refused
    return src, dst, places, moves, forward


def _forward(lib: Library, x: Sizes, y: Sizes, w: Window) -> Primitive:
    src, dst, places, _, forward = _described(lib, x, y, w)
    return Primitive(lib, forward, (dnn.SRC, dnn.DST, dnn.WORKSPACE), (src, dst, places))


def _backward(lib: Library, x: Sizes, y: Sizes, w: Window) -> Primitive:
    src, dst, places, moves, forward = _described(lib, x, y, w)
    back = lib.describe("pooling_backward", MAXIMUM, src, dst, *moves, forward, None)
    return Primitive(lib, back, (dnn.DIFF_DST, dnn.WORKSPACE, dnn.DIFF_SRC), (dst, places, src))


def maximum(x: Any, w: Window) -> tuple[Any, Any] | None:
    """The largest element of each window, and which of the window's elements it is."""
    if len(w.kernel) != 2 or x.ndim != 4:
        return None
    lib, fit = _ready(x, w, x.shape[2:], w.out(x.shape[2:]))
    # oneDNN passes over NaN and takes minus infinity for a large negative number; NumPy does those.
    if lib is None or fit is None or not is_last(x) or np.isnan(np.maximum.reduce(x, axis=None)):
        return None
    shape = (*x.shape[:2], *w.out(x.shape[2:]))
    with lib.lock:
        run = _cache.get(("forward", x.shape, shape, fit), lambda: _forward(lib, x.shape, shape, fit))
        if run is None:
            return None
        out, places = pool.last(shape, np.float32), pool.last(shape, np.uint8)
        run(x, out, places)
    return None if np.minimum.reduce(out, axis=None) <= np.finfo(np.float32).min else (out, places)


def scatter(g: Any, places: Any, w: Window, size: Sizes) -> Any:
    """Each element of `g` at the element of its window that `places` names, zeros elsewhere."""
    if len(w.kernel) != 2 or g.ndim != 4:
        return None
    lib, fit = _ready(g, w, size, g.shape[2:])
    if lib is None or fit is None or places.dtype != np.uint8 or not is_last(places):
        return None
    shape = (*g.shape[:2], *size)
    g = channels_last(g)
    with lib.lock:
        run = _cache.get(("back", shape, g.shape, fit), lambda: _backward(lib, shape, g.shape, fit))
        if run is None:
            return None
        into = pool.last(shape, np.float32)
        run(g, places, into)
    return into


def _ready(x: Any, w: Window, size: Sizes, out: Sizes) -> tuple[Library | None, Window | None]:
    if x.size < ENOUGH or not dnn.serves(x):
        return None, None
    plain = all(d == 1 for d in w.dilation) and np.prod(w.kernel) <= 256
    return dnn.library(), usable(w, size, out) if plain else None
