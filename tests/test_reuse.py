"""A module that is switched off leaves no nodes; a frozen one saves nothing, and its result can be used again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import engine as ds


def decoder() -> Any:
    ds.manual_seed(0)
    return ds.Sequential(ds.Linear(4, 8), ds.Tanh(), ds.Linear(8, 2)).requires_grad_(False)


class Model(ds.Module):
    def __init__(self) -> None:
        self.decoder = decoder()
        self.head = ds.Linear(2, 1)

    def forward(self, x: Any) -> Any:
        return self.head(self.decoder(x))


def test_it_leaves_no_nodes_saves_nothing_and_takes_no_gradient() -> None:
    net, x = Model(), ds.randn(3, 4)
    expected = net(x).array
    net.decoder.trace_(False)
    with ds.trace() as graph:
        out = net(x)
        out.sum().backward()
    assert [n.label for n in graph.nodes] == ["linear", "sum", "sum'", "linear'"]
    np.testing.assert_array_equal(out.array, expected)
    assert all(p.grad is None for p in net.decoder.parameters())
    assert net.head.weight.grad is not None
    net.decoder.trace_()
    with ds.trace() as graph:
        net(x)
    assert len(graph.nodes) == 4


def test_a_gradient_still_flows_through_to_an_input_that_takes_one() -> None:
    net = Model()
    x = ds.randn(3, 4, requires_grad=True)
    net(x).sum().backward()
    assert x.grad is not None
    expected = x.grad.array.copy()
    x.grad = None
    net.decoder.trace_(False, reuse=True)
    with ds.trace() as graph:
        net(x).sum().backward()
    assert len(graph.nodes) == 4
    np.testing.assert_array_equal(x.grad.array, expected)


def counts(net: Any) -> tuple[int, int]:
    (row,) = ds.reuse_report(net)
    assert row["path"] == "decoder"
    return row["hits"], row["misses"]


def test_the_same_array_is_not_computed_again() -> None:
    net, x = Model(), ds.randn(3, 4)
    expected = net(x).array
    net.decoder.trace_(False, reuse=True)
    for _ in range(3):
        np.testing.assert_array_equal(net(x).array, expected)
    assert counts(net) == (2, 1)
    (row,) = ds.reuse_report(net)
    assert row["bytes"] == 2 * 3 * 2 * 4
    assert row["seconds"] > 0
    net(ds.tensor(x.array))  # equal, but another array
    assert counts(net) == (2, 2)


def change_input(net: Any, x: Any) -> None:
    x.mul_(2.0)


def change_weight(net: Any, x: Any) -> None:
    with ds.no_grad():
        net.decoder[0].weight.add_(1.0)


def replace_weight(net: Any, x: Any) -> None:
    net.decoder[0].weight.data = net.decoder[0].weight.data * 2


def replace_layer(net: Any, x: Any) -> None:
    net.decoder[1] = ds.ReLU()


def eval_mode(net: Any, x: Any) -> None:
    net.eval()


@pytest.mark.parametrize("change", [change_input, change_weight, replace_weight, replace_layer, eval_mode])
@pytest.mark.parametrize("reuse", [True, "content"])
def test_what_changed_is_computed_again(change: Any, reuse: Any) -> None:
    net, x = Model(), ds.randn(3, 4)
    net.decoder.trace_(False, reuse=reuse)
    net(x)
    change(net, x)
    found = net(x).array
    assert counts(net) == (0, 2)
    net.decoder.trace_(True)
    np.testing.assert_array_equal(net(x).array, found)


def test_equal_content_is_enough_when_asked_for() -> None:
    net, x = Model(), ds.randn(3, 4)
    net.decoder.trace_(False, reuse="content")
    net(x)
    net(ds.tensor(x.array))
    net(ds.tensor(x.array.astype(np.float64)))
    assert counts(net) == (1, 2)


def test_a_kept_result_that_was_written_to_is_not_handed_out() -> None:
    net, x = Model(), ds.randn(3, 4)
    net.decoder.trace_(False, reuse=True)
    first = net.decoder(x)
    expected = first.array.copy()
    first.mul_(0.0)
    np.testing.assert_array_equal(net.decoder(x).array, expected)


def test_what_is_random_or_changes_itself_is_never_reused() -> None:
    x = ds.randn(50, 4)
    drop = ds.Sequential(ds.Dropout(0.5)).trace_(False, reuse=True)
    assert not np.array_equal(drop(x).array, drop(x).array)
    norm = ds.Sequential(ds.BatchNorm1d(4)).requires_grad_(False)
    norm[0].trace_(False, reuse=True)
    norm(x)
    mean = norm[0].running_mean.array.copy()
    norm(x)
    assert not np.array_equal(norm[0].running_mean.array, mean)
    norm.eval()
    norm(x)
    norm(x)
    assert ds.reuse_report(norm)[0]["hits"] == 1


def test_a_module_that_learns_is_only_silent() -> None:
    net, x = Model(), ds.randn(3, 4)
    net.decoder.requires_grad_(True)
    net.decoder.trace_(False, reuse=True)
    for _ in range(2):
        net(x).sum().backward()
    assert net.decoder[0].weight.grad is not None
    assert counts(net) == (0, 0)


def test_reuse_takes_three_values() -> None:
    with pytest.raises(ValueError, match=r"reuse takes False, True .* or 'content', got 'yes'"):
        decoder().trace_(False, reuse="yes")
