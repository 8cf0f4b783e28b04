"""Attaching to a program that listens: it runs free, is traced while somebody is there, and runs on afterwards."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dsviz import cli, doors
from dsviz.events import Leaf
from dsviz.session import LaunchError, Refused, Session

ROOT = Path(__file__).parent.parent
WAIT = 60
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the test's folders are POSIX's")

# Does what it is told, a line at a time, so that nothing here depends on how fast anything is.
PROGRAM = """\
import sys
import dsviz as ds
from engine.bus import bus

class Net(ds.Module):
    def __init__(self):
        self.inner = ds.Linear(3, 1)

    def forward(self, x):
        return self.inner(x)

ds.manual_seed(0)
net = Net()
optimizer = ds.optim.SGD(net.parameters(), lr=0.1)

def step():
    loss = net(ds.ones(2, 3)).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

{before}
print(door.address, flush=True)
for line in sys.stdin:
    exec(line)
    print("did", line.strip(), bus.active, flush=True)
"""


class Listener:
    """Such a program in a process of its own."""

    def __init__(self, folder: Path, before: str = "door = ds.listen()", env: dict[str, str] | None = None):
        path = folder / "serve.py"
        path.write_text(PROGRAM.format(before=before), encoding="utf-8")
        self.errors = open(folder / "errors", "w+", encoding="utf-8")  # noqa: SIM115 - closed at the end
        self.process = subprocess.Popen(
            [sys.executable, str(path)],
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
        )  # fmt: skip
        self.pid = self.process.pid

    def ready(self) -> str:
        """Its address, once it listens."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def done(self) -> str:
        """What it says when a line is done."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.errors.close()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime folder of the test's own: what else listens on this machine is not looked at."""
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setattr(doors, "folders", lambda: [str(runtime / "dsviz")])
    return runtime / "dsviz"


@pytest.fixture
def listens(tmp_path: Path) -> Iterator[Callable[..., Listener]]:
    started: list[Listener] = []

    def start(before: str = "door = ds.listen()", **env: str) -> Listener:
        started.append(Listener(tmp_path, before, env))
        return started[-1]

    yield start
    for one in started:
        one.close()


def leaves(session: Session) -> set[str]:
    with session.store.lock:
        return {node.role for node in session.store.nodes.values() if isinstance(node, Leaf)}


def test_it_runs_free_is_traced_while_somebody_is_there_and_runs_on(listens: Callable[..., Listener]) -> None:
    program = listens()
    program.ready()
    program.tell("step()")
    assert program.done() == "did step() False"
    for _ in range(3):  # several, one after another
        with Session.attach(program.pid, pause=True) as session:
            program.tell("step()")
            stop = session.wait(WAIT)
            assert (stop.reason, stop.op, stop.module) == ("entry", "linear", "net.inner")
            ops = [session.next(WAIT).op for _ in range(4)]
            assert ops == ["sum", "sum", "linear", "sgd"]
            assert leaves(session) >= {"parameter", "constant"}  # named anew for each who comes
            assert session.store.memory.total > 0
            assert session.evaluate("len(list(net.parameters()))") == "2"
            ended = session.detach()
            assert (ended.state, ended.reason) == ("stopped", "detached")
        assert program.done().startswith("did step()")
        program.tell("step()")
        assert program.done() == "did step() False"
    assert program.process.poll() is None


def test_a_program_pauses_runs_and_prints_to_whoever_is_there(listens: Callable[..., Listener]) -> None:
    program = listens()
    program.ready()
    with Session.attach(str(program.pid), pause=True) as session:
        assert session.attached
        program.tell("print('hello from inside'); step()")
        assert program.done() == "hello from inside"
        session.wait(WAIT)
        breakpoint = session.add_breakpoint("op", name="sum")
        stop = session.resume(WAIT)
        assert stop.breakpoints == (breakpoint.id,)
        assert "hello from inside" in "".join(text for _, text in session.store.output())
        session.set_level(0)
        session.remove_breakpoint(breakpoint.id)
        session.send("continue")
        program.done()
        program.tell("step()")
        assert program.done() == "did step() False"
        with pytest.raises(Refused, match="attached to"):
            session.restart()


