"""Writing a recording while a program runs, without ever getting in the program's way."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from dsviz import events
from dsviz.recording import format
from dsviz.recording.format import Chunk, Counts, End, Link, Links, Meta, RecordingError
from dsviz.recording.values import Budget, problem, value_key
from dsviz.stop import Stop

RECORDING, DAMAGED = "recording", "damaged"
DEFAULT_BUDGET = 256 << 20
PENDING_BYTES = 4 << 20  # of arrays that wait to be written
MOST_LINKS = 512

_FAULTS = (sqlite3.Error, OSError, MemoryError)
_UNENCODABLE = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)
_OP, _LEAF, _FAILED = events.Op, events.Leaf, events.Failed
_TIMED = frozenset((
    events.Branch, events.LoopTurn, events.ModuleEntered, events.ModuleLeft, events.Failed, events.Allocated,
    events.Recategorised, events.Released, events.Iteration, events.Level, events.Output, events.Uncaught,
    events.Gap,
))  # fmt: skip
_json = msgspec.json.Encoder(enc_hook=str)


class Writer:
    """A recording that is being made. Every method may be called from any thread, and none raises.

    When the disk is full or broken the recording ends there: `state` becomes "damaged", `reason` says
    why in a sentence, `lost` counts the events that came too late, and what was written stays readable.
    """

    def __init__(
        self,
        path: str,
        meta: Meta,
        *,
        budget: int = DEFAULT_BUDGET,
        most: int | None = None,
        on_damage: Callable[[str], None] | None = None,
    ) -> None:
        self.path = path
        self._most = most  # bytes of events; None: as many as the disk holds
        self._bytes = 0
        self.state = RECORDING
        self.reason = ""
        self.position = 0  # events taken so far
        self.lost = 0
        self._on_damage = on_damage
        self._lock = threading.RLock()
        self._budget = Budget(budget)
        self._buffer: list[events.AnyEvent] = []
        self._rows: list[tuple[str, int, bytes, bytes | None]] = []  # table, number, record, bulk
        self._dropped: list[tuple[int, bytes]] = []
        self._pending = 0
        self._links: list[Link] = []
        self._paths: set[str] = set()
        self._arrays: dict[int, format.ArrayRecord] = {}
        self._numbers = dict.fromkeys(format.RECORDS, 0)  # last row taken in each table
        self._events = 0  # in chunks, written or waiting
        self._written = Counts()
        self._time = 0
        self._db = _create(path, _record(meta, Meta(version=meta.version, started=meta.started)))

    def append(self, event: events.AnyEvent | bytes) -> None:
        """Take one event, or its msgpack bytes as they came over the wire."""
        if isinstance(event, (bytes, bytearray, memoryview)):
            try:
                event = events.decoder.decode(event)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                event = self._gap("unreadable events")
        self.extend((event,))

    def extend(self, some: Iterable[events.AnyEvent]) -> None:
        """Take events in order."""
        with self._lock:
            taken = len(self._buffer)
            self._buffer.extend(some)
            taken = len(self._buffer) - taken
            if self.state != RECORDING:
                self.lost += taken
                self._buffer.clear()
                return
            self.position += taken
            if len(self._buffer) >= format.EVENTS_PER_CHUNK:
                self._write(partly=True)

    def append_stop(self, stop: Stop) -> None:
        """The program stopped here; everything up to now is written."""
        with self._lock:
            if self.state != RECORDING:
                return
            if self._full("stops"):
                self._write()
                return
            small = dataclasses.replace(
                stop, text=stop.text[:1000], pending={}, error=None, modules=(), frames=()
            )
            record = _record(format.Stopped(self.position, stop), format.Stopped(self.position, small))
            self._add("stops", record)
            self._write()

    def add_source(self, path: str, text: str) -> None:
        """Keep a file's text, once per path: an opened recording shows this and never reads the disk."""
        with self._lock:
            if self.state != RECORDING or path in self._paths or self._full("sources"):
                return
            self._paths.add(path)
            try:
                record = _encoded(format.Source(path, text))
            except _UNENCODABLE:
                return
            if len(record) <= format.LARGEST_SOURCE:
                self._add("sources", record)

    def append_value(
        self,
        dtype: str,
        shape: tuple[int, ...],
        data: bytes | memoryview,
        *,
        node: int = 0,
        name: str = "output",
        key: bytes | None = None,
        pin: bool = False,
    ) -> bytes | None:
        """Keep an array's bytes (C order) once, and that `node` has it under `name` (node 0: nobody's).

        Returns its key, or None where it is not kept: no plain numbers, or larger than the budget leaves.
        Pinned arrays are never pushed out by later ones. `key` saves hashing where it is known.
        """
        with self._lock:
            size = memoryview(data).nbytes
            if self.state != RECORDING or size > format.LARGEST_VALUE or problem(dtype, tuple(shape), size):
                return None
            key = value_key(dtype, tuple(shape), data) if key is None else key
            if key in self._budget:
                self._budget.touch(key, pin)
            elif not self._add_array(key, dtype, tuple(shape), bytes(data), pin):
                return None
            if node and not self._full("links"):
                self._links.append(Link(node, str(events.cleaned(name)), key, self.position))
            if self._pending > PENDING_BYTES or len(self._links) >= MOST_LINKS:
                self._write()
            return key

    def flush(self) -> None:
        """Write what waits: after this, killing the process loses nothing taken before."""
        with self._lock:
            if self.state == RECORDING:
                self._write()

    def resize(self, budget: int) -> None:
        """Keep at most `budget` bytes of arrays from here on."""
        with self._lock:
            self._budget.resize(budget)

    def close(self, state: str = "finished", status: int | None = None, reason: str = "") -> None:
        """The program ended in this state: write what waits and leave one plain file."""
        with self._lock:
            self.flush()
            if self.state == RECORDING:
                self.state, self.reason = state, reason
                counts = self._written
                self._finish(End(state=state, status=status, reason=reason, ended=time.time(), counts=counts))

    # Everything below runs under the lock

    def _add(self, table: str, record: bytes, bulk: bytes | None = None) -> int:
        self._numbers[table] += 1
        self._rows.append((table, self._numbers[table], record, bulk))
        return self._numbers[table]

    def _full(self, table: str) -> bool:
        return self._numbers[table] >= format.MOST_ROWS[table]

    def _add_array(self, key: bytes, dtype: str, shape: tuple[int, ...], data: bytes, pin: bool) -> bool:
        if self._full("arrays"):
            return False
        out = self._budget.add(key, self._numbers["arrays"] + 1, len(data), pin)
        if out is None:
            return False
        self._dropped += out
        record = format.ArrayRecord(key, dtype, shape, len(data))
        self._arrays[self._add("arrays", _json.encode(record), data)] = record
        self._pending += len(data)
        return True

    def _gap(self, what: str) -> events.Gap:
        return events.Gap(1, what, self._time)

    def _write(self, partly: bool = False) -> None:
        """Write all that waits; `partly` leaves the events that fill no chunk."""
        size = format.EVENTS_PER_CHUNK
        whole = len(self._buffer) // size * size if partly else len(self._buffer)
        for start in range(0, whole, size):
            self._chunk(self._buffer[start : min(start + size, whole)])
        del self._buffer[:whole]
        if self._links:
            nodes = [link.node for link in self._links]
            self._add("links", _json.encode(Links(min(nodes), max(nodes), tuple(self._links))))
            self._links.clear()
        if not self._rows and not self._dropped:
            return
        if self._full("chunks"):
            self._fail(RecordingError("one recording holds no more"))
            return
        if self._most is not None and self._bytes > self._most:
            self._fail(RecordingError(f"it may take {self._most >> 20} MB and has taken them"))
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for table, number, record, bulk in self._rows:
                _insert(self._db, table, number, record)
                if bulk is not None:
                    name = "chunk_data" if table == "chunks" else "array_data"
                    self._db.execute(f"INSERT INTO {name} VALUES (?, ?)", (number, bulk))
            for number, _ in self._dropped:
                self._drop(number)
            self._db.execute("COMMIT")
        except _FAULTS as error:
            self._fail(error)
            return
        self._rows.clear()
        self._dropped.clear()
        self._pending = 0
        numbers = {name: self._numbers[name] for name in format.RECORDS if name != "meta"}
        self._written = Counts(events=self._events, **numbers)

    def _drop(self, number: int) -> None:
        record = msgspec.structs.replace(self._arrays.pop(number), dropped=True)
        encoded = _json.encode(record)
        crc = format.seal("arrays", number, encoded)
        self._db.execute("UPDATE arrays SET record = ?, crc = ? WHERE number = ?", (encoded, crc, number))
        self._db.execute("DELETE FROM array_data WHERE number = ?", (number,))

    def _chunk(self, some: list[Any]) -> None:
        data = self._encoded(some)
        if len(data) > format.LARGEST_CHUNK:
            middle = len(some) // 2
            self._chunk(some[:middle])
            self._chunk(some[middle:])
            return
        nodes: list[int] = []
        times: list[int] = []
        for event in some:
            kind = type(event)
            if kind is _OP:
                nodes.append(event.node)
                times.append(event.start)
            elif kind in _TIMED:
                times.append(event.time)
                if kind is _FAILED:
                    nodes.append(event.node)
            elif kind is _LEAF:
                nodes.append(event.node)
        nodes = nodes or [0]
        first, self._time = (max(0, min(times)), max(0, max(times))) if times else (self._time, self._time)
        chunk = Chunk(
            self._events, len(some), min(nodes), max(nodes), first, self._time, len(data), zlib.crc32(data)
        )
        self._add("chunks", _json.encode(chunk), data)
        self._bytes += len(data)
        self._events += len(some)

    def _encoded(self, some: list[events.AnyEvent]) -> bytes:
        with contextlib.suppress(*_UNENCODABLE):
            data = events.encoder.encode(some)
            if len(data) <= format.LARGEST_EVENT:
                return data
        # One of them is large, or has a string or number that msgpack cannot hold.
        for index, event in enumerate(some):
            some[index] = self._keepable(event)
        return events.encoder.encode(some)

    def _keepable(self, event: events.AnyEvent) -> events.AnyEvent:
        """`event`, or what of it can be written: without lone surrogates, or a gap in its place."""
        for prepare in (_as_is, _cleaned_event):
            with contextlib.suppress(*_UNENCODABLE):
                candidate = prepare(event)
                small = len(events.encoder.encode(candidate)) <= format.LARGEST_EVENT
                return candidate if small else self._gap("events too large to keep")
        return self._gap("events that cannot be written")

    def _fail(self, error: BaseException) -> None:
        with contextlib.suppress(*_FAULTS):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        self.lost += self.position - self._written.events
        self.position = self._written.events
        self.state = DAMAGED
        self.reason = f"The recording ends after {self._written.events} events: {error}{self._gone()}."
        self._buffer.clear()
        self._rows.clear()
        self._links.clear()
        self._finish(End(state=DAMAGED, reason=self.reason, ended=time.time(), counts=self._written))
        if self._on_damage is not None:
            self._on_damage(self.reason)

    def _gone(self) -> str:
        return "" if os.path.exists(self.path) else f"; {self.path} was removed or moved meanwhile"

    def _finish(self, end: End) -> None:
        try:
            _insert(self._db, "meta", format.ENDED, _record(end, End(state=end.state, counts=end.counts)))
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._db.execute("PRAGMA journal_mode=DELETE").fetchall()
        except _FAULTS as error:
            # Whatever could be written stays readable together with its -wal file.
            if self.state != DAMAGED:
                self.state = DAMAGED
                self.reason = f"The recording could not be closed: {error}{self._gone()}."
        finally:
            with contextlib.suppress(*_FAULTS):
                self._db.close()


