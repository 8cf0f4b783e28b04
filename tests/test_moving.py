"""Steps by line and iteration, and running to a place, as timelines."""

from __future__ import annotations

from typing import Any

import pytest
from test_session import TRAIN, WAIT, line

from dsviz.session import Refused


def test_lines_are_stepped_over_with_all_they_call(session_of: Any) -> None:
    session = session_of(TRAIN)
    session.run_to_line(session.script, line("loss = net"), WAIT)
    stops = [session.next_line(WAIT) for _ in range(3)]
    # A backward node's line is its forward twin's; where the program stands is in its frames.
    seen = [(stop.frames[0]["line"], stop.phase, stop.iteration) for stop in stops]
    assert seen == [
        (line("loss.backward()"), 1, 0),
        (line("optimizer.step()"), 2, 0),
        (line("loss = net"), 0, 1),
    ]


def test_a_line_in_a_function_is_followed_by_its_next_and_then_by_its_caller(session_of: Any) -> None:
    session = session_of(TRAIN)
    stop = session.run_to_line(session.script, line("ds.relu(x)"), WAIT)
    assert (stop.reason, stop.op, stop.iteration) == ("step", "relu", 1)
    assert session.next_line(WAIT).line == line("return self.head(x)")
    assert session.next_line(WAIT).line == line("loss = net")


def test_to_the_next_iteration(session_of: Any) -> None:
    session = session_of(TRAIN)
    found = []
    while (stop := session.next_iteration(WAIT)).state == "paused":
        found.append((stop.reason, stop.op, stop.phase, stop.iteration))
    assert found == [("step", "linear", 0, turn) for turn in (1, 2, 3)]


def test_to_a_node_once(session_of: Any) -> None:
    session = session_of(TRAIN)
    first = session.wait(WAIT).node
    assert session.run_to_node(first + 7, WAIT).node == first + 7
    with pytest.raises(Refused, match="has run already"):
        session.run_to_node(first, WAIT)
    session.restart(WAIT)
    assert session.resume(WAIT).state == "finished", "it is no breakpoint that stays"


def test_a_breakpoint_on_the_way_ends_the_run_to(session_of: Any) -> None:
    session = session_of(TRAIN)
    point = session.add_breakpoint("op", name="tanh")
    stop = session.run_to_line(session.script, line("ds.relu(x)"), WAIT)
    assert (stop.reason, stop.op, stop.breakpoints) == ("breakpoint", "tanh", (point.id,))
    session.remove_breakpoint(point.id)
    assert session.resume(WAIT).state == "finished"


@pytest.mark.parametrize(
    ("verb", "fields", "says"),
    [
        ("run_to_line", {"file": "x.py", "line": "seven"}, "cannot be set"),
        ("run_to_line", {"file": "x.py"}, "needs 'line'"),
        ("run_to_node", {}, "needs 'node'"),
        ("next", {"node": 3}, "'next' takes no 'node'"),
    ],
)
def test_nonsense_is_refused_and_nothing_is_lost(session_of: Any, verb: str, fields: Any, says: str) -> None:
    session = session_of(TRAIN)
    with pytest.raises(Refused, match=says):
        session.send(verb, **fields)
    assert session.next(WAIT).reason == "step"
