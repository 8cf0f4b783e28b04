"""The graph while the program runs: nothing drawn moves, whatever comes, and nothing grows without end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browser import graph, poll, press, running, shows
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

GROWING = """
import dsviz as ds

class Cell(ds.Module):
    def __init__(self):
        self.gates = ds.Linear(3, 3)

    def forward(self, x, late):
        x = ds.tanh(self.gates(x))
        if late:
            x = ds.relu(x) + x
        return x

class Net(ds.Module):
    def __init__(self):
        self.cell = Cell()
        self.head = ds.Linear(3, 2)

    def forward(self, x, turn):
        h = ds.zeros(2, 3)  # made outside, taken in a loop's first turn only
        for t in range(1 + turn % 3):
            h = self.cell(x + h, turn > 20)
        x = h
        if turn > 40:
            x = ds.exp(x)
        else:
            x = ds.sigmoid(x) * x
        return self.head(x)

net = Net()
optimizer = ds.optim.SGD(net.parameters(), lr=0.01)
for turn in range(60):
    loss = net(ds.ones(2, 3), turn).sum()
    optimizer.zero_grad()
    loss.backward()
    if turn > 5:
        optimizer.step()
"""
# In the page: look at every frame whether something that had a place has another one, until the program has ended.
WATCHED = """() => new Promise(done => {
  const graph = window.dsviz.graph, moved = [];
  let before = {}, grew = 0;
  (function look() {
    const now = graph.places();
    for (const [name, at] of Object.entries(before)) if (now[name] !== at) moved.push([name, at, now[name] ?? 'gone']);
    if (Object.keys(now).length > Object.keys(before).length) grew++;
    before = now;
    if (window.dsviz.state === 'finished' && !graph.waiting) done({moved, grew, places: now});
    else requestAnimationFrame(look);
  })();
})"""
ENDLESS = """
import dsviz as ds

layer = ds.Linear(4, 4)
x = ds.ones(2, 4)
with ds.no_grad():
    while True:
        y = ds.tanh(layer(x))
        for turn in range(8):
            y = ds.relu(y * y + x)
"""


def to_moment(page: Page, node: int) -> None:
    page.locator("#scrub-node").evaluate(
        "(range, node) => { range.value = node; range.dispatchEvent(new Event('input')); range.dispatchEvent(new Event('change')); }",
        node,
    )
    expect(page.locator("#scrub-label")).to_contain_text(f"before node {node}")


def test_nothing_drawn_moves_while_the_program_runs_or_its_past_is_looked_at(
    chromium: Browser, tmp_path: Path
) -> None:
    script = tmp_path / "growing.py"
    script.write_text(GROWING, encoding="utf-8")
    with running(chromium, script) as run:
        page = run.page()
        page.click("#btn-continue")
        seen = page.evaluate(WATCHED)
        assert seen["moved"] == []
        assert seen["grew"] > 0
        shows(page, "finished")
        press(page, "step_back")
        for node in (900, 894, 250, 600):
            to_moment(page, node)
            poll(page, "window.dsviz.graph.visible > 4 && !window.dsviz.graph.waiting")
            there = graph(page, "places()")
            assert there, "the past has a graph"
            elsewhere = {
                name: (at, there[name]) for name, at in seen["places"].items() if there.get(name, at) != at
            }
            assert elsewhere == {}
        assert run.problems == []


def heap(cdp: Any) -> float:
    cdp.send("HeapProfiler.collectGarbage")
    facts = {fact["name"]: fact["value"] for fact in cdp.send("Performance.getMetrics")["metrics"]}
    return float(facts["JSHeapUsedSize"]) / 1e6


def test_a_flood_of_events_fills_neither_the_graph_nor_the_page(chromium: Browser, tmp_path: Path) -> None:
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS, encoding="utf-8")
    with running(chromium, script) as run:
        page = run.page()
        cdp = page.context.new_cdp_session(page)
        cdp.send("Performance.enable")
        # What draws plots is loaded once the page can be used, and is no part of what a flood leaves.
        expect(page.locator("#memory-figure .js-plotly-plot").first).to_be_attached(timeout=120_000)
        page.click("#btn-continue")
        poll(page, "window.dsviz.events > 8000")
        places, before = graph(page, "known"), heap(cdp)
        poll(page, "window.dsviz.events > 24000")
        assert graph(page, "known") == places
        assert heap(cdp) < before + 4
        latest = page.evaluate("Math.max(...window.dsviz.graph.nodes().map(node => node.id))")
        assert latest > 3000, "the places show the latest turn"
        # While nodes stream in the page draws the timeline itself; plotly, which takes several frames, draws it at rest.
        expect(page.locator("#memory-sketch svg")).to_contain_text("Peak")
        page.click("#btn-pause")
        shows(page, "paused")
        expect(page.locator("#memory-figure .scatterlayer .trace").first).to_be_attached()
        expect(page.locator("#memory-sketch")).to_have_count(0)
        assert run.problems == []
