"""Reading a recording that may come from anywhere and may be damaged: the truth, or a gap, nothing else."""

from __future__ import annotations

import contextlib
import threading
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple, TypeAlias, TypeVar

import msgspec

from dsviz import events
from dsviz.events import AnyEvent
from dsviz.recording import format
from dsviz.recording.format import ArrayRecord, Chunk, End, Link, Links, Meta, Source, Stopped
from dsviz.recording.untrusted import Database, Missing, Row
from dsviz.recording.values import Value, problem, value_key

UNFINISHED = "unfinished"
NodeEvent: TypeAlias = events.Leaf | events.Op | events.Failed
Record = TypeVar("Record")

_UNDECODABLE = (msgspec.MsgspecError, RecursionError, ValueError, MemoryError)
_raws = msgspec.msgpack.Decoder(list[msgspec.Raw])
_walk = msgspec.msgpack.Decoder(msgspec.Raw)
_events = msgspec.msgpack.Decoder(list[AnyEvent])
_MOST_DAMAGE = 10_000  # entries kept in `damage`


class Damage(NamedTuple):
    """Something that should be in the recording and cannot be read."""

    where: str  # table, or "file"
    first: int  # rows of it; 0: no row in particular
    last: int | None
    reason: str

    def __str__(self) -> str:
        if not self.first:
            return f"{self.where}: {self.reason}"
        rows = f"{self.first}" if self.first == self.last else f"{self.first} to {self.last or 'the end'}"
        return f"{self.where} {rows}: {self.reason}"


