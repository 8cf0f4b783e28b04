"""What a subscriber learns: events in order, switches, memory, traces, shapes promised, and random replays."""

from __future__ import annotations

import contextlib
import gc
import weakref
from typing import Any

import numpy as np
import pytest

import engine as ds
from engine import random
from engine.bus import KINDS, bus
from engine.switches import switches


class Recorder:
    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def __call__(self, kind: str, subject: Any) -> None:
        self.events.append((kind, subject))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]

    def ops(self, kind: str = "op_finish") -> list[str]:
        return [s.op.name + "'" * (s.phase == 1) for k, s in self.events if k == kind]


@pytest.fixture
def fresh() -> Any:
    yield
    switches.clear()
    assert not bus.active


def test_events_come_in_order(fresh: Any) -> None:
    net = ds.Linear(2, 1)
    seen = Recorder()
    with bus.subscribe(seen, "op_start", "op_finish", "module_enter", "module_exit", "gradient", "leaf"):
        net(ds.ones(1, 2)).sum().backward()
    assert seen.ops() == ["linear", "sum", "sum'", "linear'"]
    kinds = [k for k in seen.kinds() if k not in ("leaf", "gradient")]
    assert kinds == [
        "module_enter", "op_start", "op_finish", "module_exit", *["op_start", "op_finish"] * 3,
    ]  # fmt: skip
    assert seen.kinds().count("gradient") == 2
    roles = [s.role for k, s in seen.events if k == "leaf"]
    assert sorted(roles) == ["constant", "parameter", "parameter"]
    numbers = [s.id for k, s in seen.events if k == "op_finish"]
    assert numbers == sorted(set(numbers))
    call = next(s for k, s in seen.events if k == "module_enter")
    assert (call.path, call.cls, call.depth) == ("net", "Linear", 0)


def test_the_value_is_there_only_while_sinks_look(fresh: Any) -> None:
    values: list[Any] = []
    nodes: list[Any] = []

    def sink(kind: str, node: Any) -> None:
        values.append(node.out.copy())
        nodes.append(node)

    with bus.subscribe(sink, "op_finish"):
        ds.ones(2) * 3
    assert values[0].tolist() == [3.0, 3.0]
    assert nodes[0].out is None
    assert nodes[0].arrays is None
    assert nodes[0].duration >= 0


def test_a_sink_that_fails_is_detached_and_told_once(fresh: Any, capsys: Any) -> None:
    calls: list[str] = []

    def broken(kind: str, subject: Any) -> None:
        calls.append(kind)
        raise ValueError("a debugger's mistake")

    with bus.subscribe(broken):
        assert (ds.ones(2) + 1).tolist() == [2.0, 2.0]
        ds.ones(2) + 1
    assert len(calls) == 1
    assert "was detached" in capsys.readouterr().err


def test_interrupts_pass_through_a_sink(fresh: Any) -> None:
    def stop(kind: str, subject: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), bus.subscribe(stop, "op_start"):
        ds.ones(2) + 1


def test_a_closed_handle_hears_nothing(fresh: Any) -> None:
    seen = Recorder()
    handle = bus.subscribe(seen)
    handle.close()
    handle.close()
    ds.ones(2) + 1
    assert seen.events == []
    with pytest.raises(ValueError, match="no event kind 'op_stop'"):
        bus.subscribe(seen, "op_stop")
    assert all(getattr(bus, kind) == () for kind in KINDS)


def test_an_error_is_told_before_it_is_raised_and_can_be_replaced(fresh: Any) -> None:
    failures: list[Any] = []

    def mend(kind: str, failure: Any) -> None:
        failures.append(failure)
        failure.replacement = np.zeros((2, 3), np.float32)

    with bus.subscribe(mend, "op_error"):
        out = ds.ones(2, 3) + ds.ones(2, 4)
        x, after = ds.ones(2, 4, requires_grad=True), ds.ones(3, requires_grad=True)
        ((ds.ones(2, 3) * x) * after).sum().backward()
    assert out.tolist() == [[0.0] * 3] * 2
    assert x.grad is None, "what was given was not computed from x"
    assert after.grad is not None
    assert after.grad.tolist() == [0.0] * 3
    assert isinstance(failures[0].exception, ds.ShapeMismatchError)
    assert failures[0].clash == [(0, 1), (1, 1)]


def test_an_op_switched_off_is_silent_but_computes(fresh: Any) -> None:
    x = ds.ones(3, requires_grad=True)
    switches.set("op", "exp", False)
    seen = Recorder()
    with bus.subscribe(seen, "op_start", "op_finish"):
        ds.exp(x * 2).sum().backward()
    assert seen.ops() == ["mul", "sum", "sum'", "mul'"]
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.array, 2 * np.exp(2.0), rtol=1e-6)


