"""`ds.breakpoint()`: a line of the program at which a debugger, where there is one, pauses it.

The engine knows no debugger. One that follows this process puts a function into `debugger`, and takes it out
when it lets go; with none there the call never waits, so a program that was forgotten to be cleaned of it
runs through on a machine where nobody looks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from engine.location import user_frame

SWITCH = "PYTHONBREAKPOINT"  # Python's own: "0" switches every breakpoint() off

debugger: Callable[[], object] | None = None  # pauses the thread that calls it
_told: set[tuple[str, int]] = set()


def breakpoint() -> None:
    """Pause here, under the debugger: `dsviz run`, `dsviz attach` or a `Session`.

    With no debugger it goes on at once and says on stderr, once for each line, how to get one. Where the
    environment says `PYTHONBREAKPOINT=0` it does nothing at all.

    >>> breakpoint()
    """
    if os.environ.get(SWITCH) == "0":
        return
    if debugger is not None:
        debugger()
        return
    frame = user_frame(2)
    path, line = frame.f_code.co_filename, frame.f_lineno or 0
    if (path, line) in _told or sys.stderr is None:
        return
    _told.add((path, line))
    script = sys.argv[0] if sys.argv and os.path.exists(sys.argv[0]) else "SCRIPT"
    sys.stderr.write(
        f"dsviz: ds.breakpoint() at {path}:{line} went on, as no debugger is there. Start the program with "
        f"`dsviz run {script}`, or call ds.listen() in it and use `dsviz attach {os.getpid()}`.\n"
    )
