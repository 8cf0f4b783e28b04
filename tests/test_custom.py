"""Ops of the person's own: the same record as a built-in one, and clear words for every way to get one wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import engine as ds
from engine.op import OPS
from engine.testing import GradientError


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    before = set(OPS)
    yield
    for name in set(OPS) - before:
        del OPS[name]


def top_attention() -> Any:
    """The manual's example: each query looks only at the keys it scores above their mean."""

    @ds.custom_op(shape=lambda query, key, value: (*query[:-1], value[-1]))
    def sparse_attention(query, key, value):  # type: ignore[no-untyped-def]
        """Attention that drops the keys a query scores below the mean."""
        scores = query @ key.mT
        weights = ds.softmax(ds.where(scores >= scores.mean(-1, keepdim=True), scores, -1e9), -1)
        return weights @ value

    return sparse_attention


def test_the_manuals_example() -> None:
    sparse_attention = top_attention()
    ds.register_derivative(sparse_attention, grad_fn=lambda grad, *args: (grad, None, None))
    q, k, v = (ds.randn(2, 3, 4, requires_grad=True) for _ in range(3))
    with ds.trace() as graph:
        out = sparse_attention(q, k, v)
        ds.backward(out)
    assert [(n.label, n.shape) for n in graph.nodes[:2]] == [
        ("sparse_attention", (2, 3, 4)),
        ("sparse_attention'", (2, 3, 4)),
    ]
    assert q.grad is not None
    assert np.array_equal(q.grad.array, np.ones((2, 3, 4), np.float32))
    assert k.grad is None
    assert v.grad is None


def test_numpy_inside_attributes_and_second_order() -> None:
    @ds.custom_op(dtype=lambda input, *, power: input, shape=lambda input, *, power: input)
    def raised(input, *, power=2):  # type: ignore[no-untyped-def]
        return np.power(input, power)

    ds.register_derivative(raised, lambda grad, input, power: grad * power * input ** (power - 1))
    assert ds.testing.check_op(raised, [(ds.randn(3),), (ds.randn(2, 2), {"power": 3})], second=True) == 2
    x = ds.tensor([2.0], requires_grad=True)
    (first,) = ds.grad(raised(x, power=3), x, create_graph=True)
    (second,) = ds.grad(first, x)
    assert (first.item(), second.item()) == (12.0, 12.0)


def test_several_results() -> None:
    @ds.custom_op(outputs=2)
    def halves(input):  # type: ignore[no-untyped-def]
        middle = input.shape[-1] // 2
        return input[..., :middle], input[..., middle:]

    def derivative(grad: Any, input: Any) -> Any:
        middle = input.shape[-1] // 2
        parts = [
            ds.zeros(*input.shape[:-1], n, dtype=input.dtype) if g is None else g
            for g, n in zip(grad, (middle, input.shape[-1] - middle), strict=True)
        ]
        return ds.cat(parts, -1)

    ds.register_derivative(halves, derivative)
    x = ds.arange(4.0).requires_grad_()
    left, right = halves(x)
    (left * 3).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3.0, 3.0, 0.0, 0.0]
    assert right.tolist() == [2.0, 3.0]


def test_a_wrong_derivative_is_found() -> None:
    @ds.custom_op
    def cubed(input):  # type: ignore[no-untyped-def]
        return input**3

    ds.register_derivative(cubed, lambda grad, input: grad * 2 * input**2)
    with pytest.raises(
        GradientError, match=r"cubed, sample 1: the gradient of inputs\[0\] .* differences say"
    ):
        ds.testing.check_op(cubed, [(ds.ones(2),)])


def made(derivative: Any = None) -> Any:
    @ds.custom_op
    def joined(a, b):  # type: ignore[no-untyped-def]
        return a + b

    if derivative is not None:
        ds.register_derivative(joined, derivative)
    return joined


@pytest.mark.parametrize(
    ("derivative", "says"),
    [
        (None, "joined has no derivative, .* ds.register_derivative"),
        (
            lambda grad, a, b: ("much", None),
            r"joined gave a a str as its gradient, expected a tensor or an array of shape \[",
        ),
        (lambda grad, a, b: grad, "joined returned 1 gradient, expected 2: one for each of a, b"),
        (lambda grad, a, b: (grad,) * 3, "returned 3 gradients, expected 2"),
        (lambda grad, a, b: (grad[:1], grad), r"gave a a gradient of shape \[1\], expected \[3\]"),
    ],
)
def test_a_derivative_that_cannot_be(derivative: Any, says: str) -> None:
    out = made(derivative)(ds.ones(3, requires_grad=True), ds.ones(3, requires_grad=True))
    with pytest.raises(RuntimeError, match=says):
        ds.backward(out)


