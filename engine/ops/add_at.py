"""Sums into places named by an index, where the same place may be named many times."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.backend import namespace
from engine.dnn import loop

# Values from which places are numbered through the whole array.
MANY = 256


def add_at(array: Any, index: Any, values: Any) -> None:
    """`array[index] += values`, each repeat of an index counting."""
    if isinstance(array, np.ndarray):
        if not loop.add_rows(array, index[0] if type(index) is tuple and len(index) == 1 else index, values):
            at(np.add, array, index, values)
        return
    add, kind = namespace(array).add.at, array.dtype
    if kind == np.int64:
        # CuPy adds no signed 64-bit integers atomically; the unsigned ones have the same bits.
        add(array.view(np.uint64), index, values.astype(kind, copy=False).view(np.uint64))
    elif kind.kind == "c":  # CuPy adds none atomically
        for part, value in ((array.real, values.real), (array.imag, values.imag)):
            whole = part.copy()
            add(whole, index, value)
            part[...] = whole
    elif kind.itemsize < 4 and kind != np.float16:
        wide = array.astype(np.int32 if kind.kind in "iub" else np.float32)
        add(wide, index, values)
        array[...] = wide.astype(kind)
    else:
        add(array, index, values)


def at(ufunc: Any, array: Any, index: Any, values: Any) -> None:
    """`ufunc.at(array, index, values)`: NumPy has a loop for one number a place, and takes eight times as long for any other."""
    flat = (
        numbered(array.shape, index)
        if array.flags.c_contiguous and getattr(values, "size", 1) >= MANY
        else None
    )
    if flat is None:
        ufunc.at(array, index, values)
        return
    values = np.broadcast_to(values, flat.shape)
    ufunc.at(array.reshape(-1), flat.reshape(-1), values.reshape(-1))


def numbered(shape: tuple[int, ...], index: Any) -> Any:
    """The places that `index` names, counted through an array of `shape`; None where it is not all whole numbers, or wrong.

    >>> numbered((3, 4), np.array([2, -1]))
    array([[ 8,  9, 10, 11],
           [ 8,  9, 10, 11]])
    """
    parts = index if type(index) is tuple else (index,)
    if (
        not parts
        or len(parts) > len(shape)
        or any(type(p) is not np.ndarray or p.dtype.kind != "i" for p in parts)
    ):
        return None
    flat: Any = None
    for part, size in zip(parts, shape, strict=False):
        if not part.size or part.min() < -size or part.max() >= size:
            return None
        part = part.astype(np.intp, copy=False)
        part = np.where(part < 0, part + size, part) if part.min() < 0 else part
        flat = part if flat is None else flat * size + part
    rest = shape[len(parts) :]
    if rest:
        width = math.prod(rest)
        flat = (flat[..., None] * width + np.arange(width)).reshape(*flat.shape, *rest)
    return flat
