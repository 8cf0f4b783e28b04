"""dsviz diff: two iterations of a run, and two runs, also where the script was edited in between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dsviz import cli

TRAIN = """\
import dsviz as ds

ds.manual_seed(0)
net = ds.Sequential(ds.Linear(4, 8), ds.ReLU(), ds.Linear(8, 2))
opt = ds.optim.SGD(net.parameters(), lr=0.1)
for step in range(4):
    flag = step in (1, 3)
    x = ds.randn(3, 4)
    if flag:
        x = ds.tanh(x)
    h = net(x)
    if step == 2:
        h = h * float("inf")
    loss = (h ** 2).mean()
    opt.zero_grad()
    loss.backward()
    if step < 2:
        opt.step()
"""


def record(folder: Path, source: str, name: str) -> str:
    (folder / "train.py").write_text(source)
    path = folder / name
    assert cli.main(["record", "--trace-level", "2", "-o", str(path), str(folder / "train.py")]) == 0
    return str(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return record(tmp_path_factory.mktemp("diff"), TRAIN, "run.dsviz")


def diff(capsys: Any, *words: str) -> tuple[int, str]:
    status = cli.main(["diff", *words])
    return status, capsys.readouterr().out


def test_a_branch_that_flipped_is_told_with_what_it_brought(run: str, capsys: Any) -> None:
    status, out = diff(capsys, run, "--iterations", "0", "1")
    assert status == 1
    assert "+ tanh  train.py:10" in out.splitlines()
    assert "! if flag  train.py:9: not taken, then taken" in out.splitlines()
    assert "if step == 2" not in out
    _, out = diff(capsys, "--json", run, "--iterations", "1", "2")
    found = json.loads(out)
    assert found["iterations"] == [1, 2]
    assert [item["op"] for item in found["removed"]] == ["sgd", "tanh"]
    assert {item["label"]: item["taken"] for item in found["branches"]}["if step == 2"] == [[False], [True]]


def test_statistics_that_changed_and_what_stopped_being_finite(run: str, capsys: Any) -> None:
    _, out = diff(capsys, run, "--iterations", "0", "2")
    assert "~ pow  train.py:14" in out
    assert "not finite 0 to 6" in out


def test_equal_turns_differ_in_nothing(run: str, capsys: Any) -> None:
    assert diff(capsys, run, "--iterations", "1", "1")[0] == 0
    status, out = diff(capsys, run, run)
    assert (status, out.count("\n")) == (0, 1), "the same file twice: its last iteration is what it is"


def test_an_edited_script_is_compared_by_its_lines_text(run: str, tmp_path: Path, capsys: Any) -> None:
    edited = TRAIN.replace("ds.manual_seed(0)", "# a line more\nds.manual_seed(0)").replace(
        "ds.randn(3, 4)", "ds.randn(5, 4)"
    )
    other = record(tmp_path, edited, "other.dsviz")
    _, out = diff(capsys, "--json", run, other)
    found = json.loads(out)
    assert [(item["op"], item["line"]) for item in found["added"]] == [("randn", 9)]
    assert [(item["op"], item["line"]) for item in found["removed"]] == [("randn", 8)]
    shapes = {item["op"]: item["changed"]["shape"] for item in found["changed"] if "shape" in item["changed"]}
    assert shapes["tanh"] == [[3, 4], [5, 4]]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["RUN", "--iterations", "0", "9"], "has no iteration 9; it has 0 to 3"),
        (["RUN"], "one recording has nothing to be compared with"),
        (["RUN", "none.dsviz"], "there is no file"),
        (["RUN", "."], "is a folder"),
        (["RUN", "--iterations", "0"], "expected 2 arguments"),
        (["RUN", "--iterations", "x", "1"], "invalid int value"),
    ],
)
def test_what_cannot_be_compared_is_told(
    run: str, tmp_path: Path, capsys: Any, monkeypatch: Any, words: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["diff", *(run if word == "RUN" else word for word in words)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err


def test_a_run_without_nodes_has_no_iteration(tmp_path: Path, run: str, capsys: Any) -> None:
    empty = record(tmp_path, "print('nothing')\n", "empty.dsviz")
    capsys.readouterr()
    assert cli.main(["diff", empty, "--iterations", "1", "2"]) == 2
    assert "no node ran in it" in capsys.readouterr().err
    status, out = diff(capsys, empty, run)
    assert status == 1
    assert "+ tanh" in out
