"""What a person writes (console, conditions, log texts) is bounded: whatever it does, the program goes on."""

from __future__ import annotations

import re
from typing import Any

import pytest
from test_breakpoints import stops
from test_session import WAIT

from dsviz.session import Refused, Session

# A short patience, so that each endless thing takes a moment; the session's is 2 s.
HEAD = """\
import time
import dsviz as ds
from dsviz.debuggee import patience
patience.PATIENCE, patience.TICK = 0.3, 0.05

class Bad:
    def __repr__(self):
        raise RuntimeError('no text')

class Mute(Exception):
    def __str__(self):
        raise RuntimeError('no message')

def stubborn():
    while True:
        try:
            while True:
                pass
        except:
            pass

def endless(x=None):
    while True:
        pass

def mute():
    raise Mute

def deep(n=0):
    return deep(n + 1)
"""
PROGRAM = (
    HEAD
    + """\
def work(x):
    here = 3
    y = x.tanh()
    return y.sum()

ds.ones(2).exp()
for turn in range(3):
    total = work(ds.ones(2))
print(total)
"""
)


@pytest.fixture
def session(session_of: Any) -> Session:
    session: Session = session_of(PROGRAM)
    return session


NASTY = {
    "while True: pass": "ran longer than 0.3 s and was interrupted",
    "stubborn()": "ran longer than 0.3 s and was interrupted",
    "time.sleep(100)": "ran longer than 0.3 s and was interrupted",
    "[0 for _ in range(10**12)]": "ran longer than 0.3 s and was interrupted",
    "len(str(7 ** (7 ** 9)))": "ran longer than 0.3 s and was interrupted",
    "__import__('re').match('(a+)+b', 'a' * 40)": "ran longer than 0.3 s and was interrupted",
    "__import__('threading').Event().wait()": "ran longer than 0.3 s and was interrupted",
    "exit()": "asked the program to exit",
    "quit(3)": "asked the program to exit",
    "raise SystemExit(4)": "asked the program to exit",
    "Bad()": "RuntimeError: no text",
    "mute()": re.escape("Mute: (its message cannot be made: RuntimeError)"),
    "deep()": "RecursionError",
    "input()": "EOFError|stdin",
    "1 +": "SyntaxError",
    "\0": "null",
    "(" * 500: "SyntaxError|MemoryError|RecursionError",
    "raise BaseException('odd')": "BaseException: odd",
    "ds.ones(2, 3) @ ds.ones(2, 3)": "ShapeMismatchError: Expected",
    "raise ValueError('x' * 10**6)": "ValueError: x{4000}",
}


def test_what_cannot_be_evaluated_is_told_and_the_program_goes_on(session: Session) -> None:
    for text, says in NASTY.items():
        with pytest.raises(Refused, match=says) as refused:
            session.evaluate(text)
        assert len(str(refused.value)) < 5_000, text[:40]
        assert session.evaluate("1 + 1") == "2", f"the program still listens after {text[:40]}"
    assert session.evaluate("__import__('sys').stdin.closed") == "False"
    stop = session.resume(WAIT)
    assert (stop.state, stop.status) == ("finished", 0)


LONG = {
    "for _ in range(1000): print('x' * 10**6)": (64_000, "xxx"),
    "'x' * 10**8": (16_000, "'xxx"),
    "b'x' * 10**8": (64_000, "b'xxx"),
    "list(range(10**6))": (2_000, "[0, 1, 2"),
    "type('Long', (), {'__repr__': lambda self: 'y' * 10**7})()": (64_000, "yyy"),
}


def test_a_long_answer_is_cut(session: Session) -> None:
    session.evaluate("patience.PATIENCE = 30.0")
    for text, (length, begins) in LONG.items():
        answer = session.evaluate(text, timeout=WAIT)
        assert answer.startswith(begins), text
        assert len(answer) < length + 200, text


def test_a_call_that_nobody_can_interrupt_is_told_and_can_be_ended(session: Session) -> None:
    with pytest.raises(TimeoutError, match=r"no answer in 1 s.*restart or stop ends it"):
        session.evaluate("sum(range(10**12))", timeout=1.0)
    assert session.restart(WAIT).reason == "entry"


