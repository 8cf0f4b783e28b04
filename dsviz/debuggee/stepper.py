"""Pauses the program: the sink that blocks, and the verbs that say when it blocks again.

A position is a node about to run, a module about to be entered, or a line that asks for it. Depth counts the modules a position
stands in: a node of module call `c` is one deeper than the entry of `c`.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from _thread import get_ident
from collections.abc import Callable
from types import FrameType
from typing import Any

import msgspec

from dsviz.debuggee import core
from dsviz.debuggee.branches import Branches
from dsviz.debuggee.breakpoints import Breakpoint, Table
from dsviz.debuggee.conditions import Conditions
from dsviz.debuggee.deciding import (
    ENTRY,
    INTO,
    ITERATION,
    LINE,
    NEXT,
    OUT,
    OVER,
    PAUSE,
    RUN,
    TERMINATE,
    place_of,
)
from dsviz.debuggee.frames import stack_of, user_frames
from dsviz.debuggee.lines import Lines
from dsviz.debuggee.missing import Missing
from dsviz.debuggee.sinks import Sinks
from dsviz.debuggee.tracer import Tracer
from dsviz.interrupts import heard
from engine.bus import Bus, Handle
from engine.locks import reentrant
from engine.module_call import open_call
from engine.node import Node

_VERBS = {
    "continue": RUN,
    "next": NEXT,
    "into": INTO,
    "over": OVER,
    "out": OUT,
    "next_line": LINE,
    "next_iteration": ITERATION,
}


class Terminate(BaseException):
    """The person stopped the program: it ends as by SystemExit, its `finally` blocks run."""


def ignore(kind: str, subject: object) -> None:
    """A sink for what has only to be announced."""


class Stepper(Sinks):
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
        self._lock = reentrant()
        self._floor = reentrant()  # held by the thread that is paused: the others wait at their next op
        self._handles: dict[str, Handle] = {}
        self._mode = RUN
        self._depth = 0
        self._thread: int | None = None  # the thread a step belongs to; None: any
        self._items: list[Breakpoint] = []
        self._until: Breakpoint | None = None  # where "run to" runs to: gone at the next stop
        self._from: tuple[int, int, int, int] = (0, 0, 0, 0)  # the line a step by lines left
        self._conditions = Conditions(send)
        self._missing = Missing()
        self._branches: dict[int, Branches] = {}  # of each thread
        self._supplied: Any = None
        self.pending: Node | None = None  # the node at which a paused program stands
        self._table = Table()
        self._lines: dict[tuple[int, int], list[Breakpoint]] = {}
        self._last: dict[int, tuple[int, int, int, int, int]] = {}
        self._on_line: dict[int, tuple[int, int, int]] = {}
        self._watched = Lines(self._line_without_op)
        self._commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._paused = False
        self._pause_next = False
        self._closed = False
        self._stops = 0
        self._seen: BaseException | None = None
        self._subscribe("op_error", self._op_error)

    # From the listening thread

    def pause(self, after: int | None = None) -> None:
        """Stop at the next position, in whatever thread it comes. `after` is the number of the stop since which
        whoever asks has seen the program run: one that stopped meanwhile has done what was asked."""
        with self._lock:
            if after is not None and after != self._stops:
                return
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
        """Hand a step or a question to the paused thread; a running program is only asked where it is."""
        if message.get("do") == "where":
            stack = stack_of(self._tracer.owner, self._tracer.places)
            self._send({"t": "reply", "id": message.get("id"), "ok": True, "data": stack})
            return
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
        self._watched.want(self._table.lines)
        self._conditions.forget()
        self._arm()

    def close(self) -> None:
        """Never pause again; a paused program goes on."""
        with self._lock:
            self._closed = True
            self._mode = RUN
            self._table = Table()
            self._watched.want(())
            for kind in list(self._handles):
                self._handles.pop(kind).close()
            self._commands.put({"t": "go", "verb": "continue"})

    # Modes and subscriptions

    @property
    def wants_branches(self) -> bool:
        """Whether some breakpoint asks which way an `if` goes."""
        return bool(self._table.branch)

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
        self._want("module_exit", self._module_exit, bool(table.left))
        self._want("gradient", self._gradient, bool(table.gradient))
        self._want("fate", ignore, bool(table.memory))  # buffers are counted only while somebody listens
        self._want("backward", self._backward, bool(table.missing))
        self._want("step", self._step, bool(table.missing))

    def _want(self, kind: str, sink: Callable[[str, Any], None], wanted: bool) -> None:
        if wanted and kind not in self._handles:
            self._subscribe(kind, sink)
        elif not wanted and kind in self._handles:
            self._handles.pop(kind).close()

    def _subscribe(self, kind: str, sink: Callable[[str, Any], None]) -> None:
        self._handles[kind] = self._bus.subscribe(sink, kind)

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
                self._tracer.catch_up()
                stop = {
                    "t": "stop",
                    "number": number,
                    "reason": reason,
                    "breakpoints": [hit.id for hit in hits],
                    "frames": frame_list(self._tracer, frames),
                    "thread": threading.current_thread().name,
                    "time": began - self._tracer.began,
                    "overhead": self._tracer.overhead,
                    "core": core.why(),
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
                self._tracer.depart()
                if self._table.missing:
                    self._missing.inside(open_call())
                with self._lock:
                    self._paused = False
                    if self._pause_next and self._mode == RUN:
                        self._set(PAUSE, 0, None)
                    self._arm()
                self.follow_lines(sys._getframe(1))

    def follow_lines(self, frame: FrameType | None = None) -> None:
        """In a thread of the program: hear of its lines as far as there are breakpoints on them."""
        self._watched.follow(frame)

    def _serve(self, frames: list[FrameType], depth: int, turn: int) -> None:
        while True:
            message = heard(self._commands)
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
