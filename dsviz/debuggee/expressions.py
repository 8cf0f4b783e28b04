"""Expressions and statements of the person's, in a frame of the program: bounded in time and in what they answer."""

from __future__ import annotations

import ast
import builtins
import contextlib
import ctypes
import io
import reprlib
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

import numpy as np

from dsviz.debuggee import patience
from dsviz.debuggee.patience import Overtime, calm, limit
from engine.grad_mode import state

LONGEST = 64_000  # characters of an answer
LONGEST_WATCH = 2_000  # characters of a watch's value
LONGEST_REASON = 4_000  # characters of what an expression raised


class Refusal(ValueError):  # noqa: N818 - an answer, not a fault
    """A question that has no answer; the text is the sentence for the person."""


def evaluate(text: str, frames: list[FrameType], index: int = 0) -> str:
    """The `repr` of expression `text` in frame `index`, or what the statements of `text` printed.

    What was set before an exception or an interruption stays set, as in the program itself.
    """
    frame = frame_at(frames, index)
    try:
        tree = ast.parse(text.strip(), "<console>")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Refusal(f"{type(error).__name__}: {error}") from None
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = Printed()
    answer = ""
    # What statements change is the program's from here on, and so are the ops that make it; a look is no part of it.
    aside = contextlib.nullcontext() if tree.body else unseen()
    with contextlib.redirect_stdout(printed), asked(), aside:
        scope = Scope(frame)
        try:
            if tree.body:
                exec(compile(tree, "<console>", "exec"), scope.globals, scope.locals)
            if last is not None:
                assert isinstance(last, ast.Expr)
                code = compile(ast.Expression(last.value), "<console>", "eval")
                value = eval(code, scope.globals, scope.locals)
                answer = "" if value is None and tree.body else show(value)
        finally:
            scope.write_back()
    return printed.getvalue() + answer


def watched(text: str, frames: list[FrameType], index: int = 0) -> dict[str, Any]:
    """What a watch expression gives in frame `index`: `value` (its `repr`, cut where long), `type`, and of tensors
    and arrays `shape`, `dtype` and `node`."""
    from dsviz.debuggee.scope import describe

    frame = frame_at(frames, index)
    with contextlib.redirect_stdout(Printed()), asked(), unseen():
        scope = Scope(frame)
        value = eval(compile(text.strip(), "<watch>", "eval"), scope.globals, scope.locals)
        told = describe(value)
        told["value"] = told.pop("text") or show(value)[:LONGEST_WATCH]
    return told


def value_of(text: str, frames: list[FrameType]) -> Any:
    """The array that expression `text` gives in the innermost frame. Raises Refusal with a sentence."""
    frame = frame_at(frames, 0)
    try:
        code = compile(text.strip(), "<value>", "eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Refusal(f"{text!r} raised {type(error).__name__}: {error}") from None
    with asked(f"{text!r} raised "), unseen():
        scope = Scope(frame)
        value = eval(code, scope.globals, scope.locals)
    value = getattr(value, "array", value)
    array = value if hasattr(value, "shape") and hasattr(value, "dtype") else None
    if array is None:
        try:
            array = np.asarray(value)
        except (TypeError, ValueError) as error:
            raise Refusal(f"{text!r} gives no array: {error}.") from None
        if array.dtype == np.float64:
            array = array.astype(np.float32)  # what a list of numbers is to the engine
    if array.dtype.kind not in "fiubc":
        raise Refusal(f"Expected numbers or a tensor, got {text!r}, which is of type {type(value).__name__}.")
    return array


def frame_at(frames: list[FrameType], index: int) -> FrameType:
    """Frame `index`, 0 the innermost. Raises Refusal where there is none."""
    if not 0 <= index < len(frames):
        raise Refusal("There is no such frame: no line of the program is running.")
    return frames[index]


class Scope:
    """The names of a frame, as an expression sees them.

    Comprehensions and functions inside an expression look their names up among the globals: so a function's
    locals are put there too, in a copy, and what an expression sets globally is taken over from it.
    """

    def __init__(self, frame: FrameType) -> None:
        self.frame = frame
        self.locals: Any = frame.f_locals
        self.globals = frame.f_globals
        self._copied: dict[str, Any] | None = None
        if self.locals is not frame.f_globals:
            self.globals = {**frame.f_globals, **self.locals}
            self._copied = dict(self.globals)

    def write_back(self) -> None:
        """Make what was set the frame's own."""
        if self._copied is None:
            return
        for name, value in self.globals.items():
            if name not in self._copied or self._copied[name] is not value:
                self.frame.f_globals[name] = value
        if sys.version_info < (3, 13):  # later f_locals writes through
            ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(self.frame), ctypes.c_int(0))


