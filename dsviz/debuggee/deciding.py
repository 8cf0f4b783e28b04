"""Decides whether a position is one to stop at: the verb the program moves by, and the breakpoints on it."""

from __future__ import annotations

import os
import sys
from _thread import get_ident
from types import FrameType
from typing import Any

from dsviz.debuggee.breakpoints import Breakpoint, Table
from dsviz.debuggee.conditions import Conditions, names_of
from dsviz.debuggee.frames import begin_of, line_of, user_frames
from dsviz.debuggee.lines import Lines
from dsviz.debuggee.tracer import Tracer
from engine.module_call import ModuleCall
from engine.node import Node

RUN, ENTRY, PAUSE, NEXT, INTO, OVER, OUT, TERMINATE, LINE, ITERATION = range(10)


class Deciding:
    """The part of a stepper that decides. Its data are the stepper's."""

    _tracer: Tracer
    _table: Table
    _conditions: Conditions
    _mode: int
    _depth: int
    _thread: int | None
    _from: tuple[int, int, int, int]
    _lines: dict[tuple[int, int], list[Breakpoint]]
    _on_line: dict[int, tuple[int, int, int]]
    _watched: Lines

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
        if table.lines:
            hits += self._hits_on_lines(node)
        if table.any:
            hits += [hit for hit in table.any if not self._refuses(hit, node)]
        return self._satisfied(hits, node) if hits else hits

    def _refuses(self, hit: Breakpoint, node: Node) -> bool:
        return bool(hit.condition) and self._conditions.refuses(hit, node, self._tracer.places)

    def _hits_by_arrival(self, code: Any) -> list[Breakpoint]:
        """Of the line that this thread has come to: its first op is one that runs further in, in another's code."""
        arrived = self._watched.take()
        if arrived is None or arrived.code is code:
            return []
        place = (os.path.realpath(arrived.code.co_filename), arrived.line)
        found = [hit for hit in self._table.lines.get(place, ()) if not hit.names("phase")]
        if found:
            # What the line itself runs after that is no second arrival there.
            self._on_line[get_ident()] = (id(arrived.code), found[0].id, arrived.lasti)
        return found

    def _hits_on_lines(self, node: Node) -> list[Breakpoint]:
        if not node.phase:
            if node.code is None:
                return []
            return self._hits_by_arrival(node.code) or self._hits_on_line(node.code, node.lasti)
        # `loss.backward()` and `optimizer.step()` are lines that run these; the line of its forward twin is asked
        # for only by a condition that names the phase.
        twin = node.twin
        hits = []
        if twin is not None and twin.code is not None:
            place = (os.path.realpath(twin.filename), twin.line)
            hits = [hit for hit in self._table.lines.get(place, ()) if hit.names("phase")]
        frames = user_frames(sys._getframe(1), self._tracer.places)
        if frames:
            hits += self._hits_by_arrival(frames[0].f_code) or self._hits_on_line(
                frames[0].f_code, begin_of(frames[0].f_code, frames[0].f_lasti), same=True
            )
        return hits

    def _hits_on_line(self, code: Any, lasti: int, same: bool = False) -> list[Breakpoint]:
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
        again = before is not None and before[:2] == (id(code), line) and lasti - before[2] > -same
        return [] if again else found

    def _satisfied(
        self, hits: list[Breakpoint], node: Node | None = None, more: dict[str, Any] | None = None
    ) -> list[Breakpoint]:
        if not any(hit.condition or hit.hit or hit.log for hit in hits):
            return hits
        frames = user_frames(sys._getframe(1), self._tracer.places)
        return self._conditions.satisfied(hits, frames, {**names_of(node), **(more or {})})


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
