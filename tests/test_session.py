"""A session as a timeline: what is asked, where the program then stands, and what the session says of it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsviz.query.display import Display
from dsviz.session import LaunchError, Refused, Session
from dsviz.stop import ENDS

TRAIN = """\
import dsviz as ds

class Cell(ds.Module):
    def __init__(self):
        self.gates = ds.Linear(3, 3)

    def forward(self, x):
        return ds.tanh(self.gates(x))

class Net(ds.Module):
    def __init__(self):
        self.cell = Cell()
        self.head = ds.Linear(3, 2)

    def forward(self, x, flag):
        x = self.cell(x)
        if flag:
            x = ds.relu(x)
        return self.head(x)

ds.manual_seed(0)
net = Net()
optimizer = ds.optim.SGD(net.parameters(), lr=0.1)
for turn in range(4):
    loss = net(ds.ones(2, 3), turn % 2 == 1).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("the end")
"""
WAIT = 60


def line(text: str, source: str = TRAIN) -> int:
    return next(i for i, each in enumerate(source.splitlines(), 1) if text in each)


def launch(folder: Path, source: str = TRAIN, **options: Any) -> Session:
    path = folder / "train.py"
    path.write_text(source, encoding="utf-8")
    return Session.launch(str(path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with launch(tmp_path) as session:
        assert session.wait(WAIT).reason == "entry"
        yield session


def ended(session: Session) -> Any:
    """The stop at the end of a program that ends by itself."""
    news = threading.Event()
    remove = session.on_change(lambda what: news.set())
    while session.state not in ENDS:
        assert news.wait(WAIT)
        news.clear()
    remove()
    return session.stop_now


def place(stop: Any) -> tuple[str, str, int]:
    return stop.reason, stop.op or stop.module, stop.line


def test_next_runs_node_by_node_through_all_phases(session: Session) -> None:
    seen = [(session.stop_now.op, session.stop_now.phase, session.stop_now.iteration)]  # type: ignore[union-attr]
    while seen[-1][2] == seen[0][2]:
        stop = session.next(WAIT)
        assert stop.reason == "step"
        seen.append((stop.op, stop.phase, stop.iteration))
    ops = [op + "'" * (phase == 1) for op, phase, _ in seen]
    assert ops == [
        "linear", "tanh", "linear", "sum", "sum'", "linear'", "tanh'", "linear'", "sgd", "sgd", "sgd", "sgd", "linear",
    ]  # fmt: skip
    assert [phase for _, phase, _ in seen[:-1]] == [0] * 4 + [1] * 4 + [2] * 4


def test_a_stop_says_where_it_is(session: Session) -> None:
    session.next(WAIT)
    stop = session.next(WAIT)
    assert place(stop) == ("step", "linear", line("return self.head(x)"))
    assert stop.module == "net.head"
    assert [m["path"] for m in stop.modules] == ["net.head", "net"]
    assert [frame["function"].rpartition(".")[2] for frame in stop.frames] == ["forward", "<module>"]
    assert stop.pending["node"] == stop.node
    assert "linear" in stop.text


def test_a_backward_node_leads_to_its_forward_line(session: Session) -> None:
    while session.next(WAIT).phase != 1:
        pass
    session.next(WAIT)
    stop = session.stop_now
    assert stop is not None
    assert (stop.op, stop.phase, stop.line) == ("linear", 1, line("return self.head(x)"))
    twin = session.store.nodes[stop.pending["twin"]]
    assert session.store.texts[twin.op] == "linear"


def test_into_over_and_out_follow_modules(tmp_path: Path) -> None:
    with launch(tmp_path) as session:
        stop = session.wait(WAIT)
        assert stop.reason == "entry"
        session.add_breakpoint("module", name="net.cell")
        while stop.reason != "breakpoint":
            stop = session.resume(WAIT)
        assert (stop.position, stop.module) == ("module", "net.cell")
        stop = session.into(WAIT)
        assert (stop.position, stop.module) == ("module", "net.cell.gates")
        stop = session.over(WAIT)
        assert (stop.position, stop.op, stop.module) == ("node", "tanh", "net.cell")
        stop = session.out(WAIT)
        assert stop.op == "relu"
        assert stop.line == line("ds.relu(x)")


def test_resume_runs_to_the_end_and_says_so(session: Session) -> None:
    stop = session.resume(WAIT)
    assert (stop.state, stop.status, stop.reason) == ("finished", 0, "finished")
    with pytest.raises(Refused, match=r"finished.*Restart it"):
        session.next(WAIT)
    with pytest.raises(Refused, match="finished already"):
        session.send("stop")


def test_restart_begins_again_with_the_same_breakpoints(session: Session) -> None:
    session.add_breakpoint("op", name="relu")
    assert place(session.resume(WAIT)) == ("breakpoint", "relu", line("ds.relu(x)"))
    first = session.pid
    stop = session.restart(WAIT)
    assert (stop.reason, session.run) == ("entry", 2)
    assert session.pid != first
    assert place(session.resume(WAIT)) == ("breakpoint", "relu", line("ds.relu(x)"))


def test_stop_ends_the_program_whatever_it_does(tmp_path: Path) -> None:
    stubborn = "import dsviz as ds, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nds.ones(1) + 1\nwhile True: pass\n"
    with launch(tmp_path, stubborn) as session:
        session.wait(WAIT)
        session.send("continue")
        stop = session.stop(WAIT)
        assert (stop.state, stop.reason) == ("stopped", "stopped")


def test_pause_stands_before_the_next_node(tmp_path: Path) -> None:
    endless = "import dsviz as ds\nx = ds.ones(3)\nwhile True:\n    y = x * 2\n"
    with launch(tmp_path, endless) as session:
        session.wait(WAIT)
        session.send("continue")
        stop = session.pause(WAIT)
        assert place(stop) == ("pause", "mul", 4)
        assert session.pause(WAIT) is stop, "a program that stands stays where it is"


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("line", {"line": line("ds.relu(x)")}, ("relu", line("ds.relu(x)"))),
        ("op", {"name": "linear'"}, ("linear", line("return self.head(x)"))),
        ("op", {"name": "sgd"}, ("sgd", line("optimizer.step()"))),
        ("module", {"name": "net.head"}, ("net.head", line("return self.head(x)"))),
        ("op", {"name": "tanh", "condition": "turn == 2"}, ("tanh", line("ds.tanh"))),
    ],
)
def test_breakpoints(session: Session, kind: str, fields: dict[str, Any], expected: tuple[str, int]) -> None:
    if kind == "line":
        fields = {**fields, "file": session.script}
    point = session.add_breakpoint(kind, **fields)
    stop = session.resume(WAIT)
    assert (stop.reason, stop.breakpoints) == ("breakpoint", (point.id,))
    found = stop.module if stop.position == "module" else stop.op
    assert (found, stop.line) == expected
    assert point.hits == 1


def test_a_condition_is_evaluated_where_the_person_stands(session: Session) -> None:
    # `turn` is a global of the script and seen from inside forward, as in the script itself.
    session.add_breakpoint("op", name="relu", condition="turn == 3")
    assert session.resume(WAIT).op == "relu"
    assert session.evaluate("turn") == "3"


def test_a_breakpoint_that_is_disabled_or_removed_does_not_stop(session: Session) -> None:
    off = session.add_breakpoint("op", name="tanh")
    gone = session.add_breakpoint("op", name="relu")
    session.enable_breakpoint(off.id, False)
    session.remove_breakpoint(gone.id)
    assert session.resume(WAIT).state == "finished"


def test_nan_is_told_where_it_is_produced_and_not_where_it_passes(tmp_path: Path) -> None:
    source = "import dsviz as ds\nx = ds.tensor([1.0, -1.0])\ny = ds.sqrt(x)\nz = y * 2\nw = z + 1\n"
    with launch(tmp_path, source) as session:
        session.wait(WAIT)
        session.add_breakpoint("nan")
        stop = session.resume(WAIT)
        assert (stop.reason, stop.op, stop.line) == ("nan", "sqrt", 3)
        assert session.resume(WAIT).state == "finished"


MISMATCH = "import dsviz as ds\nhead = ds.Linear(4, 2)\nx = ds.ones(3, 7)\nprint(head(x[:, 2:]))\n"


def test_a_mismatch_pauses_before_it_raises(tmp_path: Path) -> None:
    with launch(tmp_path, MISMATCH) as session:
        session.wait(WAIT)
        stop = session.resume(WAIT)
        assert (stop.reason, stop.op, stop.line) == ("shape mismatch", "linear", 4)
        assert stop.error is not None
        assert "(3, 5)" in str(stop.error) or "[3, 5]" in str(stop.error)
        assert session.evaluate("x.shape") == "(3, 7)"
        taken = session.store.nodes[stop.node].inputs[0]
        assert session.inspect(taken)["shape"] == [3, 5], "also what no name holds"
        stop = session.resume(WAIT)
        assert (stop.state, stop.status) == ("failed", 1)
        assert "ShapeMismatchError" in stop.text


def test_an_exception_stops_where_it_was_raised(tmp_path: Path) -> None:
    source = "import dsviz as ds\n\ndef deep(x):\n    return {}[x]\n\nds.ones(1) + 1\ndeep('key')\n"
    with launch(tmp_path, source) as session:
        session.wait(WAIT)
        stop = session.resume(WAIT)
        assert (stop.reason, stop.line) == ("exception", 4)
        assert session.evaluate("x") == "'key'"
        end = session.resume(WAIT)
        assert (end.state, end.line, end.file) == ("failed", 4, stop.file)


@pytest.mark.parametrize("how", ["", "create_graph=True"])
def test_an_exception_in_the_backward_pass_names_whose_gradient_it_was(tmp_path: Path, how: str) -> None:
    source = (
        "import dsviz as ds\n\nclass Own(ds.autograd.Function):\n    def forward(ctx, x):\n        return x * 2\n"
        "    def backward(ctx, g):\n        return g * {}['key']\n\n"
        f"Own.apply(ds.ones(2, requires_grad=True)).sum().backward({how})\n"
    )
    with launch(tmp_path, source) as session:
        session.wait(WAIT)
        stop = session.resume(WAIT)
        assert (stop.reason, stop.line, stop.op, stop.phase) == ("exception", 7, "Own", 1)
        assert session.store.text(session.store.nodes[stop.node].op) == "Own"
        assert stop.error is not None
        assert stop.error["hint"] == "It was raised in the backward pass, at the gradient of Own."
        assert session.evaluate("g.shape") == "(2,)"


def test_values_and_expressions_at_a_stop(session: Session) -> None:
    for _ in range(2):
        stop = session.next(WAIT)
    before = session.store.nodes[stop.pending["inputs"][0]]
    value = session.inspect(before.node)
    assert value["shape"] == [2, 3]
    assert len(value["values"]) == 6
    assert session.evaluate("x.shape, flag") == "((2, 3), False)"
    assert session.evaluate("turn", frame=1) == "0"
    with pytest.raises(Refused, match="NameError: name 'nothing_of_the_kind'"):
        session.evaluate("nothing_of_the_kind")
    session.evaluate("flag = 7")
    with pytest.raises(Refused, match="ran longer than 2 s and was interrupted"):
        session.evaluate("while True: pass")
    assert session.evaluate("1 + 1") == "2", "the program still listens"


def test_looking_needs_a_program_that_stands(session: Session) -> None:
    session.resume(WAIT)
    with pytest.raises(Refused, match="only while it is paused"):
        session.evaluate("1")


def test_levels_and_switches_take_effect_at_once(session: Session) -> None:
    session.set_level(0)
    first = session.stop_now
    assert first is not None
    assert first.node in session.store.nodes
    second = session.next(WAIT)
    assert first.node not in session.store.nodes, "it ran untraced: it is not told of as if it had been"
    slot_of = session.store.structure.slot_of
    assert slot_of[second.node].group.module == "net.cell", "though nobody followed its call"
    assert slot_of[session.next(WAIT).node].group.module == "net.head"
    assert session.resume(WAIT).state == "finished"
    status = Display(session.store).status
    assert {status(slot, 0) for slot in session.store.structure.slots if not slot.leaf} == {"skipped"}
    assert not [n for n in session.store.nodes.values() if getattr(n, "op", 0) and n.node > 12]
    session.set_level(1)
    session.switch("op", "tanh", False)
    session.restart(WAIT)
    session.resume(WAIT)
    names = {session.store.texts[n.op] for n in session.store.nodes.values() if hasattr(n, "op")}
    assert "tanh" not in names
    assert {"linear", "relu", "sgd"} <= names


INSIDE = """\
import dsviz as ds

