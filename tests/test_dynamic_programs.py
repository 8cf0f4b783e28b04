"""Random dynamic programs: the same values and gradients as PyTorch, and writes in place that reach every view."""

from __future__ import annotations

import numpy as np
import pytest
from dynamic_programs import STEPS, compare, run
from hypothesis import given, settings
from hypothesis import strategies as st

import engine as ds

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")

NUMBERS = st.lists(st.integers(0, (1 << 16) - 1), min_size=12, max_size=90)


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(NUMBERS)
def test_a_random_program_gives_what_pytorch_gives(numbers: list[int]) -> None:
    assert compare(ds, torch, numbers, second=False) != "refused by PyTorch"


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(NUMBERS)
def test_and_gradients_of_its_gradients(numbers: list[int]) -> None:
    assert compare(ds, torch, numbers, second=True) != "refused by PyTorch"


@pytest.mark.parametrize("kind", range(len(STEPS)), ids=[make.__name__ for make in STEPS])
def test_every_kind_of_step_in_all_its_forms(kind: int) -> None:
    for form in range(24):
        numbers = [2, 1, 2, 2, 2, 0, kind, form // 12, form, form // 2, form, 1, 0, 1, 2, 3, 0, 0]
        compare(ds, torch, numbers, second=form % 2 == 0)
        assert run(ds, numbers).text[0] == STEPS[kind].__name__


WRITES = {
    "a base, seen by its view": "v = y[0]; y.mul_(2); out = v * x[0]",
    "a view, seen by its base": "y[0].mul_(2); out = y * y",
    "a view of a view": "y.T[1][::2].add_(x[0, 0]); out = y * y",
    "a view, seen by another": "a = y.reshape(-1); b = y.T; a[::2] = x[0, 0] * 3; out = b * b",
    "in a loop": "for i in range(2): y[i] += y[1 - i].detach().clone() * x[i]\nout = y * y",
    "a buffer filled": "y = lib.zeros(2, 3, dtype=lib.float64); r = y[1]; y[1] = x[0] * 2; out = r * r",
    "a tensor without dimensions": "s = x.sum(); s.view(1)[0] *= 3; out = s * s",
    "a detached alias": "d = y.detach(); d.mul_(2); out = y + x",
    "without recording": "v = y[0]\nwith lib.no_grad(): v.zero_()\nout = y * 2",
    "what was expanded from": "e = y[:, :1].expand(2, 3); y.mul_(2); out = e * x",
}


@pytest.mark.parametrize("code", WRITES.values(), ids=WRITES.keys())
def test_writes_reach_what_shares_the_memory(code: str) -> None:
    found = []
    for lib in (torch, ds):
        x = lib.tensor([[0.3, -1.2, 2.0], [0.7, 0.1, -0.4]], dtype=lib.float64, requires_grad=True)
        names = {"lib": lib, "x": x, "y": x * 1.5}
        exec(code, names)
        (grad,) = lib.autograd.grad(names["out"].sum(), x)
        found.append((names["out"].detach().numpy(), grad.numpy()))
    np.testing.assert_allclose(found[1][0], found[0][0], 1e-12)
    np.testing.assert_allclose(found[1][1], found[0][1], 1e-12)
