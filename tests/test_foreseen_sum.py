"""A normalisation, the sum with a shortcut and the relu of it computed together: three ops to the program, the same bits."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from foreseeing import apart, equal

import dsviz as ds
from dsviz import nn
from engine import foreseen, pending
from engine.dnn import batch, library

F = nn.functional
pytestmark = pytest.mark.skipif(
    library._opened() is None, reason='needs oneDNN: pip install "dsviz[cpu-fast]"'
)
SHAPE = (4, 32, 36, 36)


@pytest.fixture(autouse=True)
def _alone() -> None:
    """Nothing of another test waits to be looked at."""
    if batch.norms.build() is None:
        pytest.skip("no compiler")
    gc.collect()
    pending.settle()


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """For each sum that was put off, whether its relu was computed with it."""
    made: list[str] = []
    value, rectified = foreseen.Sum.value, foreseen.Sum.rectified

    def looked(held: Any) -> Any:
        made.append("looked at")
        return value(held)

    def computed(held: Any) -> Any:
        made.append("relu")
        return rectified(held)

    monkeypatch.setattr(foreseen.Sum, "value", looked)
    monkeypatch.setattr(foreseen.Sum, "rectified", computed)
    return made


class Block(nn.Module):
    def __init__(self, mapped: bool = False) -> None:
        self.conv = nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(32)
        self.short = nn.Sequential(nn.Conv2d(32, 32, 1, bias=False), nn.BatchNorm2d(32)) if mapped else None

    def forward(self, x: Any) -> Any:
        out = self.norm(self.conv(x))
        return F.relu(out + (x if self.short is None else self.short(x)))


def trained(
    forward: Callable[[Any, Any], Any] = lambda net, x: net(x), turns: int = 3, mapped: bool = False
) -> list[Any]:
    """Losses, the input's gradient, parameters and running statistics after some steps."""
    ds.manual_seed(0)
    first, net = nn.Conv2d(3, 32, 3, padding=1), Block(mapped)
    parameters = [*first.parameters(), *net.parameters()]
    optimizer = ds.optim.SGD(parameters, lr=0.05, momentum=0.9)
    found = []
    for turn in range(turns):
        data = np.random.default_rng(turn).standard_normal((4, 3, 36, 36)).astype(np.float32)
        x = ds.Tensor(data, requires_grad=True)
        loss = (forward(net, first(x)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found += [loss.numpy(force=True), x.grad.numpy()]
    return [*found, *(p.numpy(force=True) for p in parameters), *(b.numpy() for b in net.buffers())]


def turned_round(net: Block, x: Any) -> Any:
    return F.relu(x + net.norm(net.conv(x)))


def by_module(net: Block, x: Any) -> Any:
    return nn.ReLU(inplace=True)(net.norm(net.conv(x)) + x)


def in_place(net: Block, x: Any) -> Any:
    out = net.norm(net.conv(x))
    out += x
    return F.relu(out)


def looked_at(net: Block, x: Any) -> Any:
    out = net.norm(net.conv(x)) + x
    float(out.array.mean())
    return F.relu(out)


def used_elsewhere(net: Block, x: Any) -> Any:
    norm = net.norm(net.conv(x))
    out = norm + x
    return F.relu(out) + out.sigmoid() * norm


def hooked(net: Block, x: Any) -> Any:
    norm = net.norm(net.conv(x))
    norm.register_hook(lambda g: g * 2)
    out = norm + x
    out.register_hook(lambda g: g * 0.5)
    return F.relu(out)


def broadcast(net: Block, x: Any) -> Any:
    return F.relu(net.norm(net.conv(x)) + x[:1])


def number(net: Block, x: Any) -> Any:
    return F.relu(net.norm(net.conv(x)) + 0.5)


def itself(net: Block, x: Any) -> Any:
    out = net.norm(net.conv(x))
    return F.relu(out + out)


def no_relu(net: Block, x: Any) -> Any:
    return net.norm(net.conv(x)) + x


def changing(net: Block, x: Any) -> Any:
    return net(x) if int(net.norm.num_batches_tracked.item()) % 2 == 0 else no_relu(net, x)


def over(net: Block, x: Any) -> Any:
    """What is added is written to between the sum and its relu: the sum is of what it was."""
    other = x * 1.0
    out = net.norm(net.conv(x)) + other
    with ds.no_grad():
        other.zero_()
    return F.relu(out)


def saved(net: Block, x: Any) -> Any:
    return ds.utils.checkpoint.checkpoint(net, x)


WAYS = [
    turned_round, by_module, in_place, looked_at, used_elsewhere, hooked, broadcast, number, itself, no_relu, changing,
    over, saved,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_bits_are_those_of_one_after_the_other(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    equal(trained(way), apart(monkeypatch, lambda: trained(way)))


@pytest.mark.parametrize("mapped", [False, True], ids=["identity", "mapped"])
def test_it_is_learned_in_the_first_step(
    mapped: bool, together: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = trained(turns=4, mapped=mapped)
    assert together == ["relu"] * 3
    equal(found, apart(monkeypatch, lambda: trained(turns=4, mapped=mapped)))
    with ds.graph_config(memory_optimization=False):
        equal(found, trained(turns=4, mapped=mapped))


def test_a_watched_program_runs_op_by_op(together: list[str]) -> None:
    alone = trained()
    together.clear()
    with ds.trace() as trace:
        watched = trained()
    assert not together
    equal(watched, alone)
    assert [n.label for n in trace.nodes].count("add") == 3


def test_who_looks_ends_it(together: list[str]) -> None:
    trained(looked_at, turns=4)
    assert together == ["looked at"]


def learned() -> tuple[Any, Any, Any, Any]:
    """A normalisation whose sum is foreseen, its input, what is added, and the sum."""
    norm = nn.BatchNorm2d(SHAPE[1])
    norm.weight.node.foreseen = "sum"
    samples, channels, height, width = SHAPE
    x, other = (
        ds.Tensor(
            np.random.default_rng(seed).standard_normal((samples, height, width, channels)).astype(np.float32)
            .transpose(0, 3, 1, 2), requires_grad=True,
        )
        for seed in range(2)
    )  # fmt: skip
    return norm, x, other, norm(x) + other


def test_gradients_of_gradients_and_of_the_values_between(monkeypatch: pytest.MonkeyPatch) -> None:
    def second() -> list[Any]:
        norm, x, other, out = learned()
        y = F.relu(out)
        (between,) = ds.grad((y * y).sum(), out, retain_graph=True)
        (g,) = ds.grad((y**3).sum(), x, create_graph=True)
        (g * g).sum().backward()
        return [a.numpy(force=True) for a in (between, g, x.grad, other.grad, norm.weight.grad)]

    for a, b in zip(second(), apart(monkeypatch, second), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6 * np.abs(b).max())


def test_what_is_not_finite_and_the_loss_of_the_library() -> None:
    _, _, other, _ = learned()
    _, _, _, out = learned()
    with ds.graph_config(cpu_fast=False):
        made = F.relu(out).numpy(force=True)
    np.testing.assert_allclose(made, F.relu(learned()[3]).numpy(force=True), rtol=1e-4, atol=1e-5)
    norm = learned()[0]
    other.array[0, 3, 5, 5] = np.nan
    assert np.isnan(F.relu(norm(ds.Tensor(other.array * 0)) + other).numpy(force=True)[0, 3, 5, 5])
    assert out.shape == SHAPE
    assert repr(learned()[3]).startswith("tensor(")
