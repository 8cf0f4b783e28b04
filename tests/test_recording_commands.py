"""dsviz print, diff and export: what a recording holds, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dsviz import cli
from dsviz import events as ev
from dsviz.recording import Recording

TRAIN = """
import dsviz as ds

ds.manual_seed(0)
net = ds.Sequential(ds.Linear(4, 8), ds.ReLU(), ds.Linear(8, 2))
opt = ds.optim.SGD(net.parameters(), lr=0.1)
for step in range(3):
    x = ds.randn(3 + (step == 2), 4)
    h = net(x)
    if step == 1:
        h = ds.tanh(h)
    loss = (h ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    (folder / "train.py").write_text(TRAIN)
    path = folder / "run.dsviz"
    assert cli.main(["record", "-o", str(path), str(folder / "train.py")]) == 0
    return path


def said(capsys: Any, *words: str) -> tuple[int, str, str]:
    status = cli.main(list(words))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_print(run: Path, capsys: Any) -> None:
    status, out, _ = said(capsys, "print", str(run))
    assert status == 0
    assert "Graph of train.py" in out
    assert "for step in range(3)" in out
    assert out.rstrip().endswith("recorded run: finished, exit status 0")
    _, out, _ = said(capsys, "print", "--json", str(run))
    made = json.loads(out)
    assert made["state"] == "finished"
    assert made["graph"]["root"]["items"]


def test_diff_of_two_iterations(run: Path, capsys: Any) -> None:
    status, out, _ = said(capsys, "diff", str(run), "--iterations", "0", "1")
    assert status == 1
    assert "+ tanh  train.py:11" in out
    assert "+ tanh'  train.py:11" in out
    status, out, _ = said(capsys, "diff", "--json", str(run), "--iterations", "0", "2")
    found = json.loads(out)
    assert (found["added"], found["removed"]) == ([], [])
    assert {"shape": [[3, 8], [4, 8]]} in [item["changed"] for item in found["changed"]]
    status, out, _ = said(capsys, "diff", str(run), "--iterations", "0", "0")
    assert status == 0
    assert "nodes are in both" in out


def test_diff_of_two_runs(run: Path, capsys: Any) -> None:
    status, out, _ = said(capsys, "diff", str(run), str(run))
    assert (status, out.count("\n")) == (0, 1)


def test_export(run: Path, capsys: Any, tmp_path: Path) -> None:
    assert said(capsys, "export", str(run), "--to", str(tmp_path / "t.json"))[0] == 0
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    spans = [e for e in events if e["ph"] == "X"]
    assert {"linear", "linear'", "sgd", "net"} <= {e["name"] for e in spans}
    assert all(e["dur"] > 0 for e in spans)
    inner = next(e for e in spans if e["name"] == "linear")
    outer = next(e for e in spans if e["name"] == "net")
    assert outer["ts"] <= inner["ts"]
    assert inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"]
    assert any(e["ph"] == "C" and e["args"]["bytes"] > 0 for e in events)
    assert said(capsys, "export", str(run), "--to", str(tmp_path / "g.dot"))[0] == 0
    assert (tmp_path / "g.dot").read_text().startswith("digraph")


def test_what_cannot_be_done_is_told(run: Path, capsys: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("no recording")
    for words, says in (
        (["print", str(tmp_path / "none.dsviz")], "there is no file"),
        (["print", str(tmp_path)], "is a folder"),
        (["print", str(other)], "other.txt"),
        (["diff", str(run)], "one recording has nothing to be compared with"),
        (["diff", str(run), "--iterations", "0", "99"], "has no iteration 99; it has 0 to 2"),
        (["diff", str(run), str(run), str(run)], "compares two recordings, got 3"),
        (["export", str(run), "--to", "x.png"], "has to end in .json or .dot"),
        (["export", str(run), "--to", str(other) + ".json"], ""),
        (["export", str(run), "--to", str(tmp_path / "no" / "x.json")], "there is no folder"),
    ):
        status, _, err = said(capsys, *words)
        assert (status, says in err) == (2 if says else 0, True), (words, err)
    assert other.read_text() == "no recording"
    (tmp_path / "mine.json").write_text("{}")
    status, _, err = said(capsys, "export", str(run), "--to", str(tmp_path / "mine.json"))
    assert status == 2
    assert "not overwritten" in err
    assert said(capsys, "export", str(run), "--force", "--to", str(tmp_path / "mine.json"))[0] == 0


@pytest.mark.parametrize(
    "words", [["graph", "-o", "x.svg"], ["memory"], ["why"], ["run", "--headless"], ["record"], ["diagnose"]]
)
def test_what_is_named_as_a_recording_is_never_run_as_a_script(
    words: list[str], capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sent.DSVIZ").write_text("open('ran', 'w').close()\n")
    more = ["1", "0"] if words == ["why"] else []
    status, _, err = said(capsys, *words, "sent.DSVIZ", *more)
    assert status == 2
    assert "is not a dsviz recording" in err or "a recording by its name" in err
    assert not Path("ran").exists()


def test_a_node_of_an_earlier_turn_has_the_gradient_it_got(run: Path, capsys: Any) -> None:
    with Recording.open(run) as recording:
        texts = {e.id: e.text for e in recording.events() if isinstance(e, ev.Text)}
        ops = [e for e in recording.events() if isinstance(e, ev.Op)]
    first = next(e.node for e in ops if texts.get(e.op) == "linear")
    drawn = next(e.node for e in ops if texts.get(e.op) == "randn")
    assert "it has a gradient" in said(capsys, "why", str(run), str(first), "--no-grad")[1]
    assert "it has a gradient" not in said(capsys, "why", str(run), str(drawn), "--no-grad")[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["graph", "-o", "x.svg", "--depth", "two"],
            "'two' is no depth; give how many nested groups to show",
        ),
        (["graph", "-o", "x.dot", "--module", "net"], "so --module has no meaning for it"),
        (["print", ""], "the recording's name is empty"),
        (["record", ""], "the script's name is empty"),
    ],
)
def test_arguments_that_mean_nothing(words: list[str], says: str, run: Path, capsys: Any) -> None:
    status, _, err = said(capsys, *words, *([] if "" in words else [str(run)]))
    assert (status, says in err) == (2, True)
