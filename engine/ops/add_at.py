"""Sums into places named by an index, where the same place may be named many times."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.backend import namespace
from engine.dnn import loop


def add_at(array: Any, index: Any, values: Any) -> None:
    """`array[index] += values`, each repeat of an index counting."""
    if isinstance(array, np.ndarray):
        if not loop.add_rows(array, index[0] if type(index) is tuple and len(index) == 1 else index, values):
            np.add.at(array, index, values)
        return
    add, kind = namespace(array).add.at, array.dtype
    if kind == np.int64:
        # CuPy adds no signed 64-bit integers atomically; the unsigned ones have the same bits.
        add(array.view(np.uint64), index, values.astype(kind, copy=False).view(np.uint64))
    elif kind.itemsize < 4 and kind != np.float16:
        wide = array.astype(np.int32 if kind.kind in "iub" else np.float32)
        add(wide, index, values)
        array[...] = wide.astype(kind)
    else:
        add(array, index, values)