class Net(ds.Module):
    def __init__(self):
        self.a = ds.Linear(4, 4)

    def forward(self, x):
        x = x + 1
        ds.breakpoint()
        ds.breakpoint()
        if x.ndim == 2:
            x = self.a(x)
        return x * 2

net = Net()
net(ds.ones(2, 4))
"""


def test_a_module_in_which_tracing_goes_off_and_on_is_found_again(tmp_path: Path) -> None:
    with launch(tmp_path, INSIDE) as session:
        session.wait(WAIT)
        session.resume(WAIT)
        session.set_level(0)
        session.resume(WAIT)
        session.set_level(1)
        assert session.resume(WAIT).state == "finished"
        structure = session.store.structure
        assert [group.module for group in structure.groups if group.kind == "branch"] == ["net"]
        lines = [structure.frames[call.frame].line for call in structure.calls.values()]
        assert lines == [line("net(ds.ones", INSIDE), line("self.a(x)", INSIDE)]


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda s: s.set_level(3), "The trace level is 0, 1 or 2, not 3"),
        (lambda s: s.switch("file", "x", True), "There is no switch for 'file'"),
        (lambda s: s.switch("place", "x", True), "A place is FILE:LINE"),
        (lambda s: s.add_breakpoint("colour"), "There is no breakpoint kind 'colour'"),
        (lambda s: s.add_breakpoint("op"), "needs 'name'"),
        (lambda s: s.add_breakpoint("op", name="x", condition="1 +"), "is no Python expression"),
        (lambda s: s.add_breakpoint("line", file="x.py", line="seven"), "cannot be set"),
        (lambda s: s.remove_breakpoint(99), "There is no breakpoint 99"),
        (lambda s: s.send("fly"), "There is no command 'fly'"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(session: Session, act: Any, says: str) -> None:
    with pytest.raises(Refused, match=says):
        act(session)
    assert session.next(WAIT).reason == "step", "nothing is lost"


def test_a_condition_that_raises_is_told_once_and_does_not_stop(session: Session) -> None:
    session.add_breakpoint("op", name="tanh", condition="1 / 0")
    assert session.resume(WAIT).state == "finished"


def test_a_killed_program_is_told_with_its_op(session: Session) -> None:
    session.next(WAIT)
    os.kill(session.pid, signal.SIGKILL)
    stop = ended(session)
    assert (stop.state, stop.status) == ("killed", -9)
    assert "SIGKILL" in stop.text
    assert session.store.nodes


def test_what_cannot_be_launched(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"There is no file .*none\.py"):
        Session.launch(str(tmp_path / "none.py"))
    with pytest.raises(LaunchError, match="is a folder"):
        Session.launch(str(tmp_path))


THREADS = """\
import threading
import dsviz as ds

