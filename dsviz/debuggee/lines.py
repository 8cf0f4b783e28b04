"""Breakpoints on lines that run no op: told by Python's own tracing, and only while there is a breakpoint on a line.

A line that runs ops is paused at its first one, with its arguments there to look at. A line that cannot run any
(`epochs = 10`, `print(loss)`, `for batch in batches:`) is paused before it. Of the others nobody can say what they will do:
they are paused at the first op of whatever they call, and where they turn out to run none, once they have run.

Only functions that hold such a line are followed line by line; for all others Python asks once a call. A program that
is traced by somebody else (a coverage tool, pdb) keeps its own trace function, and pauses at ops only.
"""

from __future__ import annotations

import ast
import builtins
import functools
import linecache
import os
import sys
import threading
from _thread import get_ident
from collections.abc import Callable, Iterable
from types import CodeType, FrameType, ModuleType
from typing import Any

from engine.location import is_engine_code

# What may be an op wherever it stands; calls are looked at one by one.
_OPERATIONS = (ast.BinOp, ast.AugAssign, ast.Subscript, ast.Await, ast.Yield, ast.YieldFrom)
_SAME = (ast.Is, ast.IsNot, ast.In, ast.NotIn)
_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")


class Arrived:
    """A thread has come to a line with a breakpoint, and no op has run since."""

    __slots__ = ("code", "frame", "lasti", "line")

    def __init__(self, frame: FrameType) -> None:
        self.frame = id(frame)
        self.code = frame.f_code
        self.line = frame.f_lineno or 0
        self.lasti = frame.f_lasti


class Lines:
    """Calls `stop(frame, file, line, ran)` at a line that runs no op: before it, or once it `ran`."""

    def __init__(self, stop: Callable[[FrameType, str, int, bool], None]) -> None:
        self._stop = stop
        self._wanted: dict[str, set[int]] = {}
        # By number: code objects hash all they hold. The code is held beside its lines, a number may be used again.
        self._codes: dict[int, tuple[CodeType, str, frozenset[int]]] = {}
        self._arrived: dict[int, Arrived] = {}
        self._trace = self._call  # one object, to be known again

    def want(self, places: Iterable[tuple[str, int]]) -> None:
        """These lines have breakpoints from now on."""
        wanted: dict[str, set[int]] = {}
        for file, line in places:
            wanted.setdefault(file, set()).add(line)
        if wanted != self._wanted:
            self._wanted, self._codes = wanted, {}
            if not wanted:
                self._arrived.clear()

    def follow(self, frame: FrameType | None) -> None:
        """Follow the calling thread, whose person's code stands in `frame`, as far as there is something to wait for."""
        now = sys.gettrace()
        if not self._wanted:
            if now is self._trace:
                sys.settrace(None)
            if threading._trace_hook is self._trace:  # type: ignore[attr-defined]
                threading.settrace(None)
            return
        if now is None:
            sys.settrace(self._trace)
            if threading._trace_hook is None:  # type: ignore[attr-defined]
                threading.settrace(self._trace)
        elif now is not self._trace:
            return
        while frame is not None:
            if self._lines_of(frame.f_code)[2] and frame.f_trace is None:
                frame.f_trace = self._line
            frame = frame.f_back

    @property
    def follows(self) -> bool:
        """Whether the calling thread is followed."""
        return sys.gettrace() is self._trace

    def take(self) -> Arrived | None:
        """The line that the calling thread has come to with no op since: an op or a module is about to run now."""
        return self._arrived.pop(get_ident(), None)

    def close(self) -> None:
        """Follow nobody. Threads that are followed find nothing to wait for."""
        self.want(())
        self.follow(None)

    # What Python calls

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not self._wanted:
            sys.settrace(None)
            return None
        return self._line if self._lines_of(frame.f_code)[2] else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        me = get_ident()
        arrived = self._arrived.get(me)
        if arrived is not None and arrived.frame == id(frame) and event != "exception":
            del self._arrived[me]
            file = self._lines_of(arrived.code)[1]
            if event == "return" or frame.f_lineno != arrived.line:
                self._stop(frame, file, arrived.line, True)
        if event == "line":
            _, file, lines = self._lines_of(frame.f_code)
            line = frame.f_lineno or 0
            if line in lines:
                if plain(file, line, frame.f_globals):
                    self._stop(frame, file, line, False)
                else:
                    self._arrived[me] = Arrived(frame)
        elif event == "exception" and arrived is not None and arrived.frame == id(frame):
            self._arrived.pop(me, None)  # it is told as what it is
        return self._line if self._wanted else None

    def _lines_of(self, code: CodeType) -> tuple[CodeType, str, frozenset[int]]:
        known = self._codes.get(id(code))
        if known is None:
            file, found = "", frozenset[int]()
            if not is_engine_code(code) and code.co_filename[:1] != "<":
                file = os.path.realpath(code.co_filename)
                wanted = self._wanted.get(file)
                if wanted:
                    found = frozenset(wanted & {line for _, _, line in code.co_lines() if line})
            known = self._codes[id(code)] = (code, file, found)
        return known


def plain(file: str, line: int, names: dict[str, Any]) -> bool:
    """Whether the statement that begins in `line` of `file` surely runs no op, as far as can be told beforehand."""
    calls = calls_of(file, line)
    return calls is not None and all(_harmless(path, names) for path in calls)


def _harmless(path: tuple[str, ...], names: dict[str, Any]) -> bool:
    """Whether calling what this dotted name means runs no op: a builtin, or a function of a library's module."""
    if not path:
        return False
    if len(path) == 1:
        return path[0] not in names and hasattr(builtins, path[0])
    found = names.get(path[0])
    for part in path[1:-1]:
        found = getattr(found, part, None) if isinstance(found, ModuleType) else None
    root = found.__name__.partition(".")[0] if isinstance(found, ModuleType) else ""
    return root == "numpy" or root in sys.stdlib_module_names


@functools.lru_cache(1024)
def calls_of(file: str, line: int) -> tuple[tuple[str, ...], ...] | None:
    """What the statements that begin in `line` call, as dotted names (one that is none is empty); None where they
    have operators, or none begins there."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError, RecursionError):
        return None
    found = [node for node in ast.walk(tree) if isinstance(node, ast.stmt) and node.lineno == line]
    calls: list[tuple[str, ...]] = []
    for statement in found:
        own = _calls(statement)
        if own is None:
            return None
        calls += own
    return tuple(calls) if found else None


def _calls(statement: ast.stmt) -> list[tuple[str, ...]] | None:
    """Of one statement, without those in its body."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return None if statement.decorator_list else []
    if isinstance(statement, (*_OPERATIONS, ast.With, ast.AsyncWith, ast.AsyncFor)):
        return None
    calls = []
    for name, value in ast.iter_fields(statement):
        for part in value if isinstance(value, list) else [value]:
            if name in _BODIES or not isinstance(part, ast.AST):
                continue
            for inner in ast.walk(part):
                if isinstance(inner, _OPERATIONS) or (
                    isinstance(inner, ast.UnaryOp) and not isinstance(inner.op, (ast.Not, ast.USub))
                ):
                    return None
                if isinstance(inner, ast.Compare) and not all(isinstance(op, _SAME) for op in inner.ops):
                    return None
                if isinstance(inner, ast.Call):
                    calls.append(_dotted(inner.func))
    return calls


def _dotted(node: ast.expr) -> tuple[str, ...]:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else ()
