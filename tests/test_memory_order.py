"""Memory formats under PyTorch's names: strides as PyTorch's, values and gradients as without."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import engine as ds

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")


def said(lib: Any) -> list[Any]:
    x = lib.arange(120.0).reshape(2, 3, 4, 5)
    last = x.to(memory_format=lib.channels_last)
    images = lib.zeros(2, 3, 4, 4, 2).contiguous(memory_format=lib.channels_last_3d)
    return [
        last.stride(), last.is_contiguous(), last.is_contiguous(memory_format=lib.channels_last),
        x.is_contiguous(memory_format=lib.channels_last), images.stride(),
        last.contiguous().stride(), last.clone(memory_format=lib.contiguous_format).stride(),
        lib.zeros_like(x, memory_format=lib.channels_last).stride(),
        lib.empty_like(x, memory_format=lib.preserve_format).shape,
        lib.randn_like(x, memory_format=lib.channels_last).stride(),
        x.layout == lib.strided, isinstance(lib.channels_last, lib.memory_format),
    ]  # fmt: skip


def test_strides_are_pytorchs() -> None:
    assert said(ds) == [tuple(each) if isinstance(each, torch.Size) else each for each in said(torch)]


def test_values_and_gradients_are_those_without() -> None:
    ds.manual_seed(0)
    net = ds.nn.Sequential(ds.nn.Conv2d(3, 4, 3), ds.nn.BatchNorm2d(4), ds.nn.ReLU(), ds.nn.Flatten())
    x = ds.randn(2, 3, 6, 6, requires_grad=True)
    plain = net(x)
    plain.sum().backward()
    assert x.grad is not None
    kept, x.grad = x.grad.numpy(), None
    again = net.to(memory_format=ds.channels_last)(x.to(memory_format=ds.channels_last))
    again.sum().backward()
    np.testing.assert_allclose(again.detach().numpy(), plain.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), kept, rtol=1e-5, atol=1e-6)


def test_what_is_no_format_and_images_of_another_rank_are_refused() -> None:
    with pytest.raises(TypeError, match=r"memory_format: expected one like ds\.channels_last, got 'nhwc'"):
        ds.zeros(1, 2, 3, 3).to(memory_format="nhwc")
    with pytest.raises(RuntimeError, match="expected a tensor of 4 dimensions, got one of 2"):
        ds.zeros(2, 3).contiguous(memory_format=ds.channels_last)
    with pytest.raises(TypeError, match="memory_format"):
        ds.nn.Linear(2, 2).to(memory_format=4)


def test_a_format_is_the_same_one_after_pickling() -> None:
    assert pickle.loads(pickle.dumps(ds.channels_last)) is ds.channels_last
    assert repr(ds.channels_last) == "dsviz.channels_last"
