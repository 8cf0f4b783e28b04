"""Looks into a paused program: values by node number, and expressions in a paused frame."""

from __future__ import annotations

import ast
import contextlib
import ctypes
import io
import reprlib
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import msgspec
import numpy as np

from dsviz.debuggee.script import strip, traceback_text
from dsviz.debuggee.summary import summarize
from dsviz.debuggee.view import BadIndex, look, parse
from engine.memory import memory

PATIENCE = 2.0  # seconds an expression may run
LONGEST = 64_000  # characters of an answer
MOST_VALUES = 4_096  # numbers of a value sent at once


class Overtime(BaseException):
    """Raised in an expression that ran too long; a BaseException so that `except Exception` lets it pass."""


class Inspection:
    """Answers the questions of one session."""

    supply: Callable[[Any], None] = staticmethod(
        lambda value: None
    )  # takes the result of an op that cannot run

    def answer(self, request: dict[str, Any], frames: list[FrameType]) -> dict[str, Any]:
        """`{"ok": True, "data": ...}` or `{"ok": False, "error": sentence}`."""
        try:
            do = request.get("do")
            if do == "inspect":
                return {"ok": True, "data": self.node(int(request["node"]), frames)}
            if do == "look":
                return {"ok": True, "data": self.look(int(request["node"]), str(request["index"]), frames)}
            if do == "why":
                from dsviz.why.paused import ask

                return {
                    "ok": True,
                    "data": ask(str(request["question"]), int(request["node"]), int(request.get("dim", 0))),
                }
            if do == "evaluate":
                data = evaluate(str(request["text"]), frames, int(request.get("frame", 0)))
                return {"ok": True, "data": data}
            if do == "set":
                node, index = int(request["node"]), str(request.get("index", ""))
                return {"ok": True, "data": self.set(node, index, str(request["value"]), frames)}
            if do == "supply":
                value = value_of(str(request["value"]), frames)
                self.supply(value)
                return {"ok": True, "data": list(value.shape)}
            if do in ("variables", "complete"):
                return {"ok": True, "data": scope(do, request, frames)}
            return {"ok": False, "error": f"The program knows no question {do!r}."}
        except (Refusal, BadIndex, LookupError) as refused:
            return {"ok": False, "error": str(refused)}

    def node(self, node: int, frames: list[FrameType]) -> dict[str, Any]:
        """Statistics of the value of `node`, and its first numbers."""
        array = find_array(node, frames)
        if array is None:
            raise Refusal(f"The value of node {node} is not held any more: nothing in the program needs it.")
        if not isinstance(array, np.ndarray):
            array = array.get()
        summary = summarize(node, array)
        flat = array.reshape(-1)[:MOST_VALUES]
        return {
            "node": node,
            "shape": list(array.shape),
            "dtype": str(array.dtype),
            "nbytes": int(array.nbytes),
            "summary": None if summary is None else msgspec.structs.asdict(summary),
            "values": [plain(value) for value in flat.tolist()],
            "total": int(array.size),
        }

    def look(self, node: int, index: str, frames: list[FrameType]) -> dict[str, Any]:
        """The part `[index]` of the value of `node`, small enough for a picture."""
        array = find_array(node, frames)
        if array is None:
            raise Refusal(f"The value of node {node} is not held any more: nothing in the program needs it.")
        return look(array, index)

    def set(self, node: int, index: str, value: str, frames: list[FrameType]) -> dict[str, Any]:
        """Write `value`, an expression, to the part `[index]` of the value of `node`; gives its new look."""
        array = find_array(node, frames)
        if array is None:
            raise Refusal(f"The value of node {node} is not held any more: nothing in the program needs it.")
        part = parse(index, array.shape)
        new = value_of(value, frames)
        if not getattr(getattr(array, "flags", None), "writeable", True):
            raise Refusal(f"The value of node {node} cannot be written to: it is a view of something else.")
        old = array[part]
        try:
            array[part] = new
        except (TypeError, ValueError) as error:
            raise Refusal(
                f"Expected a value of shape {list(old.shape)} and {array.dtype}, "
                f"got one of shape {list(new.shape)} and {new.dtype}: {error}."
            ) from None
        return self.node(node, frames)


class Refusal(ValueError):  # noqa: N818 - an answer, not a fault
    """A question that has no answer; the text is the sentence for the person."""


def find_array(node: int, frames: list[FrameType]) -> Any:
    """The array that node `node` made, where the program still holds it; else None."""
    from engine.tensor import Tensor

    for frame in frames:
        for value in list(frame.f_locals.values()):
            if isinstance(value, Tensor) and value.node.id == node:
                return value.array
    # A buffer belongs to the node that made it first; views of it belong to later ones, and are not it.
    for buffer in memory.live():
        if buffer.node == node:
            return buffer()
    return None


