"""Which buffers are alive, and for what: told on the bus, only while somebody is subscribed to `buffer`.

A buffer is the memory one array owns; views of it are the same buffer. Changes queue up and are told together,
as `(what, Buffer, time)` with `what` "allocated", "reused", "released" or "recategorised": once an op has run, or by
`flush`. A release is seen by a weak reference, which can happen in the middle of anything; the clock is not asked for
each, so a release has the time at which the op after it began.
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

    __slots__ = ("category", "id", "key", "nbytes", "node", "told")

    id: int
    key: int
    nbytes: int
    category: str
    node: int
    told: str  # "allocated" or "reused" until that was told, then ""


Change = tuple[str, Buffer, int]


class Memory:
    """The live buffers that were seen since somebody subscribed.

    `waiting` is what is not told yet: a buffer stands there once for its beginning and once for its end, a pair
    of `None` and a buffer for a change of its category.
    """

    def __init__(self) -> None:
        self._alive: dict[int, Buffer] = {}
        self.waiting: deque[Any] = deque()
        self.mark = 0  # of what waits, how much did so when the op that runs began
        self.nbytes = 0  # of all of them together, as far as it was told
        self._count = 0
        self._wait = (
            self.waiting.append
        )  # also called with a buffer whose memory is gone, by its weak reference

    def track(self, array: Any, category: str, node: Node | None = None) -> None:
        """`array` is in use; tell of its memory if it is new."""
        if not bus.buffer:
            return
        base = array.base
        memory = array if base is None else owner(array)
        key = id(memory)
        known = self._alive.get(key)
        if known is not None and known() is memory:
            return
        # Filled here: a constructor in Python would cost twice as much.
        buffer = Buffer(memory, self._wait)
        # Looked up by number after the array is dead, when a weak reference can no longer be hashed.
        buffer.key = key
        self._count += 1
        buffer.id = self._count
        buffer.nbytes = memory.nbytes
        buffer.category = category
        buffer.node = 0 if node is None else node.id
        if base is not None:
            base = memory.base
        buffer.told = "reused" if type(base) is Lease and base.reused else "allocated"
        self._alive[key] = buffer
        self._wait(buffer)

    def expect(self, array: Any, category: str) -> Buffer:
        """Know of memory that was alive before anybody looked, and tell nobody."""
        memory = owner(array)
        key = id(memory)
        known = self._alive.get(key)
        if known is not None and known() is memory:
            return known
        buffer = Buffer(memory, self._wait)
        buffer.key = key
        self._count += 1
        buffer.id = self._count
        buffer.nbytes = memory.nbytes
        buffer.category = category
        buffer.node = 0
        buffer.told = ""
        self.nbytes += buffer.nbytes
        self._alive[key] = buffer
        return buffer

    def recategorise(self, array: Any, category: str) -> None:
        """`array`'s memory serves something else from now on."""
        if not bus.buffer:
            return
        memory = owner(array)
        buffer = self._alive.get(id(memory))
        if buffer is not None and buffer.category != category and buffer() is memory:
            buffer.category = category
            self._wait((None, buffer))

    def keep(self, array: Any, node: Node) -> None:
        """`array` is kept for the gradient of `node`."""
        memory = array if array.base is None else owner(array)
        known = self._alive.get(id(memory))
        if known is None or known() is not memory:
            self.track(array, "saved", node)
        elif known.category == "activations":
            known.category = "saved"
            if not known.told:  # else it is told with its beginning
                self._wait((None, known))

    def flush(self, begun: int = 0, ended: int = 0) -> None:
        """Tell what waits. After an op: it began and ended at these times; what was released meanwhile was so by the op,
        and goes on waiting to be told after it."""
        waiting = self.waiting
        if not waiting:
            return
        before = self.mark
        if not ended:
            begun = ended = perf_counter_ns()
            before = len(waiting)
        alive = self._alive
        later: list[Buffer] = []
        changes: list[Change] = []
        try:
            while waiting:
                buffer: Any = waiting.popleft()
                before -= 1
                if type(buffer) is tuple:
                    changes.append(("recategorised", buffer[1], ended))
                elif buffer.told:
                    changes.append((buffer.told, buffer, ended))
                    buffer.told = ""
                    self.nbytes += buffer.nbytes
                elif before < 0:
                    later.append(buffer)
                else:
                    changes.append(("released", buffer, begun))
                    self.nbytes -= buffer.nbytes
                    key: int = buffer.key
                    if alive.get(key) is buffer:
                        del alive[key]
        except IndexError:  # another thread told the last of them
            pass
        if later:
            waiting.extendleft(reversed(later))
            if not changes:
                return
        for sink in bus.buffer:
            try:
                sink("buffer", changes)
            except Exception:  # noqa: BLE001 - a debugger's mistake is no mistake of the program
                bus.failed("buffer", sink)

    def live(self) -> list[Buffer]:
        """The buffers that are alive now, oldest first."""
        known = list(self._alive.values())  # in one go: other threads may add to it
        return sorted((b for b in known if b() is not None), key=lambda b: b.id)


memory = Memory()
