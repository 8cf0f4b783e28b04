"""The page used with the keyboard alone, and what a screen reader finds in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import DEMOS, Run, moving, poll, running, shows
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture
def run(chromium: Browser, tmp_path: Path) -> Iterator[Run]:
    script = tmp_path / "shape_bug.py"
    script.write_bytes((DEMOS / "shape_bug.py").read_bytes())
    with running(chromium, script) as run:
        yield run


def move(page: Page, key: str) -> None:
    with moving(page):
        page.keyboard.press(key)


def test_the_browsers_debuggers_keys_step_the_program(run: Run) -> None:
    page = run.page()
    here = page.locator("#current-node")
    move(page, "F10")
    expect(here).to_contain_text("linear")
    move(page, "Shift+F11")
    expect(here).to_contain_text("tanh")
    move(page, "F7")
    expect(page.locator("#stop-reason")).to_contain_text("In the past")
    move(page, "F11")
    move(page, "F8")
    expect(page.locator("#stop-reason")).to_have_text("Shape mismatch")
    page.keyboard.press("Escape")
    expect(page.locator("#canvas .card")).to_have_count(0)
    move(page, "Control+Shift+F5")
    expect(page.locator("#canvas .empty")).to_contain_text("Nothing has run yet")
    assert run.problems == []


def test_from_the_failure_to_the_mended_run_without_a_mouse(run: Run) -> None:
    page = run.page()
    move(page, "F8")
    page.get_by_role("button", name="Edit and rerun").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#editor textarea")).to_be_focused()
    page.keyboard.type("        self.head = ds.Linear(64, 2)")
    page.keyboard.press("Control+s")
    expect(page.locator("#editor")).to_have_count(0)
    expect(page.locator("#banner")).to_contain_text("Saved.")
    page.locator("#source-lines").focus()
    page.keyboard.press("b")
    page.keyboard.press("Shift+B")
    expect(page.get_by_label("Condition")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#breakpoints-add")).to_be_focused()
    assert run.problems == []


def test_tabs_bars_choices_and_grips_move_by_arrows(run: Run) -> None:
    page = run.page()
    page.locator("#tab-memory").focus()
    for name in ("iterations", "parameters", "engine", "events", "console"):
        page.keyboard.press("ArrowRight")
        expect(page.locator(f"#tab-{name}")).to_be_focused()
        expect(page.locator(f"#panel-{name}")).to_be_visible()
    page.locator("#trace-level-1").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#trace-level-2")).to_have_attribute("aria-checked", "true")
    page.locator("#btn-continue").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#btn-next")).to_be_focused()  # Pause cannot be pressed now
    grip = page.locator("#source .grip")
    before = page.locator("#source").bounding_box()
    grip.focus()
    page.keyboard.press("ArrowRight")
    page.reload()
    shows(page, "paused")
    after = page.locator("#source").bounding_box()
    assert before
    assert after
    assert after["width"] == before["width"] + 16
    page.locator("#canvas").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("Step into module")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_have_count(0)
    assert run.problems == []


def test_everything_that_can_be_pressed_has_a_name_and_lists_have_roles(run: Run) -> None:
    page = run.page()
    move(page, "F8")
    for tab in ("memory", "iterations", "parameters", "engine", "events", "console"):
        page.click(f"#tab-{tab}")
        poll(page, "!window.dsviz.live.waiting.size")
        nameless = page.evaluate(
            """[...document.querySelectorAll('button, input, select, textarea, [role=dialog], [tabindex="0"]')]
            .filter(e => e.offsetParent && !(e.getAttribute('aria-label') || e.textContent.trim() || e.title || e.labels?.length))
            .map(e => e.outerHTML.slice(0, 120))"""
        )
        assert nameless == [], tab
    expect(page.get_by_role("list", name="Breakpoints").get_by_role("listitem")).to_have_count(2)
    expect(page.get_by_role("list", name="Source lines").get_by_role("listitem").first).to_be_attached()
    expect(page.get_by_role("log", name="Output")).to_contain_text("words: loss")
    expect(page.get_by_role("toolbar", name="Run controls")).to_be_visible()
    expect(page.locator("#say")).to_contain_text("head expects rows of 128")
    assert run.problems == []


def test_a_bar_is_one_stop_of_tab_and_arrows_move_inside(run: Run) -> None:
    page = run.page()
    page.click("#trace-level-1")
    page.locator("#btn-next").focus()
    page.keyboard.press("Tab")
    expect(page.locator("#toolbar :focus")).to_have_count(0)
    page.keyboard.press("Shift+Tab")
    expect(page.locator("#btn-next")).to_be_focused()  # where it was
    page.keyboard.press("ArrowRight")
    expect(page.locator("#btn-into")).to_be_focused()
    page.locator("#canvas").focus()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Colour by Kind")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name="Fold: Layers")).to_be_focused()
    page.locator("#tab-engine").click()
    page.locator("#bottom-tools").get_by_role("radio", name="Precision").focus()
    page.keyboard.press("Tab")
    expect(page.locator("#engine")).to_be_focused()
    assert run.problems == []
