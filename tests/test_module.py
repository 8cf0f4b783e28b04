"""Modules: registration, state, modes, and what they say when something does not fit."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import engine as ds
from engine import nn


class Net(ds.Module):
    """Made without super().__init__()."""

    def __init__(self) -> None:
        self.first = nn.Linear(4, 3)
        self.scale = nn.Parameter(ds.ones(3))
        self.register_buffer("seen", ds.zeros(3))
        self.register_buffer("scratch", ds.zeros(1), persistent=False)
        self.hidden = [nn.Linear(3, 3)]  # a plain list: not registered, as in PyTorch
        self.last = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 2))

    def forward(self, x: Any) -> Any:
        return self.last(ds.relu(self.first(x)) * self.scale)


def test_what_is_registered() -> None:
    net = Net()
    assert [n for n, _ in net.named_parameters()] == [
        "scale", "first.weight", "first.bias", "last.1.weight", "last.1.bias",
    ]  # fmt: skip
    assert [n for n, _ in net.named_buffers()] == ["seen", "scratch"]
    assert [n for n, _ in net.named_children()] == ["first", "last"]
    assert net.get_submodule("last.1") is net.last[1]
    assert "scratch" not in net.state_dict()
    with pytest.raises(AttributeError, match="has no attribute 'missing'"):
        _ = net.missing
    with pytest.raises(AttributeError, match="no submodule 'nine'"):
        net.get_submodule("last.nine")
    with pytest.raises(TypeError, match="first is a submodule"):
        net.first = 3
    with pytest.raises(TypeError, match="scale is a parameter"):
        net.scale = ds.ones(3)


def test_super_init_is_allowed_too() -> None:
    class With(ds.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2)

    assert len(list(With().parameters())) == 2


def test_shared_parameters_count_once() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    assert len(list(net.parameters())) == 3


def test_state_goes_out_and_in() -> None:
    a, b = Net(), Net()
    b.load_state_dict(a.state_dict())
    for (name, p), q in zip(a.named_parameters(), b.parameters(), strict=True):
        assert np.array_equal(p.array, q.array), name
    with ds.no_grad():
        a.scale.add_(1)
    assert b.scale.tolist() == [1.0] * 3


def test_state_that_does_not_fit_is_listed_and_nothing_changes() -> None:
    net = Net()
    before = net.scale.tolist()
    state = net.state_dict()
    state["scale"] = ds.ones(3) * 5
    state["extra"] = ds.ones(1)
    del state["first.bias"]
    with pytest.raises(KeyError, match=r"(?s)missing: first\.bias.*unexpected: extra"):
        net.load_state_dict(state)
    result = net.load_state_dict(dict(net.state_dict(), extra=ds.ones(1)), strict=False)
    assert result.unexpected_keys == ["extra"]
    wrong = dict(net.state_dict(), scale=ds.ones(2))
    with pytest.raises(ValueError, match=r"scale: expected \[3\], got \[2\]"):
        net.load_state_dict(wrong)
    assert net.scale.tolist() == before


def test_train_and_eval_reach_everything() -> None:
    net = Net()
    x = ds.ones(2, 4)
    net.eval()
    assert not net.last[0].training
    assert np.array_equal(net(x).array, net(x).array)
    assert net.train() is net
    assert net.last[0].training


def test_apply_to_and_casts() -> None:
    net = Net()
    seen: list[str] = []
    net.apply(lambda m: seen.append(type(m).__name__))
    assert seen[-1] == "Net"
    assert net.double().first.weight.dtype == ds.float64
    assert net.seen.dtype == ds.float64
    assert net.half().scale.dtype == ds.float16
    assert isinstance(net.scale, nn.Parameter)


def test_zero_grad_and_frozen_parameters() -> None:
    net = Net()
    net.first.requires_grad_(False)
    net(ds.ones(2, 4)).sum().backward()
    assert net.first.weight.grad is None
    assert net.scale.grad is not None
    net.zero_grad()
    assert net.scale.grad is None


def test_copies_are_independent() -> None:
    net = Net()
    twin = copy.deepcopy(net)
    with ds.no_grad():
        net.scale.add_(1)
    assert twin.scale.tolist() == [1.0] * 3
    assert [n for n, _ in twin.named_parameters()] == [n for n, _ in net.named_parameters()]


def test_containers() -> None:
    layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    layers.append(nn.ReLU())
    assert len(layers) == 4
    assert len(layers[1:3]) == 2
    assert [n for n, _ in layers.named_children()] == ["0", "1", "2", "3"]
    table = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.ReLU()})
    assert list(table.keys()) == ["a", "b"]
    assert "a.weight" in dict(table.named_parameters())


def test_a_module_without_forward_says_so() -> None:
    class Empty(ds.Module):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no forward"):
        Empty()(1)


def test_a_mismatch_names_the_layer_and_both_sides() -> None:
    net = Net()
    with pytest.raises(ds.ShapeMismatchError) as caught:
        net(ds.ones(2, 5))
    error = caught.value
    text = str(error)
    assert text.startswith("Expected [batch, 4], got [2, 5]")
    assert "linear in net.first: first expects rows of 4, but x has rows of 5." in text
    assert error.module == "net.first"
    assert error.clash == [(0, 1), (1, 1)]
    assert (error.expected, error.got) == (("batch", 4), (2, 5))
    assert error.origins[0][-1].line > 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "groups=2 has to divide 3 in"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), "padding_mode is one of"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), "kernel_size has to be an int or 2 ints"),
        (lambda: nn.GroupNorm(3, 4), "does not divide"),
        (lambda: nn.MultiheadAttention(5, 2), "num_heads=2 does not divide embed_dim=5"),
        (lambda: nn.RNN(3, 4, nonlinearity="sin"), "nonlinearity is"),
        (lambda: nn.LSTM(3, 4, num_layers=0), "num_layers has to be at least 1"),
        (lambda: nn.BatchNorm2d(3)(ds.randn(2, 3)), "BatchNorm2d needs 4 dimensions"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, stride=2)(ds.randn(1, 3, 4, 4), (12, 12)), "can become 9 to 10, not 12"),
        (lambda: nn.Dropout(2.0), "p is a probability"),
        (lambda: nn.TransformerEncoderLayer(4, 2, activation="sin"), "activation is"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match="(?s)" + words.replace("(", r"\(")):
        make()


def test_dropout_of_channels_drops_whole_ones() -> None:
    ds.manual_seed(0)
    out = nn.Dropout2d(0.5)(ds.ones(8, 6, 3, 3)).array
    per_channel = out.reshape(48, 9)
    assert (per_channel == per_channel[:, :1]).all()
    assert set(np.unique(out)) == {0.0, 2.0}
    still = nn.Dropout2d(0.5).eval()
    assert still(ds.ones(1, 2, 1, 1)).array.sum() == 2
