"""Convolution and its two gradients, by oneDNN, on arrays with their channels last.

Those of images stay as they are; over one and three dimensions, where nothing else wants the channels last, results
are in order. Each function gives None where oneDNN does not do it, and NumPy has to.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from engine.dnn import library as dnn
from engine.dnn import winograd
from engine.dnn.library import Cache, Library, Primitive
from engine.ops.window import Sizes, Window
from engine.pool import channels_last, pool
from engine.shapes import steps

_cache = Cache()


class Prepared(NamedTuple):
    """A computation with the change of layout its weight needs before (or after)."""

    run: Primitive
    turn: Primitive | None
    size: int  # bytes of the weight in the layout it is turned to


def usable(w: Window, size: Sizes, out: Sizes) -> Window | None:
    """The window with padding that oneDNN takes, for an input of `size` with `out` windows."""
    pairs = tuple((before, max(after, 0)) for before, after in w.padding)
    w = w._replace(padding=pairs)
    return w if all(before >= 0 for before, _ in pairs) and w.out(size) == tuple(out) else None


def geometry(w: Window) -> tuple[Any, ...]:
    """Strides, dilation and padding as the library takes them."""
    before, after = zip(*w.padding, strict=True)
    return tuple(dnn.dims(n) for n in (w.stride, [d - 1 for d in w.dilation], before, after))


def strides_last(shape: Sizes) -> Sizes:
    """The strides, in elements, of an array with its channels last in memory."""
    between = steps((*shape[2:], shape[1]))
    return (math.prod(shape[1:]), 1, *between[:-1])


def _weight(lib: Library, shape: Sizes, groups: int, free: bool) -> Any:
    """The layout of the weight: NumPy's, or the one the library likes best."""
    shape = shape if groups == 1 else (groups, shape[0] // groups, *shape[1:])
    if free:
        return lib.layout(shape, None)
    return lib.layout(shape, steps(shape))


def _prepare(lib: Library, kind: str, x: Sizes, weight: Sizes, y: Sizes, w: Window, groups: int, bias: bool) -> Prepared:  # fmt: skip
    """`kind`: "forward", "data" or "weights"."""
    src, dst = lib.layout(x, strides_last(x)), lib.layout(y, strides_last(y))
    free = _weight(lib, weight, groups, True)
    plain = _weight(lib, weight, groups, False)
    extra = lib.layout((weight[0],), (1,)) if bias else None
    moves = geometry(w)
    forward = lib.describe(
        "convolution_forward", dnn.FORWARD, dnn.CONVOLUTION, src, free, extra, dst, *moves, None
    )
    if kind == "forward":
        liked = lib.asked(forward, dnn.QUERY_WEIGHTS)
        kinds, layouts = [dnn.SRC, dnn.WEIGHTS, dnn.DST], [src, liked, dst]
        if bias:
            kinds.append(dnn.BIAS)
            layouts.append(extra)
        return Prepared(Primitive(lib, forward, kinds, layouts), lib.reorder(plain, liked), lib.size(liked))
    if kind == "data":
        back = lib.describe(
            "convolution_backward_data", dnn.CONVOLUTION, src, free, dst, *moves, forward, None
        )
        liked = lib.asked(back, dnn.QUERY_WEIGHTS)
        run = Primitive(lib, back, (dnn.DIFF_DST, dnn.WEIGHTS, dnn.DIFF_SRC), (dst, liked, src))
        return Prepared(run, lib.reorder(plain, liked), lib.size(liked))
    back = lib.describe(
        "convolution_backward_weights", dnn.CONVOLUTION, src, free, None, dst, *moves, forward, None
    )
    liked = lib.asked(back, dnn.QUERY_DIFF_WEIGHTS)
    run = Primitive(lib, back, (dnn.SRC, dnn.DIFF_DST, dnn.DIFF_WEIGHTS), (src, dst, liked))
    return Prepared(run, lib.reorder(liked, plain), lib.size(liked))


def _prepared(
    lib: Library, kind: str, x: Sizes, weight: Sizes, y: Sizes, w: Window, groups: int, bias: bool = False
) -> Prepared | None:
    key = (kind, x, weight, y, w, groups, bias)
    return _cache.get(key, lambda: _prepare(lib, *key))  # type: ignore[no-any-return]


def _room(nbytes: int) -> Any:
    return pool.empty((nbytes // 4,), np.float32, brief=True)


def correlate(x: Any, weight: Any, bias: Any, w: Window, groups: int) -> Any:
    """The convolution of `x` [samples, channels, height, width]; `engine.ops.convolve.correlate`."""
    lib = _lib(x, weight, w)
    if lib is None or (bias is not None and not dnn.serves(bias)):
        return None
    out = w.out(x.shape[2:])
    fit = usable(w, x.shape[2:], out)
    if fit is None or min(out) < 1:
        return None
    shape = (x.shape[0], weight.shape[0], *out)
    x, weight = channels_last(x), np.ascontiguousarray(weight)
    fewer = None
    if len(w.kernel) == 2:
        fewer = winograd.correlate(
            x, weight, None if bias is None else np.ascontiguousarray(bias), fit, groups
        )
    if fewer is not None:
        return fewer
    with lib.lock:
        ready = _prepared(lib, "forward", x.shape, weight.shape, shape, fit, groups, bias is not None)
        if ready is None:
            return None
        made = pool.last(shape, x.dtype)
        ready.run(x, _turned(ready, weight), made, *(() if bias is None else (np.ascontiguousarray(bias),)))
    return _result(made)


def _turned(ready: Prepared, weight: Any) -> Any:
    if ready.turn is None:
        return weight
    turned = _room(ready.size)
    ready.turn(weight, turned)
    return turned


def spread(g: Any, weight: Any, w: Window, groups: int, size: Sizes) -> Any:
    """The gradient for the input, of spatial `size`; `engine.ops.convolve.spread`."""
    lib = _lib(g, weight, w)
    fit = usable(w, size, g.shape[2:])
    if lib is None or fit is None:
        return None
    shape = (g.shape[0], weight.shape[1] * groups, *size)
    g, weight = channels_last(g), np.ascontiguousarray(weight)
    fewer = None
    if len(w.kernel) == 2:
        fewer = winograd.spread(g, weight, fit, groups)
    if fewer is not None:
        return fewer
    with lib.lock:
        ready = _prepared(lib, "data", shape, weight.shape, g.shape, fit, groups)
        if ready is None:
            return None
        made = pool.last(shape, g.dtype)
        ready.run(g, _turned(ready, weight), made)
    return _result(made)


def weigh(x: Any, g: Any, w: Window, groups: int) -> Any:
    """The gradient for the weight; `engine.ops.convolve.weigh`."""
    lib = _lib(x, g, w)
    fit = usable(w, x.shape[2:], g.shape[2:])
    if lib is None or fit is None:
        return None
    shape = (g.shape[1], x.shape[1] // groups, *w.kernel)
    x, g = channels_last(x), channels_last(g)
    fewer = None
    if len(w.kernel) == 2:
        fewer = winograd.weigh(x, g, fit, groups)
    if fewer is not None:
        return fewer
    with lib.lock:
        ready = _prepared(lib, "weights", x.shape, shape, g.shape, fit, groups)
        if ready is None:
            return None
        made = pool.empty(shape, x.dtype)
        if ready.turn is None:
            ready.run(x, g, made)
        else:
            turned = _room(ready.size)
            ready.run(x, g, turned)
            ready.turn(turned, made)
    return made


def _lib(a: Any, b: Any, w: Window) -> Library | None:
    if len(w.kernel) != 2 and math.prod(w.kernel) == 1:
        return None  # one product of arrays as they lie is faster than turning them
    return dnn.library() if dnn.serves(a, b) else None


def _result(made: Any) -> Any:
    """As it is where it is of images, else in order."""
    if made.ndim == 4:
        return made
    plain = pool.empty(made.shape, made.dtype)
    np.copyto(plain, made)
    return plain
