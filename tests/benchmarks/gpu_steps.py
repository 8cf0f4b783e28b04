"""Training steps on a GPU beside PyTorch's, all in one process and in turns: as written, and recorded as one CUDA graph.

`python tests/benchmarks/gpu_steps.py [SECONDS] [CASE ...]`; a case is resnet50's batch and precision, such as 64-f16.
Each step ends with `loss.item()`. PyTorch is measured as it is and with its images channels_last; needs CuPy and a
CUDA build of PyTorch. cuDNN may take any of its algorithms on both sides; "careful" is ours with those alone that give
the same bits each time, its default.
"""

from __future__ import annotations

import contextlib
import importlib
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import dsviz as ds
from dsviz.bench.resnet import resnet50
from engine.backend import require_cupy
from engine.pool import pool

CASES = ("8-f32", "64-f16", "64-tf32", "64-f32", "8-f16", "64-bf16")
HALVES = {"f16": "float16", "bf16": "bfloat16"}
ROUNDS = 3


def contestant(
    lib: Any, batch: int, kind: str, *, last: bool = False, careful: bool = False, graphed: bool = False
) -> Callable[[], float]:
    """A step of ResNet50: forward, backward, SGD with momentum; gives the loss."""
    lib.manual_seed(0)
    net = resnet50(lib).to("cuda")
    optimizer = lib.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
    draw = np.random.default_rng(0)
    x = lib.tensor(draw.standard_normal((batch, 3, 224, 224)).astype(np.float32), device="cuda")
    y = lib.tensor(draw.integers(0, 1000, batch), device="cuda")
    if last:
        net, x = net.to(memory_format=lib.channels_last), x.to(memory_format=lib.channels_last)
    half = getattr(lib, HALVES[kind]) if kind in HALVES else None

    def once(x: Any, y: Any) -> Any:
        with lib.autocast("cuda", dtype=half) if half is not None else contextlib.nullcontext():
            loss = lib.nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    run = ds.cuda.graphed(once) if graphed else once

    def step() -> float:
        lib.backends.cudnn.deterministic = careful
        lib.backends.cudnn.allow_tf32 = lib.backends.cuda.matmul.allow_tf32 = kind == "tf32"
        return float(run(x, y).item())

    return step


def compare(torch: Any, batch: int, kind: str) -> None:
    """One case, a row for each contestant."""
    ways: dict[str, tuple[Any, dict[str, bool]]] = {
        "dsviz": (ds, {}),
        "dsviz careful": (ds, {"careful": True}),
        "dsviz graphed": (ds, {"graphed": True}),
        "PyTorch": (torch, {}),
        "PyTorch channels_last": (torch, {"last": True}),
    }
    steps = {name: contestant(lib, batch, kind, **how) for name, (lib, how) in ways.items()}
    for step in steps.values():
        for _ in range(3):  # what is compiled, chosen or recorded once is there afterwards
            step()
    took: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            for _ in range(5 if batch <= 8 else 3):
                began = time.perf_counter()
                step()
                took[name].append((time.perf_counter() - began) * 1e3)
    best = min(statistics.median(took[name]) for name in took if name.startswith("PyTorch"))
    for name, times in took.items():
        middle = statistics.median(times)
        print(
            f"resnet50 {batch}-{kind} {name:22s} {middle:7.2f} ms ({min(times):.2f} to {max(times):.2f})"
            f"  {middle / best:.2f} of PyTorch's best",
            flush=True,
        )
    steps.clear()
    pool.clear()
    require_cupy().get_default_memory_pool().free_all_blocks()
    torch.cuda.empty_cache()


def main(words: list[str]) -> None:
    """Every case asked for, as long as there are seconds left."""
    torch = importlib.import_module("torch")
    seconds = float(words[0]) if words else 600.0
    began = time.monotonic()
    print(
        f"{ds.cuda.get_device_name()}, PyTorch {torch.__version__}, CuPy {require_cupy().__version__}, "
        f"cuDNN {torch.backends.cudnn.version()}, Python {platform.python_version()}"
    )
    for case in words[1:] or CASES:
        if time.monotonic() - began > seconds:
            print(f"no time was left for {case}")
            continue
        batch, _, kind = case.partition("-")
        compare(torch, int(batch), kind)


if __name__ == "__main__":
    main(sys.argv[1:])
