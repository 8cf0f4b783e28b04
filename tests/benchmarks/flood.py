"""A million events while the page watches: memory of page and server on the way, and the page's frames.

`python tests/benchmarks/flood.py [EVENTS]`
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from measure import browser, dsviz_run, machine, memory, opened, spread
from playwright.sync_api import CDPSession, Page, expect

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
PARTS = 10


def heap(cdp: CDPSession) -> float:
    """MB of the page's heap after a collection."""
    cdp.send("HeapProfiler.collectGarbage")
    facts = {fact["name"]: fact["value"] for fact in cdp.send("Performance.getMetrics")["metrics"]}
    return float(facts["JSHeapUsedSize"]) / 1e6


def watched(page: Page, events: int) -> None:
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable")
    page.evaluate(WATCH)
    page.click("#btn-continue")
    for part in range(1, PARTS + 1):
        while page.evaluate("window.dsviz.events") < events * part // PARTS:
            page.wait_for_timeout(200)
        seen = page.evaluate(SO_FAR)
        frames = seen["frames"][1:] or [0.0]  # a fast program passes two marks at once
        rss = memory()
        print(
            f"{seen['events']:>9,} events, {seen['nodes']:>8,} nodes, {seen['known']} places  RSS: server {rss['server']:.0f} MB, "
            f"program {rss['program']:.0f} MB, page {rss['page']:.0f} MB (heap {heap(cdp):.1f})  frames {spread(frames, 'ms', 1)}, "
            f"longest {max(frames):.0f} ms, tasks over 50 ms: {len(seen['tasks'])}",
            flush=True,
        )
    page.click("#btn-pause")
    expect(page.locator("#run-state")).to_have_text("paused", timeout=60_000)
    page.click("#tab-events")
    gaps = page.evaluate(
        "async () => (await window.dsviz.live.ask('events', {from: 0, count: 1000, only: 'structure'})).rows.filter(r => r.kind === 'gap').length"
    )
    print(f"gaps among the latest events: {gaps} (0: none lost)")


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "flood.py"
        script.write_text(PROGRAM, encoding="utf-8")
        with dsviz_run(script) as address, browser() as chromium:
            watched(opened(chromium, address), events)
    print("goal: memory level from the third line on, server below 500 MB, no frame over 200 ms")


if __name__ == "__main__":
    main()
