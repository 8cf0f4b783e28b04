"""How much is told: every n-th iteration, a byte budget for values, single ops and modules; all of it while the program runs."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dsviz as ds
from dsviz import cli
from dsviz.events import Leaf, Op, Value
from dsviz.query.iterations import iterations
from dsviz.session import Refused, Session
from engine.config import ConfigError

WAIT = 60
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
TRAIN = """\
import dsviz as ds

class Net(ds.Module):
    def __init__(self):
        self.inner = ds.Linear(3, 3)

    def forward(self, x):
        return ds.relu(self.inner(x))

ds.manual_seed(0)
net = Net()
optimizer = ds.optim.SGD(net.parameters(), lr=0.1)
state = ds.zeros(2, 3)
losses = []
for turn in range(9):
    out = net(ds.ones(2, 3) + state)
    state = out.detach() * 0.5
    loss = (out * out).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print(losses)
"""
LOSS = next(i for i, line in enumerate(TRAIN.splitlines(), 1) if "mean()" in line)


def launch(folder: Path, source: str = TRAIN, **options: Any) -> Session:
    path = folder / "train.py"
    path.write_text(source, encoding="utf-8")
    session = Session.launch(path, **{**QUIET, **options})
    session.wait(WAIT)
    return session


def traced(session: Session) -> list[int]:
    """The iterations of which there are nodes."""
    with session.store.lock:
        return [row["index"] for row in iterations(session.store)["rows"] if row["nodes"]]


def test_every_third_iteration_is_told_and_of_all_the_loss_and_the_memory(tmp_path: Path) -> None:
    with launch(tmp_path, sample=3) as session, launch(tmp_path) as whole:
        for each in (session, whole):
            assert each.resume(WAIT).state == "finished"
        assert traced(session) == [0, 3, 6]
        assert traced(whole) == list(range(9))
        rows, all_rows = iterations(session.store)["rows"], iterations(whole.store)["rows"]
        printed = eval("".join(text for _, text in session.store.output()))
        assert [row["loss"] for row in rows] == [row["loss"] for row in all_rows] == printed
        assert [row["nodes"] for row in rows if row["nodes"]] == [all_rows[i]["nodes"] for i in (0, 3, 6)]
        assert all(row["ns"] > 0 for row in rows[:-1])
        # The same memory in all iterations, sampled or not.
        assert session.store.memory.peak == whole.store.memory.peak
        assert session.store.memory.allocations == whole.store.memory.allocations
        ops = Counter(session.store.text(n.op) for n in session.store.nodes.values() if isinstance(n, Op))
        assert ops["relu"] == 6  # three times forward, three times backward


def test_a_sampled_iteration_names_what_was_made_in_those_that_were_not(tmp_path: Path) -> None:
    with launch(tmp_path, sample=4) as session:
        session.resume(WAIT)
        store = session.store
        late = [n for n in store.nodes.values() if isinstance(n, Op) and n.iteration == 4 and n.phase == 0]
        assert [store.text(op.op) for op in late] == ["add", "linear", "relu", "mul", "mul", "mean"]
        named = [store.nodes[number] for number in late[0].inputs]
        assert [node.role for node in named if isinstance(node, Leaf)] == ["constant", "input"]
        assert store.structure.slot_of[late[1].node].group.module == "net.inner"
        assert store.structure.slot_of[late[3].node].group.module == ""
        weights = [store.nodes[number] for number in late[1].inputs[1:]]
        assert [node.role for node in weights if isinstance(node, Leaf)] == ["parameter", "parameter"]
        assert not store.structure.thread.calls  # no module is taken to be open


def test_sampling_changes_while_the_program_runs_and_breakpoints_hold_in_all(tmp_path: Path) -> None:
    with launch(tmp_path) as session:
        session.add_breakpoint("line", file=session.script, line=LOSS)
        session.set_sample(5)
        stop = session.resume(WAIT)
        while stop.iteration < 2:
            stop = session.resume(WAIT)
        assert stop.op == "mul"
        assert session.evaluate("turn") == "2"
        session.set_sample(1)
        while stop.iteration < 6:
            stop = session.resume(WAIT)
        session.set_sample(2)
        for breakpoint in session.breakpoints:
            session.remove_breakpoint(breakpoint.id)
        assert session.resume(WAIT).state == "finished"
        assert traced(session) == [0, 3, 4, 5, 6, 8]
        assert session.settings_message()["sample"] == 2


def test_a_restart_keeps_the_sampling(tmp_path: Path) -> None:
    with launch(tmp_path) as session:
        session.set_sample(4)
        session.restart(WAIT)
        session.resume(WAIT)
        assert traced(session) == [0, 4, 8]


def test_the_program_s_own_configuration_samples_too(tmp_path: Path) -> None:
    source = TRAIN.replace("losses = []", "losses = []\nds.configure(trace_sample=4)")
    with launch(tmp_path, source) as session:
        session.resume(WAIT)
        assert traced(session) == [0, 4, 8]


def test_a_trace_in_the_program_samples_too() -> None:
    net = ds.Linear(2, 1)
    with ds.graph_config(trace_sample=3), ds.trace() as graph:
        for _ in range(7):
            net(ds.ones(1, 2)).sum().backward()
    seen = {node.iteration for node in graph.nodes}
    assert len(seen) in (2, 3)
    assert {index % 3 for index in seen} == {0}


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", True, None])
def test_no_other_number_of_iterations_is_taken(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(ConfigError, match="trace_sample takes a whole number, 1 or more"):
        ds.graph_config(trace_sample=wrong)
    with pytest.raises(Refused, match="n being 1 or more"):
        Session.launch(__file__, sample=wrong)


@pytest.mark.parametrize(
    "words", [("--sample", "0"), ("--sample", "x"), ("--sample", "-1"), ("--sample=1.5",)]
)
def test_the_command_line_takes_no_other_number(capsys: pytest.CaptureFixture[str], words: Any) -> None:
    for command in ("run", "record", "attach"):
        assert cli.main([command, *words, __file__]) == cli.EXIT_USAGE
        assert "is no number of iterations; give 1 or more" in capsys.readouterr().err


def test_a_recording_is_sampled(tmp_path: Path) -> None:
    script, out = tmp_path / "train.py", tmp_path / "run.dsviz"
    script.write_text(TRAIN, encoding="utf-8")
    words = ["record", "-o", str(out), "--sample", "3", str(script)]
    subprocess.run([sys.executable, "-m", "dsviz", *words], check=True, timeout=WAIT, **QUIET)
    with ds.open(out) as run:
        rows = iterations(run.store)["rows"]
    assert [row["index"] for row in rows if row["nodes"]] == [0, 3, 6]
    assert all(row["loss"] is not None for row in rows)


def test_the_byte_budget_changes_while_the_program_runs(tmp_path: Path) -> None:
    values: list[tuple[int, int]] = []  # iteration, bytes
    with launch(tmp_path, trace_level=2, value_budget=0) as session:
        take = session._recorder.take  # type: ignore[union-attr]

        def watched(batch: Any) -> Any:
            for event in batch:
                if isinstance(event, Value):
                    values.append((session.store.iterations[-1].index, len(event.data)))
            return take(batch)

        session._recorder.take = watched  # type: ignore[union-attr, method-assign]
        session.next_iteration(WAIT)
        assert values == []
        session.set_value_budget(1 << 20)
        session.next_iteration(WAIT)
        assert {iteration for iteration, _ in values} == {1}
        ran = [n.node for n in session.store.nodes.values() if isinstance(n, Op) and n.iteration == 1]
        assert session.recall(ran[0])["values"]
        session.set_value_budget(40)  # nothing above a quarter of it
        del values[:]
        session.next_iteration(WAIT)
        assert values
        assert max(size for _, size in values) <= 10
        for wrong in (-1, 1.5, True, "1M"):
            with pytest.raises(Refused, match="whole number, 0 or more"):
                session.set_value_budget(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "name", "without"),
    [("op", "relu", {"relu"}), ("module", "net.inner", {"linear"}), ("module", "net", {"linear", "relu"})],
)
def test_an_op_or_a_module_is_switched_off_and_on_again(
    session_of: Callable[[str], Session], target: str, name: str, without: set[str]
) -> None:
    session = session_of(TRAIN)
    seen: dict[int, set[str]] = {}
    for turn in range(4):
        session.switch(target, name, turn % 2 == 0)
        session.next_iteration(WAIT)
    store = session.store
    with store.lock:
        for node in store.nodes.values():
            if isinstance(node, Op) and node.iteration < 4 and node.node != store.pending:
                seen.setdefault(node.iteration, set()).add(store.text(node.op))
    assert seen[0] == seen[2] > seen[1] == seen[3]
    assert seen[0] - seen[1] == without
