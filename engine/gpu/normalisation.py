"""Batch norm in training by cuDNN: statistics, result and running statistics in one launch; None where it declines."""

from __future__ import annotations

import ctypes
from typing import Any

from engine.backend import require_cupy
from engine.gpu import library as cudnn
from engine.gpu.layout import lie
from engine.gpu.library import Library, Unsupported

SPATIAL = 1  # cudnnBatchNormMode_t

_kept: dict[Any, tuple[Any, Any] | None] = {}


def _descriptors(lib: Library, shape: tuple[int, ...], kind: str) -> tuple[Any, Any]:
    """Of the images, and of what there is one of for each channel."""
    images, channels = lib.tensor(shape, kind), ctypes.c_void_p()
    lib.check(lib.lib.cudnnCreateTensorDescriptor(ctypes.byref(channels)))
    lib.check(lib.lib.cudnnDeriveBNTensorDescriptor(channels, images, SPATIAL))
    return images, channels


def _ready(x: Any, *others: Any) -> Any:
    if x.ndim not in (4, 5) or x.dtype.char not in "fd" or not cudnn.whole(x, *others):
        return None
    lib = cudnn.enabled()
    if lib is None:
        return None
    key = x.shape, x.dtype.char
    if key not in _kept:
        if len(_kept) >= 1024:
            _kept.clear()
        try:
            _kept[key] = _descriptors(lib, *key)
        except Unsupported:
            _kept[key] = None
    found = _kept[key]
    return None if found is None else (lib, *found, x.dtype.char)


def normalise(
    x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, momentum: float, eps: float
) -> Any:
    """(result, mean, 1 / standard deviation) of images in training; the running statistics follow."""
    if weight is None or bias is None:
        return None
    running = [r for r in (running_mean, running_var) if r is not None]
    if len(running) == 1:
        return None
    ready = _ready(x, weight, bias, *running)
    if ready is None:
        return None
    lib, images, channels, kind = ready
    cupy = require_cupy()
    out, mean, rstd = (
        cupy.empty(x.shape, x.dtype),
        cupy.empty(x.shape[1], x.dtype),
        cupy.empty(x.shape[1], x.dtype),
    )
    moved: list[Any] = [cudnn.pointer(r) for r in running] or [None, None]
    status = (
        lib.lib.cudnnBatchNormalizationForwardTraining(
            lib.handle(), SPATIAL, cudnn.factor(1, kind), cudnn.factor(0, kind), images, cudnn.pointer(x), images,
            cudnn.pointer(out), channels, cudnn.pointer(weight), cudnn.pointer(bias), ctypes.c_double(momentum),
            *moved, ctypes.c_double(eps), cudnn.pointer(mean), cudnn.pointer(rstd),
        )
    )  # fmt: skip
    return None if status else (out, mean, rstd)


def gradients(g: Any, x: Any, weight: Any, mean: Any, rstd: Any, eps: float) -> Any:
    """The gradients of `normalise` for the images, the weight and the bias."""
    g = lie(g, False)
    if weight is None:
        return None
    ready = _ready(x, g, weight, mean, rstd)
    if ready is None:
        return None
    lib, images, channels, kind = ready
    cupy = require_cupy()
    out, to_weight, to_bias = cupy.empty(x.shape, x.dtype), cupy.empty_like(weight), cupy.empty_like(weight)
    one, zero = cudnn.factor(1, kind), cudnn.factor(0, kind)
    status = (
        lib.lib.cudnnBatchNormalizationBackward(
            lib.handle(), SPATIAL, one, zero, one, zero, images, cudnn.pointer(x), images, cudnn.pointer(g), images,
            cudnn.pointer(out), channels, cudnn.pointer(weight), cudnn.pointer(to_weight), cudnn.pointer(to_bias),
            ctypes.c_double(eps), cudnn.pointer(mean), cudnn.pointer(rstd),
        )
    )  # fmt: skip
    return None if status else (out, to_weight, to_bias)
