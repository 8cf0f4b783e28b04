"""Layers that learn their input's size from the first input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dsviz as ds
from dsviz import nn

LAYERS: list[tuple[Any, Any, tuple[int, ...]]] = [
    (nn.LazyLinear(4), nn.Linear, (2, 7)),
    (nn.LazyConv1d(4, 3), nn.Conv1d, (2, 3, 8)),
    (nn.LazyConv2d(4, 3, groups=2, padding=1), nn.Conv2d, (2, 6, 8, 8)),
    (nn.LazyConv3d(4, 2), nn.Conv3d, (3, 4, 4, 4)),
    (nn.LazyConvTranspose1d(4, 3), nn.ConvTranspose1d, (2, 3, 8)),
    (nn.LazyConvTranspose2d(4, 3), nn.ConvTranspose2d, (2, 3, 5, 5)),
    (nn.LazyConvTranspose3d(4, 2), nn.ConvTranspose3d, (2, 3, 3, 3, 3)),
    (nn.LazyBatchNorm1d(), nn.BatchNorm1d, (4, 3)),
    (nn.LazyBatchNorm2d(eps=1e-3), nn.BatchNorm2d, (2, 3, 4, 4)),
    (nn.LazyBatchNorm3d(), nn.BatchNorm3d, (2, 3, 4, 4, 2)),
    (nn.LazyInstanceNorm1d(), nn.InstanceNorm1d, (2, 3, 5)),
    (nn.LazyInstanceNorm2d(affine=True), nn.InstanceNorm2d, (2, 3, 4, 4)),
    (nn.LazyInstanceNorm3d(), nn.InstanceNorm3d, (2, 3, 4, 4, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "kind", "shape"), LAYERS, ids=[kind.__name__ for _, kind, _ in LAYERS])
def test_a_lazy_layer_becomes_the_ordinary_one(layer: Any, kind: Any, shape: tuple[int, ...]) -> None:
    seen: list[Any] = []
    layer.register_forward_hook(lambda module, args, out: seen.append(type(module)))
    layer.eval()
    out = layer(ds.randn(*shape))
    assert type(layer) is kind
    assert not layer.training
    assert layer(ds.randn(*shape)).shape == out.shape
    assert seen == [kind, kind]
    assert (
        f"{kind.__name__}({shape[1]}" in repr(layer)
        or f"in_features={shape[1]}" in repr(layer)
        or len(shape) == 4
    )


def test_a_network_learns_its_sizes_and_trains() -> None:
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    with pytest.raises(ValueError, match="call the lazy module once"):
        ds.optim.SGD(net.parameters(), lr=0.1)
    net(ds.randn(2, 3, 6, 6))
    optimizer = ds.optim.SGD(net.parameters(), lr=0.1)
    net(ds.randn(2, 3, 6, 6)).sum().backward()
    optimizer.step()
    assert [tuple(p.shape) for p in net.parameters()] == [(4, 3, 3, 3), (4,), (4,), (4,), (2, 64), (2,)]


def test_a_state_says_the_sizes() -> None:
    def made(lazy: bool) -> Any:
        layers = (
            nn.LazyConv2d(4, 3, groups=2),
            nn.LazyConvTranspose2d(3, 2),
            nn.LazyBatchNorm2d(),
            nn.LazyLinear(2),
        )
        net = nn.Sequential(*layers)
        if not lazy:
            net(ds.randn(2, 6, 5, 5))
        return net

    whole, empty = made(False), made(True)
    empty.load_state_dict(whole.state_dict())
    x = ds.randn(2, 6, 5, 5)
    np.testing.assert_array_equal(empty(x).detach().numpy(), whole(x).detach().numpy())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: nn.LazyLinear(), "missing a required argument: 'out_features'"),
        (lambda: nn.LazyLinear(3, in_features=2), "LazyLinear finds in_features out by itself"),
        (lambda: nn.LazyConv2d(3, 2, strid=1), "unexpected keyword argument 'strid'"),
    ],
)
def test_what_cannot_be_is_said_when_it_is_made(wrong: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        wrong()
