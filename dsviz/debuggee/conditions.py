"""Decides whether a breakpoint that was reached counts: its condition, its hit count, its log text.

Whatever an expression does, the program goes on: what raises, or runs too long, is told once and counts as false.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
from _thread import get_ident
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

import numpy as np

from dsviz.debuggee import patience
from dsviz.debuggee.breakpoints import SHAPE, Breakpoint, counts, expression_of
from dsviz.debuggee.changes import Changes
from dsviz.debuggee.expressions import harmless_exit, raised, unseen
from dsviz.debuggee.frames import Places, first_user_frame
from dsviz.debuggee.patience import Overtime, calm, limit
from dsviz.debuggee.simple import comparison, decided, known
from engine.iteration import iteration
from engine.location import locals_of
from engine.memory import memory
from engine.module_call import ModuleCall
from engine.node import Node

LONGEST = 2_000  # characters of a log line


class Conditions:
    """Evaluates what a person wrote, in the person's own frame, with the names of the op beside it.

    `args`, `out`, `op`, `shape`, `phase`, `node`, `module` and `iteration` speak of the op; `grad`, `norm`,
    `zero` of a gradient, `taken` of a branch. The frame's own names come first where both have one, but for
    `out`, which is always the result.
    """

    def __init__(self, send: Callable[[dict[str, Any]], bool]) -> None:
        self._send = send
        self._reached: dict[int, int] = {}
        self._told: set[tuple[int, str]] = set()
        self._busy: set[int] = set()  # threads in which an expression runs: its ops are no positions
        self._over: set[int] = set()
        self._values = Changes()
        self._codes: dict[str, CodeType] = {}
        self._refused: dict[Any, tuple[CodeType, bool]] = {}
        self._gave_up: set[tuple[int, str]] = set()  # ran too long: not asked again

    def asking(self) -> bool:
        """Whether this thread runs an expression of the person's, and not the program."""
        return bool(self._busy) and get_ident() in self._busy

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Ops in this block are the person's questions: nothing stops at them."""
        me = get_ident()
        if me in self._busy:
            yield
            return
        self._busy.add(me)
        try:
            yield
        finally:
            self._busy.discard(me)

    def forget(self) -> None:
        """The breakpoints were changed: what was above a limit is asked anew."""
        self._over = set()

    def set_again(self, items: list[Breakpoint]) -> None:
        """The person changed breakpoints: what was given up is tried again, and what has not been told is told."""
        self._gave_up = set()
        untold = {item.id for item in items if not item.problem}
        self._told = {(id, text) for id, text in self._told if id not in untold}

    def satisfied(
        self, hits: list[Breakpoint], frames: list[FrameType], names: dict[str, Any]
    ) -> list[Breakpoint]:
        """Those of `hits` that pause the program; those that only log are told on the way."""
        kept = []
        frame = frames[0] if frames else None
        everything: dict[str, Any] = {}
        with self.quiet():
            for hit in hits:
                compared = comparison(hit.condition) if hit.condition else None
                holds = None if compared is None else decided(compared, frame, names)
                if holds is False:
                    continue
                if not everything and ((hit.condition and holds is None) or hit.log):
                    everything = _everything(frame, names)
                if hit.condition and holds is None and not self._ask(hit, hit.condition, everything):
                    continue
                if hit.hit:
                    self._reached[hit.id] = reached = self._reached.get(hit.id, 0) + 1
                    if not counts(hit.hit, reached):
                        continue
                if hit.log:
                    text = self._ask(hit, "f" + repr(hit.log), everything)
                    if text is not None:
                        self._send({"t": "log", "id": hit.id, "text": text})
                    continue
                kept.append(hit)
        return kept

    def _ask(self, hit: Breakpoint, text: str, names: dict[str, Any]) -> Any:
        """What `text` gives, None where it gives nothing: a condition that raises does not stop the run."""
        if (hit.id, text) in self._gave_up:
            return None
        try:
            with limit(patience.PATIENCE), harmless_exit(), unseen():
                code = self._codes.get(text)
                if code is None:
                    code = self._codes[text] = compile(text, "<breakpoint>", "eval")
                answer = eval(code, names)
                return bool(answer) if text == hit.condition else str(answer)[:LONGEST]
        except Overtime:
            calm()
            self._gave_up.add((hit.id, text))
            self._problem(
                hit,
                text,
                f"ran longer than {patience.PATIENCE:g} s and was interrupted; it counts as false, and is not "
                "asked again until breakpoints are changed or the program is restarted.",
            )
        except KeyboardInterrupt:
            raise  # Ctrl-C is the program's
        except BaseException as error:  # noqa: BLE001 - a person's expression may raise anything, also SystemExit
            if hit.kind == SHAPE and isinstance(error, IndexError):
                return None  # a shape without that dimension is not as asked for
            if (hit.id, text) not in self._told:
                self._problem(hit, text, f"raised {raised(error)}")
        return None

    def _problem(self, hit: Breakpoint, text: str, what: str) -> None:
        if (hit.id, text) in self._told:
            return
        self._told.add((hit.id, text))
        shown = f"condition {text!r}" if text == hit.condition else f"log text {hit.log!r}"
        shown = shown if text != hit.name else f"name {text!r}"
        sentence = f"The {shown} of breakpoint {hit.id} {what}"
        self._send({"t": "condition", "id": hit.id, "error": sentence})

    def over_limit(self, items: list[Breakpoint]) -> list[Breakpoint]:
        """Those whose limit the live bytes have just crossed."""
        live = memory.nbytes
        above = {item.id for item in items if live > item.limit}
        new, self._over = above - self._over, above
        return [item for item in items if item.id in new]

    def changed(
        self, items: list[Breakpoint], frames: list[FrameType], backward: bool = False
    ) -> list[Breakpoint]:
        """Those whose value differs from what it was after the op before this one, a `backward` one or not."""
        found = []
        with self.quiet():
            for item in items:
                value = self._named(item, frames)
                # None: not there yet, or out of sight from here.
                if value is not None and self._values.look(item.id, value, backward):
                    found.append(item)
        return found

    def untouched(self, items: list[Breakpoint]) -> bool:
        """Whether all those values were looked at, and the engine has written to none of them since."""
        return all(self._values.untouched(item.id) for item in items)

    def refuses(self, hit: Breakpoint, node: Node, places: Places) -> bool:
        """Whether the condition of `hit` is known not to hold for ops like `node` where it runs.

        That can be so where it only compares what is the same for all of them; which is found out once.
        """
        code, frame = node.code, None
        if node.phase:  # its line is the one that asked for the gradients, or for the step
            frame = first_user_frame(sys._getframe(2), places)
            code = None if frame is None else frame.f_code
        if code is None or not code.co_flags & inspect.CO_OPTIMIZED:
            return False
        key = (hit.condition, id(code), node.op, node.phase, node.shape)
        found = self._refused.get(key)
        if found is None:
            if len(self._refused) > MOST_REFUSED:
                self._refused.clear()
            # `code` is kept with it: its number is its own as long as it lives.
            found = self._refused[key] = (code, self._never(hit, node, code, places))
        return found[1]

    def _never(self, hit: Breakpoint, node: Node, code: CodeType, places: Places) -> bool:
        asked = comparison(hit.condition)
        frame = first_user_frame(sys._getframe(3), places)
        if asked is None or not ALIKE.issuperset(asked.names) or frame is None or frame.f_code is not code:
            return False
        if any(known(frame, name) for name in asked.names):
            return False  # it speaks of the program's own variable
        return decided(asked, frame, names_of(node)) is False

    def means(self, hit: Breakpoint, node: Node, frames: list[FrameType]) -> bool:
        """Whether the name of `hit`, such as `net.head.bias`, is the tensor that `node` stands for."""
        with self.quiet():
            return getattr(self._named(hit, frames), "node", None) is node

    def _named(self, hit: Breakpoint, frames: list[FrameType]) -> Any:
        """What the name of `hit` is in the innermost frame where it means something; else None."""
        if (hit.id, hit.name) in self._gave_up:
            return None
        code = self._codes.get(hit.name)
        if code is None:
            code = self._codes[hit.name] = compile(expression_of(hit.name), "<breakpoint>", "eval")
        first = code.co_names[0] if code.co_names else ""  # what it asks for first
        frames = [frame for frame in frames if not first or _knows(frame, first)]
        if first == hit.name:  # a name alone: nothing of the person's runs
            for frame in frames:
                found = locals_of(frame)
                if first in found:
                    return found[first]
                if first in frame.f_globals:
                    return frame.f_globals[first]
            return None
        try:
            with limit(patience.PATIENCE), harmless_exit(), unseen():
                for frame in frames:
                    with contextlib.suppress(Exception):  # a frame where the name means nothing
                        return eval(code, frame.f_globals, dict(locals_of(frame)))
        except Overtime:
            calm()
            self._gave_up.add((hit.id, hit.name))
            self._problem(
                hit, hit.name, f"took longer than {patience.PATIENCE:g} s to find and was interrupted."
            )
        except SystemExit:
            self._problem(hit, hit.name, "asked the program to exit, which it did not.")
        return None


