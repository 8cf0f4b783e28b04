"""The largest element of windows over two dimensions, and its gradient, one launch each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.backend import cupy
from engine.gpu import launch
from engine.gpu.launch import int32, int64, ordered
from engine.gpu.layout import MOST, lie, room_for, turnable, turned
from engine.ops.window import Sizes, Window


def _geometry(w: Window, size: Sizes, out: Sizes) -> Any:
    """The window as the kernels take it, None for one they do not."""
    if (
        len(size) != 2
        or any(before < 0 or after < 0 for before, after in w.padding)
        or w.kernel[0] * w.kernel[1] > 256
    ):
        return None
    before = [pair[0] for pair in w.padding]
    return [int32(v) for v in (*size, *out, *w.kernel, *w.stride, *before, *w.dilation)]


def maximum(x: Any, w: Window) -> Any:
    """(largest, places) of `x` [..., height, width]."""
    size, out_size = x.shape[-2:], w.out(x.shape[-len(w.kernel) :])
    shape = _geometry(w, size, out_size) if len(w.kernel) == 2 else None
    if shape is None or not x.size:
        return None
    if turned(x) and x.size < MOST and turnable(x):
        whole = (*x.shape[:2], *out_size)
        out, places = room_for(whole, x.dtype, True), room_for(whole, np.dtype(np.uint8), True)
        launch.each(
            "max_pool_last", x.dtype.char, out.size, x, out, places, int64(out.size), int32(x.shape[1]), *shape,
            file="images",
        )  # fmt: skip
        return out, places
    x = ordered(x)
    if not launch.serves(x):
        return None
    module = cupy()
    out = module.empty((*x.shape[:-2], *out_size), x.dtype)
    places = module.empty(out.shape, "uint8")
    launch.each("max_pool", x.dtype.char, out.size, x, out, places, int64(out.size), *shape)
    return out, places


def scatter(g: Any, places: Any, w: Window, size: Sizes) -> Any:
    """Each element of `g` where `places` says it came from, in planes of spatial `size`."""
    shape = _geometry(w, size, g.shape[-2:]) if len(w.kernel) == 2 else None
    if shape is not None and g.size and turned(places):
        if places.dtype.char != "B" or math.prod(g.shape[:2]) * math.prod(size) >= MOST or not turnable(g):
            return None
        g, to = lie(g, True), room_for((*g.shape[:-2], *size), g.dtype, True)
        launch.each(
            "max_pool_gradient_last", g.dtype.char, to.size, g, places, to, int64(to.size), int32(g.shape[1]), *shape,
            file="images",
        )  # fmt: skip
        return to
    g = ordered(g)
    usable = places.dtype.char == "B" and places.flags.c_contiguous
    if shape is None or not g.size or not usable or not launch.serves(g):
        return None
    to = cupy().empty((*g.shape[:-2], *size), g.dtype)
    launch.each("max_pool_gradient", g.dtype.char, to.size, g, places, to, int64(to.size), *shape)
    return to
