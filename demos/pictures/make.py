"""Pictures of the page, made from real runs: `python demos/pictures/make.py [STATE ...] [--size 1280x720] [--to FOLDER]`.

Each state runs a program of this folder's parent under `dsviz run`, drives the page in a headless Chromium as a person
would, and saves STATE-light.png and STATE-dark.png. Needs `pip install -e ".[test]"` and a Chromium.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

HERE = Path(__file__).resolve().parent
DEMOS = HERE.parent
sys.path.insert(0, str(DEMOS.parent / "tests"))

import browser  # noqa: E402
from browser import Run, open_chromium, poll, press, running  # noqa: E402

browser.WAIT = 120_000  # milliseconds: whole runs are waited for, on any machine
expect.set_options(timeout=browser.WAIT)


def entry(_page: Page) -> None:
    pass


def step(page: Page) -> None:
    """In the backward pass of a later iteration, with the branch taken."""
    page.click("#trace-level-2")
    page.locator(".ln", has_text="self.refine(x)").locator(".bp").click()
    press(page, "continue")
    page.locator(".ln", has_text="self.refine(x)").locator(".bp").click()
    while "relu\u2032" not in page.locator("#current-node").inner_text():
        press(page, "next")


def rnn(page: Page) -> None:
    page.click("#trace-level-2")
    for _ in range(60):
        press(page, "next")


def mismatch(page: Page) -> None:
    press(page, "continue")
    expect(page.locator("#canvas .card")).to_be_visible()


def nan(page: Page) -> None:
    page.click("#trace-level-2")
    stop_at(page, "nan")
    press(page, "continue")
    expect(page.locator("#canvas .card")).to_contain_text("Inf among")
    page.click("#colour-by")
    page.get_by_role("menuitemradio", name="Not finite").click()
    expect(page.locator("#legend")).to_contain_text("Made here")
    page.click("#tab-events")


def memory(page: Page) -> None:
    page.click("#btn-continue")
    expect(page.locator("#run-state")).to_have_text("finished")
    page.click("#memory-contrast")
    expect(page.locator("#memory-legend")).to_contain_text("Without the optimisation: peak")


def values(page: Page) -> None:
    """Feature maps of a segmentation net, and how far the steps move its parameters."""
    page.click("#trace-level-2")
    stop_at(page, "op", "relu", "iteration == 8")
    press(page, "continue")
    for _ in range(4):
        press(page, "next")
    page.click("#tab-parameters")


def engine(page: Page) -> None:
    """Mixed precision layer by layer, with the graph coloured by dtype."""
    page.click("#trace-level-2")
    stop_at(page, "op", "cross_entropy", "iteration == 123")
    page.click("#btn-continue")
    expect(page.locator("#iteration")).to_have_text("123")
    expect(page.locator("#run-state")).to_have_text("paused")
    page.click("#tab-engine")
    page.locator("#bottom-tools").get_by_role("radio", name="Precision").click()
    page.get_by_role("button", name="Colour the graph by dtype").click()


def compare(page: Page) -> None:
    """Two sequences of different length."""
    page.click("#btn-continue")
    expect(page.locator("#run-state")).to_have_text("finished")
    page.click("#tab-iterations")
    page.get_by_role("button", name="Iteration 41 is A", exact=True).click()
    page.get_by_role("button", name="Iteration 42 is B", exact=True).click()
    expect(page.locator("#iterations .differs")).to_contain_text("nodes")


def stop_at(page: Page, kind: str, where: str = "", condition: str = "") -> None:
    page.click("#breakpoints-add")
    page.get_by_label("Kind of breakpoint").select_option(kind)
    if where:
        page.get_by_label("Where", exact=True).fill(where)
    page.get_by_label("Condition").fill(condition)
    page.locator(".breakform").get_by_role("button", name="Add").click()
    expect(page.locator(".breakform")).to_have_count(0)


STATES: dict[str, tuple[str, Callable[[Page], None]]] = {
    "entry": ("dynamic_net.py", entry),
    "step": ("dynamic_net.py", step),
    "rnn": ("variable_rnn.py", rnn),
    "mismatch": ("shape_bug.py", mismatch),
    "nan": ("not_finite.py", nan),
    "memory": ("dynamic_net.py", memory),
    "values": ("segmentation.py", values),
    "compare": ("variable_rnn.py", compare),
    "engine": ("mixed_precision.py", engine),
}


def settled(page: Page) -> None:
    """Wait until nothing is drawn or asked for any more; the timeline's plot comes after the page can be used."""
    if page.locator("#memory-figure").is_visible():
        expect(page.locator("#memory-figure .js-plotly-plot .main-svg").first).to_be_attached()
    page.wait_for_timeout(900)
    poll(page, "!window.dsviz.live.waiting.size")


def take(run: Run, drive: Callable[[Page], None], size: tuple[int, int], to: Callable[[str], Path]) -> None:
    page = run.page()
    page.set_viewport_size({"width": size[0], "height": size[1]})
    drive(page)
    for theme in ("light", "dark"):
        if page.evaluate("document.documentElement.dataset.theme") != theme:
            page.click("#btn-theme")
        page.mouse.move(size[0] - 4, size[1] - 4)
        settled(page)
        path = to(theme)
        page.screenshot(path=path)
        print(f"{path.name}: {path.stat().st_size / 1024:.0f} KB")
    for problem in run.problems:
        print(f"  the page said: {problem}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "states", nargs="*", metavar="STATE", help=f"of {', '.join(STATES)}; all of them if left out"
    )
    parser.add_argument("--size", default="1440x900")
    parser.add_argument("--to", type=Path, default=HERE)
    asked = parser.parse_args()
    if unknown := [state for state in asked.states if state not in STATES]:
        parser.error(f"there is no state {unknown[0]!r}; there are: {', '.join(STATES)}")
    width, height = (int(side) for side in asked.size.split("x"))
    usual = asked.size == "1440x900"
    asked.to.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = open_chromium(playwright)
        for state in asked.states or STATES:
            script, drive = STATES[state]
            place = next(folder / script for folder in (DEMOS, HERE) if (folder / script).exists())
            with running(chromium, place) as run:
                take(
                    run,
                    drive,
                    (width, height),
                    lambda theme, state=state: (
                        asked.to / f"{state}-{theme}{'' if usual else '-' + str(width)}.png"
                    ),
                )
        chromium.close()


if __name__ == "__main__":
    main()
