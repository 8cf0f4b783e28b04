"""Convolution and its two gradients by cuDNN, on arrays in order; `engine.ops.convolve` says what each computes."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

from engine.backend import require_cupy
from engine.gpu import library as cudnn
from engine.gpu.library import Library, Unsupported
from engine.ops.window import Sizes, Window

CROSS_CORRELATION = 1  # cudnnConvolutionMode_t
DEFAULT_MATH, FMA_MATH = 0, 3  # cudnnMathType_t
MOST = 1 << 30  # bytes of room a computation may take
PLANS = 4096


class Perf(ctypes.Structure):
    """cudnnConvolutionFwdAlgoPerf_t; the gradients' are alike."""

    _fields_ = (
        ("algo", ctypes.c_int), ("status", ctypes.c_int), ("time", ctypes.c_float), ("memory", ctypes.c_size_t),
        ("determinism", ctypes.c_int), ("math", ctypes.c_int), ("reserved", ctypes.c_int * 3),
    )  # fmt: skip


class Plan(NamedTuple):
    """A computation prepared: descriptors of the three arrays and of the convolution, what computes it, and its room."""

    x: ctypes.c_void_p
    weight: ctypes.c_void_p
    y: ctypes.c_void_p
    convolution: ctypes.c_void_p
    algorithm: int
    room: int


_plans: dict[Any, Plan | None] = {}

CHOICES = {
    "forward": "cudnnGetConvolutionForwardAlgorithm_v7",
    "data": "cudnnGetConvolutionBackwardDataAlgorithm_v7",
    "weights": "cudnnGetConvolutionBackwardFilterAlgorithm_v7",
}


def _prepare(lib: Library, what: str, x: Sizes, weight: Sizes, y: Sizes, w: Window, groups: int, kind: str, exact: bool) -> Plan:  # fmt: skip
    c = lib.lib
    rank = len(x) - 2
    pads, strides, steps = [before for before, _ in w.padding], list(w.stride), list(w.dilation)
    if rank == 1:
        pads, strides, steps = [*pads, 0], [*strides, 1], [*steps, 1]
    source, result = lib.tensor(x, kind), lib.tensor(y, kind)
    filters, convolution = ctypes.c_void_p(), ctypes.c_void_p()
    sizes = (*weight, *(1,) * (4 - len(weight)))
    lib.check(c.cudnnCreateFilterDescriptor(ctypes.byref(filters)))
    lib.check(
        c.cudnnSetFilterNdDescriptor(filters, cudnn.TYPES[kind], cudnn.NCHW, len(sizes), cudnn.ints(sizes))
    )
    lib.check(c.cudnnCreateConvolutionDescriptor(ctypes.byref(convolution)))
    sums = cudnn.DOUBLE if kind == "d" else cudnn.FLOAT
    lib.check(
        c.cudnnSetConvolutionNdDescriptor(
            convolution, len(pads), cudnn.ints(pads), cudnn.ints(strides), cudnn.ints(steps), CROSS_CORRELATION, sums
        )
    )  # fmt: skip
    lib.check(c.cudnnSetConvolutionGroupCount(convolution, groups))
    math = FMA_MATH if kind == "f" and exact else DEFAULT_MATH
    lib.check(c.cudnnSetConvolutionMathType(convolution, math))
    found, count = (Perf * 16)(), ctypes.c_int()
    order = {
        "forward": (source, filters, convolution, result),
        "data": (filters, result, convolution, source),
        "weights": (source, result, convolution, filters),
    }[what]
    lib.check(getattr(c, CHOICES[what])(lib.handle(), *order, 16, ctypes.byref(count), found))
    for each in found[: count.value]:
        # One that adds up in another order each time would give other bits each time.
        if each.status == 0 and each.determinism == 1 and each.memory <= MOST and (each.math == FMA_MATH or not exact or kind != "f"):  # fmt: skip
            lib.check(c.cudnnSetConvolutionMathType(convolution, each.math if kind != "d" else math))
            return Plan(source, filters, result, convolution, each.algo, each.memory)
    raise Unsupported("no way to compute it gives the same each time")


def _plan(lib: Library, *key: Any) -> Plan | None:
    if key in _plans:
        return _plans[key]
    if len(_plans) >= PLANS:
        _plans.clear()
    try:
        plan: Plan | None = _prepare(lib, *key)
    except Unsupported:
        plan = None
    _plans[key] = plan
    return plan


