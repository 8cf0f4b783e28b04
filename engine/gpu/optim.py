"""Steps of an optimizer for many parameters in one launch; one parameter goes the same way, to the same bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.backend import cupy
from engine.gpu import capture, launch
from engine.gpu.launch import int32, int64

CHUNK = 4096  # elements a block works on; the same in `kernels.cu`
_tables: dict[tuple[int, ...], Any] = {}
_kept: dict[tuple[int, ...], Any] = {}


def _table(sizes: tuple[int, ...]) -> Any:
    """On the GPU: for each block its parameter and where it begins, then the sizes; and how many blocks there are."""
    found = _tables.get(sizes)
    if found is None:
        if len(_tables) >= 64:
            _tables.clear()
        chunks = [(i, start) for i, n in enumerate(sizes) for start in range(0, n, CHUNK)]
        flat = np.array([v for pair in chunks for v in pair] + list(sizes), np.int64)
        there = cupy().asarray(flat)
        found = _tables[sizes] = there[: 2 * len(chunks)], there[2 * len(chunks) :], len(chunks)
    return found


def _addresses(at: tuple[int, ...]) -> Any:
    """Addresses on the GPU. In a steady loop the same ones come again, as the memory is used again."""
    found = _kept.get(at)
    if found is None:
        if len(_kept) >= 64:
            _kept.clear()
        found = _kept[at] = cupy().asarray(np.array(at, np.int64))
    return found


def serves(arrays: Sequence[Any]) -> bool:
    """Whether these can go together: arrays of one type, with their elements in order."""
    return bool(arrays) and all(a.size for a in arrays) and launch.serves(*arrays)


def step(
    name: str, columns: Sequence[Sequence[Any]], numbers: Sequence[float], switches: Sequence[int],
    again: Callable[[], Sequence[float]], undo: Callable[[], None] | None = None,
) -> None:  # fmt: skip
    """Launch `name` on columns of arrays: the parameters, their gradients, then what is kept for each (None: nothing).

    In a recorded step `again` counts the next step and gives its numbers; `undo` takes back that this one was counted.
    """
    parameters = columns[0]
    chunks, sizes, blocks = _table(tuple(p.size for p in parameters))
    at = _addresses(tuple([0 if a is None else a.data.ptr for column in columns for a in column]))
    capture.hold(chunks, sizes, at)
    told = capture.told(np.array(numbers, np.float64), lambda: np.array(again(), np.float64), undo)
    arguments = (
        chunks, sizes, at, int32(len(parameters)), *[float(n) for n in numbers],
        *[int32(s) for s in switches], told,
    )  # fmt: skip
    launch.kernel(name, parameters[0].dtype.char)((blocks,), (256,), arguments)


def clip(gradients: Sequence[Any], most: float) -> Any:
    """Hold the Euclidean norm of all of them within `most`, in place; the norm before, on the GPU. None: not done."""
    if not serves(gradients):
        return None
    module, kind = cupy(), gradients[0].dtype
    chunks, sizes, blocks = _table(tuple(g.size for g in gradients))
    at = _addresses(tuple([g.data.ptr for g in gradients]))
    capture.hold(chunks, sizes, at)
    parts, total, rounded = module.empty(blocks, "d"), module.empty((), "d"), module.empty((), kind)
    launch.kernel("squares", kind.char)((blocks,), (256,), (chunks, sizes, at, parts))
    launch.kernel("whole_norm", kind.char)((1,), (256,), (parts, int64(blocks), total, rounded))
    launch.kernel("hold", kind.char)((blocks,), (256,), (chunks, sizes, at, total, float(most)))
    return rounded
