"""However long a run takes, what is kept of it has a bound, in every table; and no reader is in another's way."""

from __future__ import annotations

import threading
from array import array
from collections import deque
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from programs import lstm, mlp

from dsviz import events as ev
from dsviz import store as stores
from dsviz import thrift
from dsviz.iterated import IterationRecord, bits_of, slots_of
from dsviz.query import iterations as views
from dsviz.query import parts, structure
from dsviz.query.memory import MemoryLog, at, timeline
from dsviz.query.structure import Structure
from dsviz.store import GraphStore

_PLAIN = (str, bytes, int, float, bool, type(None), type, ModuleType)


def held(root: Any) -> int:
    """How many things can be reached from `root`, those in arrays counted."""
    seen: set[int] = set()
    waiting, count = [root], 0
    while waiting:
        thing = waiting.pop()
        count += 1
        if isinstance(thing, _PLAIN) or callable(thing) or id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, array):
            count += len(thing)
        elif isinstance(thing, dict):
            waiting.extend(thing)
            waiting.extend(thing.values())
        elif isinstance(thing, list | tuple | set | frozenset | deque):
            waiting.extend(thing)
        else:
            for kind in type(thing).__mro__:
                waiting.extend(getattr(thing, name, None) for name in getattr(kind, "__slots__", ()))
            waiting.extend(getattr(thing, "__dict__", {}).values())
    return count


PARTS = 9


@pytest.mark.parametrize("make", [mlp, lambda steps: lstm(5, steps)], ids=["branches", "loops"])
def test_what_a_store_keeps_does_not_grow_once_its_window_is_full(make, monkeypatch) -> None:
    for module, name, most in (
        (stores, "MARKS", 100),
        (stores, "BANDS", 50),
        (stores, "ITERATIONS", 50),
        (structure, "KEPT_ORIGINS", 6000),
        (structure, "KEPT_TURNS", 50),
        (parts, "KEPT_TURNS", 50),
    ):
        monkeypatch.setattr(module, name, most)
    monkeypatch.setattr("dsviz.query.memory.ROWS", 64)
    store = GraphStore(window=200, read=lambda path: None)
    told, sizes = make(300).events, []
    for part in range(PARTS):
        store.feed_many(told[len(told) * part // PARTS : len(told) * (part + 1) // PARTS])
        sizes.append(held(vars(store)))
    assert store.count > 10 * store.window
    # What goes is let go some at a time: the most that was held in each half.
    assert max(sizes[6:]) < 1.05 * max(sizes[3:6]), {name: held(value) for name, value in vars(store).items()}


def test_places_of_nodes_that_are_gone_take_no_more_room_after_a_leap_of_their_numbers() -> None:
    found = Structure({}, lambda path: None)
    for node in (5, 10**7, 1 << 40, 1 << 62):
        slot = found.place(ev.Op(node, 1, 0, (), (), 0, 0, 0, 0, 0, 0, 0, 0, 0, {}))
        found.forget(node)
        assert found.slot_at(node) is slot
        assert len(found._gone) <= structure.KEPT_ORIGINS


def test_iterations_of_one_way_share_what_they_used() -> None:
    ways, records = stores.OrderedDict(), []
    for turn in range(6):
        record = IterationRecord(turn, 0, 0)
        record.trail += [1, 2, 900, 2, 70 + turn % 2]
        record.fold(ways)
        records.append(record)
    assert records[0].bits is records[4].bits
    assert records[0].hash == records[2].hash != records[1].hash
    assert (records[1].nodes, records[1].slots) == (5, {1, 2, 900, 71})
    assert records[1].beyond(records[0]) == {71}
    assert slots_of(bits_of(range(0, 3000, 7))) == set(range(0, 3000, 7))


def test_the_list_of_iterations_counts_what_came_and_went() -> None:
    program = mlp(4)
    store = GraphStore(read=lambda path: None)
    store.feed_many(program.events)
    rows = views.iterations(store)["rows"]
    finished = [row for row in rows if not row["running"] and row["index"]]
    assert any(row["added"] or row["removed"] for row in finished)
    records = {record.index: record for record in store.iterations}
    for row in finished[1:]:
        now, before = records[row["index"]], records[row["index"] - 1]
        assert (row["added"], row["removed"]) == (
            len(now.slots - before.slots),
            len(before.slots - now.slots),
        )


def test_who_only_asks_whether_something_is_new_disturbs_nobody_who_looks() -> None:
    log = MemoryLog()
    log.allocated(ev.Allocated(1, 64, 2, 1, 10), 1)
    looked_at = np.frombuffer(log.time, np.int64)  # cannot be made longer while somebody looks
    log.allocated(ev.Allocated(2, 64, 2, 2, 20), 2)
    assert (log.changes, looked_at.tolist()) == (2, [10])
    del looked_at
    assert list(log.time) == [10, 20]


def test_what_another_thread_did_meanwhile_stands_where_it_was() -> None:
    store = GraphStore()
    changes = [(1, 64, 10), (2, 64, 30), (1, 0, 50), (3, 8, 20), (4, 8, 40), (2, 0, 15)]
    for buffer, nbytes, time in changes:
        if nbytes:
            store.feed(ev.Allocated(buffer, nbytes, 2, 1, time))
        else:
            store.feed(ev.Released(buffer, time))
        if time == 20:
            assert timeline(store)["x"] == [10, 20, 30, 50]
    view = timeline(store)
    assert view["x"] == [10, 20, 30, 30, 40, 50]  # nothing is released before it was there
    assert view["total"] == [64, 72, 136, 72, 80, 16]
    assert (view["peak"]["x"], view["peak"]["bytes"]) == (30, 136)
    assert at(store, 25)["total"] == 72


@pytest.mark.skipif(not hasattr(threading, "get_native_id"), reason="looks at the C library")
def test_the_c_library_is_told_to_keep_little_where_it_can_be(monkeypatch) -> None:
    assert thrift.keep_little() in (True, False)  # what it says depends on the library; it never raises
    monkeypatch.setattr(thrift.sys, "platform", "darwin")
    assert thrift.keep_little() is False
    monkeypatch.setattr(thrift.sys, "platform", "linux")
    monkeypatch.setattr(thrift.ctypes, "CDLL", lambda name: object())  # a library without such a function
    assert thrift.keep_little() is False
