"""Going back in a run: a timeline of moments, on live sessions and on recordings."""

import subprocess

import pytest

import dsviz as ds
from dsviz.debuggee.breakpoints import checked
from dsviz.session import Refused, Session

TRAIN = """\
import dsviz as ds

class Net(ds.Module):
    def __init__(self):
        self.one = ds.Linear(4, 8)
        self.two = ds.Linear(8, 2)

    def forward(self, x):
        h = self.one(x)
        h = ds.relu(h)
        return self.two(h)

ds.manual_seed(0)
net = Net()
opt = ds.optim.SGD(net.parameters(), lr=0.1)
for step in range(3):
    y = net(ds.randn(3, 4))
    loss = (y * y).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
"""
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("travel") / "train.py"
    path.write_text(TRAIN)
    return str(path)


@pytest.fixture
def session(script):
    with Session.launch(script, trace_level=2, **QUIET) as session:
        session.wait(60)
        yield session


def shown(session):
    """What the session shows of the graph: how many nodes have run, and the ops."""
    store = session.store
    return store.count, [
        store.text(n.op) for n in store.nodes.values() if hasattr(n, "op") and n.node != store.pending
    ]


def test_a_timeline_back_and_forth(session):
    seen = [(session.stop_now.node, *shown(session), session.store.memory.total)]
    for _ in range(6):
        stop = session.next(30)
        seen.append((stop.node, *shown(session), session.store.memory.total))
    present = session.stop_now
    for node, count, ops, live in reversed(seen[:-1]):
        stop = session.step_back()
        assert (stop.past, stop.node, stop.state) == (True, node, "paused")
        assert "In the past" in stop.text
        assert shown(session) == (count, ops)
        # Buffers that die while the program stands still are told at its next op.
        assert session.store.memory.total >= live
    first = session.step_back()
    assert (first.reason, first.node) == ("start", seen[0][0]), "before the first node there is nothing"
    for node, count, ops, _ in seen[1:-1]:
        assert session.next().node == node
        assert shown(session) == (count, ops)
    assert session.next() == present, "the last step arrives where the program stands, and runs nothing"
    assert session.past is None
    assert session.next(30).node > present.node, "now the program goes on"


def test_a_moment_has_its_stack_and_place(session):
    session.add_breakpoint("module", name="net.two")
    session.resume(30)
    stop = session.step_back()
    assert stop.op == "relu"
    assert [module["path"] for module in stop.modules] == ["net"]
    assert stop.module == "net"
    assert stop.line == 10
    assert [frame["line"] for frame in stop.frames] == [10, 17]
    assert stop.frames[0]["function"].endswith("forward")  # Python 3.10 knows no qualified names
    assert session.state_message()["stop"]["past"] is True
    assert session.state_message()["message"].startswith("In the past")


def test_reverse_continue_goes_to_stops_and_breakpoints(session):
    entry = session.stop_now
    session.resume(30)
    ended = session.stop_now
    assert ended.state == "finished"
    session.add_breakpoint("op", name="relu")
    session.add_breakpoint("line", file=session.script, line=18)
    places = []
    for _ in range(8):
        stop = session.reverse_continue()
        places.append((stop.op, stop.line, stop.iteration))
        if stop.node == entry.node:
            break
    assert places[:5] == [
        ("mean", 18, 2), ("mul", 18, 2), ("relu", 10, 2), ("mean", 18, 1), ("mul", 18, 1),
    ]  # fmt: skip
    assert session.resume().op in ("mul", "mean", "relu", "randn")
    assert session.present() == ended


def test_steps_forward_in_the_past_are_those_of_the_program(session):
    session.resume(30)
    back = session.reverse_continue()  # to the entry: nothing else was a stop
    assert back.iteration == 0
    assert session.next_iteration().iteration == 1
    line = session.run_to_line(session.script, 10)
    assert (line.op, line.iteration) == ("relu", 1)
    assert session.next_line().line == 11
    assert session.out().module == ""
    with pytest.raises(Refused, match="no 'file'"):
        session.send("next", file="x")
    assert session.run_to_node(line.node).node == line.node
    assert session.resume().state == "finished"


def test_values_of_the_past_and_what_cannot_be_asked_there(session):
    session.add_breakpoint("op", name="relu")
    session.resume(30)
    relu = session.resume(30)
    session.next(30)
    session.step_back()
    assert session.inspect(relu.node - 1)["how"] == "kept"
    with pytest.raises(Refused, match="has not run at this point"):
        session.inspect(relu.node)
    with pytest.raises(Refused, match="This moment is past: its frames are gone"):
        session.evaluate("h")
    session.present()
    assert session.evaluate("1 + 1") == "2"


def test_what_makes_no_sense_is_refused(script):
    with Session.launch(script, pause_at_entry=False, breakpoints=False, **QUIET) as session:
        if session.state in ("starting", "running"):
            with pytest.raises(Refused, match="pause it before 'step_back'"):
                session.step_back()
        session.wait(60)
        with pytest.raises(Refused, match="takes no 'node'"):
            session.send("step_back", node=3)
        session.step_back()
        assert session.stop(30).state == "finished", "to stop it is to come back first"
        assert session.past is None


def test_restart_leaves_the_past(session):
    session.next(30)
    session.step_back()
    stop = session.restart(30)
    assert (stop.past, stop.reason) == (False, "entry")
    assert session.step_back().text == "In the past: no node had run yet."
    assert session.next().past is False


def test_a_recording_is_travelled_the_same_way(script, tmp_path):
    path = tmp_path / "run.dsviz"
    with Session.launch(script, trace_level=2, record=path, **QUIET) as session:
        session.wait(60)
        session.add_breakpoint("op", name="relu")
        hits = [session.resume(30) for _ in range(3)]
        session.resume(30)
    with ds.open(path) as run:
        assert run.stop.state == "finished"
        assert run.graph()["nodes"] == run.store.count
        assert [run.reverse_continue().node for _ in range(3)] == [hit.node for hit in hits[::-1]]
        assert len(run.iterations()["rows"]) == 1
        assert run.node(hits[1].node)["problem"].endswith("has not run.")
        run.breakpoints = [checked(1, "op", {"name": "mul"})]
        assert run.resume().op == "mul"
        assert run.at(hits[2].node).iteration == 2
        assert run.value(hits[2].node - 1).shape == (3, 8)
        assert run.end().state == "finished"
        with pytest.raises(LookupError, match="is not in this recording"):
            run.at(10_000)
        with pytest.raises(LookupError, match="a tensor that no op made"):
            run.at(hits[0].node - 2)
        assert "at its end" in repr(run)


def test_a_long_run_keeps_a_window_of_the_past(tmp_path):
    from programs import mlp

    from dsviz.recording import Meta, Recording
    from dsviz.recording.past import Past

    program = mlp(steps=40)
    writer = Recording.create(tmp_path / "run.dsviz", Meta(script="train.py"))
    writer.extend(program.events)
    writer.close()
    with Recording.open(tmp_path / "run.dsviz") as recording:
        whole, short = (
            Past(recording).store(recording.count),
            Past(recording, window=50).store(recording.count),
        )
        assert short.count == whole.count
        assert len(short.nodes) < 80 < len(whole.nodes)
        assert short.dropped
        assert (short.memory.total, short.memory.peak) == (whole.memory.total, whole.memory.peak)
