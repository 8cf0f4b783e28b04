"""The same program once more with the memory optimisation the other way round."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from dsviz.contrast import Contrast
from dsviz.session import Refused, Session
from layouts.memory import EMPTY, figure

PROGRAM = """
import dsviz as ds

w = ds.ones(300, 300, requires_grad=True)
for turn in range(3):
    x = w
    for _ in range(6):
        x = ds.tanh(x * 1.5)
    x.sum().backward()
    w.grad = None
print("this is not seen twice", flush=True)
"""


def compared(contrast: Contrast) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while contrast.status()["state"] == "running" and time.monotonic() < deadline:
        time.sleep(0.02)
    return contrast.status()


@pytest.fixture
def session(tmp_path: Path) -> Any:
    script = tmp_path / "chain.py"
    script.write_text(PROGRAM, encoding="utf-8")
    with Session.launch(script) as session:
        session.wait(60)
        yield session


def test_the_second_run_is_measured_as_far_as_the_first_has_come(session: Session) -> None:
    contrast = Contrast(session)
    with pytest.raises(Refused, match="Nothing has run yet"):
        contrast.start()
    for _ in range(20):
        session.next()
    assert contrast.start()["state"] == "running"
    told = compared(contrast)
    assert told["state"] == "done", told
    assert told["of"] == 20
    assert told["optimised"] is False
    assert told["peak"] >= session.store.memory.peak
    course = contrast.course("events")
    assert course is not None
    assert course["x"][-1] <= 20
    assert max(course["total"]) == told["peak"]
    assert "this is not seen twice" not in "".join(text for _, text in session.store.output())
    drawn = figure(
        {
            **EMPTY,
            "x": [0, 5],
            "series": {"parameters": [1, 2]},
            "axis": "events",
            "contrast": {**course, "optimised": False},
        }
    )
    assert drawn["data"][-1]["name"] == "Without the optimisation"
    assert drawn["layout"]["yaxis"]["range"][1] >= 1.0
    session.send("restart")
    session.wait(60)
    assert session.run == 2
    assert contrast.course("events") is None, "it was of the run before"


def test_a_second_run_that_dies_at_once_says_so(session: Session) -> None:
    session.next()
    Path(session.script).write_text("raise SystemExit('not today')\n", encoding="utf-8")
    contrast = Contrast(session)
    contrast.start()
    told = compared(contrast)
    assert told["state"] == "failed"
    assert "1" in told["message"]


def test_it_can_be_given_up(session: Session) -> None:
    session.next()
    Path(session.script).write_text("import time\ntime.sleep(60)\n", encoding="utf-8")
    contrast = Contrast(session)
    contrast.start()
    contrast.stop()
    assert compared(contrast)["state"] == "stopped"


@pytest.mark.parametrize(("end", "unit", "name"), [(9e9, 1e6, " ms"), (120e9, 1e9, " s")])
def test_a_long_run_is_told_in_seconds(end: float, unit: float, name: str) -> None:
    drawn = figure({**EMPTY, "x": [0, end], "series": {"inputs": [1, 2]}})
    assert drawn["layout"]["xaxis"]["ticksuffix"] == name
    assert drawn["layout"]["meta"]["ns"] == unit
    assert drawn["data"][0]["x"] == [0, end / unit]
