import json
from types import SimpleNamespace

import pytest
from programs import TRAIN, Program, lstm, mlp

from dsviz import events as ev
from dsviz.query.quiet import quiet
from dsviz.query.stream import OUTPUT, PageStream
from dsviz.store import GraphStore
from dsviz.web import pages

NODE, STATUS, INPUTS, TURN = 2, 7, 8, 21


def store_of(program: Program) -> GraphStore:
    store = GraphStore(read=lambda path: None)
    store.feed_many(program.events)
    return store


class Page:
    """What a page knows after taking messages."""

    def __init__(self) -> None:
        self.groups: dict = {}
        self.slots: dict = {}
        self.slot_of: dict = {}
        self.kinds: list = []
        self.counts: dict = {}

    def take(self, messages: list) -> None:
        for message in json.loads(json.dumps(messages)):
            self.kinds.append(message["t"])
            if message["t"] == "groups":
                self.groups.update((g["id"], g) for g in message["items"])
            elif message["t"] == "slots":
                self.slots.update((row[0], row) for row in message["items"])
            elif message["t"] == "nodes":
                self.slot_of.update((message["first"] + i, s) for i, s in enumerate(message["slots"]))
            elif message["t"] == "count":
                self.counts = message


def test_a_new_page_gets_everything() -> None:
    program = mlp(3)
    page = Page()
    page.take(PageStream(store_of(program)).collect())
    assert page.kinds[0] == "hello"
    assert page.counts["nodes"] == sum(isinstance(e, ev.Op) for e in program.events)
    assert sorted(page.slot_of) == list(range(1, program.node + 1))
    assert len(page.slots) == len(set(page.slot_of.values()))
    for row in page.slots.values():
        assert row[1] == 0 or row[1] in page.groups


def test_following_and_joining_late_see_the_same() -> None:
    program = lstm(20, steps=2)
    store = GraphStore(read=lambda path: None)
    stream, page = PageStream(store), Page()
    for start in range(0, len(program.events), 37):
        store.feed_many(program.events[start : start + 37])
        page.take(stream.collect())
    late = Page()
    late.take(PageStream(store).collect())
    assert page.slots == late.slots
    assert page.groups == late.groups
    assert page.slot_of == late.slot_of


def test_nothing_new_is_nothing_said() -> None:
    stream = PageStream(store_of(mlp(2)))
    stream.collect()
    assert stream.collect() == []


def test_only_touched_slots_are_sent() -> None:
    program = mlp(3)
    store = GraphStore(read=lambda path: None)
    stream = PageStream(store)
    store.feed_many(program.events[:-1])
    stream.collect()
    before = next(e for e in reversed(program.events[:-1]) if isinstance(e, ev.Op))
    again = ev.Op(*[getattr(before, f) for f in before.__struct_fields__])
    again.node = program.node + 1
    store.feed(again)
    messages = {m["t"]: m for m in stream.collect()}
    assert len(messages["slots"]["items"]) <= 2
    assert messages["nodes"] == {"t": "nodes", "first": again.node, "slots": messages["nodes"]["slots"]}


def test_a_new_turn_makes_the_rest_faint() -> None:
    program = lstm(3)
    store = GraphStore(read=lambda path: None)
    stream, page = PageStream(store), Page()
    third = next(i for i, e in enumerate(program.events) if isinstance(e, ev.LoopTurn) and e.index == 1)
    getitem = next(i for i in range(third, len(program.events)) if isinstance(program.events[i], ev.Op))
    store.feed_many(program.events[:third])
    page.take(stream.collect())
    cat = next(r for r in page.slots.values() if r[3] == "cat")
    assert cat[STATUS] == "done"
    assert cat[TURN] == 0
    store.feed_many(program.events[third : getitem + 1])
    page.take(stream.collect())
    cat = next(r for r in page.slots.values() if r[3] == "cat")
    assert (cat[STATUS], cat[NODE], cat[TURN]) == ("unreached", None, 1)


def test_a_chosen_turn_is_shown() -> None:
    store = store_of(lstm(8))
    stream, page = PageStream(store), Page()
    page.take(stream.collect())
    loop = next(g for g in page.groups.values() if g["label"].startswith("for t"))
    assert (loop["turns"], loop["turn"]) == (8, 0)  # the backward pass ended at the first turn
    store.pin(loop["id"], 5)
    page.take(stream.collect())
    assert page.groups[loop["id"]]["turn"] == 5
    shown = {r[TURN] for r in page.slots.values() if r[3] == "cat"}
    assert shown == {5}


