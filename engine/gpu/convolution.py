"""Convolution and its two gradients by cuDNN, on arrays in order; `engine.ops.convolve` says what each computes."""

from __future__ import annotations

from typing import Any

from engine import settings
from engine.backend import cupy
from engine.gpu import capture
from engine.gpu import library as cudnn
from engine.gpu.library import Unsupported
from engine.gpu.plan import Prepared, Wanted, prepare
from engine.ops.window import Sizes, Window

PLANS = 4096
_plans: dict[Any, Prepared | None] = {}


def _plan(what: str, x: Any, weight: Any, y: Any, w: Window) -> Prepared | None:
    """A prepared computation on arrays like these, None where cuDNN does not do it."""
    from engine.backends import cudnn as switches

    exact, careful = (
        not switches.allow_tf32,
        bool(switches.deterministic or settings.are_deterministic_algorithms_enabled()),
    )
    # While a step is recorded nothing can be waited for, so no time is taken.
    measured = bool(switches.benchmark) and not capture.recording
    kind = x.dtype.char
    # What a plan is made with belongs to the GPU and, in cuDNN, to the thread.
    key = (what, x.shape, weight.shape, w, kind, exact, careful, measured, switches.enabled, *cudnn.where())
    if key in _plans:
        return _plans[key]
    if len(_plans) >= PLANS:
        _plans.clear()
    found = None
    lib = cudnn.enabled()
    fits = x.ndim in (3, 4, 5) and min((*y.shape, *x.shape)) > 0 and w.out(x.shape[2:]) == y.shape[2:]
    if lib is not None and fits and all(b >= 0 and a >= 0 for b, a in w.padding):
        wanted = Wanted(what, x.shape, weight.shape, y.shape, w, kind, False, exact, careful)
        try:
            found = prepare(lib, wanted, (x.data.ptr, weight.data.ptr, y.data.ptr) if measured else None)
        except Unsupported:
            found = None
    _plans[key] = found
    return found


def _ordered(array: Any) -> Any:
    """The array with its elements in order, from an address that cuDNN takes."""
    if array.flags.c_contiguous and not array.data.ptr % 16:
        return array
    return array.copy(order="C")


def _usable(a: Any, b: Any) -> bool:
    """Whether two arrays are of one type that cuDNN multiplies, and it is there."""
    return a.dtype == b.dtype and a.dtype.char in cudnn.TYPES and cudnn.enabled() is not None


def _run(what: str, x: Any, weight: Any, y: Any, w: Window) -> bool:
    """Compute one of the three arrays, which "forward", "data" or "weights" says, from the others; whether it was done."""
    plan = _plan(what, x, weight, y, w)
    if plan is None:
        return False
    room = cupy().cuda.alloc(plan.room) if plan.room else None
    plan.run(x.data.ptr, weight.data.ptr, y.data.ptr, room.ptr if room is not None else 0)
    return True


def correlate(x: Any, weight: Any, bias: Any, w: Window, groups: int) -> Any:
    """The convolution of `x` [samples, channels, sizes...]."""
    if not _usable(x, weight) or (bias is not None and bias.dtype != x.dtype):
        return None
    out = cupy().empty((x.shape[0], weight.shape[0], *w.out(x.shape[2:])), x.dtype)
    if not _run("forward", _ordered(x), _ordered(weight), out, w):
        return None
    if bias is not None:
        out += bias.reshape(-1, *(1,) * (out.ndim - 2))
    return out


def spread(g: Any, weight: Any, w: Window, groups: int, size: Sizes) -> Any:
    """The gradient of `correlate` for its input of spatial `size`."""
    if not _usable(g, weight):
        return None
    out = cupy().empty((g.shape[0], weight.shape[1] * groups, *size), g.dtype)
    return out if _run("data", out, _ordered(weight), _ordered(g), w) else None


def weigh(x: Any, g: Any, w: Window, groups: int) -> Any:
    """The gradient of `correlate` for its weight."""
    if not _usable(x, g):
        return None
    out = cupy().empty((g.shape[1], x.shape[1] // groups, *w.kernel), x.dtype)
    return out if _run("weights", _ordered(x), out, _ordered(g), w) else None