def test_what_was_set_before_a_fault_stays_set(session: Session) -> None:
    session.add_breakpoint("op", name="tanh")
    assert session.resume(WAIT).op == "tanh"
    with pytest.raises(Refused, match="ZeroDivisionError"):
        session.evaluate("here = 7; there = 8; 1 / 0")
    assert session.evaluate("here, there") == "(7, 8)"
    with pytest.raises(Refused, match="interrupted"):
        session.evaluate("here = 9; endless()")
    assert session.evaluate("here") == "9"
    assert session.evaluate("[here + turn for _ in range(2)]") == "[9, 9]", (
        "a comprehension sees the frame's names"
    )
    session.evaluate("global made\nmade = [here]")
    assert session.evaluate("made", frame=1) == "[9]"


CONDITIONS = {
    "endless()": "ran longer than 0.3 s and was interrupted; it counts as false, and is not asked again",
    "stubborn()": "ran longer than 0.3 s",
    "[0 for _ in range(10**12)]": "ran longer than 0.3 s",
    "time.sleep(60)": "ran longer than 0.3 s",
    "exit()": "raised SystemExit",
    "mute()": "raised Mute: (its message cannot be made: RuntimeError)",
    "deep()": "raised RecursionError",
    "nowhere": "raised NameError: name 'nowhere' is not defined",
}


def test_a_condition_of_any_kind_does_not_hang_the_program(session: Session) -> None:
    points = {text: session.add_breakpoint("op", name="tanh", condition=text) for text in CONDITIONS}
    told: list[str] = []
    heard = session._on_message
    session._process._on_message = lambda m: (
        told.append(m["error"]) if m["t"] == "condition" else None,
        heard(m),
    )  # type: ignore
    assert stops(session) == []
    for text, says in CONDITIONS.items():
        point = points[text]
        assert point.problem.startswith(f"The condition {text!r} of breakpoint {point.id} {says}")
        assert point in session.breakpoints
        assert point.enabled
    assert len(told) == len(CONDITIONS), "each is told once, though it was reached three times"


def test_a_log_text_and_a_name_are_bounded_too(session: Session) -> None:
    log = session.add_breakpoint("op", name="tanh", log="now {endless()}")
    long = session.add_breakpoint("op", name="sum", log="{'x' * 10**7}")
    name = session.add_breakpoint("data", name="endless()")
    assert stops(session) == []
    assert "log text 'now {endless()}'" in log.problem
    assert "name 'endless()'" in name.problem
    assert {len(text) for text in session.logs} == {2_000}
    assert long.problem == ""


def test_an_endless_condition_is_asked_again_once_it_was_changed(session: Session) -> None:
    point = session.add_breakpoint("op", name="tanh", condition="endless(turn)")
    session.add_breakpoint("op", name="sum", hit="2")
    assert session.resume(WAIT).op == "sum"
    assert point.problem
    changed = session.edit_breakpoint(point.id, condition="turn == 2")
    assert changed.problem == ""
    stop = session.resume(WAIT)
    assert (stop.op, session.evaluate("turn", frame=1)) == ("tanh", "2")


def test_a_failing_condition_is_told_again_after_a_restart(session: Session) -> None:
    point = session.add_breakpoint("op", name="tanh", condition="1 / 0")
    assert session.resume(WAIT).state == "finished"
    assert "ZeroDivisionError" in point.problem
    session.restart(WAIT)
    assert point.problem == "", "a new run has no faults yet"
    assert session.resume(WAIT).state == "finished"
    assert "ZeroDivisionError" in point.problem


def test_the_person_s_own_interrupt_is_the_program_s(session_of: Any) -> None:
    source = (
        HEAD + "import _thread\ntry:\n    ds.ones(2).tanh()\nexcept KeyboardInterrupt:\n    print('mine')\n"
    )
    session = session_of(source)
    session.add_breakpoint("op", name="tanh", condition="_thread.interrupt_main() or time.sleep(0.01)")
    assert session.resume(WAIT).state == "finished"
