"""2,000 nodes of a running LSTM arrive on the page live: how long is the longest frame?"""

from __future__ import annotations

import tempfile
from pathlib import Path

from measure import browser, dsviz_run, machine, opened, spread
from playwright.sync_api import expect

NODES = 2000
PROGRAM = """
import numpy as np
import dsviz as ds

class Tagger(ds.Module):
    def __init__(self):
        self.cell = ds.LSTMCell(16, 32)
        self.head = ds.Linear(32, 4)

    def forward(self, x):
        h = c = ds.zeros(1, 32)
        for t in range(len(x)):
            h, c = self.cell(x[t : t + 1], (h, c))
        return self.head(h)

net = Tagger()
for step in range(18):
    loss = ds.cross_entropy(net(ds.randn(40, 16)), np.array([step % 4]))
    loss.backward()
"""
WATCH = """() => {
  const seen = window.benchmark = {frames: [], tasks: []};
  new PerformanceObserver(list => list.getEntries().forEach(task => seen.tasks.push(task.duration)))
    .observe({entryTypes: ['longtask']});
  let last = performance.now();
  requestAnimationFrame(function frame(now) { seen.frames.push(now - last); last = now; requestAnimationFrame(frame); });
}"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "lstm.py"
        script.write_text(PROGRAM, encoding="utf-8")
        with dsviz_run(script) as address, browser() as chromium:
            page = opened(chromium, address)
            page.evaluate(WATCH)
            page.click("#btn-continue")
            expect(page.locator("#run-state")).to_have_text("finished", timeout=60_000)
            count = page.evaluate("window.dsviz.graph.count")
            visible = page.evaluate("window.dsviz.graph.visible")
            seen = page.evaluate("window.benchmark")
    frames = seen["frames"][1:]
    print(machine())
    print(f"{count} nodes live, {visible} items drawn; {len(frames)} frames: {spread(frames, 'ms', 1)}")
    print(f"longest frame {max(frames):.1f} ms; main-thread tasks over 50 ms: {len(seen['tasks'])}")
    print("goal: no main-thread task over 50 ms while streaming")


if __name__ == "__main__":
    main()
