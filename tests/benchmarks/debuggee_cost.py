"""What following an op costs the program itself: levels 1 and 2 into a ring that nobody reads, beside the same ops alone.

No server and no second process, so the figures are the program's side only; `trace_cost.py` has them with the server
beside it. What reading the ring takes, of another process's time, is shown after them. The ways alternate in one process, in stretches of a few hundred ops, and the shortest of each is shown:
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
from dsviz.debuggee.into_ring import RingOutlet
from dsviz.debuggee.tracer import Tracer
from dsviz.debuggee.values import Values
from dsviz.events import Op
from dsviz.wire.ring import RingReader, RingWriter
from dsviz.wire.short import Reading
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
        tracer = Tracer(bus, lambda: RingOutlet(ring), level=0, values=Values(1 << 26))
        reader, reading = RingReader(ring.path), Reading()
        for name, program, ops in (("chain of tiny ops", chain, 81), ("tiny modules", modules, 31)):
            ways = {level: shortest(program, tracer, ring, level) for level in (0, 1, 2, 0, 1, 2)}
            for at, part in enumerate(("forward", "backward")):
                bare, one, two = (ways[level][at] / ops / 1e3 for level in (0, 1, 2))
                print(
                    f"{name:18} {part:9} {bare:.2f} us an op alone, {one:.2f} us at level 1: +{one - bare:.2f} us, "
                    f"{two:.2f} us at level 2: +{two - bare:.2f} us"
                )
            for level in (1, 2):
                tracer.set_level(level)
                reading.events(list(reader.read(1 << 30)))
                for _ in range(20):
                    program().backward()
                tracer.set_level(0)
                records = list(reader.read(1 << 30))
                begin = time.process_time_ns()
                count = sum(isinstance(event, Op) for event in reading.events(records))
                took, size = time.process_time_ns() - begin, sum(map(len, records))
                print(
                    f"{name:18} level {level}: {size / count:.0f} bytes an op, read in {took / count / 1e3:.2f} us"
                )
        reader.close()
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
