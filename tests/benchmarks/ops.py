"""Every op of the table of samples, forward and backward, beside PyTorch: `python tests/benchmarks/ops.py [NAME ...]`.

Times each row at the size it has in the table and, where its sizes can be multiplied, with about a million numbers, in
turns and by the processor's time on one thread; prints the worst by ours divided by PyTorch's. A row whose sizes are
written into it cannot be enlarged, and is counted as such. Options: `--worst 25`, `--turns 5`, `--small`, `--large`, and
`--threads 2`: by the wall, which only a machine that does nothing else tells truly.
All rows take about ten minutes a size; `--part 2/4` does the second of four parts of them. A row has fewer turns
the longer one takes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

THREADS = int(sys.argv[sys.argv.index("--threads") + 1]) if "--threads" in sys.argv[:-1] else 1
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = str(THREADS)  # before any library reads them
clock = time.process_time if THREADS == 1 else time.perf_counter

import numpy as np  # noqa: E402
import torch  # noqa: E402

import dsviz as ds  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1]))

from samples import SAMPLES  # noqa: E402

MILLION = 1 << 20
MOST = 16 * MILLION
SLOW = 0.25  # seconds a step of PyTorch's may take before the row is left out
ENOUGH = 1.0  # seconds a row may take, but for one turn


class Timed(NamedTuple):
    """One row at one size: microseconds of each, and the median of the ratios of neighbouring turns."""

    name: str
    size: str
    ours: float
    theirs: float
    ratio: float


def grown(row: Any, arrays: list[Any]) -> list[Any]:
    """The inputs with every dimension that is not 1 multiplied alike, so that the largest has about a million numbers."""
    largest = max(arrays, key=lambda a: a.size)
    wide = [d for d in largest.shape if d > 1]
    if not wide or not largest.size:
        return []
    factor = max(1, round((MILLION / largest.size) ** (1 / len(wide))))
    if any(a.size * factor ** sum(d > 1 for d in a.shape) > MOST for a in arrays):
        return []  # one of more dimensions than the largest
    return [np.ascontiguousarray(np.tile(a, [factor if d > 1 else 1 for d in a.shape])) for a in arrays]


def step(lib: Any, call: Callable[..., Any], arrays: list[Any]) -> Callable[[], Any]:
    """Forward and, where there is a gradient, backward."""
    if lib is torch:
        inputs = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    else:
        inputs = [ds.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    seeds: list[Any] = []

    def run() -> Any:
        made = call(*inputs)
        outs = list(made) if isinstance(made, (tuple, list)) else [made]
        outs = [t for t in outs if getattr(t, "requires_grad", False)]
        if not outs:
            return made
        if not seeds:
            seeds.extend(lib.ones(tuple(t.shape)).to(t.dtype) for t in outs)
        lib.autograd.grad(outs, [t for t in inputs if t.requires_grad], seeds, allow_unused=True)
        return made

    return run


def shapes(made: Any) -> Any:
    return [tuple(t.shape) for t in (made if isinstance(made, (tuple, list)) else [made])]


def timed(row: Any, arrays: list[Any], turns: int, size: str) -> Timed | None:
    """The figures of a row with these inputs; None where one of the two cannot do it, or PyTorch takes too long."""
    runs: list[tuple[Callable[[], Any], Any, float]] = []
    for lib, call in ((torch, row.theirs), (ds, row.ours)):
        run = step(lib, call, arrays)
        try:
            made = run()  # the first time may load, compile and allocate
            began = clock()
            run()
        except Exception:  # noqa: BLE001 - sizes that are written into the row
            return None
        runs.insert(0, (run, made, clock() - began))
        if runs[-1][2] > SLOW:
            return None
    if shapes(runs[0][1]) != shapes(runs[1][1]):
        return None
    count = max(1, int(0.004 / max(runs[1][2], 1e-5)))
    times: list[list[float]] = [[], []]
    for turn in range(max(1, min(turns, int(ENOUGH / (count * (runs[0][2] + runs[1][2])))))):
        for i in (0, 1) if turn % 2 == 0 else (1, 0):
            run = runs[i][0]
            began = clock()
            for _ in range(count):
                run()
            times[i].append((clock() - began) / count)
    ratio = statistics.median(a / b for a, b in zip(*times, strict=True))
    return Timed(str(row), size, *(statistics.median(t) * 1e6 for t in times), ratio)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only rows whose name begins so")
    parser.add_argument("--worst", type=int, default=25)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of both; with more than one by the wall")
    parser.add_argument("--part", default="1/1", help="2/4: the second of four parts of the rows")
    parser.add_argument("--small", action="store_true", help="only as in the table")
    parser.add_argument("--large", action="store_true", help="only a million numbers")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(THREADS)
    rows = [
        r
        for r in SAMPLES
        if r.theirs is not None and (not given.names or str(r).startswith(tuple(given.names)))
    ]
    part, parts = map(int, given.part.split("/"))
    rows = rows[part - 1 :: parts]
    for size, on in (("table", not given.large), ("million", not given.small)):
        if not on:
            continue
        found, left_out = [], 0
        with np.errstate(all="ignore"):
            for row in rows:
                arrays = row.arrays("float32")
                if size == "million":
                    arrays = grown(row, arrays) if arrays else []
                made = timed(row, arrays, given.turns, size) if arrays else None
                if made is None:
                    left_out += 1
                else:
                    found.append(made)
        if not found:
            print(f"{size}: nothing could be measured")
            continue
        ratios = [f.ratio for f in found]
        print(
            f"{size}: {len(found)} rows, median x{statistics.median(ratios):.2f}, {sum(r > 1.5 for r in ratios)} above "
            f"1.5 times PyTorch's time, {sum(r < 1 for r in ratios)} below it; {left_out} left out"
        )
        for f in sorted(found, key=lambda f: -f.ratio)[: given.worst]:
            print(f"  {f.name:34} {f.ours:10.1f} us {f.theirs:10.1f} us   x{f.ratio:.2f}")


if __name__ == "__main__":
    main()
