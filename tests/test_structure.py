from programs import MODEL, TRAIN, Program, lstm, mlp, nested, recursion

from dsviz import events as ev
from dsviz.query.display import Display
from dsviz.query.rows import slot_row
from dsviz.store import GraphStore


def fed(program: Program) -> GraphStore:
    store = GraphStore(read=lambda path: None)
    store.feed_many(program.events)
    return store


def names(store: GraphStore) -> list[str]:
    return [
        f"{g.kind} {g.label}" + (f" x{Display(store).turns(g)}" if g.kind == "loop" else "")
        for g in store.structure.groups[1:]
    ]


def slots(store: GraphStore, op: str, phase: int = 0) -> list:
    return [s for s in store.structure.slots if store.text(s.op) == op and s.phase == phase]


def test_a_loop_is_laid_out_once() -> None:
    store = fed(lstm(64))
    assert names(store) == [
        "loop for batch in batches x1", "module net", "loop for t in range(64) x64",
        "module cell", "module gates",
    ]  # fmt: skip
    assert len(slots(store, "cat")) == 1
    assert len(slots(store, "cat")[0].bindings) == 64
    assert len(slots(store, "tanh")) == 2
    assert len(store.structure.slots) == 21


def test_turns_bind_and_backward_pairs() -> None:
    store = fed(lstm(64, steps=2))
    cat = slots(store, "cat")[0]
    back = slots(store, "cat", 1)[0]
    assert back.twin is cat
    assert back.group is cat.group
    assert set(cat.bindings) == {(step, t) for step in range(2) for t in range(64)}
    for path, node in back.bindings.items():
        assert store.nodes[node].twin == cat.bindings[path]


def test_display_follows_the_twin_in_backward() -> None:
    program = lstm(64)
    back = next(e for e in program.events if isinstance(e, ev.Op) and e.phase == 1 and e.frame and e.call)
    upto = program.events.index(back)
    store = GraphStore(read=lambda path: None)
    store.feed_many(program.events[: upto + 1])
    loop = next(g for g in store.structure.groups if g.kind == "loop" and g.parent.kind == "module")
    assert Display(store).turn(loop) == 63
    tanh = [s for s in slots(store, "tanh") if s.group.kind == "module"][-1]
    assert Display(store).node(tanh) == tanh.bindings[0, 63]
    store.pin(loop.id, 5)
    display = Display(store)
    assert display.node(tanh) == tanh.bindings[0, 5]
    cat_back = next(s for s in store.structure.slots if s.phase == 1)
    assert display.status(cat_back, display.node(cat_back)) in ("done", "unreached")


def test_branch_taken_and_not_taken() -> None:
    store = fed(mlp(2, (True, False)))
    arm = next(g for g in store.structure.groups if g.kind == "branch")
    dropout = slots(store, "dropout")[0]
    display = Display(store)
    assert arm.label == "if flag"
    assert dropout.group is arm
    assert display.taken(arm) is False
    assert display.status(dropout, display.node(dropout)) == "nottaken"
    store.pin(arm.loops[0].id, 0)
    display = Display(store)
    assert display.taken(arm) is True
    assert display.status(dropout, display.node(dropout)) == "done"


def test_a_branch_never_taken_is_known_all_the_same() -> None:
    store = fed(mlp(1, (False,)))
    arm = next(g for g in store.structure.groups if g.kind == "branch")
    assert not arm.slots
    assert arm.parent.label == "net"
    assert Display(store).taken(arm) is False


def test_optimizer_has_one_slot_a_parameter() -> None:
    store = fed(mlp(3))
    group = next(g for g in store.structure.groups if g.kind == "optimizer")
    assert group.label == "SGD"
    assert len(group.slots) == 2
    assert all(len(s.bindings) == 3 for s in group.slots)


def test_leaves_stand_where_they_belong() -> None:
    store = fed(mlp(2))
    leaves = {(s.leaf, store.nodes[s.last].name, s.group.label) for s in store.structure.slots if s.leaf}
    assert leaves == {
        ("parameter", "net.one.weight", "one"),
        ("parameter", "net.two.weight", "two"),
        ("input", "x", "for step in range(2)"),
    }