def test_a_killed_viewer_lets_the_program_run_on(listens: Callable[..., Listener]) -> None:
    program = listens()
    program.ready()
    code = (
        f"from dsviz.session import Session\ns = Session.attach({program.pid}, pause=True)\n"
        "print('there', flush=True)\nprint(s.wait().reason, flush=True)\nimport time\ntime.sleep(600)"
    )
    viewer = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert viewer.stdout is not None
        assert viewer.stdout.readline() == "there\n"
        program.tell("step()")
        assert viewer.stdout.readline() == "entry\n"
        with pytest.raises(LaunchError, match=f"attached already .process {viewer.pid}."):
            Session.attach(program.pid)
    finally:
        viewer.kill()
        viewer.wait()
        assert viewer.stdout is not None
        viewer.stdout.close()
    assert program.done().startswith("did step()")
    with Session.attach(program.pid) as session:  # and the next one comes in
        program.tell("step()")
        assert program.done() == "did step() True"
        assert session.pid == program.pid
    program.tell("step()")
    assert program.done() == "did step() False"


def test_waiting_for_somebody_pauses_before_the_next_node(listens: Callable[..., Listener]) -> None:
    program = listens("door = ds.listen('127.0.0.1:0', wait=True); step()")
    while not doors.listening():
        assert program.process.poll() is None
        time.sleep(0.01)
    address = doors.listening()[0].address
    with Session.attach(address) as session:
        assert session.wait(WAIT).reason == "entry"
        session.send("continue")
        assert program.ready() == address


@pytest.mark.parametrize("how", ["end", "exception", "kill"])
def test_how_a_program_ended_is_told(listens: Callable[..., Listener], how: str) -> None:
    program = listens()
    program.ready()
    with Session.attach(program.pid, pause=how == "kill") as session:
        if how == "end":
            program.tell("sys.exit(0)")
            stop = session.wait(WAIT)
            assert (stop.state, stop.text) == ("finished", "The program ended.")
        elif how == "exception":
            program.tell("step(); raise KeyError('lost')")
            assert session.wait(WAIT).position == "end"
            stop = session.resume(WAIT)
            assert stop.state == "failed"
            assert stop.text.startswith("KeyError")
        else:
            program.tell("step(); __import__('os').kill(__import__('os').getpid(), 9)")
            session.wait(WAIT)
            stop = session.resume(WAIT)
            assert stop.state == "killed"
            assert stop.text.startswith("Killed after sgd")


def test_only_this_user_finds_the_door_and_only_who_has_the_secret_gets_in(
    listens: Callable[..., Listener], private: Path
) -> None:
    program = listens()
    address = program.ready()
    assert private.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in private.iterdir()} == {0o600}
    record = doors.find(str(program.pid))
    assert record.address == address
    (private / f"{program.pid}.json").write_text(
        json.dumps({"pid": program.pid, "address": address, "secret": "00" * 32, "script": ""})
    )
    with pytest.raises(LaunchError, match="does not answer"):
        Session.attach(program.pid)
    program.tell("step()")
    assert program.done() == "did step() False"


def test_what_a_killed_program_left_is_swept_away(listens: Callable[..., Listener], private: Path) -> None:
    program = listens()
    program.ready()
    program.close()
    assert len(list(private.iterdir())) == 2
    assert doors.listening() == []
    assert list(private.iterdir()) == []


def test_a_program_that_ends_leaves_nothing(listens: Callable[..., Listener], private: Path) -> None:
    program = listens()
    program.ready()
    program.tell("door.close(); door.close()")
    program.done()
    assert list(private.iterdir()) == []
    with pytest.raises(LaunchError, match="does not listen"):
        Session.attach(program.pid)
    program.tell("door = ds.listen()")  # it may listen again
    program.done()
    with Session.attach(program.pid):
        program.tell("sys.exit(0)")
        program.process.wait(WAIT)
    assert list(private.iterdir()) == []


def test_a_socket_of_one_s_own_is_taken_over_when_it_is_stale(
    listens: Callable[..., Listener], tmp_path: Path
) -> None:
    path = tmp_path / "mine.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    program = listens(f"door = ds.listen({str(path)!r})")
    assert program.ready() == str(path)
    with Session.attach(str(path)) as session:
        assert session.pid == program.pid


WRONG = [
    ("'example.com:80'", "not an address of this machine"),
    ("'lunch'", "no address"),
    ("70000", "no address"),
    ("True", "no address"),
    ("[1]", "no address"),
    ("__file__", "is no socket"),
    ("'/no/such/folder/x.sock'", "cannot be listened at"),
    ("'/' + 'long' * 100 + '/x.sock'", "cannot be listened at"),
    ("TAKEN", "cannot be listened at"),
]


