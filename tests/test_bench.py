"""`dsviz bench`: the same step in both frameworks, measured in turns and reported as it came out."""

from __future__ import annotations

import importlib
import importlib.util
import json
from typing import Any

import pytest

import dsviz as ds
from dsviz.bench.compare import Measured, report, summary
from dsviz.bench.workloads import USUAL, WORKLOADS
from dsviz.cli import main
from dsviz.commands.bench import chosen


@pytest.mark.parametrize("name", [name for name in USUAL if name != "transformer"])
def test_both_frameworks_train_the_same(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = WORKLOADS[name].build(ds), WORKLOADS[name].build(torch)
    for _ in range(2):
        assert ours() == pytest.approx(theirs(), rel=1e-4)


def measured(*times: float) -> Measured:
    return Measured(list(times), [1.0, 0.5], 10.0, 2.0, 0.01)


def test_a_loss_is_reported_as_a_loss() -> None:
    slow = report("mlp", {"dsviz": measured(0.003, 0.002), "torch": measured(0.001, 0.001)})
    assert "2.50 times as slow as PyTorch; the goal of x0.8 is missed" in slow[-1]
    fast = report("mlp", {"dsviz": measured(0.001), "torch": measured(0.002)})
    assert "2.00 times as fast as PyTorch; the goal of x0.8 is reached" in fast[-1]
    assert len(report("mlp", {"dsviz": measured(0.001)})) == 2  # alone there is nothing to compare


def test_the_figures_are_plain_data() -> None:
    found = summary("chain", {"dsviz": measured(0.001), "torch": measured(0.004)})
    assert json.loads(json.dumps(found))["ratio"]["time"] == 0.25
    assert found["dsviz"]["seconds"] == pytest.approx(1e-6)


def test_words_choose_benchmarks(capsys: pytest.CaptureFixture[str]) -> None:
    assert chosen(["mlp", "lstm-cell", "mlp"]) == ["mlp", "lstm-cell-1", "lstm-cell-32"]
    assert "resnet50" not in chosen([])
    assert main(["bench", "gpt"]) == 2
    assert "there is no benchmark 'gpt'. There are: chain, mlp" in capsys.readouterr().err
    assert main(["bench", "mlp", "--rounds", "0"]) == 2
    assert "'0' is no count" in capsys.readouterr().err


def test_the_command_measures(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "mlp", "--rounds", "1", "--threads", "1", "--json"]) == 0
    found: dict[str, Any] = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert found["dsviz"]["seconds"] > 0
    if importlib.util.find_spec("torch"):
        assert found["losses_apart"] < 1e-4
        assert found["torch"]["peak_rss_mib"] >= 0
