"""Calls of modules that began before anybody listened: who comes in the middle finds the calls the program is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import engine as ds
from dsviz.debuggee import core
from dsviz.debuggee.outlets import DirectOutlet
from dsviz.debuggee.tracer import Tracer
from dsviz.inprocess import store_of
from dsviz.store import GraphStore
from engine.bus import bus
from engine.grad_mode import state
from engine.module_call import ModuleCall, open_call
from engine.trace import Graph


class Inner(ds.Module):
    """Two layers, with something to do between them."""

    def __init__(self, between: Callable[[], None]) -> None:
        self.first, self.second = ds.Linear(2, 2), ds.Linear(2, 2)
        self.between = between

    def forward(self, x: Any) -> Any:
        x = self.first(x)
        self.between()
        return self.second(x * 2)


class Outer(ds.Module):
    """One block after the other; a helper function stands between the two modules."""

    def __init__(self, *between: Callable[[], None]) -> None:
        self.blocks = ds.nn.ModuleList([Inner(each) for each in between])

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = through(block, x)
        return x + 1


def through(block: Any, x: Any) -> Any:
    return block(x)


def nothing() -> None:
    """What is done between two layers: nothing."""


class Listener:
    """Listens to a kind from when it is called on; `seen` are (kind, path of the module) and where an op ran."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = kinds
        self.seen: list[Any] = []
        self.handle: Any = None

    def __call__(self) -> None:
        self.handle = bus.subscribe(self._sink, *self.kinds)

    def _sink(self, kind: str, subject: Any) -> None:
        if isinstance(subject, ModuleCall):
            self.seen.append((kind, subject.path, subject.depth, subject.failed, subject.out is not None))
        else:
            self.seen.append((subject.op.name, subject.call and subject.call.path))


@pytest.fixture(params=["python", "compiled"])
def followed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ops are followed by Python, then by the compiled core."""
    core.leave()
    if request.param == "compiled" and not core.use(wait=True):
        pytest.skip(f"no compiled core here: {core.why()}")
    yield
    core.leave()
    assert (state.call, state.modules) == (None, [])
    assert not bus.active


def test_the_calls_a_program_is_in_are_there_for_who_comes_in_the_middle(followed: None) -> None:
    listen = Listener("op_finish", "module_enter", "module_exit")
    net = Outer(nothing, listen)
    net(ds.ones(1, 2))
    listen.handle.close()
    assert listen.seen == [
        ("mul", "net.blocks.1"),
        ("module_enter", "net.blocks.1.second", 2, False, False),
        ("linear", "net.blocks.1.second"),
        ("module_exit", "net.blocks.1.second", 2, False, True),
        ("module_exit", "net.blocks.1", 1, False, True),
        ("add", "net"),
        ("module_exit", "net", 0, False, True),
    ]


def test_a_call_that_fails_ends_with_that(followed: None) -> None:
    listen = Listener("op_finish", "module_exit")

    def fails() -> None:
        listen()
        ds.ones(2) + 1
        raise KeyError("between")

    net = Outer(fails)
    with pytest.raises(KeyError):
        net(ds.ones(1, 2))
    listen.handle.close()
    assert [each[:4] for each in listen.seen] == [
        ("add", "net.blocks.0"),
        ("module_exit", "net.blocks.0", 1, True),
        ("module_exit", "net", 0, True),
    ]


def test_who_goes_and_comes_again_finds_those_in_between(followed: None) -> None:
    early, late = Listener("op_finish"), Listener("op_finish")

    def leaves() -> None:
        early.handle.close()

    net = Outer(leaves, late)
    early()
    net(ds.ones(1, 2))
    late.handle.close()
    # The outermost call was made for the first; the second block was entered while nobody listened.
    assert early.seen == [("linear", "net.blocks.0.first")]
    assert [each for each in late.seen if each[0] == "mul"] == [("mul", "net.blocks.1")]
    assert late.seen[-1] == ("add", "net")


def test_whoever_asks_gets_the_innermost_call_though_nobody_listens() -> None:
    asked: list[Any] = []
    net = Outer(lambda: asked.append(open_call()))
    net(ds.ones(1, 2))
    assert [call.path for call in asked] == ["net.blocks.0"]
    assert asked[0].parent.path == "net"
    assert asked[0].parent.parent is None
    assert (state.call, state.modules, open_call()) == (None, [], None)


def test_of_modules_called_from_where_frames_do_not_show_it_nothing_is_made_up() -> None:
    state.modules.append(ds.Linear(1, 1))  # as in a greenlet, whose caller is not on this stack
    try:
        assert open_call() is None
    finally:
        state.modules.pop()


def test_a_trace_that_begins_inside_a_module_has_its_modules(followed: None) -> None:
    class Net(ds.Module):
        def __init__(self) -> None:
            self.inner = ds.Linear(2, 2)

        def forward(self, x: Any) -> Any:
            with ds.trace() as graph:
                x = self.inner(x).relu()
            graphs.append(graph)
            return x

    graphs: list[Graph] = []
    net = Net()
    net(ds.ones(1, 2))
    net(ds.ones(1, 2))
    for graph in graphs:
        assert [call.path for call in graph.modules] == ["net", "net.inner"]
        store = store_of(graph)
        slots = {store.text(slot.op): slot for slot in store.structure.slots if slot.op}
        assert slots["linear"].group.module == "net.inner"
        assert slots["relu"].group.module == "net"
        line = Net.forward.__code__.co_firstlineno + 2
        assert {store.frames[slot.frame].line for slot in slots.values()} == {line}


def test_nodes_stand_where_they_always_do_when_a_level_rises_inside_a_module(followed: None) -> None:
    store = GraphStore()
    rises: list[Callable[[], None]] = []
    net = Outer(nothing, lambda: rises[0]())
    tracer = Tracer(bus, lambda: DirectOutlet(store.feed), level=0)
    rises.append(lambda: tracer.set_level(1))
    counts = []
    try:
        for _ in range(5):
            net(ds.ones(1, 2)).sum().backward()
            counts.append(len(store.structure.slots))
    finally:
        tracer.close()
    assert counts[1:] == [counts[1]] * 4, "the first nodes have places of their own"
    slots = [slot for slot in store.structure.slots if slot.op and not slot.phase]
    assert {(store.text(slot.op), slot.group.module) for slot in slots} == {
        *((op, f"net.blocks.{i}{where}") for i in (0, 1) for op, where in (("linear", ".first"), ("mul", ""), ("linear", ".second"))),
        ("add", "net"),
        ("sum", ""),
    }  # fmt: skip
