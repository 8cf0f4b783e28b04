"""Why this shape, why this NaN, why no gradient: each answer leads to the line that decided it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_shapes import crash_of

import dsviz as ds
from dsviz.commands import why as command
from dsviz.commands.usage import UsageError


def line() -> int:
    """The number of the caller's line."""
    return sys._getframe(1).f_lineno


# Shapes


def test_a_layer_is_named_by_the_line_that_made_it() -> None:
    made = line() + 1
    layer = ds.Linear(5, 7)
    y = ds.relu(layer(ds.ones(3, 5))).transpose(0, 1)
    answer = ds.debug.why_shape(y, 0)
    assert answer.decided is not None
    assert (answer.decided.line, answer.decided.kind) == (made, "parameter")
    assert "dimension 0 is 7: a layer made at" in answer.sentence
    json.dumps(answer.as_json())


@pytest.mark.parametrize(
    ("build", "dim", "size"),
    [
        (lambda x: ds.cat([x, x], dim=1), 1, 8),
        (lambda x: ds.stack([x, x, x]), 0, 3),
        (lambda x: x.reshape(2, 6), 1, 6),
        (lambda x: x[1:], 0, 2),
        (lambda x: x.unsqueeze(0).expand(9, 3, 4), 0, 9),
        (lambda x: ds.nn.functional.pad(x, (1, 2)), 1, 7),
        (lambda x: x.flatten(), 0, 12),
    ],
)
def test_an_op_that_makes_a_size_is_named(build: Any, dim: int, size: int) -> None:
    x = ds.ones(3, 4)
    made = line() + 1
    y = build(x)
    y = y + 1.0
    y = ds.tanh(y)
    answer = ds.debug.why_shape(y, dim)
    assert y.shape[dim] == size
    assert answer.decided is not None
    # The lambda's own line makes it: above this function, never one of the lines that only keep it.
    assert answer.decided.line < made
    assert f"is {size}" in answer.sentence


def test_data_products_broadcasts_and_a_loop_are_passed_through() -> None:
    came = line() + 1
    x = ds.tensor(np.ones((6, 4), np.float32))
    w, b = ds.ones(4, 4), ds.ones(1, 4)
    for _ in range(5):
        x = ds.tanh(x @ w + b)
    answer = ds.debug.why_shape(x.detach().clone(), 0)
    assert answer.decided is not None
    assert (answer.decided.line, answer.decided.kind) == (came, "data")


def test_a_broadcast_size_comes_from_the_operand_that_has_it() -> None:
    a = ds.ones(1, 4)
    made = line() + 1
    b = ds.ones(3, 1)
    answer = ds.debug.why_shape(a * b, 0)
    assert answer.decided is not None
    assert answer.decided.line == made


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_a_dimension_changed_at_a_random_line_is_found_from_the_crash(seed: int) -> None:
    changed, named, text = crash_of(seed)
    assert changed in named, text


# Values


def test_the_first_of_two_roots_is_told_apart() -> None:
    x = ds.tensor([4.0, -1.0], requires_grad=True)
    first = line() + 1
    a = ds.sqrt(x)
    b = ds.sqrt(a.reshape(2, 1))
    answer = ds.debug.why_value(b * 2)
    assert answer.decided is not None
    assert (answer.decided.line, answer.decided.op) == (first, "sqrt")


def test_a_trace_of_level_2_knows_what_nothing_saved() -> None:
    with ds.trace(level=2) as graph:
        x = ds.tensor([0.0, 1.0])
        made = line() + 1
        y = x / x
        z = ds.cat([y, y]).sum() + 1.0
    answer = ds.debug.why_value(graph.nodes[-1], graph)
    assert answer.decided is not None
    assert (answer.decided.line, answer.decided.op) == (made, "div")
    assert z.isnan().item()


def test_nan_in_the_data_is_told_as_such_and_finite_values_need_no_answer() -> None:
    x = ds.tensor([float("nan"), 1.0], requires_grad=True)
    answer = ds.debug.why_value(x * x)
    assert answer.decided is not None
    assert "from the start" in answer.decided.note
    assert "nothing to explain" in ds.debug.why_value(ds.ones(2)).sentence


