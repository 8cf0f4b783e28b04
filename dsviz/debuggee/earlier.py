"""What a program made while nobody looked: told when it is first used, so that nothing is without a name.

Values that an earlier session saw, or that were made in an iteration that was not sampled, have their numbers already
and are not announced again.
"""

from __future__ import annotations

from typing import Any

from dsviz import events
from dsviz.debuggee.lanes import Lane
from dsviz.debuggee.outlets import CATEGORY
from dsviz.debuggee.tracer import Tracer
from engine.bus import Bus, Handle
from engine.locks import reentrant
from engine.memory import memory
from engine.node import Node, ids

MOST_GAPS = 64  # stretches that are told apart; older ones are taken together
MOST_TOLD = 100_000


class Earlier:
    """Made before the tracer, so that nothing falls between the two."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        # Stretches of numbers that were given while nobody looked, oldest first: a pair for each.
        self._gaps: list[tuple[int, int]] = []
        first = next(ids)
        if first > 1:
            self._gaps.append((1, first))
        self._live = memory.live()
        self._told: dict[int, None] = {}
        self._rests = 0  # the number at which the stretch began that runs
        self._tracer: Tracer | None = None
        self._lock = reentrant()
        self._handle: Handle | None = None

    def follow(self, tracer: Tracer) -> None:
        """Tell the session of `tracer`, as long as that traces at all. Call it again where the level changed."""
        self._tracer = tracer
        tracer.on_rest = self._rest
        self._arm()

    def close(self) -> None:
        """Tell no more."""
        with self._lock:
            self._tracer = None
            self._arm()

    def _rest(self, resting: bool) -> None:
        """An iteration begins that is not told, or one that is."""
        number = next(ids)
        with self._lock:
            if resting:
                self._rests = number
            elif self._rests:
                self._gaps.append((self._rests, number))
                self._rests = 0
                if len(self._gaps) > MOST_GAPS:
                    (first, _), (_, last) = self._gaps[:2]
                    self._gaps[:2] = [(first, last)]
            self._arm()

    def _arm(self) -> None:
        with self._lock:
            if self._handle is not None:
                self._handle.close()
                self._handle = None
            tracer = self._tracer
            if tracer is not None and tracer.level and not self._rests and (self._gaps or self._live):
                self._handle = self._bus.subscribe(self._op, "op_start")

    def _op(self, kind: str, node: Node) -> None:
        tracer = self._tracer
        if tracer is None:
            return
        lane = tracer.lane()
        if self._live:
            self._buffers(lane)
        for index, source in enumerate(node.inputs):
            if source is not None and source.id and source.id not in self._told and self._missed(source.id):
                self._leaf(tracer, source, node.arrays[index] if node.arrays else None)

    def _missed(self, number: int) -> bool:
        return any(first <= number < last for first, last in self._gaps)

    def _buffers(self, lane: Lane) -> None:
        with self._lock:
            live, self._live = self._live, []
        for buffer in live:
            if buffer() is not None:
                category = CATEGORY[buffer.category]
                lane.event(events.Allocated(buffer.id, buffer.nbytes, category, buffer.node, 0))

    def _leaf(self, tracer: Tracer, source: Node, array: Any) -> None:
        self._told[source.id] = None
        if len(self._told) > MOST_TOLD:
            del self._told[next(iter(self._told))]
        role, source.role = source.role, source.role or "input"
        source.made = array
        tracer.leaf(source)
        source.made, source.role = None, role
