"""In-place writes, remembered so that a gradient never uses a value that has changed since it was saved.

A node notes how many writes there had been when it ran. Only when there were more by the time of its
gradient is the memory of what it saved looked up here, so programs without in-place writes pay nothing.
"""

from __future__ import annotations

import weakref
from types import CodeType, FrameType
from typing import Any

from engine.backend import owner
from engine.location import line_of, user_frame


class Changed(RuntimeError):  # noqa: N818 - what happened, not what kind of fault it is
    """A value that a gradient still needs was written to in place; `filename` and `line` are where."""

    filename: str = ""
    line: int = 0


class Writes:
    """`count` writes so far, and the last one to each piece of memory that is still alive."""

    __slots__ = ("_last", "_limit", "count")

    def __init__(self) -> None:
        self.count = 0
        self._limit = 1024
        self._last: dict[int, tuple[int, weakref.ref[Any], str, CodeType | None, int]] = {}

    def note(self, array: Any, op: str, frame: FrameType | None = None) -> None:
        """`array` was written to in place by `op`, now; `frame` is the person's, where it is known."""
        memory = owner(array)
        frame = frame or user_frame(2)
        self.count += 1
        self._last[id(memory)] = (self.count, weakref.ref(memory), op, frame.f_code, frame.f_lasti)
        if len(self._last) > self._limit:
            self._last = {key: entry for key, entry in self._last.items() if entry[1]() is not None}
            self._limit = max(1024, 2 * len(self._last))

    def since(self, array: Any, stamp: int) -> tuple[str, str, int] | None:
        """The write to `array`'s memory after write number `stamp`: (op, file, line), or None."""
        memory = owner(array)
        entry = self._last.get(id(memory))
        # A number may be that of a dead array; the reference tells.
        if entry is None or entry[0] <= stamp or entry[1]() is not memory:
            return None
        code = entry[3]
        return entry[2], code.co_filename if code else "", line_of(code, entry[4]) if code else 0


writes = Writes()
