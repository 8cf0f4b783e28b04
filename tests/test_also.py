"""Functions under the names PyTorch has at its top as well, beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import engine as ds
from engine import also

RNG = np.random.default_rng(0)
SQUARE = RNG.standard_normal((2, 3, 3))
POSITIVE = SQUARE @ SQUARE.swapaxes(-1, -2) + 3 * np.eye(3)

CALLS: dict[str, Any] = {
    "det": lambda t, a, p: t.det(a),
    "logdet": lambda t, a, p: t.logdet(p),
    "logdet of a negative": lambda t, a, p: t.logdet(-p),
    "inverse": lambda t, a, p: t.inverse(a),
    "cholesky": lambda t, a, p: t.linalg.cholesky(p),
    "matrix_power": lambda t, a, p: t.matrix_power(a, 5),
    "matrix_power -2": lambda t, a, p: t.matrix_power(a, -2),
    "matrix_exp": lambda t, a, p: t.matrix_exp(a),
    "matrix_exp of a large one": lambda t, a, p: t.matrix_exp(p),
    "svd": lambda t, a, p: t.svd(a).S,
    "svd again": lambda t, a, p: (lambda f: f.U @ t.diag_embed(f.S) @ f.V.mT)(t.svd(a)),
    "relu_": lambda t, a, p: t.relu_(a * 1),
    "exp_": lambda t, a, p: t.exp_(a * 1),
    "sigmoid_": lambda t, a, p: t.sigmoid_(a * 1),
}


@pytest.mark.parametrize("name", CALLS)
def test_values_and_gradients_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")

    def run(lib: Any) -> list[Any]:
        a, p = (lib.tensor(v.tolist(), dtype=lib.float64, requires_grad=True) for v in (SQUARE, POSITIVE))
        out = CALLS[name](lib, a, p)
        found = [out.detach().numpy()]
        if out.requires_grad:
            out.sum().backward()
            found += [np.zeros(3) if t.grad is None else t.grad.numpy() for t in (a, p)]
        return found

    for ours, theirs in zip(run(ds), run(torch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    "name", ["FloatTensor", "DoubleTensor", "LongTensor", "IntTensor", "BoolTensor", "ByteTensor"]
)
def test_the_old_constructors(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
    ours, theirs = getattr(ds, name), getattr(torch, name)
    assert ours([1, 0]).tolist() == theirs([1, 0]).tolist()
    assert str(ours([1, 0]).dtype) == str(theirs([1, 0]).dtype).replace("torch.", "")
    assert tuple(ours(2, 3).shape) == (2, 3)
    assert tuple(ours().shape) == (0,)


def test_in_place_functions_change_their_argument() -> None:
    given: dict[str, tuple[Any, ...]] = {
        **dict.fromkeys(("clamp_", "clip_", "clamp_max_", "clamp_min_", "fill_"), (0.1,)),
        "addmv_": (ds.ones(2, 2), ds.ones(2)),
        "index_put_": ((ds.tensor([0]),), ds.ones(1)),
        "ldexp_": (ds.tensor([1, 2]),),
        "resize_as_": (ds.ones(1, 2),),
        "threshold_": (0.3, 0.0),
        "xlogy_": (ds.ones(2),),
    }
    for name in (n for n in also.__all__ if n.endswith("_")):
        x = ds.tensor([2, 4]) if name in ("gcd_", "lcm_") else ds.tensor([0.5, 0.25])
        more = (ds.tensor([2, 3]),) if name in ("gcd_", "lcm_") else given.get(name, ())
        if "cosh" in name:
            x += 1
        assert getattr(ds, name)(x, *more) is x, name
