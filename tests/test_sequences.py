"""A recurrent network runs as one op while nobody watches, and step by step for those who do: the same bits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import dsviz as ds
from dsviz import nn
from engine.bus import bus


@contextmanager
def watched() -> Iterator[list[str]]:
    """The ops that somebody who watches is told of."""
    names: list[str] = []
    with bus.subscribe(lambda kind, node: names.append(node.label), "op_finish"):
        yield names


def filled(module: Any, dtype: str = "float32") -> Any:
    rng = np.random.default_rng(0)
    with ds.no_grad():
        for p in module.parameters():
            p.copy_(ds.tensor(rng.standard_normal(p.shape) * 0.2))
    return module.to(dtype)


def outcome(module: Any, steps: int, batch: int, dtype: str = "float32") -> list[Any]:
    """Results and gradients of a loss that uses every result."""
    rng = np.random.default_rng(1)
    x = ds.tensor(rng.standard_normal((steps, batch, module.input_size)).astype(dtype), requires_grad=True)
    size = (module.num_layers * module.directions, batch, module.hidden_size)
    states = [
        ds.tensor(rng.standard_normal(size).astype(dtype), requires_grad=True) for _ in range(module.states)
    ]
    module.zero_grad()
    out, last = module(x, states[0] if module.states == 1 else tuple(states))
    lasts = [last] if module.states == 1 else list(last)
    loss = (out * out).sum()
    for state in lasts:
        loss = loss + (state * state).sum()
    loss.backward()
    grads = [t.grad for t in (x, *states, *module.parameters())]
    return [t.numpy(force=True) for t in (out, *lasts, *grads)]


CASES: list[tuple[str, tuple[Any, ...], dict[str, Any], int, int, str]] = [
    ("LSTM", (8, 6), {}, 5, 1, "float32"),
    ("LSTM", (16, 128), {}, 9, 32, "float32"),  # the product turned round, and gradients gathered in parts
    ("LSTM", (3, 128), {"bidirectional": True}, 4, 2, "float32"),
    ("LSTM", (16, 8), {}, 3, 200, "float32"),  # more rows than the weight has room for
    ("GRU", (8, 6), {}, 5, 1, "float32"),
    ("GRU", (16, 128), {}, 9, 32, "float32"),
    ("GRU", (3, 128), {"bidirectional": True}, 4, 2, "float32"),
    ("GRU", (16, 8), {}, 3, 200, "float32"),
    ("GRU", (2, 5), {"num_layers": 2, "bidirectional": True, "bias": False}, 4, 3, "float64"),
    ("RNN", (16, 128), {"bidirectional": True}, 9, 32, "float32"),
    ("RNN", (2, 5), {"num_layers": 2, "nonlinearity": "relu"}, 4, 1, "float64"),
    ("LSTM", (2, 5), {"num_layers": 2, "bidirectional": True, "bias": False}, 4, 3, "float64"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "sizes", "more", "steps", "batch", "dtype"), CASES)
def test_watched_or_not_the_bits_are_the_same(
    kind: str, sizes: Any, more: Any, steps: int, batch: int, dtype: str
) -> None:
    module = filled(getattr(nn, kind)(*sizes, **more), dtype)
    alone = outcome(module, steps, batch, dtype)
    with watched() as names:
        stepped = outcome(module, steps, batch, dtype)
    assert kind.lower() not in names, "one op where somebody watched"
    for a, b in zip(alone, stepped, strict=True):
        np.testing.assert_array_equal(a, b)


def test_who_watches_sees_every_step() -> None:
    module = filled(nn.LSTM(3, 4))
    x = ds.randn(5, 2, 3)
    assert module(x)[0].sum().node.inputs[0].inputs[0].op.name == "lstm"
    with watched() as names:
        module(x)[0].sum().backward()
    assert names.count("lstm_cell") == names.count("lstm_cell'") == 5


def test_results_are_the_persons_own() -> None:
    """Writing to one result changes no other, and nothing that the gradient needs."""
    module = filled(nn.LSTM(3, 4))
    x = ds.randn(5, 2, 3, requires_grad=True)
    out, (h, _) = module(x)
    before = h.clone()
    with ds.no_grad():
        out.mul_(0)
    assert np.array_equal(h.numpy(force=True), before.numpy(force=True))
    h.sum().backward()
    assert np.abs(x.grad.numpy()).sum() > 0


def test_a_checkpoint_may_be_watched_in_between() -> None:
    module = filled(nn.LSTM(3, 4))
    x = ds.randn(5, 2, 3, requires_grad=True)
    module(x)[0].sum().backward()
    expected, x.grad = x.grad, None
    out = ds.utils.checkpoint.checkpoint(lambda t: module(t)[0], x)
    with watched():
        out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), expected.numpy())


def test_a_persons_own_step_is_kept() -> None:
    class Doubled(nn.LSTM):
        def step(self, from_input: Any, weight: Any, bias: Any, state: list[Any]) -> list[Any]:
            return [s * 2 for s in super().step(from_input, weight, bias, state)]

    module = filled(Doubled(3, 4))
    twin = filled(nn.LSTM(3, 4))
    x = ds.randn(1, 2, 3)
    np.testing.assert_array_equal(module(x)[0].numpy(force=True), 2 * twin(x)[0].numpy(force=True))


def test_the_graph_is_gone_after_the_first_gradient_unless_kept() -> None:
    module = filled(nn.LSTM(3, 4))
    x = ds.randn(5, 2, 3, requires_grad=True)
    loss = module(x)[0].sum()
    loss.backward(retain_graph=True)
    once = x.grad.clone()
    loss.backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * once.numpy())
    with pytest.raises(RuntimeError, match="a second time"):
        loss.backward()


@pytest.mark.parametrize(
    ("wrong", "kind", "text"),
    [
        (lambda: nn.LSTM(3, 4)(ds.ones(0, 2, 3)), ValueError, "at least one step, got an input of [0, 2, 3]"),
        (lambda: nn.LSTM(3, 4)(ds.ones(5, 2, 3), ds.ones(1, 2, 4)), TypeError, "a pair (h, c), got Tensor"),
        (lambda: nn.LSTM(3, 4)(ds.ones(5, 2, 3), (ds.ones(1, 2, 4),)), TypeError, "got 1 of them"),
        (lambda: nn.GRU(3, 4)(ds.ones(5, 2, 3), ds.ones(1, 3, 4)), ValueError, "has to be [1, 2, 4]"),
        (lambda: nn.RNN(3, 4)(ds.ones(5, 2, 7)), ds.ShapeMismatchError, "got [5, 2, 7]"),
    ],
)
def test_what_does_not_fit_is_told(wrong: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        wrong()
    assert text in str(caught.value)
    assert "test_sequences.py:" in str(caught.value)
