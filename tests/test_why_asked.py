"""The same questions put to a recording, to a paused program and on the command line; sizes whose source is known by construction."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dsviz as ds
from dsviz import cli
from dsviz.commands.record import record
from dsviz.opened import Opened
from dsviz.session.looking import Refused
from dsviz.why.shape import why_shape

PROGRAM = """\
import dsviz as ds
ds.manual_seed(0)
a = ds.Linear(4, 6)
b = ds.Linear(6, 3)
x = ds.ones(5, 4)
h = ds.relu(a(x))
cut = h.detach()
y = ds.log(b(cut)[:, 1:] * 0.0 - 1.0).transpose(0, 1)
big = (cut * 1000.0).sum()
loss = (b(cut) ** 2).mean()
loss.backward()
end = loss + 1
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("why")
    script, made = folder / "train.py", str(folder / "train.dsviz")
    script.write_text(PROGRAM, encoding="utf-8")
    assert record(str(script), [], made, 2, 1 << 24) == 0
    script.unlink()  # the text of a line is the recorded one
    return made


def numbers(path: str) -> dict[str, int]:
    """The last node of each op at its line, and the leaves by their shapes."""
    from dsviz.recording.reader import Reader
    from dsviz.why.recorded import Recorded

    with Reader(path) as reader:
        nodes = Recorded(reader).nodes.values()
        named = {f"{n.label}:{n.line}": n.id for n in nodes if n.phase == 0}
        return {**named, **{str(list(n.shape)): n.id for n in nodes if n.role == "parameter"}}


def test_a_recording_answers(recording: str, capsys: Any) -> None:
    node = numbers(recording)

    def ask(*words: object) -> Any:
        assert cli.main(["why", "--json", recording, *map(str, words)]) == 1
        (answer,) = json.loads(capsys.readouterr().out)
        return answer["decided"]

    columns = ask(node["transpose:8"], 0)
    assert (columns["op"], columns["line"]) == ("getitem", 8)
    width = ask(node["relu:6"], 1)
    assert (width["line"], width["text"]) == (3, "a = ds.Linear(4, 6)")
    assert ask(node["transpose:8"], "--value")["op"] == "log"
    largest = ask(node["sum:9"], "--largest")
    assert (largest["op"], largest["line"]) == ("mul", 9)
    cut = ask(node["[6, 4]"], "--no-grad")
    assert cut["line"] == 7
    assert cli.main(["why", recording, str(node["[3, 6]"]), "--no-grad"]) == 1
    assert "it has a gradient" in capsys.readouterr().out


def test_an_opened_recording_answers_as_a_session_does(recording: str) -> None:
    node = numbers(recording)
    with Opened(recording) as session:
        assert session.why_shape(node["relu:6"], 1)["decided"]["line"] == 3
        assert session.why_value(node["transpose:8"])["decided"]["op"] == "log"
        with pytest.raises(Refused, match="no node 9999 in this recording"):
            session.why_shape(9999, 0)
        with pytest.raises(Refused, match="from -2 to 1"):
            session.why_shape(node["relu:6"], 2)
        with pytest.raises(Refused, match="no question 'colour'; there are shape, value, largest, no_grad"):
            session.why("colour", 1)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "which node, and what of it"),
        (["1"], "which node, and what of it"),
        (["one", "0"], "'one' is no number of a node or dimension"),
        (["1", "0", "--value"], "which node, and what of it"),
        (["9999", "0"], "no node 9999"),
    ],
)
def test_mistakes_in_a_question_to_a_recording(
    recording: str, words: list[str], says: str, capsys: Any
) -> None:
    assert cli.main(["why", recording, *words]) == cli.EXIT_USAGE
    assert says in capsys.readouterr().err


def test_a_paused_program_answers(session_of: Any) -> None:
    session = session_of(PROGRAM)
    session.add_breakpoint("op", name="pow")
    assert session.resume(60).reason == "breakpoint"
    ops = {number: r for number, r in session.store.nodes.items() if hasattr(r, "op")}
    last = max(ops)
    with pytest.raises(Refused, match=rf"Node {last} \(pow\) has not run yet"):
        session.why_shape(last, 1)
    given = ops[last].inputs[0]
    assert session.why_shape(given, 1)["decided"]["line"] == 4
    assert session.why("largest", given)["decided"]["op"]
    with pytest.raises(Refused, match="no question"):
        session.why("colour", 4)


# Maxima


