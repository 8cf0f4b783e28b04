"""Strangers at the door, in a real browser: pages of other origins that know the port try to step the program."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import QUIET, Run, graph, running
from playwright.sync_api import Browser, Error, Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

SCRIPT = "import dsviz as ds\nx = ds.ones(2)\nfor _ in range(5):\n    x = x * 2\n"

# What a page can do to another address without being allowed to read the answer, and what it would like to read.
ATTACK = """async (base) => {
  const tried = {};
  const attempt = async (name, what) => { try { tried[name] = await what(); } catch (error) { tried[name] = 'refused'; } };
  await attempt('read', async () => (await fetch(base + '/', {credentials: 'include'})).status);
  for (const path of ['/', '/live', '/_dash-update-component', '/_dash-layout'])
    for (const method of ['GET', 'POST'])
      await attempt(method + path, async () => {
        const answer = await fetch(base + path, {method, mode: 'no-cors', credentials: 'include',
          body: method === 'POST' ? '{"do": "next", "verb": "next"}' : undefined});
        return answer.type === 'opaque' ? 'opaque' : answer.status;
      });
  await attempt('socket', () => new Promise((done, fail) => {
    const socket = new WebSocket(base.replace('http', 'ws') + '/live');
    socket.onopen = () => { socket.send('{"do": "next", "id": 1}'); done('open'); };
    socket.onmessage = () => done('heard');
    socket.onerror = () => fail();
  }));
  await attempt('frame', () => new Promise(done => {
    const frame = document.createElement('iframe');
    frame.onload = () => { try { done(frame.contentDocument ? 'blank' : 'foreign'); } catch { done('foreign'); } };
    frame.src = base + '/';
    document.body.append(frame);
  }));
  await attempt('script', () => new Promise((done, fail) => {
    const script = document.createElement('script');
    script.onload = () => done('ran'); script.onerror = () => fail();
    script.src = base + '/_dash-layout';
    document.body.append(script);
  }));
  return tried;
}"""


class Quiet(http.server.BaseHTTPRequestHandler):
    """An empty page, whatever is asked for."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>another</title><body>another program's page")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def stranger() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run(chromium: Browser, tmp_path: Path) -> Iterator[Run]:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT, encoding="utf-8")
    with running(chromium, script) as run:
        yield run


def stands(page: Page) -> tuple[Any, Any]:
    return graph(page, "count"), page.text_content("#current-node")


def test_a_page_of_another_port_moves_and_reads_nothing(run: Run, stranger: str) -> None:
    page = run.page()
    before = stands(page)
    base = run.address.partition("/?")[0]
    other = run.context.new_page()  # the cookie is in this browser: ports are one site
    other.goto(stranger)
    tried = other.evaluate(ATTACK, base)
    assert tried["read"] == "refused"
    assert tried["socket"] == "refused"
    assert tried["script"] == "refused"
    assert tried["frame"] == "foreign"
    for frame in other.frames[1:]:
        assert "graph" not in frame.content()
    page.reload()
    page.wait_for_selector("#run-state:has-text('paused')")
    assert stands(page) == before


def test_a_name_that_leads_to_this_machine_is_not_ours(run: Run, chromium: Browser) -> None:
    page = run.page()
    before = stands(page)
    found = re.search(r":(\d+)/", run.address)
    assert found
    port = found[1]
    browser = chromium.browser_type.launch(
        executable_path=_path(chromium), args=[*QUIET, "--host-resolver-rules=MAP evil.example 127.0.0.1"]
    )
    try:
        other = browser.new_page()
        for address in (f"http://evil.example:{port}/", run.address.replace("127.0.0.1", "evil.example")):
            answer = other.goto(address)
            assert answer is not None
            assert answer.status in (400, 403, 421)
            assert "window.dsviz" not in other.content()
        tried = other.evaluate(ATTACK, f"http://evil.example:{port}")
        assert tried["socket"] == "refused"
        assert tried["read"] in (400, 403, 421)
        assert all(status in (400, 403, 404, 405, 421) for name, status in tried.items() if "/" in name), (
            tried
        )
    finally:
        browser.close()
    page.reload()
    page.wait_for_selector("#run-state:has-text('paused')")
    assert stands(page) == before


def _path(chromium: Browser) -> str | None:
    import shutil

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        return found or chromium.browser_type.executable_path
    except Error:
        return None


def test_the_address_opens_one_browser_only(run: Run, chromium: Browser) -> None:
    run.page()
    thief = chromium.new_context()
    try:
        answer = thief.new_page().goto(run.address)  # as found in a terminal's history, once it was used
        assert answer is not None
        assert answer.status == 403
        assert not thief.cookies()
    finally:
        thief.close()
