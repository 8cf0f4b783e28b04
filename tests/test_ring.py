"""The ring between the traced program and the debugger: order, wrapping, a slow reader, a killed writer."""

import os
import signal
import struct
import subprocess
import sys
from types import SimpleNamespace

import msgspec
import pytest

from dsviz import events
from dsviz.debuggee import into_ring
from dsviz.wire import ring
from dsviz.wire.ring import KEEP, SUMMARY, VALUE, RingReader, RingWriter


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "ring")


def gap(lost):
    return ("gap " + " ".join(f"{what}={count}" for what, count in sorted(lost.items()))).encode()


def read(reader):
    records = []
    while reader.waiting and not reader.damaged:
        records += reader.read()
    return records


def test_records_come_out_in_order_and_whole(path):
    writer, reader = RingWriter(path, 4096), RingReader(path)
    records = [os.urandom(size) for size in (0, 1, 3, 4, 5, 100)]
    for record in records:
        assert writer.put(record)
    assert read(reader) == records
    assert reader.waiting == 0


def test_records_wrap_around_the_end(path):
    writer, reader = RingWriter(path, 1024), RingReader(path)
    seen, sent = [], []
    for number in range(2000):
        record = bytes([number % 251]) * (number % 97)
        sent.append(record)
        assert writer.put(record)
        if number % 5 == 0:
            seen += read(reader)
    assert seen + read(reader) == sent


def test_nothing_is_lost_while_the_reader_keeps_up_late(path, monkeypatch):
    monkeypatch.setattr(ring, "PATIENCE", 10.0)
    writer, reader = RingWriter(path, 1024), RingReader(path)
    seen = []
    # The writer's nap is where a slow reader gets its turn.
    monkeypatch.setattr(ring.time, "sleep", lambda _: seen.extend(reader.read(200)))
    sent = [b"%05d" % number for number in range(1000)]
    assert all(writer.put(record) for record in sent)
    assert seen + read(reader) == sent


def test_operations_are_lost_only_with_a_gap(path, monkeypatch):
    monkeypatch.setattr(ring, "PATIENCE", 0.0)
    writer, reader = RingWriter(path, 1024, on_gap=gap), RingReader(path)
    kept = 0
    while writer.put(b"x" * 60):
        kept += 1
    for _ in range(9):
        assert not writer.put(b"x" * 60)
    assert [len(record) for record in read(reader)] == [60] * kept
    assert writer.put(b"after")
    assert read(reader) == [b"gap operations=10", b"after"]


def test_definitions_are_owed_and_come_before_what_follows(path, monkeypatch):
    monkeypatch.setattr(ring, "PATIENCE", 0.0)
    writer, reader = RingWriter(path, 1024, on_gap=gap), RingReader(path)
    while writer.put(b"x" * 60):
        pass
    writer.put_definition(b"name 7")
    read(reader)
    assert writer.put(b"uses 7")
    assert read(reader) == [b"name 7", b"gap operations=1", b"uses 7"]


def test_values_are_given_up_before_summaries_and_summaries_before_operations(path):
    writer = RingWriter(path, 4096, on_gap=gap)
    kept = {}
    for importance, what in ((VALUE, "values"), (SUMMARY, "summaries"), (KEEP, "operations")):
        kept[what] = 0
        while writer.put_if_room(b"x" * 60, importance, what):
            kept[what] += 1
        writer._lost.clear()
    assert kept == {"values": 32, "summaries": 16, "operations": 16}
    assert not writer.closed


def test_giving_up_a_value_never_waits(path, monkeypatch):
    writer = RingWriter(path, 1024, on_gap=gap)
    monkeypatch.setattr(ring.time, "sleep", lambda _: pytest.fail("waited"))
    while writer.put_if_room(b"x" * 60, VALUE, "values"):
        pass
    assert writer.lost == 1


def test_a_gap_of_values_is_told_once_there_is_room(path):
    writer, reader = RingWriter(path, 1024, on_gap=gap), RingReader(path)
    while writer.put_if_room(b"x" * 60, VALUE, "values"):
        pass
    read(reader)
    assert writer.flush_gap()
    assert read(reader) == [b"gap values=1"]


def test_a_record_larger_than_the_ring_is_a_gap(path):
    writer, reader = RingWriter(path, 1024, on_gap=gap), RingReader(path)
    assert not writer.put(b"x" * 5000)
    assert writer.flush_gap()
    assert read(reader) == [b"gap operations=1"]


def test_a_writer_whose_reader_is_gone_does_not_wait(path, monkeypatch):
    writer = RingWriter(path, 1024, on_gap=gap, on_full=lambda: True)
    monkeypatch.setattr(ring.time, "sleep", lambda _: pytest.fail("waited"))
    while writer.put(b"x" * 60):
        pass
    assert writer.lost == 1


def test_after_close_nothing_is_written(path):
    writer = RingWriter(path, 1024)
    writer.close(unlink=True)
    assert not writer.put(b"late")
    assert not writer.put_if_room(b"late", VALUE, "output")
    assert not os.path.exists(path)


def test_the_breadcrumb_names_the_node_in_flight(path):
    writer, reader = RingWriter(path, 1024), RingReader(path)
    assert reader.breadcrumb() == (0, 0, 0)
    writer.breadcrumb((1 << 40) + 7, 3, (1 << 31) + 5)
    assert reader.breadcrumb() == ((1 << 40) + 7, 3, (1 << 31) + 5)


