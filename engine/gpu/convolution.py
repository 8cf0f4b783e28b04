"""Convolution and its two gradients by cuDNN and cuBLAS; `engine.ops.convolve` says what each computes.

Images come and go with their channels last in memory where that is faster: on tensor cores, where it halves the time
of a ResNet50's convolutions, and in full float32 around windows of one pixel (`pointwise.py`). What there is a way for
in one layout only is turned into it.
"""

from __future__ import annotations

import functools
from typing import Any

from engine import settings
from engine.backend import cupy
from engine.backends import cudnn as switches
from engine.gpu import capture, kept, pointwise
from engine.gpu import library as cudnn
from engine.gpu.elementwise import add_bias
from engine.gpu.layout import flat, is_last, lie, room_for, turned
from engine.gpu.library import Unsupported
from engine.gpu.plan import Prepared, Wanted, prepare
from engine.ops.window import Sizes, Window

PLANS = 4096
_plans: dict[Any, Prepared | None] = {}


def _plan(what: str, x: Sizes, weight: Sizes, y: Sizes, w: Window, dtype: Any, last: bool) -> Prepared | None:
    """A prepared computation, with the channels `last` in memory where there is one; None where cuDNN does not do it."""
    careful = bool(switches.deterministic or settings.are_deterministic_algorithms_enabled())
    # While a step is recorded nothing can be waited for, so no time is taken.
    measured = bool(switches.benchmark) and not capture.recording
    kind, exact = dtype.char, not switches.allow_tf32
    # What a plan is made with belongs to the GPU and, in cuDNN, to the thread.
    key = (what, x, weight, w, kind, last, exact, careful, measured, switches.enabled, *cudnn.where())
    if key in _plans:
        return _plans[key]
    if len(_plans) >= PLANS:
        _plans.clear()
    found = None
    lib = cudnn.enabled()
    fits = len(x) in (3, 4, 5) and min((*y, *x)) > 0 and w.out(x[2:]) == y[2:]
    if lib is not None and fits and all(b >= 0 and a >= 0 for b, a in w.padding):
        for each in (last, not last) if len(x) == 4 else (False,):
            wanted = Wanted(what, x, weight, y, w, kind, each, exact, careful)
            arrays = [room_for(shape, dtype, each) for shape in (x, weight, y)] if measured else []
            try:
                found = None if measured else kept.find(lib, wanted)
                if found is None:
                    found = prepare(lib, wanted, [a.data.ptr for a in arrays])
                    if not measured:
                        kept.add(lib, wanted, found)
                break
            except Unsupported:
                continue
    _plans[key] = found
    return found


@functools.lru_cache(maxsize=PLANS)
def usual(w: Window, size: Sizes, out: Sizes) -> Window:
    """The window with as much padding behind as before where that makes no other windows, and none taken away.

    A gradient asks for no more behind than windows reach: asked for that, cuDNN takes a way that is a hundred times as
    slow.
    """
    pairs = tuple((before, max(after, 0)) for before, after in w.padding)
    for padding in (tuple((before, before) for before, _ in w.padding), pairs):
        made = w._replace(padding=padding)
        if made.out(size) == out:
            return made
    return w


def _prefers(what: str, a: Any, groups: int) -> bool:
    """Whether it is computed with the channels last rather than in order; `a` are the images that come."""
    if a.ndim != 4:
        return False
    if groups > 1 or a.dtype.char == "d":
        return is_last(a)
    # In full float32 one layout is as fast as the other: what comes in one goes on in it.
    return what == "forward" or not _exact(a) or is_last(a)


def _exact(a: Any) -> bool:
    return a.dtype.char == "f" and not switches.allow_tf32


def _usable(a: Any, b: Any) -> bool:
    """Whether two arrays are of one type that cuDNN multiplies, and it is there."""
    return a.dtype == b.dtype and a.dtype.char in cudnn.TYPES and cudnn.enabled() is not None


def _run(plan: Prepared, x: Any, weight: Any, y: Any) -> None:
    room = cupy().cuda.alloc(plan.room) if plan.room else None
    plan.run(x.data.ptr, weight.data.ptr, y.data.ptr, room.ptr if room is not None else 0)


def _pointwise(a: Any, w: Window, groups: int) -> bool:
    return groups == 1 and a.ndim == 4 and a.size > 0 and pointwise.serves(a.dtype.char, w, _exact(a))


def correlate(x: Any, weight: Any, bias: Any, w: Window, groups: int) -> Any:
    """The convolution of `x` [samples, channels, sizes...]."""
    if not _usable(x, weight) or (bias is not None and bias.dtype != x.dtype):
        return None
    size = w.out(x.shape[2:])
    w, shape = usual(w, x.shape[2:], size), (x.shape[0], weight.shape[0], *size)
    if _pointwise(x, w, groups):
        out = pointwise.correlate(x, weight, w, shape, _exact(x))
    else:
        plan = _plan("forward", x.shape, weight.shape, shape, w, x.dtype, _prefers("forward", x, groups))
        if plan is None:
            return None
        out = room_for(shape, x.dtype, plan.last)
        _run(plan, lie(x, plan.last), lie(weight, plan.last), out)
        out = out if plan.last else _back(out, x)
    if bias is not None and not (is_last(out) and add_bias(flat(out), bias)):
        out += bias.reshape(-1, *(1,) * (out.ndim - 2))
    return out


def spread(g: Any, weight: Any, w: Window, groups: int, size: Sizes) -> Any:
    """The gradient of `correlate` for its input of spatial `size`."""
    if not _usable(g, weight):
        return None
    w, shape = usual(w, size, g.shape[2:]), (g.shape[0], weight.shape[1] * groups, *size)
    if _pointwise(g, w, groups) and w.out(size) == g.shape[2:]:
        return pointwise.spread(g, weight, w, shape, _exact(g))
    plan = _plan("data", shape, weight.shape, g.shape, w, g.dtype, _prefers("data", g, groups))
    if plan is None:
        return None
    out = room_for(shape, g.dtype, plan.last)
    _run(plan, out, lie(weight, plan.last), lie(g, plan.last))
    return out if plan.last else _back(out, g)


def weigh(x: Any, g: Any, w: Window, groups: int) -> Any:
    """The gradient of `correlate` for its weight."""
    if not _usable(x, g):
        return None
    w, shape = usual(w, x.shape[2:], g.shape[2:]), (g.shape[1], x.shape[1] // groups, *w.kernel)
    if _pointwise(x, w, groups) and w.out(x.shape[2:]) == g.shape[2:]:
        return pointwise.weigh(x, g, w, shape, _exact(x))
    plan = _plan("weights", x.shape, shape, g.shape, w, x.dtype, _prefers("weights", x, groups))
    if plan is None:
        return None
    out = room_for(shape, x.dtype, plan.last)
    _run(plan, lie(x, plan.last), out, lie(g, plan.last))
    return lie(out, False)


def _back(out: Any, came: Any) -> Any:
    """The result of images with their channels last has them there too."""
    return lie(out, True) if turned(came) else out
