"""A normalisation and its relu computed together: two ops to the program, the same bits, whoever looks whenever."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from foreseeing import apart, equal

import dsviz as ds
from dsviz import nn
from engine import foreseen, pending
from engine.dnn import library

F = nn.functional
pytestmark = pytest.mark.skipif(
    library._opened() is None, reason='needs oneDNN: pip install "dsviz[cpu-fast]"'
)
SHAPE = (4, 32, 32, 32)


@pytest.fixture(autouse=True)
def _alone() -> None:
    """Nothing of another test waits to be looked at."""
    gc.collect()
    pending.settle()


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


class Block(nn.Module):
    def __init__(self, channels: int = 32) -> None:
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.last = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Any) -> Any:
        out = self.norm(self.conv(x))
        out = F.relu(out)
        return self.last(out)


def trained(forward: Callable[[Any, Any], Any] = lambda net, x: net(x), turns: int = 3) -> list[Any]:
    """Losses, parameters, running statistics and the input's gradient after some steps."""
    ds.manual_seed(0)
    net = Block()
    optimizer = ds.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    found = []
    for turn in range(turns):
        x = ds.Tensor(normal(*SHAPE, seed=turn), requires_grad=True)
        loss = (forward(net, x) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found += [loss.numpy(force=True), x.grad.numpy()]
    return [*found, *(p.numpy(force=True) for p in net.parameters()), *(b.numpy() for b in net.buffers())]


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The results that were computed together."""
    made: list[Any] = []
    compute = foreseen.batch_norm

    def seen(*args: Any) -> Any:
        result = compute(*args)
        if result is not None:
            made.append(type(result))
        return result

    monkeypatch.setattr(foreseen, "batch_norm", seen)
    return made


def in_place(net: Block, x: Any) -> Any:
    out = net.norm(net.conv(x))
    return net.last(out.relu_())


def twice(net: Block, x: Any) -> Any:
    out = net.norm(net.conv(x))
    return net.last(F.relu(out) + out * 0.5 + F.relu(out))


def looked_at(net: Block, x: Any) -> Any:
    out = net.norm(net.conv(x))
    float(out.array.mean())
    return net.last(F.relu(out))


def hooked(net: Block, x: Any) -> Any:
    out = net.norm(net.conv(x))
    out.register_hook(lambda g: g * 2)
    return net.last(F.relu(out))


def no_relu(net: Block, x: Any) -> Any:
    return net.last(net.norm(net.conv(x)))


def by_module(net: Block, x: Any) -> Any:
    return nn.Sequential(net.conv, net.norm, nn.ReLU(inplace=True), net.last)(x)


def changing(net: Block, x: Any) -> Any:
    return net(x) if int(net.norm.num_batches_tracked.item()) % 2 == 0 else no_relu(net, x)


def shared(net: Block, x: Any) -> Any:
    return net.last(F.relu(net.norm(F.relu(net.norm(net.conv(x))))))


WAYS = [in_place, twice, looked_at, hooked, no_relu, by_module, changing, shared]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_bits_are_those_of_one_after_the_other(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    equal(trained(way), apart(monkeypatch, lambda: trained(way)))


def test_it_is_learned_in_the_first_step(together: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    found = trained(turns=4)
    assert together == [foreseen.Foreseen] * 3
    equal(found, apart(monkeypatch, lambda: trained(turns=4)))


def test_written_over_the_normalisation(together: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """`inplace=True` is the usual way to write it."""
    found = trained(by_module, turns=4)
    assert together == [foreseen.Foreseen] * 3
    equal(found, apart(monkeypatch, lambda: trained(by_module, turns=4)))


def test_who_looks_ends_it(together: list[Any]) -> None:
    def often(net: Block, x: Any) -> Any:
        out = net.norm(net.conv(x))
        assert out.shape == SHAPE
        assert out.dtype == np.float32
        result = net.last(F.relu(out))
        assert out.numpy(force=True).min() < 0
        assert type(out) is ds.Tensor
        return result

    trained(often, turns=4)
    assert len(together) == 1


def test_a_watched_program_runs_op_by_op(together: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[str] = []
    alone = trained()
    together.clear()
    with ds.bus.subscribe(lambda kind, node: labels.append(node.label), "op_finish"):
        watched = trained()
    assert not together
    equal(watched, alone)
    assert labels.count("relu") == labels.count("relu'") == labels.count("batch_norm'") == 3


def learned() -> tuple[Any, Any, Any]:
    """A normalisation whose relu is foreseen, its input, and what it makes of it."""
    norm = nn.BatchNorm2d(SHAPE[1])
    norm.weight.node.foreseen = "relu"
    last = np.ascontiguousarray(normal(SHAPE[0], *SHAPE[2:], SHAPE[1]))
    x = ds.Tensor(last.transpose(0, 3, 1, 2), requires_grad=True)
    return norm, x, norm(x)


def test_writing_to_what_it_is_made_of_does_not_change_it() -> None:
    norm, x, out = learned()
    assert type(out) is foreseen.Foreseen
    expected = F.batch_norm(x.detach(), None, None, norm.weight, norm.bias, True).numpy(force=True)
    assert type(out) is ds.Tensor  # settled, as somebody took hold of its input
    norm, x, out = learned()
    with ds.no_grad():
        norm.weight.fill_(5)
        x.mul_(0)
    assert np.array_equal(out.numpy(force=True), expected)


def test_copies_and_the_loss_of_the_library() -> None:
    _, _, out = learned()
    same = copy.copy(out)
    _, _, other = learned()
    with ds.graph_config(cpu_fast=False):
        np.testing.assert_allclose(other.numpy(force=True), same.numpy(force=True), rtol=1e-4, atol=1e-5)
    assert repr(learned()[2]).startswith("tensor(")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_so(bad: float) -> None:
    norm, x, _ = learned()
    x.array[0, 3, 5, 5] = bad
    made = F.relu(norm(x)).numpy(force=True)
    assert np.isnan(made[:, 3]).all()
    assert np.isfinite(np.delete(made, 3, axis=1)).all()


def test_gradients_of_gradients_and_of_the_value_between(monkeypatch: pytest.MonkeyPatch) -> None:
    def second() -> list[Any]:
        norm, x, out = learned()
        y = F.relu(out)
        (between,) = ds.grad((y * y).sum(), out, retain_graph=True)
        (g,) = ds.grad((y**3).sum(), x, create_graph=True)
        (g * g).sum().backward()
        return [a.numpy(force=True) for a in (between, g, x.grad, norm.weight.grad)]

    for a, b in zip(second(), apart(monkeypatch, second), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6 * np.abs(b).max())


def test_a_graph_kept_gives_its_gradient_again() -> None:
    _, x, out = learned()
    loss = (F.relu(out) ** 2).sum()
    loss.backward(retain_graph=True)
    once = x.grad.numpy().copy()
    loss.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * once, rtol=1e-6)


def test_anomalies_and_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    def kept(net: Block, x: Any) -> Any:
        return ds.utils.checkpoint.checkpoint(net, x)

    equal(trained(kept), apart(monkeypatch, lambda: trained(kept)))
    with ds.autograd.detect_anomaly():
        found = trained()
    equal(found, trained())


def test_wrong_arguments_are_explained() -> None:
    norm, _, _ = learned()
    last = np.ascontiguousarray(normal(4, 32, 32, 16)).transpose(0, 3, 1, 2)
    with pytest.raises(ds.ShapeMismatchError, match="has 16 channels, but running_mean has 32 numbers"):
        norm(ds.Tensor(last))


def chained() -> tuple[Any, Any, Any, Any]:
    """A normalisation whose relu is foreseen, its input, what the relu makes, and the convolution of that."""
    _, x, out = learned()
    h = F.relu(out)
    weight = ds.Tensor(normal(8, SHAPE[1], 3, 3), requires_grad=True)
    return x, h, weight, F.conv2d(h, weight, None, 1, 1)


def test_what_is_cheap_to_compute_again_is_not_kept() -> None:
    def gradients(kept: bool) -> list[Any]:
        with ds.graph_config(memory_optimization=not kept):
            x, h, weight, y = chained()
            where = weakref.ref(h.array)
            del h
            assert (where() is not None) is kept
            (y * y).sum().backward()
            return [y.numpy(force=True), x.grad.numpy(), weight.grad.numpy()]

    equal(gradients(False), gradients(True))


def test_a_write_to_what_a_gradient_needs_is_an_error_as_ever() -> None:
    _, h, _, y = chained()
    with ds.no_grad():
        h.mul_(2)
    with pytest.raises(RuntimeError, match=r"conv2d .* needs `input` .* mul_ .* wrote to it since"):
        y.sum().backward()


def test_second_gradients_of_what_was_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def second() -> list[Any]:
        x, h, weight, y = chained()
        del h
        (g,) = ds.grad((y * y).sum(), x, create_graph=True)
        (g * g).sum().backward()
        return [g.numpy(force=True), weight.grad.numpy()]

    for a, b in zip(second(), apart(monkeypatch, second), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())
