"""A real Chromium on a real `dsviz run`, for the tests of the page."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserType, ConsoleMessage, Error, Page, Playwright, expect

ROOT = Path(__file__).resolve().parents[1]
DEMOS = ROOT / "demos"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
WAIT = 60_000  # milliseconds; a loaded machine is slow, and nothing here is a timed test

expect.set_options(timeout=WAIT)


def open_chromium(playwright: Playwright) -> Browser:
    """The system's Chromium, else Playwright's own; without one the test is skipped and says how to get it."""
    kind: BrowserType = playwright.chromium
    system = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        return kind.launch(executable_path=system, args=QUIET)
    except Error:
        pytest.skip(
            "no Chromium: apt-get install chromium (Debian), or python -m playwright install chromium (elsewhere)"
        )


class Run:
    """One `dsviz run` and the pages opened on it."""

    def __init__(self, process: subprocess.Popen[str], address: str, browser: Browser) -> None:
        self.process = process
        self.address = address
        self.browser = browser
        self.context = browser.new_context(viewport={"width": 1440, "height": 900})
        self.problems: list[str] = []
        self._opened = False

    def page(self, state: str = "paused") -> Page:
        """A page of this run, once it shows `state`. The token opens the first; the cookie the others."""
        page = self.context.new_page()
        page.set_default_timeout(WAIT)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        page.goto(self.address if not self._opened else self.address.partition("?")[0])
        self._opened = True
        shows(page, state)
        return page

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"console {message.type}: {message.text}")


def running_fixture(program: str, name: str, *options: str) -> Any:
    """The fixture `run` of a file's tests: `program` as the script `name`, run with these options."""

    @pytest.fixture
    def run(chromium: Browser, tmp_path: Path) -> Iterator[Run]:
        script = tmp_path / name
        script.write_text(program, encoding="utf-8")
        with running(chromium, script, options=options) as run:
            yield run

    return run


@contextlib.contextmanager
def running(browser: Browser, script: Path, *arguments: str, options: tuple[str, ...] = ()) -> Iterator[Run]:
    """`dsviz run` of a script, with no browser of its own; stopped at the end."""
    command = [
        sys.executable,
        "-m",
        "dsviz",
        "run",
        "--no-browser",
        "--port",
        "0",
        *options,
        str(script),
        *arguments,
    ]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=script.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        match = re.search(r"http://\S+", line)
        assert match, f"dsviz run printed no address: {line!r}"
        run = Run(process, match.group(), browser)
        try:
            yield run
            faults = [p for p in run.problems if p.startswith("page error") or "Content Security Policy" in p]
            assert not faults, faults
        finally:
            run.context.close()
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            process.stdout.close()


def graph(page: Page, what: str) -> Any:
    """A property or call of `window.dsviz.graph`."""
    return page.evaluate(f"window.dsviz.graph.{what}")


def shows(page: Page, state: str) -> None:
    """Wait until the page shows the run in this state, in every panel: those beside the graph are told a frame later."""
    expect(page.locator("#run-state")).to_have_text(state)
    poll(page, "window.dsviz.settled")


@contextlib.contextmanager
def moving(page: Page) -> Iterator[None]:
    """What is done inside moves the program; at the end every panel shows the stop that followed."""
    stops = page.evaluate("window.dsviz.stops")
    yield
    poll(
        page, f"window.dsviz.stops !== {stops!r} && window.dsviz.state !== 'running' && window.dsviz.settled"
    )


def press(page: Page, verb: str) -> None:
    """Click a verb, and wait as `moving` does."""
    with moving(page):
        page.click(f"#btn-{verb}")


def poll(page: Page, condition: str) -> None:
    """Wait until an expression is true in the page. (Playwright's own wait evaluates text, which our CSP forbids.)"""
    script = f"""() => new Promise(resolve => {{
        const until = performance.now() + {WAIT};
        (function look() {{
            if ({condition}) resolve(true);
            else if (performance.now() > until) resolve(false);
            else requestAnimationFrame(look);
        }})();
    }})"""
    assert page.evaluate(script), f"never became true: {condition}"
