"""Images read at places a network chooses: beside PyTorch in sizes that take more than a cacheful, and again differentiated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dsviz as ds
from engine.testing import gradgradcheck

torch = pytest.importorskip("torch")
F = ds.nn.functional
rng = np.random.default_rng(8)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("channels", [1, 9])
def test_beside_pytorch(channels: int, padding: str, mode: str) -> None:
    raws = [
        rng.standard_normal((3, channels, 7, 11)).astype(np.float32),
        rng.uniform(-1.6, 1.6, (3, 80, 60, 2)),
    ]
    raws[1] = raws[1].astype(np.float32)
    seed = rng.standard_normal((3, channels, 80, 60)).astype(np.float32)
    found = []
    for lib, call in ((ds, F.grid_sample), (torch, torch.nn.functional.grid_sample)):
        inputs = [lib.tensor(r, requires_grad=True) for r in raws]
        made = call(*inputs, mode=mode, padding_mode=padding, align_corners=False)
        made.backward(lib.tensor(seed))
        found.append([made.detach().numpy(), *(t.grad.numpy() for t in inputs if t.grad is not None)])
    assert len(found[0]) >= 2
    for ours, theirs in zip(*found, strict=False):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("alone", ["input", "grid"])
def test_what_takes_no_gradient_stays_out(alone: str) -> None:
    image, grid = rng.standard_normal((1, 2, 4, 5)), rng.uniform(-0.9, 0.9, (1, 3, 3, 2))
    a = ds.tensor(image, requires_grad=alone == "input")
    b = ds.tensor(grid, requires_grad=alone == "grid")
    F.grid_sample(a, b).sum().backward()
    both = [ds.tensor(r, requires_grad=True) for r in (image, grid)]
    F.grid_sample(both[0], both[1]).sum().backward()
    for one, other in ((a, both[0]), (b, both[1])):
        if one.requires_grad:
            assert one.grad is not None
            assert other.grad is not None
            np.testing.assert_allclose(one.grad.numpy(), other.grad.numpy())


def test_a_place_that_is_nowhere_gives_nan() -> None:
    made: Any = F.grid_sample(ds.ones(1, 1, 3, 3), ds.tensor([[[[np.nan, 0.0], [0.0, 0.0], [9.0, 0.0]]]]))
    np.testing.assert_array_equal(made.numpy()[0, 0, 0], [np.nan, 1.0, 0.0])


def test_gradients_of_gradients() -> None:
    image, grid = rng.standard_normal((2, 3, 4, 5)), rng.uniform(-1.1, 1.1, (2, 3, 3, 2))
    for mode in ("bilinear", "nearest"):
        assert gradgradcheck(lambda x, g, mode=mode: F.grid_sample(x, g, mode) ** 2, [image, grid])
