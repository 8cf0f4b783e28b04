"""The inspector's pictures and the list of parameters, looked at as a person would."""

from __future__ import annotations

import re

import pytest
from browser import Run, press, running_fixture
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PROGRAM = """
import numpy as np
import dsviz as ds

class Net(ds.Module):
    def __init__(self):
        self.conv = ds.nn.Conv2d(3, 8, 3, padding=1)
        self.head = ds.Linear(16, 2)
        self.frozen = ds.Linear(16, 16)

    def forward(self, image, x):
        image = image * 1.0
        maps = ds.relu(self.conv(image))
        x = self.frozen(x).detach()
        looks = ds.softmax(x @ x.transpose(1, 2), dim=-1)
        return self.head(looks @ x).sum() + maps.mean()

net = Net()
optimizer = ds.optim.Adam(net.parameters(), lr=0.01)
for turn in range(4):
    loss = net(ds.randn(2, 3, 16, 16), ds.randn(4, 12, 16))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


run = running_fixture(PROGRAM, "values.py", "--trace-level", "2")


def test_values_are_seen_as_maps_images_attention_and_histograms(run: Run) -> None:
    page = run.page()
    page.evaluate(
        "window.dsviz.live.ask('breakpoint', {action: 'add', kind: 'op', name: 'mean', condition: 'iteration == 3'})"
    )
    press(page, "continue")
    inspector = page.locator("#inspector")
    page.locator(".ln", has_text="image = image * 1.0").locator(".tx").click()
    expect(inspector.locator(".maps canvas")).to_have_count(6)
    inspector.get_by_role("radio", name="Image").click()
    expect(inspector.locator("canvas.image")).to_have_attribute(
        "aria-label", re.compile("^out, .* as an image$")
    )
    inspector.get_by_role("button", name="Dimension 0, all 2").click()
    expect(inspector.locator(".slice")).to_have_value("0")
    inspector.get_by_role("button", name="Dimension 0: next entry").click()
    expect(inspector.locator(".slice")).to_have_value("1")
    expect(inspector.get_by_role("button", name="Dimension 0: next entry")).to_be_disabled()
    inspector.get_by_role("radio", name="Histogram").click()
    expect(inspector.locator(".values .hist rect").first).to_be_attached()
    inspector.get_by_role("radio", name="Heatmap").click()
    canvas = inspector.locator(".values canvas.heat").first
    canvas.hover(position={"x": 3, "y": 3})
    expect(inspector.locator(".values .cap .mono").first).to_contain_text("[0, 0]")
    inspector.get_by_role("button", name="Set", exact=True).click()
    page.get_by_label("New value of out").fill("nothing")
    page.keyboard.press("Enter")
    expect(inspector.get_by_role("alert")).to_contain_text("NameError")
    page.get_by_label("New value of out").fill("0.5")
    page.keyboard.press("Enter")
    expect(inspector.locator(".values .cap .mono").first).to_have_text("0.5")
    page.locator(".ln", has_text="looks = ds.softmax").locator(".tx").click()
    nodes = page.evaluate("window.dsviz.graph.nodes().filter(n => n.op === 'softmax').length")
    assert nodes >= 1
    page.keyboard.press("/")
    page.keyboard.type("softmax")
    page.keyboard.press("Enter")
    expect(inspector).to_contain_text("rows add up to 1")
    expect(inspector.locator(".heads canvas")).to_have_count(4)
    assert run.problems == []


def test_parameters_tell_their_gradients_and_how_far_a_step_moves_them(run: Run) -> None:
    page = run.page()
    page.evaluate(
        "window.dsviz.live.ask('breakpoint', {action: 'add', kind: 'op', name: 'mean', condition: 'iteration == 3'})"
    )
    press(page, "continue")
    page.click("#tab-parameters")
    table = page.locator("#parameters")
    expect(table.locator("tbody tr")).to_have_count(6)
    row = table.locator("tr", has_text="net.head.weight")
    expect(row.locator("td.num").nth(0)).to_have_text("2\u00d716")
    expect(row.get_by_role("img")).to_have_attribute("aria-label", "over 3 steps")
    frozen = table.locator("tr", has_text="net.frozen.weight")
    expect(frozen).to_contain_text("no gradient")
    frozen.get_by_role("button", name="why").click()
    expect(page.locator("#banner")).to_contain_text("net.frozen.weight:")
    table.get_by_role("button", name="Gradient").click()
    expect(table.locator("th[aria-sort=descending]")).to_contain_text("Gradient")
    row.get_by_role("button", name="net.head.weight").click()
    expect(page.locator("#inspector")).to_contain_text("Value and gradient")
    expect(page.locator("#inspector .tiles canvas")).to_have_count(2)
    assert run.problems == []
