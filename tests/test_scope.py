"""The names of a paused frame: variables in a few words, and ways on for an expression."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import dsviz as ds
from dsviz.debuggee.scope import complete, describe, variables


class Loud:
    def __repr__(self) -> str:
        raise SystemExit("a repr was run")

    @property
    def broken(self) -> int:
        raise ValueError("a property was run")


def frame() -> Any:
    net = ds.Sequential(ds.Linear(2, 3))
    x = ds.ones(4, 2)
    loss = ds.tensor(0.25)
    loud = Loud()
    several = [x, 1, loud]
    long = "a" * 500
    assert net, (several, long, loss)
    return sys._getframe()


def test_variables_are_told_without_running_anything_of_the_persons() -> None:
    told = {one["name"]: one for one in variables(frame())}
    assert told["x"]["shape"] == [4, 2]
    assert told["x"]["dtype"] == "float32"
    assert told["loss"]["text"] == "0.25"
    assert told["net"] == {"name": "net", "type": "Sequential", "text": ""}
    assert told["several"]["text"] == "[<Tensor [4, 2]>, 1, <Loud>]"
    assert len(told["long"]["text"]) < 200
    assert describe(np.arange(3))["shape"] == [3]
    assert describe(np.int64(3))["text"] == "3"
    assert describe([np.float32(0.1), np.float64(0.1), np.bool_(True)])["text"] == "[0.1, 0.1, True]"


@pytest.mark.parametrize(
    ("text", "start", "offered"),
    [
        ("x.sha", 2, "shape"),
        ("sev", 0, "several"),
        ("print(net[0].wei", 13, "weight"),
        ("several[0].dty", 11, "dtype"),
        ("x.shape == lo", 11, "loud"),
        ("imp", 0, "import"),
    ],
)
def test_expressions_are_completed(text: str, start: int, offered: str) -> None:
    answer = complete(text, frame())
    assert answer["start"] == start
    assert offered in [name for name, _ in answer["items"]]


@pytest.mark.parametrize("text", ["'x.sh", "f(x).", "loud.broken.", "nothing.", "5.", "x.nothing"])
def test_where_nothing_fits_nothing_is_offered_and_nothing_is_called(text: str) -> None:
    assert complete(text, frame())["items"] == []


def test_private_names_are_offered_when_asked_for() -> None:
    assert not [name for name, _ in complete("x.", frame())["items"] if name.startswith("_")]
    assert "__add__" in [name for name, _ in complete("x.__ad", frame())["items"]]
