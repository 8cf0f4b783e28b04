"""Runs a script as `python script.py` does: same names, same paths, same traceback, same exit status."""

from __future__ import annotations

import builtins
import os
import sys
import traceback
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from types import ModuleType, TracebackType

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


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


def strip(exception: BaseException) -> None:
    """Take the debugger's own frames out of an exception's traceback, and of those that led to it."""
    seen: set[int] = set()
    chain: list[BaseException | None] = [exception]
    while chain:
        current = chain.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.__traceback__ = _without_ours(current.__traceback__)
        chain += [current.__cause__, current.__context__]


def traceback_text(exception: BaseException, limit: int = 64_000) -> str:
    """The traceback as Python prints it, cut in the middle where it is very long."""
    text = "".join(traceback.format_exception(type(exception), exception, exception.__traceback__))
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}\n[... {len(text) - limit} characters left out ...]\n{text[-limit // 2 :]}"


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    kept: list[TracebackType] = []
    while trace is not None:
        if not _ours(trace.tb_frame.f_code.co_filename, trace):
            kept.append(trace)
        trace = trace.tb_next
    head: TracebackType | None = None
    for entry in reversed(kept):
        head = TracebackType(head, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return head


def _ours(filename: str, trace: TracebackType) -> bool:
    # Frames of a module call that are there only while it is watched.
    if (
        trace.tb_frame.f_code.co_name in ("_enclosed", "_inner")
        and trace.tb_frame.f_globals.get("__name__") == "engine.module"
    ):
        return True
    return filename.startswith(_HERE) or trace.tb_frame.f_globals.get("__dsviz_bootstrap__") is True


def _hide_ourselves() -> None:
    # The interpreter prints the exception through sys.excepthook (the script's own where it set one)
    # after it has left our frames, which it has then added to the traceback again.
    shown = sys.excepthook

    def excepthook(kind: type[BaseException], exception: BaseException, trace: TracebackType | None) -> None:
        strip(exception)
        shown(kind, exception, exception.__traceback__)

    sys.excepthook = excepthook