@pytest.mark.parametrize(
    "derivative",
    [
        lambda grad, a: (grad, None),
        lambda grad, a, b, c: (grad, grad),
        lambda: None,
        lambda grad, *, out: None,
    ],
)
def test_a_derivative_of_other_arguments_is_refused_when_it_is_given(derivative: Any) -> None:
    with pytest.raises(
        TypeError,
        match=r"(?s)derivative of joined is called with 3 arguments, the gradient and a, b, but takes \(",
    ):
        made(derivative)
    for fits in (
        lambda grad, *rest: (grad, grad),
        lambda grad, a, b, *, out: (grad, grad),
        lambda grad, a, b, out=None: (grad, grad),
    ):
        made(fits)


def test_under_no_grad_no_derivative_is_needed() -> None:
    with ds.no_grad():
        assert made()(ds.ones(2, requires_grad=True), 1.0).tolist() == [2.0, 2.0]


def test_what_cannot_become_an_op() -> None:
    with pytest.raises(ValueError, match="there is a built-in op 'relu'"):
        ds.custom_op(lambda x: x, name="relu")
    with pytest.raises(TypeError, match="at least one positional argument"):
        ds.custom_op(lambda: None, name="nothing")
    with pytest.raises(TypeError, match=r"\*\*more cannot be an attribute"):
        ds.custom_op(lambda x, **more: x, name="open")
    with pytest.raises(TypeError, match="makes an op of a function, got int"):
        ds.custom_op(3)  # type: ignore[arg-type]

    def plain(x: Any) -> Any:
        return x

    with pytest.raises(TypeError, match=r"got function 'plain'; put @ds\.custom_op above it"):
        ds.register_derivative(plain, lambda g, x: g)
    with pytest.raises(TypeError, match="the derivative of joined has to be a function, got int"):
        ds.register_derivative(made(), 3)  # type: ignore[arg-type]


def test_what_a_function_must_not_return() -> None:
    nothing = ds.custom_op(lambda x: None, name="nothing")
    with pytest.raises(TypeError, match="the result of nothing has to be a tensor or an array, got None"):
        nothing(ds.ones(1))
    two = ds.custom_op(lambda x: (x, x, x), name="two", outputs=2)
    with pytest.raises(TypeError, match="two has to return 2 results, got a tuple of 3"):
        two(ds.ones(1))
    with pytest.raises(TypeError, match=r"nothing\(\): too many positional arguments"):
        nothing(ds.ones(1), ds.ones(1))


def test_shape_rules_are_checked_both_ways() -> None:
    lies = ds.custom_op(lambda x: x, name="lies", shape=lambda x: (*x, 1))
    with pytest.raises(ValueError, match=r"lies: its shape rule promised \[2, 1\], the function made \[2\]"):
        lies(ds.ones(2))

    def same(a: Any, b: Any) -> Any:
        if a != b:
            raise ValueError(f"a has shape {a}, b {b}")
        return a

    strict = ds.custom_op(lambda a, b: a + b, name="strict", shape=same)
    with pytest.raises(ValueError, match=r"strict: a has shape \(2,\), b \(3,\)"):
        strict(ds.ones(2), ds.ones(3))


def test_a_mismatch_inside_names_the_person_line() -> None:
    attention = top_attention()
    with pytest.raises(
        ds.ShapeMismatchError, match=r"Expected \[2, 4, n\], got \[2, 5, 3\]|Expected .*got"
    ) as e:
        attention(ds.randn(2, 3, 4), ds.randn(2, 3, 5), ds.randn(2, 3, 4))
    assert e.value.filename == __file__


def test_a_new_definition_replaces_the_old_one() -> None:
    first, second = made(), made()
    assert first.op is not second.op
    assert OPS["joined"] is second.op
    assert OPS["joined"].custom


def test_an_exception_inside_is_the_persons_own() -> None:
    def broken(x: Any) -> Any:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ds.custom_op(broken)(ds.ones(1))
    assert (ds.ones(1, requires_grad=True) * 1).requires_grad, "the graph is recorded again afterwards"
