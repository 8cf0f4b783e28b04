"""Two frameworks on one workload: separate processes that take turns, and what came of it."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from dsviz.bench.workloads import WORKLOADS
from engine.dnn.library import library

OURS, THEIRS = "dsviz", "torch"
TURN_SECONDS = 0.15
PILOT = 2


class Measured(NamedTuple):
    """One framework's numbers: seconds of each turn (median of its steps), losses, MiB, seconds."""

    times: list[float]
    losses: list[float]
    peak: float
    allocated: float
    first: float


class Worker:
    """A process that runs one framework's workload when asked."""

    def __init__(self, framework: str, workload: str, threads: int) -> None:
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        # The last two keep PyTorch's profiler from writing into the table.
        quiet = {"TORCH_CPP_LOG_LEVEL": "ERROR", "KINETO_LOG_LEVEL": "9"}
        environment = {**os.environ, **quiet, **dict.fromkeys(variables, str(threads))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dsviz.bench.worker", framework, workload, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self.started: dict[str, float] = self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the benchmark's process ended with status {self._process.wait()}")
        return json.loads(line)

    def ask(self, what: str) -> Any:
        """Send one line and wait for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def compare(name: str, threads: int, rounds: int, frameworks: Sequence[str]) -> dict[str, Measured]:
    """Measure workload `name` in each framework, taking turns `rounds` times."""
    workers: dict[str, Worker] = {}
    try:
        for framework in frameworks:
            workers[framework] = Worker(framework, name, threads)
        times: dict[str, list[float]] = {f: [] for f in frameworks}
        losses: dict[str, list[float]] = {f: [w.started["loss"]] for f, w in workers.items()}
        # As many steps a turn for each, so that their losses can be compared step by step.
        pilots = {f: w.ask(f"run {PILOT}") for f, w in workers.items()}
        for framework, pilot in pilots.items():
            losses[framework] += [loss for _, loss in pilot]
        slowest = max(min(t for t, _ in pilot) for pilot in pilots.values())
        count = max(1, min(200, int(TURN_SECONDS / slowest)))
        for turn in range(rounds):
            order = list(workers) if turn % 2 == 0 else list(workers)[::-1]
            for framework in order:
                answers = workers[framework].ask(f"run {count}")
                times[framework].append(statistics.median(t for t, _ in answers))
                losses[framework] += [loss for _, loss in answers]
        peaks = {f: w.ask("peak") for f, w in workers.items()}
        tracked = {f: w.ask("allocations") for f, w in workers.items()}
        return {
            f: Measured(times[f], losses[f], peaks[f], tracked[f], workers[f].started["first_s"])
            for f in frameworks
        }
    finally:
        for worker in workers.values():
            worker.close()


def machine(threads: int) -> str:
    """One line that says where and with how many threads."""
    return (
        f"{os.cpu_count()} cores, {threads} threads each, {platform.machine()}, "
        f"Python {platform.python_version()}, {platform.system()}, kernels of {kernels()}"
    )


def kernels() -> str:
    """What this engine computes with on the CPU."""
    found = library()
    return "NumPy alone" if found is None else "NumPy and oneDNN " + ".".join(str(n) for n in found.version)


def spread(values: Sequence[float], scale: float) -> str:
    """`median (5th to 95th percentile)`."""
    ordered = sorted(v * scale for v in values)
    last = len(ordered) - 1
    low, high = ordered[int(0.05 * last)], ordered[round(0.95 * last)]
    return f"{statistics.median(ordered):.3g} ({low:.3g}-{high:.3g})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over the turns of ours divided by theirs; neighbours in time see the same machine."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def apart(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The greatest difference of two lists of losses, relative to their size."""
    return max(abs(a - b) / max(abs(b), 1e-3) for a, b in zip(ours, theirs, strict=True))


def summary(name: str, found: dict[str, Measured]) -> dict[str, Any]:
    """The figures of one workload as plain data; ratios are ours divided by theirs, None where there is one alone."""
    workload = WORKLOADS[name]
    figures: dict[str, Any] = {
        "name": name,
        "what": workload.what,
        "per": workload.part,
        "goal": workload.goal,
    }
    for framework, m in found.items():
        figures[framework] = {
            "seconds": statistics.median(m.times) / workload.parts,
            "peak_rss_mib": m.peak,
            "allocated_mib": m.allocated,
            "first_step_seconds": m.first,
        }
    if OURS in found and THEIRS in found:
        ours, theirs = found[OURS], found[THEIRS]
        figures["ratio"] = {
            "time": ratio(ours.times, theirs.times),
            "peak_rss": ours.peak / theirs.peak if theirs.peak > 0 else None,
            "allocated": ours.allocated / theirs.allocated if theirs.allocated > 0 else None,
            "first_step": ours.first / theirs.first,
        }
        figures["losses_apart"] = apart(ours.losses, theirs.losses)
    return figures


def report(name: str, found: dict[str, Measured]) -> list[str]:
    """The lines of one workload: figures of each, ratios, and the verdict."""
    workload = WORKLOADS[name]
    figures = summary(name, found)
    unit, scale = ("us", 1e6) if workload.part == "node" else ("ms", 1e3)
    lines = [f"{name}: {workload.what}"]
    for framework, m in found.items():
        lines.append(
            f"  {framework:6} {spread(m.times, scale / workload.parts):>24} {unit}/{workload.part}   "
            f"peak RSS +{m.peak:.1f} MiB   allocated {m.allocated:.2f} MiB   first step {m.first * 1e3:.0f} ms"
        )
    if "ratio" in figures:
        ratios = {key: math.nan if value is None else value for key, value in figures["ratio"].items()}
        time = ratios["time"]
        lines.append(
            f"  ratio  time x{time:.2f}   RSS x{ratios['peak_rss']:.2f}   allocated x{ratios['allocated']:.2f}"
            f"   first step x{ratios['first_step']:.2f}   losses differ by {figures['losses_apart']:.1e}"
        )
        lead = (
            f"{1 / time:.2f} times as fast as PyTorch" if time < 1 else f"{time:.2f} times as slow as PyTorch"
        )
        won = "reached" if time <= workload.goal else "missed"
        lines.append(f"  {lead}; the goal of x{workload.goal} is {won}")
    return lines
