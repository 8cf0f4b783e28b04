"""What the engine tells, as far as somebody asked for it: each sink stops the program where a breakpoint or a step says so."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from _thread import get_ident
from collections.abc import Iterator
from types import FrameType
from typing import Any

import numpy as np

from dsviz.debuggee.branches import Branch, Branches
from dsviz.debuggee.breakpoints import Breakpoint
from dsviz.debuggee.conditions import OF_AN_OP, gradient_names, names_of_call
from dsviz.debuggee.deciding import (
    ENTRY,
    INTO,
    OUT,
    OVER,
    PAUSE,
    RUN,
    TERMINATE,
    Deciding,
    depth_of,
    depth_of_entry,
)
from dsviz.debuggee.frames import user_frames
from dsviz.debuggee.lines import Lines
from dsviz.debuggee.missing import Missing
from dsviz.debuggee.positions import (
    describe_error,
    describe_line,
    describe_module,
    describe_node,
    describe_post_mortem,
    persons,
)
from engine.errors import DeviceMismatchError, DtypeMismatchError, ShapeMismatchError
from engine.iteration import iteration
from engine.module_call import ModuleCall, open_call
from engine.node import BACKWARD, Node

_REASON = {ENTRY: "entry", PAUSE: "pause"}  # any other mode: "step"


class Sinks(Deciding):
    """The part of a stepper that listens to the program."""

    _missing: Missing
    _branches: dict[int, Branches]
    _seen: BaseException | None
    _supplied: Any
    pending: Node | None
    _closed: bool
    _watched: Lines
    _last: dict[int, tuple[int, int, int, int, int]]

    def _op_start(self, kind: str, node: Node) -> None:
        if self._conditions.asking():
            return
        self._wait_for_the_paused()
        mode = self._mode
        if mode == TERMINATE:
            self._end()
            return
        table = self._table
        if table.lines and not self._watched.follows:
            self._watched.follow(sys._getframe(1))
        hits = self._hits_at(node) if table.wants_nodes else []
        if not hits and (mode == RUN or not self._reached(depth_of(node), node)):
            return
        reason = "breakpoint" if hits else _REASON.get(mode, "step")
        with self._at(node):
            self._stop(reason, hits, describe_node(self._tracer, node), depth_of(node))

    @contextlib.contextmanager
    def _at(self, node: Node) -> Iterator[None]:
        """While the program stands at `node`, what it takes can be looked at, also what no name holds."""
        self.pending = node
        try:
            yield
        finally:
            self.pending = None

    def _module_enter(self, kind: str, call: ModuleCall) -> None:
        if self._conditions.asking():
            return
        self._wait_for_the_paused()
        mode, depth = self._mode, depth_of_entry(call)
        if mode == TERMINATE:
            self._end()
            return
        table = self._table
        if table.missing:
            self._missing.entered(call)
        hits = table.modules.get(call.path, []) if table.modules else []
        if table.lines and call.code is not None:
            hits = [*hits, *(self._hits_by_arrival(call.code) or self._hits_on_line(call.code, call.lasti))]
        hits = self._satisfied(hits, more=names_of_call(call))
        if hits:
            self._stop("breakpoint", hits, describe_module(self._tracer, call), depth)
        elif mode in (INTO, OVER, OUT) and self._reached(depth):
            self._stop("step", [], describe_module(self._tracer, call), depth)

    def _module_exit(self, kind: str, call: ModuleCall) -> None:
        hits = self._table.left.get(call.path, [])
        if not hits or call.failed or self._conditions.asking():
            return
        hits = self._satisfied(hits, more=names_of_call(call))
        if hits:
            position = describe_module(self._tracer, call, ran=True)
            self._stop("breakpoint", hits, position, depth_of_entry(call))

    def _op_finish(self, kind: str, node: Node) -> None:
        if self._conditions.asking():
            return
        table = self._table
        if table.nan and not plainly_finite(node.made) and produced_nan(node):
            hits = self._satisfied(table.nan, node)
            if hits:
                self._stop_after("nan", hits, node, f"{node.label} produced NaN or Inf")
        hits = (
            [hit for hit in table.after if self._matches(hit, node) and not self._refuses(hit, node)]
            if table.after
            else []
        )
        hits = self._satisfied(hits, node) if hits else hits
        if hits:
            self._stop_after("breakpoint", hits, node, f"Paused after {node.label}")
        if table.memory:
            hits = self._satisfied(self._conditions.over_limit(table.memory), node)
            if hits:
                self._stop_after("memory", hits, node, f"{hits[0].label}, after {node.label}")
        if table.data and not (self._still(node) and self._conditions.untouched(table.data)):
            frames = user_frames(sys._getframe(1), self._tracer.places)
            hits = self._conditions.changed(table.data, frames, backward=node.phase == 1)
            hits = self._satisfied(hits, node)
            if hits:
                self._stop_after("data changed", hits, node, f"{hits[0].name} was changed by {node.label}")

    def _still(self, node: Node) -> bool:
        """Whether no line of the program has run since the op before this one, as far as can be told at no cost."""
        if node.phase == BACKWARD:
            return True
        call, outermost = node.call, 0
        while call is not None:
            outermost = call.id
            call = call.parent
        me, here = get_ident(), (node.phase, outermost, id(node.code), node.lasti, node.iteration)
        before, self._last[me] = self._last.get(me), here
        # In one call of a module of the engine's, or in one step of an optimizer.
        return before == here and bool(outermost or node.phase)

    def _stop_after(self, reason: str, hits: list[Breakpoint], node: Node, text: str) -> None:
        position = describe_node(self._tracer, node, ran=True)
        position["text"] = text
        with self._at(node):
            self._stop(reason, hits, position, depth_of(node))

    def _matches(self, hit: Breakpoint, node: Node) -> bool:
        if hit.kind == "op":
            return hit.name == node.label
        if hit.kind == "node":
            return hit.node == node.id
        if hit.kind == "shape predicate":
            return not node.phase or hit.names("phase")
        if hit.kind == "line":
            return (not node.phase or hit.names("phase")) and (
                os.path.realpath(node.filename),
                node.line,
            ) == (hit.file, hit.line)
        return True

    def _gradient(self, kind: str, subject: tuple[Node, Any]) -> None:
        if self._conditions.asking():
            return
        node, grad = subject
        hits = self._table.gradient
        if any(hit.name for hit in hits):
            frames = user_frames(sys._getframe(1), self._tracer.places)
            means = self._conditions.means
            hits = [hit for hit in hits if not hit.name or means(hit, node, frames)]
        if any(hit.kind == "gradient zero" for hit in hits) and bool(grad.any()):
            hits = [hit for hit in hits if hit.kind != "gradient zero"]
        hits = self._satisfied(hits, node, gradient_names(grad)) if hits else hits
        if hits:
            position = describe_node(self._tracer, node, ran=True)
            zero = hits[0].kind == "gradient zero"
            name = node.name or hits[0].name or "a parameter"
            position["text"] = (
                f"The gradient of {name}, of shape {list(node.shape)}, is zero everywhere"
                if zero
                else f"{hits[0].label}, of shape {list(node.shape)}, is complete"
            )
            position["pending"], position["iteration"] = {}, iteration.index
            self._stop("gradient", hits, position, 0)

    def _step(self, kind: str, optimizer: Any) -> None:
        if not self._conditions.asking():
            self._lacking(self._missing.at_step(optimizer), "before this optimizer step")

    def _backward(self, kind: str, subject: None) -> None:
        if not self._conditions.asking():
            self._lacking(self._missing.after_backward(), "from this backward pass, and no optimizer owns it")

    def _lacking(self, lacking: list[tuple[str, Any]], when: str) -> None:
        """Stop where parameters should have a gradient and have none."""
        if not lacking:
            return
        frames = user_frames(sys._getframe(1), self._tracer.places)
        means = self._conditions.means
        found = [
            (hit, names)
            for hit in self._table.missing
            if (
                names := [
                    name
                    for name, p in lacking
                    if not hit.name or hit.name == name or means(hit, p.node, frames)
                ]
            )
        ]
        hits = self._satisfied([hit for hit, _ in found])
        if hits:
            names = next(names for hit, names in found if hit is hits[0])
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            position = describe_line(
                self._tracer, frames[0] if frames else None, f"{names[0]}{more} got no gradient {when}"
            )
            self._stop("gradient missing", hits, position, 0, frames)

    def branch(self, site: int, branch: Branch, taken: bool) -> None:
        """An `if` of the person's was decided."""
        if not self._table.branch or self._conditions.asking():
            return
        mine = self._branches.setdefault(get_ident(), Branches())
        if not mine.decided(site, taken):
            return
        place = (os.path.realpath(branch.path), branch.line)
        hits = [hit for hit in self._table.branch if not hit.file or (hit.file, hit.line) == place]
        hits = self._satisfied(hits, more={"taken": taken, "iteration": iteration.index})
        if hits:
            self._wait_for_the_paused()
            frames = user_frames(sys._getframe(1), self._tracer.places)
            way = (
                "is taken, and was not in the iteration before"
                if taken
                else "is not taken, and was in the iteration before"
            )
            text = f"`{branch.label}` ({os.path.basename(branch.path)}:{branch.line}) {way}"
            call = open_call()
            self._stop(
                "branch",
                hits,
                describe_line(self._tracer, frames[0] if frames else None, text),
                0 if call is None else call.depth + 1,
                frames,
            )

    def _line_without_op(self, frame: FrameType, file: str, line: int, ran: bool) -> None:
        """A thread is at a line with a breakpoint that runs no op, or `ran` it."""
        if not self._may_stop():
            return
        hits = [hit for hit in self._table.lines.get((file, line), ()) if not any(map(hit.names, OF_AN_OP))]
        frames = user_frames(frame, self._tracer.places)
        if any(hit.condition or hit.hit or hit.log for hit in hits):
            hits = self._conditions.satisfied(hits, frames, {"iteration": iteration.index})
        if not hits:
            return
        # What it goes on to run on this line is no second arrival there.
        self._on_line[get_ident()] = (id(frame.f_code), hits[0].id, frame.f_lasti)
        name = f"{os.path.basename(file)}:{line}"
        text = f"Paused after {name}, which ran no op" if ran else f"Paused before {name}, which runs no op"
        position = describe_line(self._tracer, frame, text)
        if ran:
            position["line"] = line
        call = open_call()
        self._stop("breakpoint", hits, position, 0 if call is None else call.depth + 1, frames)

    def _op_error(self, kind: str, failure: Any) -> None:
        if self._conditions.asking():
            return
        exception = failure.exception
        shape = isinstance(exception, ShapeMismatchError)
        types = isinstance(exception, (DtypeMismatchError, DeviceMismatchError))
        self._seen = exception
        hits = self._table.shape if shape else self._table.exception
        if types and self._table.types:
            hits = self._table.types
        if not hits or self._mode == TERMINATE:
            return
        self._wait_for_the_paused()
        reason = "shape mismatch" if shape else "type mismatch" if types else "exception"
        node: Node = failure.node
        hits = self._satisfied(hits, node)
        if hits:
            self._supplied = None
            with self._at(node):
                self._stop(reason, hits, describe_error(self._tracer, failure), depth_of(node))
            if self._supplied is not None:
                failure.replacement, self._supplied = self._supplied, None
                self._seen = None

    def post_mortem(self, exception: BaseException) -> None:
        """An exception is about to end the program: stop where it was raised, unless that was done."""
        causes = {id(exception), id(exception.__cause__), id(exception.__context__)}
        if self._closed or not self._table.exception or (self._seen is not None and id(self._seen) in causes):
            return
        if isinstance(exception, SyntaxError) and exception.__traceback__ is None:
            return  # the script itself: nothing ran, and there is nothing to look at
        frames = [one.tb_frame for one in persons(self._tracer, exception.__traceback__)]
        position = describe_post_mortem(self._tracer, exception)
        self._stop("exception", self._table.exception, position, 0, frames[::-1])

    def halt(self) -> None:
        """A line of the program asks to pause there, whatever the trace level."""
        if not self._may_stop():
            return
        frames = user_frames(sys._getframe(1), self._tracer.places)
        position = describe_line(self._tracer, frames[0] if frames else None)
        call = open_call()
        self._stop("breakpoint", [], position, 0 if call is None else call.depth + 1, frames)

    def _may_stop(self) -> bool:
        """Whether a thread that runs no op can stop where it is; it waits for one that has, and ends if it is to."""
        if self._closed or self._conditions.asking():
            return False
        self._wait_for_the_paused()
        if self._mode == TERMINATE:
            self._end()
            return False
        return True

    # Given by the stepper

    def _wait_for_the_paused(self) -> None:
        raise NotImplementedError

    def _end(self) -> None:
        raise NotImplementedError

    def _stop(
        self,
        reason: str,
        hits: list[Breakpoint],
        position: dict[str, Any],
        depth: int,
        frames: list[FrameType] | None = None,
    ) -> None:
        raise NotImplementedError


def plainly_finite(made: Any) -> bool:
    """Whether it is an array whose numbers are all finite, where one sum says so."""
    return (
        type(made) is np.ndarray
        and made.dtype.char in "fd"
        and made.flags.c_contiguous
        and math.isfinite(np.vdot(made, made))
    )


def produced_nan(node: Node) -> bool:
    """Whether the node's result holds a NaN or an infinity that none of its arguments held."""
    from dsviz.debuggee.inspection import all_finite

    outs = node.out if isinstance(node.out, tuple) else (node.out,)
    if all(all_finite(out) for out in outs):
        return False
    return all(all_finite(array) for array in node.arrays or ())
