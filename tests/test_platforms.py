"""What Windows and macOS do otherwise, as far as it can be done here: no Unix socket, no pipe for the setup, other paths.

The session goes through the very code that runs there: a loopback port, and a setup in the environment.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dsviz import Session, doors, interrupts, process, terminal
from dsviz.debuggee import door
from dsviz.wire import control

WAIT = 60
PROGRAM = """\
import os
import dsviz as ds
print("DSVIZ_SESSION" in os.environ)
x = ds.ones(2)
for turn in range(3):
    x = ds.exp(x) * 0.5
x.nope
"""


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our modules that ask for the platform hear Windows; Python's own do not."""
    told = SimpleNamespace(**{name: getattr(sys, name) for name in dir(sys) if not name.startswith("__")})
    told.platform = "win32"
    for module in (process, control, doors, door):
        monkeypatch.setattr(module, "sys", told)


@pytest.mark.usefixtures("windows")
def test_a_session_over_a_loopback_port_with_its_setup_in_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text(PROGRAM, encoding="utf-8")
    with Session.launch(path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as session:
        assert session._process is not None
        assert session._process._listener.address.startswith("127.0.0.1:")
        assert session.wait(WAIT).reason == "entry"
        session.add_breakpoint("op", name="exp", hit="2")
        assert session.resume(WAIT).op == "exp"
        assert session.evaluate("turn") == "2"  # it stood before the first one already
        assert session.next(WAIT).op == "mul"
        stop = session.resume(WAIT)
        assert (stop.reason, stop.line) == ("exception", 7)
        assert session.resume(WAIT).status == 1
        assert session.store.output()[0] == (1, "False\n"), "the setup is not the program's to see"


@pytest.mark.usefixtures("windows")
def test_who_does_not_know_the_secret_is_turned_away_from_the_port_too(tmp_path: Path) -> None:
    listener = control.Listener(str(tmp_path))
    try:
        assert listener.address.startswith("127.0.0.1:")
        assert list(tmp_path.iterdir()) == []
        with control.socket.create_connection(("127.0.0.1", int(listener.address[10:]))) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert listener.accept(b"s" * 32, 0.5) is None
    finally:
        listener.close()


def test_waiting_without_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(control.select, "poll", raising=False)
    one, other = control.socket.socketpair()
    with one, other:
        assert control.readable(one, 0.0) is False
        other.send(b"x")
        assert control.readable_of((one, other)) == [one]


def test_signals_that_a_platform_lacks_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    few = SimpleNamespace(SIGINT=2, SIGTERM=15, SIGBREAK=21, SIG_IGN=1)  # as Windows has them
    few.getsignal = lambda number: None
    few.signal = lambda number, handler: asked.append(number)
    monkeypatch.setattr(interrupts, "signal", few)
    with interrupts.interrupts(lambda number: None):
        assert asked == [2, 15, 21]


def test_a_ring_where_space_cannot_be_reserved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dsviz.wire import ring

    monkeypatch.delattr(ring.os, "posix_fallocate", raising=False)  # macOS and Windows have none
    writer = ring.RingWriter(str(tmp_path / "ring"), 4096)
    try:
        assert (tmp_path / "ring").stat().st_size == ring.HEADER + 4096
        assert writer.put(b"record")
    finally:
        writer.close()


def test_a_recordings_sources_are_called_by_their_names_wherever_it_was_made(tmp_path: Path) -> None:
    from dsviz import events
    from dsviz.query.stream import PageStream
    from dsviz.store import GraphStore

    store = GraphStore(read=lambda path: None)
    paths = ["/home/me/train.py", r"C:\Users\me\model.py", r"\\server\share\net.py", "<ipython-input-1>", ""]
    for number, path in enumerate(paths, 1):
        store.feed_many([events.Text(number, path), events.Frame(number, 0, number, 1, 1, 0)])
    hello = PageStream(store).collect()[0]
    assert hello["t"] == "hello"
    items: list[Any] = hello["files"]
    assert [item["name"] for item in items] == ["train.py", "model.py", "net.py", "<ipython-input-1>", ""]


@pytest.mark.parametrize(
    ("environment", "tty", "coloured"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], tty: bool, coloured: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: tty, raising=False)
    terminal.console(out).print("matmul", style="blue")
    assert ("\x1b[34m" in out.getvalue()) == coloured
    assert "matmul" in out.getvalue()
