"""Matrix products of float32 by oneDNN, which are some faster than OpenBLAS's from a certain size on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.dnn import library as dnn
from engine.dnn.library import Cache, Library, Primitive, address, library
from engine.threads import alone

# Multiplications from which it pays: a call through ctypes takes about 6 us. Of many small matrices, more.
ENOUGH, STACKED = 1 << 21, 1 << 23
# Rows a gradient of a weight is made of, and multiplications, up to which it is made by a kernel of its own at first; how
# often, and of how many sizes that is known.
FEW, LIGHT, EARLY, MOST = 256, 1 << 24, 8, 4096
# Rows and columns from which a matrix is no vector.
WIDE = 8
_FLOAT = np.dtype(np.float32)  # asked for as np.float32 it would be looked up each time


# Multiplications from which NumPy's library takes several threads, if it may.
SHARED = 1 << 18


def plain(a: Any, b: Any, out: Any = None) -> Any:
    """`np.matmul`, of matrices too small for several threads by one.

    The threads of NumPy's library cost more than they do there: see `engine.threads.alone`.
    """
    if a.ndim > 1 and b.ndim > 1 and SHARED < a.shape[-2] * a.shape[-1] * b.shape[-1] < ENOUGH:
        with alone:
            return np.matmul(a, b, out=out)
    return np.matmul(a, b, out=out)


def _laid(x: Any) -> tuple[bytes, int] | None:
    """Whether a matrix lies turned in memory ("T"), and the distance of its rows; None for other layouts."""
    rows, columns = x.strides
    if columns == 4 and rows >= 4 * x.shape[1] and rows % 4 == 0:
        return b"N", rows // 4
    if rows == 4 and columns >= 4 * x.shape[0] and columns % 4 == 0:
        return b"T", columns // 4
    return None


def multiply(a: Any, b: Any, out: Any) -> bool:
    """`out = a @ b` of float32 matrices, `out` contiguous; False where it was not done."""
    lib = library()
    left, right = _laid(a), _laid(b)
    if lib is None or left is None or right is None:
        return False
    (m, k), n = a.shape, b.shape[1]
    if k <= FEW and left[0] == b"T" and _early((m, n, k, left[1], *right), a, b, out):
        return True
    status = lib.lib.dnnl_sgemm(
        left[0], right[0], m, n, k, 1.0, address(a), left[1], address(b), right[1], 0.0, address(out), n
    )
    return bool(status == 0)


# How often a product of these sizes was made by a kernel of its own; negative: it always is.
_counts: dict[tuple[Any, ...], int] = {}


def _early(key: tuple[Any, ...], a: Any, b: Any, out: Any) -> bool:
    """Whether a gradient of a weight was made by a kernel for its sizes alone.

    Such a kernel is there in 1 ms; for products that lie so sgemm makes a set of them first, which takes 27 ms, but then
    needs some less time. So it is left to programs that go on, if it gives the same bits.
    """
    count = _counts.get(key, 0)
    if count == EARLY or key[0] * key[1] * key[2] >= LIGHT or not (_matrices(a) and _matrices(b)):
        return False
    if not multiply_all(a, b, out):
        return False
    if count < 0:
        return True
    if len(_counts) >= MOST:
        _counts.clear()
    _counts[key] = count + 1
    if count + 1 == EARLY:
        made = np.empty_like(out)
        _counts[key] = EARLY if multiply(a, b, made) and np.array_equal(made, out, equal_nan=True) else -1
    return True


def multiplied(a: Any, b: Any, out: Any) -> None:
    """`out = a @ b`, by NumPy where oneDNN does not do it."""
    if not multiply(a, b, out):
        plain(a, b, out)


def _matrices(x: Any) -> bool:
    """Whether an array is a stack of matrices whose rows or columns are in one piece."""
    if any(step % 4 or step <= 0 for step in x.strides) or min(x.shape[-2:]) < WIDE:
        return False
    rows, columns = x.strides[-2:]
    return bool((columns == 4 and rows >= 4 * x.shape[-1]) or (rows == 4 and columns >= 4 * x.shape[-2]))


def _stack(lib: Library, *arrays: tuple[tuple[int, ...], tuple[int, ...]]) -> Primitive:
    left, right, out = (lib.layout(shape, [step // 4 for step in strides]) for shape, strides in arrays)
    made = lib.describe("matmul", left, right, None, out, None)
    if lib.implementation(made).startswith("ref"):
        raise dnn.Refused(made)  # a loop that is there to be right
    return Primitive(lib, made, (dnn.SRC, dnn.WEIGHTS, dnn.DST), (left, right, out))


def stackable(a: Any, b: Any) -> bool:
    """Whether these are stacks of as many matrices each, [..., n, k] and [..., k, m], that `multiply_all` is for."""
    return bool(
        2 < a.ndim == b.ndim <= 12
        and a.shape[:-2] == b.shape[:-2]
        and a.shape[-1] == b.shape[-2]
        and math.prod(a.shape) * b.shape[-1] >= STACKED
        and dnn.serves(a, b)
        and _matrices(a)
        and _matrices(b)
    )


def multiply_all(a: Any, b: Any, out: Any) -> bool:
    """`out = a @ b` of stacks of matrices, `out` contiguous; False where it was not done."""
    lib = library()
    if lib is None:
        return False
    key = tuple((x.shape, x.strides) for x in (a, b, out))
    with lib.lock:
        run = _stacks.get(key, lambda: _stack(lib, *key))
        if run is None:
            return False
        run(a, b, out)
    return True


_stacks = Cache()


def worth(a: Any, b: Any) -> bool:
    """Whether the product of two matrices is one that `multiply` is for."""
    return bool(
        a.ndim == b.ndim == 2
        and a.shape[0] * b.size >= ENOUGH
        and a.dtype == _FLOAT
        and b.dtype == _FLOAT
        and a.shape[1] == b.shape[0]
    )
