"""A day of training in one go: the memory of program, server and page over ten million nodes, and its slope.

`python tests/benchmarks/long_run.py [NODES]` (default ten million: most of an hour; 500000 gives a first idea). A recurrent net
learns from sequences of changing length, takes a branch now and then, prints, and changes its shape; the page is open on it
all the time. At a hundred places the memory of all three processes is read. Printed at the end, for each: a straight line
through the readings after the first quarter, and through those of the second half (least squares), as bytes a node with its
standard error. Ctrl-C ends it earlier, with what was read by then.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import tempfile
import time
from pathlib import Path

from bare import Page, bare_page
from measure import dsviz_run, machine, process
from stream_memory import resident, slope

PROGRAM = """
import dsviz as ds

ds.manual_seed(0)
cell, head = ds.nn.Linear(12, 8), ds.nn.Linear(8, 2)
sgd = ds.optim.SGD([*cell.parameters(), *head.parameters()], lr=0.01)
x, state, turn = ds.randn(2, 4), ds.zeros(2, 8), 0
while True:
    turn += 1
    with ds.stream_graph(window=200):
        for step in range(4 + turn % 17):
            state = ds.tanh(cell(ds.cat([x, state], 1)))
        if turn % 5 == 0:
            state = ds.dropout(state, 0.1)
        loss = (head(state) ** 2).mean()
        sgd.zero_grad()
        loss.backward()
        sgd.step()
    if turn % 100 == 0:
        print(turn, loss.item())
    if turn % 5000 == 0:
        head.out_features = 2 + turn // 5000 % 3
"""
READINGS = 100
NAMES = ("program", "server", "page's heap", "page's process")


Readings = list[tuple[int, list[int]]]


def watched(page: Page, nodes: int, found: Readings) -> None:
    """Adds readings at `READINGS` places of a run of so many nodes to `found`."""
    pids = process("program"), process("server"), process("page")
    began = time.monotonic()
    page.evaluate("document.querySelector('#btn-continue').click()")
    for part in range(1, READINGS + 1):
        while (seen := page.evaluate("window.dsviz.graph.count")) < nodes * part // READINGS:
            time.sleep(0.2)
        program, server, drawn = map(resident, pids)
        found.append((int(seen), [program, server, page.heap(), drawn]))
        told = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in zip(NAMES, found[-1][1], strict=True))
        print(f"{seen:>11,} nodes {time.monotonic() - began:6.0f} s   MB: {told}", flush=True)
    page.evaluate("document.querySelector('#btn-pause').click()")


def told(found: Readings, index: int) -> str:
    """What became of one of `NAMES`: its slope over the run without its first quarter, and over the second half."""
    parts = []
    for what, begin in (("after a quarter", len(found) // 4), ("in the second half", len(found) // 2)):
        line, error = slope([(count, sizes[index]) for count, sizes in found[begin:]], settle=0)
        parts.append(f"{what} {line:+8.3f} bytes a node (standard error {error:.3f})")
    first, last = found[len(found) // 4][1][index], found[-1][1][index]
    return f"{NAMES[index]:15} {first / 1e6:6.1f} MB after a quarter, {last / 1e6:6.1f} MB at the end; slope {', '.join(parts)}"


def main() -> None:
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    print(machine())
    found: Readings = []
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "day.py"
        script.write_text(PROGRAM, encoding="utf-8")
        with dsviz_run(script) as address, bare_page(address) as page:
            page.until("window.dsviz?.state === 'paused'")
            with contextlib.suppress(KeyboardInterrupt):
                watched(page, nodes, found)
    for index in range(len(NAMES)):
        print(told(found, index))


if __name__ == "__main__":
    main()
