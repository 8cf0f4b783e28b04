"""Products with a matrix that is packed once and used many times, in C: thrice as fast for few rows, and to the bit the same.

A library for products lays its right side out anew at each call; a recurrent network multiplies by one weight at every
step. Which pieces a library sums a product in shows in its bits: `like` finds them by trying.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.dnn.compiled import Compiled
from engine.dnn.library import address

_POINTER, _LONG = ctypes.c_void_p, ctypes.c_long

products = Compiled(
    "packed.c",
    (),
    {
        "packed_pack": [_POINTER] + [_LONG] * 4 + [_POINTER],
        "packed_multiply": [_POINTER] + [_LONG] * 3 + [_POINTER] * 3,
    },
)

PANEL = 32  # columns of the widest panel: what is packed takes whole ones
# Rows up to which it pays, and numbers of a weight, which should stay in the cache.
ROWS, LARGEST = 64, 1 << 20


def room(k: int, n: int) -> Any:
    """A buffer for a packed [k, n]."""
    from engine.pool import pool  # which has its products made here

    return pool.empty((k * -(-n // PANEL) * PANEL,), np.float32)


def serves(rows: int, k: int, n: int) -> bool:
    """Whether it pays for a [rows, k] times a [k, n] at each of many steps."""
    return 2 <= rows <= ROWS and k * n <= LARGEST and products.ready() is not None


def pieces(k: int, most: int, even: bool) -> tuple[int, ...]:
    """Where the pieces of `k` end that a library takes of which none is longer than `most`; `even`: the last two alike.

    >>> pieces(1024, 384, True), pieces(784, 384, False)
    ((384, 704, 1024), (384, 768, 784))
    """
    ends, at = [], 0
    while at < k:
        left = k - at
        size = min(left, most)
        if even and most < left < 2 * most:
            size = -(-left // 32) * 16
        at += size
        ends.append(at)
    return tuple(ends)


def like(product: Callable[[Any, Any], None], rows: int, b: Any) -> Any:
    """The ends of the pieces of k in which a [rows, k] times a matrix like `b` has the bits of `product(x, out)`.

    `b` is the right side that `product` takes. None where no way of summing gives them.
    """
    found = products.ready()
    if found is None:
        return None
    (k, n), rng = b.shape, np.random.default_rng(0)
    x = rng.random((rows, k), np.float32) - np.float32(0.5)
    packed, wanted, out = room(k, n), np.empty((rows, n), np.float32), np.empty((rows, n), np.float32)
    product(x, wanted)
    pack(b, packed)
    tried = {
        pieces(k, most, even)
        for most in (k, 512, 448, 384, 352, 320, 256, 192, 128)
        for even in (True, False)
    }
    for ends in sorted(tried, key=len):
        made = (_LONG * len(ends))(*ends)
        found.packed_multiply(address(x), rows, k, n, address(packed), made, address(out))
        if np.array_equal(out, wanted):
            return made
    return None


def pack(b: Any, out: Any) -> None:
    """Lay `b` [k, n] out for products in `out`."""
    down, across = (stride // 4 for stride in b.strides)
    products.ready().packed_pack(address(b), down, across, *b.shape, address(out))
