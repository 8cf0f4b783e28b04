"""Programs whose every record is compared: followed in Python, by the compiled core, and by one that comes in the middle.

    python tests/core_programs.py python|compiled|late FILE

writes what each program's ring holds to FILE. The clock stands still, and everything else is the same in every run.
"""

from __future__ import annotations

import ast
import gc
import importlib.util
import os
import pickle
import signal
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import random_programs

import dsviz as ds
import engine
from dsviz.debuggee import core, probes
from dsviz.debuggee.into_ring import NoOutlet, RingOutlet
from dsviz.debuggee.tracer import Tracer
from dsviz.debuggee.values import Values
from dsviz.wire.ring import _TAIL, HEAD, HEADER, NODE, PLACE, RingWriter
from engine.bus import bus
from engine.iteration import iteration
from engine.switches import switches

TIME = 10**15
USE = core.use
# With branches and loops, which are told by probes in the source.
SOURCE = """
def branches(ds):
    x = ds.ones(3, requires_grad=True)
    for turn in range(20):
        y = x * float(turn % 3)
        while y.sum().item() > 1:
            y = y / 2
        if turn % 2:
            y = y + x
        elif turn % 5:
            y = (y - x).reshape(3, 1)
        y.sum().backward()

def recursion(ds):
    def down(x, depth):
        if depth:
            return down(x * 1.5, depth - 1) + x
        return x.sum()
    x = ds.ones(2, requires_grad=True)
    for depth in (1, 4, 9, 4, 30):
        down(x, depth).sum().backward()

def generators(ds):
    def values(x):
        for factor in (1, 2.0, True, 2.0, -0.0):
            yield x * factor
    x = ds.ones(2, requires_grad=True)
    for _ in range(4):
        total = x
        for value in values(x):
            total = total + value
        total.sum().backward()
    try:
        for value in values(x):
            value + ds.ones(3)
    except ValueError:
        x + 1
"""
_inside: dict[str, Any] = {}
_tracer: list[Tracer] = []  # the one that follows


class Inner(ds.Module):
    def __init__(self) -> None:
        self.linear = ds.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        return ds.tanh(self.linear(x) * 0.5)


class Outer(ds.Module):
    def __init__(self) -> None:
        self.inners = ds.nn.ModuleList([Inner() for _ in range(3)])
        self.norm = ds.nn.LayerNorm(4)
        self.out = ds.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        for inner in self.inners:
            x = x + inner(x)
        return self.out(ds.nn.functional.dropout(self.norm(x), 0.3))


