"""Connectionist temporal classification beside PyTorch: lengths of all kinds, targets that do not fit, higher gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dsviz as ds
from engine.testing import gradcheck, gradgradcheck

torch = pytest.importorskip("torch")
F = ds.nn.functional
rng = np.random.default_rng(4)

# (steps of each, labels of each)
CASES: dict[str, tuple[list[int], list[list[int]]]] = {
    "alike": ([9, 9], [[1, 2, 3], [3, 2, 1]]),
    "repeats": ([9, 7, 5], [[1, 1, 2], [2, 2], [3]]),
    "nothing to say": ([6, 4], [[], [1]]),
    "does not fit": ([3, 6, 2], [[1, 1, 1], [1, 2, 3], [2, 2]]),
    "one step": ([1, 1], [[1], []]),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients(case: str, zero_infinity: bool, reduction: str) -> None:
    lengths, labels = CASES[case]
    raw = rng.standard_normal((max(lengths), len(labels), 4))
    flat = np.array([label for row in labels for label in row], np.int64)
    sizes = [len(row) for row in labels]
    x, y = ds.tensor(raw, requires_grad=True), torch.tensor(raw, requires_grad=True)
    ours = F.ctc_loss(x.log_softmax(2), ds.tensor(flat), lengths, sizes, 0, reduction, zero_infinity)
    theirs = torch.nn.functional.ctc_loss(
        y.log_softmax(2), torch.tensor(flat), tuple(lengths), tuple(sizes), 0, reduction, zero_infinity
    )
    np.testing.assert_allclose(ours.numpy(force=True), theirs.detach().numpy(), rtol=1e-10)
    if zero_infinity or case != "does not fit":
        ours.sum().backward()
        theirs.sum().backward()
        assert x.grad is not None
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-8, atol=1e-12)


def test_what_cannot_be_has_no_chance() -> None:
    with np.errstate(divide="ignore"):
        raw = np.log(np.array([[[0.5, 0.5, 0.0]], [[0.0, 1.0, 0.0]], [[0.5, 0.0, 0.5]]]))
    x = ds.tensor(raw, requires_grad=True)
    made = F.ctc_loss(x, ds.tensor([[1]]), [3], [1], reduction="sum")
    np.testing.assert_allclose(made.item(), -np.log(0.5 * 0.5 + 0.5 * 0.5))
    made.backward()
    assert x.grad is not None
    assert np.isfinite(x.grad.numpy()).all()
    assert F.ctc_loss(x, ds.tensor([[2]]), [2], [1], reduction="sum").item() == np.inf


def test_gradients_of_gradients() -> None:
    lengths, labels = CASES["repeats"]
    targets = ds.tensor([row + [0] * (3 - len(row)) for row in labels])

    def loss(x: Any) -> Any:
        return F.ctc_loss(x, targets, lengths, [len(row) for row in labels])

    raw = rng.standard_normal((9, 3, 4))
    assert gradcheck(loss, [raw])
    assert gradgradcheck(loss, [raw])