def test_an_all_masked_row_is_found_at_its_softmax() -> None:
    scores = ds.zeros(2, 3, requires_grad=True)
    masked = scores.masked_fill(ds.tensor([[True] * 3, [False] * 3]), float("-inf"))
    with ds.trace(level=2):
        weights = ds.softmax(masked, dim=-1)
        answer = ds.debug.why_value(weights @ ds.ones(3, 2))
    assert answer.decided is not None
    assert answer.decided.line < line()
    assert answer.decided.op in ("masked_fill", "softmax", "input", "value")


# Gradients


def test_cuts_are_named_with_their_line() -> None:
    w = ds.ones(2, 2, requires_grad=True)
    h = ds.tanh(w @ w)
    at = line() + 1
    copied = h.detach()
    answer = ds.debug.why_no_grad(w, (copied * 2).sum())
    assert answer.decided is not None
    assert (answer.decided.line, answer.decided.kind) == (at, "cut")
    at = line() + 1
    again = ds.tensor(h)
    answer = ds.debug.why_no_grad(w, again.sum())
    assert answer.decided is not None
    assert answer.decided.line == at
    with ds.no_grad():
        at = line() + 1
        inside = w * 3
        inside = inside + 1
    answer = ds.debug.why_no_grad(w, inside.sum())
    assert answer.decided is not None
    assert (answer.decided.line, "no_grad" in answer.decided.note) == (at, True)
    answer = ds.debug.why_no_grad(w, h.argmax().float())
    assert answer.decided is not None
    assert "argmax" in answer.decided.note


def test_frozen_unused_and_well_parameters_are_told_apart() -> None:
    w, v = ds.ones(2, requires_grad=True), ds.ones(2)
    loss = (w * 2).sum()
    assert "frozen" in ds.debug.why_no_grad(v, loss).sentence
    assert "does not depend" in ds.debug.why_no_grad(ds.ones(2, requires_grad=True), loss).sentence
    assert "call backward()" in ds.debug.why_no_grad(w, loss).sentence
    loss.backward()
    assert ds.debug.why_no_grad(w, loss).sentence == "it has a gradient"


# Mistakes in the question, and the command


def test_bad_questions_are_one_sentence() -> None:
    with pytest.raises(TypeError, match="node has to be a tensor or a node of a graph, got list"):
        ds.debug.why_shape([1], 0)
    with pytest.raises(IndexError, match=r"from -2 to 1 for shape \[2, 3\], got 2"):
        ds.debug.why_shape(ds.ones(2, 3), 2)
    with pytest.raises(TypeError, match="dim has to be a whole number, got str"):
        ds.debug.why_shape(ds.ones(2), "0")  # type: ignore[arg-type]
    with pytest.raises(IndexError, match="without dimensions"):
        ds.debug.why_shape(ds.ones(2).sum(), 0)
    with pytest.raises(TypeError, match="value has to be"):
        ds.debug.why_value(3)
    with pytest.raises(TypeError, match="parameter has to be"):
        ds.debug.why_no_grad("w")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no script"),
        (["run.dsviz"], "which node, and what of it"),
        (["run.dsviz", "1", "0"], "there is no file"),
        (["no.py"], "there is no file"),
    ],
)
def test_mistakes_in_the_command(words: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        command.main(words)


def test_the_command_answers_in_json_and_in_text(tmp_path: Path) -> None:
    script = tmp_path / "clash.py"
    script.write_text(
        "import dsviz as ds\nprint('hello')\na = ds.Linear(4, 6)\nb = ds.Linear(5, 2)\nb(ds.relu(a(ds.ones(3, 4))))\n",
        "utf-8",
    )
    root = Path(__file__).parents[1]
    words = [sys.executable, "-m", "dsviz", "why"]
    env = {"PATH": "", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [*words, "--json", str(script)], capture_output=True, text=True, env=env, timeout=120
    )
    assert done.returncode == 1, done.stderr
    assert {a["decided"]["line"] for a in json.loads(done.stdout)} == {3, 4}
    assert "hello" in done.stderr


def test_a_paused_program_answers_by_node_number() -> None:
    from dsviz.why.paused import ask

    with ds.trace():
        x = ds.ones(3, 4, requires_grad=True)
        y = ds.sqrt(x * -1.0).T
    assert ask("shape", y.node.id, 0)["decided"]["op"] == "ones" or ask("shape", y.node.id, 0)["chain"]
    assert ask("value", y.node.id, 0)["decided"]["op"] == "sqrt"
    assert "backward" in ask("no_grad", x.node.id, 0)["sentence"]
    with pytest.raises(LookupError, match="not held any more"):
        ask("shape", 10**9, 0)
