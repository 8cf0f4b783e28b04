"""How an op that ran travels in a ring: what is the same each time a line runs is told once, and numbered.

A `Kind` is such a beginning of an `Op`, a `Ran` refers to one and brings the rest, together with the buffers whose
fate was told with it. Whoever reads a ring makes the events of `dsviz.events` of them: nobody further on, and no
recording, knows of either.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Union

import msgspec

from dsviz.events import Allocated, AnyEvent, Event, Op, Released


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


AnyRecord = Union[AnyEvent, Kind, Ran]  # noqa: UP007 - msgspec reads it at run time, on Python 3.10 too
_one: msgspec.msgpack.Decoder[AnyRecord] = msgspec.msgpack.Decoder(AnyRecord)
_many: msgspec.msgpack.Decoder[list[AnyRecord]] = msgspec.msgpack.Decoder(list[AnyRecord])


class Reading:
    """What one ring's records say, as events. It knows the kinds that were told so far.

    >>> from dsviz.events import encoded
    >>> reading = Reading()
    >>> reading.events([encoded(Kind(1, 4, 0, (2, 2), 5, 9, 16, 0, {"dim": 1}))])
    []
    >>> op = reading.events([encoded(Ran(7, 1, (3,), 0, 0, 2, 1000, 50))])[0]
    >>> op.node, op.op, op.shape, op.inputs, op.attrs
    (7, 4, (2, 2), (3,), {'dim': 1})
    """

    def __init__(self) -> None:
        self._kinds: dict[int, Kind] = {}
        self.damaged = False

    def events(self, records: list[bytes]) -> list[AnyEvent]:
        """The events of some records, in order; up to the first that is none, after which this is `damaged`."""
        try:
            some = _many.decode(_together(records))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            some = self._one_by_one(records)
        return self.spelled(some)

    def spelled(self, some: Iterable[Any]) -> list[AnyEvent]:
        """The same events, each abbreviated one in full."""
        found: list[AnyEvent] = []
        add = found.append
        kinds = self._kinds
        for event in some:
            kind = type(event)
            if kind is Ran:
                like = kinds.get(event.like)
                if like is None:
                    self.damaged = True
                    break
                start, node = event.start, event.node
                for buffer in event.gone:
                    add(Released(buffer, start))
                if event.born:
                    add(Allocated(event.born >> 3, like.nbytes, event.born & 7, node, start + event.duration))
                attrs = event.attrs
                add(
                    Op(
                        node, like.op, like.phase, event.inputs, like.shape, like.dtype, event.call, like.frame,
                        event.twin, event.iteration, start, event.duration, like.nbytes, like.saved,
                        like.attrs if attrs is None else attrs, like.outputs,
                    )
                )  # fmt: skip
            elif kind is Kind:
                kinds[event.id] = event
            else:
                add(event)
        return found

    def _one_by_one(self, records: list[bytes]) -> list[Any]:
        some: list[Any] = []
        for record in records:
            try:
                if _several(record):
                    some += _many.decode(record)
                else:
                    some.append(_one.decode(record))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                self.damaged = True
                break
        return some


def _several(record: bytes) -> bool:
    """Whether a record is an array of events. An event begins with its tag, a number; several begin with an array."""
    at = {0xDC: 3, 0xDD: 5}.get(record[0], 1) if record else 1
    first = record[at] if len(record) > at else 0
    return 0x90 <= first <= 0x9F or first == 0xDC or first == 0xDD


def _together(records: list[bytes]) -> bytes:
    """One msgpack array of all events: decoded at once they take a third of the time."""
    count, parts = 0, []
    for record in records:
        if not record:
            raise msgspec.DecodeError("an empty record")
        first = record[1] if len(record) > 1 else 0
        if (0x90 <= first <= 0x9F or first >= 0xDC or record[0] >= 0xDC) and _several(record):
            head = record[0]
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
