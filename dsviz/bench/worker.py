"""One framework and one workload in a process of its own, obeying lines on its standard input.

`run N` trains N steps and answers with the time and the loss of each; `peak` answers with the memory used;
`allocations` trains a step under the framework's own memory tracking. Each answer is one line of JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

from dsviz.bench.workloads import WORKLOADS, Step

MIB = 1 << 20


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
    optimizer.step()
    lib.nn.Conv2d(2, 2, 3)(lib.ones(1, 2, 8, 8)).sum().backward()
    if lib.__name__ != "torch":
        # Nothing of this is left for the steps to use.
        importlib.import_module("engine.pool").pool.clear()


def tracked(framework: str, step: Step) -> int:
    """The most bytes alive at one time during two steps, of those allocated in them, as the allocator counts.

    Ours includes what is parked for reuse and every Python object; PyTorch's profiler counts tensors only.
    """
    if framework != "torch":
        # What is parked was not seen being allocated; without it every buffer of the step is.
        importlib.import_module("engine.pool").pool.clear()
        tracemalloc.start(1)
        step()
        step()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak
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


def main(framework: str, name: str, threads: int) -> None:
    """Serve one workload until the input ends."""
    began = time.perf_counter()
    lib = importlib.import_module(framework)
    if framework == "torch":
        lib.set_num_threads(threads)
    warm(lib)
    base = status("VmRSS")
    built = time.perf_counter()
    step = WORKLOADS[name].build(lib)
    first = step()
    print(
        json.dumps({"import_s": built - began, "first_s": time.perf_counter() - built, "loss": first}),
        flush=True,
    )
    for line in sys.stdin:
        word, _, number = line.strip().partition(" ")
        answer: Any = None
        if word == "run":
            answer = []
            for _ in range(int(number)):
                start = time.perf_counter()
                loss = step()
                answer.append((time.perf_counter() - start, loss))
        elif word == "peak":
            answer = (status("VmHWM") - base) / MIB
        elif word == "allocations":
            answer = tracked(framework, step) / MIB
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    # Set before any library reads them; the parent gives the number.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        assert os.environ.get(variable) == sys.argv[3], variable
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
