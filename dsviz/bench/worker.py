"""One contestant and one workload in a process of its own, obeying lines on its standard input.

`run N` trains N steps and answers with the time and the loss of each; `peak` answers with the memory used;
`allocations` trains a step under the framework's own memory tracking; `gpu` answers with a GPU's memory. Each answer
is one line of JSON. A step ends with `loss.item()`, which waits for the GPU, as a loop that prints its loss does.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import tracemalloc
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from dsviz.bench.contestants import CONTESTANTS, MINE, OURS
from dsviz.bench.gpu import MIB, Gpu, gpu_of
from dsviz.bench.setting import CPU, Setting
from dsviz.bench.workloads import Step


def status(field: str) -> int:
    """A line of /proc/self/status in bytes; 0 where there is none."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith(field)), 0)


def warm(lib: Any) -> None:
    """One of each kind of kernel and an optimizer: what a library loads or generates at first use is no tensor."""
    layer = lib.nn.Linear(256, 256)
    optimizer = lib.optim.SGD(layer.parameters(), lr=0.1)
    x = lib.ones(256, 256)
    out = lib.nn.functional.layer_norm(layer(x).tanh() @ x, (256,))
    lib.nn.functional.cross_entropy(out, lib.zeros(256).long()).backward()
    layer(x[:64]).tanh().sum().backward()  # few rows have kernels of their own
    optimizer.step()
    lib.nn.Conv2d(2, 2, 3)(lib.ones(1, 2, 8, 8)).sum().backward()
    if lib.__name__ != "torch":
        # Nothing of this is left for the steps to use.
        importlib.import_module("engine.pool").pool.clear()


def tracked(name: str, step: Step) -> int | None:
    """The most bytes alive at one time during two steps, of those allocated in them, as the allocator counts.

    Ours includes what is parked for reuse and every Python object; PyTorch's profiler counts tensors only.
    """
    if name in MINE:
        # What is parked was not seen being allocated; without it every buffer of the step is.
        importlib.import_module("engine.pool").pool.clear()
        tracemalloc.start(1)
        step()
        step()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak
    if CONTESTANTS[name].needs != "torch":
        return None
    profiler = importlib.import_module("torch.profiler")
    step()
    with profiler.profile(activities=[profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step()
        step()
    live = peak = 0
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


def prepared(name: str, threads: int, warmed: bool, setting: Setting = CPU) -> Gpu | None:
    """Load the framework; `warmed`: with what it loads or generates at first use. Gives the GPU to compute on.

    Raises `RuntimeError` where that is not there.
    """
    needs = CONTESTANTS[name].needs
    lib = importlib.import_module(OURS if name in MINE else needs)
    if needs == "torch":
        lib.set_num_threads(threads)
    gpu = gpu_of(name) if setting.gpu else None
    if gpu is not None:
        gpu.set(setting.precision)
    elif name in MINE:
        lib.configure(
            winograd=True
        )  # off unless asked for, as it rounds once more; the line on kernels says so
    if warmed and (name in MINE or needs == "torch"):
        with made_on(gpu):
            warm(lib)
    if gpu is not None:
        gpu.clear()
    return gpu


def made_on(gpu: Gpu | None) -> Any:
    """The block in which tensors are made there. Steps run outside: PyTorch takes time for it at every call."""
    return nullcontext() if gpu is None else gpu.lib.device("cuda")


def main(
    name: str, workload: str, threads: int, warmed: bool, clock: Callable[[], float], setting: Setting = CPU
) -> None:
    """Serve one workload until the input ends."""
    began = time.perf_counter()
    gpu = prepared(name, threads, warmed, setting)
    base = status("VmRSS")
    loaded = time.perf_counter()
    with made_on(gpu):
        step = CONTESTANTS[name].build(workload, setting.precision)
    if gpu is not None:
        gpu.lib.cuda.synchronize()
    built = time.perf_counter()
    loss = step()
    first = time.perf_counter() - built
    print(json.dumps({"import_s": loaded - began, "first_s": first, "loss": loss}), flush=True)
    for line in sys.stdin:
        word, _, number = line.strip().partition(" ")
        answer: Any = None
        if word == "run":
            answer = []
            for _ in range(int(number)):
                start = clock()
                loss = step()
                answer.append((clock() - start, loss))
        elif word == "peak":
            answer = (status("VmHWM") - base) / MIB
        elif word == "allocations":
            found = tracked(name, step) if gpu is None else gpu.peak(step)
            answer = None if found is None else found / MIB
        elif word == "gpu" and gpu is not None:
            answer = gpu.memory()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    who, what, count, start, kind, device, precision = sys.argv[1:]
    # Set before any library reads them; the parent gives the number.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        assert os.environ.get(variable) == count, variable
    main(
        who,
        what,
        int(count),
        start == "warm",
        time.process_time if kind == "processor" else time.perf_counter,
        Setting(device, precision),
    )
