"""The way back from a maximum pooling, beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dsviz as ds


@pytest.mark.parametrize(("rank", "stride", "padding"), [(1, None, 0), (2, None, 0), (2, 2, 1), (3, None, 0)])
def test_it_is_pytorchs(rank: int, stride: Any, padding: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
    x = np.random.default_rng(0).permutation(2 * 3 * 7**rank).reshape(2, 3, *[7] * rank).astype(float)
    seen = []
    for lib in (ds, torch):
        t = lib.tensor(x, requires_grad=True)
        kernel = 3 if padding else 2
        out, where = getattr(lib.nn, f"MaxPool{rank}d")(kernel, stride, padding, return_indices=True)(t)
        back = getattr(lib.nn, f"MaxUnpool{rank}d")(kernel, stride, padding)(
            out * 2, where, output_size=t.shape
        )
        (back * back).sum().backward()
        seen.append([back.detach().numpy(), t.grad.numpy()])
    for ours, theirs in zip(*seen, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_cannot_be_is_said() -> None:
    out, where = ds.nn.functional.max_pool1d(ds.randn(1, 1, 7), 2, return_indices=True)
    with pytest.raises(ValueError, match="output_size dimension 0 can be 5 to 7, got 9"):
        ds.nn.functional.max_unpool1d(out, where, 2, output_size=(9,))
    with pytest.raises(ValueError, match=r"indices has shape \[1, 1, 2\], expected \[1, 1, 3\]"):
        ds.nn.functional.max_unpool1d(out, where[..., :2], 2)
