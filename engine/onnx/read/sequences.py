"""ONNX's sequences and optionals: Python lists of tensors, and None."""

from __future__ import annotations

from typing import Any

import numpy as np

import engine as ds
from engine.onnx.read.step import READ, Sequence, Step, plain, reads


@reads("SequenceConstruct")
def _sequence(s: Step) -> Any:
    return Sequence(s.inputs)


@reads("SequenceEmpty")
def _empty(s: Step) -> Any:
    return Sequence()


def _insert(s: Step) -> Any:
    made = Sequence(s.inputs[0])
    at = s.get(2)
    made.insert(len(made) if at is None else _place(at, len(made) + 1), s.inputs[1])
    return made


def _erase(s: Step) -> Any:
    made, at = Sequence(s.inputs[0]), s.get(1)
    del made[-1 if at is None else int(at.array.item())]
    return made


def _place(at: Any, count: int) -> int:
    number = int(at.array.item())
    return number if number >= 0 else number + count - 1


READ["SequenceInsert"], READ["SequenceErase"] = _insert, _erase
READ["SequenceAt"] = lambda s: s.inputs[0][int(s.inputs[1].array.item())]
READ["SequenceLength"] = lambda s: plain(np.asarray(len(s.inputs[0]), np.int64))
READ["ConcatFromSequence"] = lambda s: (ds.stack if s.attr("new_axis", 0) else ds.cat)(
    s.inputs[0], s.attributes["axis"]
)
READ["OptionalHasElement"] = lambda s: plain(np.asarray(s.get(0) is not None))
READ["OptionalGetElement"] = READ["Optional"] = lambda s: [s.inputs[0]]


@reads("SplitToSequence")
def _split_to(s: Step) -> Any:
    x, given, axis = s.inputs[0], s.get(1), int(s.attr("axis", 0))
    n = x.shape[axis]
    if given is None:
        parts = ds.split(x, 1, axis)
        return Sequence(parts if s.attr("keepdims", 1) else [p.squeeze(axis) for p in parts])
    sizes = [int(v) for v in given.array] if given.ndim else int(given.array)
    return Sequence(ds.split(x, sizes, axis) if n else [])
