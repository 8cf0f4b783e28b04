"""A recording cut anywhere, or with any bit flipped: an exact prefix or a reported gap, never a wrong event.

The suite samples; `python tests/benchmarks/recording_damage.py` tries every byte and every bit.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from recordings import check, op, write

from dsviz import events
from dsviz.recording import Meta, Recording, RecordingError

CUT_STRIDE, FLIP_STRIDE = 211, 1201  # prime to bytes and pages: every kind of place is met


def outcome(path: Path, expected: list[events.AnyEvent]) -> str:
    """How a damaged file reads; raises AssertionError where it lies."""
    try:
        recording = Recording.open(path)
    except RecordingError:
        return "refused"
    with recording:
        check(recording, expected)
        return "damage reported" if recording.damage else recording.state


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("finished") / "run.dsviz"
    return path, write(path)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """As after SIGKILL: the last rows are in the log beside the file."""
    source = tmp_path_factory.mktemp("running") / "run.dsviz"
    folder = tmp_path_factory.mktemp("killed")

    def copy() -> None:
        for name in ("run.dsviz", "run.dsviz-wal"):
            shutil.copy(source.with_name(name), folder / name)

    return folder / "run.dsviz", write(source, before_close=copy)


def places(size: int, stride: int, tail: int) -> list[int]:
    """Every byte of the end, and every so many-th of the rest."""
    return [*range(0, size - tail, stride), *range(max(0, size - tail), size)]


def test_cut_anywhere(finished, tmp_path):
    path, expected = finished
    data, cut = path.read_bytes(), tmp_path / "cut.dsviz"
    for size in places(len(data), CUT_STRIDE, 64):
        cut.write_bytes(data[:size])
        # Without its first page nothing can be known; with it, what is there is read.
        assert outcome(cut, expected) == ("refused" if size < 4096 else "damage reported"), size


def test_most_of_a_file_that_was_cut_short_is_read(tmp_path):
    path = tmp_path / "run.dsviz"
    expected = write(path, nodes=5000, chunk=512)
    os.truncate(path, path.stat().st_size * 3 // 4)
    with Recording.open(path) as recording:
        read = sum(not isinstance(event, events.Gap) for event in recording.events())
        assert len(expected) * 0.6 < read < len(expected) * 0.8
        assert any("bytes are missing at its end" in str(damage) for damage in recording.damage)


def test_any_bit_flipped(finished, tmp_path):
    path, expected = finished
    data, flipped = path.read_bytes(), tmp_path / "flipped.dsviz"
    outcomes = set()
    # The first bytes of a page say what the rest of it is: a bit there does the most harm.
    heads = [page * 8 + bit for page in range(4096, len(data), 4096) for bit in range(12 * 8)]
    for bit in (*range(0, len(data) * 8, FLIP_STRIDE), *heads):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        flipped.write_bytes(changed)
        outcomes.add(outcome(flipped, expected))
    # Bits that nothing uses change nothing; none makes a finished recording look like a shorter one.
    assert outcomes <= {"refused", "damage reported", "finished"}
    assert "damage reported" in outcomes


def test_a_killed_one_with_its_log_cut_or_flipped(killed, tmp_path):
    path, expected = killed
    log = path.with_name("run.dsviz-wal").read_bytes()
    shutil.copy(path, tmp_path / "run.dsviz")
    for size in range(0, len(log), 2003):
        changed = bytearray(log)
        changed[size] ^= 4
        for damaged in (log[:size], changed):
            (tmp_path / "run.dsviz-wal").write_bytes(damaged)
            assert outcome(tmp_path / "run.dsviz", expected) in ("unfinished", "damage reported", "refused")
            (tmp_path / "run.dsviz-shm").unlink(missing_ok=True)


def edited(path: Path, tmp_path: Path, *statements: str) -> Path:
    """A copy of the recording with something done to it that SQLite itself finds in order."""
    copy = tmp_path / "edited.dsviz"
    shutil.copy(path, copy)
    db = sqlite3.connect(copy, isolation_level=None)
    for statement in statements:
        db.execute(statement)
    db.close()
    return copy


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM chunks WHERE number = 3",
        "UPDATE chunks SET crc = crc + 1 WHERE number = 3",
        "UPDATE chunks SET number = 1000 WHERE number = 3",
        "UPDATE chunks SET record = replace(record, '20', '21') WHERE number = 3",
        "UPDATE chunks SET record = CAST(record AS TEXT) WHERE number = 3",
        "UPDATE chunks SET record = zeroblob(50000000) WHERE number = 3",
        "DELETE FROM chunk_data WHERE number = 3",
        "UPDATE chunk_data SET data = substr(data, 2) WHERE number = 3",
        "UPDATE chunk_data SET data = data || x'00' WHERE number = 3",
        "UPDATE chunk_data SET data = zeroblob(length(data)) WHERE number = 3",
        "UPDATE chunk_data SET data = zeroblob(50000000) WHERE number = 3",
        "UPDATE chunk_data SET data = 7 WHERE number = 3",
        "UPDATE chunk_data SET data = (SELECT data FROM chunk_data WHERE number = 4) WHERE number = 3",
    ],
)
def test_a_lost_chunk_is_a_gap_in_its_place(finished, tmp_path, statement):
    path, expected = finished
    with Recording.open(edited(path, tmp_path, statement)) as recording:
        found = list(recording.events())
        [(place, gap)] = [(place, e) for place, e in enumerate(found) if isinstance(e, events.Gap)]
        assert (place, gap.lost) == (40, 20)
        assert found[:40] == expected[:40]
        assert found[41:] == expected[60:]
        assert recording.count == len(expected)
        assert list(recording.events(45, 65)) == [events.Gap(15, gap.what, gap.time), *expected[60:65]]
        assert recording.node(25) is None
        assert recording.node(50) is not None
        assert recording.damage
        check(recording, expected)


@pytest.mark.parametrize(
    ("statement", "count"),
    [("DELETE FROM chunks WHERE number > 4", 80), ("DELETE FROM chunk_data WHERE number > 4", 80)],
)
def test_a_lost_end_is_a_gap_too(finished, tmp_path, statement, count):
    path, expected = finished
    with Recording.open(edited(path, tmp_path, statement)) as recording:
        found = list(recording.events())
        assert found[:count] == expected[:count]
        assert sum(event.lost for event in found[count:]) == len(expected) - count
        assert recording.damage


@pytest.mark.parametrize("table", ["sources", "stops", "arrays", "links", "array_data", "meta"])
@pytest.mark.parametrize("number", [1, 2])
def test_lost_rows_of_every_table_are_reported(finished, tmp_path, table, number):
    path, expected = finished
    if table in ("stops", "links") and number == 2:
        number = 1
    with Recording.open(edited(path, tmp_path, f"DELETE FROM {table} WHERE number = {number}")) as recording:
        check(recording, expected)
        assert [damage.where for damage in recording.damage] == [table]
        assert str(recording.damage[0]).startswith(table)


def test_one_event_of_another_kind_does_not_take_its_chunk_along(tmp_path):
    path = tmp_path / "run.dsviz"
    writer = Recording.create(path, Meta(script="x.py"))
    writer.extend([op(2), events.Text("three", 4), op(3)])  # as a program with its own writer might
    writer.close()
    with Recording.open(path) as recording:
        first, gap, last = recording.events()
        assert (first, last, gap.lost) == (op(2), op(3), 1)
        assert recording.damage


def test_damage_in_the_middle_of_a_table_leaves_both_ends(tmp_path):
    path = tmp_path / "run.dsviz"
    expected = write(path, nodes=1200, chunk=4)
    pages = sqlite3.connect(path)
    # The table of contents spans several pages; spoil one that is neither the first nor the last.
    try:
        root = pages.execute("SELECT rootpage FROM sqlite_master WHERE name = 'chunks'").fetchone()[0]
    finally:
        pages.close()
    data = bytearray(path.read_bytes())
    start = (root - 1) * 4096
    cells = int.from_bytes(data[start + 3 : start + 5], "big")
    assert data[start] == 5
    assert cells > 4
    pointer = start + 12 + cells // 2 * 2
    middle = start + int.from_bytes(data[pointer : pointer + 2], "big")
    child = int.from_bytes(data[middle : middle + 4], "big")
    data[(child - 1) * 4096 : child * 4096] = bytes(4096)
    path.write_bytes(data)
    with Recording.open(path) as recording:
        found = list(recording.events())
        [gap] = [event for event in found if isinstance(event, events.Gap)]
        place = found.index(gap)
        assert found[:place] == expected[:place]
        assert found[place + 1 :] == expected[place + gap.lost :]
        assert 0 < gap.lost < len(expected) / 3
        assert [damage.where for damage in recording.damage] == ["chunks"]