def test_the_node_about_to_run_has_a_slot() -> None:
    program = mlp(1)
    ops = [i for i, e in enumerate(program.events) if isinstance(e, ev.Op)]
    store = GraphStore(read=lambda path: None)
    stream, page = PageStream(store), Page()
    store.feed_many(program.events[: ops[2]])
    coming = program.events[ops[2]]
    pending = ev.Op(*[getattr(coming, f) for f in coming.__struct_fields__])
    pending.shape, pending.duration, pending.nbytes = (), 0, 0
    slot = store.expect(pending)
    page.take(stream.collect())
    assert page.slots[slot.id][STATUS] == "pending"
    assert page.slots[slot.id][NODE] == coming.node
    assert page.slots[slot.id][9] is None
    store.feed_many(program.events[ops[2] : ops[2] + 1])
    page.take(stream.collect())
    assert page.slots[slot.id][STATUS] == "done"
    assert page.slots[slot.id][9] == list(coming.shape)


def test_a_failed_node_is_marked() -> None:
    program = mlp(1)
    with program.function("/made/up/train.py", "<module>"):
        program.node += 1
        failed = ev.Failed(
            program.node, program.text("matmul"), 0, (1, 2), ((4, 8), (7, 8)), 0, program.frame(6), 1,
            program.now, "ShapeMismatchError", "no", ((0, 1), (1, 0)),
        )  # fmt: skip
        program.emit(failed)
    page = Page()
    page.take(PageStream(store_of(program)).collect())
    row = page.slots[page.slot_of[failed.node]]
    assert row[STATUS] == "failed"
    assert [edge[2] for edge in row[INPUTS]] == [[4, 8], [7, 8]]


def test_the_window_is_bounded() -> None:
    store = GraphStore(window=500, read=lambda path: None)
    program = lstm(64, steps=10)
    store.feed_many(program.events)
    slots = store.structure.slots
    assert len(store.nodes) <= 510 + len(slots)
    assert all(slot.last in store.nodes for slot in slots)  # the newest node of each place stays
    assert store.count == sum(isinstance(e, ev.Op) for e in program.events)
    assert store.dropped
    assert len(store.structure.slot_of) <= 510 + len(slots)
    first = next(e for e in program.events if isinstance(e, ev.Op))
    assert first.node not in store.nodes
    place = store.structure.slot_at(first.node)  # where it stood is known as long as it was
    assert place is not None
    assert (place.op, place.count > 1) == (first.op, True)
    page = Page()
    page.take(PageStream(store).collect())
    assert sum(r[STATUS] == "done" for r in page.slots.values()) > 10


def test_a_page_that_saw_the_program_run_hears_of_its_end_when_it_has_all_of_the_run(monkeypatch) -> None:
    store = GraphStore(read=lambda path: None)
    state = {"t": "state", "state": "running"}
    session = SimpleNamespace(
        store=store, state_message=lambda: dict(state), settings_message=dict, watches_message=dict
    )
    page = pages.Page(session)
    assert page.read()[-1]["state"] == "running"
    monkeypatch.setattr(PageStream.collect, "__defaults__", (5,))  # rows in a batch
    store.feed_many(mlp(2).events)
    state["state"] = "finished"
    told: list[set[int]] = []
    ended = -1
    while ended < 0 or page._stream.behind:
        messages = page.read()
        told.append({row[0] for m in messages if m["t"] == "slots" for row in m["items"]})
        if any(m["t"] == "state" for m in messages):
            assert ended < 0
            ended = len(told) - 1
    assert ended == len(told) - 1 > 1  # the last batch of several
    assert set().union(*told) == {slot.id for slot in store.structure.slots}
    again = pages.Page(session)  # one that is opened now is told at once
    assert [m["state"] for m in again.read() if m["t"] == "state"] == ["finished"]


def test_a_step_that_is_over_at_once_is_told_without_its_running(monkeypatch) -> None:
    store = GraphStore(read=lambda path: None)
    state = {"t": "state", "state": "paused", "stop": 1}
    session = SimpleNamespace(
        store=store, state_message=lambda: dict(state), settings_message=dict, watches_message=dict
    )
    clock = [100.0]
    monkeypatch.setattr(pages.time, "monotonic", lambda: clock[0])

    def told() -> list[str]:
        return [m["state"] for m in page.read() if m["t"] == "state"]

    page = pages.Page(session)
    assert told() == ["paused"]
    state["state"] = "running"
    assert told() == []
    assert page.behind
    state.update(state="paused", stop=2)
    assert told() == ["paused"]
    assert not page.behind
    state["state"] = "running"
    assert told() == []
    clock[0] += pages.SETTLE
    assert told() == ["running"]
    assert not page.behind
    again = pages.Page(session)
    assert [m["state"] for m in again.read() if m["t"] == "state"] == ["running"]


