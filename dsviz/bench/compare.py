"""Several frameworks on one workload: separate processes that take turns."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.dnn.cell import cells
from engine.dnn.library import library
from engine.dnn.loop import loops
from engine.dnn.winograd import winograd

TURN_SECONDS = 0.15
PILOT = 2


class Measured(NamedTuple):
    """One contestant's numbers: seconds of each turn (median of its steps), losses, MiB, and seconds of first steps.

    `allocated` is None where the allocator cannot be asked. `starts` are from the start of a process to the end of its
    first step, `firsts` from the built model.
    """

    times: list[float]
    losses: list[float]
    peak: float
    allocated: float | None
    starts: list[float]
    firsts: list[float]


class Failed(RuntimeError):  # noqa: N818 - it is reported, never raised to the person
    """A contestant's process ended; the text is the last it said."""


class Worker:
    """A process that runs one contestant's workload when asked."""

    def __init__(
        self, name: str, workload: str, threads: int, warm: bool = True, clock: str = "wall"
    ) -> None:
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        # The others keep PyTorch's profiler and TensorFlow from writing into the table.
        quiet = {"TORCH_CPP_LOG_LEVEL": "ERROR", "KINETO_LOG_LEVEL": "9", "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment = {**os.environ, **quiet, **dict.fromkeys(variables, str(threads))}
        words = (name, workload, str(threads), "warm" if warm else "cold", clock)
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dsviz.bench.worker", *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True, env=environment,
        )  # fmt: skip
        try:
            self.started: dict[str, float] = self._answer()
        except Failed:
            self.close()
            raise
        self.start = time.perf_counter() - began

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            self._said.seek(0)
            lines = self._said.read().decode(errors="replace").strip().splitlines()
            raise Failed(f"ended with status {status}" + (f": {lines[-1].strip()}" if lines else ""))
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
        self._said.close()


def compare(
    workload: str, threads: int, rounds: int, names: Sequence[str], clock: str = "wall"
) -> tuple[dict[str, Measured], dict[str, str]]:
    """Measure a workload with each contestant, taking turns `rounds` times; and why those failed that did.

    `clock` is "wall" or "processor": the time of the processor alone, which a busy machine disturbs less.
    """
    failed: dict[str, str] = {}
    starts: dict[str, list[float]] = {name: [] for name in names}
    firsts: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(min(rounds, 3)):
        for name in [n for n in (names if turn % 2 == 0 else names[::-1]) if n not in failed]:
            try:
                worker = Worker(name, workload, threads, warm=False)
            except Failed as why:
                failed[name] = str(why)
                continue
            starts[name].append(worker.start)
            firsts[name].append(worker.started["first_s"])
            worker.close()
    workers: dict[str, Worker] = {}
    try:
        for name in names:
            if name not in failed:
                workers[name] = Worker(name, workload, threads, clock=clock)
        times, losses = _turns(workers, rounds)
        peaks = {name: worker.ask("peak") for name, worker in workers.items()}
        tracked = {name: worker.ask("allocations") for name, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.close()
    found = {n: Measured(times[n], losses[n], peaks[n], tracked[n], starts[n], firsts[n]) for n in workers}
    return found, failed


def _turns(
    workers: dict[str, Worker], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:  # fmt: skip
    """The times and losses of each, as many steps a turn for all, so that losses can be compared step by step."""
    times: dict[str, list[float]] = {name: [] for name in workers}
    losses = {name: [worker.started["loss"]] for name, worker in workers.items()}
    pilots = {name: worker.ask(f"run {PILOT}") for name, worker in workers.items()}
    for name, pilot in pilots.items():
        losses[name] += [loss for _, loss in pilot]
    slowest = max(min(t for t, _ in pilot) for pilot in pilots.values())
    count = max(1, min(200, int(TURN_SECONDS / max(slowest, 1e-6))))
    for turn in range(rounds):
        for name in list(workers) if turn % 2 == 0 else list(workers)[::-1]:
            answers = workers[name].ask(f"run {count}")
            times[name].append(statistics.median(t for t, _ in answers))
            losses[name] += [loss for _, loss in answers]
    return times, losses


def machine(threads: int) -> str:
    """One line that says where and with how many threads."""
    return (
        f"{os.cpu_count()} cores, {threads} threads each, {platform.machine()}, "
        f"Python {platform.python_version()}, {platform.system()}, kernels of {kernels()}"
    )


def kernels() -> str:
    """What this engine computes with on the CPU.

    Its loops in C are compiled now if they are not there yet, as they are for the programs after the first that uses
    them; the other frameworks' were when they were installed.
    """
    found = library()
    if found is None:
        return "NumPy alone"
    version = "NumPy, oneDNN " + ".".join(str(n) for n in found.version)
    made = [compiled.build() for compiled in (loops, winograd, cells)]
    return (
        f"{version} and loops in C, graph_config(winograd=True)"
        if all(m is not None for m in made)
        else f"{version}, no compiler"
    )
