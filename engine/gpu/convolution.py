"""Convolution and its two gradients by cuDNN, on arrays in order; `engine.ops.convolve` says what each computes."""

from __future__ import annotations

from typing import Any

from engine.backend import cupy
from engine.gpu import library as cudnn
from engine.gpu.library import Unsupported
from engine.gpu.plan import Prepared, prepare
from engine.ops.window import Sizes, Window

PLANS = 4096
_plans: dict[Any, Prepared | None] = {}


def _plan(what: str, x: Sizes, weight: Sizes, y: Sizes, w: Window, kind: str) -> Prepared | None:
    """A prepared computation, None where cuDNN does not do it."""
    from engine.backends import cudnn as switches

    exact = not switches.allow_tf32
    # What a plan is made with belongs to the GPU and, in cuDNN, to the thread.
    key = (what, x, weight, w, kind, exact, switches.enabled, *cudnn.where())
    if key in _plans:
        return _plans[key]
    if len(_plans) >= PLANS:
        _plans.clear()
    found = None
    lib = cudnn.enabled()
    fits = len(x) in (3, 4, 5) and min((*y, *x)) > 0 and all(b >= 0 and a >= 0 for b, a in w.padding)
    if lib is not None and kind in cudnn.TYPES and fits and w.out(x[2:]) == tuple(y[2:]):
        try:
            found = prepare(lib, what, x, weight, y, w, kind, exact)
        except Unsupported:
            found = None
    _plans[key] = found
    return found


def _ordered(array: Any) -> Any:
    """The array with its elements in order, from an address that cuDNN takes."""
    if array.flags.c_contiguous and not array.data.ptr % 16:
        return array
    return array.copy(order="C")


def _run(plan: Prepared, x: Any, weight: Any, y: Any) -> None:
    room = cupy().cuda.alloc(plan.room) if plan.room else None
    plan.run(x.data.ptr, weight.data.ptr, y.data.ptr, room.ptr if room is not None else 0)


def correlate(x: Any, weight: Any, bias: Any, w: Window, groups: int) -> Any:
    """The convolution of `x` [samples, channels, sizes...]."""
    if x.dtype != weight.dtype or (bias is not None and bias.dtype != x.dtype):
        return None
    shape = (x.shape[0], weight.shape[0], *w.out(x.shape[2:]))
    plan = _plan("forward", x.shape, weight.shape, shape, w, x.dtype.char)
    if plan is None:
        return None
    out = cupy().empty(shape, x.dtype)
    _run(plan, _ordered(x), _ordered(weight), out)
    if bias is not None:
        out += bias.reshape(-1, *(1,) * (len(shape) - 2))
    return out


def spread(g: Any, weight: Any, w: Window, groups: int, size: Sizes) -> Any:
    """The gradient of `correlate` for its input of spatial `size`."""
    shape = (g.shape[0], weight.shape[1] * groups, *size)
    if g.dtype != weight.dtype:
        return None
    plan = _plan("data", shape, weight.shape, g.shape, w, g.dtype.char)
    if plan is None:
        return None
    out = cupy().empty(shape, g.dtype)
    _run(plan, out, _ordered(weight), _ordered(g))
    return out


def weigh(x: Any, g: Any, w: Window, groups: int) -> Any:
    """The gradient of `correlate` for its weight."""
    shape = (g.shape[1], x.shape[1] // groups, *w.kernel)
    if x.dtype != g.dtype:
        return None
    plan = _plan("weights", x.shape, shape, g.shape, w, x.dtype.char)
    if plan is None:
        return None
    out = cupy().empty(shape, x.dtype)
    _run(plan, _ordered(x), out, _ordered(g))
    return out
