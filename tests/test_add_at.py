"""Sums into named places: the bits of NumPy's own, whatever the index, and products where places repeat."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dsviz as ds
from engine.ops.add_at import at

rng = np.random.default_rng(7)
SIDE = 40
ROWS = rng.integers(-SIDE, SIDE, (30, 1))
INDICES: dict[str, Any] = {
    "rows": rng.integers(0, SIDE, 50),
    "one tuple": (rng.integers(-SIDE, SIDE, (5, 10)),),
    "each": (rng.integers(0, SIDE, (30, SIDE)), np.arange(SIDE)),
    "small numbers": (ROWS.astype(np.int8), np.arange(SIDE, dtype=np.int32)),
    "slice": (slice(3, 9), rng.integers(0, SIDE, 50)),
    "truth": rng.random((SIDE, SIDE)) > 0.5,
    "nothing": np.zeros(0, np.int64),
}


@pytest.mark.parametrize("ufunc", [np.add, np.multiply, np.maximum], ids=lambda u: u.__name__)
@pytest.mark.parametrize("name", INDICES)
def test_numpys_bits(name: str, ufunc: Any) -> None:
    index = INDICES[name]
    for order, kind in (("C", np.float32), ("F", np.float32), ("C", np.float64), ("C", np.int64)):
        base = np.asarray(rng.standard_normal((SIDE, SIDE)) * 5, dtype=kind, order=order)  # type: ignore[call-overload]
        for values in (np.asarray(rng.standard_normal(base[index].shape) * 5).astype(kind), kind(3)):
            ours, numpys = base.copy(order="K"), base.copy(order="K")
            at(ufunc, ours, index, values)
            ufunc.at(numpys, index, values)
            np.testing.assert_array_equal(ours, numpys)


def test_an_index_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError):
        at(np.add, np.zeros((4, 4)), (np.full((40, 10), 4),), np.ones((40, 10, 4)))


@pytest.mark.parametrize("dim", [0, 1])
def test_products_of_many_with_zeros_beside_pytorch(dim: int) -> None:
    torch = pytest.importorskip("torch")
    raw, src = rng.standard_normal((5, 6)), rng.standard_normal((40, 6) if dim == 0 else (5, 40))
    index = rng.integers(0, 5, src.shape)
    src.flat[::17] = 0
    src.flat[1::17] = 0
    ours = [ds.tensor(a, requires_grad=True) for a in (raw, src)]
    theirs = [torch.tensor(a, requires_grad=True) for a in (raw, src)]
    made = ds.scatter_reduce(ours[0], dim, ds.tensor(index), ours[1], "prod")
    expected = torch.scatter_reduce(theirs[0], dim, torch.tensor(index), theirs[1], "prod")
    np.testing.assert_allclose(made.array, expected.detach().numpy(), rtol=1e-12)
    made.sum().backward()
    expected.sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        assert a.grad is not None
        np.testing.assert_allclose(a.grad.array, b.grad.numpy(), rtol=1e-10, atol=1e-14)
    with pytest.raises(IndexError, match=r"holds 5, but dimension 0 of .* has 5 elements"):
        ds.scatter_reduce(
            ours[0], 0, ds.tensor([[5] * 6]), ours[1][:1] if dim == 0 else ds.ones(1, 6), "prod"
        )
