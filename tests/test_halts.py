"""`ds.breakpoint()` and Python's `breakpoint()`: where they pause, and that without a debugger nothing waits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dsviz.session import Session

ROOT = Path(__file__).parent.parent
WAIT = 60

PROGRAM = """\
import dsviz as ds

class Net(ds.Module):
    def __init__(self):
        self.inner = ds.Linear(2, 2)

    def forward(self, x):
        secret = 41
        {call}
        return self.inner(x)

net = Net()
ds.ones(1) + 1
for turn in range(2):
    net(ds.ones(1, 2))
"""


def line(text: str, source: str) -> int:
    return next(i for i, each in enumerate(source.splitlines(), 1) if text in each)


@pytest.mark.parametrize("call", ["ds.breakpoint()", "breakpoint()"])
@pytest.mark.parametrize("level", [0, 1])
def test_the_program_pauses_at_the_line_that_asks_for_it(
    session_of: Callable[[str], Session], call: str, level: int
) -> None:
    source = PROGRAM.format(call=call)
    session = session_of(source)
    session.set_level(level)
    stop = session.resume(WAIT)
    assert (stop.reason, stop.position, stop.line) == ("breakpoint", "line", line(call, source))
    assert stop.module == "net", "though with tracing off nobody followed it"
    assert stop.frames[0]["function"].endswith("forward")
    assert session.evaluate("secret + 1") == "42"
    assert session.next(WAIT).op == "linear"
    again = session.resume(WAIT)
    assert (again.position, again.line) == ("line", stop.line)
    assert session.resume(WAIT).state == "finished"


def test_from_such_a_line_every_way_on_is_open(session_of: Callable[[str], Session]) -> None:
    source = PROGRAM.format(call="ds.breakpoint()")
    session = session_of(source)
    session.resume(WAIT)
    assert session.into(WAIT).module == "net.inner"
    session.resume(WAIT)
    assert session.next_line(WAIT).line == line("self.inner(x)", source)
    first = session.restart(WAIT)
    assert first.reason == "entry"
    session.resume(WAIT)
    assert session.out(WAIT).module == "net"  # the next turn's entry
    assert session.over(WAIT).position == "line"  # a line that asks is not stepped over
    assert session.stop(WAIT).state == "stopped"


def test_what_the_person_evaluates_at_a_stop_does_not_pause(session_of: Callable[[str], Session]) -> None:
    session = session_of(PROGRAM.format(call="ds.breakpoint()"))
    session.resume(WAIT)
    session.evaluate("ds.breakpoint()")
    session.evaluate("breakpoint()")
    assert session.evaluate("secret") == "41"


def test_a_thread_pauses_where_it_asks(session_of: Callable[[str], Session]) -> None:
    source = """\
import threading
import dsviz as ds

def work():
    mine = "of the thread"
    breakpoint()

worker = threading.Thread(target=work, name="worker")
ds.ones(1) + 1
worker.start()
worker.join()
"""
    session = session_of(source)
    stop = session.resume(WAIT)
    assert (stop.thread, stop.line) == ("worker", line("breakpoint()", source))
    assert session.evaluate("mine") == "'of the thread'"
    assert session.resume(WAIT).state == "finished"


def run(folder: Path, source: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = folder / "train.py"
    path.write_text(source, encoding="utf-8")
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONBREAKPOINT"}
    return subprocess.run(
        [sys.executable, str(path)],
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT, check=True,
    )  # fmt: skip


def test_without_a_debugger_it_goes_on_and_says_once_how_to_get_one(tmp_path: Path) -> None:
    source = PROGRAM.format(call="ds.breakpoint()") + "print('the end')\n"
    ended = run(tmp_path, source)
    assert ended.stdout == "the end\n"
    assert ended.stderr.count("dsviz: ") == 1
    assert f"{tmp_path / 'train.py'}:{line('ds.breakpoint()', source)}" in ended.stderr
    assert f"dsviz run {tmp_path / 'train.py'}" in ended.stderr


def test_python_s_own_switch_silences_it(tmp_path: Path) -> None:
    ended = run(tmp_path, PROGRAM.format(call="ds.breakpoint()"), PYTHONBREAKPOINT="0")
    assert (ended.stdout, ended.stderr) == ("", "")


@pytest.mark.parametrize(
    ("call", "wish", "paused", "printed"),
    [
        ("ds.breakpoint()", "0", False, ""),
        ("breakpoint()", "0", False, ""),
        ("breakpoint('a', end='b')", "builtins.print", False, "ab" * 2),
        ("breakpoint()", "pdb.set_trace", True, ""),
    ],
)
def test_the_switch_holds_under_the_debugger(
    tmp_path: Path, call: str, wish: str, paused: bool, printed: str
) -> None:
    path = tmp_path / "train.py"
    path.write_text(PROGRAM.format(call=call), encoding="utf-8")
    out = tmp_path / "out"
    with open(out, "w", encoding="utf-8") as stdout:
        options = {"env": {**os.environ, "PYTHONBREAKPOINT": wish}, "stdout": stdout}
        with Session.launch(path, **options) as session:
            session.wait(WAIT)
            assert (session.resume(WAIT).position == "line") is paused
    assert out.read_text(encoding="utf-8") == printed


def test_a_hook_of_the_program_s_own_stays_its_own(session_of: Callable[[str], Session]) -> None:
    own = "import sys\nsys.breakpointhook = lambda: print('mine')\n"
    session = session_of(own + PROGRAM.format(call="breakpoint()"))
    assert session.resume(WAIT).state == "finished"
    assert "mine" in "".join(text for _, text in session.store.output())


def test_a_forked_child_is_not_paused(session_of: Callable[[str], Session]) -> None:
    source = """\
import os
import dsviz as ds
ds.ones(1) + 1
child = os.fork()
if not child:
    breakpoint = ds.breakpoint
    breakpoint()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    session = session_of(source)
    assert session.resume(WAIT).state == "finished"
    assert "7" in "".join(text for _, text in session.store.output())


def test_a_session_without_breakpoints_passes_by(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text(PROGRAM.format(call="ds.breakpoint(), breakpoint()"), encoding="utf-8")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with Session.launch(path, pause_at_entry=False, breakpoints=False, **quiet) as session:
        assert session.wait(WAIT).state == "finished"


def test_it_is_python_s_breakpoint_that_star_imports_leave() -> None:
    names: dict[str, object] = {}
    exec("from dsviz import *", names)
    assert "breakpoint" not in names
