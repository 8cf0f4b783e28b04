"""Watches: expressions that are told at every stop, each with its value, shape and dtype, or why it has none."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from test_session import TRAIN, WAIT, line
from test_terminal_stepper import PROGRAM, type_in

from dsviz.session import Refused, Session


def told(session: Session) -> dict[str, Any]:
    """Each watch at this stop: its value, or the class of its error."""
    return {
        watch.text: watch.error.split(":")[0] if watch.error else watch.value
        for watch in session.watch_values(WAIT)
    }


def test_watches_are_told_at_each_stop_and_leave_no_trace(session_of: Any) -> None:
    session = session_of(TRAIN)
    for text in ("turn", "x", "(net.head.weight * 0).sum()", "net(ds.ones(2, 3), True).shape", "flag"):
        session.add_watch(text)
    session.run_to_line(session.script, line("ds.relu(x)"), WAIT)
    assert {name: value for name, value in told(session).items() if name != "x"} == {
        "turn": "1", "(net.head.weight * 0).sum()": "0", "net(ds.ones(2, 3), True).shape": "(2, 2)", "flag": "True",
    }  # fmt: skip
    x = session.watches[1]
    assert (x.shape, x.dtype, x.type) == ((2, 3), "float32", "Tensor")
    assert x.value.startswith("tensor([[")
    assert session.next(WAIT).op == "linear"
    while session.next(WAIT).phase == 0:
        pass
    assert told(session)["flag"] == "NameError", "it is out of sight there"
    ops = {session.store.text(node.op) for node in session.store.nodes.values() if hasattr(node, "op")}
    assert ops == {"linear", "tanh", "relu", "sum", "sgd"}, "what a watch computes is no part of the program"
    assert session.stop_now.iteration == 1  # type: ignore[union-attr]


def test_a_watch_follows_what_the_console_changes(session_of: Any) -> None:
    session = session_of(TRAIN)
    watch = session.add_watch("turn * 2")
    assert told(session) == {"turn * 2": "NameError"} or session.watches[0].value == "0"
    session.run_to_line(session.script, line("loss.backward()"), WAIT)
    assert told(session) == {"turn * 2": "0"}
    session.evaluate("turn = 21")
    assert told(session) == {"turn * 2": "42"}
    assert session.add_watch(" turn * 2 ").id == watch.id, "one expression is watched once"
    session.remove_watch(watch.id)
    assert session.watches == []


def test_a_watch_is_edited_in_its_place_and_looked_at_in_another_frame(session_of: Any) -> None:
    session = session_of(TRAIN)
    first, second = session.add_watch("x.shape"), session.add_watch("turn")
    session.run_to_line(session.script, line("ds.relu(x)"), WAIT)
    assert session.edit_watch(first.id, " x ").id == first.id
    with pytest.raises(Refused, match=r"'x \+' is no Python expression"):
        session.edit_watch(first.id, "x +")
    with pytest.raises(Refused, match="There is no watch 99"):
        session.edit_watch(99, "x")
    assert [watch.text for watch in session.watch_values(WAIT)] == ["x", "turn"]
    assert session.watches[0].shape == (2, 3)
    outer = len(session.stop_now.frames) - 1  # type: ignore[union-attr]
    x, turn = session.watches_in(outer)
    assert x.error.startswith("NameError"), x
    assert turn.value == session.watches[1].value
    assert session.watches_in(0) == session.watches
    assert session.edit_watch(second.id, "x").id == first.id, "one expression is watched once"
    assert len(session.watches) == 1


def test_an_endless_watch_is_given_up_and_the_others_are_told(session_of: Any) -> None:
    session = session_of("from dsviz.debuggee import patience\npatience.PATIENCE = 0.3\n" + TRAIN)
    session.add_watch("[0 for _ in iter(int, 1)]")
    session.add_watch("1 + 1")
    session.add_watch("exit()")
    first = session.watch_values(WAIT)
    assert first[0].error.startswith(
        "The expression ran longer than 0.3 s and was interrupted. It is not asked again"
    )
    assert first[1].value == "2"
    assert "asked the program to exit" in first[2].error
    session.next(WAIT)
    assert [watch.error[:30] for watch in session.watch_values(WAIT)] == [watch.error[:30] for watch in first]
    session.restart(WAIT)
    assert session.watch_values(WAIT)[0].given_up, "a new run asks it once more"


def test_listeners_hear_of_watches_and_the_past_has_none(session_of: Any) -> None:
    session = session_of(TRAIN)
    news = threading.Event()
    session.on_change(lambda what: news.set() if what == "watches" else None)
    session.next(WAIT)
    session.add_watch("turn")
    assert news.wait(WAIT)
    assert told(session) == {"turn": "0"}
    session.step_back(WAIT)
    assert session.watches[0].error == "This moment is past: its frames are gone."
    session.present(WAIT)
    assert told(session) == {"turn": "0"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "this one is empty"),
        ("1 +", "is no Python expression"),
        ("x = 3", "is no Python expression"),
        ("\0", "null"),
    ],
)
def test_what_cannot_be_watched_is_refused(session_of: Any, text: str, says: str) -> None:
    session = session_of(TRAIN)
    with pytest.raises(Refused, match=says):
        session.add_watch(text)
    with pytest.raises(Refused, match="There is no watch 7"):
        session.remove_watch(7)
    for number in range(50):
        session.add_watch(str(number))
    with pytest.raises(Refused, match="50 watches already"):
        session.add_watch("50")
    assert session.add_watch("49").id == 50


def test_watches_are_kept_with_the_breakpoints(session_of: Any, tmp_path: Path) -> None:
    session = session_of(TRAIN)
    kept = tmp_path / "train.breakpoints"
    session.add_watch("turn")
    session.add_breakpoint("branch", file=session.script, line=line("if flag:"))
    session.save_breakpoints(kept)
    other = session_of(TRAIN)
    added = other.load_breakpoints(kept)
    assert [watch.text for watch in other.watches] == ["turn"]
    assert [(item.kind, item.line) for item in added][-1] == ("branch", line("if flag:"))
    kept.write_text('{"dsviz breakpoints": 1, "breakpoints": [], "watches": ["1 +"]}')
    with pytest.raises(Refused, match=r"the watch '1 \+' is no Python expression"):
        other.load_breakpoints(kept)


def test_the_terminal_tells_them_at_each_stop(tmp_path: Path) -> None:
    lines = (
        "watch i + 1",
        "watch x",
        "watch nowhere",
        "watch 1 +",
        "n",
        "unwatch 3",
        "watches",
        "unwatch all",
        "n",
    )
    status, said = type_in(tmp_path, PROGRAM, *lines, "watch x[0, :2]")
    assert status == 0
    _, number, x, missing, bad, after, gone, listed, removed, plain, part = said
    assert "  1  i + 1 = 1  int" in number
    assert "  2  x = tensor([[" in x
    assert "(3, 4) float32" in x
    assert "  3  nowhere: NameError: name 'nowhere' is not defined" in missing
    assert "is no Python expression" in bad
    assert "  2  x = tensor" in after
    assert "Removed watch 3: nowhere" in gone
    assert "nowhere" not in listed
    assert removed.count("Removed watch") == 2
    assert " = " not in plain.split("Paused")[0]
    assert "(2,) float32" in part