class Reader:
    """An opened recording. Positions count its events from 0, as they were taken.

    `state` is how the program ended ("finished", "failed", "killed", ...), "unfinished" where the
    recording was never closed, or "damaged" where it broke off for `reason`. `damage` lists what could
    not be read, as far as it was met yet (`verify` looks everywhere); gaps stand in its place.
    Raises RecordingError (a sentence) where the file is not a recording or is one of a newer dsviz.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.damage: list[Damage] = []
        self._known: set[Damage] = set()
        self._lock = threading.RLock()
        self._database = Database(path)
        try:
            self.meta, self.end = self._read_meta()
            if self.meta.protocol > events.VERSION:
                raise format.NewerRecordingError(
                    f"{path} holds events of protocol {self.meta.protocol}; this dsviz knows up to "
                    f"{events.VERSION}: install a newer dsviz to open it."
                )
            self._read_chunks()
        except BaseException:
            self.close()
            raise
        self._cached: tuple[int, list[AnyEvent]] = (0, [])
        self._arrays: dict[bytes, int] | None = None
        self._links: list[tuple[int, int, int]] | None = None
        self._sources: dict[str, int] | None = None

    @property
    def state(self) -> str:
        """How it ended."""
        return self.end.state if self.end else UNFINISHED

    @property
    def reason(self) -> str:
        """Why it ended so, a sentence or ""."""
        return self.end.reason if self.end else "The recording was never closed."

    @property
    def count(self) -> int:
        """Events, those in gaps included."""
        return self._firsts[-1] + self._counts[-1] if self._firsts else 0

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Events

    def events(self, first: int = 0, last: int | None = None) -> Iterator[AnyEvent]:
        """The events at positions `first` to before `last`; one Gap for each run that cannot be read."""
        for _, batch in self.batches(first, last):
            yield from batch

    def batches(self, first: int = 0, last: int | None = None) -> Iterator[tuple[int, list[AnyEvent]]]:
        """The same, a few hundred at a time, each list with the position of its first event."""
        first, end = max(0, first), self.count if last is None else min(last, self.count)
        for index in range(max(0, bisect_right(self._firsts, first) - 1), len(self._firsts)):
            start, count = self._firsts[index], self._counts[index]
            if count and (start >= end or start + count <= first):
                if start >= end:
                    return
                continue
            batch = self._chunk(index) if self._rows[index] else None
            lower, upper = max(first, start), min(end, start + count)
            if batch is not None:
                yield lower, batch[lower - start : upper - start]
            elif count or last is None:
                lost = upper - lower
                what = "events that cannot be read" if count else "events at the end, unknown how many"
                yield lower, [events.Gap(lost, what, self._first_times[index])]

    def find(self, node: int) -> tuple[int, NodeEvent] | None:
        """Position and event of the node's Leaf, Op or Failed record; None where there is none to read."""
        index = bisect_left(self._highest, node)
        while index < len(self._firsts) and self._lowest[index] <= node:
            if self._rows[index] and self._first_nodes[index] <= node <= self._last_nodes[index]:
                for place, event in enumerate(self._chunk(index) or ()):
                    if isinstance(event, (events.Op, events.Leaf, events.Failed)) and event.node == node:
                        return self._firsts[index] + place, event
            index += 1
        return None

    def node(self, node: int) -> NodeEvent | None:
        """The node's Leaf, Op or Failed record; None where there is none to read."""
        found = self.find(node)
        return found[1] if found else None

    def position_at(self, time: int) -> int:
        """The position from where on events are at `time` (nanoseconds) or later, to a few hundred events."""
        index = bisect_left(self._latest, time)
        return self._firsts[index] if index < len(self._firsts) else self.count

    # What stands beside them

    def stops(self) -> Iterator[Stopped]:
        """The stops in order, each with the position it came after."""
        for _, stop in self._records("stops", Stopped):
            yield stop

    def sources(self) -> tuple[str, ...]:
        """The paths of the files whose text is kept."""
        return tuple(self._source_rows())

    def source(self, path: str) -> str | None:
        """The text of a file as the program ran it; None where it is not kept. The disk is never read."""
        number = self._source_rows().get(path)
        source = None if number is None else self._again("sources", number, Source)
        return source.text if source else None

    def value(self, key: bytes) -> Value | None:
        """The array with this key; None where it is not kept (any more) or damaged."""
        number = self._array_rows().get(key)
        about = None if number is None else self._again("arrays", number, ArrayRecord)
        if number is None or about is None:
            return None
        data = self._database.bulk("array_data", number, about.size)
        if data is None or value_key(about.dtype, about.shape, data) != key:
            self._note("array_data", number, number, "an array is missing or does not match its key")
            return None
        return Value(about.dtype, about.shape, data)

    def values(self) -> tuple[bytes, ...]:
        """The keys of all arrays that are kept."""
        return tuple(self._array_rows())

    def values_of(self, node: int) -> list[Link]:
        """The arrays that the node had, in order: name, key and the position they came at.

        A key may be of an array that was dropped to keep the budget; `value` is None then.
        """
        found: list[Link] = []
        for number, first, last in self._link_rows():
            if first <= node <= last:
                links = self._again("links", number, Links)
                found += [link for link in links.links if link.node == node] if links else []
        return found

    def verify(self) -> list[Damage]:
        """Read everything once; all that is damaged."""
        for _ in self.events():
            continue
        for _ in self.stops():
            continue
        for path in self.sources():
            self.source(path)
        for number, _, _ in self._link_rows():
            self._again("links", number, Links)
        for key in self.values():
            self.value(key)
        return self.damage

    # Below: rows to records, chunks to events

    def _expected(self, what: str) -> int | None:
        """How many rows of a table, or events, a finished recording holds; None: not known."""
        return getattr(self.end.counts, what) if self.end else None

    def _records(self, table: str, kind: type[Record]) -> Iterator[tuple[int, Record]]:
        """Row numbers and what stands there; what is damaged is noted and left out."""
        for item in self._database.rows(table, self._expected(table)):
            record = self._record(table, item, kind)
            if record is not None and isinstance(item, Row):
                yield item.number, record

    def _note(self, where: str, first: int, last: int | None, reason: str) -> None:
        damage = Damage(where, first, last, reason)
        with self._lock:
            if damage not in self._known and len(self.damage) < _MOST_DAMAGE:
                self._known.add(damage)
                self.damage.append(damage)

    def _record(self, table: str, item: Row | Missing, kind: type[Record]) -> Record | None:
        if isinstance(item, Missing):
            self._note(table, item.first, item.last, item.reason)
            return None
        record = _decoded(item.record, kind)
        if record is None:
            self._note(table, item.number, item.number, "a record is not as it should be")
        return record

    def _again(self, table: str, number: int, kind: type[Record]) -> Record | None:
        """A record that a scan has met. In a damaged tree the way to one row may be wrong all the same."""
        record = self._database.record(table, number)
        if record is None:
            self._note(table, number, number, "a record cannot be found again")
        return None if record is None else _decoded(record, kind)

    def _read_meta(self) -> tuple[Meta, End | None]:
        meta, end = None, None
        for item in self._database.rows("meta"):
            if isinstance(item, Missing):
                self._note("meta", item.first, item.last, item.reason)
            elif item.number == format.STARTED:
                meta = self._record("meta", item, Meta)
            elif item.number == format.ENDED:
                end = self._record("meta", item, End)
        if meta is None and not self.damage:
            self._note("meta", format.STARTED, format.STARTED, "what was run is missing")
        header = self._database.header
        if header.closed and header.cut:
            self._note("file", 0, None, f"{header.cut} bytes are missing at its end")
        if end is None and header.closed and not self.damage:
            self._note("meta", format.ENDED, format.ENDED, "how it ended is missing")
        return meta or Meta(), end

    def _read_chunks(self) -> None:
        """The table of contents: one entry a chunk, and one with row 0 for each gap."""
        self._firsts, self._counts, self._rows = array("q"), array("q"), array("q")
        self._sizes, self._crcs = array("q"), array("q")
        self._first_nodes, self._last_nodes = array("q"), array("q")
        self._first_times, self._last_times = array("q"), array("q")
        following, time, missing = 0, 0, False
        for item in self._database.rows("chunks", self._expected("chunks")):
            chunk = self._record("chunks", item, Chunk)
            if chunk is None or not isinstance(item, Row):
                missing = True
                continue
            if chunk.first < following:
                self._note("chunks", item.number, item.number, "it overlaps the one before")
                missing = True
                continue
            if chunk.first > following:
                self._entry(following, chunk.first - following, 0, time)
                if not missing:
                    self._note("chunks", item.number, item.number, "events before it are missing")
            missing = False
            self._entry(chunk.first, chunk.count, item.number, time, chunk)
            following, time = chunk.first + chunk.count, max(time, chunk.last_time)
        total = self._expected("events")
        if total is not None and total > following:
            self._entry(following, total - following, 0, time)
            if not missing:
                self._note("chunks", 0, None, "events at the end are missing")
        elif total is None and missing:
            self._entry(following, 0, 0, time)
        # The highest node or time so far and the lowest from here on: both grow, whatever threads did.
        self._highest = array("q", accumulate(self._last_nodes, max))
        self._latest = array("q", accumulate(self._last_times, max))
        none = 1 << 62
        self._lowest = array("q", accumulate((node or none for node in reversed(self._first_nodes)), min))
        self._lowest.reverse()

    def _entry(self, first: int, count: int, row: int, time: int, chunk: Chunk | None = None) -> None:
        self._firsts.append(first)
        self._counts.append(count)
        self._rows.append(row)
        self._sizes.append(chunk.size if chunk else 0)
        self._crcs.append(chunk.crc if chunk else 0)
        self._first_nodes.append(chunk.first_node if chunk else 0)
        self._last_nodes.append(chunk.last_node if chunk else 0)
        self._first_times.append(chunk.first_time if chunk else time)
        self._last_times.append(chunk.last_time if chunk else time)

    def _chunk(self, index: int) -> list[AnyEvent] | None:
        """The events of one chunk; None where they are damaged."""
        number, (cached, batch) = self._rows[index], self._cached
        if number == cached:
            return batch
        data = self._database.bulk("chunk_data", number, self._sizes[index])
        if data is None or zlib.crc32(data) != self._crcs[index]:
            self._note("chunk_data", number, number, "events are missing or do not match their checksum")
            return None
        decoded = self._decode(number, data)
        if decoded is None or len(decoded) != self._counts[index]:
            self._note("chunk_data", number, number, "it does not hold the events it should")
            return None
        self._cached = (number, decoded)
        return decoded

    def _decode(self, number: int, data: bytes) -> list[AnyEvent] | None:
        try:
            # A walk that allocates nothing: an array that declares more than it has is refused here.
            _walk.decode(data)
        except _UNDECODABLE:
            return None
        with contextlib.suppress(*_UNDECODABLE):
            return _events.decode(data)
        try:
            raws = _raws.decode(data)
        except _UNDECODABLE:
            return None
        batch: list[AnyEvent] = []
        for raw in raws[: format.EVENTS_PER_CHUNK + 1]:
            try:
                batch.append(events.decoder.decode(raw))
            except _UNDECODABLE:
                self._note("chunk_data", number, number, "an event is not one of ours")
                batch.append(events.Gap(1, "events that cannot be read", 0))
        return batch

    def _source_rows(self) -> dict[str, int]:
        if self._sources is None:
            found: dict[str, int] = {}
            for number, source in self._records("sources", Source):
                found.setdefault(source.path, number)
            self._sources = found
        return self._sources

    def _array_rows(self) -> dict[bytes, int]:
        if self._arrays is None:
            found: dict[bytes, int] = {}
            for number, about in self._records("arrays", ArrayRecord):
                wrong = problem(about.dtype, about.shape, about.size)
                if wrong:
                    self._note("arrays", number, number, wrong)
                elif not about.dropped:
                    found[about.key] = number
            self._arrays = found
        return self._arrays

    def _link_rows(self) -> list[tuple[int, int, int]]:
        if self._links is None:
            self._links = [
                (number, links.first_node, links.last_node) for number, links in self._records("links", Links)
            ]
        return self._links


def _decoded(record: bytes, kind: type[Record]) -> Record | None:
    try:
        return msgspec.json.decode(record, type=kind)
    except _UNDECODABLE:
        return None
