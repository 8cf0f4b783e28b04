"""Random programs with branches, loops, views, sharing and in-place writes: the same values and gradients as PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_programs import STEPS, difference, draw, play

import dsviz as ds

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")


@settings(
    max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
@given(st.integers(0, 10**9))
def test_the_same_as_pytorch(seed: int) -> None:
    program = draw(seed)
    with np.errstate(all="ignore"):
        found = difference(play(ds, program), play(torch, program))
    assert not found, f"program {seed}: {found}"


def test_the_programs_do_what_they_are_for() -> None:
    """Most steps fit what they get, every kind of step is used, and gradients flow."""
    fits, kinds, gradients, seconds = 0, set(), 0, 0
    for seed in range(120):
        program = draw(seed)
        run = play(torch, program)
        fits += sum("does not fit" not in line for line in run["ran"])
        kinds |= {line.partition(" ")[0] for line in run["ran"] if "does not fit" not in line}
        gradients += sum(g is not None and bool(g.any()) for g in run["gradients"])
        seconds += bool(run["second"])
    assert fits > 0.6 * 120 * 12
    assert kinds == set(STEPS)
    assert gradients > 200
    assert seconds > 20
