"""What a program made before the session came: told when it is first used, so that nothing is without a name.

What an earlier session saw has its number already and is not announced again; the memory that was known
then would be missing from the timeline.
"""

from __future__ import annotations

import threading
from typing import Any

from dsviz import events
from dsviz.debuggee.tracer import CATEGORY, Tracer
from engine import module
from engine.bus import Bus, Handle
from engine.memory import memory
from engine.module import ModuleCall
from engine.node import Node, ids


class Earlier:
    """Made before the tracer, so that nothing falls between the two."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._nodes, self._calls = next(ids), next(module.calls)  # smaller numbers were told to somebody else
        self._live = memory.live()
        self._told: set[int] = set()
        self._entered: set[int] = set()
        self._lock = threading.Lock()
        self._handle: Handle | None = None

    def follow(self, tracer: Tracer) -> None:
        """Tell the session of `tracer`, as long as that traces at all. Call it again where the level changed."""
        with self._lock:
            if self._handle is not None:
                self._handle.close()
                self._handle = None
            if tracer.level and (self._nodes > 1 or self._live):
                self._handle = self._bus.subscribe(lambda kind, node: self._op(tracer, node), "op_start")

    def close(self) -> None:
        """Tell no more."""
        with self._lock:
            if self._handle is not None:
                self._handle.close()

    def _op(self, tracer: Tracer, node: Node) -> None:
        if self._live:
            self._buffers(tracer)
        call = node.call
        if call is not None and call.id < self._calls and call.id not in self._entered:
            self._enter(tracer, call)
        for index, source in enumerate(node.inputs):
            if source is not None and 0 < source.id < self._nodes and source.id not in self._told:
                self._leaf(tracer, source, node.arrays[index] if node.arrays else None)

    def _buffers(self, tracer: Tracer) -> None:
        with self._lock:
            live, self._live = self._live, []
        lane = tracer.lane()
        for buffer in live:
            if buffer() is not None:
                category = CATEGORY[buffer.category]
                lane.event(events.Allocated(buffer.id, buffer.nbytes, category, buffer.node, 0))

    def _enter(self, tracer: Tracer, call: ModuleCall | None) -> None:
        chain = []
        while call is not None and call.id < self._calls and call.id not in self._entered:
            chain.append(call)
            call = call.parent
        lane = tracer.lane()
        walker = lane.walker
        for outer in reversed(chain):
            self._entered.add(outer.id)
            parent = 0 if outer.parent is None else outer.parent.id
            frame = walker.at(walker.calls.get(parent, 0), outer.code, outer.lasti)
            walker.calls[outer.id] = frame
            path, kind = walker.text(outer.path), walker.text(outer.cls)
            lane.event(events.ModuleEntered(outer.id, parent, path, kind, frame, 0))

    def _leaf(self, tracer: Tracer, source: Node, array: Any) -> None:
        self._told.add(source.id)
        role, source.role = source.role, source.role or "input"
        source.made = array
        tracer.leaf(source)
        source.made, source.role = None, role
