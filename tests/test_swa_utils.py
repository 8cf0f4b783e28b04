"""Averages of weights, beside PyTorch's `optim.swa_utils`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dsviz as ds


def train(lib: Any) -> list[Any]:
    tools = lib.optim.swa_utils
    net = lib.nn.Sequential(lib.nn.Linear(2, 3).double(), lib.nn.BatchNorm1d(3).double())
    for k, p in enumerate(net.parameters()):
        p.data.fill_(0.5 * (k + 1))
    optimizer = lib.optim.SGD(net.parameters(), lr=0.1)
    mean = tools.AveragedModel(net)
    moving = tools.AveragedModel(net, multi_avg_fn=tools.get_ema_multi_avg_fn(0.9), use_buffers=True)
    own = tools.AveragedModel(net, avg_fn=lambda averaged, new, count: averaged * 0.5 + new * 0.5)
    schedule = tools.SWALR(optimizer, 0.05, anneal_epochs=4)
    x = lib.tensor(np.arange(12.0).reshape(6, 2))
    rates = []
    for i in range(6):
        optimizer.zero_grad()
        net(x + i).pow(3).mean().backward()
        optimizer.step()
        for average in (mean, moving, own):
            average.update_parameters(net)
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    tools.update_bn([x, (x + 1, None)], mean)
    assert mean.training
    found: list[Any] = [rates]
    for average in (mean, moving, own):
        found += [v.detach().numpy() for v in average.state_dict().values()]
    return found


def test_averages_are_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
    for mine, other in zip(train(ds), train(torch), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda u, net: u.AveragedModel(net, avg_fn=max, multi_avg_fn=max), "not both"),
        (lambda u, net: u.get_ema_avg_fn(1.5), "decay has to be from 0 to 1, got 1.5"),
        (
            lambda u, net: u.SWALR(ds.optim.SGD(net.parameters()), 0.1, anneal_strategy="no"),
            "anneal_strategy is",
        ),
        (
            lambda u, net: u.SWALR(ds.optim.SGD(net.parameters()), [0.1, 0.2]),
            "swa_lr has 2 values for 1 groups",
        ),
    ],
)
def test_what_cannot_be_is_said(wrong: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        wrong(ds.optim.swa_utils, ds.nn.Linear(1, 1))