def test_the_largest_value_is_followed_to_the_op_that_made_it_grow() -> None:
    with ds.trace(level=2) as graph:
        x = ds.tensor([1.0, -2.0])
        line = sys._getframe().f_lineno + 1
        y = ds.exp(x * 20.0)
        z = ds.cat([y, x]).reshape(2, 2) + 1.0
    answer = ds.debug.why_value(z, graph, largest=True)
    assert answer.decided is not None
    assert (answer.decided.op, answer.decided.line) == ("exp", line)
    assert "grows most at exp" in answer.sentence
    with ds.trace(level=2) as graph:
        data = ds.tensor([3.0, -700.0])
        z = ds.cat([data, ds.ones(2)]) * 1.0
    answer = ds.debug.why_value(z, graph, largest=True)
    assert answer.decided is not None
    assert "is there from" in answer.sentence
    assert answer.decided.node == data.node.id


# Sizes whose source is known by construction


SIZES = (3, 5, 7, 11, 13)


@st.composite
def movements(draw: st.DrawFn) -> tuple[Any, list[int]]:
    """A value of three dimensions of leaves, each dimension of another size, and which leaf decided each."""
    order = draw(st.permutations(SIZES))
    a, b, c = order[:3]
    first_leaf = ds.ones(a, b)
    lines = [first_leaf, ds.ones(c, b)]
    kind = draw(st.sampled_from(["einsum", "broadcast", "matmul"]))
    if kind == "einsum":
        value, source = ds.einsum("ab,cb->acb", *lines), [0, 1, -1]
    elif kind == "broadcast":
        value, source = lines[0].unsqueeze(1) + lines[1], [0, 1, -1]
    else:
        value = (lines[0] @ lines[1].T).unsqueeze(-1).expand(a, c, 2)
        source = [0, 1, -1]
    for _ in range(draw(st.integers(0, 5))):
        step = draw(
            st.sampled_from(
                ["permute", "tanh", "where", "cat", "pad", "stack", "index", "fold", "loop", "softmax"]
            )
        )
        n = len(source)
        if step == "permute":
            dims = draw(st.permutations(range(n)))
            value, source = value.permute(*dims), [source[d] for d in dims]
        elif step == "tanh":
            value = ds.tanh(value) * 2.0
        elif step == "where":
            value = ds.where(value > 0, value, ds.zeros(1))
        elif step == "softmax":
            value = ds.softmax(value, draw(st.integers(0, n - 1)))
        elif step == "loop":
            for _ in range(3):
                value = value + value.mean(dim=-1, keepdim=True)
        elif step == "cat":
            d = draw(st.integers(0, n - 1))
            value = ds.cat([value, value[(slice(None),) * d + (slice(0, 1),)]], dim=d)
            source[d] = -1
        elif step == "pad":
            value = ds.nn.functional.pad(value, (1, 0))
            source[-1] = -1
        elif step == "stack":
            value = ds.stack([value, value])[1]
        elif step == "index":
            d = draw(st.integers(0, n - 1))
            value = value[(slice(None),) * d + (slice(0, 2),)]
            source[d] = -1
        elif step == "fold" and n == 3:
            first, second, third = value.shape
            value = value.reshape(first * second, -1).reshape(first, second, third)
            source[0] = source[1] = -1
    return (value, lines), source


@settings(max_examples=80, deadline=None)
@given(movements())
def test_a_dimension_leads_to_the_leaf_that_had_it(made: tuple[Any, list[int]]) -> None:
    (value, leaves), source = made
    for dim, leaf in enumerate(source):
        if leaf < 0:
            continue
        answer = why_shape(value, dim)
        assert answer.decided is not None
        assert (answer.decided.line, answer.decided.op) == (
            leaves[leaf].node.line,
            leaves[leaf].node.label,
        ), str(answer)


def test_layers_lead_to_their_own_lines() -> None:
    lstm = ds.nn.LSTM(4, 6, batch_first=True)
    conv = ds.nn.Conv1d(6, 9, 3)
    x = ds.tensor(np.zeros((2, 8, 4), np.float32))
    y = conv(lstm(x)[0].transpose(1, 2)).reshape(2, 9, -1)

    def decided(dim: int) -> Any:
        found = why_shape(y, dim).decided
        assert found is not None
        return found.line

    assert decided(0) == x.node.line
    assert decided(1) == conv.weight.node.line
    assert why_shape(lstm(x)[0], 2).decided.line == lstm.weight_hh_l0.node.line  # type: ignore[union-attr]