def test_nested_loops_and_carried_edges() -> None:
    from dsviz.query.rows import slot_row

    store = fed(nested(3, 4))
    inner = slots(store, "exp")[0]
    outer = slots(store, "relu")[0]
    assert len(inner.bindings) == 12
    assert len(outer.bindings) == 3
    store.pin(outer.group.id, 1)
    store.pin(inner.group.id, 2)
    display = Display(store)
    row = slot_row(store, display, inner)
    assert row[8] == [[inner.id, 1, [2], 8]]
    store.pin(inner.group.id, 0)
    row = slot_row(store, Display(store), inner)
    assert row[8] == [[outer.id, 0, [2], 8]]
    row = slot_row(store, Display(store), outer)
    assert row[8] == [[inner.id, 1, [2], 8]]


def test_recursion_is_laid_out_to_a_depth_and_then_shared() -> None:
    shallow = fed(recursion(2))
    assert len([g for g in shallow.structure.groups if g.kind == "module"]) == 3
    deep = fed(recursion(40))
    assert len([g for g in deep.structure.groups if g.kind == "module"]) == 4
    assert len(deep.structure.slots) == 9


TRAINING = """
import x

for batch in batches:
    a
    loss = net(ids)
    loss.mean()
    b
    opt.step()
    c
"""
FORWARD = """
def forward():
    x = embed()
    h = 0
    for t in range(64):
        h = cell(x[t])
    return h
"""
TEXT = {TRAIN: TRAINING[1:], MODEL: "\n" * 21 + FORWARD}


def test_without_probes_loops_come_from_the_source() -> None:
    program = lstm(64, steps=2, probes=False)
    program.events = [e for e in program.events if not isinstance(e, ev.Site)]
    store = GraphStore(read=TEXT.get)
    store.feed_many(program.events)
    told = fed(lstm(64, steps=2))
    assert names(store) == names(told)
    assert [s.bindings for s in store.structure.slots] == [s.bindings for s in told.structure.slots]


def test_without_source_nothing_grows_without_end() -> None:
    sizes = []
    for turns in (50, 200):
        program = lstm(turns, steps=20, probes=False)
        program.events = [e for e in program.events if not isinstance(e, ev.Site)]
        sizes.append(len(fed(program).structure.slots))
    assert sizes[0] == sizes[1] < 1000


def test_events_in_odd_order_are_survived() -> None:
    program = lstm(5)
    for step in (2, 3):
        fed_some = GraphStore(read=lambda path: None)
        fed_some.feed_many(program.events[::step])
        fed_some.feed_many(program.events[::-1])
        assert fed_some.events


def test_what_a_loop_began_with_is_known_when_its_first_turn_is_forgotten() -> None:
    def taken(window: int) -> dict[int, set[int]]:
        store = GraphStore(read=lambda path: None)
        store.window = window
        store.feed_many(lstm(64).events)
        display = Display(store)
        rows = [slot_row(store, display, slot) for slot in slots(store, "cat")]
        assert bool(store.dropped) == (window < 1000)
        return {row[0]: {edge[0] for edge in [*row[8], *row[-1]]} for row in rows}

    assert taken(100) == taken(100_000)


def test_what_two_threads_do_at_one_place_is_drawn_once() -> None:
    store = GraphStore(read=lambda path: None)
    store.feed_many(
        [ev.Text(1, "relu"), ev.Text(2, "/x.py"), ev.Text(3, "work"), ev.Frame(1, 0, 2, 5, 3, 10)]
    )

    def run(node: int) -> None:
        store.feed(ev.Op(node, 1, 0, (), (2,), 0, 0, 1, 0, 0, node, 1, 8, 0, {}))

    run(1)
    store.feed(ev.Thread(1, "worker"))
    run(2)
    assert [slot.count for slot in slots(store, "relu")] == [2]
    run(3)  # again in one thread: that is another node
    assert [slot.count for slot in slots(store, "relu")] == [2, 1]
