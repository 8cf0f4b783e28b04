"""Breakpoints of every kind: where each stops, what it counts, what it tells, how they are kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from test_session import MISMATCH, TRAIN, WAIT, launch, line

from dsviz.debuggee.breakpoints import counts
from dsviz.saved import moved
from dsviz.session import Refused, Session


def stops(session: Session) -> list[Any]:
    """Every stop until the program ends."""
    found = []
    stop = session.wait(WAIT)
    while (stop := session.resume(WAIT)).state == "paused":
        found.append(stop)
    assert stop.state == "finished", stop.text
    return found


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("if", {"condition": "op == 'relu'"}, [("breakpoint", "relu", 1), ("breakpoint", "relu", 3)]),
        ("if", {"condition": "out.shape == (2, 2) and op == 'linear'", "hit": "4"}, [("breakpoint", "linear", 3)]),
        ("if", {"condition": "any(a.shape == (2, 2) for a in args) and op == 'sum'", "hit": "% 2"},
         [("breakpoint", "sum", 1), ("breakpoint", "sum", 3)]),
        ("op", {"name": "tanh", "hit": ">= 3"}, [("breakpoint", "tanh", 2), ("breakpoint", "tanh", 3)]),
        ("op", {"name": "tanh'", "condition": "(x := turn) == 2"}, [("breakpoint", "tanh", 2)]),
        ("gradient", {"name": "net.head.bias", "condition": "norm > 0", "hit": "2"}, [("gradient", "", 1)]),
        ("gradient", {"condition": "zero"}, [("gradient", "", 3)] * 3),
        ("data", {"name": "net.head.weight", "hit": "1"}, [("data changed", "sgd", 0)]),
        ("memory", {"limit": 1}, [("memory", "linear", 0)]),
        ("memory", {"limit": 1 << 40}, []),
        ("nan", {}, []),
        ("shape predicate", {"condition": "shape[-1] == 2 and op == 'linear'", "hit": "<= 2"},
         [("breakpoint", "linear", 0), ("breakpoint", "linear", 1)]),
        ("shape predicate", {"condition": "shape[5] == 1"}, []),
        ("shape predicate", {"condition": "shape[-1] == 2 and phase == 'backward'", "hit": "1"},
         [("breakpoint", "sum", 0)]),
        ("gradient zero", {}, [("gradient", "", 3)] * 3),
        ("gradient zero", {"name": "net.head.bias"}, []),
        ("gradient missing", {}, []),
        ("branch", {}, [("branch", "", 1), ("branch", "", 2), ("branch", "", 3)]),
        ("branch", {"condition": "taken"}, [("branch", "", 1), ("branch", "", 3)]),
        ("module", {"name": "net.head", "condition": "out.shape == (2, 2) and iteration == 2"}, [("breakpoint", "", 2)]),
    ],
)  # fmt: skip
def test_each_kind_stops_where_it_says(
    tmp_path: Path, kind: str, fields: dict[str, Any], expected: Any
) -> None:
    with launch(tmp_path) as session:
        session.wait(WAIT)
        session.add_breakpoint(kind, **fields)
        assert [(stop.reason, stop.op, stop.iteration) for stop in stops(session)] == expected


def test_memory_is_counted_with_tracing_off(tmp_path: Path) -> None:
    with launch(tmp_path, trace_level=0) as session:
        session.wait(WAIT)
        session.add_breakpoint("memory", limit=1)
        assert [(stop.reason, stop.op) for stop in stops(session)] == [("memory", "linear")]


def test_a_condition_may_run_ops_of_its_own(session_of: Any) -> None:
    session = session_of(TRAIN)
    session.add_breakpoint("if", condition="op == 'tanh' and (net.head.weight * 2).sum().item() != 12345.0")
    session.add_breakpoint("op", name="mul")
    assert [stop.op for stop in stops(session)] == ["tanh"] * 4, "the condition's own ops are no positions"


def test_nan_in_the_backward_pass_is_told_at_its_node(session_of: Any) -> None:
    source = "import dsviz as ds\nx = ds.tensor([0.0, 1.0], requires_grad=True)\ny = ds.sqrt(x).sum()\ny.backward()\n"
    session = session_of(source)
    session.add_breakpoint("nan")
    found = stops(session)
    assert [(stop.reason, stop.op, stop.phase) for stop in found] == [("nan", "sqrt", 1)]
    assert found[0].line == 3


def test_a_logpoint_tells_and_does_not_pause(session_of: Any) -> None:
    session = session_of(TRAIN)
    session.add_breakpoint("op", name="sum", log="turn {turn} shape {args[0].shape} {{x}}", hit=">= 3")
    session.add_breakpoint("op", name="sum'", log="loss {loss.item() * 0:.1f}")
    assert stops(session) == []
    assert [text for text in session.logs if "turn" in text] == [
        "turn 2 shape (2, 2) {x}",
        "turn 3 shape (2, 2) {x}",
    ]
    assert [text.lstrip("-").replace("loss -", "loss ") for text in session.logs if "loss" in text] == [
        "loss 0.0"
    ] * 4


def test_a_condition_that_raises_is_told_once(session_of: Any) -> None:
    session = session_of(TRAIN)
    point = session.add_breakpoint("op", name="tanh", condition="1 / 0")
    assert stops(session) == []
    assert (
        point.problem
        == f"The condition '1 / 0' of breakpoint {point.id} raised ZeroDivisionError: division by zero"
    )


def test_a_breakpoint_set_before_the_program_has_connected_counts(tmp_path: Path) -> None:
    endless = "import dsviz as ds\nwhile True:\n    ds.ones(2).tanh()\n"
    with launch(tmp_path, endless, pause_at_entry=False) as session:
        session.add_breakpoint("op", name="tanh")
        stop = session.wait(WAIT)
        assert (stop.state, stop.reason, stop.op) == ("paused", "breakpoint", "tanh")


def test_a_breakpoint_is_edited(session_of: Any) -> None:
    session = session_of(TRAIN)
    point = session.add_breakpoint("op", name="tanh", condition="turn == 1")
    edited = session.edit_breakpoint(point.id, condition="turn == 2", hit="1")
    assert (edited.id, edited.label) == (point.id, "Op tanh if turn == 2, hit 1")
    assert [stop.iteration for stop in stops(session)] == [2]
    assert session.edit_breakpoint(point.id, condition="", hit="").label == "Op tanh"
    with pytest.raises(Refused, match="is no Python expression"):
        session.edit_breakpoint(point.id, condition="1 +")
    assert session.breakpoints[-1].condition == "", "a refused edit changes nothing"


def test_breakpoints_are_kept_in_a_file_and_follow_their_line(session_of: Any, tmp_path: Path) -> None:
    session = session_of(TRAIN)
    kept = tmp_path / "train.breakpoints"
    session.add_breakpoint("line", file=session.script, line=line("ds.relu(x)"), condition="flag")
    off = session.add_breakpoint("op", name="tanh", hit="% 2")
    session.enable_breakpoint(off.id, False)
    session.save_breakpoints(kept)
    session.stop(WAIT)
    longer = "# one\n# line more\n" + TRAIN
    other = session_of(longer)
    added = other.load_breakpoints(kept)
    point = next(item for item in added if item.kind == "line")
    assert (point.line, point.condition) == (line("ds.relu(x)", longer), "flag")
    assert [(item.kind, item.hit) for item in added if not item.enabled] == [("op", "% 2")]
    assert [stop.op for stop in stops(other)] == ["relu", "relu"]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"dsviz breakpoints": 1, "breakpoints": [{"kind": "op"}]}', "\0"]
)
def test_a_file_that_is_none_of_ours_is_refused(session_of: Any, tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    session = session_of(TRAIN)
    before = session.breakpoints
    with pytest.raises(Refused, match=r"other\.json"):
        session.load_breakpoints(path)
    assert session.breakpoints == before


LOST = """\
import dsviz as ds

