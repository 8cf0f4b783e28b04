from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import recordings
from recordings import META, SOURCES, STOP, VALUES, op, run, write

from dsviz import events
from dsviz.recording import Meta, Recording, RecordingError, Value, value_key
from dsviz.recording import format as recording_format
from dsviz.stop import Stop

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.dsviz"


def test_what_was_written_is_read(path):
    some = write(path)
    with Recording.open(path) as recording:
        assert list(recording.events()) == some
        assert recording.count == len(some)
        assert (recording.meta, recording.state, recording.end.status) == (META, "finished", 0)
        assert {file: recording.source(file) for file in recording.sources()} == SOURCES
        [stopped] = recording.stops()
        assert (stopped.stop, stopped.position) == (STOP, 60)
        recordings.check(recording, some)
        assert recording.damage == []


def test_a_finished_recording_is_one_file_of_its_owner(path):
    write(path)
    assert os.listdir(path.parent) == ["run.dsviz"]
    if sys.platform != "win32":
        assert path.stat().st_mode & 0o777 == 0o600


def test_every_kind_of_event_survives(path):
    some = [
        events.Text(1, "grüße"), events.Frame(1, 0, 1, 2, 1, 4),
        events.Site(1, "if", 1, 3, (4, 5), (0, 0), "if x"),
        events.Branch(1, True, 5), events.LoopTurn(1, -1, 6), events.ModuleEntered(1, 0, 1, 1, 1, 7),
        events.ModuleLeft(1, 8, True), events.Leaf(1, "input", "x", (), 1, 4, 1), op(2),
        events.Failed(3, 1, 1, (2,), ((3, 4),), 0, 1, 1, 9, "ValueError", "no", ((0, 1),)),
        events.Summary(2, -1.0, 1.0, 0.0, 0.5, 0, 0, 0, 9, 9, (4, 5), (-1.0, 1.0)),
        events.Allocated(1, 4, 2, 2, 10), events.Recategorised(1, 3, 11), events.Released(1, 12),
        events.GradientReady(1, 2, 0.5), events.Iteration(1, 13), events.Switched("op", "mul", False),
        events.Level(2, 14), events.Output(1, "hello\n", 15), events.Uncaught("E", "m", "t", 1, 16),
        events.Thread(1, "worker"), events.Gap(3, "summaries", 17),
        events.Value(2, "output", "<f4", (2, 2), (1, 0), key=b"0" * 16),
        events.Recipe(2, (-1, 0), {"index": {"slice": [0, None, 2]}}),
        events.Loss(2, 0.25, 1, 60),
    ]  # fmt: skip
    assert {type(event) for event in some} == set(events.AnyEvent.__args__)
    writer = Recording.create(path, META)
    for event in some:
        writer.append(events.encoder.encode(event))
    writer.close()
    with Recording.open(path) as recording:
        assert list(recording.events()) == some


def test_events_by_position_and_time(path):
    some = write(path)
    with Recording.open(path) as recording:
        for first, last in [(0, 5), (5, 61), (19, 21), (100, None), (119, 500), (7, 7), (500, None)]:
            assert list(recording.events(first, last)) == some[first:last]
        position = recording.position_at(30_000)
        assert all(getattr(event, "start", 0) < 30_000 for event in some[:position])
        assert recording.position_at(0) == 0
        assert recording.position_at(10**9) == recording.count


def test_nodes_are_found_by_number(path):
    # Two threads: the numbers are not in order.
    some = [*run(30), *(op(node) for node in range(90, 60, -1)), *(op(node) for node in range(31, 61))]
    writer = Recording.create(path, META)
    for start in range(0, len(some), 7):
        writer.extend(some[start : start + 7])
        writer.flush()
    writer.close()
    with Recording.open(path) as recording:
        for node in range(1, 91):
            position, event = recording.find(node)
            assert event.node == node
            assert event == some[position]
        assert isinstance(recording.node(1), events.Leaf)
        assert recording.node(91) is None
        assert recording.node(0) is None


def test_a_large_recording_has_full_chunks(path):
    some = run(3000)
    writer = Recording.create(path, META)
    writer.extend(some[:1])
    writer.extend(some[1:])
    writer.close()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM chunks").fetchone() == (-(-len(some) // 512),)
    db.close()
    with Recording.open(path) as recording:
        assert list(recording.events()) == some
        assert recording.node(2999).node == 2999


