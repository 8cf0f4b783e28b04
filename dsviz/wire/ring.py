"""A ring of records in a mapped file: one producer thread writes, the debugger's server reads.

The file outlives its writer, so after a crash or SIGKILL everything written is still there, together
with the breadcrumb: the node that was in flight. There is no lock and no thread; `head` is stored
after the bytes it covers, `tail` after the bytes it frees, each 8 bytes wide and aligned.

Layout: a header of one page, then `capacity` bytes of records. A record is a 4-byte length and that
many bytes, padded to 4, and may wrap around the end. It holds an event, or an array of them.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

MAGIC = b"DSVRING1"
# Of the records: one event each; one or several; with `wire.short`; with `wire.packed`. A writer of ours writes the latest.
VERSIONS = (1, 2, 3, 4)
HEADER = 4096
DEFAULT_CAPACITY = 8 << 20

# Places in the header, counted in 8-byte words; head and tail lie on cache lines of their own.
HEAD, _TAIL, NODE, PLACE = 8, 16, 24, 25
_PREAMBLE = struct.Struct("<8sIIQQ")  # magic, version, pid, thread, capacity

# What is given up first when the reader cannot keep up: never an operation, first a value.
KEEP, SUMMARY, VALUE = 0, 1, 2
_SHARE = (1.0, 0.75, 0.5)  # how full the ring may be for each

PATIENCE = 0.2  # seconds a writer waits for room before it gives up
_NAP = 0.0005


class Breadcrumb(NamedTuple):
    """The node that was started last: its number, its op's and its frame's."""

    node: int
    op: int
    frame: int


class RingWriter:
    """The producer's end. `put` is for one thread only.

    `on_gap(lost)` is asked for the record that tells of `lost` dropped ones once there is room again;
    `on_full()` may say that nobody reads any more (True), so that the writer stops waiting.
    """

    __slots__ = (
        "_bytes", "_end", "_lengths", "_limit", "_lost", "_map", "_on_full", "_on_gap", "_owed", "_words", "capacity",
        "closed", "head", "path", "thread",
    )  # fmt: skip

    def __init__(
        self,
        path: str,
        capacity: int = DEFAULT_CAPACITY,
        thread: int = 0,
        on_gap: Callable[[dict[str, int]], bytes] | None = None,
        on_full: Callable[[], bool] | None = None,
    ) -> None:
        self.path = path
        self.thread = thread
        self.capacity = capacity = capacity & ~7
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _reserve(descriptor, HEADER + capacity)
            self._map = mmap.mmap(descriptor, HEADER + capacity)
        except OSError:
            os.unlink(path)
            raise
        finally:
            os.close(descriptor)
        self._bytes = memoryview(self._map)
        self._words = self._bytes.cast("Q")
        self._lengths = self._bytes.cast("I")
        _PREAMBLE.pack_into(self._map, 0, MAGIC, VERSIONS[-1], os.getpid(), thread, capacity)
        self.head = 0
        self._end = HEADER + capacity
        self._limit = capacity  # head may grow to here before tail must be read again
        self._on_gap = on_gap
        self._on_full = on_full
        self._lost: dict[str, int] = {}
        self._owed: list[bytes] = []
        self.closed = False

    def breadcrumb(self, node: int, op: int, frame: int) -> None:
        """Say which node starts now."""
        words = self._words
        words[NODE] = node
        words[PLACE] = op << 32 | frame

    def put(self, record: bytes, count: int = 1) -> bool:
        """Append `record` of `count` events; waits up to 200 ms for room. False: it was dropped, and is told as a gap."""
        size = len(record)
        # From here to the new head nothing is called: no finaliser and no signal's handler, which may write too, comes between.
        head = self.head
        end = head + (size + 7 & ~3)
        if end > self._limit:
            if not self._room(end, size):
                return self._drop("operations", count)
            head = self.head  # the gap may have been told on the way
            end = head + (size + 7 & ~3)
        place = HEADER + head % self.capacity
        self._lengths[place >> 2] = size
        place += 4
        if place + size <= HEADER + self.capacity:
            self._bytes[place : place + size] = record
        else:
            first = HEADER + self.capacity - place
            self._bytes[place : place + first] = record[:first]
            self._bytes[HEADER : HEADER + size - first] = record[first:]
        self.head = self._words[HEAD] = end
        return True

    def pack(self, pack: Callable[..., None], size: int, *values: int) -> bool:
        """Append a record of `size` bytes, a multiple of 4, that `pack` writes in its place from its size and `values`.

        False: it would wrap around the end, or there may be no room; `put` sees to that. Raises `struct.error` where a
        value does not fit.
        """
        head = self.head
        end = head + size + 4
        place = HEADER + head % self.capacity
        if end > self._limit or place + size + 4 > self._end:
            return False
        self.head = end  # a finaliser or a signal's handler that comes once it is packed writes behind it
        try:
            pack(self._map, place, size, *values)
        except struct.error:
            self.head = head
            raise
        self._words[HEAD] = self.head
        return True

    def put_definition(self, record: bytes) -> bool:
        """Append a record others refer to. Where there is no room it is kept and written once there is."""
        if self.put(record):
            return True
        self._lost["operations"] -= 1
        self._owed.append(record)
        return False

    def put_if_room(self, record: bytes, importance: int, what: str) -> bool:
        """Append `record` only while the ring is not filling up; never waits."""
        if self.closed:
            return False
        used = self.head + (len(record) + 7 & ~3) - self._words[_TAIL]
        allowed = self.capacity * _SHARE[importance]
        # After a loss wait for a good stretch of room, so that gaps are few and long.
        if used > (allowed / 2 if self._lost else allowed):
            return self._drop(what)
        if self._lost and not self.flush_gap():
            return self._drop(what)
        return self.put(record)

    def _room(self, end: int, size: int) -> bool:
        if self.closed or size + 8 > self.capacity // 2:
            return False
        words, capacity = self._words, self.capacity
        # Who waited in vain once does not wait again until a good stretch is free.
        wanted = max(end, self.head + capacity // 4) if self._lost else end
        deadline = time.monotonic() + (0.0 if self._lost else PATIENCE)
        while wanted > words[_TAIL] + capacity:
            if time.monotonic() >= deadline or (self._on_full is not None and self._on_full()):
                return False
            time.sleep(_NAP)
        self._limit = words[_TAIL] + capacity
        return self.flush_gap() and self.head + (size + 7 & ~3) <= self._limit

    def _drop(self, what: str, count: int = 1) -> bool:
        self._lost[what] = self._lost.get(what, 0) + count
        self._limit = -1  # the next record asks for room, and on the way the gap is told
        return False

    @property
    def lost(self) -> int:
        """Events dropped since the last gap was told."""
        return sum(self._lost.values())

    def flush_gap(self) -> bool:
        """Write what is owed, then tell how much is missing, if there is room. True: nothing is owed now."""
        if self.closed:
            return False
        if not self._lost:
            return True
        self._limit = self._words[_TAIL] + self.capacity
        gap = b""
        if any(self._lost.values()) and self._on_gap is not None:
            gap = self._on_gap({what: count for what, count in self._lost.items() if count})
        owed = [*self._owed, gap] if gap else self._owed
        if self.head + sum(len(record) + 8 for record in owed) > self._limit:
            return False
        self._owed, self._lost = [], {}
        for record in owed:
            self.put(record)
        return True

    def close(self, unlink: bool = False) -> None:
        """Let go of the file. What was written stays readable unless `unlink`."""
        if self.closed:
            return
        self.closed = True
        self._limit = -1
        self._words.release()
        self._lengths.release()
        self._bytes.release()
        self._map.close()
        if unlink and os.path.exists(self.path):
            os.unlink(self.path)


class RingReader:
    """The server's end. Everything in the file is checked: its writer may have died at any moment."""

    def __init__(self, path: str) -> None:
        self.path = path
        with open(path, "r+b") as file:
            size = os.fstat(file.fileno()).st_size
            if size < HEADER:
                raise ValueError(f"{path} is no ring: it has {size} bytes")
            self._map = mmap.mmap(file.fileno(), size)
        magic, version, self.pid, self.thread, self.capacity = _PREAMBLE.unpack_from(self._map, 0)
        if magic != MAGIC or version not in VERSIONS or self.capacity + HEADER != size:
            self._map.close()
            raise ValueError(f"{path} is no ring of version {VERSIONS[0]} to {VERSIONS[-1]}")
        self._words = memoryview(self._map).cast("Q")
        self.damaged = False
        self.closed = False

    @property
    def head(self) -> int:
        """Bytes written so far."""
        return int(self._words[HEAD])

    @property
    def waiting(self) -> int:
        """Bytes written and not yet read."""
        return int(self._words[HEAD] - self._words[_TAIL])

    def breadcrumb(self) -> Breadcrumb:
        """The node that started last; all zero before the first."""
        place = self._words[PLACE]
        return Breadcrumb(int(self._words[NODE]), int(place >> 32), int(place & 0xFFFFFFFF))

    def read(self, limit: int = 1 << 20) -> Iterator[bytes]:
        """The records written so far, oldest first, at most about `limit` bytes of them.

        A length that cannot be (a torn write by a dying machine) ends reading for good: `damaged`.
        """
        if self.damaged:
            return
        words, capacity, mapped = self._words, self.capacity, self._map
        tail, head = words[_TAIL], words[HEAD]
        if not 0 <= head - tail <= capacity:
            self.damaged = True
            return
        stop = min(head, tail + limit)
        end = HEADER + capacity
        try:
            while tail < stop:
                place = HEADER + tail % capacity
                size = int.from_bytes(mapped[place : place + 4], "little")
                after = tail + (size + 7 & ~3)
                if after > head:
                    self.damaged = True
                    return
                place += 4
                if place + size <= end:
                    record = mapped[place : place + size]
                else:
                    record = mapped[place:end] + mapped[HEADER : HEADER + size - (end - place)]
                tail = after
                yield record
        finally:
            if not self.closed:
                words[_TAIL] = tail

    def close(self, unlink: bool = True) -> None:
        """Let go of the file, and remove it."""
        if self.closed:
            return
        self.closed = True
        self._words.release()
        self._map.close()
        if unlink:
            with contextlib.suppress(FileNotFoundError):  # a program that lets go removes its rings, too
                os.unlink(self.path)


def _reserve(descriptor: int, size: int) -> None:
    # A sparse file on a full disk would kill the program with SIGBUS at the first write to it.
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.write(descriptor, b"\0" * size)
