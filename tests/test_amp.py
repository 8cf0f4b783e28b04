"""Mixed precision: which op runs in what, who stays in float32, and what becomes of an overflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import engine as ds
from engine.amp import autocast, policy
from engine.op import OPS


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    autocast.reset()
    yield
    autocast.reset()
    assert autocast.running == 0


def net(seed: int = 0) -> Any:
    ds.manual_seed(seed)
    return ds.Sequential(ds.Linear(8, 16), ds.Tanh(), ds.Linear(16, 16), ds.ReLU(), ds.Linear(16, 3))


def data() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return ds.tensor(rng.standard_normal((32, 8)).astype(np.float32)), ds.tensor(rng.integers(0, 3, 32))


def train(steps: int = 60, **keys: Any) -> list[float]:
    model = net()
    optimizer = ds.optim.SGD(model.parameters(), lr=0.3)
    x, y = data()
    losses = []
    for _ in range(steps):
        with ds.graph_config(**keys):
            loss = ds.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    assert all(p.dtype == np.float32 for p in model.parameters()), "the master weights stay float32"
    assert all(p.grad.dtype == np.float32 for p in model.parameters())
    return losses


def test_every_op_has_a_policy() -> None:
    assert {policy(op) for op in OPS.values()} == {"half", "full", "widest"}
    known = {"conv2d": "half", "matmul": "half", "sum": "full", "softmax": "full", "relu": "widest"}
    known |= {"layer_norm": "full", "cross_entropy": "full", "embedding": "widest", "max_pool2d": "widest"}
    assert {name: policy(OPS[name]) for name in known} == known


def test_products_run_in_float16_and_each_cast_is_a_node() -> None:
    model, (x, y) = net(), data()
    with ds.graph_config(amp=True), ds.trace() as graph:
        loss = ds.cross_entropy(model(x), y)
        loss.backward()
    kinds = {}
    for node in graph.nodes:
        if node.phase == 0 and node.op is not None:
            kinds.setdefault(node.op.name, set()).add(node.dtype.name)
    assert kinds["linear"] == {"float16"}
    assert kinds["tanh"] == {"float16"}
    assert kinds["cross_entropy"] == {"float32"}
    assert kinds["cast"] == {"float16", "float32"}
    assert loss.dtype == np.float32
    with ds.graph_config(amp=False), ds.trace() as graph:
        ds.cross_entropy(model(x), y)
    assert "cast" not in {node.label for node in graph.nodes}


def test_it_learns_as_float32_does() -> None:
    plain, mixed = train(amp=False), train(amp=True)
    assert plain[-1] < plain[0] * 0.6
    assert np.allclose(plain, mixed, rtol=0.03, atol=0.01)


@pytest.mark.parametrize("scaling", [1.0, 128.0, "dynamic"])
def test_gradients_do_not_show_the_scale(scaling: Any) -> None:
    x = ds.tensor([0.5, -2.0], requires_grad=True)
    seen = []
    middle = x * 3
    middle.register_hook(lambda g: seen.append(g.tolist()))
    with ds.graph_config(amp=True, loss_scaling=scaling):
        (middle * middle).sum().backward()
        (direct,) = ds.grad((x * x).sum(), x)
    assert x.grad is not None
    assert x.grad.tolist() == [9.0, -36.0]
    assert direct.tolist() == [1.0, -4.0]
    assert seen == [[3.0, -12.0]]


def test_small_gradients_survive_only_with_a_scale() -> None:
    def gradient(scaling: float) -> float:
        weight = ds.Parameter(np.full((1, 1), 1.0, np.float32))
        with ds.graph_config(amp=True, loss_scaling=scaling):
            (ds.nn.functional.linear(ds.ones(1, 1), weight).sum() * 1e-8).backward()
        assert weight.grad is not None
        return float(weight.grad.item())

    assert gradient(1.0) == 0.0
    assert gradient(1024.0) == pytest.approx(1e-8, rel=0.01)


def test_an_overflowed_step_is_skipped_and_the_dynamic_scale_falls() -> None:
    weight = ds.Parameter(np.ones((1, 1), np.float32))
    optimizer = ds.optim.SGD([weight], lr=0.1)
    skipped = []
    with ds.graph_config(amp=True, loss_scaling="dynamic"):
        for factor in (1e5, 1e-3):
            before = ds.amp_report()
            optimizer.zero_grad()
            (ds.nn.functional.linear(ds.ones(1, 1), weight).sum() * factor).backward()
            value = weight.item()
            optimizer.step()
            after = ds.amp_report()
            skipped.append((weight.item() == value, after["loss_scale"] / before["loss_scale"]))
        assert ds.amp_report()["skipped_steps"] == 1
    assert skipped == [(True, 0.5), (False, 1.0)]


def test_a_static_scale_skips_and_stays() -> None:
    weight = ds.Parameter(np.ones((1, 1), np.float32))
    optimizer = ds.optim.Adam([weight])
    with ds.graph_config(amp=True, loss_scaling=128.0):
        (ds.nn.functional.linear(ds.ones(1, 1), weight).sum() * 1e5).backward()
        optimizer.step()
        assert weight.item() == 1.0
        assert ds.amp_report()["loss_scale"] == 128.0
    assert optimizer.state == {}


def runs_in(model: Any, x: Any, **keys: Any) -> list[str]:
    """The types in which the model's layers run once they have been measured."""
    for turn in range(2):
        with ds.graph_config(amp=True, **keys), ds.trace() as graph:
            model(x).sum().backward()
        kinds = [n.dtype.name for n in graph.nodes if n.phase == 0 and n.label == "linear"]
        if turn == 0 and keys["keep_fp32"] > 0:
            assert set(kinds) == {"float32"}, "they are measured in float32"
    return kinds


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.2, 1), (0.34, 2), (0.67, 3), (1.0, 3)])
def test_the_share_of_the_layers_is_kept(share: float, count: int) -> None:
    kinds = runs_in(net(), data()[0], keep_fp32=share)
    assert kinds.count("float32") == count


def test_the_most_sensitive_layer_is_kept() -> None:
    model, (x, _) = net(), data()
    # The first layer saturates, and the second adds up large values that nearly cancel: float16 loses the rest.
    model[0].bias.data = ds.full((16,), 100.0)
    model[2].weight.data = ds.tensor(np.tile([1000.0, -1000.37], (16, 8)).astype(np.float32))
    assert runs_in(model, x, keep_fp32=0.3) == ["float16", "float32", "float16"]
    with ds.graph_config(amp=True, keep_fp32=0.3):
        layers = ds.amp_report()["layers"]
    assert [layer["dtype"] for layer in layers] == ["float16", "float32", "float16"]
    assert layers[1]["sensitivity"] == max(layer["sensitivity"] for layer in layers)


def test_half_the_bytes_are_saved_for_the_gradient() -> None:
    def saved(**keys: Any) -> int:
        model = ds.Sequential(ds.Linear(64, 256), ds.ReLU(), ds.Linear(256, 64), ds.ReLU(), ds.Linear(64, 8))
        with ds.graph_config(**keys), ds.trace() as graph:
            model(ds.randn(512, 64))
        return sum(n.nbytes for n in graph.nodes if n.label in ("linear", "relu"))

    assert saved(amp=True) == saved(amp=False) // 2
