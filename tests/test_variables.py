"""The shapes a variable had: asked of what the run told, by the line it is read on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dsviz.query.variables import variable
from dsviz.session import Session

PROGRAM = """
import dsviz as ds

class Cell(ds.Module):
    def __init__(self):
        self.gates = ds.Linear(5, 8)

    def forward(self, x, h):
        xh = ds.cat([x, h], dim=1)
        a, b = ds.split(self.gates(xh), [6, 2], dim=1)
        self.kept = ds.tanh(b)
        return self.kept

cell = Cell()
for size in (2, 3, 3):
    h = ds.zeros(size, 2)
    for t in range(2):
        h = cell(ds.ones(size, 3), h)
    total = (h * 2).sum()
    total += 1
print(h.shape)
"""
LINES = {text.strip(): number for number, text in enumerate(PROGRAM.splitlines(), 1)}


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    script = tmp_path_factory.mktemp("variables") / "cells.py"
    script.write_text(PROGRAM, encoding="utf-8")
    with Session.launch(script, pause_at_entry=False) as session:
        session.wait(60)
        store = session.store
        file = next(f for f in store.files if store.text(f) == str(script))

        def one(name: str, text: str) -> dict[str, Any]:
            with store.lock:
                return variable(store, file, LINES[text], name)

        yield one


@pytest.mark.parametrize(
    ("name", "line", "shapes", "set_in"),
    [
        ("xh", "a, b = ds.split(self.gates(xh), [6, 2], dim=1)", [[3, 5], [2, 5]], "xh = ds.cat([x, h], dim=1)"),
        ("b", "self.kept = ds.tanh(b)", [[3, 2], [2, 2]], "a, b = ds.split(self.gates(xh), [6, 2], dim=1)"),
        ("a", "self.kept = ds.tanh(b)", [[3, 6], [2, 6]], "a, b = ds.split(self.gates(xh), [6, 2], dim=1)"),
        ("self.kept", "return self.kept", [[3, 2], [2, 2]], "self.kept = ds.tanh(b)"),
        ("h", "total = (h * 2).sum()", [[3, 2], [2, 2]], "h = cell(ds.ones(size, 3), h)"),
        ("total", "total += 1", [[]], "total += 1"),
        ("h", "print(h.shape)", [[3, 2], [2, 2]], "h = cell(ds.ones(size, 3), h)"),
    ],
)  # fmt: skip
def test_the_shapes_of_a_variable_are_told_newest_first(
    ask: Any, name: str, line: str, shapes: list[list[int]], set_in: str
) -> None:
    known = ask(name, line)
    assert [one["shape"] for one in known["shapes"]] == shapes
    assert known["line"] == LINES[set_in]
    assert known["shapes"][0]["dtype"] == "float32"


def test_how_often_is_told_and_what_is_no_value_of_an_op_is_not_invented(ask: Any) -> None:
    assert [one["times"] for one in ask("xh", "self.kept = ds.tanh(b)")["shapes"]] == [4, 2]
    x = ask("x", "xh = ds.cat([x, h], dim=1)")
    assert (x["argument"], x["shapes"]) == (True, [])
    assert x["scope"] == [LINES["def forward(self, x, h):"], LINES["return self.kept"]]
    for name in ("nothing", "ds", "size", "a.b.c", ""):
        assert ask(name, "print(h.shape)")["shapes"] == []
