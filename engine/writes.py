"""In-place writes, remembered so that a gradient never uses a value that has changed since it was saved.

A node notes how many writes there had been when it ran. Only when there were more by the time of its
gradient is the memory of what it saved looked up here, so programs without in-place writes pay nothing.
Writing to other elements of the same memory is no change: a buffer may be filled step by step.
"""

from __future__ import annotations

import weakref
from types import CodeType, FrameType
from typing import Any, NamedTuple

import numpy as np

from engine.backend import owner
from engine.location import line_of, user_frame


class Changed(RuntimeError):  # noqa: N818 - what happened, not what kind of fault it is
    """A value that a gradient still needs was written to in place; `filename` and `line` are where."""

    filename: str = ""
    line: int = 0


class Write(NamedTuple):
    """The `number`th write: by which op, at which instruction of the program, and where in the memory if that is known."""

    number: int
    op: str
    code: CodeType
    lasti: int
    place: tuple[int, tuple[int, ...], tuple[int, ...], Any] | None  # address, shape, strides, dtype


MOST = 64  # writes to one piece of memory that are told apart


class Writes:
    """`count` writes so far, and the last ones to each piece of memory that is still alive."""

    __slots__ = ("_last", "_limit", "count")

    def __init__(self) -> None:
        self.count = 0
        self._limit = 1024
        self._last: dict[int, tuple[weakref.ref[Any], list[Write]]] = {}

    def note(self, array: Any, op: str, part: Any = None, frame: FrameType | None = None) -> None:
        """`array`, or only its view `part`, was written to in place by `op`, now; `frame` is the person's, where known."""
        memory = owner(array)
        frame = frame or user_frame(2)
        self.count += 1
        # Where, without holding the memory.
        place = None if part is None else (part.ctypes.data, part.shape, part.strides, part.dtype)
        write = Write(self.count, op, frame.f_code, frame.f_lasti, place)
        entry = self._last.get(id(memory))
        # A write of everything makes those before it needless, and so does one too many.
        if place is None or entry is None or entry[0]() is not memory:
            self._last[id(memory)] = (weakref.ref(memory), [write])
        elif len(entry[1]) < MOST:
            entry[1].append(write)
        else:
            self._last[id(memory)] = (entry[0], [write._replace(place=None)])
        if len(self._last) > self._limit:
            self._last = {key: entry for key, entry in self._last.items() if entry[0]() is not None}
            self._limit = max(1024, 2 * len(self._last))

    def last(self, array: Any) -> tuple[str, int] | None:
        """File and line of the last write to `array`'s memory, None where there was none."""
        memory = owner(array)
        entry = self._last.get(id(memory))
        if entry is None or entry[0]() is not memory:
            return None
        write = entry[1][-1]
        return write.code.co_filename, line_of(write.code, write.lasti)

    def since(self, array: Any, stamp: int) -> tuple[str, str, int] | None:
        """The last write to `array`'s elements after write number `stamp`: (op, file, line), or None."""
        memory = owner(array)
        entry = self._last.get(id(memory))
        # A number may be that of a dead array; the reference tells.
        if entry is None or entry[0]() is not memory:
            return None
        for write in reversed(entry[1]):
            if write.number <= stamp:
                return None
            if write.place is None or _meet(array, memory, write.place):
                return write.op, write.code.co_filename, line_of(write.code, write.lasti)
        return None


def _meet(array: Any, memory: Any, place: tuple[int, tuple[int, ...], tuple[int, ...], Any]) -> bool:
    """Whether an array has elements in common with what lies at a place in its memory; True where that is hard to tell."""
    address, shape, strides, kind = place
    try:
        there = np.ndarray(shape, kind, memory, address - memory.ctypes.data, strides)
        return np.shares_memory(array, there, max_work=10_000)  # type: ignore[arg-type]
    except (TypeError, ValueError, np.exceptions.TooHardError):
        return True


writes = Writes()
