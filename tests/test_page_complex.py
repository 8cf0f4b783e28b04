"""What the page says of complex numbers: the numbers as people write them, pictures and statistics of their magnitudes."""

from __future__ import annotations

import re

import pytest
from browser import Run, press, running_fixture
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

PROGRAM = """
import dsviz as ds

weight = ds.nn.Parameter(ds.tensor([[3 + 4j, 0.5j], [-1.0, 2 - 1j]]))
image = ds.ones(3, 2, 2)
waves = ds.fft.fft2(image) * (2 - 1j)
mixed = waves * weight
loss = mixed.abs().sum()
loss.backward()
"""

run = running_fixture(PROGRAM, "waves.py", "--trace-level", "2")


def test_complex_values_are_written_as_two_parts_and_drawn_by_their_magnitude(run: Run) -> None:
    page = run.page()
    page.evaluate("window.dsviz.live.ask('breakpoint', {action: 'add', kind: 'op', name: 'abs'})")
    press(page, "continue")
    inspector = page.locator("#inspector")
    page.locator(".ln", has_text="mixed = waves * weight").locator(".tx").click()
    caption = inspector.locator(".values .cap .mono").first
    expect(caption).to_have_text("|z| 0 to 44.7")
    expect(inspector.locator(".maps canvas")).to_have_count(3)
    expect(inspector).to_contain_text("complex64")
    expect(inspector).to_contain_text("max |z|")
    inspector.get_by_role("radio", name="Heatmap").click()
    canvas = inspector.locator(".values canvas.heat").first
    canvas.hover(position={"x": 3, "y": 3})
    expect(caption).to_have_text("[0, 0] 40+20j")
    inspector.get_by_role("radio", name="Numbers").click()
    expect(inspector.locator(".written td").first).to_have_text("40+20j")
    inspector.get_by_role("radio", name="Histogram").click()
    expect(inspector.locator(".values .hist")).to_have_attribute("aria-label", "Histogram from 0 to 44.7")
    inspector.get_by_role("radio", name="Heatmap").click()
    inspector.get_by_role("button", name="Set", exact=True).click()
    page.get_by_label("New value of out").fill("3 - 4j")
    page.keyboard.press("Enter")
    expect(caption).to_have_text(re.compile(r"^\|z\| 5$"))
    press(page, "continue")
    expect(page.get_by_role("status").first).to_contain_text("Finished")
