"""A graph in parts: the same results on threads, on processes and in any order, and clear words for what cannot be."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import engine as ds
from engine.program import Ref


class Wide(ds.Module):
    """Branches that can run at once, several results, noise, and a meeting at the end."""

    def __init__(self, branches: int = 4) -> None:
        self.branches = ds.ModuleList([ds.Linear(16, 16) for _ in range(branches)])

    def forward(self, x: Any) -> Any:
        outs = [ds.dropout(ds.tanh(branch(x)) @ branch.weight, 0.1) for branch in self.branches]
        low, high = ds.split(ds.cat(outs, 1), [16, 16 * (len(outs) - 1)], 1)
        return low.sum() * 2 - high.max(1)[0], 3 - high


def traced(branches: int = 4) -> tuple[Any, Any, Any]:
    ds.manual_seed(0)
    net, x = Wide(branches), ds.randn(8, 16)
    with ds.trace(level=2) as trace:
        outs = net(x)
    return trace, x, outs


@pytest.mark.parametrize("k", [1, 2, 3, 8])
def test_split_is_equal_to_unsplit(k: int) -> None:
    trace, _, outs = traced()
    parts = ds.partition(trace, k)
    assert len(parts.costs) == k
    found = parts.run()
    assert parts.last is not None
    for out in outs:
        np.testing.assert_array_equal(found[Ref(out.node.id)], out.array)
    assert sum(len(s.calls) for s in parts.segments) == len(trace.nodes)
    for i, segment in enumerate(parts.segments):
        assert all(need < i for need in segment.needs)


def test_branches_land_in_different_parts_and_costs_are_balanced() -> None:
    trace, _, _ = traced(4)
    for node in trace.nodes:
        node.duration = 1_000_000 if node.label in ("linear", "matmul") else 1
    parts = ds.partition(trace, 2)
    assert max(parts.costs) / sum(parts.costs) < 0.55
    assert parts.predicted > 1.8
    assert len({parts.lane_of[n.id] for n in trace.nodes if n.label == "linear"}) == 2
    assert 0 < parts.cut_bytes <= 4 * 8 * 16 * 4 + 64
    assert "part 1: " in parts.describe()
    assert "predicted" in parts.describe()
    assert "last run" not in parts.describe()


def test_bytes_that_are_dear_are_not_cut() -> None:
    trace, _, _ = traced(2)
    assert ds.partition(trace, 2, seconds_a_byte=1.0).cut == []


def test_processes_give_the_same() -> None:
    trace, _, outs = traced(2)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = ds.partition(trace, 2).run(executor=pool)
    for out in outs:
        np.testing.assert_array_equal(found[Ref(out.node.id)], out.array)


def test_another_input_gives_another_result() -> None:
    ds.manual_seed(0)
    net, x = ds.Sequential(ds.Linear(4, 4), ds.ReLU(), ds.Linear(4, 2)), ds.randn(3, 4)
    with ds.trace(level=2) as trace:
        net(x)
    other = ds.randn(3, 4)
    (found,) = ds.partition(trace, 2).run({x: other}).values()
    np.testing.assert_array_equal(found, net(other).array)


class Backwards(Executor):
    """Runs what it is given only when asked for, the last first."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1)

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self.pool.submit(fn, *args, **kwargs)


def test_any_executor_will_do() -> None:
    trace, _, outs = traced()
    executor = Backwards()
    found = ds.partition(trace, 3).run(executor=executor)
    executor.pool.shutdown()
    np.testing.assert_array_equal(found[Ref(outs[1].node.id)], outs[1].array)


def test_what_a_segment_raises_arrives() -> None:
    @ds.custom_op
    def fails(x: Any) -> Any:
        if x.shape[0] and state["fail"]:
            raise KeyError("in the worker")
        return x

    state = {"fail": False}
    try:
        with ds.trace(level=2) as trace:
            fails(ds.ones(2))
        parts = ds.partition(trace, 2)
        state["fail"] = True
        with pytest.raises(KeyError, match="in the worker"):
            parts.run()
        del ds.OPS["fails"]
        with pytest.raises(KeyError, match="no op 'fails' in this process; import the module"):
            parts.run()
    finally:
        ds.OPS.pop("fails", None)


def test_what_cannot_be_partitioned() -> None:
    trace, x, _ = traced(2)
    for k in (0, -1, 1.5, True, "2"):
        with pytest.raises(ValueError, match="k takes a whole number of parts, 1 or more"):
            ds.partition(trace, k)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"a trace was expected .*, got Wide"):
        ds.partition(Wide(), 2)  # type: ignore[arg-type]
    with ds.trace() as shallow:
        ds.ones(2) + 1
    with pytest.raises(ValueError, match=r"trace with ds\.trace\(level=2\)"):
        ds.partition(shallow, 2)
    with ds.trace(level=2) as empty:
        pass
    with pytest.raises(ValueError, match="holds no forward node"):
        ds.partition(empty, 2)
    parts = ds.partition(trace, 2)
    with pytest.raises(KeyError, match="is no leaf of this graph"):
        parts.run({999_999: x})
    with pytest.raises(ValueError, match=r"takes \[8, 16\] float32, got \[4, 16\] float32"):
        parts.run({x: ds.randn(4, 16)})


def test_a_backward_pass_in_the_trace_is_left_out() -> None:
    net, x = ds.Linear(3, 2), ds.randn(4, 3)
    with ds.trace(level=2) as trace:
        loss = net(x).sum()
        loss.backward()
    (found,) = ds.partition(trace, 2).run().values()
    assert found == loss.array


def test_values_from_before_the_trace_are_leaves_of_it() -> None:
    w = ds.randn(3, 3)
    before = ds.randn(3, 3) * 2
    for _ in range(2):
        with ds.trace(level=2) as trace:
            out = before @ w
        assert len(trace.leaves) == 2
        (found,) = ds.partition(trace, 1).run().values()
        np.testing.assert_array_equal(found, out.array)
