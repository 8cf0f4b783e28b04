"""The JIT beside PyTorch and beside itself switched off.

    python tests/benchmarks/jit.py [ROUNDS]

gelu, softmax and layer norm, forward and backward, on 1M elements: as built-in ops and written from elementary ones, with
`ds.jit`, with `ds.no_jit`, and PyTorch eager. Then a self-attention block's training step with the JIT on and off, and its
first step in fresh processes. Runs alternate; each figure is the median of the rounds with its spread. With one thread it
is CPU time, which holds on a busy machine too; with two it is wall time.
"""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from measure import machine, spread

import dsviz as ds
from engine.jit.plan import plans

ROWS = ROW = 1024
BATCH, TIME, WIDTH, HEADS = 8, 128, 256, 4


def rows(xp: Any, x: Any) -> Any:
    return xp.exp(x - x.amax(dim=-1, keepdim=True))


def functions(xp: Any, w: Any, b: Any) -> dict[str, Callable[[Any], Any]]:
    """Each function under PyTorch's names, which are this package's too."""
    functional = xp.nn.functional

    def gelu(x: Any) -> Any:
        return 0.5 * x * (1 + xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))

    def softmax(x: Any) -> Any:
        e = rows(xp, x)
        return e / e.sum(dim=-1, keepdim=True)

    def norm(x: Any) -> Any:
        centred = x - x.mean(dim=-1, keepdim=True)
        return centred / xp.sqrt((centred * centred).mean(dim=-1, keepdim=True) + 1e-5) * w + b

    return {
        "gelu": functional.gelu, "softmax": lambda x: xp.softmax(x, -1),
        "layer norm": lambda x: functional.layer_norm(x, (ROW,), w, b),
        "gelu from ops": gelu, "softmax from ops": softmax, "layer norm from ops": norm,
    }  # fmt: skip


class Block(ds.Module):
    """Self-attention from elementary ops: norm, heads, scaled and masked softmax, residual, gelu."""

    def __init__(self) -> None:
        self.q, self.k, self.v, self.o = (ds.Linear(WIDTH, WIDTH) for _ in range(4))
        self.w, self.b = ds.Parameter(ds.ones(WIDTH)), ds.Parameter(ds.zeros(WIDTH))
        self.mask = ds.triu(ds.full((TIME, TIME), -1e9), 1)

    def heads(self, x: Any) -> Any:
        return x.reshape(BATCH, TIME, HEADS, -1).transpose(1, 2)

    def forward(self, x: Any) -> Any:
        centred = x - x.mean(dim=-1, keepdim=True)
        h = centred / ds.sqrt((centred * centred).mean(dim=-1, keepdim=True) + 1e-5) * self.w + self.b
        q, k, v = self.heads(self.q(h)), self.heads(self.k(h)), self.heads(self.v(h))
        scores = (q @ k.transpose(-2, -1)) * (1 / math.sqrt(WIDTH // HEADS)) + self.mask
        e = rows(ds, scores)
        mixed = ((e / e.sum(dim=-1, keepdim=True)) @ v).transpose(1, 2).reshape(BATCH, TIME, WIDTH)
        y = x + self.o(mixed)
        return 0.5 * y * (1 + ds.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y * y * y)))


FIRST = f"""
import sys, time
sys.path[:0] = [{sys.path[0]!r}]
import dsviz as ds
from jit import Block, BATCH, TIME, WIDTH
net, x = Block(), ds.randn(BATCH, TIME, WIDTH)
began = time.process_time()
with ds.no_jit() if sys.argv[1] == "off" else ds.graph_config(jit_threshold=50):
    (net(x) ** 2).mean().backward()
print(time.process_time() - began)
"""


def timed(
    runs: dict[str, Callable[[], Any]], rounds: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Milliseconds of each, one after the other in every round."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        for _ in range(3):
            run()
            plans.wait()
    for _ in range(rounds):
        for name, run in runs.items():
            began = clock()
            run()
            found[name].append((clock() - began) * 1000)
    return found


def show(name: str, found: dict[str, list[float]]) -> None:
    first = next(iter(found))
    base = found[first]
    print(f"{name:<22}{first} {spread(base, 'ms')}")
    for other in list(found)[1:]:
        ratio = [a / b for a, b in zip(found[other], base, strict=True)]
        print(f"{'':<22}{other} {spread(found[other], 'ms')}, {statistics.median(ratio):.2f} of it")


def pieces(rounds: int, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    ds.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    rng = np.random.default_rng(0)
    x, g = (rng.standard_normal((ROWS, ROW)).astype("float32") for _ in range(2))

    def step(function: Any, x: Any, g: Any, all_: Any) -> Callable[[], None]:
        def run() -> None:
            for tensor in all_:
                tensor.grad = None
            function(x).backward(g)

        return run

    sides: dict[str, Any] = {}
    for name, xp in (("PyTorch", torch), ("ds", ds)):
        tensors = [xp.tensor(a, requires_grad=True) for a in (x, np.ones(ROW, "f"), np.zeros(ROW, "f"))]
        sides[name] = functions(xp, *tensors[1:]), tensors, xp.tensor(g)
    for name in sides["ds"][0]:
        runs = {}
        for side, label in (("PyTorch", "PyTorch"), ("ds", "jit"), ("ds", "no_jit")):
            table, tensors, given = sides[side]
            function = getattr(ds, label)(table[name]) if side == "ds" else table[name]
            runs[label] = step(function, tensors[0], given, tensors)
        show(name, timed(runs, rounds, clock))


def block(rounds: int, threads: int) -> None:
    ds.set_num_threads(threads)
    ds.manual_seed(0)
    net, x = Block(), ds.randn(BATCH, TIME, WIDTH)
    optimizer = ds.optim.SGD(net.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        (net(x) ** 2).mean().backward()
        optimizer.step()

    def hot() -> None:
        with ds.graph_config(jit_threshold=50):
            step()

    for _ in range(24):
        hot()
    plans.wait()
    clock = time.process_time if threads == 1 else time.perf_counter
    show(
        "self-attention block",
        timed({"no_jit": ds.no_jit(step), "JIT at its threshold": hot}, rounds, clock),
    )


def first(rounds: int) -> None:
    found: dict[str, list[float]] = {"no_jit": [], "JIT at its threshold": []}
    for _ in range(rounds):
        for name, word in zip(found, ("off", "on"), strict=True):
            done = subprocess.run(
                [sys.executable, "-c", FIRST, word], capture_output=True, text=True, check=True
            )
            found[name].append(float(done.stdout) * 1000)
    show("first step, CPU time", found)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    print(machine())
    for threads in (1, 2):
        print(
            f"--- {threads} thread{'s' * (threads > 1)}, {'CPU' if threads == 1 else 'wall'} time, {ROWS} x {ROW} float32"
        )
        pieces(rounds, threads)
        block(rounds, threads)
    print("--- fresh processes")
    first(max(rounds // 3, 3))


if __name__ == "__main__":
    main()
