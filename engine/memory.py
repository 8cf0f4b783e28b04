"""Which buffers are alive, and for what: told on the bus, only while somebody is subscribed to `buffer`.

A buffer is the memory one array owns; views of it are the same buffer. Its release is seen by a weak
reference. That can happen in the middle of anything, so releases queue up and are told at the next op.
"""

from __future__ import annotations

import weakref
from collections import deque
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from engine.backend import owner
from engine.bus import bus
from engine.pool import Lease

if TYPE_CHECKING:
    from engine.node import Node

CATEGORIES = ("parameters", "gradients", "activations", "saved", "optimizer", "workspace", "inputs")


class Buffer(weakref.ref):  # type: ignore[type-arg]
    """One piece of memory: `id` (counted from 1), `nbytes`, `category`, `node` (number of the node that
    made it, 0 for none). It does not keep the memory alive."""

    __slots__ = ("category", "id", "key", "nbytes", "node")

    id: int
    key: int
    nbytes: int
    category: str
    node: int


class BufferEvent:
    """`kind` is "allocated", "reused", "released" or "recategorised"; `time` in perf_counter_ns."""

    __slots__ = ("buffer", "kind", "time")

    kind: str
    buffer: Buffer
    time: int

    def __repr__(self) -> str:
        b = self.buffer
        return f"<{self.kind} buffer {b.id} {b.category} {b.nbytes} bytes>"


def _tell(kind: str, buffer: Buffer, time: int) -> None:
    event = BufferEvent()
    event.kind, event.buffer, event.time = kind, buffer, time
    for sink in bus.buffer:
        try:
            sink("buffer", event)
        except Exception:  # noqa: BLE001 - a debugger's mistake is no mistake of the program
            bus.failed("buffer", sink)


class Memory:
    """The live buffers that were seen since somebody subscribed; `waiting` are releases not told yet."""

    def __init__(self) -> None:
        self._alive: dict[int, Buffer] = {}
        self.waiting: deque[tuple[Buffer, int]] = deque()
        self.nbytes = 0  # of all of them together
        self._count = 0
        self._callback = self._dead  # made once

    def track(self, array: Any, category: str, node: Node | None = None) -> None:
        """`array` is in use; tell of its memory if it is new."""
        if not bus.buffer:
            return
        base = array.base
        memory = array if base is None else owner(array)
        known = self._alive.get(id(memory))
        if known is not None and known() is memory:
            return
        buffer = self._made(memory, category, 0 if node is None else node.id)
        if base is not None:
            base = memory.base
        _tell("reused" if type(base) is Lease and base.reused else "allocated", buffer, perf_counter_ns())

    def expect(self, array: Any, category: str) -> Buffer:
        """Know of memory that was alive before anybody looked, and tell nobody."""
        memory = owner(array)
        known = self._alive.get(id(memory))
        return known if known is not None and known() is memory else self._made(memory, category, 0)

    def _made(self, memory: Any, category: str, node: int) -> Buffer:
        # Filled here: a constructor in Python would cost twice as much.
        buffer = Buffer(memory, self._callback)
        # Looked up by number after the array is dead, when a weak reference can no longer be hashed.
        buffer.key = key = id(memory)
        self._count += 1
        buffer.id = self._count
        buffer.nbytes = nbytes = memory.nbytes
        stale: Buffer | None = self._alive.get(key)  # dead, and its end not heard of yet
        self.nbytes += nbytes if stale is None else nbytes - stale.nbytes
        buffer.category = category
        buffer.node = node
        self._alive[key] = buffer
        return buffer

    def recategorise(self, array: Any, category: str) -> None:
        """`array`'s memory serves something else from now on."""
        if not bus.buffer:
            return
        buffer = self._alive.get(id(owner(array)))
        if buffer is not None and buffer.category != category:
            buffer.category = category
            _tell("recategorised", buffer, perf_counter_ns())

    def keep(self, array: Any, node: Node) -> None:
        """`array` is kept for the gradient of `node`."""
        known = self._alive.get(id(array if array.base is None else owner(array)))
        if known is None:
            self.track(array, "saved", node)
        elif known.category == "activations":
            known.category = "saved"
            _tell("recategorised", known, perf_counter_ns())

    def flush(self) -> None:
        """Tell of the buffers that died since the last time."""
        while self.waiting:
            buffer, time = self.waiting.popleft()
            _tell("released", buffer, time)

    def live(self) -> list[Buffer]:
        """The buffers that are alive now, oldest first."""
        known = list(self._alive.values())  # in one go: other threads may add to it
        return sorted((b for b in known if b() is not None), key=lambda b: b.id)

    def _dead(self, buffer: Any) -> None:
        key: int = buffer.key
        known = self._alive.get(key)
        if known is not None and known is buffer:
            del self._alive[key]
            self.nbytes -= known.nbytes
        self.waiting.append((buffer, perf_counter_ns()))


memory = Memory()
