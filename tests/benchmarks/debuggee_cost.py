"""What following an op costs the program itself: level 1 into a ring that nobody reads, beside the same ops alone.

No server and no second process, so the figures are the program's side only; `trace_cost.py` has them with the server
beside it. The two ways alternate in one process, in stretches of a few hundred ops, and the shortest of each is shown:
that one was disturbed least.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from measure import machine

import dsviz as ds
from dsviz.debuggee.link import RingOutlet
from dsviz.debuggee.tracer import Tracer
from dsviz.wire.ring import RingWriter
from engine.bus import bus

ROUNDS = 200


class Net(ds.Module):
    def __init__(self) -> None:
        self.a, self.b = ds.Linear(8, 8), ds.Linear(8, 8)

    def forward(self, x: Any) -> Any:
        return self.b(ds.relu(self.a(x)))


def chain() -> Any:
    y = x = ds.ones(4, requires_grad=True)
    for _ in range(40):
        y = y * 1.001 + x
    return y.sum()


net, batch = Net(), ds.ones(2, 8)


def modules() -> Any:
    y = batch
    for _ in range(10):
        y = net(y)
    return y.sum()


def main() -> None:
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        ring = RingWriter(str(Path(folder) / "ring"), 64 << 20)
        tracer = Tracer(bus, lambda: RingOutlet(ring), level=0)
        for name, program, ops in (("chain of tiny ops", chain, 81), ("tiny modules", modules, 31)):
            ways = {level: shortest(program, tracer, ring, level) for level in (0, 1, 0, 1)}
            for part, (bare, traced) in zip(
                ("forward", "backward"), zip(*ways.values(), strict=True), strict=True
            ):
                print(
                    f"{name:18} {part:9} {bare / ops / 1e3:.2f} us an op alone, {traced / ops / 1e3:.2f} us at level 1: "
                    f"+{(traced - bare) / ops / 1e3:.2f} us, x{traced / bare:.1f}"
                )
        ring.close()


def shortest(program: Callable[[], Any], tracer: Tracer, ring: RingWriter, level: int) -> tuple[int, int]:
    """Nanoseconds of the forward and of the backward ops, the least of many turns."""
    tracer.set_level(level)
    program().backward()
    times = []
    for _ in range(ROUNDS):
        ring._words[16] = ring.head  # as a reader that keeps up would
        begin = time.perf_counter_ns()
        y = program()
        middle = time.perf_counter_ns()
        y.backward()
        times.append((middle - begin, time.perf_counter_ns() - middle))
    tracer.set_level(0)
    return min(a for a, _ in times), min(b for _, b in times)


if __name__ == "__main__":
    main()
