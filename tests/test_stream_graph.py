"""An endless stream: each batch is one block, nothing grows, and the structure may change in between."""

from __future__ import annotations

import gc
import threading
import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest

import engine as ds
from engine.bus import bus


class Online(ds.Module):
    """A recurrent model that carries its state from batch to batch and grows when told."""

    def __init__(self) -> None:
        self.cell = ds.Linear(5, 3)
        self.head = ds.Linear(3, 1)
        self.state: Any = ds.zeros(1, 3)

    def forward(self, batch: Any) -> Any:
        x = ds.cat([ds.tensor(batch), self.state], 1)
        self.state = ds.tanh(self.cell(x))
        return (self.head(self.state) ** 2).mean()

    def update_rules(self) -> None:
        self.head = ds.Linear(3, 1)


def batches(count: int) -> Any:
    rng = np.random.default_rng(0)
    for _ in range(count):
        yield rng.standard_normal((1, 2)).astype(np.float32)


def test_a_carried_state_is_cut_at_the_block() -> None:
    ds.manual_seed(0)
    one, two = Online(), Online()
    two.load_state_dict(one.state_dict())
    for batch in batches(3):
        with ds.stream_graph():
            one.zero_grad()
            one(batch).backward()
        two.zero_grad()
        two.state = two.state.detach()
        two(batch).backward()
        for p, q in zip(one.parameters(), two.parameters(), strict=True):
            assert p.grad is not None
            assert q.grad is not None
            np.testing.assert_array_equal(p.grad.array, q.grad.array)


def test_nothing_grows_over_many_batches() -> None:
    net = Online()
    optimizer = ds.optim.Adam(net.parameters())

    def learn(count: int) -> None:
        for i, batch in enumerate(batches(count)):
            with ds.stream_graph(window=50):
                loss = net(batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            if i % 20 == 19:
                net.update_rules()

    learn(60)
    gc.collect()
    before = len(gc.get_objects())
    tracemalloc.start()
    learn(60)
    gc.collect()
    first = tracemalloc.get_traced_memory()[0]
    learn(180)
    gc.collect()
    second = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert second - first < 20_000
    assert len(gc.get_objects()) - before < 500
    assert len(optimizer.state) == 4


def test_the_old_graph_is_let_go() -> None:
    net = Online()
    with ds.stream_graph(window=0):
        net(next(batches(1)))
    old = weakref.ref(net.state.node)
    assert old() is not None
    with ds.stream_graph(window=0):
        net(next(batches(1)))
    gc.collect()
    assert old() is None


def test_the_window_keeps_the_last_nodes() -> None:
    net = Online()
    for batch in batches(10):
        with ds.stream_graph(window=12) as graph:
            net(batch).backward()
    assert len(graph.nodes) == 12
    assert graph.dropped > 50
    numbers = [n.id for n in graph.nodes]
    assert numbers == sorted(numbers)
    assert graph.nodes[-1].label == "linear'"
    assert all(subject.id >= numbers[0] for kind, subject in graph.records if kind == "op_finish")
    assert not bus.active


def test_each_block_is_an_iteration() -> None:
    net = Online()
    turns = []
    for batch in batches(3):
        with ds.stream_graph() as graph:
            net(batch)
        turns.append(graph.nodes[-1].iteration)
    assert [t - turns[0] for t in turns] == [0, 1, 2]


def test_after_an_exception_everything_is_as_before() -> None:
    with pytest.raises(KeyError), ds.stream_graph():
        raise KeyError("the stream broke")
    assert not bus.active
    with ds.stream_graph():
        ds.ones(1) + 1


def test_threads_have_their_own_streams() -> None:
    done = []

    def other() -> None:
        with ds.stream_graph() as graph:
            ds.ones(1) + 1
        done.append(len(graph.nodes))

    with ds.stream_graph():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(30)
    assert done == [1]


@pytest.mark.parametrize("window", [-1, 2.5, "10", None, True])
def test_a_window_that_cannot_be(window: Any) -> None:
    with pytest.raises(ValueError, match="window takes a whole number of nodes"):
        ds.stream_graph(window=window)


def test_a_block_in_a_block_is_refused() -> None:
    with ds.stream_graph(), pytest.raises(RuntimeError, match="one batch is one block"):
        ds.stream_graph().__enter__()
    assert not bus.active
