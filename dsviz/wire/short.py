"""How an op that ran travels in a ring: what is the same each time a line runs is told once, and numbered.

A `Kind` is such a beginning of an `Op`, a `Ran` refers to one and brings the rest, together with the buffers whose
fate was told with it; a `Called` is that of a module's call; a `Seen` is a value that tells its own statistics. Nearly always the rest is a few numbers, and `wire.packed`
says how they travel. Whoever reads a ring makes the events of `dsviz.events` of all that: nobody further on, and no
recording, knows of them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Union

import msgspec
import numpy as np

from dsviz.debuggee.summary import summarize
from dsviz.events import (
    SAVED,
    Allocated,
    AnyEvent,
    Event,
    LoopTurn,
    ModuleEntered,
    ModuleLeft,
    Op,
    Recategorised,
    Released,
    Summary,
    Value,
    encoded,
)
from dsviz.wire.packed import (
    BEGUN,
    ENDED,
    ENTERED,
    LEFT,
    MARK,
    MOST_INPUTS,
    RAN,
    SMALL,
    SMALL_RAN,
    TURN,
    TURNED,
)


class Kind(Event, tag=26):
    """Ops like this one are called `id` from here on, in this ring."""

    id: int
    op: int  # Text
    phase: int
    shape: tuple[int, ...]
    dtype: int  # Text
    frame: int
    nbytes: int
    saved: int
    attrs: dict[str, Any]
    outputs: tuple[tuple[tuple[int, ...], int], ...] = ()


class Ran(Event, tag=27):
    """A node of a kind ran. Before it, the buffers `gone` were released; its output is the new buffer `born`."""

    node: int
    like: int  # Kind
    inputs: tuple[int, ...]
    call: int
    twin: int
    iteration: int
    start: int
    duration: int
    gone: tuple[int, ...] = ()
    born: int = 0  # 8 * the buffer's number + its category; 0: it is told otherwise, or there is none
    attrs: dict[str, Any] | None = None  # where they differ from the kind's
    kept: tuple[int, ...] = ()  # buffers that are saved for its gradient from now on
    made: tuple[int, ...] = ()  # of each new buffer its number << 4 | reused << 3 | category, and its bytes


class Called(Event, tag=28):
    """Calls of a module like this one are called `id` from here on, in this ring."""

    id: int
    path: int  # Text
    cls: int  # Text
    frame: int


class Seen(Event, tag=30):
    """A `Value` whose `Summary` whoever reads it makes, of the same bytes, and tells before it."""

    node: int
    name: str
    dtype: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    data: bytes


class Elsewhere(Event, tag=29):
    """Stands among decoded events for a packed record, which is read otherwise."""


AnyRecord = Union[AnyEvent, Kind, Ran, Called, Seen, Elsewhere]  # noqa: UP007 - msgspec reads it at run time, on Python 3.10 too
_one: msgspec.msgpack.Decoder[AnyRecord] = msgspec.msgpack.Decoder(AnyRecord)
_many: msgspec.msgpack.Decoder[list[AnyRecord]] = msgspec.msgpack.Decoder(list[AnyRecord])
_ELSEWHERE = Elsewhere()
_PLACE = encoded(_ELSEWHERE)
_MARK = bytes([MARK])


class Reading:
    """What one ring's records say, as events. It knows the kinds that were told so far.

    >>> reading = Reading()
    >>> reading.events([encoded(Kind(1, 4, 0, (2, 2), 5, 9, 16, 0, {"dim": 1}))])
    []
    >>> op = reading.events([encoded(Ran(7, 1, (3,), 0, 0, 2, 1000, 50))])[0]
    >>> op.node, op.op, op.shape, op.inputs, op.attrs
    (7, 4, (2, 2), (3,), {'dim': 1})
    """

    def __init__(self) -> None:
        self.kinds: dict[int, Kind] = {}
        self.calls: dict[int, Called] = {}
        self.damaged = False

    def events(self, records: list[bytes]) -> list[AnyEvent]:
        """The events of some records, in order; up to the first that is none, after which this is `damaged`."""
        packed: list[bytes] = []
        try:
            some = _many.decode(_together(records, packed))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            packed.clear()
            some = self._one_by_one(records, packed)
        return self.spelled(some, packed)

    def spelled(self, some: Iterable[Any], packed: Iterable[bytes] = ()) -> list[AnyEvent]:
        """The same events, each abbreviated one in full; where one stands `Elsewhere`, it is the next of `packed`."""
        found: list[AnyEvent] = []
        add = found.append
        records = iter(packed)
        try:
            for event in some:
                kind = type(event)
                if kind is Elsewhere:
                    self._unpack(next(records), add)
                elif kind is Ran:
                    if event.born:
                        made = (event.born >> 3 << 4 | event.born & 7, self.kinds[event.like].nbytes)
                        event.made = (*made, *event.made)
                    self._ran(
                        add, event.node, event.like, event.call, event.twin, event.iteration, event.duration,
                        event.start, event.inputs, event.gone, event.kept, event.made, event.attrs,
                    )  # fmt: skip
                elif kind is Kind:
                    self.kinds[event.id] = event
                elif kind is Called:
                    self.calls[event.id] = event
                elif kind is Seen:
                    summary = statistics(event)
                    if summary is not None:
                        add(summary)
                    add(Value(event.node, event.name, event.dtype, event.shape, event.axes, event.data))
                else:
                    add(event)
        except (
            LookupError,
            StopIteration,
            struct.error,
        ):  # of a kind that was not told, or too short, or too long
            self.damaged = True
        return found

    def _unpack(self, record: bytes, add: Callable[[AnyEvent], None]) -> None:
        what, released, rest = record[1], record[2], record[3]
        if what == SMALL:
            (
                count, node, like, call, twin, iteration, duration, start, a, b, c, gone, also, kept, made
            ) = SMALL_RAN.unpack(record)  # fmt: skip
            inputs = (a, b) if count == 2 else (a,) if count == 1 else (a, b, c)[:count]
            self._ran(
                add, node, like, call, twin, iteration, duration, start, inputs,
                (gone, also) if also else (gone,) if gone else (), (kept,) if kept else (),
                (made, self.kinds[like].nbytes) if made else (), None,
            )  # fmt: skip
        elif what <= MOST_INPUTS:
            saved = what + released
            made = saved + (rest >> 4)
            count = made + 2 * (rest & 15)
            _, _, _, _, node, like, call, twin, iteration, duration, start, *words = RAN[count].unpack(record)
            self._ran(
                add, node, like, call, twin, iteration, duration, start,
                tuple(words[:what]), words[what:saved], words[saved:made], words[made:], None,
            )  # fmt: skip
        elif what == TURN:
            site, frame, index, time = TURNED.unpack(record)
            add(LoopTurn(site, index, time, frame))
        elif what == ENTERED:
            call, parent, like, time = BEGUN.unpack(record)
            module = self.calls[like]
            add(ModuleEntered(call, parent, module.path, module.cls, module.frame, time))
        elif what == LEFT:
            failed, call, time = ENDED.unpack(record)
            add(ModuleLeft(call, time, failed != 0))
        else:
            raise LookupError(what)

    def _ran(
        self, add: Callable[[AnyEvent], None], node: int, like: int, call: int, twin: int, iteration: int, duration: int,
        start: int, inputs: tuple[int, ...], gone: Sequence[int], kept: Sequence[int], made: Sequence[int],
        attrs: dict[str, Any] | None,
    ) -> None:  # fmt: skip
        kind = self.kinds[like]
        for buffer in gone:
            add(Released(buffer, start))
        if made:
            for at in range(0, len(made) - 1, 2):
                buffer = made[at]
                add(
                    Allocated(buffer >> 4, made[at + 1], buffer & 7, node, start + duration, bool(buffer & 8))
                )
        for buffer in kept:
            add(Recategorised(buffer, SAVED, start + duration))
        add(
            Op(
                node, kind.op, kind.phase, inputs, kind.shape, kind.dtype, call, kind.frame, twin, iteration, start,
                duration, kind.nbytes, kind.saved, kind.attrs if attrs is None else attrs, kind.outputs,
            )
        )  # fmt: skip

    def _one_by_one(self, records: list[bytes], packed: list[bytes]) -> list[Any]:
        some: list[Any] = []
        for record in records:
            try:
                if record[:1] == _MARK:
                    packed.append(record)
                    some.append(_ELSEWHERE)
                elif _several(record):
                    some += _many.decode(record)
                else:
                    some.append(_one.decode(record))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                self.damaged = True
                break
        return some


def statistics(event: Seen) -> Summary | None:
    """The statistics of a value, those that the program would have told."""
    try:
        array = np.frombuffer(event.data, np.dtype(event.dtype)).reshape(event.shape)
    except (ValueError, TypeError):  # a value that is none
        return None
    return summarize(event.node, array)


def _several(record: bytes) -> bool:
    """Whether a record is an array of events. An event begins with its tag, a number; several begin with an array."""
    at = {0xDC: 3, 0xDD: 5}.get(record[0], 1) if record else 1
    first = record[at] if len(record) > at else 0
    return 0x90 <= first <= 0x9F or first == 0xDC or first == 0xDD


def _together(records: list[bytes], packed: list[bytes]) -> bytes:
    """One msgpack array of all events: decoded at once they take a third of the time. Packed records are put aside."""
    count, parts = 0, []
    for record in records:
        if not record:
            raise msgspec.DecodeError("an empty record")
        head = record[0]
        if head == MARK:
            packed.append(record)
            record = _PLACE
        first = record[1] if len(record) > 1 else 0
        if (0x90 <= first <= 0x9F or first >= 0xDC or head >= 0xDC) and _several(record):
            if head == 0xDC:
                count += int.from_bytes(record[1:3], "big")
                parts.append(record[3:])
            elif head == 0xDD:
                count += int.from_bytes(record[1:5], "big")
                parts.append(record[5:])
            else:
                count += head & 15
                parts.append(record[1:])
            continue
        count += 1
        parts.append(record)
    return b"\xdd" + count.to_bytes(4, "big") + b"".join(parts)