def test_the_nearest_module_switch_decides(fresh: Any) -> None:
    net = ds.Sequential(ds.Linear(2, 2), ds.Sequential(ds.ReLU(), ds.Tanh()))
    switches.set("module", "net", False)
    switches.set("module", "net.1.0", True)
    seen = Recorder()
    with bus.subscribe(seen, "op_finish"):
        net(ds.ones(1, 2))
    assert seen.ops() == ["relu"]
    assert switches.get("module", "net.1.0")
    assert not switches.get("module", "net.1.1")
    with pytest.raises(ValueError, match="no switch for 'line'"):
        switches.set("line", 3, False)


def test_every_allocated_buffer_is_released(fresh: Any) -> None:
    seen = Recorder()
    with bus.subscribe(seen, "buffer"):
        net = ds.Sequential(ds.Linear(4, 8), ds.ReLU(), ds.Linear(8, 2))
        adam = ds.optim.Adam(net.parameters())
        for _ in range(3):
            loss = ds.cross_entropy(net(ds.randn(5, 4)), ds.tensor([0, 1, 0, 1, 1]))
            adam.zero_grad()
            loss.backward()
            adam.step()
        del net, adam, loss
        gc.collect()
        ds.ones(1) + 1  # releases are told at the next op
        gc.collect()
    events = [change for _, changes in seen.events for change in changes]
    allocated = {buffer.id: buffer for what, buffer, _ in events if what == "allocated"}
    released = [buffer.id for what, buffer, _ in events if what == "released"]
    assert len(released) == len(set(released))
    left = [allocated[i] for i in set(allocated) - set(released)]
    assert sum(b.nbytes for b in left) <= 8, [(b.id, b.category, b.nbytes) for b in left]
    assert {b.category for b in allocated.values()} >= {"gradients", "optimizer", "activations"}
    assert all(b.nbytes >= 0 for b in allocated.values())


def test_looking_for_names_keeps_no_value_alive(fresh: Any) -> None:
    net, x = ds.Linear(2, 2), ds.ones(4, 3)
    mine = locals()
    with pytest.raises(ds.ShapeMismatchError, match="in net"), bus.subscribe(Recorder()):
        net(x)
    assert mine["x"] is x  # a dictionary the program itself asked for stays as it was
    del mine
    gone = weakref.ref(x.array)
    del x
    with pytest.raises(ds.ShapeMismatchError), bus.subscribe(Recorder()):
        net(ds.ones(4, 3))
    gc.collect()  # an exception and its traceback hold one another
    assert gone() is None


def test_a_trace_knows_how_values_came_about(fresh: Any) -> None:
    x = ds.ones(2, 3)
    with ds.trace() as graph:
        y = ds.tanh(x @ ds.ones(3, 4)) * 2
    assert [n.op.name for n in graph.nodes if n.op] == ["matmul", "tanh", "mul"]
    assert [n.shape for n in graph.nodes] == [(2, 4)] * 3
    assert graph.nodes[1].inputs == (graph.nodes[0],)
    assert graph.nodes[2].inputs == (graph.nodes[1], None)
    assert len(graph.leaves) == 2
    assert all(n.filename == __file__ and n.line > 0 for n in graph.nodes)
    assert "3 nodes" in repr(graph)
    assert y.shape == (2, 4)


def test_iterations_are_counted_from_the_loop(fresh: Any) -> None:
    p = ds.ones(1, requires_grad=True)
    seen = Recorder()
    with bus.subscribe(seen, "iteration", "op_finish"):
        for _ in range(3):
            (p * 2).backward()
    turns = [s.iteration for k, s in seen.events if k == "op_finish" and s.phase == 0]
    assert [t - turns[0] for t in turns] == [0, 1, 2]


def test_assert_shape(fresh: Any) -> None:
    x = ds.ones(32, 256)
    assert ds.assert_shape(x, ("batch", 256)) is x
    assert ds.assert_shape(x, (None, None)) is x
    with pytest.raises(ds.ShapeMismatchError, match="256") as caught:
        ds.assert_shape(x, ("batch", 128))
    assert caught.value.got == (32, 256)
    with pytest.raises(ds.ShapeMismatchError):
        ds.assert_shape(x, (32,))
    with pytest.raises(ds.ShapeMismatchError):
        ds.assert_shape(x, ("n", "n"))
    with ds.trace():
        ds.assert_shape(x, ("batch", 256))
        with pytest.raises(ds.ShapeMismatchError, match="batch=32"):
            ds.assert_shape(ds.ones(16, 2), ("batch", 2))


