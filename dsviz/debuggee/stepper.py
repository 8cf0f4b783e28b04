"""Pauses the program: the sink that blocks, and the verbs that say when it blocks again.

A position is a node about to run, a module about to be entered, or a line that asks for it. Depth counts the modules a position
stands in: a node of module call `c` is one deeper than the entry of `c`.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from _thread import get_ident
from collections.abc import Callable
from types import FrameType
from typing import Any

import msgspec

from dsviz.debuggee.breakpoints import Breakpoint, Table
from dsviz.debuggee.conditions import Conditions
from dsviz.debuggee.frames import line_of, user_frames
from dsviz.debuggee.positions import (
    describe_error,
    describe_line,
    describe_module,
    describe_node,
    describe_post_mortem,
    persons,
)
from dsviz.debuggee.tracer import Tracer
from engine.bus import Bus, Handle
from engine.errors import DeviceMismatchError, DtypeMismatchError, ShapeMismatchError
from engine.grad_mode import state
from engine.iteration import iteration
from engine.module import ModuleCall
from engine.node import Node

RUN, ENTRY, PAUSE, NEXT, INTO, OVER, OUT, TERMINATE, LINE, ITERATION = range(10)
_VERBS = {
    "continue": RUN,
    "next": NEXT,
    "into": INTO,
    "over": OVER,
    "out": OUT,
    "next_line": LINE,
    "next_iteration": ITERATION,
}
_REASON = {ENTRY: "entry", PAUSE: "pause"}  # any other mode: "step"
_DEEP = 1 << 30


class Terminate(BaseException):
    """The person stopped the program: it ends as by SystemExit, its `finally` blocks run."""


class Stepper:
    """Decides at each position whether the program pauses there.

    While nothing asks for it, it is not subscribed and costs nothing. `send` carries messages to the
    session and says whether it still listens; `answer(request, frames)` answers a question at a stop.
    """

    def __init__(
        self,
        bus: Bus,
        tracer: Tracer,
        send: Callable[[dict[str, Any]], bool],
        answer: Callable[[dict[str, Any], list[FrameType]], dict[str, Any]],
        before_stop: Callable[[], dict[str, Any]],
    ) -> None:
        self._bus, self._tracer, self._send, self._answer = bus, tracer, send, answer
        self._before_stop = before_stop
        self._lock = threading.RLock()
        self._floor = threading.RLock()  # held by the thread that is paused: the others wait at their next op
        self._handles: dict[str, Handle] = {}
        self._mode = RUN
        self._depth = 0
        self._thread: int | None = None  # the thread a step belongs to; None: any
        self._items: list[Breakpoint] = []
        self._until: Breakpoint | None = None  # where "run to" runs to: gone at the next stop
        self._from: tuple[int, int, int, int] = (0, 0, 0, 0)  # the line a step by lines left
        self._conditions = Conditions(send)
        self._supplied: Any = None
        self._table = Table()
        self._lines: dict[tuple[int, int], list[Breakpoint]] = {}
        self._on_line: dict[int, tuple[int, int, int]] = {}
        self._commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._paused = False
        self._pause_next = False
        self._closed = False
        self._stops = 0
        self._seen: BaseException | None = None
        self._subscribe("op_error", self._op_error)

    # From the listening thread

    def pause(self) -> None:
        """Stop at the next position, in whatever thread it comes."""
        with self._lock:
            if self._paused:
                # It was told to go on and has not woken up yet: this is meant for what comes then.
                self._pause_next = True
            elif not self._closed:
                self._set(PAUSE, 0, None)

    def stop_at_entry(self) -> None:
        """Stop before the first node."""
        self._set(ENTRY, 0, None)

    def terminate(self) -> None:
        """End the program at its next position, or now where it is paused."""
        with self._lock:
            self._set(TERMINATE, 0, None)
            self._commands.put({"t": "go", "verb": "terminate"})

    def command(self, message: dict[str, Any]) -> None:
        """Hand a step or a question to the paused thread; a question to a running program is refused."""
        with self._lock:
            paused = self._paused
            if paused:
                self._commands.put(message)
        if not paused and message.get("t") == "request":
            self._send(
                {
                    "t": "reply",
                    "id": message.get("id"),
                    "ok": False,
                    "error": "The program is running; pause it first.",
                }
            )

    def set_breakpoints(self, items: list[Breakpoint]) -> None:
        """These are the breakpoints from now on."""
        with self._lock:
            self._items = items
            self._conditions.set_again(items)
            self._build()

    def supply(self, value: Any) -> None:
        """At a stop before an op that cannot run: its result."""
        self._supplied = value

    def _build(self) -> None:
        self._table = Table(self._items if self._until is None else [*self._items, self._until])
        self._lines = {}
        self._conditions.forget()
        self._arm()

    def close(self) -> None:
        """Never pause again; a paused program goes on."""
        with self._lock:
            self._closed = True
            self._mode = RUN
            self._table = Table()
            for kind in list(self._handles):
                self._handles.pop(kind).close()
            self._commands.put({"t": "go", "verb": "continue"})

    # Modes and subscriptions

    def _set(self, mode: int, depth: int, thread: int | None) -> None:
        with self._lock:
            if self._closed:
                return
            self._mode, self._depth, self._thread = mode, depth, thread
            self._arm()

    def _arm(self) -> None:
        moving, table = self._mode != RUN, self._table
        # A thread that reaches an op while another is paused has to wait for it.
        self._want("op_start", self._op_start, moving or self._paused or table.wants_nodes)
        self._want(
            "module_enter",
            self._module_enter,
            self._mode in (INTO, OVER, OUT, TERMINATE) or table.wants_modules,
        )
        self._want("op_finish", self._op_finish, table.wants_results)
        self._want("gradient", self._gradient, bool(table.gradient))

    def _want(self, kind: str, sink: Callable[[str, Any], None], wanted: bool) -> None:
        if wanted and kind not in self._handles:
            self._subscribe(kind, sink)
        elif not wanted and kind in self._handles:
            self._handles.pop(kind).close()

    def _subscribe(self, kind: str, sink: Callable[[str, Any], None]) -> None:
        self._handles[kind] = self._bus.subscribe(sink, kind)

    # Sinks

    def _op_start(self, kind: str, node: Node) -> None:
        if self._conditions.asking():
            return
        self._wait_for_the_paused()
        mode = self._mode
        if mode == TERMINATE:
            self._end()
            return
        table = self._table
        hits = self._hits_at(node) if table.wants_nodes else []
        if hits:
            self._stop("breakpoint", hits, describe_node(self._tracer, node), depth_of(node))
        elif mode != RUN and self._reached(depth_of(node), node):
            self._stop(_REASON.get(mode, "step"), [], describe_node(self._tracer, node), depth_of(node))

    def _module_enter(self, kind: str, call: ModuleCall) -> None:
        if self._conditions.asking():
            return
        self._wait_for_the_paused()
        mode, depth = self._mode, depth_of_entry(call)
        if mode == TERMINATE:
            self._end()
            return
        table = self._table
        hits = table.modules.get(call.path, []) if table.modules else []
        if table.lines and call.code is not None:
            hits = [*hits, *self._hits_on_line(call.code, call.lasti)]
        hits = self._satisfied(hits)
        if hits:
            self._stop("breakpoint", hits, describe_module(self._tracer, call), depth)
        elif mode in (INTO, OVER, OUT) and self._reached(depth):
            self._stop("step", [], describe_module(self._tracer, call), depth)

    def _op_finish(self, kind: str, node: Node) -> None:
        if self._conditions.asking():
            return
        table = self._table
        if table.nan and produced_nan(node):
            hits = self._satisfied(table.nan, node)
            if hits:
                self._stop_after("nan", hits, node, f"{node.label} produced NaN or Inf")
        hits = [hit for hit in table.after if self._matches(hit, node)] if table.after else []
        hits = self._satisfied(hits, node) if hits else hits
        if hits:
            self._stop_after("breakpoint", hits, node, f"Paused after {node.label}")
        if table.memory:
            hits = self._satisfied(self._conditions.over_limit(table.memory), node)
            if hits:
                self._stop_after("memory", hits, node, f"{hits[0].label}, after {node.label}")
        if table.data:
            frames = user_frames(sys._getframe(1), self._tracer.places)
            hits = self._satisfied(self._conditions.changed(table.data, frames), node)
            if hits:
                self._stop_after("data changed", hits, node, f"{hits[0].name} was changed by {node.label}")

    def _stop_after(self, reason: str, hits: list[Breakpoint], node: Node, text: str) -> None:
        position = describe_node(self._tracer, node, ran=True)
        position["text"] = text
        self._stop(reason, hits, position, depth_of(node))

    def _matches(self, hit: Breakpoint, node: Node) -> bool:
        if hit.kind == "op":
            return hit.name == node.label
        if hit.kind == "node":
            return hit.node == node.id
        if hit.kind == "line":
            return not node.phase and (os.path.realpath(node.filename), node.line) == (hit.file, hit.line)
        return True

    def _gradient(self, kind: str, subject: tuple[Node, Any]) -> None:
        if self._conditions.asking():
            return
        node, grad = subject
        frames = user_frames(sys._getframe(1), self._tracer.places)
        means = self._conditions.means
        hits = [hit for hit in self._table.gradient if not hit.name or means(hit, node, frames)]
        hits = self._satisfied(hits, node, grad) if hits else hits
        if hits:
            position = describe_node(self._tracer, node, ran=True)
            position["text"] = f"{hits[0].label}, of shape {list(node.shape)}, is complete"
            position["pending"], position["iteration"] = {}, iteration.index
            self._stop("gradient", hits, position, 0)

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
        if self._closed or self._conditions.asking():
            return
        self._wait_for_the_paused()
        if self._mode == TERMINATE:
            self._end()
            return
        frames = user_frames(sys._getframe(1), self._tracer.places)
        position = describe_line(self._tracer, frames[0] if frames else None)
        call = state.call
        self._stop("breakpoint", [], position, 0 if call is None else call.depth + 1, frames)

    # Deciding

    def _reached(self, depth: int, node: Node | None = None) -> bool:
        if self._thread is not None and self._thread != get_ident():
            return False
        mode = self._mode
        if mode == LINE:
            frames = user_frames(sys._getframe(1), self._tracer.places)
            now, before = place_of(frames), self._from
            if now[0] != before[0]:
                return now[0] < before[0]
            # The same line in a later turn of its loop is reached anew.
            return now[1:3] != before[1:3] or now[3] < before[3]
        if mode == ITERATION:
            return node is not None and not node.phase and node.iteration > self._from[0]
        if mode == OVER:
            return depth <= self._depth
        if mode == OUT:
            return depth < self._depth
        return mode != RUN

    def _hits_at(self, node: Node) -> list[Breakpoint]:
        table = self._table
        hits: list[Breakpoint] = []
        if table.ops:
            hits += table.ops.get(node.label, ())
        if table.nodes:
            hits += table.nodes.get(node.id, ())
        if table.lines and node.code is not None and not node.phase:
            hits += self._hits_on_line(node.code, node.lasti)
        hits += table.any
        return self._satisfied(hits, node) if hits else hits

    def _hits_on_line(self, code: Any, lasti: int) -> list[Breakpoint]:
        key = (id(code), lasti)
        found = self._lines.get(key)
        if found is None:
            place = (os.path.realpath(code.co_filename), line_of(code, lasti))
            found = self._lines[key] = self._table.lines.get(place, [])
        me = get_ident()
        if not found:
            self._on_line.pop(me, None)
            return []
        # A line with several ops is reached once: at its first one, until execution came from elsewhere.
        line, before = found[0].id, self._on_line.get(me)
        self._on_line[me] = (id(code), line, lasti)
        again = before is not None and before[:2] == (id(code), line) and lasti > before[2]
        return [] if again else found

    def _satisfied(
        self, hits: list[Breakpoint], node: Node | None = None, grad: Any = None
    ) -> list[Breakpoint]:
        if not any(hit.condition or hit.hit or hit.log for hit in hits):
            return hits
        frames = user_frames(sys._getframe(1), self._tracer.places)
        return self._conditions.satisfied(hits, frames, node, grad)

    # Standing still

    def _wait_for_the_paused(self) -> None:
        if self._paused:
            with self._floor:
                pass

    def _stop(
        self,
        reason: str,
        hits: list[Breakpoint],
        position: dict[str, Any],
        depth: int,
        frames: list[FrameType] | None = None,
    ) -> None:
        began = time.perf_counter_ns()
        with self._floor:
            if self._closed:
                return
            with self._lock:
                if self._mode == TERMINATE:
                    self._end()
                    return
                self._paused, self._pause_next = True, False
                self._stops += 1
                number = self._stops
                self._mode = RUN
                if self._until is not None:
                    if self._until in hits:
                        hits = [hit for hit in hits if hit is not self._until]
                        reason = reason if hits else "step"
                    self._until = None
                    self._build()
                self._set(RUN, 0, None)
            try:
                if frames is None:
                    frames = user_frames(sys._getframe(1), self._tracer.places)
                stop = {
                    "t": "stop",
                    "number": number,
                    "reason": reason,
                    "breakpoints": [hit.id for hit in hits],
                    "frames": frame_list(self._tracer, frames),
                    "thread": threading.current_thread().name,
                    "time": began - self._tracer.began,
                    "overhead": self._tracer.overhead,
                    **position,
                }
                stop.update(self._before_stop())
                if self._send(stop):
                    self._serve(frames, depth, position.get("iteration", 0))
            except KeyboardInterrupt:
                # Ctrl-C is the program's, paused or not: it goes on with the interrupt.
                self._send({"t": "resumed"})
                raise
            finally:
                self._tracer.skip(time.perf_counter_ns() - began)
                with self._lock:
                    self._paused = False
                    if self._pause_next and self._mode == RUN:
                        self._set(PAUSE, 0, None)
                    self._arm()

    def _serve(self, frames: list[FrameType], depth: int, turn: int) -> None:
        while True:
            message = self._commands.get()
            if message["t"] == "request":
                with self._conditions.quiet():
                    answer = self._answer(message, frames)
                self._send({"t": "reply", "id": message.get("id"), **answer})
                continue
            verb = message.get("verb")
            if verb == "terminate":
                self._end()
                return
            if message.get("number", self._stops) != self._stops:
                continue  # meant for a stop that is over
            if verb in _VERBS:
                mode = _VERBS[verb]
                self._from = (turn, 0, 0, 0) if mode == ITERATION else place_of(frames)
                if message.get("until") is not None:
                    with self._lock:
                        self._until = msgspec.convert(message["until"], Breakpoint)
                        self._build()
                self._set(mode, depth, get_ident() if mode not in (RUN, ITERATION) else None)
                return

    def _end(self) -> None:
        # Raised in another thread it would only end that thread, with a traceback of its own.
        self.close()
        if threading.current_thread() is threading.main_thread():
            raise Terminate


def depth_of(node: Node) -> int:
    """How many modules the node stands in; a backward node stands where its forward twin did."""
    if node.phase == 2:
        return 0
    call = node.twin.call if node.twin is not None else node.call
    return 0 if call is None else call.depth + 1


def depth_of_entry(call: ModuleCall) -> int:
    """How many modules the entry of `call` stands in."""
    return 0 if call.parent is None else call.parent.depth + 1


def place_of(frames: list[FrameType]) -> tuple[int, int, int, int]:
    """Where a thread stands: how many frames deep, in which frame, its line and its bytecode offset."""
    if not frames:
        return (0, 0, 0, 0)
    frame = frames[0]
    return (len(frames), id(frame), frame.f_lineno or 0, frame.f_lasti)


def frame_list(tracer: Tracer, frames: list[FrameType]) -> list[dict[str, Any]]:
    """The person's frames as the session gets them, innermost first."""
    text = tracer.lane().walker.text
    return [
        {
            "function": getattr(frame.f_code, "co_qualname", frame.f_code.co_name),
            "file": text(frame.f_code.co_filename),
            "path": frame.f_code.co_filename,
            "line": frame.f_lineno or 0,
        }
        for frame in frames[:200]
    ]


def produced_nan(node: Node) -> bool:
    """Whether the node's result holds a NaN or an infinity that none of its arguments held."""
    from dsviz.debuggee.inspection import all_finite

    outs = node.out if isinstance(node.out, tuple) else (node.out,)
    if all(all_finite(out) for out in outs):
        return False
    return all(all_finite(array) for array in node.arrays or ())
