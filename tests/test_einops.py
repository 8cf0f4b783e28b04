"""einops on our tensors gives what it gives on PyTorch's: functions, layers, gradients, the line in the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine as ds

einops = pytest.importorskip("einops", reason="einops is not installed (extra: test)")
torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")

from dsviz import einops as ours  # noqa: E402

CALLS: dict[str, Callable[[Any], Any]] = {
    "patches": lambda x: einops.rearrange(x, "b c (h p) (w q) -> b (h w) (p q c)", p=2, q=2),
    "repeat": lambda x: einops.repeat(x, "b c h w -> b c (h a) (w b2)", a=2, b2=3),
    "new": lambda x: einops.repeat(x, "b c h w -> b n c h w", n=2),
    "mean": lambda x: einops.reduce(x, "b c h w -> b c", "mean"),
    "max": lambda x: einops.reduce(x, "b c (h p) w -> b c h w", "max", p=2),
    "prod": lambda x: einops.reduce(x, "b c h w -> b", "prod"),
    "einsum": lambda x: einops.einsum(x, x, "b c h w, b d h w -> b c d"),
    "pack": lambda x: einops.pack([x, x[:, 0]], "b *")[0],
    "parts": lambda x: einops.unpack(x.reshape(2, -1), [(3, 4), (36,)], "b *")[0],
    "list": lambda x: einops.rearrange([x, x * 2], "n b c h w -> b (n c) h w"),
}


@pytest.mark.parametrize("name", CALLS)
def test_functions_and_their_gradients_agree_with_pytorch(name: str) -> None:
    array = np.random.default_rng(0).standard_normal((2, 3, 4, 4))
    mine, theirs = ds.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    made, expected = CALLS[name](mine), CALLS[name](theirs)
    np.testing.assert_allclose(made.detach().numpy(), expected.detach().numpy())
    (made * made).sum().backward()
    (expected * expected).sum().backward()
    assert mine.grad is not None
    np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy())


def test_layers_are_modules_with_parameters() -> None:
    net = ds.nn.Sequential(
        ours.Rearrange("b c h w -> b (h w) c"),
        ours.EinMix("b n c -> b n d", weight_shape="c d", bias_shape="d", c=3, d=5),
        ours.Reduce("b n d -> b d", "mean"),
    )
    assert net(ds.zeros(2, 3, 4, 4)).shape == (2, 5)
    assert [tuple(p.shape) for p in net.parameters()] == [(3, 5), (1, 1, 5)]
    assert "Rearrange('b c h w -> b (h w) c')" in repr(net)


def test_the_graph_names_the_programs_line() -> None:
    with ds.trace() as graph:
        einops.rearrange(ds.ones(2, 6), "b (h d) -> h b d", h=3)
    assert graph.nodes
    assert {node.filename for node in graph.nodes if node.op} == {__file__}


def test_a_wrong_pattern_is_einops_own_error() -> None:
    with pytest.raises(einops.EinopsError, match="expected 3 dims"):
        einops.rearrange(ds.zeros(2, 3, 4, 4), "b c h -> b h c")
