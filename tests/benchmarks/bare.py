"""A page in a Chromium that nothing else looks into.

Playwright has the browser keep what it loads and answers, so a page's memory grows by what it is asked; over a day that is
more than the page itself. Here the browser's own protocol is spoken, and only what is asked for is sent.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measure import QUIET
from websockets.sync.client import ClientConnection, connect


class Page:
    """One page, spoken to over its debugging socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    def send(self, method: str, **fields: Any) -> dict[str, Any]:
        """Call a method of Chromium's protocol, and wait for its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": fields}))
        while True:
            told = json.loads(self._socket.recv(timeout=120))
            if told.get("id") == number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']}")
                return dict(told["result"])

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page."""
        told = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        return told["result"].get("value")

    def until(self, expression: str, seconds: float = 60.0) -> None:
        """Wait until it is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(expression):
            if time.monotonic() > end:
                raise SystemExit(f"never came: {expression}")
            time.sleep(0.1)

    def heap(self) -> int:
        """Bytes of the page's heap after a collection."""
        self.send("HeapProfiler.collectGarbage")
        return int(self.send("Runtime.getHeapUsage")["usedSize"])


@contextlib.contextmanager
def bare_page(address: str) -> Iterator[Page]:
    """The page of `address`."""
    command = shutil.which("chromium") or shutil.which("google-chrome")
    if command is None:
        raise SystemExit("there is no chromium or google-chrome on this machine")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        words = [command, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}", *QUIET]
        chromium = subprocess.Popen([*words, "about:blank"], stderr=subprocess.DEVNULL)
        try:
            told = Path(profile) / "DevToolsActivePort"
            end = time.monotonic() + 60
            while not told.exists() or not told.read_text():
                if time.monotonic() > end:
                    raise SystemExit("Chromium does not start")
                time.sleep(0.05)
            port = told.read_text().split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                targets = [target for target in json.load(answer) if target["type"] == "page"]
            with connect(targets[0]["webSocketDebuggerUrl"], max_size=None) as socket:
                page = Page(socket)
                page.send("Page.navigate", url=address)
                yield page
        finally:
            chromium.terminate()
            chromium.wait(60)
