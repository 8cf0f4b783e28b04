"""The page with a graph of 1,000, 10,000 and 100,000 nodes: first view, folding, pan and zoom, longest task, heap.

`python tests/benchmarks/graph_size.py [NODES ...]`
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from measure import browser, dsviz_run, machine, spread
from playwright.sync_api import Page, expect

BLOCK = """
class Block{i}(ds.Module):
    def __init__(self):
        self.a, self.b = ds.Linear(4, 4), ds.Linear(4, 4)

    def forward(self, x):
        y = ds.relu(self.a(x))
        y = ds.tanh(self.b(y))
        y = y * x
        y = y - x
        y = ds.sigmoid(y)
        y = y - x
        y = y * y
        return y * x
"""
# In the page before any of its scripts: when the socket's first message came, and every task over 50 ms.
WATCH = """
window.seen = {first: 0, tasks: []};
new PerformanceObserver(list => list.getEntries().forEach(e => seen.tasks.push([e.startTime, e.duration]))).observe({entryTypes: ['longtask']});
const Socket = WebSocket;
window.WebSocket = class extends Socket {
  constructor(...a) { super(...a); this.addEventListener('message', () => { seen.first ||= performance.now(); }); }
};
"""
PAINTED = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  while (!window.dsviz) await frame();
  const graph = window.dsviz.graph;
  while (!(window.seen.first && graph.visible > 20)) await frame();
  await frame();
  const first = performance.now() - window.seen.first;
  // All is there once every place that the server counts has come and has been given its place.
  while (!graph.expected || graph.known < graph.expected || graph.waiting) await frame();
  await frame();
  return {first, places: graph.known, all: performance.now() - window.seen.first, visible: graph.visible};
}"""
STREAMED = """async () => {
  const graph = window.dsviz.graph;
  while (graph.known < graph.expected || graph.waiting) await new Promise(requestAnimationFrame);
  return window.seen.tasks;
}"""
# The tasks before Dash's own scripts were asked for, and those from then on: plotly's is one task.
TASKS = """() => {
  const dash = performance.getEntriesByType('resource').filter(e => e.name.includes('_dash-component-suites')).map(e => e.startTime);
  const from = Math.min(...dash, Infinity);
  return [seen.tasks.filter(([at]) => at < from), seen.tasks.filter(([at]) => at >= from)];
}"""
MOVE = """async how => {
  const box = document.getElementById('canvas'), frames = [];
  const r = box.getBoundingClientRect();
  let last = 0;
  for (let i = 0; i < 121; i++) {
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    if (last) frames.push(now - last);
    last = now;
    const zoom = how === 'zoom';
    box.dispatchEvent(new WheelEvent('wheel', {bubbles: true, cancelable: true, clientX: r.x + 300, clientY: r.y + 250,
      deltaY: zoom ? (i < 60 ? 18 : -18) : 90, ctrlKey: zoom}));
  }
  return frames;
}"""
FOLD = """async () => {
  const times = [];
  for (const choice of ['none', 'layers', '1', 'layers']) {
    const start = performance.now();
    window.dsviz.graph.fold(choice);
    await new Promise(requestAnimationFrame);
    await new Promise(done => { const c = new MessageChannel(); c.port1.onmessage = done; c.port2.postMessage(0); });
    times.push([choice, performance.now() - start]);
  }
  return times;
}"""
FOLD_ONE = """async () => {
  const start = performance.now();
  window.dsviz.graph.toggle();
  await new Promise(requestAnimationFrame);
  return performance.now() - start;
}"""


def program(nodes: int) -> str:
    blocks = max(1, nodes // 10)
    text = ["import dsviz as ds", *(BLOCK.format(i=i) for i in range(blocks))]
    text += ["class Net(ds.Module):", "    def __init__(self):"]
    text += [f"        self.b{i} = Block{i}()" for i in range(blocks)]
    text += [
        "    def forward(self, x):",
        *(f"        x = self.b{i}(x)" for i in range(blocks)),
        "        return x",
    ]
    return "\n".join([*text, "net = Net()", "with ds.no_grad():", "    net(ds.ones(2, 4) / 64)", ""])


def longest(tasks: list[list[float]]) -> str:
    return f"{max((duration for _, duration in tasks), default=0.0):.0f}"


def measured(page: Page, nodes: int) -> None:
    page.evaluate("() => { window.seen.tasks = []; }")
    page.click("#btn-continue")
    expect(page.locator("#run-state")).to_have_text("finished", timeout=300_000)
    streaming = page.evaluate(STREAMED)
    page.reload()
    view = page.evaluate(PAINTED)
    expect(page.locator("#memory-figure .js-plotly-plot")).to_be_attached(timeout=120_000)
    loading, dash = page.evaluate(TASKS)
    folds = page.evaluate(FOLD)
    one = [page.evaluate(FOLD_ONE) for _ in range(6)]
    pan, zoom = page.evaluate(MOVE, "pan"), page.evaluate(MOVE, "zoom")
    heap = page.evaluate("(performance.memory || {usedJSHeapSize: 0}).usedJSHeapSize") / 2**20
    print(
        f"{nodes:,} nodes ({page.evaluate('window.dsviz.graph.count'):,} ran, {view['places']:,} places, {view['visible']:,} boxes and nodes drawn)"
    )
    print(
        f"  first view {view['first']:.0f} ms after the first message, all placed after {view['all']:.0f} ms"
    )
    print(
        f"  folding all: {', '.join(f'{name} {ms:.0f} ms' for name, ms in folds)}; one module: {spread(one, 'ms', 0)}"
    )
    for name, frames in (("pan", pan), ("zoom", zoom)):
        print(f"  {name}: {1000 * len(frames) / sum(frames):.0f} frames/s, a frame {spread(frames, 'ms', 1)}")
    print(
        f"  longest task (0: none over 50): loading {longest(loading)} ms, streaming {longest(streaming)} ms; "
        f"Dash's scripts, once nothing else goes on, {longest(dash)} ms; heap {heap:.0f} MB"
    )


def main() -> None:
    print(machine())
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        for nodes in map(int, sys.argv[1:] or ("1000", "10000", "100000")):
            script = Path(folder) / f"net{nodes}.py"
            script.write_text(program(nodes), encoding="utf-8")
            with dsviz_run(script) as address:
                page = chromium.new_page(viewport={"width": 1440, "height": 900})
                page.add_init_script(WATCH)
                page.goto(address)
                expect(page.locator("#run-state")).to_have_text("paused", timeout=120_000)
                expect(page.locator("#memory-figure .js-plotly-plot")).to_be_attached(timeout=120_000)
                measured(page, nodes)
                page.close()


if __name__ == "__main__":
    main()