def work(n):
    for _ in range(3):
        ds.ones(n) * n

threads = [threading.Thread(target=work, args=(n,)) for n in (2, 3)]
for t in threads:
    t.start()
for t in threads:
    t.join()
ds.ones(1) + 1
"""


def test_threads_stop_one_at_a_time_and_all_run_on(tmp_path: Path) -> None:
    with launch(tmp_path, THREADS) as session:
        stop = session.wait(WAIT)
        assert stop.reason == "entry"
        seen = set()
        session.add_breakpoint("op", name="mul")
        while stop.state == "paused":
            seen.add(stop.thread)
            stop = session.resume(WAIT)
        assert stop.state == "finished"
        assert len(seen) >= 2


def test_a_module_of_the_engines_stands_where_it_is_called_and_nowhere_twice(tmp_path: Path) -> None:
    with launch(tmp_path) as session:
        session.wait(WAIT)
        session.resume(WAIT)
        frames = session.store.frames
        for record in session.store.nodes.values():
            number, places = getattr(record, "frame", 0), []
            while number:
                places.append((frames[number].file, frames[number].line, frames[number].lasti))
                number = frames[number].parent
            assert len(places) == len(set(places)), session.store.text(record.op)


def test_a_program_that_has_not_begun_can_be_stopped(tmp_path):
    path = tmp_path / "train.py"
    path.write_text("import dsviz as ds\nds.ones(2) + 1\n", encoding="utf-8")
    with Session.launch(path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as session:
        stop = session.stop(WAIT)  # at once: it has not even connected
        assert (stop.state, session.state) == ("stopped", "stopped")
        assert session.restart(WAIT).reason == "entry"


class Ordered:
    """The session's lock, which nobody may ask for who holds the store's: two threads would wait for each other."""

    def __init__(self, session: Session) -> None:
        self._lock = threading.RLock()
        self._session = session
        self._is_owned = self._lock._is_owned  # type: ignore[attr-defined]
        self._release_save = self._lock._release_save  # type: ignore[attr-defined]
        self._acquire_restore = self._lock._acquire_restore  # type: ignore[attr-defined]
        self.release = self._lock.release

    def acquire(self, *args: Any) -> bool:
        store = self._session._present.lock
        assert self._is_owned() or not store._is_owned(), "the session's lock comes before the store's"
        return self._lock.acquire(*args)

    __enter__ = acquire

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_the_sessions_lock_is_taken_before_the_stores(session: Session) -> None:
    session.next(WAIT)
    session._changed = threading.Condition(Ordered(session))  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="comes before"), session.store.lock:
        session.store  # noqa: B018
    assert session.state_message()["stop"]["slot"] is not None
    assert session.settings_message()
    session.add_breakpoint("op", name="nothing_of_the_kind")
