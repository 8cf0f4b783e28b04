"""Which buffers are alive, and for what: told on the bus, only while somebody is subscribed to `buffer` or `fate`.

A buffer is the memory one array owns; views of it are the same buffer. Changes queue up and are told together,
as `(what, Buffer, time)` with `what` "allocated", "reused", "released" or "recategorised": once an op has run, or by
`flush`. A release is seen by a weak reference, which can happen in the middle of anything; the clock is not asked for
each, so a release has the time at which the op after it began.

What an op's own record can say is on its node while `op_finish` is told: `fates` holds three lists of buffers, those
released until the op began, those it made, and those that are saved from now on. It is None where there are none.
"""

from __future__ import annotations

import weakref
from collections import deque
from itertools import count
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

    __slots__ = ("category", "id", "key", "nbytes", "node", "reused", "told")

    id: int
    key: int
    nbytes: int
    category: str
    node: int
    reused: bool  # a parked one was used again
    told: bool  # that it came to life


Change = tuple[str, Buffer, int]


class Memory:
    """The live buffers that were seen since somebody subscribed.

    `waiting` is what is not told yet: a buffer stands there once for its beginning and once for its end, a pair
    of `None` and a buffer for a change of its category.
    """

    __slots__ = ("_alive", "_ids", "_wait", "mark", "nbytes", "waiting")

    def __init__(self) -> None:
        self._alive: dict[int, Buffer] = {}
        self.waiting: deque[Any] = deque()
        self.mark = 0  # of what waits, how much did so when the op that runs began
        self.nbytes = 0  # of all of them together, as far as it was told
        self._ids = count(1)
        self._wait = (
            self.waiting.append
        )  # also called with a buffer whose memory is gone, by its weak reference

    def track(self, array: Any, category: str, node: Node | None = None) -> None:
        """`array` is in use; tell of its memory if it is new."""
        if not bus.buffers:
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
        buffer.id = next(self._ids)
        buffer.nbytes = memory.nbytes
        buffer.category = category
        buffer.node = 0 if node is None else node.id
        if base is not None:
            base = memory.base
        buffer.reused = type(base) is Lease and base.reused
        buffer.told = False
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
        buffer.id = next(self._ids)
        buffer.nbytes = memory.nbytes
        buffer.category = category
        buffer.node = 0
        buffer.reused = False
        buffer.told = True
        self.nbytes += buffer.nbytes
        self._alive[key] = buffer
        return buffer

    def recategorise(self, array: Any, category: str) -> None:
        """`array`'s memory serves something else from now on."""
        if not bus.buffers:
            return
        memory = owner(array)
        buffer = self._alive.get(id(memory))
        if buffer is not None and buffer.category != category and buffer() is memory:
            buffer.category = category
            self._wait((None, buffer))

    def keep(self, array: Any, node: Node) -> None:
        """`array` is kept for the gradient of `node`."""
        buffer = self.kept(array, node)
        if buffer is not None:
            self._wait((None, buffer))

    def kept(self, array: Any, node: Node) -> Buffer | None:
        """The buffer that `keep` found to be kept from now on, and that is to be told."""
        memory = array if array.base is None else owner(array)
        known = self._alive.get(id(memory))
        if known is None or known() is not memory:
            self.track(array, "saved", node)
        elif known.category == "activations":
            known.category = "saved"
            if known.told:  # else it is told with its beginning
                return known
        return None

    def born(self, array: Any, category: str, node: Node) -> Buffer | None:
        """`track` for what `node` has made; the buffer, where it is new, is told by the caller."""
        base = array.base
        memory = array if base is None else owner(array)
        key = id(memory)
        alive = self._alive
        known = alive.get(key)
        if known is not None and known() is memory:
            return None
        # Known once it is whole: a signal handler may raise between any two lines.
        buffer = Buffer(memory, self._wait)
        buffer.key = key
        buffer.id = next(self._ids)
        buffer.nbytes = size = memory.nbytes
        buffer.category = category
        buffer.node = node.id
        buffer.told = True
        buffer.reused = base is not None and type(memory.base) is Lease and memory.base.reused
        self.nbytes += size
        alive[key] = buffer
        return buffer

    def before(self, node: Node) -> list[Buffer] | tuple[()]:
        """An op has run: what was released before it began; what else waits is told. What was released meanwhile was so
        by the op, and goes on waiting to be told after it."""
        waiting = self.waiting
        before = self.mark
        alive = self._alive
        gone: list[Buffer] = []
        later: list[Buffer] = []
        others: list[Change] = []
        try:
            while waiting:
                buffer: Any = waiting.popleft()
                before -= 1
                if type(buffer) is Buffer and buffer.told:
                    if before < 0 or (others and _among(buffer, others)):
                        later.append(buffer)
                        continue
                    gone.append(buffer)
                    self.nbytes -= buffer.nbytes
                    key = buffer.key
                    if alive.get(key) is buffer:
                        alive.pop(key, None)  # another thread may be about to do the same
                elif type(buffer) is Buffer:
                    buffer.told = True
                    self.nbytes += buffer.nbytes
                    others.append(change_of(buffer, node.start))
                else:
                    others.append(("recategorised", buffer[1], node.start))
        except IndexError:  # another thread told the last of them
            pass
        if later:
            waiting.extendleft(reversed(later))
        if others:
            bus.emit("fate", others)
            if bus.buffer:
                bus.emit("buffer", others)
        return gone

    def tell(self, node: Node) -> None:
        """Tell what befell buffers until `node` had run to those who are told of everything."""
        gone, born, kept = node.fates
        ended = node.start + node.duration
        changes: list[Change] = [("released", buffer, node.start) for buffer in gone]
        changes += [change_of(buffer, ended) for buffer in born]
        changes += [("recategorised", buffer, ended) for buffer in kept]
        bus.emit("buffer", changes)

    def flush(self) -> None:
        """Tell what waits."""
        waiting = self.waiting
        if not waiting:
            return
        now = perf_counter_ns()
        alive = self._alive
        changes: list[Change] = []
        try:
            while waiting:
                buffer: Any = waiting.popleft()
                if type(buffer) is tuple:
                    changes.append(("recategorised", buffer[1], now))
                elif not buffer.told:
                    buffer.told = True
                    changes.append(change_of(buffer, now))
                    self.nbytes += buffer.nbytes
                else:
                    changes.append(("released", buffer, now))
                    self.nbytes -= buffer.nbytes
                    key: int = buffer.key
                    if alive.get(key) is buffer:
                        alive.pop(key, None)  # another thread may be about to do the same
        except IndexError:  # another thread told the last of them
            pass
        bus.emit("fate", changes)
        bus.emit("buffer", changes)

    def live(self) -> list[Buffer]:
        """The buffers that are alive now, oldest first."""
        known = list(self._alive.values())  # in one go: other threads may add to it
        return sorted((b for b in known if b() is not None), key=lambda b: b.id)


def change_of(buffer: Buffer, time: int) -> Change:
    """That a buffer came to life."""
    return ("reused" if buffer.reused else "allocated", buffer, time)


def _among(buffer: Buffer, changes: list[Change]) -> bool:
    # By identity: two weak references compare what they refer to.
    return any(buffer is other for _, other, _ in changes)


memory = Memory()
