"""What several test files share."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import engine

if TYPE_CHECKING:
    from dsviz.session import Session

try:
    from playwright.sync_api import Browser, sync_playwright
except ImportError:  # the engine's tests run where no browser is wanted
    sync_playwright = None  # type: ignore[assignment]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One headless Chromium for a test process."""
    if sync_playwright is None:
        pytest.skip("the page's tests need playwright: pip install playwright")
    from browser import open_chromium

    with sync_playwright() as playwright:
        browser = open_chromium(playwright)
        loop = asyncio._get_running_loop()
        yield browser
        asyncio._set_running_loop(loop)
        browser.close()


@pytest.fixture
def session_of(tmp_path: Path) -> Iterator[Callable[[str], Session]]:
    """Starts a program under a session and waits until it stands before its first node."""
    from dsviz.session import Session

    started: list[Session] = []

    def start(source: str) -> Session:
        path = tmp_path / "train.py"
        path.write_text(source, encoding="utf-8")
        session = Session.launch(path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(session)
        session.wait(60)
        return session

    yield start
    for session in started:
        session.close()


def pytest_runtest_setup() -> None:
    """Every test draws the same numbers in every run, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    engine.manual_seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Hide Playwright's event loop, which stays in this thread between its calls, from tests that run their own."""
    loop = asyncio._get_running_loop()
    if loop is None or "chromium" in getattr(item, "fixturenames", ()):
        return (yield)
    asyncio._set_running_loop(None)
    try:
        return (yield)
    finally:
        asyncio._set_running_loop(loop)
