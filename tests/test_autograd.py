"""Gradients: of any order, of several outputs, with hooks, and what goes wrong said plainly."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import engine as ds


def point(*values: float) -> ds.Tensor:
    return ds.tensor(list(values), dtype="float64", requires_grad=True)


def test_gradients_of_any_order() -> None:
    x = point(0.7)
    value = ds.sin(x)
    for order in range(1, 6):
        (value,) = ds.grad(value, x, create_graph=True)
        expected = [np.sin, np.cos, lambda a: -np.sin(a), lambda a: -np.cos(a)][order % 4](0.7)
        assert value.item() == pytest.approx(expected, rel=1e-12)


def test_a_gradient_penalty_trains_through_the_gradient() -> None:
    x, w = point(1.0, 2.0), point(3.0, -1.0)
    (slope,) = ds.grad((w * x * x).sum(), x, create_graph=True)
    (slope * slope).sum().backward()
    np.testing.assert_allclose(w.grad.array, 8 * np.array([3.0, -1.0]) * np.array([1.0, 4.0]))  # type: ignore[union-attr]


def test_grad_leaves_grad_alone_and_backward_adds_up() -> None:
    x = point(2.0)
    (g,) = ds.grad(x * x, x)
    assert g.item() == 4.0
    assert x.grad is None
    for _ in range(2):
        (x * x).backward()
    assert x.grad is not None
    assert x.grad.item() == 8.0


def test_several_outputs_and_seeds() -> None:
    x = point(1.0, 2.0)
    a, b = x * 2, x * x
    (g,) = ds.grad(
        [a, b], x, [ds.tensor([1.0, 0.0], dtype="float64"), ds.tensor([0.0, 1.0], dtype="float64")]
    )
    assert g.tolist() == [2.0, 4.0]
    ds.backward([x * 2, x * x])
    assert x.grad is not None
    assert x.grad.tolist() == [4.0, 6.0]


def test_a_value_used_many_times_gathers_all_gradients() -> None:
    x = point(3.0)
    y = x * x
    total = y + y * x + y
    total.backward()
    assert x.grad is not None
    assert x.grad.item() == 3 * 9 + 4 * 3


def test_only_some_inputs_get_a_gradient() -> None:
    a, b = point(2.0), point(3.0)
    ds.backward(a * b, inputs=[a])
    assert a.grad is not None
    assert b.grad is None
    with pytest.raises(RuntimeError, match=r"inputs\[0\] was not used"):
        ds.grad(a * a, b)
    assert ds.grad(a * a, b, allow_unused=True) == (None,)


def test_a_second_pass_needs_retain_graph() -> None:
    x = point(2.0)
    y = x * x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad is not None
    assert x.grad.item() == 24.0
    with pytest.raises(
        RuntimeError, match=r"backward through mul a second time .*test_autograd.py.*retain_graph=True"
    ):
        y.backward()


def test_hooks_see_and_change_gradients() -> None:
    x = point(1.0, 2.0)
    y = x * 3
    seen: list[Any] = []
    handle = y.register_hook(lambda g: seen.append(g.tolist()))
    doubling = x.register_hook(lambda g: g * 2)
    y.sum().backward(retain_graph=True)
    assert seen == [[1.0, 1.0]]
    assert x.grad is not None
    assert x.grad.tolist() == [6.0, 6.0]
    handle.remove()
    handle.remove()
    doubling.remove()
    x.grad = None
    y.sum().backward()
    assert len(seen) == 1
    assert x.grad.tolist() == [3.0, 3.0]
    with pytest.raises(RuntimeError, match="requires a gradient"):
        ds.ones(2).register_hook(print)


def test_retain_grad_keeps_the_gradient_of_a_result() -> None:
    x = point(2.0)
    y = x * x
    y.retain_grad()
    (y * 3).backward()
    assert y.grad is not None
    assert y.grad.item() == 3.0


def test_detach_cuts_and_shares() -> None:
    x = point(2.0)
    cut = (x * x).detach()
    assert not cut.requires_grad
    assert not np.shares_memory(cut.array, x.array)
    assert np.shares_memory(x.detach().array, x.array)
    (x * cut).backward()
    assert x.grad is not None
    assert x.grad.item() == 4.0


def test_no_grad_and_enable_grad_as_blocks_and_decorators() -> None:
    x = point(1.0)

    @ds.no_grad()
    def still(t: Any) -> Any:
        return t * 2

    @ds.no_grad
    def still_too(t: Any) -> Any:
        return t * 2

    @ds.enable_grad()
    def moving(t: Any) -> Any:
        return t * 2

    assert not still(x).requires_grad
    assert not still_too(x).requires_grad
    with ds.no_grad():
        assert not ds.is_grad_enabled()
        assert not (x * 2).requires_grad
        assert moving(x).requires_grad
        with ds.enable_grad():
            assert (x * 2).requires_grad
    assert ds.is_grad_enabled()
    with ds.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad
    with pytest.raises(ZeroDivisionError), ds.no_grad():
        _ = 1 / 0
    assert ds.is_grad_enabled()


def test_an_in_place_change_of_a_saved_value_names_who_needed_it() -> None:
    x = point(1.0, 2.0)
    y = x * 2
    z = ds.exp(y)
    z.add_(1)
    with pytest.raises(
        RuntimeError,
        match=r"exp \(.*test_autograd.py:\d+\) needs its own result .* but add_ \(.*test_autograd.py:\d+\) wrote",
    ):
        z.sum().backward()
    y = x * 2
    square = y * y
    y.mul_(3)
    with pytest.raises(RuntimeError, match=r"mul \(.*\) needs `(input|other)` of shape \[2\]"):
        square.sum().backward()


def test_in_place_changes_that_hurt_nobody_are_fine() -> None:
    x = point(1.0, 2.0)
    y = x + 1
    y.mul_(3)
    y[0] = 0.0
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 3.0]
    with pytest.raises(RuntimeError, match="leaf that requires a gradient"):
        x.add_(1)
    with ds.no_grad():
        x.add_(1)
    assert x.tolist() == [2.0, 3.0]


def test_broadcasting_is_summed_back() -> None:
    a, b = ds.ones(3, 1, requires_grad=True), ds.ones(4, requires_grad=True)
    (a * b).sum().backward()
    assert a.grad is not None
    assert b.grad is not None
    assert a.grad.shape == (3, 1)
    assert b.grad.tolist() == [3.0] * 4


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ds.backward(ds.ones(2)), "no gradient flows to this tensor"),
        (lambda: (point(1.0, 2.0) * 2).backward(), r"needs a tensor of one element.*\[2\]"),
        (lambda: (point(1.0) * 2).backward(ds.ones(3)), "gradient to start with has shape"),
        (lambda: ds.grad(point(1.0) * 2, ds.ones(1)), r"inputs\[0\] does not require a gradient"),
        (lambda: ds.tensor([1, 2], requires_grad=True), "only floating tensors can require gradients"),
        (lambda: (point(1.0) * 2).requires_grad_(False), "only be changed on a leaf"),
        (lambda: point(1.0).numpy(), r"use detach\(\)\.numpy\(\)"),
    ],
)
def test_what_cannot_be_is_said(call: Any, words: str) -> None:
    with pytest.raises(RuntimeError, match="(?s)" + words):
        call()


def test_nothing_is_kept_of_a_loop_without_gradients() -> None:
    refs = []
    with ds.no_grad():
        x = ds.ones(8)
        for i in range(10_000):
            x = x * 0.999 + 0.001
            if i % 1000 == 0:
                refs += [weakref.ref(x), weakref.ref(x.node)]
    gc.collect()
    assert all(ref() is None for ref in refs)


def test_a_finished_training_step_is_released() -> None:
    layer = ds.Linear(4, 2)
    refs = []
    for _ in range(3):
        out = layer(ds.ones(3, 4))
        loss = ds.relu(out).sum()
        refs.append(weakref.ref(out.node))
        loss.backward()
        del out, loss
    gc.collect()
    assert all(ref() is None for ref in refs)


def test_deep_graphs_do_not_recurse() -> None:
    x = point(1.0)
    y = x
    for _ in range(20_000):
        y = y + 0.0
    y.backward()
    assert x.grad is not None
    assert x.grad.item() == 1.0
    del y
    gc.collect()


@pytest.mark.parametrize("size", [1, 2, 40])
@pytest.mark.parametrize("watched", [False, True])
def test_a_weight_used_at_every_step_gathers_one_gradient(size: int, watched: bool) -> None:
    rng = np.random.default_rng(0)
    w = ds.tensor(rng.standard_normal((30, 30)), requires_grad=True)
    x = [rng.standard_normal((size, 30)) for _ in range(5)]

    def run() -> Any:
        h: Any = ds.zeros(size, 30, dtype="float64")
        for step in x:
            h = ds.tanh(ds.linear(ds.tensor(step), w) + h @ w)
        (h * h).sum().backward()
        (w * w).sum().backward()  # the weight on a path of another kind adds to the same gradient
        found, w.grad = w.grad.array, None  # type: ignore[union-attr]
        return found

    alone = run()
    if watched:
        seen: list[str] = []
        with ds.bus.subscribe(lambda kind, node: seen.append(node.label), "op_finish"):
            np.testing.assert_array_equal(run(), alone)
        assert seen.count("linear'") == 5
    eps = 1e-6
    for at in ((0, 0), (3, 7)):
        values = []
        for sign in (1, -1):
            v = w.array.copy()
            v[at] += sign * eps
            h = np.zeros((size, 30))
            for step in x:
                h = np.tanh(step @ v.T + h @ v)
            values.append((h * h).sum() + (v * v).sum())
        assert alone[at] == pytest.approx((values[0] - values[1]) / (2 * eps), rel=1e-6)


def test_where_all_is_zero_a_norm_and_a_deviation_have_gradient_zero() -> None:
    x = ds.Tensor(np.zeros(3), requires_grad=True)
    (x.norm() + x.std()).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0] * 3


def test_a_stretched_operand_of_einsum_gets_a_gradient_of_its_own_shape() -> None:
    x = ds.Tensor(np.ones((3, 1)), requires_grad=True)
    ds.einsum("ij,kj->ik", x, ds.Tensor(np.ones((2, 4)))).sum().backward()
    assert x.grad is not None
    assert x.grad.array.tolist() == [[8.0]] * 3


def test_pieces_of_a_vector_are_arrays() -> None:
    x = ds.Tensor(np.arange(3.0), requires_grad=True)
    first, *_ = x.unbind(0)
    with ds.no_grad():
        first[...] = 7.0
    assert isinstance(first.array, np.ndarray)
    (first * 2).backward()


@pytest.mark.parametrize(
    "function", [lambda x: x.softmax(1), lambda x: x.log_softmax(1), lambda x: x.logsumexp(1)]
)
def test_nothing_has_a_gradient_of_nothing(function: Any) -> None:
    x = ds.Tensor(np.zeros((2, 0)), requires_grad=True)
    function(x).sum().backward()
    assert x.grad is not None
    assert x.grad.shape == (2, 0)


def test_many_backward_passes_at_once_and_zeros_for_what_has_no_part() -> None:
    x, z = ds.tensor([1.0, 2.0], requires_grad=True), ds.ones(1, requires_grad=True)
    y = x**2
    rows = ds.autograd.grad(y, [x, z], ds.eye(2), is_grads_batched=True, allow_unused=True)
    assert rows[0].tolist() == [[2.0, 0.0], [0.0, 4.0]]
    assert rows[1] is None
    y = x**2
    assert [g.tolist() for g in ds.autograd.grad(y.sum(), [x, z], materialize_grads=True)] == [
        [2.0, 4.0],
        [0.0],
    ]
    with pytest.raises(ValueError, match="grad_outputs of one size in their first dimension"):
        ds.autograd.grad(x**2, x, is_grads_batched=True)
