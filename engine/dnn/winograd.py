"""Convolution of 3x3 windows with a quarter of the multiplications, by Winograd's F(4x4, 3x3), in C.

The numbers differ from a direct convolution's by up to 3e-5 of the largest of them (3e-6 between two direct ones).
So it is done only under `ds.graph_config(winograd=True)`. A program uses it from its first convolution on or not at all, so its
numbers do not change under way: on a machine where nothing was compiled yet, the next program does.

Each function gives None where this is not done.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from engine.config import current
from engine.dnn.compiled import Compiled
from engine.dnn.library import address
from engine.ops.window import Sizes, Window
from engine.pool import pool

# Multiplications of a direct convolution from which it is worth another rounding.
ENOUGH = 1 << 28
# With fewer tiles than a share of the channels, transforming the weights takes what is saved, and much memory.
FEW = 4
# Tiles that are worked on together, so that they stay in the cache with 64 channels and more.
CHUNK, WIDE = 32, 128

_POINTER, _LONG, _INT = ctypes.c_void_p, ctypes.c_long, ctypes.c_int

winograd = Compiled(
    "winograd.c",
    ("-ffp-contract=fast", "-mprefer-vector-width=512"),
    {
        "winograd": [_POINTER] * 5 + [_LONG] * 6 + [_INT],
        "winograd_weigh": [_POINTER] * 4 + [_LONG] * 6,
        "winograd_weight": [_POINTER] * 2 + [_LONG] * 2 + [_INT],
        "winograd_weight_back": [_POINTER] * 2 + [_LONG] * 2,
        "winograd_machine": [_POINTER] * 2,
    },
    late=False,
)


def _takes(shape: Sizes, channels: int, filters: int, w: Window, groups: int) -> Any:
    """The library and the number of its threads, for an input of `shape` with windows like these; else None."""
    if groups != 1 or w.kernel != (3, 3) or tuple(w.stride) != (1, 1) or tuple(w.dilation) != (1, 1):
        return None
    if tuple(map(tuple, w.padding)) != ((1, 1), (1, 1)):
        return None
    samples, _, height, width = shape
    if FEW * _tiles(shape) < max(channels, filters):
        return None
    if samples * height * width * channels * filters * 9 < ENOUGH or not current().winograd:
        return None
    found = winograd.ready()
    if found is None:
        return None
    threads, panel = _INT(), _INT()
    found.winograd_machine(ctypes.byref(threads), ctypes.byref(panel))
    fits = panel.value and channels % panel.value == 0 and filters % panel.value == 0
    return (found, threads.value) if fits else None


def _tiles(shape: Sizes) -> int:
    return shape[0] * -(-shape[2] // 4) * -(-shape[3] // 4)


def _room(numbers: int) -> Any:
    return pool.empty((numbers,), np.float32, brief=True)


def _convolved(taken: Any, x: Any, weight: Any, bias: Any, turned: bool, out: Any) -> Any:
    found, threads = taken
    filters, channels = weight.shape[:2]
    depth, columns = (filters, channels) if turned else (channels, filters)
    tiles = _tiles(x.shape)
    chunk = max(CHUNK, min(depth, columns) // 2)
    # Small images have few tiles: all threads work on them together.
    apart = tiles >= 2 * threads * chunk
    if not apart:
        chunk = min(tiles, WIDE)
    turned_weight = _room(36 * weight.shape[0] * weight.shape[1])
    room = _room((threads if apart else 1) * 36 * chunk * (depth + columns))
    found.winograd_weight(address(weight), address(turned_weight), filters, channels, turned)
    found.winograd(
        address(x), address(turned_weight), None if bias is None else address(bias), address(out), address(room),
        x.shape[0], x.shape[2], x.shape[3], depth, columns, chunk, apart,
    )  # fmt: skip
    return out


def correlate(x: Any, weight: Any, bias: Any, w: Window, groups: int) -> Any:
    """The convolution of `x`, whose channels are last in memory."""
    taken = _takes(x.shape, x.shape[1], weight.shape[0], w, groups)
    if taken is None:
        return None
    out = pool.last((x.shape[0], weight.shape[0], *x.shape[2:]), np.float32)
    return _convolved(taken, x, weight, bias, False, out)


def spread(g: Any, weight: Any, w: Window, groups: int) -> Any:
    """The gradient for the input."""
    taken = _takes(g.shape, weight.shape[1], weight.shape[0], w, groups)
    if taken is None:
        return None
    out = pool.last((g.shape[0], weight.shape[1], *g.shape[2:]), np.float32)
    return _convolved(taken, g, weight, None, True, out)


def weigh(x: Any, g: Any, w: Window, groups: int) -> Any:
    """The gradient for the weight."""
    taken = _takes(x.shape, x.shape[1], g.shape[1], w, groups)
    if taken is None:
        return None
    found, _ = taken
    channels, filters = x.shape[1], g.shape[1]
    chunk = min(_tiles(x.shape), WIDE)
    turned = _room(36 * filters * channels)
    room = _room(36 * chunk * (channels + filters))
    out = pool.empty((filters, channels, 3, 3), np.float32)
    found.winograd_weigh(
        address(x), address(g), address(turned), address(room),
        x.shape[0], x.shape[2], x.shape[3], channels, filters, chunk,
    )  # fmt: skip
    found.winograd_weight_back(address(turned), address(out), filters, channels)
    return out
