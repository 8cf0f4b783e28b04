"""Whole matrices of derivatives, beside PyTorch's `autograd.functional`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import engine as ds
from engine import jacobians

X = [[0.5, -1.0], [2.0, 0.25]]
Y = [1.5, -0.5]


def two(x: Any, y: Any) -> Any:
    return (x @ y) ** 2, x.sum() * y


def number(x: Any, y: Any) -> Any:
    return ((x @ y) ** 3).sum() + (x * x).sum() * y[0]


CALLS = {
    "jacobian of one": lambda f, t: f.jacobian(lambda x: x**3, t(X)),
    "jacobian of two": lambda f, t: f.jacobian(two, (t(X), t(Y))),
    "hessian of one": lambda f, t: f.hessian(lambda x: (x**3).sum(), t(X)),
    "hessian of two": lambda f, t: f.hessian(number, (t(X), t(Y))),
    "vjp": lambda f, t: f.vjp(lambda x, y: x @ y, (t(X), t(Y)), t([2.0, 3.0])),
    "jvp": lambda f, t: f.jvp(lambda x, y: (x @ y) ** 2, (t(X), t(Y)), (t(X), t([2.0, 3.0]))),
    "vhp": lambda f, t: f.vhp(number, (t(X), t(Y)), (t(X), t(Y))),
    "hvp": lambda f, t: f.hvp(number, (t(X), t(Y)), (t(X), t(Y))),
    "does not depend": lambda f, t: f.jacobian(lambda x, y: x * 2, (t(X), t(Y))),
}


def flat(value: Any) -> list[Any]:
    if isinstance(value, (tuple, list)):
        return [leaf for part in value for leaf in flat(part)]
    return [value.detach().numpy()]


@pytest.mark.parametrize("name", CALLS)
def test_the_same_as_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'dsviz[compare]'")
    ours = CALLS[name](jacobians, lambda v: ds.tensor(v, dtype=ds.float64))
    theirs = CALLS[name](torch.autograd.functional, lambda v: torch.tensor(v, dtype=torch.float64))
    for a, b in zip(flat(ours), flat(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: jacobians.jacobian(lambda x: x, [1.0]), r"inputs\[0\] has to be a tensor, got float"),
        (lambda x: jacobians.jacobian(lambda x: 3, x), "result 0 is a int"),
        (
            lambda x: jacobians.hessian(lambda x: x, x),
            r"has to return one number, got a tensor of shape \[2\]",
        ),
        (lambda x: jacobians.vjp(lambda x: x, x), "v can be left out only where the result is one number"),
        (lambda x: jacobians.vjp(lambda x: x, x, ds.ones(3)), r"v\[0\] has shape \[3\], expected \[2\]"),
        (
            lambda x: jacobians.jacobian(lambda x, y: x, (x, x), strict=True),
            r"does not depend on inputs\[1\]",
        ),
    ],
)
def test_bad_input_is_told(call: Any, message: str) -> None:
    with pytest.raises((TypeError, RuntimeError), match=message):
        call(ds.tensor([1.0, 2.0]))
