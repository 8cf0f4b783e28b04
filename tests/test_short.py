"""What an op's short record says is what happened, whatever differs from one turn to the next."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import dsviz as ds
from dsviz import events as ev
from dsviz.debuggee.into_ring import RingOutlet
from dsviz.debuggee.lanes import KINDS
from dsviz.debuggee.outlets import DirectOutlet
from dsviz.debuggee.tracer import Tracer
from dsviz.debuggee.values import Values
from dsviz.wire import short
from dsviz.wire.ring import RingReader, RingWriter
from dsviz.wire.short import Called, Kind, Ran, Reading
from engine.bus import bus
from engine.node import Node


class Seen:
    """The facts of each node as it finishes, taken down by a second subscriber."""

    def __init__(self) -> None:
        self.facts: dict[int, tuple[Any, ...]] = {}

    def take(self, kind: str, node: Node) -> None:
        attrs = {k: v for k, v in node.attrs.items() if type(v) in (int, float, bool, str)}
        self.facts[node.id] = (
            node.op.name if node.op else "", node.phase, tuple(0 if i is None else i.id for i in node.inputs),
            node.shape, str(node.dtype), node.nbytes, 0 if node.phase == 1 else node.saved_bytes,
            sorted((k, type(v).__name__, repr(v)) for k, v in attrs.items()),
            0 if node.twin is None else node.twin.id, node.iteration, node.duration, node.line if not node.phase else 0,
        )  # fmt: skip


def told(found: list[Any]) -> dict[int, tuple[Any, ...]]:
    """The same facts, as the events have them."""
    texts = {event.id: event.text for event in found if isinstance(event, ev.Text)}
    frames = {event.id: event for event in found if isinstance(event, ev.Frame)}
    facts = {}
    for op in found:
        if isinstance(op, ev.Op):
            attrs = {k: v for k, v in op.attrs.items() if type(v) in (int, float, bool, str)}
            facts[op.node] = (
                texts[op.op], op.phase, tuple(op.inputs), tuple(op.shape), texts[op.dtype], op.nbytes, op.saved,
                sorted((k, type(v).__name__, repr(v)) for k, v in attrs.items()),
                op.twin, op.iteration, op.duration, frames[op.frame].line if not op.phase else 0,
            )  # fmt: skip
    return facts


def constants() -> None:
    x = ds.ones(3)
    for value in (2, 2.0, True, 0.0, -0.0, 1e30, float("inf"), 2, 2.0):
        x * value


def shapes() -> None:
    for size in range(1, KINDS + 20):
        ds.ones(size) + 1.0


def training() -> None:
    net = ds.Sequential(ds.Linear(4, 8), ds.ReLU(), ds.Linear(8, 2))
    adam = ds.optim.Adam(net.parameters())
    for size in (5, 5, 3, 5):
        loss = ds.cross_entropy(net(ds.randn(size, 4)), ds.tensor(np.arange(size) % 2))
        adam.zero_grad()
        loss.backward()
        adam.step()
        adam.param_groups[0]["lr"] *= 0.5


def helper(x: Any, factor: float) -> Any:
    return (x * factor).sum(dim=-1, keepdim=factor > 2)


def callers() -> None:
    x = ds.ones(2, 3, requires_grad=True)
    for factor in (1.0, 3.0, 1.0):
        helper(x, factor)
        (helper(x, factor) + helper(x, 2.0).reshape(2, 1)).sum().backward()
    parts = ds.split(x * 2.0, 1)
    (parts[0] + parts[1]).sum().backward()


def twice() -> None:
    x = ds.ones(3, requires_grad=True)
    (g,) = ds.grad((x * x * x).sum(), [x], create_graph=True)
    g.sum().backward()


@pytest.mark.parametrize("program", [constants, shapes, training, callers, twice])
def test_a_ring_tells_each_node_as_it_was(program: Any, tmp_path: Any) -> None:
    ring = RingWriter(str(tmp_path / "ring"), 4 << 20)
    direct: list[Any] = []
    seen = Seen()
    outlet = RingOutlet(ring)
    tracers = [Tracer(bus, lambda: outlet), Tracer(bus, lambda: DirectOutlet(direct.append))]
    with bus.subscribe(seen.take, "op_finish", arguments=False):
        program()
    for tracer in tracers:
        tracer.close()
    outlet.flush()
    reader = RingReader(ring.path)
    reading = Reading()
    ringed = reading.events(list(reader.read(8 << 20)))
    assert seen.facts
    assert not reading.damaged
    assert told(ringed) == seen.facts
    assert told(direct) == seen.facts
    records = {type(event) for event in (*ringed, *direct)}
    assert Ran not in records
    assert Kind not in records
    # The buffers' fates, which go along, are those of the other way, too.
    fates = [
        [(type(e).__name__, e.buffer) for e in some if isinstance(e, ev.Allocated | ev.Released)]
        for some in (ringed, direct)
    ]
    assert fates[0] == fates[1]
    reader.close()
    ring.close()


@pytest.mark.parametrize("program", [constants, training, callers, twice])
def test_statistics_that_the_reader_makes_are_those_of_the_program(program: Any, tmp_path: Any) -> None:
    ring = RingWriter(str(tmp_path / "ring"), 8 << 20)
    direct: list[Any] = []
    outlets = [RingOutlet(ring), DirectOutlet(direct.append)]
    tracers = [Tracer(bus, lambda: outlets.pop(0), level=2, values=Values(1 << 20)) for _ in range(2)]
    program()
    for tracer in tracers:
        tracer.close()
    reader, reading = RingReader(ring.path), Reading()
    ringed = reading.events(list(reader.read(8 << 20)))
    assert not reading.damaged
    for kind in (ev.Summary, ev.Value, ev.Recipe):
        said = [[repr(event) for event in some if isinstance(event, kind)] for some in (ringed, direct)]
        assert said[0] == said[1]
        assert said[0] or kind is ev.Recipe
    reader.close()
    ring.close()


def test_a_value_that_is_none_has_no_statistics() -> None:
    reading = Reading()
    for dtype, shape in (("<f4", (3,)), ("O", (1,)), ("nothing", ()), ("<f4", (-2, 7))):
        seen = short.Seen(3, "output", dtype, shape, (), bytes(8))
        assert [type(event) for event in reading.events([ev.encoded(seen)])] == [ev.Value]
    assert not reading.damaged


def outlet_into(ring: RingWriter, number: int) -> list[Any]:
    """What a ring says of a few nodes, calls and turns whose numbers begin at `number`."""
    outlet, reader, reading, found = RingOutlet(ring), RingReader(ring.path), Reading(), []
    like: Any = SimpleNamespace(number=1, nbytes=16)
    module = Called(1, 6, 7, 8)
    outlet.definition(Kind(1, 4, 0, (2, 2), 5, 9, 16, 0, {"dim": 1}))
    outlet.definition(module)
    for turn in range(200):
        node = number + turn
        buffers = [Fate(node + i, 16 if i == 2 else 8) for i in range(6)]
        some = [None, (buffers[:1], buffers[2:3], ()), (buffers[:3], buffers[3:], buffers[1:3])][turn % 3]
        inputs = tuple(range(turn % 5, 2 * (turn % 5)))
        outlet.ran(node, like, turn, turn % 2, number, 5, 7 * number, inputs, some)
        outlet.entered(node, turn, module, number)
        outlet.turn(3, 4, turn - 1, number)
        outlet.later(ev.Released(9, number))
        outlet.left(node, turn % 2 == 0, number)
        found += reading.events(list(reader.read()))
    assert not reading.damaged
    reader.close()
    return found


class Fate:
    """A buffer, as far as a record says something of it."""

    reused, category = True, "saved"

    def __init__(self, id: int, nbytes: int) -> None:
        self.id, self.nbytes = id, nbytes


@pytest.mark.parametrize("number", [5, (1 << 28) - 100, (1 << 32) - 100, 1 << 40])
def test_packed_records_say_what_the_events_do_wherever_they_lie_and_however_large(
    number: int, tmp_path: Any
) -> None:
    said = []
    for capacity in (1 << 20, 1 << 11):  # never, and again and again, around the end
        ring = RingWriter(str(tmp_path / str(capacity)), capacity)
        said.append(outlet_into(ring, number))
        ring.close()
    assert said[0] == said[1]
    ops = [event for event in said[0] if isinstance(event, ev.Op)]
    assert [op.node for op in ops] == list(range(number, number + 200))
    assert [(op.call, op.twin, op.iteration) for op in ops[:3]] == [
        (0, 0, number),
        (1, 1, number),
        (2, 0, number),
    ]
    assert [(tuple(op.inputs), op.start, op.duration) for op in ops[2:4]] == [
        ((2, 3), 7 * number, 5), ((3, 4, 5), 7 * number, 5),
    ]  # fmt: skip
    at = said[0].index(ops[2])
    assert said[0][at - 8 : at] == [
        *[ev.Released(number + 2 + i, 7 * number) for i in range(3)],
        *[ev.Allocated(number + 5 + i, 8, ev.SAVED, number + 2, 7 * number + 5, True) for i in range(3)],
        *[ev.Recategorised(number + 3 + i, ev.SAVED, 7 * number + 5) for i in range(2)],
    ]
    assert said[0][at + 1 : at + 5] == [
        ev.ModuleEntered(number + 2, 2, 6, 7, 8, number), ev.LoopTurn(3, 1, number, 4), ev.Released(9, number),
        ev.ModuleLeft(number + 2, number, True),
    ]  # fmt: skip


def test_what_runs_again_takes_less_room_than_in_full() -> None:
    found: list[Any] = []

    class Keeping(DirectOutlet):
        def event(self, event: Any) -> None:
            found.append(event)

    tracer = Tracer(bus, lambda: Keeping(lambda event: None))
    x = ds.ones(3)
    for _ in range(20):
        x = x * 1.5
    tracer.close()
    assert sum(isinstance(event, Kind) for event in found) == 0  # definitions go their own way
    ran = [event for event in found if isinstance(event, Ran)]
    assert len(ran) == 20
    assert len({event.like for event in ran}) == 1
    assert all(event.attrs is None for event in ran)


def test_a_record_of_an_unknown_kind_damages_the_ring_and_keeps_what_came_before() -> None:
    reading = Reading()
    some = [
        ev.encoded(ev.Text(1, "mul")),
        ev.encoded([ev.Released(4, 5), Ran(3, 9, (), 0, 0, 0, 1, 1)]),
        ev.encoded(ev.Text(2, "add")),
    ]
    assert reading.events(some) == [ev.Text(1, "mul"), ev.Released(4, 5)]
    assert reading.damaged


PACKED = [
    b"\xc1\xfb\x02",  # too short
    b"\xc1\xfb\x01\0" + bytes(60),  # of a kind that was not told
    b"\xc1\x01\xff\xff" + bytes(40),  # fewer numbers than it says
    b"\xc1\xfa\xff\xff" + bytes(36),  # more than a record may hold
    b"\xc1\xfc\0\0" + bytes(20),  # of no sort there is
    b"\xc1\xfe\0\0" + bytes(20),  # a module's call of a kind that was not told
    b"\xc1\xfd\0\0" + bytes(7),
    b"\x91\x1d",  # stands for a packed one that is not there
]


@pytest.mark.parametrize(
    "junk",
    [*PACKED, b"", b"\xc1", b"\x91\xcc", b"\xdd\xff\xff\xff\xff", b"\x93\x1a\x01", b"\x92\x01\xa1\xff"],
)
def test_what_is_no_record_ends_the_reading(junk: bytes) -> None:
    reading = Reading()
    found = reading.events([ev.encoded(ev.Text(1, "mul")), junk, ev.encoded(ev.Text(2, "add"))])
    assert found == [ev.Text(1, "mul")]
    assert reading.damaged


class Sent(DirectOutlet):
    """Takes down whose values are sent."""

    def __init__(self) -> None:
        super().__init__(lambda event: None)
        self.values: list[int] = []

    def extra(self, event: Any, what: str) -> bool:
        if isinstance(event, ev.Value):
            self.values.append(event.node)
        return True

    def times(self, parameter: Any) -> int:
        return self.values.count(parameter.node.id)


def test_a_parameter_s_value_is_sent_when_it_has_changed() -> None:
    class Net(ds.Module):
        def __init__(self) -> None:
            self.trained, self.frozen = ds.Linear(3, 3), ds.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            return self.trained(self.frozen(x))

    net = Net()
    for parameter in net.frozen.parameters():
        parameter.requires_grad_(False)
    sgd = ds.optim.SGD(net.trained.parameters(), lr=0.1)
    sent = Sent()
    tracer = Tracer(bus, lambda: sent, level=2, values=Values(1 << 20))
    try:
        for turn in range(6):
            sgd.zero_grad()
            net(ds.ones(2, 3)).sum().backward()
            sgd.step()
            if turn == 3:
                net.frozen.weight.array[0, 0] = 5.0  # which no op of the engine does
    finally:
        tracer.close()
    assert sent.times(net.trained.weight) == sent.times(net.trained.bias) == 6
    assert sent.times(net.frozen.bias) == 2  # once more, with a digest, to be compared from then on
    assert sent.times(net.frozen.weight) == 3