def _create(path: str, meta: bytes) -> sqlite3.Connection:
    try:
        # What a program computed is its owner's business: nobody else may read the file.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        raise RecordingError(f"{path} exists already: choose another name for the recording.") from None
    except (OSError, ValueError) as error:
        raise RecordingError(f"The recording {path} cannot be made: {error}.") from None
    try:
        db = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
        db.execute(f"PRAGMA application_id={format.APPLICATION_ID}")
        db.execute(f"PRAGMA user_version={format.FORMAT}")
        db.execute("BEGIN")
        for statement in format.SCHEMA.values():
            db.execute(statement)
        _insert(db, "meta", format.STARTED, meta)
        db.execute("COMMIT")
        # Only now: page 1 is whole in the file itself, and its header can be checked without SQLite.
        db.execute("PRAGMA journal_mode=WAL").fetchall()
        db.execute("PRAGMA synchronous=NORMAL")
    except _FAULTS as error:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise RecordingError(f"The recording {path} cannot be made: {error}.") from None
    return db


def _insert(db: sqlite3.Connection, table: str, number: int, record: bytes) -> None:
    row = (number, record, format.seal(table, number, record))
    db.execute(f"INSERT INTO {table} VALUES (?, ?, ?)", row)


def _encoded(record: Any) -> bytes:
    try:
        return _json.encode(record)
    except UnicodeEncodeError:
        return _json.encode(events.cleaned(msgspec.to_builtins(record, enc_hook=str)))


def _record(record: Any, instead: Any) -> bytes:
    """`record` as JSON; `instead`, which is small and plain, where that is impossible or too large."""
    with contextlib.suppress(*_UNENCODABLE):
        data = _encoded(record)
        if len(data) <= format.LARGEST_RECORD:
            return data
    return _encoded(instead)


def _as_is(event: events.AnyEvent) -> events.AnyEvent:
    return event


def _cleaned_event(event: events.AnyEvent) -> events.AnyEvent:
    fields: list[Any] = [events.cleaned(value) for value in msgspec.structs.astuple(event)]
    return type(event)(*fields)
