"""What several test files share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
        yield browser
        browser.close()
