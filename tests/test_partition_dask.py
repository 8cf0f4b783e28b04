"""A graph in parts on a Dask cluster of separate worker processes: the same results, and the work is really theirs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine as ds
from engine.program import Ref

distributed = pytest.importorskip("distributed", reason="dask is not installed (extra: distributed)")
pytestmark = pytest.mark.xdist_group("dask")  # one cluster is enough


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    before = dict(os.environ)
    yield from _clients()
    # Dask leaves OMP_NUM_THREADS=1 behind in this process: programs that other tests start would sum in another order.
    os.environ.clear()
    os.environ.update(before)


def _clients() -> Iterator[Any]:
    root = str(Path(__file__).resolve().parents[1])
    # The workers are new interpreters: in a bare checkout they have to be told where the engine is.
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", memory_limit=0,
            env={"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]), "OMP_NUM_THREADS": "1"},
        ) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip
        client.wait_for_workers(2)
        yield client


def work_done(client: Any) -> dict[str, int]:
    counts: dict[str, int] = client.run(lambda dask_worker: dask_worker.state.transition_counter)
    return counts


def test_two_worker_processes_give_what_one_process_gives(client: Any) -> None:
    pids = set(client.run(os.getpid).values())
    assert len(pids) == 2
    assert os.getpid() not in pids
    ds.manual_seed(0)
    x = ds.randn(16, 16)
    weights = [ds.randn(16, 16) for _ in range(4)]
    with ds.trace(level=2) as trace:
        out = ds.stack([ds.dropout(ds.tanh(x @ w) @ w, 0.1) for w in weights]).sum()
    parts = ds.partition(trace, 2, seconds_a_byte=0, seconds_a_segment=0)
    assert len({segment.lane for segment in parts.segments}) == 2
    before = work_done(client)
    found = parts.run(executor=client.get_executor())
    np.testing.assert_array_equal(found[Ref(out.node.id)], out.array)
    after = work_done(client)
    assert sum(after.values()) - sum(before.values()) >= 2 * len(parts.segments)  # each is received and run
    other = ds.randn(16, 16)
    again = parts.run({x: other}, executor=client.get_executor())
    alone = parts.run({x: other})
    np.testing.assert_array_equal(again[Ref(out.node.id)], alone[Ref(out.node.id)])


def test_what_a_worker_raises_arrives_with_its_sentence(client: Any) -> None:
    @ds.custom_op
    def only_here(x: Any) -> Any:
        return x * 2

    try:
        with ds.trace(level=2) as trace:
            only_here(ds.ones(3))
        parts = ds.partition(trace, 2)
        with pytest.raises(KeyError, match="no op 'only_here' in this process; import the module"):
            parts.run(executor=client.get_executor())
    finally:
        ds.OPS.pop("only_here", None)