KILLED = """
import os, signal, sys
from dsviz.wire.ring import RingWriter
writer = RingWriter(sys.argv[1], 1 << 20)
for number in range(1000):
    writer.breadcrumb(number, 1, 2)
    writer.put(b"%d" % number)
writer.breadcrumb(1000, 4, 5)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_after_sigkill_everything_written_is_there(path):
    done = subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    assert done.returncode == -signal.SIGKILL
    reader = RingReader(path)
    assert read(reader) == [b"%d" % number for number in range(1000)]
    assert reader.breadcrumb() == (1000, 4, 5)
    reader.close()
    assert not os.path.exists(path)


def test_a_file_that_is_no_ring_is_refused(tmp_path):
    for content in (b"", b"DSVRING1", b"x" * 9000, ring.MAGIC + b"\0" * 9000):
        path = tmp_path / "no"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is no ring"):
            RingReader(str(path))


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff", b"\xff\x03\0\0"])
def test_a_torn_length_ends_reading_without_a_wrong_record(path, length):
    writer, reader = RingWriter(path, 1024), RingReader(path)
    writer.put(b"good")
    place = ring.HEADER + writer.head
    writer.put(b"torn")
    writer._map[place : place + 4] = length
    assert read(reader) == [b"good"]
    assert reader.damaged


@pytest.mark.parametrize(("head", "tail"), [(1 << 40, 0), (0, 8), (2048, 8)])
def test_a_torn_head_or_tail_gives_no_record(path, head, tail):
    writer, reader = RingWriter(path, 1024), RingReader(path)
    writer.put(b"good")
    writer._words[8], writer._words[16] = head, tail
    assert read(reader) == []
    assert reader.damaged


def test_a_ring_of_a_later_version_is_refused_with_those_it_knows(path):
    writer = RingWriter(path, 1024)
    writer._map[8:12] = b"\x05\0\0\0"
    with pytest.raises(ValueError, match="no ring of version 1 to 4"):
        RingReader(path)


def test_a_dropped_record_is_missed_by_all_its_events(path):
    gaps = []
    writer = RingWriter(path, 64, on_gap=lambda lost: gaps.append(lost) or b"gap", on_full=lambda: True)
    reader = RingReader(path)
    assert writer.put(b"x" * 24, 3)
    assert writer.put(b"x" * 24, 5)
    assert not writer.put(b"x" * 24, 3)
    assert not writer.put(b"x" * 24, 4)
    assert writer.lost == 7
    list(reader.read())
    assert writer.flush_gap()
    assert gaps == [{"operations": 7}]


@pytest.mark.parametrize("count", [1, 2, 15, 16, 300])
def test_a_record_is_read_as_the_events_it_holds(count):
    told = [events.Released(number, 7) for number in range(count)]
    together = events.encoder.encode(told)
    assert events.decode(together) == told
    assert events.decode(events.encoder.encode(told[0])) == told[:1]
    op = events.Op(
        1, 2, 0, (), (), 3, 0, 0, 0, 0, 5, 6, 7, 8, {}
    )  # more than 15 fields: another kind of array
    assert events.decode(events.encoder.encode(op)) == [op]
    assert events.decode(events.encoder.encode([op] * count)) == [op] * count
    for cut in range(len(together)):
        with pytest.raises(msgspec.MsgspecError):
            events.decode(together[:cut])


def test_who_writes_between_a_record_and_its_announcement_writes_behind_it(path):
    writer, reader = RingWriter(path, 4096), RingReader(path)
    words = struct.Struct("<III")

    def pack(*given):
        words.pack_into(*given)
        assert writer.put(b"handler!")  # a signal's handler runs once the packing has returned

    for number in range(300):  # several times around the end
        while not writer.pack(pack, 8, number, 7):
            assert writer.put(b"filler")
        assert [r for r in read(reader) if r != b"filler"] == [struct.pack("<II", number, 7), b"handler!"]
    while writer.capacity - writer.head % writer.capacity < 64:
        assert writer.put(b"filler")
    with pytest.raises(struct.error):
        writer.pack(words.pack_into, 8, 1 << 40, 7)
    assert writer.put(b"after")
    assert read(reader)[-1] == b"after"
    assert not reader.damaged


def test_a_handler_that_computes_while_a_node_is_told_loses_no_node(path, monkeypatch):
    told = []

    def pack(*given):
        pack_small(*given)
        if len(told) < 3:
            told.append(given)
            outlet.event(events.Text(len(told), "handler"))

    pack_small = into_ring.pack_small
    monkeypatch.setattr(into_ring, "pack_small", pack)
    writer, reader = RingWriter(path, 4096), RingReader(path)
    outlet = into_ring.RingOutlet(writer)
    like = SimpleNamespace(number=1, nbytes=4)
    for node in range(1, 6):
        outlet.ran(node, like, 0, 0, 0, 10, 20, (1, 2), None)
    records = read(reader)
    assert len(records) == 5 + 3
    nodes = [struct.unpack_from("<I", record, 4)[0] for record in records if b"handler" not in record]
    assert nodes == [1, 2, 3, 4, 5]
