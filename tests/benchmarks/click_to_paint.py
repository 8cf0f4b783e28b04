"""Click on Next until the page shows the new current node, over 200 steps of the variable-length RNN, and where that time goes.

`python tests/benchmarks/click_to_paint.py [STEPS]`
"""

from __future__ import annotations

import random
import sys

from measure import DEMOS, browser, dsviz_run, machine, opened, spread
from playwright.sync_api import Page, expect

STEPS = 200
REST = (
    250,
    300,
)  # milliseconds between two clicks of a person: what a step brings in its wake is over by then
# From the click to the first frame after the page's own text names the new node: the change is
# observed as a mutation, and a task queued from the next animation frame runs after that frame's paint.
STEP = """() => new Promise(done => {
  const label = document.getElementById('current-node'), before = window.dsviz.graph.current;
  const live = window.dsviz.live, take = live.onMessages, parts = {};
  const start = performance.now();
  live.onMessages = messages => { parts.came = performance.now(); take(messages); };
  const watch = new MutationObserver(look);
  function look() {
    if (window.dsviz.graph.current === before || window.dsviz.graph.current === null) return;
    if (document.getElementById('run-state').textContent !== 'paused') return;
    watch.disconnect();
    live.onMessages = take;
    const known = performance.now();
    requestAnimationFrame(tick => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => {
        const end = performance.now(), began = Math.max(known, Math.min(tick, end));
        done({all: end - start, there: parts.came - start, page: known - parts.came, wait: began - known, frame: end - began});
      };
      channel.port2.postMessage(0);
    });
  }
  watch.observe(document.getElementById('toolbar') || document.body, {subtree: true, childList: true, characterData: true});
  watch.observe(label, {subtree: true, childList: true, characterData: true, attributes: true});
  document.getElementById('btn-next').click();
})"""
PARTS = [
    ("there", "click, server, program, server, message"),
    ("page", "the page takes the message"),
    ("wait", "waiting for the browser's next frame"),
    ("frame", "drawing: canvas, style, layout, paint"),
]


def stepped(page: Page, steps: int, rest: bool) -> None:
    rows = []
    for _ in range(steps):
        if rest:
            page.wait_for_timeout(random.uniform(*REST))
        rows.append(page.evaluate(STEP))
    how = "a person's pause between two" if rest else "one after the other"
    print(
        f"click on Next to painted, {steps} steps, {how}: {spread([row['all'] for row in rows], 'ms', 1)}, median and 5 to 95 %"
    )
    for name, text in PARTS:
        print(f"  {text:44} {spread([row[name] for row in rows], 'ms', 1)}")


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else STEPS
    print(machine())
    with dsviz_run(DEMOS / "variable_rnn.py") as address, browser() as chromium:
        page = opened(chromium, address)
        # The timeline's plot comes after the page can be used; its loading is no part of a step.
        expect(page.locator("#memory-figure .js-plotly-plot")).to_be_attached(timeout=60_000)
        stepped(page, steps, rest=False)
        stepped(page, steps // 4, rest=True)
    print("goal: median <= 15 ms, p95 <= 25 ms")


if __name__ == "__main__":
    main()
