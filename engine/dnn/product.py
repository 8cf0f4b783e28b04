"""Matrix products of float32 by oneDNN, which are some faster than OpenBLAS's from a certain size on."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.dnn.library import address, library

# Multiplications from which it pays: a call through ctypes takes about 6 us.
ENOUGH = 1 << 21


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
    m, n, k = a.shape[0], b.shape[1], a.shape[1]
    status = lib.lib.dnnl_sgemm(
        left[0], right[0], m, n, k, 1.0, address(a), left[1], address(b), right[1], 0.0, address(out), n
    )
    return bool(status == 0)


def multiplied(a: Any, b: Any, out: Any) -> None:
    """`out = a @ b`, by NumPy where oneDNN does not do it."""
    if not multiply(a, b, out):
        np.matmul(a, b, out=out)


def worth(a: Any, b: Any) -> bool:
    """Whether the product of two matrices is one that `multiply` is for."""
    return bool(
        a.dtype == b.dtype == np.float32
        and a.ndim == b.ndim == 2
        and a.shape[0] * a.shape[1] * b.shape[1] >= ENOUGH
    )
