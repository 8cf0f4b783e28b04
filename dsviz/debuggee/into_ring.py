"""Where one thread's events go while a session looks: into its ring."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

from dsviz import events
from dsviz.debuggee.outlets import CATEGORY, NOBODY, Alike, Fates, numbered, ran_event
from dsviz.wire.packed import (
    ENTERED,
    ENTERED_SIZE,
    FIXED,
    LEFT,
    LEFT_SIZE,
    MARK,
    MOST_INPUTS,
    MOST_WORDS,
    SMALL,
    SMALL_SIZE,
    TURN,
    TURN_SIZE,
    pack_entered,
    pack_left,
    pack_ran,
    pack_small,
    pack_turn,
)
from dsviz.wire.ring import HEAD, HEADER, KEEP, SUMMARY, VALUE, RingWriter
from dsviz.wire.short import Called

MOST = 256  # events that go into one record
IMPORTANCE = {"summaries": SUMMARY, "values": VALUE, "output": VALUE, "operations": KEEP}
# With their length before them.
_SMALL_WHOLE, _ENTERED_WHOLE, _LEFT_WHOLE = SMALL_SIZE + 4, ENTERED_SIZE + 4, LEFT_SIZE + 4
_SMALL, _TURN, _ENTERED, _LEFT = (MARK | what << 8 for what in (SMALL, TURN, ENTERED, LEFT))


class RingOutlet:
    """Where one thread's events go: encoded, into its ring. Those that may wait go together with the next one."""

    __slots__ = ("_encode", "_pack", "_put", "_waiting", "later", "ring", "summarizes", "words")

    def __init__(self, ring: RingWriter) -> None:
        self.ring = ring
        self._encode = events.encoded
        self._put = ring.put
        self._pack = ring.pack
        self._waiting: list[events.Event] = []
        self.later = self._waiting.append
        self.words = ring._words
        self.summarizes = True

    def ran(
        self, node: int, like: Alike, call: int, twin: int, iteration: int, duration: int, start: int,
        inputs: tuple[int, ...], fates: Fates,
    ) -> None:  # fmt: skip
        """What there is to say of a node of a known kind, packed where it fits."""
        if self._waiting:
            self.flush()
        count = len(inputs)
        if count == 2:
            first, second = inputs
            third = 0
        elif count == 1:
            (first,) = inputs
            second = third = 0
        elif count == 3:
            first, second, third = inputs
        else:
            self._at_length(node, like, call, twin, iteration, duration, start, inputs, fates)
            return
        if fates is None:
            gone = also = saved = made = 0
        else:
            released, born, kept = fates
            if (
                len(released) > 2
                or len(born) > 1
                or len(kept) > 1
                or (born and born[0].nbytes != like.nbytes)
            ):
                self._at_length(node, like, call, twin, iteration, duration, start, inputs, fates)
                return
            if born:
                buffer = born[0]
                made = buffer.id << 4 | buffer.reused << 3 | CATEGORY[buffer.category]
            else:
                made = 0
            gone = released[0].id if released else 0
            also = released[1].id if len(released) == 2 else 0
            saved = kept[0].id if kept else 0
        # What `RingWriter.pack` does: that takes twice as long, and this runs with every op.
        ring = self.ring
        head = ring.head
        end = head + _SMALL_WHOLE
        place = HEADER + head % ring.capacity
        if end <= ring._limit and place + _SMALL_WHOLE <= ring._end:
            ring.head = end
            try:
                pack_small(
                    ring._map, place, SMALL_SIZE, _SMALL | count << 16, node, like.number, call, twin, iteration,
                    duration, start, first, second, third, gone, also, saved, made,
                )  # fmt: skip
            except struct.error:  # after four thousand million nodes, or four seconds in one
                ring.head = head
            else:
                ring._words[HEAD] = ring.head
                return
        self.event(ran_event(node, like, call, twin, iteration, duration, start, inputs, fates))

    def _at_length(
        self, node: int, like: Alike, call: int, twin: int, iteration: int, duration: int, start: int,
        inputs: tuple[int, ...], fates: Fates,
    ) -> None:  # fmt: skip
        """The same, of one with more inputs, or with more that befell buffers."""
        released, born, kept = fates or ((), (), ())
        words = [*inputs, *[buffer.id for buffer in released], *[buffer.id for buffer in kept]]
        for buffer in born:
            words += (numbered(buffer), buffer.nbytes)
        count = len(words)
        # As many as their places can count.
        if count <= MOST_WORDS and len(inputs) <= MOST_INPUTS and len(kept) < 16 and len(born) < 16:
            head = MARK | len(inputs) << 8 | len(released) << 16 | len(born) << 24 | len(kept) << 28
            size = FIXED + 4 * count
            with contextlib.suppress(struct.error):
                if self._pack(
                    pack_ran[count], size, head, node, like.number, call, twin, iteration, duration, start, *words
                ):  # fmt: skip
                    return
        self.event(ran_event(node, like, call, twin, iteration, duration, start, inputs, fates))

    def turn(self, site: int, frame: int, index: int, time: int) -> None:
        """A turn of a loop."""
        if self._waiting:
            self.flush()
        with contextlib.suppress(struct.error):
            if self._pack(pack_turn, TURN_SIZE, _TURN, site, frame, index, time):
                return
        self.event(events.LoopTurn(site, index, time, frame))

    def entered(self, call: int, parent: int, like: Called, time: int) -> None:
        """A module's call of a known kind."""
        if self._waiting:
            self.flush()
        ring = self.ring
        head = ring.head
        end = head + _ENTERED_WHOLE
        place = HEADER + head % ring.capacity
        if end <= ring._limit and place + _ENTERED_WHOLE <= ring._end:
            ring.head = end  # a signal's handler that comes once it is packed writes behind it
            try:
                pack_entered(ring._map, place, ENTERED_SIZE, _ENTERED, call, parent, like.id, time)
            except struct.error:
                ring.head = head
            else:
                ring._words[HEAD] = ring.head
                return
        self.event(events.ModuleEntered(call, parent, like.path, like.cls, like.frame, time))

    def left(self, call: int, failed: bool, time: int) -> None:
        """The end of a module's call."""
        if self._waiting:
            self.flush()
        ring = self.ring
        head = ring.head
        end = head + _LEFT_WHOLE
        place = HEADER + head % ring.capacity
        if end <= ring._limit and place + _LEFT_WHOLE <= ring._end:
            ring.head = end  # a signal's handler that comes once it is packed writes behind it
            try:
                pack_left(ring._map, place, LEFT_SIZE, _LEFT | failed << 16, call, time)
            except struct.error:
                ring.head = head
            else:
                ring._words[HEAD] = ring.head
                return
        self.event(events.ModuleLeft(call, time, failed))

    def event(self, event: events.Event) -> None:
        """An operation's event: waits for room, and is missed only with a recorded gap."""
        waiting = self._waiting
        if not waiting:
            self._put(self._encode(event))
            return
        waiting.append(event)
        if len(waiting) > MOST:
            self.flush()
            return
        record, count = self._encode(waiting), len(waiting)
        waiting.clear()
        self._put(record, count)

    def flush(self) -> None:
        """Write what waits."""
        waiting = self._waiting[:]
        self._waiting.clear()
        for at in range(0, len(waiting), MOST):
            part = waiting[at : at + MOST]
            self._put(self._encode(part), len(part))

    def definition(self, event: events.Event) -> None:
        """A Text, Frame, Site or Thread that later events refer to: never lost."""
        self.ring.put_definition(self._encode(event))

    def extra(self, event: events.Event, what: str) -> bool:
        """A summary, value or output: given up first when the reader is slow. False: it was."""
        return self.ring.put_if_room(self._encode(event), IMPORTANCE[what], what)


class NoOutlet:
    """What a thread has whose ring the disk has no room for: its events are counted as missing."""

    def __init__(self) -> None:
        self.lost = 0
        self.words = NOBODY
        self.summarizes = False

    def event(self, event: events.Event) -> None:
        """An operation's event."""
        self.lost += 1

    later = definition = event

    def ran(self, *what: Any) -> None:
        """Any event that would be packed."""
        self.lost += 1

    turn = entered = left = ran

    def extra(self, event: events.Event, what: str) -> bool:
        """A summary, value or output."""
        self.lost += 1
        return False
