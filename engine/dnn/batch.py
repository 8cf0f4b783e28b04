"""Batch normalisation in C of large images with their channels last, and its gradient. None where this is not done.

The bits depend on the shape alone: not on the number of threads, and, as the first program on a machine waits a
moment for the compiler, not on what ran before.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np

from engine.dnn.compiled import Compiled
from engine.dnn.library import address, serves
from engine.pool import channels_last, is_last, pool

# Elements from which it is done, and those of a piece whose sums are taken in float: it stays in the cache.
ENOUGH, PIECE = 1 << 16, 1 << 14

_POINTER, _LONG, _FLOAT, _INT = ctypes.c_void_p, ctypes.c_long, ctypes.c_float, ctypes.c_int

norms = Compiled(
    "norm.c",
    ("-ffp-contract=off", "-mprefer-vector-width=512"),
    {
        "norm_forward": [_POINTER] * 11 + [_LONG] * 3 + [_FLOAT] + [_INT] * 2,
        "norm_backward": [_POINTER] * 14 + [_LONG] * 3 + [_INT],
    },
    late=False,
    waited=True,
)


class Signs(NamedTuple):
    """What tells, with the input and its statistics, where the result is positive: the bias as it was."""

    bias: Any


def _ready(x: Any, *others: Any) -> Any:
    if (
        x.size < ENOUGH
        or x.ndim != 4
        or not serves(x, *(o for o in others if o is not None))
        or not is_last(x)
    ):
        return None
    return norms.ready()


def _sizes(x: Any) -> tuple[int, int, int]:
    """Rows, channels, and the rows of a piece."""
    channels = x.shape[1]
    return x.size // channels, channels, max(4, PIECE // channels)


def _room(rows: int, channels: int, piece: int, sums: int) -> Any:
    return pool.empty((-(-rows // piece) * sums * channels,), np.float32, brief=True)


def _addresses(*arrays: Any) -> list[int | None]:
    return [None if a is None else address(a) for a in arrays]


def forward(
    x: Any, weight: Any, bias: Any, eps: float, mean: Any, variance: Any, given: bool = False, relu: bool = False,
    more: Any = None,
) -> Any:  # fmt: skip
    """`x` with mean 0 and variance 1 in each channel, scaled and shifted; with `more`, which lies like `x`, added, and the relu of it.

    `mean` and `variance` (biased) are written to unless they are `given`.
    """
    found = _ready(x, weight, bias, more)
    if found is None:
        return None
    out = pool.like(x)
    rows, channels, piece = _sizes(x)
    rstd, scale, shift = np.empty((3, channels), np.float32)
    room = None if given else _room(rows, channels, piece, 3)
    weight, bias = (None if v is None else np.ascontiguousarray(v) for v in (weight, bias))
    arrays = _addresses(x, more, out, weight, bias, mean, variance, rstd, scale, shift, room)
    found.norm_forward(*arrays, rows, channels, piece, eps, given, relu)
    return out


def statistics(x: Any, eps: float, mean: Any, variance: Any) -> bool:
    """Write mean and variance (biased) of each channel of `x`: those `forward` finds. False where this is not done."""
    found = _ready(x)
    if found is None:
        return False
    rows, channels, piece = _sizes(x)
    rstd, scale, shift = np.empty((3, channels), np.float32)
    room = _room(rows, channels, piece, 3)
    arrays = _addresses(x, None, None, None, None, mean, variance, rstd, scale, shift, room)
    found.norm_forward(*arrays, rows, channels, piece, eps, False, False)
    return True


def backward(
    g: Any, x: Any, weight: Any, mean: Any, rstd: Any, relu: bool = False, bias: Any = None
) -> tuple[Any, Any, Any] | None:
    """The gradients of the input, the weight (None without one) and the bias.

    `relu`: `g` is the gradient of the relu of the result, which `bias` tells the sign of.
    """
    found = _ready(x, g, weight, mean, rstd, bias)
    if found is None:
        return None
    g = channels_last(g)
    into = pool.like(x)
    rows, channels, piece = _sizes(x)
    to_bias, scale, shift, level, tilt = (np.empty(channels, np.float32) for _ in range(5))
    to_weight = None if weight is None else np.empty(channels, np.float32)
    weight, bias = (None if v is None else np.ascontiguousarray(v) for v in (weight, bias))
    room = _room(rows, channels, piece, 2)
    arrays = _addresses(
        x, g, into, weight, bias, mean, rstd, to_weight, to_bias, scale, shift, level, tilt, room
    )  # fmt: skip
    found.norm_backward(*arrays, rows, channels, piece, relu)
    return into, to_weight, to_bias
