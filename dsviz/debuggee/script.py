"""Runs a script as `python script.py` does: same names, same paths, same traceback, same exit status."""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from types import ModuleType, TracebackType

from dsviz.debuggee.tracebacks import strip


class Script:
    """One script with its arguments, as the only program of this process."""

    def __init__(self, name: str, args: list[str]) -> None:
        self.path = os.path.abspath(name)
        # What `python script.py` puts first on the path: the real folder, links resolved.
        self.folder = os.path.dirname(os.path.realpath(name))
        self.module = ModuleType("__main__")
        self.module.__dict__.update(
            __file__=self.path,
            __builtins__=builtins,
            __spec__=None,
            __package__=None,
            __cached__=None,
            __loader__=SourceFileLoader("__main__", self.path),
            __annotations__={},
        )
        self._name, self._args = name, args

    def enter(self) -> None:
        """Make this process look as if Python had been started on the script."""
        sys.argv = [self._name, *self._args]
        if not getattr(sys.flags, "safe_path", False):
            sys.path.insert(0, self.folder)
        sys.modules["__main__"] = self.module

    def let_go(self) -> None:
        """The program ends: what only its variables hold may go, in the order it would without a debugger."""
        del self.module

    def run(
        self,
        compiled: Callable[[bytes, str], object],
        on_uncaught: Callable[[BaseException], None],
    ) -> None:
        """Run it to its end. What it raises goes on to the interpreter, which ends as it would have.

        `compiled(source, path)` makes the code; `on_uncaught(exception)` may look before the program dies.
        """
        try:
            with open(self.path, "rb") as file:
                source = file.read()
            code = compiled(source, self.path)
            exec(code, self.module.__dict__)  # type: ignore[arg-type]
        except SystemExit:
            raise
        except BaseException as exception:
            strip(exception)
            if isinstance(exception, Exception):
                on_uncaught(exception)
            _hide_ourselves()
            raise


def _hide_ourselves() -> None:
    # The interpreter prints the exception through sys.excepthook (the script's own where it set one)
    # after it has left our frames, which it has then added to the traceback again.
    shown = sys.excepthook

    def excepthook(kind: type[BaseException], exception: BaseException, trace: TracebackType | None) -> None:
        strip(exception)
        shown(kind, exception, exception.__traceback__)

    sys.excepthook = excepthook