@contextlib.contextmanager
def asked(what: str = "") -> Iterator[None]:
    """The block evaluates what a person wrote: whatever it does, it ends, with an answer or with a Refusal."""
    try:
        with limit(patience.PATIENCE), harmless_exit():
            yield
    except Refusal:
        raise
    except Overtime:
        raise Refusal(
            f"The expression ran longer than {patience.PATIENCE:g} s and was interrupted."
        ) from None
    except SystemExit:
        raise Refusal("The expression asked the program to exit; it was not evaluated further.") from None
    except KeyboardInterrupt:
        raise  # Ctrl-C is the program's
    except BaseException as error:  # noqa: BLE001 - a person's expression may raise anything
        raise Refusal(what + raised(error)) from None


@contextlib.contextmanager
def unseen() -> Iterator[None]:
    """Ops and modules in this block are a question: they come neither into the graph nor into the iterations."""
    silent, before = state.silent, state.asked
    state.silent = state.asked = True
    try:
        yield
    finally:
        state.silent, state.asked = silent, before


def raised(error: BaseException) -> str:
    """What was raised, as Python would say it in one place; also where its own message cannot be had."""
    name = type(error).__name__
    try:
        with limit(patience.PATIENCE):
            message = str(error)
    except Overtime:
        calm()
        message = "(its message took too long to make)"
    except Exception as second:  # noqa: BLE001 - a person's __str__ may raise anything
        message = f"(its message cannot be made: {type(second).__name__})"
    if len(message) > LONGEST_REASON:
        message = f"{message[:LONGEST_REASON]}..."
    return f"{name}: {message}" if message else name


class _Exit:
    """`exit` without its habit of closing standard input, which is the program's."""

    def __call__(self, code: object = None) -> NoReturn:
        raise SystemExit(code)


_EXIT = _Exit()


@contextlib.contextmanager
def harmless_exit() -> Iterator[None]:
    """Within this, `exit()` and `quit()` only raise SystemExit."""
    kept = {name: vars(builtins).get(name) for name in ("exit", "quit")}
    try:
        for name in kept:
            setattr(builtins, name, _EXIT)
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                delattr(builtins, name)
            elif value is not _EXIT:
                setattr(builtins, name, value)


class Printed(io.TextIOBase):
    """Takes what is printed and keeps as much of it as an answer holds."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._kept = 0
        self._left_out = 0

    def writable(self) -> bool:
        """It is there to be written to."""
        return True

    def write(self, text: str) -> int:
        """Keep `text`, or count it."""
        part = text[: LONGEST - self._kept]
        self._parts.append(part) if part else None
        self._kept += len(part)
        self._left_out += len(text) - len(part)
        return len(text)

    def getvalue(self) -> str:
        """What was kept, and how much was not."""
        more = f"\n[... {self._left_out} characters more ...]\n" if self._left_out else ""
        return "".join(self._parts) + more


def show(value: Any) -> str:
    """`repr(value)`, bounded."""
    if isinstance(value, (bytes, bytearray)):
        part = repr(bytes(value[:LONGEST]))
        return part if len(value) <= LONGEST else f"{part}... ({len(value)} bytes)"
    if type(value) in (str, list, tuple, dict, set, frozenset):
        return _repr.repr(value)
    text = repr(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = LONGEST // 4
_repr.maxlist = _repr.maxtuple = _repr.maxdict = _repr.maxset = 200
_repr.maxlevel = 8
