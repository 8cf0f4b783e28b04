"""Switches of PyTorch's libraries, under their names. On the CPU none changes a result: it has the same bits every time.

On a GPU they say which of cuDNN's ways to compute a convolution and its gradients may be taken:

- `cudnn.deterministic`: those that give the same bits each time they run. True here unless it is set, where PyTorch
  has False: a step can be repeated, and that costs a ResNet50 in full float32 a twentieth of the GPU's time (12.1 for
  11.5 ms at batch 8 on an H200) and nothing in other precisions. With False the way that cuDNN thinks fastest is
  taken, as PyTorch takes it.
- `cudnn.benchmark`: the first time a shape is met the first few of them are timed, and the fastest is kept. Which one
  that is may differ from one run of the program to the next, and their last bits with it.
- `cudnn.allow_tf32` (True) and `cuda.matmul.allow_tf32` (False): float32 may be rounded to 10 bits of fraction before
  it is multiplied, as in PyTorch.
- `cudnn.enabled`: without it CuPy computes them.
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
    deterministic=True,
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
