"""`dsviz bench`: the same step in both frameworks, measured in turns and reported as it came out."""

from __future__ import annotations

import importlib
import importlib.util
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

import dsviz as ds
from dsviz.bench.chart import AHEAD, BEHIND, chart
from dsviz.bench.compare import Failed, Measured, Worker, compare
from dsviz.bench.contestants import CONTESTANTS, FUNCTIONAL, field
from dsviz.bench.report import report, summary
from dsviz.bench.workloads import USUAL, WORKLOADS
from dsviz.cli import main
from dsviz.commands.bench import chosen, contestants
from dsviz.picture import write_marks
from dsviz.picture.marks import Rect


@pytest.mark.parametrize("name", [name for name in USUAL if name != "transformer"])
def test_both_frameworks_train_the_same(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = WORKLOADS[name].build(ds), WORKLOADS[name].build(torch)
    for _ in range(2):
        assert ours() == pytest.approx(theirs(), rel=1e-4)


def measured(*times: float) -> Measured:
    return Measured(list(times), [1.0, 0.5], 10.0, 2.0, [0.5], [0.01])


def test_a_loss_is_reported_as_a_loss() -> None:
    slow = report("mlp", {"dsviz": measured(0.003, 0.002), "torch": measured(0.001, 0.001)})
    assert "2.50 times as slow as PyTorch; the goal of x0.8 is missed" in slow[-1]
    fast = report("mlp", {"dsviz": measured(0.001), "torch": measured(0.002)})
    assert "2.00 times as fast as PyTorch; the goal of x0.8 is reached" in fast[-1]
    assert len(report("mlp", {"dsviz": measured(0.001)})) == 3  # alone there is nothing to compare
    both = {"dsviz": measured(0.2), "torch": measured(0.3), "torch-channels-last": measured(0.1)}
    said = "\n".join(report("resnet50", both, {"jax": "not installed"}))
    assert "2.00 times as slow as PyTorch channels_last" in said, "the best of the peer's layouts counts"
    assert "time x2.00 (goal x0.79: missed)   peak memory x1.00 (goal x0.7: missed)" in said
    assert "process start to step 1 x1.00 (goal x0.71: missed)" in said
    assert "JAX: not installed" in said
    assert "images/s" in said


def test_the_figures_are_plain_data() -> None:
    found = summary("chain", {"dsviz": measured(0.001), "torch": measured(0.004)})
    assert json.loads(json.dumps(found))["ratio"]["time"] == 0.25
    assert found["dsviz"]["seconds"] == pytest.approx(1e-6)
    assert "ratio" not in summary("chain", {"dsviz": measured(0.001)})


def test_the_picture_has_a_bar_for_each_ratio(tmp_path: Path) -> None:
    figures = [
        summary("mlp", {"dsviz": measured(0.001), "torch": measured(0.002)}),
        summary("lstm-1", {"dsviz": measured(0.003), "torch": measured(0.002)}),
        summary("chain", {"dsviz": measured(0.001)}),  # compared with nobody
    ]
    sheet = chart(figures, "a machine & a day")
    bars = [mark for mark in sheet.marks if isinstance(mark, Rect) and "times PyTorch" in mark.tip]
    assert [(mark.tip, mark.fill) for mark in bars][:2] == [
        ("mlp: 0.50 times PyTorch", AHEAD), ("lstm-1: 1.50 times PyTorch", BEHIND),
    ]  # fmt: skip
    assert len(bars) == 8
    write_marks(sheet, tmp_path / "bench.svg")
    ElementTree.parse(tmp_path / "bench.svg")
    with pytest.raises(ValueError, match="PyTorch, which was not measured"):
        chart(figures[2:], "")


@pytest.mark.parametrize(
    "name", [name for name in FUNCTIONAL if name not in ("resnet50", "transformer", "chain")]
)
@pytest.mark.parametrize("framework", ["jax", "tensorflow"])
def test_other_frameworks_train_the_same(framework: str, name: str) -> None:
    pytest.importorskip(framework)
    ours, theirs = (CONTESTANTS[who].build(name) for who in ("dsviz", framework))
    for _ in range(2):
        assert ours() == pytest.approx(theirs(), rel=1e-4)


def test_who_takes_part_and_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name != "numpy" else ds.__spec__)
    assert field("mlp", contestants("all")) == {
        "dsviz": "", "torch": "not installed", "torch-compile": "not installed", "tensorflow": "not installed",
        "jax": "not installed", "torch-graphed": "not installed",
        "dsviz-graphed": "on a GPU only: the step as one CUDA graph",
    }  # fmt: skip
    assert contestants("jax,dsviz , jax") == ("dsviz", "jax")


def test_a_contestant_that_fails_is_told_of_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(self: Any) -> Any:
        if self.name == "torch":
            raise Failed("ended with status 1: no such thing")
        if self.name == "torch-compile" and not self.waits:
            raise Failed("ended later")
        return {"first_s": 0.1, "loss": 1.0}

    class Fake(Worker):
        def __init__(self, name: str, *rest: Any, **more: Any) -> None:
            self.name, self.start = name, 0.5
            self.waits = more.get("wait", True)
            if self.waits:
                self.ready()

        def ready(self) -> None:
            self.started = answer(self)

        def ask(self, what: str) -> Any:
            return [(0.001, 1.0)] * int(what[4:]) if what.startswith("run") else 1.0

        def close(self) -> None:
            pass

    monkeypatch.setattr("dsviz.bench.compare.Worker", Fake)
    found, failed = compare("mlp", 1, 2, ["dsviz", "torch", "torch-compile"])
    assert list(found) == ["dsviz"]
    assert failed == {"torch": "ended with status 1: no such thing", "torch-compile": "ended later"}
    with pytest.raises(Failed, match=r"status 1: .*no_such_workload"):
        Worker("dsviz", "no_such_workload", 1)


def test_words_choose_benchmarks(capsys: pytest.CaptureFixture[str]) -> None:
    assert chosen(["mlp", "lstm-cell", "mlp"]) == ["mlp", "lstm-cell-1", "lstm-cell-32"]
    assert "resnet50" not in chosen([])
    assert main(["bench", "gpt"]) == 2
    assert "there is no benchmark 'gpt'. There are: chain, mlp" in capsys.readouterr().err
    assert main(["bench", "mlp", "--beside", "torch,jaxx"]) == 2
    assert "--beside knows no 'jaxx'. There are: dsviz, torch" in capsys.readouterr().err
    assert main(["bench", "mlp", "--picture", "x.gif"]) == 2
    assert "has to end in .svg, .png or .html" in capsys.readouterr().err
    assert main(["bench", "mlp", "--rounds", "0"]) == 2
    assert "'0' is no count" in capsys.readouterr().err


def test_the_command_measures(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "mlp", "--rounds", "1", "--threads", "1", "--json"]) == 0
    found: dict[str, Any] = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert found["dsviz"]["seconds"] > 0
    if importlib.util.find_spec("torch"):
        assert found["losses_apart"]["torch"] < 1e-4
        assert found["torch"]["peak_rss_mib"] >= 0
