"""Constants a model makes for itself in a size that depends on the input: how they are known again, and written.

Two traces show the same constant at two sizes. What is filled with one value, counts along a dimension, or is one value
on one side of a diagonal and another on the other side can be made of the size alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from engine.onnx.writer import Writer


class Fill(NamedTuple):
    """One value everywhere."""

    sizes: tuple[Any, ...]
    value: Any
    example: Any

    def write(self, w: Writer) -> str:
        """Its name in the graph."""
        return str(w.add("Expand", [w.arg(self.value, self.example.dtype), w.ints(self.sizes)]))


class Count(NamedTuple):
    """`start`, `start + step`, ... along dimension `dim`, the same along the others."""

    sizes: tuple[Any, ...]
    dim: int
    start: Any
    step: Any
    example: Any

    def write(self, w: Writer) -> str:
        """Its name in the graph."""
        limit = w.arg(self.sizes[self.dim]) if not isinstance(self.sizes[self.dim], int) else w.constant(np.int64(self.sizes[self.dim]))  # fmt: skip
        made = w.add("Range", [w.constant(np.int64(0)), limit, w.constant(np.int64(1))])
        kind = self.example.dtype
        if kind != np.int64:
            made = w.cast(made, kind)
        if self.step != 1:
            made = w.add("Mul", [made, w.constant(self.step, kind)])
        if self.start != 0:
            made = w.add("Add", [made, w.constant(self.start, kind)])
        if len(self.sizes) == 1:
            return str(made)
        line = [-1 if d == self.dim else 1 for d in range(len(self.sizes))]
        return str(w.add("Expand", [w.add("Reshape", [made, w.ints(line)]), w.ints(self.sizes)]))


class Band(NamedTuple):
    """`inside` up to `diagonal` places right of the main diagonal of the last two dimensions, `outside` beyond."""

    sizes: tuple[Any, ...]
    diagonal: int
    inside: Any
    outside: Any
    example: Any

    def write(self, w: Writer) -> str:
        """Its name in the graph."""
        ones = w.add("Expand", [w.constant(np.float32(1)), w.ints(self.sizes)])
        lower = w.cast(w.add("Trilu", [ones, w.constant(np.int64(self.diagonal))], upper=0), "bool")
        kind = self.example.dtype
        if kind == np.bool_:
            return lower if self.inside else str(w.add("Not", [lower]))
        return str(w.add("Where", [lower, w.constant(self.inside, kind), w.constant(self.outside, kind)]))


MADE = (Fill, Count, Band)


def known(first: Any, second: Any, sizes: tuple[Any, ...], number: Callable[[int, int], Any]) -> Any:
    """What makes the arrays, whose shapes both are `sizes`; None where it is none of these.

    `number` says what stands for two whole numbers that differ, and raises where nothing does.
    """
    if not first.size or not second.size or first.dtype != second.dtype:
        return None
    value = first.flat[0]
    if (first == value).all() and (second == value).all():
        return Fill(sizes, value, first)
    if first.dtype.kind in "iu" and (first == value).all() and (second == second.flat[0]).all():
        return Fill(sizes, number(int(value), int(second.flat[0])), first)
    return _count(first, second, sizes) or _band(first, second, sizes)


def _count(first: Any, second: Any, sizes: tuple[Any, ...]) -> Count | None:
    if first.dtype.kind not in "iuf" or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return None
    for dim in range(first.ndim):
        lines = [np.moveaxis(a, dim, -1) for a in (first, second)]
        line = lines[0].reshape(-1, first.shape[dim])[0]
        if len(line) < 2:
            continue
        start, step = line[0], line[1] - line[0]
        if all((a == (start + step * np.arange(a.shape[-1])).astype(first.dtype)).all() for a in lines):
            return Count(sizes, dim, start, step, first)
    return None


def _band(first: Any, second: Any, sizes: tuple[Any, ...]) -> Band | None:
    if first.ndim < 2:
        return None
    for a, b in ((first, second), (second, first)):
        matrix = a.reshape(-1, *a.shape[-2:])[0]
        inside, outside = matrix[-1, 0], matrix[0, -1]
        if inside == outside:
            continue
        ahead, behind = int((matrix[0] == inside).sum()), int((matrix[:, 0] == outside).sum())
        diagonal = ahead - 1 if ahead else -behind
        if all(
            (c == np.where(np.tri(c.shape[-2], c.shape[-1], diagonal, dtype=bool), inside, outside)).all()
            for c in (a, b)
        ):
            return Band(sizes, diagonal, inside, outside, first)
    return None
