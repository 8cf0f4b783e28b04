"""PyTorch's words for mixed precision: `autocast` and `GradScaler`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import engine as ds
from engine import nn, optim


def test_autocast_computes_in_float16_where_it_is_safe_and_nowhere_else() -> None:
    layer, x = nn.Linear(4, 3), ds.randn(2, 4)

    @ds.autocast("cpu", dtype=ds.float16)
    def inside() -> Any:
        assert ds.is_autocast_enabled()
        return layer(x)

    assert inside().dtype == ds.float16
    with ds.amp.autocast("cuda"):
        assert layer(x).dtype == ds.float16
        with ds.autocast("cuda", enabled=False):
            assert layer(x).dtype == ds.float32
        assert ds.softmax(layer(x), -1).dtype == ds.float32
    assert layer(x).dtype == ds.float32
    assert not ds.is_autocast_enabled()


def test_the_gradients_of_a_scaled_loss_are_unscaled_clipped_and_applied() -> None:
    def train(scaled: bool) -> Any:
        ds.manual_seed(1)
        net = nn.Linear(3, 2)
        sgd, scaler = optim.SGD(net.parameters(), lr=0.1), ds.amp.GradScaler(init_scale=256.0, enabled=scaled)
        for _ in range(3):
            sgd.zero_grad()
            loss = net(ds.ones(4, 3)).square().mean()
            scaler.scale(loss).backward()
            scaler.unscale_(sgd)
            nn.utils.clip_grad_norm_(net.parameters(), 0.5)
            scaler.step(sgd)
            scaler.update()
        return net.weight.array

    np.testing.assert_allclose(train(True), train(False), rtol=1e-6)


def test_an_overflow_skips_the_step_and_halves_the_scale_which_grows_again() -> None:
    p = nn.Parameter(ds.ones(2))
    sgd = optim.SGD([p], lr=0.5)
    scaler = ds.amp.GradScaler("cpu", init_scale=4.0, growth_interval=2)
    scales = []
    for bad in (True, False, False, False):
        sgd.zero_grad()
        scaler.scale((p * (float("inf") if bad else 0.0)).sum()).backward()
        scaler.step(sgd)
        scaler.update()
        scales.append(scaler.get_scale())
    assert scales == [2.0, 2.0, 4.0, 4.0]
    assert p.tolist() == [1.0, 1.0]
    other = ds.amp.GradScaler()
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict()


def twice(name: str) -> None:
    p = nn.Parameter(ds.ones(1))
    sgd, scaler = optim.SGD([p], lr=0.1), ds.amp.GradScaler()
    scaler.scale(p.sum()).backward()
    for _ in range(2):
        getattr(scaler, name)(sgd)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ds.autocast("cpu", dtype=ds.float64), "float16 or float32, got float64"),
        (lambda: ds.amp.GradScaler(init_scale=0), "init_scale"),
        (lambda: ds.amp.GradScaler(growth_factor=1), "growth_factor"),
        (lambda: ds.amp.GradScaler(backoff_factor=2), "backoff_factor"),
        (lambda: ds.amp.GradScaler().update(), "needs a step"),
        (lambda: ds.amp.GradScaler().load_state_dict({}), "empty"),
        (lambda: twice("unscale_"), "already"),
        (lambda: twice("step"), "already"),
    ],
)
def test_bad_use_is_told(call: Any, message: str) -> None:
    with pytest.raises((ValueError, RuntimeError), match=message):
        call()
