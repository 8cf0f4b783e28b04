"""A pause while no op runs: where the program is then is told, and it stops at the next op."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from test_session import WAIT

from dsviz.session import Refused, Session, stalls

PROGRAM = """\
import os, sys, time
import dsviz as ds

def held(go):
    HOLD

def prepare(folder):
    open(folder + "/there", "w").close()
    held(folder + "/go")

ds.ones(2).exp()
prepare(os.path.dirname(__file__))
ds.ones(2).tanh()
"""
HOLDS = {
    "a loop": ("while not os.path.exists(go): pass", r"train\.py:5 in held \(`while not os\.path\.exists\(go\): pass`\)"),
    "sleep": ("while not os.path.exists(go): time.sleep(0.01)", r"train\.py:5 in held \(`while not os\.path\.exists\(go\): time\.sleep\(0\.01\)`\)"),
    "input": ("input()", r"train\.py:5 in held \(`input\(\)`\)"),
    "a library": ("import threading; threading.Event().wait(None if not os.path.exists(go) else 0)", r"inside (Condition\.)?wait"),
}  # fmt: skip


@pytest.fixture
def impatient(monkeypatch: Any) -> None:
    monkeypatch.setattr(stalls, "PATIENCE", 0.2)


def until(session: Session, happened: Any) -> None:
    """Wait until `happened()`, asked at each change."""
    news = threading.Event()
    remove = session.on_change(lambda what: news.set())
    while not happened():
        assert news.wait(WAIT)
        news.clear()
    remove()


def at_the_hold(session: Session, folder: Path) -> None:
    there = folder / "there"
    session.send("continue")
    until_there = threading.Event()
    while not there.exists():
        until_there.wait(0.02)
        assert session.state == "running"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", ["a loop", "sleep"])
def test_where_the_program_is_is_told_and_it_stops_at_the_next_op(
    session_of: Any, tmp_path: Path, kind: str
) -> None:
    hold, says = HOLDS[kind]
    session = session_of(PROGRAM.replace("HOLD", hold))
    at_the_hold(session, tmp_path)
    assert session.stall is None, "nobody waits yet"
    session.send("pause")
    until(session, lambda: session.stall is not None)
    stall = session.stall
    assert stall is not None
    assert re.match(
        rf"No op has run for 0\.\d s: the program is at {says}.*called from train\.py:\d+ in prepare",
        stall.text,
    )
    own = [frame["function"] for frame in stall.frames if frame["own"]]
    assert own == ["held", "prepare", "<module>"]
    assert session.state_message()["message"] == stall.text
    with pytest.raises(TimeoutError, match=r"still running after 0\.01 s\. No op has run"):
        session.pause(0.01)
    (tmp_path / "go").touch()
    stop = session.wait(WAIT)
    assert (stop.reason, stop.op) == ("pause", "tanh")
    assert session.stall is None


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", ["input", "a library"])
def test_a_program_that_waits_for_somebody_can_still_be_ended(tmp_path: Path, kind: str) -> None:
    hold, says = HOLDS[kind]
    path = tmp_path / "train.py"
    path.write_text(PROGRAM.replace("HOLD", hold), encoding="utf-8")
    read, write = os.pipe()  # nobody writes

    with Session.launch(path, stdin=read, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as session:
        session.wait(WAIT)
        session.send("next")  # a step waits in the same way
        until(session, lambda: session.stall is not None)
        assert session.stall is not None
        assert re.search(says, session.stall.text), session.stall.text
        with pytest.raises(Refused, match="running"):
            session.evaluate("1")
        assert session.stop(WAIT).state == "stopped"
    os.close(read)
    os.close(write)


@pytest.mark.usefixtures("impatient")
def test_a_call_that_lets_no_python_run_is_told_too(
    session_of: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(stalls, "ANSWER", 0.1)
    session = session_of(PROGRAM.replace("HOLD", "sum(range(10**12))"))
    at_the_hold(session, tmp_path)
    session.send("pause")
    until(session, lambda: session.stall is not None and not session.stall.frames)
    assert session.stall is not None
    assert (
        "does not answer: it is in a call that lets no Python run; the node that began last was"
        in session.stall.text
    )
    assert session.restart(WAIT).reason == "entry"
