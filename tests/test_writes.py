"""A gradient never uses a value that has changed since it was saved; what is written elsewhere changes nothing."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import engine as ds
from engine.writes import MOST, Changed, writes


def test_a_buffer_is_filled_step_by_step_and_read_in_between() -> None:
    w = ds.tensor([2.0, 3.0], requires_grad=True)
    states = ds.zeros(4, 2)
    losses = []
    for t in range(3):
        with ds.no_grad():
            states[t + 1] = states[t] + 1
        losses.append((states[t + 1] * w).sum())
    sum(losses).backward()
    assert w.grad is not None
    assert w.grad.tolist() == [6.0, 6.0]


@pytest.mark.parametrize(
    "write", [lambda x: x[1:].mul_(2), lambda x: x.zero_(), lambda x: x.__setitem__(1, 5.0), lambda x: x[ds.tensor([1])].size() and x.__setitem__(ds.tensor([1]), 5.0)],
    ids=["through a view", "all of it", "one element", "by numbers"],
)  # fmt: skip
def test_a_write_to_what_was_saved_is_told_with_its_line(write: Any) -> None:
    x, w = ds.tensor([1.0, 2.0, 3.0]), ds.tensor([1.0, 1.0], requires_grad=True)
    out = (x[:2] * w).sum()
    with ds.no_grad():
        write(x)
    with pytest.raises(Changed, match=r"test_writes\.py:\d+\) wrote to it since"):
        out.backward()


def test_interleaved_columns_do_not_meet() -> None:
    x, w = ds.zeros(3, 4), ds.ones(3, requires_grad=True)
    out = (x[:, 1] * w).sum()
    with ds.no_grad():
        x[:, 2] = 7.0
        x[:, ::2] = 8.0
    out.backward()
    assert w.grad is not None
    assert w.grad.tolist() == [0.0, 0.0, 0.0]
    again = (x[:, 2] * w).sum()
    with ds.no_grad():
        x[:, 1:3] = 1.0
    with pytest.raises(Changed):
        again.backward()


def test_more_writes_than_are_kept_apart_count_as_one_to_everything() -> None:
    x, w = ds.zeros(MOST + 3), ds.ones(1, requires_grad=True)
    out = (x[:1] * w).sum()
    with ds.no_grad():
        for i in range(1, MOST + 2):
            x[i] = 1.0
    with pytest.raises(Changed):
        out.backward()


def test_what_is_noted_holds_no_memory() -> None:
    x = ds.zeros(5)
    x[2] = 1.0
    memory = weakref.ref(x.array)
    assert writes.last(x.array) is not None
    del x
    gc.collect()
    assert memory() is None
    assert writes.last(np.zeros(3)) is None
