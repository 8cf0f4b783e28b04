"""Stops in the page: what happened in a sentence, why in a click, and the ways on, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import DEMOS, moving, press, running, shows
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def go_on(page: Page, button: str) -> None:
    with moving(page):
        page.get_by_role("button", name=button).click()


def test_a_value_is_given_in_place_of_an_op_that_cannot_run(chromium: Browser) -> None:
    with running(chromium, DEMOS / "shape_bug.py") as run:
        page = run.page()
        press(page, "continue")
        card = page.locator("#canvas .card")
        card.get_by_role("button", name="Give a value and go on").click()
        expect(card.get_by_label("Shape of the value")).to_have_value("1, 2")
        told = card.get_by_role("status").last
        card.get_by_label("Shape of the value").fill("two")
        page.keyboard.press("Enter")
        expect(told).to_contain_text('"two" is none')
        card.get_by_label("Shape of the value").fill("3x4")
        card.get_by_role("button", name="Use it and go on").click()
        expect(told).to_contain_text("Your value is (3, 4); expected was (1, 2)")
        card.get_by_label("an expression").check()
        card.get_by_label("Expression that gives the value").fill("no_such_name")
        page.keyboard.press("Enter")
        expect(told).to_contain_text("NameError")
        card.get_by_label("Expression that gives the value").fill("first[:, :2]")
        go_on(page, "Use it and go on")
        expect(page.locator("#iteration")).to_have_text("17")  # the next long verse
        expect(card).to_contain_text("head expects rows of 128")
        card.get_by_role("button", name="Give a value and go on").click()
        card.get_by_label("random numbers").check()
        go_on(page, "Use it and go on")
        shows(page, "finished")
        assert run.problems == []


def test_each_size_of_an_operand_is_traced_to_its_line(chromium: Browser) -> None:
    with running(chromium, DEMOS / "shape_bug.py") as run:
        page = run.page()
        press(page, "continue")
        card = page.locator("#canvas .card")
        card.get_by_title("Why is dimension 1 of first 64?").click()
        asked = card.locator(".asked")
        expect(asked).to_contain_text("why dimension 1 of first is 64")
        asked.get_by_role("button", name="shape_bug.py:28").click()  # the third click after the stop at most
        expect(page.locator('.ln[data-line="28"]')).to_be_visible()
        expect(page.locator('.ln[data-line="28"]')).to_contain_text("self.long = ds.Linear(2 * hidden, 64)")
        card.get_by_title("Why is dimension 0 of weight 2?").click()
        expect(asked).to_contain_text("shape_bug.py:29")
        assert run.problems == []


BAD_LOG = """
import dsviz as ds
net = ds.Linear(3, 3)
p = ds.tensor([1.0, 0.0, 0.5], requires_grad=True)
loss = (net(p) * ds.log(p)).sum()
"""


def test_values_that_are_not_finite_are_told_with_their_cause(chromium: Browser, tmp_path: Path) -> None:
    script = tmp_path / "bad_log.py"
    script.write_text(BAD_LOG, encoding="utf-8")
    with running(chromium, script) as run:
        page = run.page()
        page.evaluate("window.dsviz.live.ask('breakpoint', {action: 'add', kind: 'nan'})")
        press(page, "continue")
        card = page.locator("#canvas .card")
        expect(card).to_contain_text("Not finite, after log")
        expect(card).to_contain_text("log made 1 Inf among 3 values: 1 of its 3 inputs is exactly 0.")
        expect(card).to_contain_text("clamp")
        card.get_by_role("button", name="Go to the line").click()
        expect(page.locator(".ln.path, .ln.now")).to_contain_text("ds.log(p)")
        page.keyboard.press("Escape")
        expect(card).to_have_count(0)
        assert run.problems == []


LIBRARY = """
import numpy as np
import dsviz as ds

def shaped(x):
    return np.reshape(x, (5, 5))

ds.relu(ds.ones(2, 3))
shaped(np.ones(6))
"""


def test_an_exception_inside_a_library_points_to_the_persons_line(chromium: Browser, tmp_path: Path) -> None:
    script = tmp_path / "library.py"
    script.write_text(LIBRARY, encoding="utf-8")
    with running(chromium, script) as run:
        page = run.page()
        press(page, "continue")
        expect(page.locator("#canvas .card")).to_contain_text(
            "cannot reshape array of size 6 into shape (5,5)"
        )
        expect(page.locator(".ln.bad")).to_contain_text("np.reshape(x, (5, 5))")
        expect(page.locator("#stack")).to_contain_text("shaped")
        expect(page.locator("#stack")).not_to_contain_text("fromnumeric")
        assert run.problems == []


def test_events_are_listed_by_what_is_looked_for(chromium: Browser, tmp_path: Path) -> None:
    script = tmp_path / "bad_log.py"
    script.write_text(BAD_LOG + "loss.backward()\n", encoding="utf-8")
    with running(chromium, script, options=("--trace-level", "2")) as run:
        page = run.page()
        page.click("#btn-continue")
        shows(page, "finished")
        page.click("#tab-events")
        rows = page.locator("#events tbody tr")
        page.get_by_role("radio", name="not finite").click()
        expect(rows.filter(has_text="made here")).to_contain_text(["log #"])
        expect(rows.filter(has_text="module")).to_have_count(0)
        page.get_by_role("radio", name="structure").click()
        expect(rows.filter(has_text="into net (Linear)")).to_have_count(1)
        page.get_by_role("radio", name="nodes").click()
        expect(rows.filter(has_text="linear #")).to_have_count(1)
        assert run.problems == []
