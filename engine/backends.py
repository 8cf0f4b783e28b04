"""Switches of PyTorch's libraries, so that scripts which set them run. None changes a result here.

On the CPU the engine gives the same bits every time, whatever `deterministic` and `benchmark` say.
"""

from __future__ import annotations

from types import SimpleNamespace

from engine.backend import cupy

__all__ = ["cpu", "cuda", "cudnn", "mkldnn", "mps", "openmp"]


def _no() -> bool:
    return False


def _gpu() -> bool:
    return cupy() is not None


cudnn = SimpleNamespace(
    benchmark=False,
    deterministic=False,
    enabled=True,
    allow_tf32=True,
    is_available=_gpu,
    version=lambda: None,
)
cuda = SimpleNamespace(
    matmul=SimpleNamespace(allow_tf32=False, allow_fp16_reduced_precision_reduction=True), is_built=_gpu
)
mps = SimpleNamespace(is_available=_no, is_built=_no)
mkldnn = SimpleNamespace(is_available=_no, enabled=False)
openmp = SimpleNamespace(is_available=_no)
cpu = SimpleNamespace(get_cpu_capability=lambda: "DEFAULT")