ALIKE = frozenset(("op", "shape", "phase"))  # names that mean the same for all ops of one kind
MOST_REFUSED = 10_000
OF_AN_OP = ("args", "out", "op", "shape", "shapes", "phase", "node")  # names that say nothing where none runs


def names_of(node: Node | None) -> dict[str, Any]:
    """What a condition may name of an op."""
    if node is None:
        return {}
    call = node.twin.call if node.twin is not None else node.call
    return {
        "args": node.arrays or (),
        "out": node.out,
        "op": node.label,
        "shape": node.shape,
        "shapes": [node.shape] if not node.outputs else [None if o is None else o[0] for o in node.outputs],
        "phase": ("forward", "backward", "optimizer")[node.phase],
        "node": node.id,
        "module": "" if call is None else call.path,
        "iteration": iteration.index,
    }


def names_of_call(call: ModuleCall) -> dict[str, Any]:
    """What a condition may name of a module's call."""
    out = call.out
    return {
        "module": call.path,
        "out": out,
        "shape": getattr(out, "shape", None),
        "iteration": iteration.index,
    }


def gradient_names(grad: Any) -> dict[str, Any]:
    """What a condition may name of a gradient."""
    if type(grad) is np.ndarray and grad.dtype.char in "fd":
        flat = grad.ravel()
        square = np.dot(flat, flat)
    else:
        square = (abs(grad) ** 2).sum()
    norm = float(np.sqrt(float(square)))
    return {"grad": grad, "norm": norm, "zero": norm == 0.0}


def _everything(frame: FrameType | None, names: dict[str, Any]) -> dict[str, Any]:
    """All that an expression may name. In one dict: what a comprehension in it looks up are globals to it."""
    if frame is None:
        return names
    found = {**frame.f_globals, **names, **locals_of(frame)}
    if names.get("out") is not None:
        found["out"] = names["out"]
    return found


def _knows(frame: FrameType, name: str) -> bool:
    """Whether `name` can mean something in `frame`; where it is local, it may have no value yet."""
    return name in frame.f_globals or name in frame.f_builtins or known(frame, name)