def test_a_wrong_address_is_refused_with_a_sentence(listens: Callable[..., Listener]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        addresses = ", ".join(address for address, _ in WRONG)
        program = listens(
            f"TAKEN = {taken.getsockname()[1]}\n"
            f"for address in [{addresses}]:\n"
            "    try:\n        ds.listen(address)\n"
            "    except ValueError as error:\n        print(error, flush=True)\n"
            "door = ds.listen()"
        )
        for _, says in WRONG:
            assert says in program.ready()
        assert program.ready() == doors.listening()[0].address


def test_a_second_call_gives_what_there_is(listens: Callable[..., Listener]) -> None:
    program = listens("door = ds.listen(0); other = ds.listen()")
    address = program.ready()
    program.tell("print(other.address, ds.listen(0).address, other.attached)")
    assert program.done() == f"{address} {address} False"
    program.done()
    program.tell("try: ds.listen(1)\nexcept ValueError as error: print(error)".replace("\n", "\\n").join(['exec("', '")']))  # fmt: skip
    assert f"listens at {address} already" in program.done()


def test_a_forked_child_does_not_hold_the_door(listens: Callable[..., Listener]) -> None:
    program = listens()
    program.ready()
    program.tell("child = __import__('os').fork() or (step(), __import__('os')._exit(5))")
    program.done()
    program.tell("print(__import__('os').waitstatus_to_exitcode(__import__('os').waitpid(child, 0)[1]))")
    assert program.done() == "5"
    program.done()
    program.tell("step()")
    program.done()
    with Session.attach(program.pid, pause=True) as session:
        program.tell("step()")
        assert session.wait(WAIT).op == "linear"


def test_listening_does_nothing_under_the_debugger(session_of: Callable[[str], Session]) -> None:
    source = (
        "import dsviz as ds\nds.ones(1) + 1\ndoor = ds.listen(wait=True)\nprint(repr(door), door.attached)"
    )
    session = session_of(source)
    assert session.resume(WAIT).state == "finished"
    assert "a debugger started this program" in "".join(text for _, text in session.store.output())


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(["attach", *words]) == cli.EXIT_USAGE
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_what_cannot_be_attached_to_is_told_in_a_sentence(
    capsys: pytest.CaptureFixture[str], listens: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert "no program was named. No program listens now." in refused(capsys)
    program = listens()
    program.ready()
    assert f"Listening now: {program.pid} (serve.py)" in refused(capsys)
    assert f"There is no process {gone.pid}. Listening now: {program.pid}" in refused(capsys, str(gone.pid))
    assert "does not listen" in refused(capsys, str(os.getpid()))
    assert "There is no process" in refused(capsys, "9" * 30)
    assert "no address" in refused(capsys, "train.py")
    assert "No program of yours listens at" in refused(capsys, "127.0.0.1:1")
    assert "not an address of this machine" in refused(capsys, "10.0.0.1:5678")
    assert "--port" in refused(capsys, "--terminal", "--port", "1", str(program.pid))
    assert "unrecognized" in refused(capsys, str(program.pid), "more")
    monkeypatch.setattr(doors, "_owner", lambda pid: os.getuid() + 1)
    assert "belongs to another user" in refused(capsys, str(os.getpid()))


def test_a_folder_that_others_may_write_to_is_not_trusted(private: Path) -> None:
    private.mkdir(mode=0o777)
    private.chmod(0o777)
    with pytest.raises(ValueError, match="not trusted"):
        doors.folder()
    (private / "1.json").write_text("{}")
    assert doors.listening() == []
    assert (private / "1.json").exists()


def command(*words: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dsviz", "attach", *words], text=True, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, **options,
    )  # fmt: skip


def test_the_terminal_steps_it_and_leaves_it(listens: Callable[..., Listener]) -> None:
    program = listens()
    program.ready()
    program.tell("step()")
    program.done()
    terminal = command("--terminal", str(program.pid), stdin=subprocess.PIPE)
    assert terminal.stdout is not None
    terminal.stdout.readline()  # it has come in
    program.tell("step()")
    out, _ = terminal.communicate("n\nrestart\np 40 + 2\nq\n", WAIT)
    assert "Paused before linear in net.inner  [entry]" in out
    assert "Paused before sum" in out
    assert "cannot be restarted from here" in out
    assert "42" in out
    assert f"Detached; process {program.pid} runs on by itself." in out
    assert terminal.returncode == 0
    assert program.done().startswith("did step()")


def test_the_page_is_served_and_ctrl_c_leaves_the_program_running(listens: Callable[..., Listener]) -> None:
    program = listens()
    program.ready()
    page = command("--no-browser", "--port", "0", str(program.pid), stdin=subprocess.DEVNULL)
    assert page.stdout is not None
    try:
        assert "http://127.0.0.1:" in page.stdout.readline()
        page.send_signal(signal.SIGINT)
        assert page.wait(WAIT) == 0
    finally:
        page.kill()
        page.stdout.close()
    program.tell("step()")
    assert program.done() == "did step() False"
