"""A day of training in one go: the memory of program, server and page over ten million nodes, and its slope.

`python tests/benchmarks/long_run.py [NODES]` (default ten million: most of an hour; 500000 gives a first idea). A recurrent net
learns from sequences of changing length, takes a branch now and then, prints, and changes its shape; the page is open on it
all the time. At a hundred places the memory of all three processes is read. Printed at the end, for each: a straight line
through the readings after the first quarter (least squares), as kB a million nodes with its standard error. Ctrl-C ends it
earlier, with what was read by then.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import tempfile
import time
from pathlib import Path

from flood import heap
from measure import browser, dsviz_run, machine, opened, process
from playwright.sync_api import CDPSession, Page
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


def reading(server: int, program: int, page: int, cdp: CDPSession) -> list[int]:
    """Bytes of each of `NAMES`."""
    return [resident(program), resident(server), int(heap(cdp) * 1e6), resident(page)]


Readings = list[tuple[int, list[int]]]


def watched(page: Page, server: int, program: int, drawn: int, nodes: int, found: Readings) -> None:
    """Adds readings at `READINGS` places of a run of so many nodes to `found`."""
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable")
    page.click("#btn-continue")
    began = time.monotonic()
    for part in range(1, READINGS + 1):
        while (seen := page.evaluate("window.dsviz.graph.count")) < nodes * part // READINGS:
            page.wait_for_timeout(200)
        found.append((int(seen), reading(server, program, drawn, cdp)))
        told = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in zip(NAMES, found[-1][1], strict=True))
        print(f"{seen:>11,} nodes {time.monotonic() - began:6.0f} s   MB: {told}", flush=True)
    page.click("#btn-pause")


def main() -> None:
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    print(machine())
    found: Readings = []
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "day.py"
        script.write_text(PROGRAM, encoding="utf-8")
        with dsviz_run(script) as address, browser() as chromium:
            page = opened(chromium, address)
            with contextlib.suppress(KeyboardInterrupt):
                watched(page, process("server"), process("program"), process("page"), nodes, found)
    settled = found[len(found) // 4 :]
    for index, name in enumerate(NAMES):
        line, error = slope([(count, sizes[index]) for count, sizes in settled])
        print(
            f"{name:15} {settled[0][1][index] / 1e6:8.1f} MB after a quarter, {settled[-1][1][index] / 1e6:8.1f} MB at the end, "
            f"slope {line * 1e3:+9.1f} kB a million nodes (standard error {error * 1e3:.1f})"
        )


if __name__ == "__main__":
    main()