def _ready(what: str, x: Sizes, weight: Any, y: Sizes, w: Window, groups: int, *arrays: Any) -> Any:
    """The library and the plan, None where cuDNN does not do it."""
    if (
        len(x) not in (3, 4, 5)
        or any(before != after or before < 0 for before, after in w.padding)
        or min(y) < 1
    ):
        return None
    if not cudnn.whole(*arrays):
        return None
    lib = cudnn.enabled()
    if lib is None:
        return None
    from engine.backends import cudnn as switches

    kind = arrays[0].dtype.char
    plan = _plan(lib, what, x, weight, y, w, groups, kind, kind == "f" and not switches.allow_tf32)
    return None if plan is None else (lib, plan, kind)


def _ordered(array: Any) -> Any:
    return array if array.flags.c_contiguous else require_cupy().ascontiguousarray(array)


def correlate(x: Any, weight: Any, bias: Any, w: Window, groups: int) -> Any:
    """The convolution of `x` [samples, channels, sizes...]."""
    out_size = w.out(x.shape[2:])
    x, weight = _ordered(x), _ordered(weight)
    y = (x.shape[0], weight.shape[0], *out_size)
    ready = _ready("forward", x.shape, weight.shape, y, w, groups, x, weight)
    if ready is None or (bias is not None and (bias.dtype != x.dtype or bias.ndim != 1)):
        return None
    lib, plan, kind = ready
    cupy = require_cupy()
    out, room = cupy.empty(y, x.dtype), cupy.cuda.alloc(plan.room)
    one, zero = cudnn.factor(1, kind), cudnn.factor(0, kind)
    lib.check(
        lib.lib.cudnnConvolutionForward(
            lib.handle(), one, plan.x, cudnn.pointer(x), plan.weight, cudnn.pointer(weight), plan.convolution,
            plan.algorithm, ctypes.c_void_p(room.ptr), ctypes.c_size_t(plan.room), zero, plan.y, cudnn.pointer(out),
        )
    )  # fmt: skip
    if bias is not None:
        out += bias.reshape(-1, *(1,) * len(out_size))
    return out


def spread(g: Any, weight: Any, w: Window, groups: int, size: Sizes) -> Any:
    """The gradient of `correlate` for its input of spatial `size`."""
    g, weight = _ordered(g), _ordered(weight)
    x = (g.shape[0], weight.shape[1] * groups, *size)
    if w.out(size) != tuple(g.shape[2:]):
        return None
    ready = _ready("data", x, weight.shape, g.shape, w, groups, g, weight)
    if ready is None:
        return None
    lib, plan, kind = ready
    cupy = require_cupy()
    out, room = cupy.empty(x, g.dtype), cupy.cuda.alloc(plan.room)
    one, zero = cudnn.factor(1, kind), cudnn.factor(0, kind)
    lib.check(
        lib.lib.cudnnConvolutionBackwardData(
            lib.handle(), one, plan.weight, cudnn.pointer(weight), plan.y, cudnn.pointer(g), plan.convolution,
            plan.algorithm, ctypes.c_void_p(room.ptr), ctypes.c_size_t(plan.room), zero, plan.x, cudnn.pointer(out),
        )
    )  # fmt: skip
    return out


def weigh(x: Any, g: Any, w: Window, groups: int) -> Any:
    """The gradient of `correlate` for its weight."""
    x, g = _ordered(x), _ordered(g)
    weight = (g.shape[1], x.shape[1] // groups, *w.kernel)
    if w.out(x.shape[2:]) != tuple(g.shape[2:]):
        return None
    ready = _ready("weights", x.shape, weight, g.shape, w, groups, x, g)
    if ready is None:
        return None
    lib, plan, kind = ready
    cupy = require_cupy()
    out, room = cupy.empty(weight, g.dtype), cupy.cuda.alloc(plan.room)
    one, zero = cudnn.factor(1, kind), cudnn.factor(0, kind)
    lib.check(
        lib.lib.cudnnConvolutionBackwardFilter(
            lib.handle(), one, plan.x, cudnn.pointer(x), plan.y, cudnn.pointer(g), plan.convolution,
            plan.algorithm, ctypes.c_void_p(room.ptr), ctypes.c_size_t(plan.room), zero, plan.weight, cudnn.pointer(out),
        )
    )  # fmt: skip
    return out
