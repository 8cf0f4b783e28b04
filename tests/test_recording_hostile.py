"""Recordings made to do harm: refused or read as damage, without code run, memory taken or time lost."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import msgspec
import pytest
from recordings import META, check, op, write

from dsviz import events
from dsviz.recording import Meta, NewerRecordingError, Recording, RecordingError
from dsviz.recording import format as recording_format
from dsviz.recording.format import Chunk, Counts, End, seal

ROOT = Path(__file__).resolve().parents[1]
PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.dsviz"


def edit(path: Path, *statements: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        db.execute(statement)
    db.close()


def put(path: Path, table: str, number: int, record: object, data: bytes | None = None) -> None:
    """Put a row with a right checksum into a recording."""
    encoded = record if isinstance(record, bytes) else msgspec.json.encode(record)
    db = sqlite3.connect(path, isolation_level=None)
    crc = seal(table, number, encoded)
    db.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", (number, encoded, crc))
    if data is not None:
        bulk = "chunk_data" if table == "chunks" else "array_data"
        db.execute(f"INSERT OR REPLACE INTO {bulk} VALUES (?, ?)", (number, data))
    db.close()


def forge(path: Path, count: int, data: bytes) -> None:
    """A recording whose only chunk holds this data, with every checksum right."""
    Recording.create(path, META).close()
    put(path, "meta", recording_format.ENDED, End(state="finished", counts=Counts(events=count, chunks=1)))
    chunk = {"first": 0, "count": count, "first_node": 0, "last_node": 9, "first_time": 0, "last_time": 9}
    put(path, "chunks", 1, {**chunk, "size": len(data), "crc": zlib.crc32(data)}, data)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE extra (x)",
        "CREATE VIEW extra AS SELECT 1",
        "CREATE TRIGGER extra AFTER INSERT ON chunks BEGIN SELECT 1; END",
        "CREATE INDEX extra ON chunks (crc)",
        "ANALYZE",
        "ALTER TABLE chunks ADD COLUMN extra",
        "ALTER TABLE chunks RENAME COLUMN crc TO extra",
        "ALTER TABLE links RENAME TO extra",
        "DROP TABLE links",
        "CREATE VIRTUAL TABLE extra USING fts5(x)",
    ],
)
def test_another_schema_is_refused(path, statement):
    write(path)
    edit(path, statement)
    with pytest.raises(RecordingError, match="not a dsviz recording"):
        Recording.open(path)


def test_a_view_in_a_tables_place_is_refused(path):
    write(path)
    edit(path, "DROP TABLE links", "CREATE VIEW links AS SELECT number, record, crc FROM stops")
    with pytest.raises(RecordingError, match="not a dsviz recording"):
        Recording.open(path)


def test_another_definition_under_the_right_name_is_refused(path):
    write(path)
    definition = (
        "CREATE TABLE links (number INTEGER PRIMARY KEY, record BLOB NOT NULL,"
        " crc INTEGER GENERATED ALWAYS AS (abs(number)))"
    )
    edit(path, "DROP TABLE links", definition)
    with pytest.raises(RecordingError, match="not a dsviz recording"):
        Recording.open(path)


def test_what_is_no_recording_is_refused(path, tmp_path):
    sqlite3.connect(path).close()
    for content in (b"", b"SQLite format 3\0", b"hello", os.urandom(5000)):
        path.write_bytes(content)
        with pytest.raises(RecordingError, match="not a dsviz recording"):
            Recording.open(path)
    path.unlink()
    edit(path, "CREATE TABLE chunks (x)")
    with pytest.raises(RecordingError, match="not a dsviz recording"):
        Recording.open(path)
    with pytest.raises(RecordingError, match="not a file"):
        Recording.open(tmp_path)
    for nothing in (tmp_path / "nothing.dsviz", "a\0b"):
        with pytest.raises(RecordingError, match="cannot be opened"):
            Recording.open(nothing)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes among its files")
def test_a_pipe_is_refused_not_waited_for(path):
    os.mkfifo(path)
    with pytest.raises(RecordingError, match="not a file"):
        Recording.open(path)


def test_another_version_says_what_it_needs(path):
    write(path)
    edit(path, f"PRAGMA user_version = {recording_format.FORMAT + 1}")
    with pytest.raises(
        NewerRecordingError, match=r"format 2; this dsviz reads up to 1: install a newer dsviz"
    ):
        Recording.open(path)
    edit(path, "PRAGMA user_version = 0")
    with pytest.raises(RecordingError, match="format 0, which no dsviz writes"):
        Recording.open(path)


def test_events_of_a_newer_protocol_say_what_they_need(path):
    Recording.create(path, Meta(protocol=events.VERSION + 1)).close()
    with pytest.raises(NewerRecordingError, match="install a newer dsviz"):
        Recording.open(path)


def test_records_with_fields_of_a_later_version_are_read(path):
    expected = write(path)
    db = sqlite3.connect(path, isolation_level=None)
    rows = db.execute("SELECT number, record FROM chunks").fetchall()
    db.close()
    for number, record in rows:
        put(path, "chunks", number, {**json.loads(record), "later": [1]})
    with Recording.open(path) as recording:
        check(recording, expected)
        assert recording.damage == []


@pytest.mark.parametrize(
    "field",
    [
        {"size": 1 << 40}, {"size": -1}, {"count": 1 << 31}, {"count": 0}, {"first": -5}, {"first": 1 << 63},
        {"first": 0}, {"last_node": 1 << 70}, {"size": "10"}, {"crc": None}, {"first_time": 1e30},
    ],
    ids=str,
)  # fmt: skip
def test_a_chunk_record_that_lies_is_damage(path, field):
    expected = write(path)
    db = sqlite3.connect(path)
    record = json.loads(db.execute("SELECT record FROM chunks WHERE number = 3").fetchone()[0])
    db.close()
    put(path, "chunks", 3, {**record, **field})
    with Recording.open(path) as recording:
        check(recording, expected)
        assert sum(isinstance(event, events.Gap) for event in recording.events()) == 1
        assert recording.damage


def test_records_of_every_wrong_shape(path):
    expected = write(path)
    deep = b"[" * 100_000
    for number, record in enumerate(
        (b"", b"null", b"[]", b'{"first":', deep, b'{"a":' * 5000, b"\xff", b"1e999")
    ):
        for table in ("chunks", "sources", "stops", "arrays", "links", "meta"):
            put(path, table, 1, record)
        with Recording.open(path) as recording:
            check(recording, expected)
            assert {damage.where for damage in recording.damage} == set(recording_format.RECORDS), number


def test_a_jump_to_the_end_of_time_is_one_gap(path):
    Recording.create(path, META).close()
    data = events.encoder.encode([op(1)])
    put(path, "chunks", 1, Chunk(1 << 62, 1, 1, 1, 0, 0, len(data), zlib.crc32(data)), data)
    with Recording.open(path) as recording:
        gap, event = recording.events()
        assert (gap.lost, event) == (1 << 62, op(1))


OP_START = b"\x91\xdc\x00\x10\x09\x01\x01\x00\x90\x90" + b"\x01" * 9  # up to its attributes
MANY = 400_000
BOMBS = {
    "list": b"\xdd\x7f\xff\xff\xff",
    "list in an event": b"\x91\x99\x09\x01\x01\x00\xdd\x7f\xff\xff\xff" + b"\x01" * 8,
    "map in an event": OP_START + b"\xdf\x7f\xff\xff\xff\xa1a\x01",
    "text": b"\x91\x93\x01\x01\xdb\x7f\xff\xff\xff" + b"a" * 100,
    "bytes": b"\x91\xc6\x7f\xff\xff\xff" + b"a" * 100,
    "extension": b"\x91\xc9\x7f\xff\xff\xff\x01" + b"a" * 100,
    "deep": b"\x91" * MANY + b"\xc0",
    "deep in attributes": OP_START + b"\x81\xa1a" + b"\x91" * MANY + b"\xc0",
    "lists in lists": b"\x91" + b"\xdc\xff\xff" * (MANY // 3),
    "more events than a chunk has": b"\xdd" + struct.pack(">I", MANY) + b"\x90" * MANY,
    "more bytes than a chunk has": OP_START
    + b"\x81\xa1a\xdb"
    + struct.pack(">I", 5 << 20)
    + b"a" * (5 << 20),
    "not msgpack": b"\xc1" * 1000,
    "a pickle": b"\x80\x04\x95\x00cos\nsystem\n(S'touch owned'\ntR.",
}
# Not wrong, only as large in memory as so many bytes can be.
LARGEST = OP_START + b"\x81\xa1a\xdd" + struct.pack(">I", MANY) + b"\x80" * MANY


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_damage(path, name):
    forge(path, 1, BOMBS[name])
    with Recording.open(path) as recording:
        [gap] = recording.events()
        assert (type(gap), gap.lost) == (events.Gap, 1)
        assert recording.damage
        assert recording.node(1) is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot limit a process's memory from inside")
def test_bombs_take_little_memory(tmp_path):
    for index, bomb in enumerate((*BOMBS.values(), LARGEST)):
        forge(tmp_path / f"{index}.dsviz", 1, bomb)
    code = f"""
    import resource, sys
    sys.path[:0] = {sys.path!r}
    import numpy
    from dsviz.recording import Recording
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for index in range({len(BOMBS) + 1}):
        with Recording.open({str(tmp_path)!r} + f"/{{index}}.dsviz") as recording:
            assert bool(recording.verify()) == (index < {len(BOMBS)}), index
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
    """
    out = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, check=True, timeout=60
    )
    assert int(out.stdout) < 64  # MB


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [
        ("|O", (1,), 8), ("O", (1,), 8), ("<f4", (1 << 31, 1 << 31), 8), ("<f4", (2,), 12),
        ("<f4,<f4", (1,), 8),
        ("<f4", (1,) * 100, 4), ("<U2", (1,), 8), ("<V8", (1,), 8), ("<M8", (1,), 8), ("<f4" * 1000, (2,), 8),
        ("<f3", (1,), 3), ("\ud7ff", (2,), 8),
    ],
    ids=str,
)  # fmt: skip
def test_an_array_that_lies_about_itself_is_damage(path, dtype, shape, size):
    Recording.create(path, META).close()
    data = bytes(size)
    key = hashlib.blake2b(f"{dtype}{shape}".encode() + data, digest_size=16).digest()
    record = {"dtype": dtype, "shape": shape, "size": size}
    put(path, "arrays", 1, recording_format.ArrayRecord(key=key, **record), data)
    with Recording.open(path) as recording:
        assert recording.value(key) is None
        assert recording.damage


def test_an_array_under_anothers_key_is_damage(path):
    Recording.create(path, META).close()
    put(path, "arrays", 1, recording_format.ArrayRecord(b"k" * 16, "<f4", (1,), 4), bytes(4))
    with Recording.open(path) as recording:
        assert recording.values() == (b"k" * 16,)
        assert recording.value(b"k" * 16) is None
        assert [damage.where for damage in recording.damage] == ["array_data"]


@pytest.mark.parametrize("target", ["the root", "one child"])
def test_a_tree_bent_into_a_ring_ends(path, target):
    expected = write(path, nodes=1200, chunk=4)
    db = sqlite3.connect(path)
    roots = [row[0] for row in db.execute("SELECT rootpage FROM sqlite_master WHERE name LIKE 'chunk%'")]
    db.close()
    data = bytearray(path.read_bytes())
    for root in roots:
        start = (root - 1) * PAGE
        cells = int.from_bytes(data[start + 3 : start + 5], "big")
        pointers = [start + struct.unpack_from(">H", data, start + 12 + 2 * i)[0] for i in range(cells)]
        child = root if target == "the root" else struct.unpack_from(">I", data, pointers[0])[0]
        for place in (*pointers, start + 8):
            struct.pack_into(">I", data, place, child)
    path.write_bytes(data)
    with Recording.open(path) as recording:
        check(recording, expected)
        assert recording.damage


def test_more_rows_than_a_reader_takes(path, monkeypatch):
    expected = write(path)
    monkeypatch.setitem(recording_format.MOST_ROWS, "chunks", 3)
    with Recording.open(path) as recording:
        check(recording, expected)
        assert recording.damage


def test_rows_with_numbers_from_nowhere(path):
    expected = write(path)
    db = sqlite3.connect(path, isolation_level=None)
    db.executemany("INSERT INTO chunks VALUES (?, x'00', 1)", [(-5,), (0,), (1 << 62,), (-(1 << 63),)])
    db.close()
    put(path, "chunks", -3, Chunk(0, 1, 1, 1, 0, 0, 1, 1), b"\x90")
    with Recording.open(path) as recording:
        check(recording, expected)
        assert recording.count == len(expected)
        assert recording.damage


def test_opening_writes_nothing_and_leaves_nothing(path):
    write(path)
    before = path.read_bytes(), path.stat().st_mtime_ns
    with Recording.open(path) as recording:
        recording.verify()
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            recording._database._db.execute("DELETE FROM chunks")
        assert os.listdir(path.parent) == ["run.dsviz"]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert os.listdir(path.parent) == ["run.dsviz"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not allow such names")
def test_a_name_is_a_name_not_an_option(tmp_path):
    plain = tmp_path / "run.dsviz"
    expected = write(plain)
    odd = tmp_path / "a?mode=rwc&x=%41#b.dsviz"
    shutil.copy(plain, odd)
    with Recording.open(odd) as recording:
        check(recording, expected)
    with pytest.raises(RecordingError):
        Recording.open("file:memory?mode=memory")


def test_a_journal_beside_it_is_not_played_back(path):
    expected = write(path)
    data = path.read_bytes()
    # A rollback journal that says: page 1 was all zeros, put it back.
    header = struct.pack(">8sIIIII", b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7", 1, 0, len(data) // PAGE, 512, PAGE)
    content = bytes(PAGE)
    journal = header.ljust(512, b"\0") + struct.pack(">I", 1) + content + struct.pack(">I", 0)
    path.with_name("run.dsviz-journal").write_bytes(journal)
    with Recording.open(path) as recording:
        check(recording, expected)
        assert recording.damage == []
    assert path.read_bytes() == data
