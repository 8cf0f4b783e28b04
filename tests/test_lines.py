"""Breakpoints on lines that run no op, beside those that do: each stops once each time the line is reached."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from test_session import WAIT, launch

from dsviz.debuggee.lines import calls_of

PROGRAM = """\
import threading
import time
import dsviz as ds

ds.ones(1) + 1.0  # where it is paused at first

class Box:
    def __init__(self):
        self.items = {}

def double(x):
    return x * 2.0

def plain(n):
    total = 0
    for i in range(n):
        total += i
    return total

box = Box()
x = ds.ones(2)
for turn in range(2):
    count = 3
    total = plain(count)
    y = double(x)
    box.items["y"] = 5
    time.sleep(0)
    z = y + double(y)
worker = threading.Thread(target=plain, args=(2,))
worker.start()
worker.join()
end = 1
"""


def line(text: str) -> int:
    return next(n for n, each in enumerate(PROGRAM.splitlines(), 1) if each.strip().startswith(text))


def stops_at(tmp_path: Path, *texts: str, **fields: Any) -> list[tuple[str, int, str, str]]:
    found = []
    with launch(tmp_path, PROGRAM) as session:
        session.wait(WAIT)
        for text in texts:
            session.add_breakpoint("line", file=session.script, line=line(text), **fields)
        while True:
            stop = session.resume(WAIT)
            if stop.state != "paused":
                return found
            found.append((stop.position, stop.line, stop.op, stop.text))


TIMES = {
    "count = 3": ("line", 2),
    "time.sleep": ("line", 2),
    "end = 1": ("line", 1),
    'box.items["y"] = 5': ("line", 2),
    "total += i": ("line", 8),  # 3 + 3, and 2 in a thread
    "return total": ("line", 3),
    "y = double(x)": ("node", 2),  # the op is in the function it calls
    "z = y + double(y)": ("node", 2),  # one there and one here: reached once
}


def test_each_line_is_stopped_at_once_each_time(tmp_path: Path) -> None:
    found = stops_at(tmp_path, *TIMES)
    lines = Counter((where, number) for where, number, *_ in found if where == "line")
    assert lines == {("line", line(text)): times for text, (where, times) in TIMES.items() if where == "line"}
    assert sum(where == "node" for where, *_ in found) == 4
    said = {number: text for where, number, _, text in found if where == "line"}
    # Of some it is known beforehand that they run none.
    assert said[line("count = 3")] == f"Paused before train.py:{line('count = 3')}, which runs no op"
    assert said[line("total += i")] == f"Paused after train.py:{line('total += i')}, which ran no op"
    assert [said[line(text)].split()[1] for text in ("time.sleep", "box.items", "return total")] == [
        "before",
        "after",
        "before",
    ]


def test_conditions_and_hit_counts_hold_there_too(tmp_path: Path) -> None:
    found = stops_at(tmp_path, "total += i", condition="i == 1", hit="2")
    assert [(where, number) for where, number, *_ in found] == [("line", line("total += i"))]


def test_a_condition_on_an_op_waits_for_one(tmp_path: Path) -> None:
    assert stops_at(tmp_path, "count = 3", condition="op == 'mul'") == []


@pytest.mark.parametrize(
    ("source", "calls"),
    [
        ("x = 1", ()),
        ("print(x)", (("print",),)),
        ("for x in range(3): y = x", (("range",),)),
        ("if flag: y = f(x)", (("f",),)),
        ("return_ = a.b.c(d)", (("a", "b", "c"),)),
        ("x = a @ b", None),
        ("x += 1", None),
        ("y = x[0]", None),
        ("if x > 0: pass", None),
        ("for x in range(3): y = x * 2", None),
        ("y = f(x)(z)", ((), ("f",))),
        ("with f(x) as y: pass", None),
        ("y = (", None),
    ],
)
def test_what_a_line_may_run(tmp_path: Path, source: str, calls: Any) -> None:
    file = tmp_path / "one.py"
    file.write_text(source + "\n", encoding="utf-8")
    assert calls_of(str(file), 1) == calls
