"""Special functions: the last bits of float32 over all of its numbers, and the poles, beside PyTorch in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dsviz as ds

torch = pytest.importorskip("torch")
rng = np.random.default_rng(3)
NEAR = rng.uniform(-1, 1, 2000) * 10.0 ** -rng.uniform(0, 7, 2000)
POINTS: dict[str, Any] = {
    "sizes": np.exp(rng.uniform(-80, 80, 4000)),
    "about 1": 1 + NEAR,
    "about 2": 2 + NEAR,
    "left": rng.uniform(-20, 0, 4000),
    "about poles": NEAR - rng.integers(0, 30, 2000),
    "poles": np.array([0.0, -0.0, -1.0, -2.0, 1.0, 2.0, np.inf, np.nan, 0.5, 1e-30, -1e-30]),
}


@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("name", ["lgamma", "digamma", "erfc"])
def test_all_digits_of_single_numbers(name: str, points: str) -> None:
    x = POINTS[points].astype(np.float32)
    found = getattr(ds, name)(ds.tensor(x)).numpy()
    exact = getattr(torch, name)(torch.tensor(x, dtype=torch.float64)).numpy().astype(np.float32)
    np.testing.assert_allclose(found, exact, rtol=3e-7, atol=1e-44)


@pytest.mark.parametrize("n", [1, 2, 3, 12])
def test_derivatives_of_digamma(n: int) -> None:
    x = np.concatenate([np.exp(rng.uniform(-3, 3, 500)), rng.uniform(-8, 0, 500)])
    exact = torch.polygamma(n, torch.tensor(x)).numpy()
    np.testing.assert_allclose(ds.polygamma(n, ds.tensor(x)).numpy(), exact, rtol=1e-8)


def test_many_are_as_few() -> None:
    """More than a cacheful, and not in order in memory."""
    x = rng.uniform(-6, 6, (300, 400)).astype(np.float32).T
    for function in (ds.lgamma, ds.digamma, ds.erfc):
        alone = function(ds.tensor(np.ascontiguousarray(x[:3]))).numpy()
        np.testing.assert_array_equal(function(ds.tensor(x)).numpy()[:3], alone)


@pytest.mark.parametrize(
    ("shape", "dim"), [((1000,), 0), ((3, 500), 1), ((500, 3), 0), ((4, 5, 6), 1), ((5, 0), 1)]
)
@pytest.mark.parametrize("zeros", [0.0, 0.01])
def test_gradients_of_running_products(shape: tuple[int, ...], dim: int, zeros: float) -> None:
    raw = rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape)
    raw[rng.random(shape) < zeros] = 0
    seed = rng.standard_normal(shape)
    ours, theirs = ds.tensor(raw, requires_grad=True), torch.tensor(raw, requires_grad=True)
    ds.cumprod(ours, dim).backward(ds.tensor(seed))
    torch.cumprod(theirs, dim).backward(torch.tensor(seed))
    assert ours.grad is not None
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_softplus_of_many_is_that_of_few() -> None:
    x = (rng.standard_normal((200, 300)) * 15).astype(np.float32)
    x[0, :6] = [np.nan, np.inf, -np.inf, 0.0, -0.0, 20.0]
    seed = rng.standard_normal(x.shape).astype(np.float32)
    found = []
    for rows in (slice(None), slice(3)):
        a = ds.tensor(x[rows], requires_grad=True)
        made: Any = ds.nn.functional.softplus(a, 1.5)
        made.backward(ds.tensor(seed[rows]))
        assert a.grad is not None
        found.append((made.numpy(force=True)[:3], a.grad.numpy()[:3]))
    for many, few in zip(*found, strict=True):
        np.testing.assert_array_equal(many, few)
