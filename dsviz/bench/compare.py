"""Several frameworks on one workload: separate processes that take turns."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from dsviz.bench.contestants import COMPILED, OURS
from dsviz.bench.setting import CPU, Setting
from engine.dnn.attention import attention
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

    On a GPU `allocated` is of its allocator, which has `reserved` MiB at most; `device` are what the GPU lost to each
    process that ran alone, with the framework's kernels; `ever` the seconds of a first start that is not among
    `starts`, as kernels compiled in it are kept for those after it.
    """

    times: list[float]
    losses: list[float]
    peak: float
    allocated: float | None
    starts: list[float]
    firsts: list[float]
    reserved: float | None = None
    device: tuple[float, ...] = ()
    ever: float | None = None


class Failed(RuntimeError):  # noqa: N818 - it is reported, never raised to the person
    """A contestant's process ended; the text is the last it said, `said` all of it."""

    def __init__(self, why: str, said: str = "") -> None:
        super().__init__(why)
        self.said = said


class Worker:
    """A process that runs one contestant's workload when asked."""

    def __init__(
        self,
        name: str,
        workload: str,
        threads: int,
        warm: bool = True,
        clock: str = "wall",
        setting: Setting = CPU,
        wait: bool = True,
    ) -> None:
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        # The others keep PyTorch's profiler and TensorFlow from writing into the table.
        quiet = {"TORCH_CPP_LOG_LEVEL": "ERROR", "KINETO_LOG_LEVEL": "9", "TF_CPP_MIN_LOG_LEVEL": "3"}
        # CuPy reads its own switch at the first product.
        quiet["CUPY_TF32"] = "1" if setting.precision == "tf32" else "0"
        environment = {**os.environ, **quiet, **dict.fromkeys(variables, str(threads))}
        words = (name, workload, str(threads), "warm" if warm else "cold", clock, *setting)
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._began = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dsviz.bench.worker", *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True, env=environment,
        )  # fmt: skip
        self.started: dict[str, float] = {}
        self.start = 0.0
        if wait:
            try:
                self.ready()
            except Failed:
                self.close()
                raise

    def ready(self) -> None:
        """Wait for the end of its first step. Raises `Failed`."""
        self.started = self._answer()
        self.start = time.perf_counter() - self._began

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            self._said.seek(0)
            said = self._said.read().decode(errors="replace").strip()
            # What is indented under the error's own line is where it was.
            flush = [line for line in said.splitlines() if line[:1].strip()]
            raise Failed(f"ended with status {status}" + (f": {flush[-1].strip()}" if flush else ""), said)
        return json.loads(line)

    def ask(self, what: str) -> Any:
        """Send one line and wait for the answer."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the answer says how it ended
            self._process.stdin.write(what + "\n")
            self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._said.close()


class Comparison:
    """Contestants on one workload: `found` and `failed` fill as it goes on; who fails is out."""

    def __init__(
        self,
        workload: str,
        threads: int,
        names: Sequence[str],
        clock: str = "wall",
        setting: Setting = CPU,
        tell: Callable[[str, str], None] = lambda name, said: None,
    ) -> None:
        self.workload, self.threads, self.names = workload, threads, names
        self.clock, self.setting, self.tell = clock, setting, tell
        self.failed: dict[str, str] = {}
        self.workers: dict[str, Worker] = {}
        self.started: dict[str, list[tuple[float, float, float]]] = {name: [] for name in names}
        self.ever: dict[str, float] = {}

    def out(self, name: str, why: Failed) -> None:
        """It ended over what it was asked."""
        self.failed[name] = str(why)
        self.tell(name, why.said)
        if name in self.workers:
            self.workers.pop(name).close()

    def standing(self, turn: int = 0) -> list[str]:
        """Who is still there, every other turn backwards."""
        return [n for n in (self.names if turn % 2 == 0 else self.names[::-1]) if n not in self.failed]

    def starts(self, count: int) -> None:
        """Processes that end after their first step: the seconds to there, and on a GPU what they take of it."""
        if self.setting.gpu:
            for name in [n for n in self.standing() if n in (OURS, COMPILED)]:
                for seconds, _, _ in self._start(name):
                    self.ever[name] = seconds
        for turn in range(count):
            for name in self.standing(turn):
                self.started[name] += self._start(name)

    def _start(self, name: str) -> list[tuple[float, float, float]]:
        taken = 0.0
        try:
            worker = Worker(name, self.workload, self.threads, warm=False, setting=self.setting)
            try:
                if self.setting.gpu:
                    worker.ask("run 2")
                    taken = worker.ask("gpu")["device"]
            finally:
                worker.close()
        except Failed as why:
            self.out(name, why)
            return []
        return [(worker.start, worker.started["first_s"], taken)]

    def ask(self, what: str, turn: int = 0) -> dict[str, Any]:
        """The answer of each process that stands."""
        answers = {}
        for name in self.standing(turn):
            try:
                answers[name] = self.workers[name].ask(what)
            except Failed as why:
                self.out(name, why)
        return answers

    def run(self, rounds: int) -> dict[str, Measured]:
        """Processes that take turns, as many steps a turn for all, so that losses can be compared step by step."""
        times: dict[str, list[float]] = {name: [] for name in self.names}
        losses: dict[str, list[float]] = {name: [] for name in self.names}
        try:
            # They load what they need side by side: that takes seconds each, and nothing is measured yet.
            for name in self.standing():
                self.workers[name] = Worker(name, self.workload, self.threads, True, self.clock, self.setting, wait=False)  # fmt: skip
            for name in self.standing():
                try:
                    self.workers[name].ready()
                    losses[name].append(self.workers[name].started["loss"])
                except Failed as why:
                    self.out(name, why)
            pilots = self.ask(f"run {PILOT}")
            slowest = max((min(t for t, _ in pilot) for pilot in pilots.values()), default=1.0)
            count = max(1, min(200, int(TURN_SECONDS / max(slowest, 1e-6))))
            answers = [pilots]
            for turn in range(rounds):
                answers.append(self.ask(f"run {count}", turn))
                for name, steps in answers[-1].items():
                    times[name].append(statistics.median(t for t, _ in steps))
            for answer in answers:
                for name, steps in answer.items():
                    losses[name] += [loss for _, loss in steps]
            peaks = self.ask("peak")
            memory = self.ask("gpu") if self.setting.gpu else {}
            tracked = self.ask("allocations")
        finally:
            for worker in self.workers.values():
                worker.close()
        found = {}
        for name in self.standing():
            starts, firsts, taken = zip(*self.started[name], strict=True)
            more = (memory[name]["reserved"], taken, self.ever.get(name)) if memory else ()
            found[name] = Measured(times[name], losses[name], peaks[name], tracked[name], list(starts), list(firsts), *more)  # fmt: skip
        return found


def compare(
    workload: str, threads: int, rounds: int, names: Sequence[str], clock: str = "wall", setting: Setting = CPU,
    starts: int = 3, tell: Callable[[str, str], None] = lambda name, said: None,
) -> tuple[dict[str, Measured], dict[str, str]]:  # fmt: skip
    """Measure a workload with each contestant, taking turns `rounds` times; and why those failed that did.

    `clock` is "wall" or "processor": the time of the processor alone, which a busy machine disturbs less. The first
    steps are those of `starts` processes, of `rounds` at most. `tell` is given all that one said that failed.
    """
    comparison = Comparison(workload, threads, names, clock, setting, tell)
    comparison.starts(min(rounds, starts))
    return comparison.run(rounds), comparison.failed


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
    made = [compiled.build() for compiled in (loops, winograd, cells, attention)]
    return (
        f"{version} and loops in C, graph_config(winograd=True)"
        if all(m is not None for m in made)
        else f"{version}, no compiler"
    )