def test_a_layer_is_one_op_and_no_class_of_a_person_s_that_is_named_so() -> None:
    program = Program()
    with program.function(TRAIN, "<module>"):
        x = program.leaf("input", "x", (4, 8))
        with program.module("net", "Gru", 3):
            with program.module("net.first", "Linear", 4):
                h = program.op("linear", [x], (4, 8), 4)
            with program.module("net.own", "Tanh", 5):
                program.op("tanh", [h], (4, 8), 9)
    page = Page()
    page.take(PageStream(store_of(program)).collect())
    layers = {group["note"]: group["layer"] for group in page.groups.values()}
    assert layers == {"Gru": False, "Linear": True, "Tanh": False}


@pytest.mark.parametrize(
    ("lines", "talks"),
    [
        ("if step % 10 == 0:\n    print(f'{step + 1}: {loss.item():.4f}', end='')", False),
        ("    print('step', step + 1, loss.item())", True),
        ("    raise ValueError(f'{x.shape} does not fit')", True),
        ("    losses.append(float(loss))\n    best = loss", True),
        ("    return", True),
        ("    h = ds.relu(h)", False),
        ("    h = h + skip", False),
        ("    h += 1", False),
        ("    return h @ w", False),
        ("    self.head(h)", False),
        ("    for t in range(3):\n        print(t)", False),
        ("    print(", False),
        ("", False),
    ],
)
def test_an_arm_that_only_talks_needs_no_room(lines: str, talks: bool) -> None:
    assert quiet(lines) is talks


def test_a_flood_of_output_is_cut_in_the_middle() -> None:
    store = GraphStore()
    stream = PageStream(store)
    stream.collect()
    store.feed(ev.Output(1, "begin " + "x" * 3_000_000 + " end", 0))
    messages = [m for m in stream.collect() if m["t"] == "output"]
    text = "".join(m["text"] for m in messages)
    assert len(text) < OUTPUT + 100
    assert text.startswith("begin")
    assert text.endswith("end")
    assert "characters are not kept" in text
    store.feed(ev.Output(2, "more", 0))
    assert [m for m in stream.collect() if m["t"] == "output"] == [
        {"t": "output", "stream": 2, "text": "more"}
    ]
    assert sum(len(t) for _, t in store.output()) < 1_100_000


def test_a_new_run_begins_with_hello() -> None:
    store = store_of(mlp(1))
    stream = PageStream(store)
    stream.collect()
    store.begin(script="/made/up/train.py", args=["a"], pid=5, python="3.11", level=2)
    messages = stream.collect()
    assert messages[0] == {
        "t": "hello", "run": 2, "script": "train.py", "args": ["a"], "level": 2, "files": [],
        "pid": 5, "python": "3.11",
    }  # fmt: skip


def test_a_page_opened_before_the_program_said_who_it_is_hears_it_once() -> None:
    store = GraphStore(read=lambda path: None)
    store.begin("/made/up/train.py", ["a"])
    stream = PageStream(store)
    assert stream.collect()[0]["pid"] == 0
    store.pid, store.python, store.args = 5, "3.11", ["b"]
    assert stream.collect() == [{"t": "process", "pid": 5, "python": "3.11", "args": ["b"]}]
    assert stream.collect() == []


def test_a_batch_is_limited_while_running_and_nothing_is_lost() -> None:
    store = store_of(lstm(10))
    stream, page = PageStream(store), Page()
    page.take(stream.collect(limit=5))
    assert len(page.slots) == 5
    assert stream.behind
    while stream.behind:
        page.take(stream.collect(limit=5))
    whole = Page()
    whole.take(PageStream(store).collect())
    assert page.slots == whole.slots


def test_a_large_graph_comes_in_batches_each_group_before_what_stands_in_it() -> None:
    program = lstm(20, steps=2)
    stream, page = PageStream(store_of(program)), Page()
    batches = 0
    while stream.behind or not batches:
        messages = stream.collect(limit=3)
        page.take(messages)
        batches += 1
        assert all(len(m["items"]) <= 3 for m in messages if m["t"] in ("groups", "slots"))
        assert all(row[1] == 0 or row[1] in page.groups for row in page.slots.values())
    whole = Page()
    whole.take(PageStream(store_of(program)).collect())
    assert batches > 5
    assert (page.slots, page.groups) == (whole.slots, whole.groups)
    assert list(page.slots) == sorted(page.slots), "they are placed in the order in which they come"
