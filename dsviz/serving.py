"""`ds.serve()`: the page beside a notebook or a Python prompt, showing what each cell runs.

The page is served by a process of its own, which attaches to this one as `dsviz attach` does. So a cell runs as it
always does, and stands still only where a breakpoint is reached or somebody presses Pause.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from dsviz import shadow
from dsviz.listening import open_door

if TYPE_CHECKING:
    from dsviz.debuggee.door import Door

_ADDRESS = re.compile(r"http://\S+")
_SERVER = (
    "import sys\n"
    "if sys.path and sys.path[0] == '': del sys.path[0]\n"
    "sys.path.insert(0, {root!r})\n"
    "from dsviz.cli import main\n"
    "sys.exit(main(sys.argv[1:]))\n"
)
GOODBYE = 5.0  # seconds the server may take to end

_serving: Serving | None = None


class ServeError(RuntimeError):
    """The page cannot be served; the text is a sentence for the person."""


class Serving:
    """What `ds.serve()` gives: the page's address, and the way to end it."""

    def __init__(self, door: Door, process: subprocess.Popen[bytes], own: bool) -> None:
        self._door, self._process, self._own = door, process, own
        self._said = b""
        self._url = ""
        self._pid = os.getpid()
        assert process.stdout is not None
        for line in process.stdout:  # to its first address, which comes when it has attached
            self._said += line
            if self._hear():
                break
        os.set_blocking(process.stdout.fileno(), False)

    @property
    def url(self) -> str:
        """The address to open; each is good for one visit, and a new one comes when the page was closed."""
        if self._process.stdout is not None and not self._process.stdout.closed:
            while data := self._process.stdout.read(1 << 16):
                self._said = (self._said + data)[-(1 << 16) :]
                self._hear()
        return self._url

    @property
    def closed(self) -> bool:
        """Whether the server has ended."""
        return self._process.poll() is not None

    def pause(self) -> None:
        """Pause before the next node: that of the next cell, where nothing runs now."""
        self._door.pause()

    def close(self) -> None:
        """End the page and its server; what runs goes on. Closing twice is harmless."""
        if os.getpid() != self._pid:
            return  # a forked child's copy
        atexit.unregister(self.close)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()  # its end of the line: it detaches and ends
        try:
            self._process.wait(GOODBYE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._own:
            self._door.close()

    def _hear(self) -> bool:
        found = _ADDRESS.findall(self._said.decode(errors="replace"))
        if found:
            self._url = found[-1]
        return bool(found)

    def _complaint(self) -> str:
        lines = self._said.decode(errors="replace").strip().splitlines() or ["it ended without a word"]
        ours = [line.removeprefix("dsviz: ") for line in lines if line.startswith("dsviz: ")]
        return (ours or lines)[-1]

    def __repr__(self) -> str:
        return f"<dsviz {'closed' if self.closed else self.url}>"


def serve(port: int | None = None, *, trace_level: int = 1, browser: bool = False) -> Serving:
    """Show what runs from here on in a page, from a notebook's cell or a Python prompt; prints the address once.

    `port` is the page's on 127.0.0.1 (None: the usual one, or any that is free), `trace_level` as of `dsviz run`.
    Cells run as always while they are watched; they stop at breakpoints, at what cannot run, and where
    somebody presses Pause. Calling it again gives the page there is. Raises `ServeError` with a sentence.

    >>> page = serve()  # doctest: +SKIP
    dsviz: http://127.0.0.1:8850/?token=...
    >>> page.close()  # doctest: +SKIP
    """
    global _serving
    _check(port, trace_level)
    if _serving is not None and not _serving.closed and _serving._door.attached:
        return _serving
    if _serving is not None:
        _serving.close()  # it has ended, or was detached in the page
    own = not _listens()
    door = open_door(announce=False)
    if door is None:
        raise ServeError("This program runs under dsviz already: its page is where that was started.")
    process = _start(port, trace_level, browser)
    serving = Serving(door, process, own)
    if not serving._url:
        sentence = serving._complaint()
        serving.close()
        raise ServeError(f"The page cannot be served: {sentence}")
    _serving = serving
    atexit.register(serving.close)
    sys.stdout.write(f"dsviz: {serving._url}\n")
    sys.stdout.flush()
    return serving


def _check(port: Any, trace_level: Any) -> None:
    if port is not None and (not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65535):
        raise ValueError(f"port has to be a number from 0 to 65535, or None for the usual one, got {port!r}")
    if trace_level not in (0, 1, 2) or isinstance(trace_level, bool):
        raise ValueError(f"trace_level has to be 0, 1 or 2, got {trace_level!r}")


def _listens() -> bool:
    from dsviz import listening

    return listening._door is not None and not listening._door.closed


def _start(port: int | None, trace_level: int, browser: bool) -> subprocess.Popen[bytes]:
    words = ["attach", "--until-eof", "--trace-level", str(trace_level)]
    words += [] if browser else ["--no-browser"]
    words += [] if port is None else ["--port", str(port)]
    code = _SERVER.format(root=shadow.ROOT)
    try:
        return subprocess.Popen(
            [sys.executable, "-c", code, *words, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is the cell's
        )
    except OSError as error:
        raise ServeError(f"The page's server cannot be started: {error}.") from None
