"""No training step lets CuPy multiply: what it gives to cuBLAS itself cannot be recorded as a CUDA graph.

cuDNN and cuBLAS are stand-ins that compute with NumPy what the engine describes to them (`test_gpu_images.py`).
"""

from __future__ import annotations

from typing import Any

import cuda_as_cpp
import numpy as np
import pytest
import strict_cupy
from test_gpu_images import cudnn, gpu  # noqa: F401 - fixtures

import dsviz as ds
from dsviz import nn
from dsviz.bench import resnet
from engine.gpu import optim

pytestmark = [
    pytest.mark.skipif(
        not cuda_as_cpp.COMPILER, reason="the kernels are compiled as C++ here, and there is no compiler"
    ),
    pytest.mark.xdist_group("images"),
]

BY_CUBLAS = ("matmul", "dot", "tensordot", "einsum", "inner", "vdot")


@pytest.fixture(autouse=True)
def refused(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """CuPy as it is while a step is recorded."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")

    for cache in ("_tables", "_kept"):  # what is kept here is none of CuPy's, should it be there
        monkeypatch.setattr(optim, cache, {})
    for name in BY_CUBLAS:
        monkeypatch.setattr(gpu, name, refuse)
    for name in ("__matmul__", "__rmatmul__"):
        monkeypatch.setattr(strict_cupy.ndarray, name, refuse)


def numbers(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


class Summed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(ds.randn(3, 8))
        self.pairs = nn.Bilinear(8, 8, 3)

    def forward(self, x: Any) -> Any:
        rows = ds.einsum("bi,oi->bo", x, self.weight) + (x @ self.weight[0])[:, None] + self.weight[1] @ x[0]
        return rows + self.pairs(x, x) + (x[:, None, :] @ self.weight.T[None])[:, 0]


def small_resnet() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resnet, "STAGES", ((4, 1), (8, 2)))
        return resnet.resnet50(ds, 3)


MODELS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "resnet": (small_resnet, (2, 3, 32, 32)),
    "einsum": (Summed, (4, 8)),
    "batch norm": (lambda: nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)), (4, 8)),
    "attention": (
        lambda: nn.Sequential(
            nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), nn.Flatten(), nn.Linear(40, 3)
        ),
        (2, 5, 8),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "last"), [*((name, False) for name in MODELS), ("resnet", True)])
def test_a_step_multiplies_by_the_engines_own_calls(name: str, last: bool, cudnn: Any) -> None:  # noqa: F811
    make, shape = MODELS[name]
    cudnn(False, True)
    found = []
    for device in ("cpu", "cuda"):
        ds.manual_seed(0)
        model, x = make().to(device), ds.tensor(numbers(*shape), device=device)
        if last:
            model, x = model.to(memory_format=ds.channels_last), x.to(memory_format=ds.channels_last)
        optimizer = ds.optim.AdamW(model.parameters(), lr=0.01)
        loss = nn.functional.cross_entropy(model(x), ds.tensor(np.arange(shape[0]) % 3, device=device))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        found.append([t.detach().cpu().numpy() for t in (loss, *[p.grad for p in model.parameters()])])
        optimizer.step()
    for here, there in zip(*found, strict=True):
        np.testing.assert_allclose(here, there, rtol=2e-3, atol=1e-5)
