"""`ds.serve()`: the page beside a prompt or a notebook, whose cells run on while they are watched."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from dsviz import doors
from dsviz.session import Session

ROOT = Path(__file__).parent.parent
WAIT = 60
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/\?token=\S+")


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(doors, "folders", lambda: [str(runtime / "dsviz")])
    return runtime


class Prompt:
    """`python -i`, typed into line by line."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-i", "-q"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.type("import dsviz as ds")

    def type(self, line: str) -> str:
        """What a line prints."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\nprint('--')\n")
        self.process.stdin.flush()
        printed = ""
        while not (got := self.process.stdout.readline()).startswith("--"):
            assert got, "the prompt has ended"
            printed += got
        return printed.strip()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture
def prompt() -> Iterator[Prompt]:
    one = Prompt()
    yield one
    one.close()


class Browser:
    """What a page does, without one: it knows the newest state, and takes its replies."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._asked = 0
        self._replies: dict[int, dict[str, Any]] = {}
        self._seen = 0  # number of the last stop that was waited for
        self.state: dict[str, Any] = {}
        while not self.state:
            self._hear()

    def _hear(self) -> None:
        # A batch may hold both what a command caused and the reply to it.
        for message in json.loads(self._socket.recv(timeout=WAIT)):
            if message["t"] == "state":
                self.state = message
            elif message["t"] == "reply":
                self._replies[message["id"]] = message

    def ask(self, do: str, **fields: Any) -> Any:
        self._asked += 1
        self._socket.send(json.dumps({"id": self._asked, "do": do, **fields}))
        while self._asked not in self._replies:
            self._hear()
        reply = self._replies[self._asked]
        assert reply["ok"], reply["error"]
        return reply["data"]

    def paused(self) -> dict[str, Any]:
        """The next stop."""
        while self.state["state"] != "paused" or self.state["stop"]["number"] <= self._seen:
            self._hear()
        stop: dict[str, Any] = self.state["stop"]
        self._seen = stop["number"]
        return stop


@contextmanager
def opened(url: str) -> Iterator[Browser]:
    """The page at a one-time address."""
    base = url.partition("/?")[0]
    with httpx.Client() as client:
        client.get(url)
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    headers = {"Cookie": cookie}
    with connect(base.replace("http", "ws") + "/live", origin=base, additional_headers=headers) as socket:
        yield Browser(socket)


def gone(pid: int) -> bool:
    deadline = time.monotonic() + WAIT
    while doors.alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not doors.alive(pid)


def test_the_address_is_printed_once_and_lines_run_on_while_they_are_watched(prompt: Prompt) -> None:
    said = prompt.type("page = ds.serve(0)")
    assert ADDRESS.fullmatch(said.removeprefix("dsviz: "))
    assert prompt.type("ds.serve() is page") == "True"  # and nothing is printed a second time
    assert prompt.type("print(page.url)") == said.removeprefix("dsviz: ")
    with opened(said.removeprefix("dsviz: ")) as browser:
        assert (browser.state["state"], browser.state["attached"]) == ("running", True)
        assert prompt.type("(ds.ones(3) * 2).sum()") == "tensor(6.)"
        assert prompt.type("page.pause()") == ""
        assert prompt.process.stdin is not None
        prompt.process.stdin.write("y = ds.tanh(ds.ones(2))\n")  # the next line stands still before its op
        prompt.process.stdin.flush()
        assert browser.paused()["op"] == "tanh"
        browser.ask("continue")
        assert prompt.type("tuple(y.shape)") == "(2,)"


def test_closing_leaves_nothing_and_it_can_be_served_again(prompt: Prompt, private: Path) -> None:
    prompt.type("page = ds.serve(0)")
    server = int(prompt.type("page._process.pid"))
    assert prompt.type("page.close(); page.close()") == ""
    assert gone(server)
    assert prompt.type("page.closed") == "True"
    assert list((private / "dsviz").iterdir()) == []
    assert sorted(path.name for path in private.iterdir()) == ["dsviz"]
    assert ADDRESS.search(prompt.type("other = ds.serve(0)"))
    assert prompt.type("ds.ones(2) + 1") == "tensor([2., 2.])"


