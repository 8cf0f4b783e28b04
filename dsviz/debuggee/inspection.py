"""Looks into a paused program: answers a session's questions, values by node number among them."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import FrameType
from typing import Any

import msgspec
import numpy as np

from dsviz.debuggee.expressions import LONGEST, Refusal, asked, evaluate, frame_at, value_of, watched
from dsviz.debuggee.summary import summarize
from dsviz.debuggee.view import BadIndex, look, parse, written
from engine.memory import memory
from engine.node import Node
from engine.writes import writes

MOST_VALUES = 4_096  # numbers of a value sent at once


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
                return {"ok": True, "data": self.look(request, frames)}
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
            if do == "watch":
                return {
                    "ok": True,
                    "data": watched(str(request["text"]), frames, int(request.get("frame", 0))),
                }
            if do == "facts":
                from dsviz.debuggee.facts import facts

                return {"ok": True, "data": facts()}
            if do == "configure":
                from dsviz.debuggee.facts import set_config

                return {"ok": True, "data": set_config(dict(request["keys"]))}
            if do in ("variables", "complete"):
                return {"ok": True, "data": scope(do, request, frames)}
            return {"ok": False, "error": f"The program knows no question {do!r}."}
        except (Refusal, BadIndex, LookupError) as refused:
            return {"ok": False, "error": str(refused)}

    pending: Callable[[], Node | None] = staticmethod(lambda: None)  # the node at which it stands

    def _array(self, node: int, frames: list[FrameType]) -> Any:
        """The array of `node`: what the op it stands at takes of it or has made of it, or else what the program still holds."""
        at = self.pending()
        if at is not None:
            # A backward node has several results; which of them an op takes is known only of that op.
            for source, array in zip(at.inputs, at.arrays or (), strict=False):
                if source is not None and source.id == node and hasattr(array, "dtype"):
                    return array
            if at.id == node and hasattr(at.out, "dtype"):
                return at.out
        return find_array(node, frames)

    def node(self, node: int, frames: list[FrameType]) -> dict[str, Any]:
        """Statistics of the value of `node`, and its first numbers."""
        array = self._array(node, frames)
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

    def look(self, request: dict[str, Any], frames: list[FrameType]) -> dict[str, Any]:
        """The part `[index]` of the value of `node`, small enough for a picture of a `kind`."""
        node = int(request["node"])
        array = self._array(node, frames)
        if array is None:
            raise Refusal(f"The value of node {node} is not held any more: nothing in the program needs it.")
        return look(array, str(request["index"]), str(request.get("kind", "")))

    def set(self, node: int, index: str, value: str, frames: list[FrameType]) -> dict[str, Any]:
        """Write `value`, an expression, to the part `[index]` of the value of `node`; gives its new look."""
        array = self._array(node, frames)
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
        writes.count += 1  # it is the person's doing and no fault, but what was kept of it is no longer so
        return self.node(node, frames)


def find_array(node: int, frames: list[FrameType]) -> Any:
    """The array that node `node` made, where the program still holds it; else None."""
    from engine.tensor import Tensor

    for frame in frames:
        for value in list(frame.f_locals.values()):
            if isinstance(value, Tensor) and value.node.id == node:
                return value.array
    # A buffer belongs to the node that made it first; views of it belong to later ones, and are not it.
    for buffer in memory.live():
        # What an optimizer keeps of a parameter is no result of its step.
        if buffer.node == node and buffer.category != "optimizer":
            return buffer()
    return None


def scope(do: str, request: dict[str, Any], frames: list[FrameType]) -> Any:
    """The variables of a frame, or how an expression in it may go on."""
    from dsviz.debuggee.scope import complete, variables

    frame = frame_at(frames, int(request.get("frame", 0)))
    with asked():
        return variables(frame) if do == "variables" else complete(str(request["text"])[-LONGEST:], frame)


def plain(value: Any) -> Any:
    """A number as JSON can hold it."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, complex):
        return written(value)
    return value if isinstance(value, (bool, int, float)) else str(value)


def all_finite(array: Any) -> bool:
    """Whether `array` holds no NaN and no infinity; things that cannot hold one do not."""
    dtype = getattr(array, "dtype", None)
    if dtype is None or dtype.kind not in "fc" or not array.size:
        return True
    # The sum of their squares, or of them, is finite unless one of them is not (or it overflows: then look closely).
    if type(array) is np.ndarray and dtype.char in "fd" and array.flags.c_contiguous:
        if math.isfinite(np.vdot(array, array)):  # which warns of nothing, and takes half the time of a sum
            return True
    elif array.size >= WIDE:
        with np.errstate(all="ignore"):
            if np.isfinite(array.sum()):
                return True
    return bool(np.isfinite(array).all())


WIDE = 1 << 15  # elements from which their sum takes less time than a look at each
