"""Memory over an endless stream: `python tests/benchmarks/stream_memory.py [--batches 1000000] [--debugged]`.

A small network learns online, each batch one `ds.stream_graph` block; every 1,000 batches its structure changes. The
resident memory is read 200 times; printed is the slope of a straight line through the readings after the
first tenth (least squares, with the standard error of the slope), and what that makes over the whole run.
`--debugged` runs the same under the debugger and reads the debugger's own process too, which keeps a window of
nodes: with `--window 2000` it is full soon, so that a short run (15,000 batches) shows what comes after that. There the
first half of the readings is left out: the ring between the two, 8 MB that both have mapped, is written once around meanwhile.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

READINGS = 200


def resident(pid: int) -> int:
    """Bytes of memory a process has (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def learn(batches: int) -> None:
    """The stream itself; prints `batch resident` at each reading."""
    import dsviz as ds

    ds.manual_seed(0)
    rng = np.random.default_rng(0)
    body, head = ds.Linear(8, 16), ds.Linear(16, 4)
    optimizer = ds.optim.Adam([*body.parameters(), *head.parameters()], lr=1e-3)
    state = ds.zeros(1, 16)
    every = max(1, batches // READINGS)
    for number in range(batches):
        with ds.stream_graph(window=200):
            x = ds.tensor(rng.standard_normal((4, 8), dtype=np.float32))
            state = ds.tanh(body(x) + state).mean(0, keepdim=True)
            loss = (head(state) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if number % 1000 == 999:  # the rules change
            head.out_features = 4 + (number // 1000) % 3
        if number % every == every - 1:
            print(number + 1, resident(os.getpid()), flush=True)


def slope(readings: list[tuple[int, int]], settle: float = 0.1) -> tuple[float, float]:
    """Bytes a batch, and the standard error of that; `settle` is the share of the readings that is left out first."""
    settled = readings[int(len(readings) * settle) :]
    x, y = (np.array(column, np.float64) for column in zip(*settled, strict=True))
    x -= x.mean()
    found = float((x * y).sum() / (x * x).sum())
    rest = y - y.mean() - found * x
    return found, float(np.sqrt((rest * rest).sum() / max(len(x) - 2, 1) / (x * x).sum()))


def told(name: str, readings: list[tuple[int, int]], seconds: float, settle: float) -> str:
    found, error = slope(readings, settle)
    batches = readings[-1][0]
    return (
        f"{name}: {batches:,} batches in {seconds:.0f} s; resident {readings[int(len(readings) * settle)][1] / 1e6:.1f} MB after {settle:.0%}, "
        f"{readings[-1][1] / 1e6:.1f} MB at the end; slope {found:+.4f} bytes a batch (standard error {error:.4f}), "
        f"{found * batches / 1e3:+.0f} kB over the run"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=1_000_000)
    parser.add_argument("--debugged", action="store_true")
    parser.add_argument(
        "--window", type=int, default=0, metavar="NODES", help="what the debugger keeps (default: its own)"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        learn(given.batches)
        return
    began = time.monotonic()
    words = ["--child", "--batches", str(given.batches)]
    mine: list[tuple[int, int]] = []
    theirs: list[tuple[int, int]] = []
    if given.debugged:
        from dsviz import Session

        read, write = os.pipe()
        with Session.launch(
            __file__, words, pause_at_entry=False, breakpoints=False, stdout=write
        ) as session:
            os.close(write)
            if given.window:
                session.store.window = given.window
            with open(read, encoding="ascii") as lines:
                for line in lines:
                    theirs.append((int(line.split()[0]), int(line.split()[1])))
                    mine.append((theirs[-1][0], resident(os.getpid())))
            session.wait(60)
    else:
        command = [sys.executable, __file__, *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            theirs = [(int(a), int(b)) for a, b in (line.split() for line in child.stdout)]
    settle = 0.5 if given.debugged else 0.1
    print(told("the program", theirs, time.monotonic() - began, settle))
    if mine:
        print(told("the debugger", mine, time.monotonic() - began, settle))


if __name__ == "__main__":
    main()