@pytest.mark.parametrize("how", ["exit()", "import os; os.kill(os.getpid(), 9)"])
def test_the_server_ends_with_the_program(prompt: Prompt, private: Path, how: str) -> None:
    prompt.type("page = ds.serve(0)")
    server = int(prompt.type("page._process.pid"))
    assert prompt.process.stdin is not None
    prompt.process.stdin.write(how + "\n")
    prompt.process.stdin.flush()
    prompt.process.wait(WAIT)
    assert gone(server)
    assert doors.listening() == []
    assert [path.name for path in private.rglob("*") if path.is_file() or path.is_socket()] == []


def test_a_program_that_listens_goes_on_listening(prompt: Prompt) -> None:
    prompt.type("door = ds.listen(); page = ds.serve(0)")
    pid = int(prompt.type("__import__('os').getpid()"))
    prompt.type("page.close()")
    with Session.attach(pid) as session:
        assert session.pid == pid


def test_what_cannot_be_served_is_told_in_a_sentence(prompt: Prompt) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for call, says in (
            ("ds.serve('lunch')", "ValueError: port has to be a number from 0 to 65535"),
            ("ds.serve(70000)", "ValueError: port has to be a number from 0 to 65535"),
            ("ds.serve(trace_level=3)", "ValueError: trace_level has to be 0, 1 or 2, got 3"),
            (
                f"ds.serve({port})",
                f"ServeError: The page cannot be served: port {port} on 127.0.0.1 is taken",
            ),
        ):
            code = f"try: {call}\\nexcept Exception as e: print(type(e).__name__ + ': ' + str(e))"
            assert prompt.type(f'exec("{code}")').startswith(says)
    assert ADDRESS.search(prompt.type("page = ds.serve(0)"))


def test_a_program_under_the_debugger_has_its_page_already(session_of: Callable[[str], Session]) -> None:
    session = session_of("import dsviz as ds\nds.ones(1) + 1\nds.serve()")
    stop = session.resume(WAIT)
    assert "under dsviz already" in stop.text


@pytest.mark.filterwarnings("ignore")  # of the notebook's own machinery
def test_a_notebook_s_cell_stops_where_it_is_told_and_goes_on() -> None:
    manager = pytest.importorskip("jupyter_client.manager").KernelManager(kernel_name="python3")
    manager.start_kernel(env=dict(os.environ), stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()

    def cell(code: str) -> str:
        printed = []

        def hear(message: dict[str, Any]) -> None:
            content = message["content"]
            printed.append(content.get("text", "") + "".join(content.get("traceback", ())))

        client.execute_interactive(code, timeout=WAIT, output_hook=hear)
        return "".join(printed).strip()

    try:
        client.wait_for_ready(timeout=WAIT)
        said = cell("import dsviz as ds\npage = ds.serve(0)")
        assert ADDRESS.fullmatch(said.removeprefix("dsviz: "))
        with opened(said.removeprefix("dsviz: ")) as browser:
            assert cell("x = ds.ones(2, 3)\nprint((x * 2).sum().item())") == "12.0"
            tanh = browser.ask("breakpoint", action="add", kind="op", name="tanh")["id"]
            source = "for turn in range(2):\n    z = ds.tanh(x * turn)\nprint('done', turn)"
            cell("page.pause()")
            number = client.execute(source)
            assert browser.paused()["op"] == "mul"
            browser.ask("continue")  # it goes the way that the breakpoint went, and so comes after it
            stop = browser.paused()
            assert (stop["op"], stop["line"], stop["breakpoints"]) == ("tanh", 2, [tanh])
            assert [frame["function"] for frame in stop["frames"]] == [
                "<module>"
            ]  # none of the notebook's own
            assert browser.ask("evaluate", text="turn, tuple(x.shape)") == "(0, (2, 3))"
            assert browser.ask("source", file=stop["file"])["lines"] == source.splitlines()
            browser.ask("breakpoint", action="remove", breakpoint=tanh)
            browser.ask("continue")
            assert client.get_shell_msg(timeout=WAIT)["parent_header"]["msg_id"] == number
            assert cell("print('next', turn)").endswith("next 1")
        server = int(cell("print(page._process.pid)"))
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
        manager.cleanup_resources()
    assert gone(server)
    assert doors.listening() == []
