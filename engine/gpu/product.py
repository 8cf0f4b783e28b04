"""Products of two matrices by one call of cuBLAS; CuPy's own takes several times as long to start one."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np

from engine.backend import cupy
from engine.backends import cuda
from engine.gpu.blas import blas, check

# cudaDataType and cublasComputeType_t of each element type.
KINDS = {"f": (0, 68), "d": (1, 70), "e": (2, 68), "E": (14, 68)}  # E: bfloat16
TF32 = 77
DEFAULT = -1  # cublasGemmAlgo_t


def _scales(kind: Any) -> tuple[Any, Any]:
    made = kind(1), kind(0)
    return made, tuple([ctypes.addressof(each) for each in made])


# The factors 1 and 0, which stay where they are, and where that is.
_SINGLE, _DOUBLE = _scales(ctypes.c_float), _scales(ctypes.c_double)


def _layout(array: Any) -> tuple[int, int] | None:
    """Whether a matrix is the transpose of one in order (1) or itself in order (0), and the length of its lines."""
    size = array.itemsize
    rows, columns = array.strides
    # Of one row or column it does not matter how far the next would be, and anything may stand there.
    if array.shape[1] == 1:
        columns = size
    elif array.shape[0] == 1:
        rows = size * array.shape[1] if columns == size else size
    if columns == size and rows >= size * array.shape[1] and rows % size == 0:
        return 0, rows // size
    if rows == size and columns >= size * array.shape[0] and columns % size == 0:
        return 1, columns // size
    return None


def _stacked(array: Any) -> tuple[Any, int] | None:
    """A stack of matrices as its first one's shape and strides, and how far apart they lie; None where that differs."""
    step = array.strides[-3]
    for n, stride, inner, below in zip(
        array.shape[:-3], array.strides, array.shape[1:], array.strides[1:], strict=False
    ):
        if n > 1 and stride != inner * below:
            return None
    return array[(0,) * (array.ndim - 2)], step // array.itemsize


def stacked(a: Any, b: Any) -> Any:
    """`a @ b` of two stacks of matrices of one type and one number of dimensions, three or more."""
    kind, lead = a.dtype.char, a.shape[:-2]
    if a.ndim < 3 or b.shape[:-2] != lead or kind not in KINDS or b.dtype != a.dtype or blas() is None:
        return None
    (m, k), (inner, n), count = a.shape[-2:], b.shape[-2:], math.prod(lead)
    if inner != k or not (m and n and k and count):
        return None
    parts = _stacked(a), _stacked(b)
    if parts[0] is None or parts[1] is None:
        return None
    left, right = _layout(parts[0][0]), _layout(parts[1][0])
    if left is None or right is None:
        return None
    out = cupy().empty((*lead, m, n), a.dtype)
    what, sums, one, zero = _numbers(kind)
    library = blas()
    assert library is not None
    check(
        library.products(
            library.handle(), right[0], left[0], n, m, k, one, b.data.ptr, what, right[1], parts[1][1], a.data.ptr, what,
            left[1], parts[0][1], zero, out.data.ptr, what, n, m * n, count, sums, DEFAULT,
        )
    )  # fmt: skip
    return out


def scales(kind: str) -> tuple[int, int]:
    """Where the factors 1 and 0 are, in the type that a product of arrays of this type takes them in."""
    return (_DOUBLE if kind == "d" else _SINGLE)[1]  # type: ignore[no-any-return]


def _numbers(kind: str) -> tuple[int, int, Any, Any]:
    """The type of the arrays, that of the sums, and the factors 1 and 0."""
    what, sums = KINDS[kind]
    return (
        what,
        TF32 if kind == "f" and cuda.matmul.allow_tf32 else sums,
        *scales(kind),
    )


def product(a: Any, b: Any, out: Any = None) -> Any:
    """`a @ b` of arrays of one type, into `out` where it is given and there are two matrices; vectors as with NumPy."""
    made = _direct(a, b, out)
    return _arranged(a, b) if made is None and out is None else made


def _arranged(a: Any, b: Any) -> Any:
    """The same of vectors, of stacks that are stretched, and of what lies in no order that cuBLAS takes."""
    if (
        not (a.ndim and b.ndim and a.size and b.size)
        or a.dtype != b.dtype
        or a.dtype.char not in KINDS
        or blas() is None
    ):
        return None
    if a.ndim == 1 or b.ndim == 1:
        left, right = (a[None] if a.ndim == 1 else a), (b[:, None] if b.ndim == 1 else b)
        made = product(left, right)
        if made is None:
            return None
        made = made[..., 0] if b.ndim == 1 else made
        return made[..., 0] if a.ndim == b.ndim == 1 else made[..., 0, :] if a.ndim == 1 else made
    if a.shape[-1] != b.shape[-2]:
        return None
    module = cupy()
    if b.ndim > 2:
        try:
            lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            return None  # CuPy says it better
        a = module.broadcast_to(a, (*lead, *a.shape[-2:]))
        b = module.broadcast_to(b, (*lead, *b.shape[-2:]))
    return _direct(module.ascontiguousarray(a), module.ascontiguousarray(b))


def _direct(a: Any, b: Any, out: Any = None) -> Any:
    """By one call on the arrays as they lie; None where that is not possible."""
    kind = a.dtype.char
    if a.ndim > 2 and a.ndim == b.ndim and out is None:
        return stacked(a, b)
    if a.ndim > 2 and b.ndim == 2 and a.flags.c_contiguous:  # rows, whatever stands above them
        flat = None if out is None else out.reshape(-1, out.shape[-1])
        made = _direct(a.reshape(-1, a.shape[-1]), b, flat)
        return None if made is None else made.reshape(*a.shape[:-1], b.shape[1])
    if a.ndim != 2 or b.ndim != 2 or kind not in KINDS or b.dtype != a.dtype or blas() is None:
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
    what, sums, one, zero = _numbers(kind)
    library = blas()
    assert library is not None
    # cuBLAS counts down columns: it is given the product's transpose.
    check(
        library.product(
            library.handle(), right[0], left[0], n, m, k, one, b.data.ptr, what, right[1], a.data.ptr, what, left[1], zero,
            out.data.ptr, what, n, sums, DEFAULT,
        )
    )  # fmt: skip
    return out
