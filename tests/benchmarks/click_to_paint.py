"""Click on Next until the page shows the new current node, over 200 steps of the variable-length RNN."""

from __future__ import annotations

from measure import DEMOS, browser, dsviz_run, machine, opened, spread
from playwright.sync_api import expect

STEPS = 200
# From the click to the first frame after the page's own text names the new node: the change is
# observed as a mutation, and a task queued from the next animation frame runs after that frame's paint.
STEP = """() => new Promise(done => {
  const label = document.getElementById('current-node'), before = window.dsviz.graph.current;
  const start = performance.now();
  const watch = new MutationObserver(look);
  function look() {
    if (window.dsviz.graph.current === before || window.dsviz.graph.current === null) return;
    if (document.getElementById('run-state').textContent !== 'paused') return;
    watch.disconnect();
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => done(performance.now() - start);
      channel.port2.postMessage(0);
    });
  }
  watch.observe(document.getElementById('toolbar') || document.body, {subtree: true, childList: true, characterData: true});
  watch.observe(label, {subtree: true, childList: true, characterData: true, attributes: true});
  document.getElementById('btn-next').click();
})"""


def main() -> None:
    with dsviz_run(DEMOS / "variable_rnn.py") as address, browser() as chromium:
        page = opened(chromium, address)
        # The timeline's plot comes after the page can be used; its loading is no part of a step.
        expect(page.locator("#memory-figure .js-plotly-plot")).to_be_attached(timeout=60_000)
        times = [page.evaluate(STEP) for _ in range(STEPS)]
        nodes = page.evaluate("window.dsviz.graph.count")
    print(machine())
    print(f"click on Next to painted, {STEPS} steps, {nodes} nodes: {spread(times, 'ms', 1)}")
    print("goal: median <= 15 ms, p95 <= 25 ms")


if __name__ == "__main__":
    main()
