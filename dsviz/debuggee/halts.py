"""Lines that say themselves that the program should pause there: `ds.breakpoint()`, and Python's `breakpoint()`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from engine import pausing


class Halts:
    """While installed, both calls pause the program by `stop`, in the thread that made them.

    Python's own obeys `PYTHONBREAKPOINT` as always: "0" is off, and a name other than pdb's means that
    debugger. A `sys.breakpointhook` that the program sets itself stays its own.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._before: Any = None
        self._hook: Any = None

    def install(self) -> None:
        """Pause at such lines from here on."""
        pausing.debugger = self._stop
        self._before, self._hook = sys.breakpointhook, self._builtin
        if self._before is sys.__breakpointhook__:
            sys.breakpointhook = self._hook

    def close(self) -> None:
        """Leave the calls to whoever had them before."""
        if pausing.debugger == self._stop:
            pausing.debugger = None
        if self._hook is not None and sys.breakpointhook == self._hook:
            sys.breakpointhook = self._before

    def _builtin(self, *args: Any, **kwargs: Any) -> Any:
        wish = os.environ.get(pausing.SWITCH, "")
        if wish in ("", "pdb.set_trace"):
            self._stop()
            return None
        return sys.__breakpointhook__(*args, **kwargs)  # "0", or the debugger that the person named
