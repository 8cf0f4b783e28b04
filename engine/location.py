"""Which line of the person's own program is running: found by walking frames, never by building a traceback."""

from __future__ import annotations

import os
import sys
from types import CodeType, FrameType

_HERE = os.path.dirname(os.path.abspath(__file__))
# The debugger's own code is no more the person's program than the engine's is.
_ROOTS = [_HERE + os.sep, os.path.join(os.path.dirname(_HERE), "dsviz") + os.sep]

# A dict of file names is cheaper to ask than a prefix test, and the set of files is small.
INTERNAL: dict[str, bool] = {}


def is_engine_code(code: CodeType) -> bool:
    """Whether `code` belongs to the engine or the debugger, and not to the person's program."""
    name = code.co_filename
    known = INTERNAL.get(name)
    if known is None:
        known = INTERNAL[name] = any(os.path.abspath(name).startswith(root) for root in _ROOTS)
    return known


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


def line_of(code: CodeType, lasti: int) -> int:
    """The source line of the instruction at byte offset `lasti` of `code`."""
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= lasti < end and number is not None:
            line = number
    return line
