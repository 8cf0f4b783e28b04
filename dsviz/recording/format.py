"""What a recording looks like inside: its tables, its records, its limits. README.md says it in prose.

A recording is one SQLite file. Small records are JSON in a `record` column beside a checksum that
covers table, number and record, so that neither a flipped bit nor a row that slipped to another place
is ever taken for the truth. Events are msgpack, a few hundred a row, checked against their record.
"""

from __future__ import annotations

import zlib
from typing import Annotated

import msgspec

from dsviz import events
from dsviz.stop import Stop

SUFFIX = ".dsviz"
APPLICATION_ID = 0x6473765A  # "dsvZ", in SQLite's header
FORMAT = 1  # SQLite's user_version; raised when an older reader could misread the file
OLDEST = 1  # what this reader still reads

RECORDS = ("meta", "chunks", "sources", "stops", "arrays", "links")
BULK = ("chunk_data", "array_data")
SCHEMA = {
    **{
        name: f"CREATE TABLE {name} (number INTEGER PRIMARY KEY, record BLOB NOT NULL, crc INTEGER NOT NULL)"
        for name in RECORDS
    },
    **{name: f"CREATE TABLE {name} (number INTEGER PRIMARY KEY, data BLOB NOT NULL)" for name in BULK},
}

EVENTS_PER_CHUNK = 512
LARGEST_EVENT = 256 << 10  # bytes; what is larger becomes a gap
LARGEST_CHUNK = 512 << 10
LARGEST_RECORD = 1 << 20
LARGEST_SOURCE = 8 << 20
LARGEST_VALUE = 256 << 20
# Rows a reader takes from a table: what it keeps in memory for each is bounded by these.
MOST_ROWS = {
    "meta": 2,
    "chunks": 1 << 20,
    "sources": 1 << 14,
    "stops": 1 << 20,
    "arrays": 1 << 20,
    "links": 1 << 20,
}

STARTED, ENDED = 1, 2  # the rows of `meta`

Natural = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]


class RecordingError(Exception):
    """The recording cannot be made or opened; the text is a sentence for the person."""


class NewerRecordingError(RecordingError):
    """The recording was written by a newer dsviz than this one."""


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """What was run: known when the recording begins. `started` is seconds since 1970."""

    script: str = ""
    args: tuple[str, ...] = ()
    python: str = ""
    version: str = ""  # of dsviz
    protocol: int = events.VERSION
    started: float = 0.0
    platform: str = ""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How much a finished recording holds, so that missing rows at its end are noticed."""

    events: Natural = 0
    chunks: Natural = 0
    sources: Natural = 0
    stops: Natural = 0
    arrays: Natural = 0
    links: Natural = 0


class End(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended. `state` is the program's ("finished", "failed", "killed", ...), or "damaged".

    "damaged" means that the recording itself could not go on, for the `reason` given. `status` is the
    program's exit status, negative for a signal.
    """

    state: str
    status: int | None = None
    reason: str = ""
    ended: float = 0.0
    counts: Counts = Counts()


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """What row `number` of `chunk_data` holds: `count` events, the first at position `first`.

    Nodes and times are the lowest and highest among its events; nodes 0 to 0: it has none.
    """

    first: Natural
    count: Annotated[int, msgspec.Meta(ge=1, le=EVENTS_PER_CHUNK)]
    first_node: Natural
    last_node: Natural
    first_time: Natural
    last_time: Natural
    size: Annotated[int, msgspec.Meta(ge=1, le=LARGEST_CHUNK)]
    crc: Natural


class Source(msgspec.Struct, frozen=True):
    """The text of a file as it was when the program ran."""

    path: str
    text: str


class Stopped(msgspec.Struct, frozen=True):
    """A stop, after the events before `position`."""

    position: Natural
    stop: Stop


class ArrayRecord(msgspec.Struct, frozen=True):
    """An array whose bytes are in `array_data`, unless they were `dropped` to keep the budget."""

    key: bytes
    dtype: str
    shape: tuple[Natural, ...]
    size: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_VALUE)]
    dropped: bool = False


class Link(msgspec.Struct, frozen=True, array_like=True):
    """`node` had the array `key` under this `name`, after the events before `position`."""

    node: Natural
    name: str
    key: bytes
    position: Natural


class Links(msgspec.Struct, frozen=True):
    """A few hundred links and the lowest and highest node among them."""

    first_node: Natural
    last_node: Natural
    links: tuple[Link, ...]


def seal(table: str, number: int, record: bytes) -> int:
    """The checksum that stands beside a record."""
    return zlib.crc32(record, zlib.crc32(f"{table}:{number}:".encode()))