def value_of(text: str, frames: list[FrameType]) -> Any:
    """The array that expression `text` gives in the innermost frame. Raises Refusal with a sentence."""
    if not frames:
        raise Refusal("There is no such frame: no line of the program is running.")
    try:
        with overtime(PATIENCE):
            value = eval(text.strip(), frames[0].f_globals, frames[0].f_locals)
    except Overtime:
        raise Refusal(f"The expression ran longer than {PATIENCE:g} s and was interrupted.") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a person's expression may raise anything
        raise Refusal(f"{text!r} raised {type(error).__name__}: {error}") from None
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


def evaluate(text: str, frames: list[FrameType], index: int = 0, patience: float = PATIENCE) -> str:
    """The `repr` of expression `text` in frame `index`, or what the statements of `text` printed."""
    if not 0 <= index < len(frames):
        raise Refusal("There is no such frame: no line of the program is running.")
    frame = frames[index]
    try:
        tree = ast.parse(text.strip(), "<console>")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Refusal(f"{type(error).__name__}: {error}") from None
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    scope = frame.f_locals
    printed = io.StringIO()
    answer = ""
    try:
        with overtime(patience), contextlib.redirect_stdout(printed):
            if tree.body:
                exec(compile(tree, "<console>", "exec"), frame.f_globals, scope)
            if last is not None:
                assert isinstance(last, ast.Expr)
                value = eval(compile(ast.Expression(last.value), "<console>", "eval"), frame.f_globals, scope)
                answer = "" if value is None and tree.body else show(value)
            write_back(frame)
    except Overtime:
        raise Refusal(f"The expression ran longer than {patience:g} s and was interrupted.") from None
    except Exception as error:  # noqa: BLE001 - a person's expression may raise anything
        strip(error)
        raise Refusal(traceback_text(error, LONGEST).strip().rsplit("\n", 1)[-1]) from None
    except SystemExit:
        raise Refusal("The expression asked the program to exit; it was not evaluated further.") from None
    text = printed.getvalue() + answer
    return (
        text
        if len(text) <= LONGEST
        else text[:LONGEST] + f"\n[... {len(text) - LONGEST} characters more ...]"
    )


def scope(do: str, request: dict[str, Any], frames: list[FrameType]) -> Any:
    """The variables of a frame, or how an expression in it may go on."""
    from dsviz.debuggee.scope import complete, variables

    index = int(request.get("frame", 0))
    if not 0 <= index < len(frames):
        raise Refusal("There is no such frame: no line of the program is running.")
    if do == "variables":
        return variables(frames[index])
    try:
        with overtime(PATIENCE):
            return complete(str(request["text"])[-LONGEST:], frames[index])
    except Overtime:
        raise Refusal(f"Looking for names ran longer than {PATIENCE:g} s and was interrupted.") from None


def write_back(frame: FrameType) -> None:
    """Make names set in `frame.f_locals` the frame's own."""
    if sys.version_info < (3, 13):  # later f_locals writes through
        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))


@contextlib.contextmanager
def overtime(patience: float) -> Iterator[None]:
    """Raise `Overtime` in this thread when the block runs longer than `patience` seconds.

    It comes between two instructions of Python; a call that never returns to Python cannot be interrupted.
    """
    me = ctypes.c_ulong(threading.get_ident())
    done = threading.Lock()
    over = False

    def interrupt() -> None:
        nonlocal over
        with done:
            if not over:
                over = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(me, ctypes.py_object(Overtime))

    timer = threading.Timer(patience, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with done:
            if over:
                # Too late to matter: it must not strike the program itself.
                ctypes.pythonapi.PyThreadState_SetAsyncExc(me, None)
            over = True
        timer.cancel()


def show(value: Any) -> str:
    """`repr(value)`, bounded."""
    if isinstance(value, (str, bytes, list, tuple, dict, set, frozenset)):
        return _repr.repr(value)
    text = repr(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = LONGEST // 4
_repr.maxlist = _repr.maxtuple = _repr.maxdict = _repr.maxset = 200
_repr.maxlevel = 8


def plain(value: Any) -> Any:
    """A number as JSON can hold it."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value if isinstance(value, (bool, int, float)) else str(value)


def all_finite(array: Any) -> bool:
    """Whether `array` holds no NaN and no infinity; things that cannot hold one do not."""
    dtype = getattr(array, "dtype", None)
    if dtype is None or dtype.kind not in "fc" or not array.size:
        return True
    # The sum is finite unless something in it is not (or it overflows: then look closely).
    with np.errstate(all="ignore"):
        total = array.sum()
        if np.isfinite(total):
            return True
        return bool(np.isfinite(array).all())
