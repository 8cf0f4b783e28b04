"""Small habits of the page, on one run: the way between lines and nodes, heat, the overview, what is copied, what is fetched."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from browser import WAIT, Run, graph, poll, press, running_fixture
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PROGRAM = """
import dsviz as ds

class Net(ds.Module):
    def __init__(self):
        self.wide, self.thin = ds.Linear(4, 3000), ds.Linear(3000, 2)
        self.rest = [ds.Linear(2, 2) for _ in range(12)]

    def forward(self, x):
        h = ds.relu(self.wide(x))
        y = ds.tanh(self.thin(h))
        for layer in self.rest:
            y = ds.relu(layer(y))
        return y

net = Net()
optimizer = ds.optim.SGD(net.parameters(), lr=0.01)
for step in range(4):
    out = net(ds.ones(64, 4))
    loss = (out**2).mean() + ds.sqrt((out - out).sum())  # its gradient is not finite
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
ds.ones(2, 3) @ ds.ones(4, 5)
"""

WARMEST = """() => {
  const warmth = line => {
    const [, , , alpha = 1] = getComputedStyle(line.querySelector('.ht')).backgroundColor.match(/[\\d.]+/g).map(Number);
    return alpha;
  };
  return [...document.querySelectorAll('.ln')].sort((a, b) => warmth(b) - warmth(a))[0].textContent;
}"""


run = running_fixture(PROGRAM, "habits.py", "--trace-level", "2")


def test_lines_nodes_heat_widths_and_the_overview(run: Run) -> None:
    asked: list[str] = []
    run.context.on("request", lambda request: asked.append(request.url))
    page = run.page()
    press(page, "continue")
    line = page.locator(".ln", has_text="self.thin(h)")
    inspector = page.locator("#inspector")
    # A line chooses its nodes one after the other, a node its line.
    seen = set()
    for _ in range(4):
        before = inspector.locator(".insp-h .t").inner_text()
        line.locator(".tx").click()
        expect(inspector.locator(".insp-h .t")).not_to_have_text(before)
        seen.add(inspector.locator(".insp-h .t .ell").inner_text())
    assert {"linear", "tanh", "tanh\u2032"} <= seen
    expect(line).to_have_class("ln path")
    relu = next(
        node for node in graph(page, "nodes()") if node["op"] == "relu" and node["phase"] == "forward"
    )
    page.locator("#canvas .card").get_by_role("button", name="Close this card").click()
    page.locator("#canvas").focus()
    page.keyboard.press("9")
    at = graph(page, f"screen({relu['id']})")
    page.mouse.click(at["x"], at["y"])
    expect(page.locator(".ln.path", has_text="self.wide(x)")).to_be_visible()
    expect(inspector).to_contain_text("Over the runs")
    # By bytes the wide layer's line is the warmest.
    page.get_by_role("radio", name="bytes", exact=True).click()
    expect(page.locator(".ln", has_text="self.wide(x)").locator(".ht")).to_have_attribute("title", "1.46 MB")
    assert "self.wide(x)" in page.evaluate(WARMEST)
    # An edge is as wide as what goes along it.
    widths = {edge["from"]: edge["width"] for edge in graph(page, "edges()") if edge["kind"] == "flow"}
    tanh = next(
        node for node in graph(page, "nodes()") if node["op"] == "tanh" and node["phase"] == "forward"
    )
    assert widths[relu["id"]] > 2 * widths[tanh["id"]]
    # What does not fit has an overview, and a press in it goes there.
    page.locator("#canvas").focus()
    page.keyboard.press("+")
    page.keyboard.press("+")
    mini = page.locator("#mini")
    expect(mini).to_be_visible()
    there = graph(page, f"screen({relu['id']})")
    mini.click(position={"x": 46, "y": 6})
    poll(page, f"window.dsviz.graph.screen({relu['id']}).y !== {there['y']}")
    page.keyboard.press("9")
    expect(mini).to_be_hidden()
    # Nothing comes from elsewhere, plots included.
    expect(page.locator("#memory-figure .js-plotly-plot .scatterlayer .trace").first).to_be_attached(
        timeout=6 * WAIT
    )
    assert {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))} == {
        urlsplit(run.address).netloc
    }
    assert run.problems == []


def test_the_phase_is_told_a_message_is_copied_and_what_takes_long_is_seen(run: Run) -> None:
    run.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = run.page()
    card = page.locator("#canvas .card")
    # In the backward pass the card lies below both lanes.
    added = page.evaluate("window.dsviz.live.ask('breakpoint', {action: 'add', kind: 'nan'})")
    press(page, "continue")
    expect(page.locator("#phase-backward")).to_have_attribute("data-on", "backward")
    expect(card).to_contain_text("Keep the input of sqrt away from 0")
    here = next(node for node in graph(page, "nodes()") if node["id"] == graph(page, "current"))
    lanes = [
        node for node in graph(page, "nodes()") if node["line"] == here["line"] and node["op"] == here["op"]
    ]
    box = card.bounding_box()
    assert box is not None
    assert len(lanes) == 2
    for node in lanes:
        at = graph(page, f"screen({node['id']})")
        assert 428 < at["x"] < 1134
        assert 76 < at["y"] < box["y"]
    page.evaluate(
        "id => window.dsviz.live.ask('breakpoint', {action: 'remove', breakpoint: id})", added["id"]
    )
    page.locator(".ln", has_text="optimizer.step()").locator(".bp").click()
    press(page, "continue")
    expect(page.locator("#phase-optimizer")).to_have_attribute("data-on", "optimizer")
    page.locator(".ln", has_text="optimizer.step()").locator(".bp").click()
    press(page, "continue")
    expect(card).to_contain_text("Shape mismatch")
    card.get_by_role("button", name="Copy this message").click()
    expect(page.locator("#say")).to_have_text("Copied")
    assert "ShapeMismatchError" in page.evaluate("navigator.clipboard.readText()")
    # In a slim window there is no room beside the lane: the card lies below it, and all of its sentence is read.
    page.set_viewport_size({"width": 1024, "height": 700})
    expect(card).to_have_class("card low")
    assert card.locator(".say").evaluate("say => say.scrollHeight <= say.clientHeight")
    assert card.evaluate("card => card.scrollWidth <= card.clientWidth && card.clientWidth > 280")
    press(page, "step_back")
    mini, scrub = page.locator("#mini").bounding_box(), page.locator("#scrub").bounding_box()
    assert mini is not None
    assert scrub is not None
    assert mini["y"] + mini["height"] <= scrub["y"]
    page.click("#btn-present")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.click("#tab-console")
    page.fill("#console-input", "__import__('time').sleep(1.5)")
    page.keyboard.press("Enter")
    expect(page.locator("#busy")).to_be_visible()
    expect(page.locator("#busy")).to_be_hidden()
    assert run.problems == []