def modules() -> None:
    ds.manual_seed(3)
    net = Outer()
    optimizer = ds.optim.Adam(net.parameters(), lr=0.01)
    for size in (5, 5, 3, 5, 5):
        loss = ds.cross_entropy(net(ds.randn(size, 4)), ds.tensor(np.arange(size) % 2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with ds.no_grad():
        net(ds.randn(2, 4))
    net.eval()(ds.randn(2, 4))


class Lowered(ds.Module):
    """Inside, it is followed no longer, and then again."""

    def __init__(self) -> None:
        self.outer = ds.Sequential(ds.Linear(2, 2), ds.Tanh())
        self.inner = ds.Linear(2, 2)
        self.low = False

    def forward(self, x: Any, depth: int = 2) -> Any:
        if not depth:
            x = self.inner(x)
            if self.low:
                _tracer[-1].set_level(self.level)
            return self.inner(x) * 2
        if self.low and depth == 2:
            self.level = _tracer[-1].level
            _tracer[-1].set_level(0)
        x = self.outer(x) + 1
        return self(x, depth - 1) + x


def lowered() -> None:
    net = Lowered()
    for net.low in (True, False, True):
        net(ds.ones(2, 2)).sum().backward()


def recurrent() -> None:
    cell, out = ds.nn.LSTMCell(3, 5), ds.Linear(5, 1)
    for _ in range(3):
        h, c = ds.zeros(2, 5), ds.zeros(2, 5)
        for _ in range(6):
            h, c = cell(ds.ones(2, 3), (h, c))
        out(h).sum().backward()


def failures() -> None:
    x = ds.ones(2, 3, requires_grad=True)
    for wrong in (
        lambda: x + ds.ones(4),
        lambda: x @ x,
        lambda: x.reshape(7),
        lambda: ds.log(x, "no"),
        lambda: x * "no",
    ):
        for _ in range(3):
            try:
                wrong()
            except Exception as error:  # noqa: BLE001 - whatever it is, both have to raise it
                _inside.setdefault("errors", []).append((type(error).__name__, str(error)))
            (x * 2).sum()
    with np.errstate(all="raise"):
        try:
            ds.log(x * 0.0)
        except Exception as error:  # noqa: BLE001 - see above
            _inside["errors"].append((type(error).__name__, str(error)))


def many() -> None:
    x = ds.ones(2, 3, requires_grad=True)
    for _ in range(3):
        y = ds.cat([x, x * 2, x, x, x + 1], 0)
        a, b, *_ = ds.split(y, 2)
        z = ds.stack([a, b]).transpose(0, 1)[0] + ds.where(a > b, a, b)
        z = z.sum() + ds.max(y, 1)[0].sum() + y.view(-1)[2:5].sum() + y.t().sum()
        z.backward(retain_graph=True)
        z.backward()
    w = ds.zeros(3)
    w += 1
    w[1] = 5.0
    w.mul_(2)


def large() -> None:
    x = ds.ones(300, 300, requires_grad=True)
    for _ in range(3):
        y = ds.relu(x * 2) @ x
        y = y + y.tanh()
        y.mean().backward()
        x.grad = None


def twice() -> None:
    x = ds.tensor([1.0, 2.0, 3.0], requires_grad=True)
    for _ in range(3):
        (g,) = ds.grad((x * x * x).sum(), [x], create_graph=True)
        (g * g).sum().backward()
    y = x * 2
    y.register_hook(lambda g: g * 3)
    y.sum().backward()


def dtypes() -> None:
    kinds = [ds.float32, ds.float64, ds.int64, ds.bool, ds.float16]
    if importlib.util.find_spec("ml_dtypes"):
        kinds.append(ds.bfloat16)
    for kind in kinds:
        x = ds.ones(3).to(kind)
        for _ in range(2):
            y = x + x
            _ = y * 2, y * 2.5, -y if kind is not ds.bool else y


def unwatched() -> None:
    x = ds.ones(2, requires_grad=True)
    y = x * 3
    with ds.graph_config(trace_level=0):
        z = y * y + x
    (z + y).sum().backward()
    switches.set("op", "mul", False)
    try:
        (x * 2 + x).sum().backward()
    finally:
        switches.clear()
    (x * 2 + x).sum().backward()


def random_ones() -> None:
    for seed in range(6):
        random_programs.play(engine, random_programs.draw(seed))


def long_without_gradient() -> None:
    x = ds.ones(2)
    for _ in range(120):
        x = x * 1.001


def threads() -> None:
    x = ds.ones(2, requires_grad=True)

    def work(times: int) -> None:
        for _ in range(times):
            (x * 2.0 + 1).sum().backward()

    for times in (3, 2):
        elsewhere(lambda times=times: work(times))  # type: ignore[misc]
        work(1)
    made = x * 4  # its gradient is asked for by another thread
    elsewhere(lambda: made.sum().backward())


def elsewhere(work: Callable[[], None]) -> None:
    """Do it in another thread, and wait until nothing is left of that."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    while thread.ident in sys._current_frames():
        pass


def sinks_that_fail() -> None:
    x = ds.ones(2, requires_grad=True)

    def failing(kind: str, subject: Any) -> None:
        raise ValueError(f"in {kind}")

    def stopping(kind: str, subject: Any) -> None:
        raise KeyboardInterrupt

    stderr, sys.stderr = sys.stderr, open(os.devnull, "w")  # noqa: SIM115
    try:
        for kind in ("op_start", "op_finish"):
            for _ in range(2):
                with bus.subscribe(failing, kind):
                    (x * 2).sum().backward()
                try:
                    with bus.subscribe(stopping, kind):
                        x * 2
                except KeyboardInterrupt:
                    x + 1
        y = (x * 2).sum()
        try:
            with bus.subscribe(stopping, "op_finish"):
                y.backward()
        except KeyboardInterrupt:
            x + 2
    finally:
        sys.stderr.close()
        sys.stderr = stderr


def replaced() -> None:
    x = ds.ones(2, requires_grad=True)

    def supply(kind: str, failure: Any) -> None:
        failure.replacement = np.zeros((2,), np.float32)

    with bus.subscribe(supply, "op_error"):
        for _ in range(2):
            (x + ds.ones(3)).sum()


def buffers_watched() -> None:
    seen: list[Any] = []
    x = ds.ones(2, requires_grad=True)

    def take(kind: str, changes: Any) -> None:
        seen.extend(
            (kind, what, buffer.id, buffer.category, buffer.nbytes, time) for what, buffer, time in changes
        )

    with bus.subscribe(take, "buffer"), bus.subscribe(take, "fate"):
        for _ in range(3):
            (x * 2 + x).sum().backward()
    _inside["buffers"] = seen


def forked() -> None:
    x = ds.ones(2, requires_grad=True)
    (x * 2).sum()
    child = os.fork()
    if child == 0:
        try:
            (x * 2).sum().backward()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    (x * 3).sum().backward()


def signalled() -> None:
    x = ds.ones(2, requires_grad=True)
    signal.signal(signal.SIGUSR1, lambda number, frame: (x * 2).sum().backward())
    for _ in range(4):
        os.kill(os.getpid(), signal.SIGUSR1)
        (x + 1).sum().backward()
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def finalised() -> None:
    class Computes:
        def __del__(self) -> None:
            ds.ones(2) * 3

    x = ds.ones(2, requires_grad=True)
    for _ in range(3):
        held: Any = Computes()
        del held
        (x * 2).sum().backward()


def deep() -> None:
    x = ds.ones(2)

    def down(depth: int) -> None:
        x + 1
        down(depth + 1)

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 200)
    try:
        with bus.subscribe(lambda kind, node: None, "op_start"):
            for _ in range(60):
                x + 1
    finally:
        sys.setrecursionlimit(limit)
    assert down


PROGRAMS: dict[str, Callable[[], None]] = {
    "modules": modules, "recurrent": recurrent, "failures": failures, "many": many, "large": large, "twice": twice,
    "dtypes": dtypes, "unwatched": unwatched, "random": random_ones, "long without gradient": long_without_gradient,
    "threads": threads, "sinks that fail": sinks_that_fail, "replaced": replaced, "buffers": buffers_watched, "lowered": lowered,
    "forked": forked, "signalled": signalled, "finalised": finalised, "deep": deep,
}  # fmt: skip
WAYS = ((1, 1 << 22), (2, 1 << 22), (2, 1 << 14))  # trace level, bytes of the ring
# When an exception's frames, or a thread's end, let go of a buffer is not the same in any two runs.
LOOSE = ("threads", "sinks that fail", "replaced")
PROBED = ("branches", "recursion", "generators")


def instrumented() -> Iterator[tuple[str, Callable[[], None]]]:
    """The programs of `SOURCE`, with probes."""
    tree, _ = probes.instrument(ast.parse(SOURCE), "probed.py", 1)
    names: dict[str, Any] = {}
    exec(compile(tree, "probed.py", "exec"), names)
    for name in PROBED:
        yield name, lambda name=name: names[name](ds)  # type: ignore[misc]


def stopped_clock() -> int:
    return TIME


def stop_clocks() -> None:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("engine", "dsviz") and hasattr(module, "perf_counter_ns"):
            module.perf_counter_ns = stopped_clock  # type: ignore[attr-defined]


def followed(
    program: Callable[[], None], folder: Path, level: int, capacity: int, arrives: bool, reads: bool
) -> dict[str, Any]:
    """What is told of a program; with `arrives` the compiled core comes when its second half begins."""
    rings: list[RingWriter] = []
    crumbs: list[tuple[int, int]] = []
    where = threading.local()

    def outlet() -> RingOutlet | NoOutlet:
        if len(rings) == 3:
            return NoOutlet()  # as on a full disk
        path = folder / f"ring{len(rings)}"
        rings.append(
            RingWriter(str(path), capacity, on_gap=lambda lost: repr(lost).encode(), on_full=lambda: True)
        )
        where.ring = rings[-1]
        return RingOutlet(rings[-1])

    def look(kind: str, node: Any) -> None:
        ring = getattr(where, "ring", rings[0])
        crumbs.append((ring._words[NODE], ring._words[PLACE]))
        if node.id % 64 == 0 and reads:  # it is read, so that it goes on from its beginning
            crumbs.append((ring.head, zlib.crc32(ring._bytes[HEADER:])))
            ring._words[_TAIL] = ring.head

    before = iteration.index, iteration.closed
    iteration.index, iteration.closed = 0, False
    tracer = Tracer(bus, outlet, 0, level, Values(1 << 20) if level == 2 else None)
    _tracer[:] = [tracer]
    probes.listen(tracer.branch, tracer.turn, tracer.opened, tracer.left)
    try:
        with bus.subscribe(look, "op_start"):
            program()
            if arrives:
                core.use = USE
                assert core.use(wait=True, clock=stopped_clock), core.why()
                tracer._look_for_core()
            program()
    finally:
        tracer.close()
        probes.listen(probes.ignore, probes.ignore)
    held = []
    for ring in rings:
        content = bytes(ring._bytes[HEADER : HEADER + min(ring.head, ring.capacity)])
        held.append((ring.head, ring._words[HEAD], ring._words[NODE], ring._words[PLACE], ring.lost, content))
        ring.close(unlink=True)
    iteration.index, iteration.closed = before
    return {"rings": held, "crumbs": crumbs, "inside": dict(_inside)}


def main(way: str, path: str) -> None:
    """Run all programs, followed in one `way`."""
    gc.freeze()
    gc.disable()  # where it runs depends on how many objects were made
    stop_clocks()
    probes.install()
    programs = dict([*PROGRAMS.items(), *instrumented()])
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, program in programs.items():
            for level, capacity in WAYS:
                core.use = USE if way == "compiled" else lambda: False  # type: ignore[assignment, misc]
                if way == "compiled":
                    assert core.use(wait=True, clock=stopped_clock), core.why()
                _inside.clear()
                told[f"{name}, level {level}, {capacity} bytes"] = followed(
                    program,
                    Path(folder),
                    level,
                    capacity,
                    way == "late",
                    capacity < 1 << 20 and name not in LOOSE,
                )
                gc.collect()
                core.leave()
    with open(path, "wb") as file:
        pickle.dump(told, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
