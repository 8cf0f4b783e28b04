"""A network changed while it trains: it takes effect at the next call, and the optimizer follows."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import engine as ds


class Block(ds.Module):
    def __init__(self, size: int = 8) -> None:
        self.attn = ds.MultiheadAttention(size, 2, batch_first=True)
        self.one = ds.Linear(size, size)
        self.act = ds.ReLU()

    def forward(self, x: Any) -> Any:
        x = x + self.attn(x, x, x)[0]
        return self.act(self.one(x))


def step(net: Any, optimizer: Any, x: Any) -> float:
    loss = (net(x) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.item())


def test_heads_change_at_the_next_call() -> None:
    ds.manual_seed(0)
    attn = ds.MultiheadAttention(8, 2, batch_first=True)
    x = ds.randn(3, 5, 8)
    attn.num_heads = 4
    other = ds.MultiheadAttention(8, 4, batch_first=True)
    other.load_state_dict(attn.state_dict())
    np.testing.assert_array_equal(attn(x, x, x)[0].array, other(x, x, x)[0].array)
    assert attn.head_dim == 2


@pytest.mark.parametrize("heads", [3, 0, -2, 2.0, "4", True, None])
def test_heads_that_cannot_be_are_refused_before_anything_changes(heads: Any) -> None:
    attn = ds.MultiheadAttention(8, 2)
    with pytest.raises(ValueError, match="does not divide embed_dim=8; it can be 1, 2, 4, 8"):
        attn.num_heads = heads
    assert attn.num_heads == 2


@pytest.mark.parametrize(
    "make", [ds.optim.SGD, ds.optim.Adam, ds.optim.AdamW, ds.optim.RMSprop, ds.optim.Adagrad]
)
def test_the_optimizer_follows_every_change(make: Any) -> None:
    ds.manual_seed(0)
    net, x = Block(), ds.randn(2, 5, 8)
    options = {"momentum": 0.9} if make is ds.optim.SGD else {}
    optimizer = make(net.parameters(), lr=1e-2, **options)
    step(net, optimizer, x)
    kept = net.attn.in_proj_weight
    before = optimizer.state[kept]
    gone = net.one.weight

    net.one = ds.Linear(8, 6)  # replaced
    net.two = ds.Linear(6, 8)  # added
    net.act = ds.Sequential(ds.Tanh(), net.two)
    fresh = net.one.weight.array.copy()
    step(net, optimizer, x)
    assert optimizer.state[kept] is before
    assert gone not in optimizer.state
    assert not np.array_equal(net.one.weight.array, fresh), "the new parameter is trained"
    assert len(optimizer.param_groups[0]["params"]) == len(list(net.parameters()))

    net.act = ds.Sequential(ds.Linear(6, 8))
    del net.two
    step(net, optimizer, x)
    assert set(optimizer.state) == set(net.parameters())


def test_a_width_grows_and_the_state_of_the_rest_stays() -> None:
    ds.manual_seed(0)
    net = ds.Sequential(ds.Linear(3, 4), ds.ReLU(), ds.Linear(4, 2))
    optimizer = ds.optim.Adam(net.parameters())
    x = ds.randn(5, 3)
    step(net, optimizer, x)
    weight = net[0].weight
    old, moment = weight.array.copy(), optimizer.state[weight]["exp_avg"].copy()
    net[0].out_features = 6
    net[2].in_features = 6
    assert net[0].weight is weight
    assert (weight.shape, net[0].bias.shape, net[2].weight.shape) == ((6, 3), (6,), (2, 6))
    np.testing.assert_array_equal(weight.array[:4], old)
    assert weight.grad is None
    loss = (net(x) ** 2).mean()
    loss.backward()
    optimizer.zero_grad()  # the optimizer takes up the change here or at its step
    np.testing.assert_array_equal(optimizer.state[weight]["exp_avg"][:4], moment)
    np.testing.assert_array_equal(optimizer.state[weight]["exp_avg"][4:], 0)
    step(net, optimizer, x)
    net[0].out_features = 2
    net[2].in_features = 2
    step(net, optimizer, x)
    assert optimizer.state[weight]["exp_avg"].shape == (2, 3)


def test_a_change_that_preserves_the_function_makes_no_jump() -> None:
    ds.manual_seed(1)
    net = ds.Sequential(ds.Linear(3, 4), ds.Tanh(), ds.Linear(4, 2))
    optimizer = ds.optim.SGD(net.parameters(), lr=0.1)
    x = ds.randn(20, 3)
    losses = [step(net, optimizer, x) for _ in range(5)]
    before = net(x).array
    net[0].out_features = 8
    net[2].in_features = 8
    net[2].weight.array[:, 4:] = 0  # the new units are not listened to yet
    np.testing.assert_allclose(net(x).array, before, rtol=1e-6)
    losses += [step(net, optimizer, x) for _ in range(5)]
    assert all(later <= earlier for earlier, later in itertools.pairwise(losses))


@pytest.mark.parametrize("size", [0, -1, 2.5, "7", None, True])
@pytest.mark.parametrize("name", ["in_features", "out_features"])
def test_a_width_that_cannot_be_is_refused(name: str, size: Any) -> None:
    layer = ds.Linear(3, 4)
    before = layer.weight.array.copy()
    with pytest.raises(ValueError, match=rf"Linear.{name} takes a whole number, .*; nothing was changed"):
        setattr(layer, name, size)
    np.testing.assert_array_equal(layer.weight.array, before)
    assert (layer.in_features, layer.out_features) == (3, 4)


def test_a_change_inside_the_iteration_counts_at_once() -> None:
    net = ds.Sequential(ds.Linear(3, 4), ds.Linear(4, 2))
    optimizer = ds.optim.SGD(net.parameters(), lr=0.1)
    hidden = net[0](ds.randn(5, 3))
    net[1] = ds.Linear(4, 7)
    loss = net[1](hidden).sum()
    assert loss.item() == pytest.approx(float(net[1](hidden).array.sum()), rel=1e-5)
    loss.backward()
    start = net[1].weight.array.copy()
    optimizer.step()
    assert not np.array_equal(net[1].weight.array, start)


def test_a_list_of_parameters_is_left_alone() -> None:
    net = ds.Sequential(ds.Linear(3, 4), ds.Linear(4, 2))
    optimizer = ds.optim.SGD(
        [{"params": [net[0].weight]}, {"params": net[1].parameters(), "lr": 0.2}], lr=0.1
    )
    net[1] = ds.Linear(4, 2)
    net(ds.randn(2, 3)).sum().backward()
    optimizer.step()
    sizes = [len(group["params"]) for group in optimizer.param_groups]
    assert sizes == [1, 2]


def test_parameters_is_still_an_iterator() -> None:
    net = ds.Linear(2, 3)
    parameters = net.parameters()
    assert next(parameters) is net.weight
    assert list(parameters) == [net.bias]
    with pytest.raises(ValueError, match="at least one parameter"):
        ds.optim.SGD(ds.ReLU().parameters(), lr=0.1)


def test_channels_features_and_rows_change_with_the_state_of_what_stays() -> None:
    ds.manual_seed(0)
    net = ds.Sequential(
        ds.Conv2d(3, 4, 3, padding=1), ds.BatchNorm2d(4), ds.ReLU(), ds.Conv2d(4, 2, 1, groups=2)
    )
    words = ds.Embedding(5, 3)
    optimizer = ds.optim.Adam([*net.parameters(), *words.parameters()], lr=0.01)
    x = ds.randn(2, 3, 5, 5)

    def step(last: int) -> Any:
        out = net(x)
        (out.sum() + words(ds.tensor([0, last])).sum()).backward()
        optimizer.step()
        optimizer.zero_grad()
        return out

    step(4)
    before, seen, row = (
        net[0].weight.numpy(force=True).copy(),
        net[1].running_var.numpy().copy(),
        words.weight.numpy(force=True)[4].copy(),
    )
    net[0].out_channels = 6
    net[1].num_features = 6
    net[3].in_channels = 6
    words.num_embeddings = 9
    assert net[0].weight.shape == (6, 3, 3, 3)
    np.testing.assert_array_equal(net[0].weight.numpy(force=True)[:4], before)
    np.testing.assert_array_equal(net[1].running_var.numpy()[:4], seen)
    np.testing.assert_array_equal(words.weight.numpy(force=True)[4], row)
    assert step(8).shape == (2, 2, 5, 5)
    net[0].out_channels = net[1].num_features = net[3].in_channels = 2
    assert step(8).shape == (2, 2, 5, 5)
    shapes = {tuple(state["exp_avg"].shape) for state in optimizer.state.values()}
    assert shapes == {tuple(p.shape) for p in (*net.parameters(), *words.parameters())}


@pytest.mark.parametrize(
    ("make", "name", "size", "says"),
    [
        (lambda: ds.Conv2d(4, 8, 3, groups=2), "out_channels", 9, "groups=2 has to divide 4 in and 9 out channels"),
        (lambda: ds.Conv1d(4, 8, 3), "in_channels", "8", r"Conv1d\.in_channels takes a whole number, 1 or more, got '8'; nothing was changed"),
        (lambda: ds.BatchNorm1d(4), "num_features", 0, r"BatchNorm1d\.num_features takes a whole number"),
        (lambda: ds.Embedding(5, 3, padding_idx=4), "num_embeddings", 3, "padding_idx 4 has to be one of the 3 rows"),
        (lambda: ds.LSTM(3, 4), "hidden_size", 6, r"LSTM\.hidden_size cannot be changed in place, from 4 to 6; assign a new LSTM"),
    ],
)  # fmt: skip
def test_a_size_that_cannot_be_is_refused_for_every_layer(make: Any, name: str, size: Any, says: str) -> None:
    layer = make()
    before = [p.shape for p in layer.parameters()], getattr(layer, name)
    with pytest.raises(ValueError, match=says):
        setattr(layer, name, size)
    assert ([p.shape for p in layer.parameters()], getattr(layer, name)) == before
