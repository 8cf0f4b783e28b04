"""What a long run takes in memory: the store of a page, a recording of it, and a jump back into its past.

`python tests/benchmarks/store_growth.py [NODES]` (default a million). A made-up training loop of 40 nodes an iteration.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from measure import machine

from dsviz import events as ev
from dsviz.recording import Meta, Recording
from dsviz.recording.past import Past, before
from dsviz.store import GraphStore


def run(nodes: int) -> Iterator[Any]:
    for number, text in enumerate(("/x/train.py", "step", "float32", "net", "Net"), 1):
        yield ev.Text(number, text)
    for i in range(8):
        yield ev.Text(10 + i, f"op{i}")
    yield ev.Site(1, "for", 1, 3, (4, 9), (0, 0), "for i in range(n)", "<module>")
    for i in range(20):
        yield ev.Frame(i + 1, 0, 1, 4 + i % 5, 2, 10 + i * 2)
    yield ev.Leaf(1, "parameter", "w", (8, 8), 3, 256, 0)
    node = call = 1
    now = turn = 0
    while node < nodes:
        call += 1
        yield ev.LoopTurn(1, turn, now)
        yield ev.Iteration(turn, now)
        yield ev.ModuleEntered(call, 0, 4, 5, 1, now)
        first = node + 1
        for k in range(40):
            node += 1
            now += 1000
            if k < 20:
                yield ev.Allocated(node, 256, 2, node, now)
                inputs = (node - 1, 1) if k else (1,)
                yield ev.Op(
                    node, 10 + k % 8, 0, inputs, (8, 8), 3, call, k + 1, 0, turn, now, 500, 256, 0, {}
                )
            else:
                if k == 20:
                    yield ev.ModuleLeft(call, now)
                twin = first + 39 - k
                yield ev.Op(
                    node, 10 + (39 - k) % 8, 1, (node - 1,), (8, 8), 3, call, 40 - k, twin, turn, now, 500, 256, 0, {}
                )  # fmt: skip
                yield ev.Released(twin, now)
        turn += 1


def megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def batches(nodes: int) -> Iterator[list[Any]]:
    batch = []
    for event in run(nodes):
        batch.append(event)
        if len(batch) == 512:
            yield batch
            batch = []
    yield batch


def main() -> None:
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(machine())
    store, began, spent, told = GraphStore(), megabytes(), 0.0, 0
    for batch in batches(nodes):
        start = time.process_time()
        store.feed_many(batch)
        spent += time.process_time() - start
        if store.count >= told + nodes // 5:
            told = store.count
            print(
                f"store  {store.count:>9,} nodes  +{megabytes() - began:.0f} MB  {spent / store.count * 1e6:.2f} us a node"
            )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.dsviz"
        writer, spent = Recording.create(path, Meta()), 0.0
        for batch in batches(nodes):
            start = time.perf_counter()
            writer.extend(batch)
            spent += time.perf_counter() - start
        writer.close()
        print(
            f"record {nodes:>9,} nodes  {path.stat().st_size / 1e6:.0f} MB on disk  {spent / nodes * 1e6:.2f} us a node"
        )
        start = time.perf_counter()
        with Recording.open(path) as recording:
            opened = time.perf_counter()
            Past(recording).store(recording.count - 1000)
            there = time.perf_counter()
            before(recording, recording.count - 1000, lambda event: isinstance(event, ev.Op))
            print(f"past   open {opened - start:.3f} s, a moment near its end {there - opened:.2f} s, the node before it "
                  f"{(time.perf_counter() - there) * 1e3:.1f} ms")  # fmt: skip


if __name__ == "__main__":
    main()