def test_random_numbers_can_be_drawn_again(fresh: Any) -> None:
    ds.manual_seed(3)
    first = ds.randn(4), ds.rand(3), ds.randint(0, 9, (5,)), ds.randperm(6), ds.dropout(ds.ones(50))
    ds.manual_seed(3)
    again = ds.randn(4), ds.rand(3), ds.randint(0, 9, (5,)), ds.randperm(6), ds.dropout(ds.ones(50))
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.array, b.array)
    assert not np.array_equal(ds.randn(4).array, first[0].array)
    assert ds.initial_seed() == 3


def test_a_random_node_keeps_what_it_takes_to_repeat_it(fresh: Any) -> None:
    ds.manual_seed(8)
    with ds.trace() as graph:
        ds.randn(2)
        out = ds.dropout(ds.ones(100), 0.3)
    node = graph.nodes[-1]
    assert node.op is not None
    assert node.op.name == "dropout"
    replayed = random.uniform(node.kwargs["seed"], node.kwargs["counter"], (100,), np.float32) >= 0.3
    assert np.array_equal(out.array > 0, replayed)


def test_generators_are_independent(fresh: Any) -> None:
    a, b = ds.Generator(1), ds.Generator(1)
    ds.manual_seed(0)
    assert ds.randn(3, generator=a).tolist() == ds.randn(3, generator=b).tolist()
    state = a.get_state()
    x = ds.rand(2, generator=a).tolist()
    a.set_state(state)
    assert ds.rand(2, generator=a).tolist() == x


def test_dropout_keeps_the_mean(fresh: Any) -> None:
    ds.manual_seed(1)
    out = ds.dropout(ds.ones(20_000), 0.25)
    assert abs(float(out.mean()) - 1) < 0.02
    assert abs(float((out == 0).float().mean()) - 0.25) < 0.02
    x = ds.ones(3)
    assert ds.dropout(x, 0.5, training=False) is x


def trained(watch: Any = None) -> list[np.ndarray]:
    """The parameters of a network after three steps, with `watch` as a sink of everything where it is given."""
    ds.manual_seed(3)
    net = ds.Sequential(ds.Linear(300, 256), ds.ReLU(), ds.Linear(256, 256), ds.ReLU(), ds.Linear(256, 4))
    adam = ds.optim.Adam(net.parameters())
    rows = np.random.default_rng(0).standard_normal((128, 300)).astype(np.float32)
    with contextlib.ExitStack() as stack:
        if watch is not None:
            watch(stack)
        for _ in range(3):
            adam.zero_grad()
            ds.cross_entropy(net(ds.tensor(rows)), ds.tensor(np.arange(128) % 4)).backward()
            adam.step()
    return [p.detach().numpy().copy() for p in net.parameters()]


@pytest.mark.parametrize("looks", ["at nothing", "at results", "at arguments"])
def test_who_looks_changes_no_bit(fresh: Any, looks: str) -> None:
    sums = []

    def look(kind: str, node: Any) -> None:
        parts = node.out if isinstance(node.out, tuple) else (node.out,)
        given = node.arrays if looks == "at arguments" else ()
        sums.extend(float(a.sum()) for a in (*parts, *given) if getattr(a, "shape", None) is not None)

    def watch(stack: contextlib.ExitStack) -> None:
        sink = (lambda kind, node: None) if looks == "at nothing" else look
        stack.enter_context(bus.subscribe(sink, "op_finish", arguments=looks == "at arguments"))
        assert bus.arguments == (looks == "at arguments")

    for bare, watched in zip(trained(), trained(watch), strict=True):
        assert np.array_equal(bare, watched)
    assert bool(sums) == (looks != "at nothing")
    assert not bus.arguments


def test_a_gradient_put_off_is_computed_once_and_only_for_who_looks(
    fresh: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine import pending

    made = []
    monkeypatch.setattr(pending, "matmul", lambda a, b: made.append(a.shape) or a @ b)
    weight = ds.nn.Parameter(np.ones((64, 64), np.float32))
    given = []

    def look(kind: str, node: Any) -> None:
        if node.phase == 1:
            given.append((len(made), node.out[1], len(made)))

    with bus.subscribe(look, "op_finish"):
        ds.nn.functional.linear(ds.ones(2, 64, requires_grad=True), weight).backward(ds.ones(2, 64))
    assert [(before, after) for before, _, after in given] == [(0, 1)]
    assert len(made) == 1
    assert np.array_equal(given[0][1], weight.grad.numpy())
    with bus.subscribe(lambda kind, node: None, "op_finish"):
        (ds.nn.functional.linear(ds.ones(2, 64), weight) * 1.0).backward(ds.ones(2, 64))
    assert len(made) == 2
