"""Which line of the person's own program is running: found by walking frames, never by building a traceback."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Mapping
from types import CodeType, FrameType
from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))
# The debugger's own code is no more the person's program than the engine's is.
_ROOTS = [_HERE + os.sep, os.path.join(os.path.dirname(_HERE), "dsviz") + os.sep]


class _Internal(dict[str, bool]):
    """By file name; a dict is cheaper to ask than a prefix test, and the set of files is small."""

    def __missing__(self, name: str) -> bool:
        known = self[name] = any(os.path.abspath(name).startswith(root) for root in _ROOTS)
        return known


INTERNAL = _Internal()


def not_the_programs(folder: str) -> None:
    """What lies in `folder` is no more the person's program: a package that computes with our tensors on its behalf."""
    _ROOTS.append(os.path.abspath(folder) + os.sep)
    INTERNAL.clear()


def is_engine_code(code: CodeType) -> bool:
    """Whether `code` belongs to the engine or the debugger, and not to the person's program."""
    return INTERNAL[code.co_filename]


def user_frame(depth: int = 1) -> FrameType:
    """The first frame outside the engine and the debugger, `depth` or more calls up.

    Where there is none (the engine was called from C), the outermost frame.
    """
    frame = sys._getframe(depth)
    while is_engine_code(frame.f_code):
        caller = frame.f_back
        if caller is None:
            break
        frame = caller
    return frame


def locals_of(frame: FrameType) -> Mapping[str, Any]:
    """The variables of `frame`, without keeping what they hold alive.

    Before Python 3.13 the dictionary that `frame.f_locals` makes stays with the frame, and with it every value
    until the function ends: `del x` would no longer free `x`. It is emptied unless somebody else holds it (the
    program's own `locals()`) or a trace function may write it back.
    """
    found = frame.f_locals
    if (
        sys.version_info >= (3, 13)
        or not frame.f_code.co_flags & inspect.CO_OPTIMIZED
        or sys.gettrace() is not None
    ):
        return found
    copy = dict(found)
    if sys.getrefcount(found) <= 3:  # the frame, this function and getrefcount
        found.clear()
    return copy


# The lines that were asked for, by code object. The code is held beside them: a number may be used again.
_LINES: dict[int, tuple[CodeType, dict[int, int]]] = {}
_MOST_CODES = 4096


def line_of(code: CodeType, lasti: int) -> int:
    """The source line of the instruction at byte offset `lasti` of `code`."""
    known = _LINES.get(id(code))
    if known is None or known[0] is not code:
        if len(_LINES) >= _MOST_CODES:
            _LINES.clear()
        known = _LINES[id(code)] = (code, {})
    line = known[1].get(lasti)
    if line is None:
        line = code.co_firstlineno
        for start, end, number in code.co_lines():
            if start <= lasti < end and number is not None:
                line = number
        known[1][lasti] = line
    return line