class Net(ds.Module):
    def __init__(self):
        self.one = ds.Linear(3, 3)
        self.two = ds.Linear(3, 2)
        self.unused = ds.Linear(3, 2)

    def forward(self, x):
        return self.two(self.one(x).detach())

net = Net()
OPTIMIZER
for turn in range(2):
    loss = net(ds.ones(2, 3)).sum()
    loss.backward()
    STEP
"""


@pytest.mark.parametrize(
    ("optimizer", "step", "stops_at", "says"),
    [
        ("optimizer = ds.optim.SGD(net.parameters(), lr=0.1)", "optimizer.step()", "STEP",
         "net.one.weight and 3 more got no gradient before this optimizer step"),
        ("optimizer = ds.optim.LBFGS(net.parameters())", "optimizer.step(lambda: net(ds.ones(2, 3)).sum())", "STEP",
         "net.one.weight and 3 more got no gradient before this optimizer step"),
        ("", "", "loss.backward", "net.one.weight and 3 more got no gradient from this backward pass"),
        ("optimizer = ds.optim.SGD(net.one.parameters(), lr=0.1)", "", "loss.backward",
         "net.unused.weight and 1 more got no gradient"),
    ],
)  # fmt: skip
def test_a_parameter_without_a_gradient_is_told_when_it_needs_one(
    session_of: Any, optimizer: str, step: str, stops_at: str, says: str
) -> None:
    source = LOST.replace("OPTIMIZER", optimizer).replace("STEP", step)
    session = session_of(source)
    session.add_breakpoint("gradient missing")
    session.add_breakpoint("gradient missing", name="net.two.weight")
    found = stops(session)
    assert [(stop.reason, stop.position, stop.op) for stop in found] == [("gradient missing", "line", "")] * 2
    assert found[0].text.startswith(says)
    assert found[0].line == line(stops_at, LOST)


def test_a_missing_gradient_may_be_asked_of_one_parameter(session_of: Any) -> None:
    source = LOST.replace("OPTIMIZER", "o = ds.optim.Adam(net.parameters())").replace("STEP", "o.step()")
    session = session_of(source)
    session.add_breakpoint("gradient missing", name="net.unused.bias", hit="1")
    (stop,) = stops(session)
    assert stop.text == "net.unused.bias got no gradient before this optimizer step"
    assert session.breakpoints[-1].hits == 1


def test_a_dtype_that_does_not_fit_is_told_before_the_op_raises(session_of: Any) -> None:
    source = "import dsviz as ds\nx = ds.ones(2)\ny = ds.embedding(x, ds.ones(3, 4))\n"
    session = session_of(source)
    session.enable_breakpoint(2, False)
    session.add_breakpoint("type mismatch")
    stop = session.resume(WAIT)
    assert (stop.reason, stop.op, stop.line) == ("type mismatch", "embedding", 3)
    assert stop.error is not None
    assert stop.error["error"] == "DtypeMismatchError"
    assert session.supply("ds.zeros(2, 4)") == [2, 4]
    assert session.resume(WAIT).state == "finished"


def test_a_branch_that_goes_another_way_is_told_where_it_is_decided(session_of: Any) -> None:
    session = session_of(TRAIN)
    point = session.add_breakpoint("branch", file=session.script, line=line("if flag:"))
    stop = session.resume(WAIT)
    assert (
        stop.text == f"`if flag` (train.py:{line('if flag:')}) is taken, and was not in the iteration before"
    )
    assert (stop.reason, stop.position, stop.line, stop.breakpoints) == (
        "branch",
        "line",
        line("if flag:"),
        (point.id,),
    )
    assert session.evaluate("flag, turn", frame=0) == "(True, 1)"
    assert session.next(WAIT).op == "relu", "the next node is the branch's own"
    with pytest.raises(Refused, match="'branch' is at 'file' and 'line'"):
        session.add_breakpoint("branch", line=3)


def test_a_backward_node_belongs_to_its_forward_line(session_of: Any) -> None:
    session = session_of(TRAIN)
    relu = session.add_breakpoint(
        "line", file=session.script, line=line("ds.relu(x)"), condition="phase == 'backward'"
    )
    assert [(stop.op, stop.phase, stop.line) for stop in (session.resume(WAIT), session.resume(WAIT))] == [
        ("relu", 1, line("ds.relu(x)"))
    ] * 2
    assert relu.hits == 2


@pytest.mark.parametrize(
    ("text", "op", "phase"), [("loss.backward()", "sum", 1), ("optimizer.step()", "sgd", 2)]
)
def test_a_line_that_runs_only_backward_or_optimizer_nodes_is_reached_once_a_turn(
    session_of: Any, text: str, op: str, phase: int
) -> None:
    session = session_of(TRAIN)
    session.add_breakpoint("line", file=session.script, line=line(text))
    assert [(stop.op, stop.phase, stop.iteration) for stop in stops(session)] == [
        (op, phase, n) for n in range(4)
    ]


@pytest.mark.parametrize(
    ("kind", "name", "says"),
    [
        ("op", "rellu", r"So far there is no op 'rellu'; near are relu.*counts once the program has it"),
        ("op", "tanh'", ""),
        ("op", "mine", r"So far there is no op 'mine'"),
        ("module", "net.hed", r"So far there is no module 'net.hed'; near are net.head"),
        ("module", "net.head", ""),
    ],
)
def test_a_name_that_nothing_has_is_told_with_what_is_near(
    session_of: Any, kind: str, name: str, says: str
) -> None:
    source = TRAIN.replace(
        "ds.manual_seed(0)", "ds.manual_seed(0)\nmine = ds.custom_op(name='mine')(lambda x: x + 1)"
    )
    session = session_of(source + "mine(ds.ones(2))\n")
    session.run_to_line(session.script, line("loss.backward()", source))
    point = session.add_breakpoint(kind, name=name)
    assert re.match(says, point.problem) if says else point.problem == ""
    if name == "mine":
        assert session.resume(WAIT).op == "mine"
        assert point.problem == "", "by now there is one"


def test_a_line_without_code_is_told(session_of: Any) -> None:
    session = session_of(TRAIN)
    point = session.add_breakpoint("line", file=session.script, line=2)
    assert (
        point.problem
        == "So far there is no code in line 2 of train.py: it runs nothing. The next line that does is 3."
    )


@pytest.mark.parametrize(
    ("kind", "fields", "says"),
    [
        ("if", {}, "needs 'condition'"),
        ("memory", {}, "needs 'limit'"),
        ("memory", {"limit": -1}, "is a number of bytes, not -1"),
        ("op", {"name": "x", "hit": "often"}, "The hit count is a number such as"),
        ("op", {"name": "x", "hit": "% 0"}, "The hit count is a number such as"),
        ("op", {"name": "x", "log": "loss {"}, "cannot be filled in"),
        ("data", {"name": "net."}, "is no Python expression"),
        ("op", {"name": "x", "colour": "red"}, "has no 'colour'"),
    ],
)
def test_nonsense_is_refused(session_of: Any, kind: str, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused, match=says):
        session_of(TRAIN).add_breakpoint(kind, **fields)


def test_the_result_of_an_op_that_cannot_run_is_supplied(session_of: Any) -> None:
    session = session_of(MISMATCH + "y = ds.relu(ds.ones(2) + 1)\n")
    with pytest.raises(Refused, match="only at a stop before an op that cannot run"):
        session.supply([1.0])
    assert session.resume(WAIT).reason == "shape mismatch"
    with pytest.raises(Refused, match="NameError"):
        session.supply("nowhere")
    with pytest.raises(Refused, match="Expected numbers or a tensor"):
        session.supply("'text'")
    assert session.supply("ds.ones(3, 2)") == [3, 2]
    stop = session.resume(WAIT)
    assert (stop.state, stop.status) == ("finished", 0)


def test_a_value_is_changed_and_the_program_goes_on_with_it(session_of: Any) -> None:
    session = session_of("import dsviz as ds\nx = ds.ones(2, 3) + 1\ny = x * 2\nz = y + 0\nprint(z)\n")
    session.next(WAIT)
    node = session.wait(WAIT).pending["inputs"][0]
    assert session.set_value(node, "0, 1:", 5.0)["values"] == [2.0, 5.0, 5.0, 2.0, 2.0, 2.0]
    session.next(WAIT)
    assert session.evaluate("y.tolist()") == "[[4.0, 10.0, 10.0], [4.0, 4.0, 4.0]]"
    with pytest.raises(Refused, match=r"has 2 entries, so 7 is outside"):
        session.set_value(node, "7", 1)
    with pytest.raises(Refused, match=r"Expected a value of shape \[2, 3\]"):
        session.set_value(node, "", [1.0, 2.0])
    with pytest.raises(Refused, match="is not held any more"):
        session.set_value(9_999, "", 1)


def test_hit_counts() -> None:
    asked = {
        "3": [3],
        ">= 5": [5, 6],
        "% 3": [3, 6],
        "<2": [1],
        "!= 1": [2, 3, 4, 5, 6],
        "": [1, 2, 3, 4, 5, 6],
    }
    assert {hit: [n for n in range(1, 7) if counts(hit, n)] for hit in asked} == asked


def test_a_line_is_found_again_nearest_to_where_it_was() -> None:
    assert moved(["a", "b", "a", "c", "a"], 4, "a") == 3
    assert moved(["b"], 7, "gone") == 7


def test_a_module_of_a_list_is_named_by_its_number_and_an_update_shows_the_parameter(session_of: Any) -> None:
    session = session_of(
        "import dsviz as ds\n"
        "net = ds.Sequential(ds.Linear(3, 3), ds.Linear(3, 2))\n"
        "optimizer = ds.optim.AdamW(net.parameters(), lr=0.1)\n"
        "net(ds.ones(2, 3)).sum().backward()\n"
        "optimizer.step()\n"
    )
    session.add_breakpoint("data", name="net.1.weight")
    session.add_breakpoint("gradient", name="net.1.weight")
    stop = session.resume(WAIT)
    assert stop.reason == "gradient"
    stop = session.resume(WAIT)
    assert (stop.text, stop.op) == ("net.1.weight was changed by adamw", "adamw")
    low, high = session.look(stop.node)["range"]
    assert session.evaluate("net[1].weight.min().item(), net[1].weight.max().item()") == f"({low}, {high})"
