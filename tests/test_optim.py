"""Optimizers, step by step against PyTorch's, and as nodes of the trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import engine as ds
from engine import nn, optim

OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True, "maximize": True}),
    ("Adam", {"lr": 0.05}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "amsgrad": True, "maximize": True}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.2, "amsgrad": True}),
    ("RMSprop", {"lr": 0.05}),
    ("RMSprop", {"lr": 0.05, "momentum": 0.9, "centered": True, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.1, "maximize": True}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "momentum_decay": 0.01}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.05, "betas": (0.8, 0.9), "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("ASGD", {}),
    ("ASGD", {"lr": 0.1, "lambd": 0.01, "t0": 2, "weight_decay": 0.1}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.4, 1.5), "step_sizes": (1e-3, 0.2), "maximize": True}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5}),
]  # fmt: skip

START = np.random.default_rng(0).standard_normal((3, 4))


def gradients(step: int) -> Any:
    return np.random.default_rng(step + 1).standard_normal((3, 4))


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=[f"{i}-{o[0]}" for i, o in enumerate(OPTIONS)])
def test_steps_are_pytorchs(name: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
    ours, theirs = nn.Parameter(ds.Tensor(START.copy())), torch.nn.Parameter(torch.tensor(START))
    here, there = getattr(optim, name)([ours], **options), getattr(torch.optim, name)([theirs], **options)
    for step in range(8):
        ours.grad, theirs.grad = ds.Tensor(gradients(step)), torch.tensor(gradients(step))
        here.step()
        there.step()
        np.testing.assert_allclose(ours.array, theirs.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [
    "SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "ASGD", "Rprop",
])  # fmt: skip
def test_state_continues_where_it_was_taken(name: str) -> None:
    def run(steps: range, parameter: Any, optimizer: Any) -> None:
        for step in steps:
            parameter.grad = ds.Tensor(gradients(step))
            optimizer.step()

    options = {"lr": 0.1, "momentum": 0.9} if name == "SGD" else {"lr": 0.1}
    whole = nn.Parameter(ds.Tensor(START.copy()))
    run(range(6), whole, getattr(optim, name)([whole], **options))
    part = nn.Parameter(ds.Tensor(START.copy()))
    first = getattr(optim, name)([part], **options)
    run(range(3), part, first)
    second = getattr(optim, name)([part], lr=9.0)
    second.load_state_dict(first.state_dict())
    run(range(3, 6), part, second)
    np.testing.assert_array_equal(whole.array, part.array)


def test_an_update_is_a_node_of_the_last_phase() -> None:
    layer = nn.Linear(3, 2)
    adam = optim.Adam(layer.parameters())
    with ds.trace() as graph:
        layer(ds.ones(4, 3)).sum().backward()
        adam.step()
    updates = [node for node in graph.nodes if node.phase == 2]
    assert [node.op.name for node in updates if node.op] == ["adam", "adam"]
    assert [node.shape for node in updates] == [(2, 3), (2,)]
    assert updates[0].inputs[0] is not None
    assert updates[0].inputs[0].role == "parameter"
    assert updates[0].inputs[1] is not None
    assert updates[0].inputs[1].phase == 1
    assert updates[0].line > 0


def test_groups_have_options_of_their_own() -> None:
    a, b, frozen = (nn.Parameter(ds.ones(2)) for _ in range(3))
    sgd = optim.SGD([{"params": [a]}, {"params": [b], "lr": 1.0}], lr=0.1)
    sgd.add_param_group({"params": [frozen]})
    for p in (a, b):
        p.grad = ds.ones(2)
    sgd.step()
    np.testing.assert_allclose(a.array, 0.9, rtol=1e-6)
    np.testing.assert_allclose(b.array, 0.0)
    np.testing.assert_allclose(frozen.array, 1.0)
    sgd.zero_grad()
    assert a.grad is None


def test_a_closure_is_called_for_its_loss() -> None:
    p = nn.Parameter(ds.ones(1))

    def closure() -> Any:
        loss = (p * p).sum()
        loss.backward()
        return loss

    assert optim.SGD([p], lr=0.1).step(closure).item() == 1.0
    np.testing.assert_allclose(p.array, 0.8, rtol=1e-6)


def test_a_step_changes_what_an_old_graph_needed() -> None:
    p = nn.Parameter(ds.ones(2))
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    optim.SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match=r"a value still needed was changed in place.*sgd"):
        loss.backward()


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda p: optim.SGD([], lr=0.1), ValueError, "param"),
        (lambda p: optim.SGD(p, lr=0.1), TypeError, r"write \[tensor\]"),
        (lambda p: optim.SGD([p, p], lr=0.1), ValueError, "given twice"),
        (lambda p: optim.SGD([p * 2], lr=0.1), ValueError, "not a leaf"),
        (lambda p: optim.SGD([3], lr=0.1), TypeError, "int"),
        (lambda p: optim.SGD([p], lr=-1), ValueError, "lr has to be 0 or more"),
        (lambda p: optim.SGD([p], lr=1, nesterov=True), ValueError, "nesterov needs a momentum"),
        (lambda p: optim.Adam([p], betas=(1.0, 0.9)), ValueError, r"betas\[0\]"),
        (lambda p: optim.Adagrad([p], lr_decay=-1), ValueError, "lr_decay"),
        (lambda p: optim.RMSprop([p], alpha=-1), ValueError, "alpha"),
        (
            lambda p: optim.SGD([{"params": [p], "momentun": 1}]),
            TypeError,
            "'momentun', did you mean 'momentum'",
        ),
        (lambda p: optim.Adam([p], fast=True), TypeError, "no option 'fast'"),
        (lambda p: optim.Adam([p], differentiable=True), ValueError, "differentiable=True"),
    ],
)
def test_what_cannot_be_is_said(make: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        make(nn.Parameter(ds.ones(2)))


@pytest.mark.parametrize("kind", [2.0, 1.0, float("inf")])
@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clipping_by_norm_is_pytorchs(kind: float, limit: float) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
    ours = [nn.Parameter(ds.Tensor(START.copy())) for _ in range(2)]
    theirs = [torch.nn.Parameter(torch.tensor(START)) for _ in range(2)]
    for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
        p.grad, q.grad = ds.Tensor(gradients(i)), torch.tensor(gradients(i))
    before = nn.utils.clip_grad_norm_(ours, limit, kind)
    expected = torch.nn.utils.clip_grad_norm_(theirs, limit, kind)
    assert before.item() == pytest.approx(expected.item())
    for p, q in zip(ours, theirs, strict=True):
        assert p.grad is not None
        np.testing.assert_allclose(p.grad.array, q.grad.numpy(), rtol=1e-6)


def test_clipping_by_value_and_of_what_is_not_finite() -> None:
    p = nn.Parameter(ds.ones(3))
    p.grad = ds.tensor([3.0, -0.2, -9.0])
    nn.utils.clip_grad_value_([p], 0.5)
    assert p.grad.tolist() == pytest.approx([0.5, -0.2, -0.5])
    p.grad = ds.tensor([float("nan"), 1.0, 1.0])
    with pytest.raises(RuntimeError, match="the norm of the gradients is nan"):
        nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)


def rosenbrock(lib: Any, **options: Any) -> list[float]:
    p = lib.tensor([-1.5, 2.0], dtype=lib.float64, requires_grad=True)
    lbfgs = lib.optim.LBFGS([p], **options)
    seen = []

    def closure() -> Any:
        lbfgs.zero_grad()
        loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
        loss.backward()
        return loss

    for _ in range(4):
        seen.append(lbfgs.step(closure).item())
    return [*seen, *p.tolist()]


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.1, "max_iter": 5},
        {"lr": 0.5, "max_iter": 4, "history_size": 2},
        {"lr": 0.1, "max_iter": 10, "max_eval": 3, "tolerance_change": 1e-3},
    ],
)
def test_lbfgs_goes_where_pytorchs_goes(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
    np.testing.assert_allclose(rosenbrock(ds, **options), rosenbrock(torch, **options), rtol=1e-8)


def test_lbfgs_with_its_line_search_finds_the_minimum() -> None:
    found = rosenbrock(ds, line_search_fn="strong_wolfe", max_iter=30, max_eval=200)
    np.testing.assert_allclose(found[-2:], [1.0, 1.0], rtol=1e-5)


def test_lbfgs_trains_a_layer_and_shows_its_updates() -> None:
    ds.manual_seed(0)
    layer = nn.Linear(3, 1)
    x = ds.randn(20, 3)
    y = x @ ds.tensor([[1.0], [-2.0], [0.5]]) + 0.25
    lbfgs = optim.LBFGS(layer.parameters(), line_search_fn="strong_wolfe")

    def closure() -> Any:
        lbfgs.zero_grad()
        loss = nn.functional.mse_loss(layer(x), y)
        loss.backward()
        return loss

    with ds.trace() as graph:
        lbfgs.step(closure)
    np.testing.assert_allclose(layer.weight.array, [[1.0, -2.0, 0.5]], atol=1e-3)
    assert {node.op.name for node in graph.nodes if node.phase == 2 and node.op} == {"lbfgs"}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p: optim.LBFGS([p]).step(), "needs a closure"),
        (lambda p: optim.LBFGS([p], line_search_fn="armijo"), "got 'armijo'"),
        (lambda p: optim.LBFGS([{"params": [p]}, {"params": [nn.Parameter(ds.ones(1))]}]), "one group"),
        (lambda p: optim.NAdam([p], betas=(1.0, 0.9)), r"betas\[0\]"),
        (lambda p: optim.Rprop([p], etas=(1.5, 1.2)), "etas has to be"),
        (lambda p: optim.Adadelta([p], rho=2), "rho"),
        (lambda p: optim.ASGD([p], lr=-1), "lr has to be 0 or more, got -1"),
    ],
)
def test_bad_options_of_the_others_are_told(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call(nn.Parameter(ds.ones(2)))


@pytest.mark.parametrize(
    "options",
    [
        ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        ("SGD", {"momentum": 0.9, "dampening": 0.5, "maximize": True}),
        ("SGD", {}),
        ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
        ("AdamW", {}),
    ],
)
def test_large_parameters_are_updated_as_small_ones(options: tuple[str, dict[str, Any]]) -> None:
    """A cacheful at a time gives the same bits."""
    name, more = options
    rng = np.random.default_rng(0)
    values, gradients = rng.standard_normal((2, 50_000)).astype(np.float32)

    def trained(count: int) -> Any:
        parts = [ds.nn.Parameter(ds.tensor(v)) for v in np.split(values, count)]
        optimizer = getattr(ds.optim, name)(parts, lr=0.1, **more)
        for _ in range(3):
            for part, g in zip(parts, np.split(gradients, count), strict=True):
                part.grad = ds.tensor(g) * part.detach()
            optimizer.step()
        return np.concatenate([part.numpy(force=True) for part in parts])

    np.testing.assert_array_equal(trained(1), trained(10))


@pytest.mark.parametrize(
    "name",
    [
        "SGD",
        "Adam",
        "AdamW",
        "RMSprop",
        "Adagrad",
        "Adadelta",
        "Adamax",
        "NAdam",
        "RAdam",
        "ASGD",
        "Rprop",
        "LBFGS",
    ],
)
def test_a_parameter_of_one_number_without_dimensions(name: str) -> None:
    """A temperature or a scale that is learned: NumPy makes numbers, which nothing can be written to, of such arrays."""

    def trained(start: Any, **options: Any) -> float:
        parameter = ds.nn.Parameter(ds.tensor(start))
        optimizer = getattr(ds.optim, name)([parameter], lr=0.1, **options)

        def loss() -> Any:
            optimizer.zero_grad()
            found = (parameter * parameter - parameter).sum()
            found.backward()
            return found

        for _ in range(3):
            optimizer.step(loss)
        return float(parameter.item())

    assert trained(1.5) == trained([1.5]) != 1.5
    if name in ("Adam", "AdamW"):
        assert trained(1.5, amsgrad=True) == trained([1.5], amsgrad=True)