def test_values_are_kept_once(path):
    writer = Recording.create(path, META)
    array = np.arange(1000, dtype="<f4")
    value = Value.of(array)
    keys = {writer.append_value(*value, node=node, name="output") for node in range(5, 15)}
    writer.append_value(*Value.of(array.reshape(10, 100)), node=5, name="input")
    writer.close()
    assert keys == {value.key}
    with Recording.open(path) as recording:
        assert len(recording.values()) == 2
        np.testing.assert_array_equal(recording.value(value.key).array(), array)
        assert [link.name for link in recording.values_of(5)] == ["output", "input"]
        assert [link.key for link in recording.values_of(14)] == [value.key]
        assert recording.values_of(99) == []


@pytest.mark.parametrize("array", VALUES, ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays_of_every_kind_come_back(path, array):
    writer = Recording.create(path, META)
    key = writer.append_value(*Value.of(array))
    writer.close()
    with Recording.open(path) as recording:
        found = recording.value(key).array()
    assert found.dtype == array.dtype
    assert not found.flags.writeable
    np.testing.assert_array_equal(found, array)


def test_what_is_no_plain_number_is_not_kept(path):
    writer = Recording.create(path, META)
    assert writer.append_value("|O", (1,), b"12345678") is None
    assert writer.append_value("<f4", (2,), b"1234") is None
    assert writer.append_value("<f4", (-1, -1), b"1234") is None
    assert writer.append_value("<U1", (1,), b"1234") is None
    assert writer.append_value("<f4", (1,) * 65, b"1234") is None
    writer.close()
    assert writer.state == "finished"


def test_the_values_used_longest_ago_give_way(path):
    writer = Recording.create(path, META, budget=4000)
    arrays = [np.full(250, n, "<f4") for n in range(8)]
    keys = [writer.append_value(*Value.of(arrays[n]), node=n + 1, pin=n == 0) for n in range(4)]
    assert writer.append_value(*Value.of(arrays[1])) == keys[1]  # used again
    writer.flush()
    keys.append(writer.append_value(*Value.of(arrays[4]), node=5))
    keys.append(writer.append_value(*Value.of(arrays[5]), node=6))
    assert writer.append_value(*Value.of(np.zeros(1000, "<f4"))) is None  # larger than what pinned ones leave
    writer.close()
    with Recording.open(path) as recording:
        kept = [n for n, key in enumerate(keys) if recording.value(key)]
        assert kept == [0, 1, 4, 5]
        assert [link.key for link in recording.values_of(3)] == [keys[2]]
        assert recording.verify() == []


def test_the_file_does_not_grow_beyond_the_budget(path):
    writer = Recording.create(path, META, budget=100_000)
    for n in range(100):
        writer.append_value(*Value.of(np.full(10_000, n, "|u1")))
        writer.flush()
    writer.close()
    assert path.stat().st_size < 250_000


def test_a_source_is_the_text_that_ran_never_the_disk(path, tmp_path):
    script = tmp_path / "train.py"
    script.write_text("changed since")
    writer = Recording.create(path, META)
    writer.add_source(str(script), "as it ran")
    writer.add_source(str(script), "reloaded")
    writer.close()
    with Recording.open(path) as recording:
        assert recording.source(str(script)) == "as it ran"
        assert recording.source(__file__) is None


def test_what_cannot_be_written_is_cleaned_or_a_gap(path):
    some = [
        events.Text(1, "caf\udce9.py"),
        op(2, attrs={"huge": 1 << 80}),
        events.Output(1, "x" * (2 << 20), 5),
        op(3),
    ]
    writer = Recording.create(path, Meta(script="caf\udce9.py", args=("x" * (2 << 20),)))
    writer.extend(some)
    writer.append(b"\x91\xff")
    writer.add_source("caf\udce9.py", "text")
    writer.append_stop(Stop("step", text="\udce9", pending={"a": object()}))
    writer.append_stop(Stop("step", text="y" * (2 << 20)))
    writer.close()
    with Recording.open(path) as recording:
        text, big, output, last, unreadable = recording.events()
        assert text == events.Text(1, "caf\\udce9.py")
        assert isinstance(big, events.Gap)
        assert isinstance(output, events.Gap)
        assert last == op(3)
        assert isinstance(unreadable, events.Gap)
        assert recording.source("caf\\udce9.py") == "text"
        assert [len(stopped.stop.text) for stopped in recording.stops()] == [6, 1000]
        assert recording.verify() == []


def test_a_file_that_is_there_is_not_overwritten(path):
    path.write_text("mine")
    with pytest.raises(RecordingError, match="exists already"):
        Recording.create(path, META)
    assert path.read_text() == "mine"
    with pytest.raises(RecordingError, match="cannot be made"):
        Recording.create(path.parent / "nowhere" / "run.dsviz", META)


def test_a_closed_writer_takes_nothing_and_says_so(path):
    writer = Recording.create(path, META)
    writer.close("failed", 1)
    writer.close("finished")
    writer.append(op(1))
    writer.append_stop(STOP)
    writer.add_source("a", "b")
    writer.flush()
    assert writer.append_value(*Value.of(np.zeros(3))) is None
    assert (writer.state, writer.lost, writer.position) == ("failed", 1, 0)
    with Recording.open(path) as recording:
        assert (recording.state, recording.end.status, recording.count) == ("failed", 1, 0)


def test_a_recording_can_be_read_while_it_is_written(path):
    writer = Recording.create(path, META)
    some = run(600)
    writer.extend(some[:1000])
    with Recording.open(path) as recording:
        assert list(recording.events()) == some[:512]
        assert recording.state == "unfinished"
        assert recording.damage == []
    writer.extend(some[1000:])
    writer.close()
    with Recording.open(path) as recording:
        assert list(recording.events()) == some


def test_disk_full_ends_the_recording_and_keeps_what_was_written(path):
    told = []
    writer = Recording.create(path, META, on_damage=told.append)
    writer._db.execute("PRAGMA max_page_count=60")
    some = run(5000)
    for start in range(0, len(some), 50):
        writer.extend(some[start : start + 50])
    assert (writer.state, told) == ("damaged", [writer.reason])
    assert "full" in writer.reason
    assert writer.lost + writer.position == len(some)
    writer.close()
    with Recording.open(path) as recording:
        assert (recording.state, recording.reason) == ("damaged", writer.reason)
        assert list(recording.events()) == some[: writer.position]
        assert recording.count == writer.position > 512
        assert recording.damage == []
    assert os.listdir(path.parent) == ["run.dsviz"]


def program(path: Path, end: str) -> subprocess.Popen[bytes]:
    """A process that records, says how far it came after each flush, and goes on for ever."""
    code = f"""
    import os, resource, sys
    sys.path[:0] = {[str(ROOT / "tests"), *sys.path]!r}
    from recordings import META, run
    from dsviz.recording import Recording
    writer = Recording.create({str(path)!r}, META)
    some = run(20_000)
    {end}
    for start in range(0, len(some), 100):
        writer.extend(some[start:start + 100])
        print(writer.position, writer.state, flush=True)
    """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_a_killed_writer_loses_at_most_one_chunk(path):
    process = program(path, "")
    for line in process.stdout:
        taken = int(line.split()[0])
        if taken >= 9000:
            break
    process.kill()
    process.wait()
    for line in process.stdout:
        taken = int(line.split()[0]) if line.endswith(b"\n") else taken
    process.stdout.close()
    with Recording.open(path) as recording:
        found = list(recording.events())
        assert found == run(20_000)[: len(found)]
        assert len(found) > taken - recording_format.EVENTS_PER_CHUNK
        assert (recording.state, recording.verify()) == ("unfinished", [])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_file_that_may_not_grow_ends_the_recording_not_the_program(path):
    process = program(path, "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))")
    out = process.communicate()[0].splitlines()
    assert process.returncode == 0
    assert out[-1].endswith(b" damaged")
    written = int(out[-1].split()[0])
    with Recording.open(path) as recording:
        assert list(recording.events()) == run(20_000)[:written]
        assert written > 512
        assert recording.verify() == []


def test_the_key_depends_on_dtype_and_shape():
    data = bytes(8)
    kinds = [("<f4", (2,)), ("<i4", (2,)), ("<f4", (2, 1)), ("<f8", (1,))]
    assert len({value_key(dtype, shape, data) for dtype, shape in kinds}) == len(kinds)
