"""The peak explained: every byte has an owner, a line and a reason; with the memory optimisation and without."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsviz import cli
from dsviz.query import peak
from dsviz.session import Session
from dsviz.store import GraphStore
from dsviz.web.verbs import Verbs

WAIT = 60
PROGRAM = """\
import dsviz as ds

class Net(ds.Module):
    def __init__(self):
        self.wide = ds.Linear(64, 512)
        self.narrow = ds.Linear(512, 1)

    def forward(self, x):
        return self.narrow(ds.sigmoid(self.wide(x)))

ds.manual_seed(0)
net = Net()
optimizer = ds.optim.Adam(net.parameters(), lr=0.01)
for turn in range(3):
    loss = net(ds.ones(512, 64)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
FORWARD = next(i for i, line in enumerate(PROGRAM.splitlines(), 1) if "sigmoid" in line)
WIDE = 512 * 512 * 4  # bytes of the hidden layer's result


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "train.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return str(path)


def row_of(found: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    return next(row for row in found["rows"] if all(row[name] == value for name, value in wanted.items()))


def test_every_byte_of_the_peak_has_an_owner_a_line_and_a_reason(
    session_of: Callable[[str], Session],
) -> None:
    session = session_of(PROGRAM)
    session.resume(WAIT)
    found = peak.explain(session.store)
    assert found["bytes"] == session.store.memory.peak > WIDE
    assert sum(row["bytes"] for row in found["rows"]) == sum(found["categories"].values()) == found["bytes"]
    assert [row["bytes"] for row in found["rows"]] == sorted(
        (r["bytes"] for r in found["rows"]), reverse=True
    )
    hidden = row_of(found, op="sigmoid", phase="forward")
    assert (hidden["bytes"], hidden["module"], hidden["line"]) == (WIDE, "net", FORWARD)
    assert hidden["kept"].startswith("saved for a gradient, until sigmoid'")
    assert (hidden["until"]["op"], hidden["until"]["phase"]) == ("sigmoid'", "backward")
    weights = [row for row in found["rows"] if row["category"] == "parameters"]
    assert sum(row["bytes"] for row in weights) == 4 * (64 * 512 + 512 + 512 + 1)
    assert {row["module"] for row in weights} == {"net.wide", "net.narrow"}
    state = [row for row in found["rows"] if row["category"] == "optimizer"]
    assert {row["kept"] for row in state} == {"the optimizer's state"}
    assert sum(row["bytes"] for row in state) == 2 * sum(row["bytes"] for row in weights)
    assert all(row["line"] for row in found["rows"])
    assert found["at"]["line"]


def test_nothing_traced_has_no_peak() -> None:
    found = peak.explain(GraphStore())
    assert (found["bytes"], found["rows"], found["at"]) == (0, [], None)


def dsviz(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dsviz", *words], capture_output=True, text=True, timeout=120, check=False
    )


def test_the_command_says_the_same_as_text_and_as_json(script: str) -> None:
    done = dsviz("memory", script)
    assert done.returncode == 0
    first, *lines = done.stdout.splitlines()
    assert first.startswith("train.py: peak ")
    assert any("sigmoid in net" in line and f"train.py:{FORWARD}" in line for line in lines)
    found = json.loads(dsviz("memory", "--json", script).stdout)
    assert row_of(found, op="sigmoid", phase="forward")["bytes"] == WIDE


def test_with_and_without_the_optimisation(script: str) -> None:
    both = json.loads(dsviz("memory", "--compare", "--json", script).stdout)
    with_it, without = both["with"]["peak"], both["without"]["peak"]
    assert with_it["reused"] > 0 == without["reused"]
    assert both["less"] == without["bytes"] - with_it["bytes"]
    assert sum(both["less_by_category"].values()) == both["less"]
    for side in ("with", "without"):
        timeline = both[side]["timeline"]
        assert max(timeline["total"]) == both[side]["peak"]["bytes"]
        assert timeline["iterations"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "nothing was given"),
        (("nowhere.py",), "nowhere.py"),
        (("--compare", "RECORDING"), "is a recording"),
        (("--compare", "FAILS"), "nothing to compare"),
        (("--lunch", "x.py"), "--lunch"),
    ],
)
def test_what_cannot_be_explained_is_told_in_a_sentence(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    fails = tmp_path / "fails.py"
    fails.write_text("import dsviz as ds\nds.ones(1) + 1\nraise SystemExit(3)\n")
    recording = tmp_path / "run.dsviz"
    if "RECORDING" in words:
        dsviz("record", "-o", str(recording), str(fails))
    given = [word.replace("RECORDING", str(recording)).replace("FAILS", str(fails)) for word in words]
    assert cli.main(["memory", *given]) == cli.EXIT_USAGE
    err = capfd.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_the_page_can_ask_for_the_peak(session_of: Callable[[str], Session]) -> None:
    session = session_of(PROGRAM)
    session.resume(WAIT)
    assert Verbs(session).answer({"do": "peak"}) == peak.explain(session.store)
