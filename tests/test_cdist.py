"""Distances of rows from rows: PyTorch's, exact also between points near to each other, whatever their size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import dsviz as ds
from engine.testing import gradgradcheck

torch = pytest.importorskip("torch")
F = ds.nn.functional
rng = np.random.default_rng(5)


def beside(raws: list[Any], call: Any, exact: Any, tolerance: float = 2e-5) -> None:
    """Values and gradients against PyTorch's in float64, without its matrix product."""
    ours = [ds.tensor(r, requires_grad=True) for r in raws]
    theirs = [torch.tensor(r, dtype=torch.float64, requires_grad=True) for r in raws]
    made, expected = call(*ours), exact(*theirs)
    seed = np.random.default_rng(1).standard_normal(tuple(expected.shape)).astype(np.float32)
    made.backward(ds.tensor(seed))
    expected.backward(torch.tensor(seed, dtype=torch.float64))
    np.testing.assert_allclose(made.array, expected.detach().numpy(), rtol=tolerance, atol=1e-6)
    for a, b in zip(ours, theirs, strict=True):
        assert a.grad is not None
        np.testing.assert_allclose(a.grad.array, b.grad.numpy(), rtol=1e-4, atol=tolerance * 10)


def exact(p: float) -> Any:
    return lambda a, b: torch.cdist(a, b, p, compute_mode="donot_use_mm_for_euclid_dist")


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, math.inf])
@pytest.mark.parametrize(
    "shapes", [((40, 3), (700, 3)), ((2, 1, 30, 20), (3, 25, 20)), ((0, 4), (3, 4)), ((3, 0), (2, 0))]
)
def test_distances_beside_pytorch(shapes: Any, p: float) -> None:
    raws = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    beside(raws, lambda a, b: ds.cdist(a, b, p), exact(p))


@pytest.mark.parametrize("middle", [0.0, 100.0])
def test_near_points_keep_their_digits(middle: float) -> None:
    a = (rng.standard_normal((60, 32)) + middle).astype(np.float32)
    b = np.concatenate([a[:20], a[20:40] + np.float32(1e-3), rng.standard_normal((30, 32)) + middle])
    beside([a, b.astype(np.float32)], ds.cdist, exact(2.0))


def test_a_number_that_is_not_finite_stays_in_its_row() -> None:
    a, b = (rng.standard_normal((40, 32)).astype(np.float32) for _ in range(2))
    b[3, 1], b[5, 2], a[7, 0] = np.inf, np.nan, 1e30
    made = ds.cdist(ds.tensor(a), ds.tensor(b)).array
    theirs = torch.cdist(
        torch.tensor(a), torch.tensor(b), compute_mode="donot_use_mm_for_euclid_dist"
    ).numpy()
    np.testing.assert_allclose(made, theirs, rtol=1e-5)


@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("shape", [(1, 3), (40, 3), (40, 32)])
def test_distances_of_pairs_beside_pytorch(shape: Any, p: float) -> None:
    beside(
        [rng.standard_normal(shape).astype(np.float32)], lambda a: F.pdist(a, p), lambda a: torch.pdist(a, p)
    )


def test_gradients_of_gradients() -> None:
    a, b = (rng.standard_normal(s) for s in ((4, 20), (5, 20)))
    for p in (1.5, 2.0, 3.0):
        assert gradgradcheck(lambda x, y, p=p: ds.cdist(x, y, p), (a, b))
        assert gradgradcheck(lambda x, p=p: F.pdist(x, p), (a,))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: ds.cdist(x[0], x), r"cdist needs x1 \[\.\.\., rows, features\], got \[3\]"),
        (lambda x: ds.cdist(x, x, -1), "cdist needs p of 0 or more, got -1"),
        (lambda x: F.pdist(x[None]), r"pdist needs \[rows, features\], got \[1, 2, 3\]"),
    ],
)
def test_mistakes_are_explained(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call(ds.zeros(2, 3))
