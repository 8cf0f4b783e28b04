"""Products of two matrices by one call of cuBLAS; CuPy's own takes several times as long to start one."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np

from engine.backend import cupy

# cudaDataType and cublasComputeType_t of each element type.
KINDS = {"f": (0, 68), "d": (1, 70), "e": (2, 68)}
TF32 = 77
DEFAULT = -1  # cublasGemmAlgo_t


@functools.cache
def _cublas() -> Any:
    try:
        return importlib.import_module("cupy_backends.cuda.libs.cublas")
    except ImportError:
        return None


@functools.cache
def _factors(kind: str) -> tuple[Any, Any]:
    scale = np.float64 if kind == "d" else np.float32
    return np.ones(1, scale), np.zeros(1, scale)


def _layout(array: Any) -> tuple[int, int] | None:
    """Whether a matrix is the transpose of one in order (1) or itself in order (0), and the length of its lines."""
    size = array.itemsize
    rows, columns = array.strides
    if columns == size and rows >= size * array.shape[1] and rows % size == 0:
        return 0, rows // size
    if rows == size and columns >= size * array.shape[0] and columns % size == 0:
        return 1, columns // size
    return None


def product(a: Any, b: Any, out: Any = None) -> Any:
    """`a @ b` of two matrices of one type, into `out` where it is given."""
    kind = a.dtype.char
    if a.ndim != 2 or b.ndim != 2 or kind not in KINDS or b.dtype != a.dtype or _cublas() is None:
        return None
    (m, k), (inner, n) = a.shape, b.shape
    if inner != k or not (m and n and k):
        return None
    left, right = _layout(a), _layout(b)
    if left is None or right is None:
        return None
    module = cupy()
    if out is None:
        out = module.empty((m, n), a.dtype)
    elif not out.flags.c_contiguous or out.dtype != a.dtype or out.shape != (m, n):
        return None
    from engine.backends import cuda

    what, sums = KINDS[kind]
    if kind == "f" and cuda.matmul.allow_tf32:
        sums = TF32
    one, zero = _factors(kind)
    # cuBLAS counts down columns: it is given the product's transpose.
    _cublas().gemmEx(
        module.cuda.device.get_cublas_handle(), right[0], left[0], n, m, k, one.ctypes.data, b.data.ptr, what, right[1],
        a.data.ptr, what, left[1], zero.ctypes.data, out.data.ptr, what, n, sums, DEFAULT,
    )  # fmt: skip
    return out
