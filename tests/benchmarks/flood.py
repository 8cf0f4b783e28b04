"""A million events while the page watches: memory of page and server on the way, and the page's frames.

`python tests/benchmarks/flood.py [EVENTS]`
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from measure import browser, dsviz_run, machine, opened, spread
from playwright.sync_api import CDPSession, Page

PROGRAM = """
import dsviz as ds

layer = ds.Linear(4, 4)
x = ds.ones(2, 4)
with ds.no_grad():
    while True:
        y = ds.tanh(layer(x))
        for turn in range(8):
            y = ds.relu(y * y + x)
"""
WATCH = """() => {
  const seen = window.benchmark = {frames: [], tasks: []};
  new PerformanceObserver(list => list.getEntries().forEach(task => seen.tasks.push(task.duration)))
    .observe({entryTypes: ['longtask']});
  let last = performance.now();
  requestAnimationFrame(function frame(now) { seen.frames.push(now - last); last = now; requestAnimationFrame(frame); });
}"""
SO_FAR = """() => {
  const {frames, tasks} = window.benchmark;
  const out = {events: window.dsviz.events, nodes: window.dsviz.graph.count, known: window.dsviz.graph.known,
    frames: frames.splice(0), tasks: tasks.splice(0)};
  return out;
}"""
PARTS = 5


def server_process(address: str) -> int:
    """The number of the process that listens at the page's address, from /proc."""
    port = int(address.split(":")[2].split("/")[0])
    inodes = {
        fields[9]
        for fields in map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])
        if int(fields[1].split(":")[1], 16) == port and fields[3] == "0A"
    }
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = {os.readlink(link) for link in (process / "fd").iterdir()}
            if any(f"socket:[{inode}]" in links for inode in inodes):
                return int(process.name)
        except OSError:
            continue  # it ended meanwhile, or is another's
    raise SystemExit(f"no process listens on port {port}")


def server_memory(address: str) -> float:
    """MB of that process."""
    pages = Path(f"/proc/{server_process(address)}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def heap(cdp: CDPSession) -> float:
    """MB of the page's heap after a collection."""
    cdp.send("HeapProfiler.collectGarbage")
    facts = {fact["name"]: fact["value"] for fact in cdp.send("Performance.getMetrics")["metrics"]}
    return float(facts["JSHeapUsedSize"]) / 1e6


def watched(page: Page, address: str, events: int) -> None:
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable")
    page.evaluate(WATCH)
    page.click("#btn-continue")
    for part in range(1, PARTS + 1):
        while page.evaluate("window.dsviz.events") < events * part // PARTS:
            page.wait_for_timeout(200)
        seen = page.evaluate(SO_FAR)
        frames = seen["frames"][1:]
        print(
            f"{seen['events']:>9,} events, {seen['nodes']:>8,} nodes, {seen['known']} places  page {heap(cdp):.1f} MB, "
            f"server {server_memory(address):.0f} MB  frames {spread(frames, 'ms', 1)}, longest {max(frames):.0f} ms, "
            f"tasks over 50 ms: {len(seen['tasks'])}"
        )
    page.click("#btn-pause")


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "flood.py"
        script.write_text(PROGRAM, encoding="utf-8")
        with dsviz_run(script) as address, browser() as chromium:
            watched(opened(chromium, address), address, events)
    print("goal: memory level from the second line on, no frame over 200 ms")


if __name__ == "__main__":
    main()
