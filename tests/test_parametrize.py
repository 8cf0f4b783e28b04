"""Parameters computed from others, beside PyTorch's `nn.utils.parametrize`."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from dsviz.nn.utils import parametrizations, parametrize

import dsviz as ds
from dsviz import nn


class Symmetric(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.triu() + x.triu(1).T


class Doubled(nn.Module):
    def forward(self, x: Any) -> Any:
        return x * 2

    def right_inverse(self, x: Any) -> Any:
        return x / 2


READY: list[tuple[str, Any, dict[str, Any]]] = [
    ("weight_norm", (4, 3), {}),
    ("weight_norm", (4, 3), {"dim": None}),
    ("spectral_norm", (4, 3), {}),
    *[("orthogonal", shape, {"orthogonal_map": kind}) for shape in ((4, 4), (3, 5), (5, 3)) for kind in ("matrix_exp", "cayley", "householder")],
    ("orthogonal", (5, 3), {"use_trivialization": False}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "shape", "options"), READY)
def test_ready_ones_are_pytorchs(name: str, shape: tuple[int, int], options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
    theirs = getattr(torch.nn.utils.parametrizations, name)(torch.nn.Linear(*shape).double(), **options)
    ours = getattr(parametrizations, name)(nn.Linear(*shape).double(), **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((2, shape[0]))
    here, there = ours(ds.tensor(x)), theirs(torch.tensor(x))
    np.testing.assert_allclose(here.detach().numpy(), there.detach().numpy(), atol=1e-9)
    (here**2).sum().backward()
    (there**2).sum().backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), atol=1e-8)


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)])
def test_orthogonal_stays_orthogonal_while_it_is_learned(shape: tuple[int, int]) -> None:
    layer = parametrizations.orthogonal(nn.Linear(*shape).double())
    optimizer = ds.optim.SGD(layer.parameters(), lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        layer(ds.ones(1, shape[0], dtype=ds.float64)).pow(2).sum().backward()
        optimizer.step()
    w = layer.weight.detach().numpy()
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(
        product, np.eye(len(product)), atol=1e-9
    )  # as exact as the inverse in Cayley's map


def test_several_are_applied_one_after_another_and_removed() -> None:
    layer = nn.Linear(3, 3)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    parametrize.register_parametrization(layer, "weight", Doubled())
    assert type(layer).__name__ == "ParametrizedLinear"
    assert isinstance(layer, nn.Linear)
    original = layer.parametrizations.weight.original
    expected = 2 * (original.triu() + original.triu(1).T)
    assert bool((layer.weight == expected).all())
    layer(ds.ones(1, 3)).sum().backward()
    assert original.grad is not None
    again = copy.deepcopy(layer)
    assert bool((again.weight == layer.weight).all())
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear
    assert [k for k, _ in layer.named_parameters()] == ["bias", "weight"]
    assert bool((layer.weight == expected).all())


def test_a_tensor_can_be_assigned_where_the_way_back_is_known() -> None:
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Doubled())
    layer.weight = ds.eye(2)
    assert layer.weight.tolist() == ds.eye(2).tolist()
    assert layer.parametrizations.weight.original.tolist() == (ds.eye(2) / 2).tolist()
    other = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Symmetric())
    with pytest.raises(RuntimeError, match="Symmetric has no right_inverse"):
        other.weight = ds.eye(2)


def test_inside_cached_it_is_computed_once() -> None:
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Symmetric())
    assert layer.weight is not layer.weight
    with parametrize.cached():
        assert layer.weight is layer.weight


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: parametrize.register_parametrization(nn.Linear(2, 2), "wight", Doubled()), "Linear has no parameter or buffer 'wight'"),
        (lambda: parametrize.register_parametrization(nn.Linear(2, 3), "weight", nn.Flatten(0)), r"keep shape and dtype, \[3, 2\]"),
        (lambda: parametrize.remove_parametrizations(nn.Linear(2, 2), "weight"), "is not parametrized"),
        (lambda: parametrizations.orthogonal(nn.Conv1d(2, 2, 2)), r"orthogonal needs a matrix, weight is \[2, 2, 2\]"),
        (lambda: parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="qr"), "orthogonal_map is one of"),
        (lambda: parametrizations.spectral_norm(nn.Linear(2, 2), n_power_iterations=0), "has to be at least 1, got 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(wrong: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        wrong()
