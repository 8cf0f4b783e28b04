"""What is known of a region: how often it ran, whether it is compiled, and the kernels it runs by.

A plan is found by the region's key, which holds all that its C depends on: a region that differs in anything has
another plan. How many there are is bounded, in all and for each place in the program.
"""

from __future__ import annotations

import ctypes
import platform
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.backend import require_cupy
from engine.config import current
from engine.jit.steps import Input, Step
from engine.jit.symbol import HALF, SINGLE, Unsupported
from engine.locks import reentrant
from engine.native.compiler import Compilation, compiler
from engine.pool import pool
from engine.threads import team

if TYPE_CHECKING:
    from engine.gpu import generated
    from engine.jit.derive import Backward, Derived
    from engine.jit.passes import Traits

PLANS = 1024  # that are remembered, the ones used longest ago are forgotten
VARIANTS = 8  # compiled for one place; a place that needs more is not worth it
COMPILED = 256  # libraries in one process: what is opened cannot be closed
SHARE = 1 << 17  # elements that are worth a thread
AT_ONCE = 2  # compilers at work

# On a processor that has them, vectors of 512 bits: compilers are shy of them.
WIDE = ("-mprefer-vector-width=512",) if platform.machine() in ("x86_64", "AMD64") else ()
FLAGS = (
    "-O3", "-march=native", *WIDE, "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd",
    "-fPIC", "-shared", "-std=gnu11", "-w",
)  # fmt: skip
THREADED = (*FLAGS, "-fopenmp")  # which some compilers lack: Apple's, and clang without its own library

COUNTING, COMPILING, READY, PLAIN = "counting", "compiling", "compiled", "plain"

_Pointers = ctypes.c_void_p


class Kernel:
    """One C function: `kernel(arrays in, arrays out, numbers, rows, row)`."""

    __slots__ = ("_function", "flat")

    def __init__(self, library: Any, name: str, traits: Traits) -> None:
        function = getattr(library, name)
        function.argtypes = (
            ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long, ctypes.c_long, ctypes.c_int,
        )  # fmt: skip
        function.restype = ctypes.c_int
        self._function = function
        self.flat = traits.flat

    def serves(self, rows: int, row: int) -> bool:
        """Whether it is a good way to compute so many rows of this length."""
        return True

    def __call__(self, given: Sequence[Any], made: Sequence[Any], numbers: Any, rows: int, row: int) -> None:
        """Fill `made`. Raises `MemoryError`."""
        threads = min(team(), max(rows * row // SHARE, 1))
        if self.flat:
            rows, row = rows * row, 1
        ins = (_Pointers * (len(given) or 1))(*[a.ctypes.data for a in given])
        values = (ctypes.c_double * (len(numbers) or 1))(*numbers)
        outs = (_Pointers * len(made))(*[a.ctypes.data for a in made])
        if self._function(ins, outs, values, rows, row, threads):
            raise MemoryError(f"no memory for {row} numbers a row beside the result")


class Plan:
    """One region in all its particulars."""

    __slots__ = (
        "backwards", "cached", "derived", "domain", "dtype", "error", "far", "forward", "hits", "inputs", "job", "live",
        "misses", "name", "of", "place", "reason", "runs", "state", "steps", "threaded",
    )  # fmt: skip

    def __init__(
        self, place: Place, steps: tuple[Step, ...], inputs: tuple[Input, ...], domain: tuple[int, ...], dtype: Any,
        live: tuple[int, ...], far: bool = False,
    ) -> None:  # fmt: skip
        self.far = far  # whether it runs on a GPU
        self.place, self.steps, self.inputs, self.domain, self.dtype, self.live = (
            place, steps, inputs, domain, dtype, live,
        )  # fmt: skip
        used = {value for step in steps for kind, value in step.args if kind == "step"}
        # Gradients are expected at the ends; what else is looked at seldom gets one.
        self.of = tuple(i for i in live if steps[i].requires and i not in used)
        self.state = COUNTING
        self.reason = ""  # why it is another than the last one of its place
        self.error = ""  # why it stays plain
        self.runs = self.hits = self.misses = 0
        self.cached = False
        self.job: Compilation | generated.Compilation | None = None
        self.derived: Derived | None = None
        self.forward: Kernel | generated.Kernel | None = None
        self.backwards: dict[tuple[int, ...], Variant] = {}
        self.name = ""
        self.threaded = False  # whether it is compiled with threads

    def ready(self, asked: bool) -> bool:
        """One more run: whether the kernel is there. Starts the compiler when it is time, and never waits for it."""
        self.runs += 1
        if self.state == READY:
            self.hits += 1
            return True
        self.misses += 1
        if self.state == COUNTING:
            nodes = self.runs * len(self.steps)
            threshold = current().jit_threshold
            if asked or (threshold is not None and self.runs > 1 and nodes >= threshold):
                self._start()
        if self.state == COMPILING:
            self._look()
        if self.state == READY:
            self.misses -= 1
            self.hits += 1
            return True
        return False

    def _start(self) -> None:
        if plans.compiled >= COMPILED:
            self._plain(f"{COMPILED} regions are compiled in this process, no more are")
        elif self.place.compiled >= VARIANTS:
            self._plain(f"it differs each time: {VARIANTS} variants of it are compiled, no more are")
        elif plans.at_work() < AT_ONCE:
            from engine.jit.derive import derive  # most programs compile nothing

            try:
                self.derived = derive(
                    self.steps, self.inputs, self.domain, self.dtype, self.live, self.of, self.far
                )
            except Unsupported as what:
                self._plain(f"no C is written for {what}")
                return
            if not worth(self.derived, self.steps, self.far):
                self._plain("there is nothing to gain")
                return
            plans.compiled += 1
            self.place.compiled += 1
            self._compile(plans.threaded and not self.far)
            self.state = COMPILING

    def _compile(self, threaded: bool) -> None:
        assert self.derived is not None
        self.job = self._compilation(self.derived.text, THREADED if threaded else FLAGS)
        self.threaded = threaded
        self.name = self.job.name
        plans.jobs.append(self.job)

    def _compilation(self, text: str, flags: tuple[str, ...]) -> Compilation | generated.Compilation:
        if not self.far:
            return Compilation(text, flags)
        from engine.gpu import generated  # a program on the CPU does not wait for it

        return generated.Compilation(text)

    def _kernel(self, library: Any, name: str, traits: Traits) -> Kernel | generated.Kernel:
        if not self.far:
            return Kernel(library, name, traits)
        from engine.gpu import generated

        return generated.Kernel(library, name, traits, self.dtype.char)

    def _look(self) -> None:
        job, derived = self.job, self.derived
        assert job is not None
        assert derived is not None
        if not job.poll():
            return
        self.job = None
        if job.library is None and self.threaded:
            self._compile(False)
            return
        if job.library is None:
            self._plain(job.error)
            plans.failed(job.error, self.far)
            return
        if not self.far:
            plans.threaded = self.threaded
        self.cached = job.cached
        self.forward = self._kernel(job.library, "forward", derived.traits)
        if derived.backward is not None and derived.backward_traits is not None:
            self.backwards[self.of] = Variant(
                derived.backward, self._kernel(job.library, "backward", derived.backward_traits)
            )
        self.state = READY

    def broken(self, error: Exception) -> None:
        """A GPU would not launch a kernel: its ops serve from now on."""
        self.forward, self.backwards = None, {}
        self._plain(f"the GPU did not run it: {error}")

    def _plain(self, why: str) -> None:
        self.state, self.error = PLAIN, why

    def backward(self, of: tuple[int, ...]) -> Variant | None:
        """The gradient kernel for gradients that come to the steps `of`; None where it is not there."""
        return self.backwards.get(of)

    def empty(
        self, form: str, domain: tuple[int, ...], shape: tuple[int, ...] | None = None, exact: bool = False
    ) -> Any:
        """A fresh array for an output of a kernel; `exact`: in the type that is computed in."""
        if shape is None:
            shape = domain if form == "full" else (*domain[:-1], 1) if form == "row" else domain[-1:]
        dtype = SINGLE if exact and self.dtype == HALF else self.dtype
        return require_cupy().empty(shape, dtype) if self.far else pool.empty(shape, dtype)


class Variant:
    """A gradient kernel and what it takes."""

    __slots__ = ("backward", "kernel")

    def __init__(self, backward: Backward, kernel: Kernel | generated.Kernel) -> None:
        self.backward, self.kernel = backward, kernel


def worth(derived: Derived, steps: tuple[Step, ...], far: bool) -> bool:
    """Whether a kernel does more than one op of NumPy's in one go. On a GPU an op alone has a kernel of its own."""
    op = steps[0].op
    return len(steps) > 1 or (not far and (bool(op.extras) or (op.family == "activation" and not op.ufunc)))


class Place:
    """Where in the program regions begin, and the plans there are for it."""

    __slots__ = ("compiled", "dull", "filename", "last", "line", "visits")

    def __init__(self, filename: str, line: int) -> None:
        self.filename, self.line = filename, line
        self.compiled = 0
        self.dull = 0  # times that one op alone was all there was
        self.visits = 0
        self.last: Plan | None = None


class Plans:
    """All plans of the process."""

    def __init__(self) -> None:
        self._lock = reentrant()
        self._plans: OrderedDict[Any, Plan] = OrderedDict()
        self._places: OrderedDict[Any, Place] = OrderedDict()
        self.compiled = 0
        self.failures = [0, 0]  # on the CPU and on a GPU, as what follows
        self.jobs: list[Compilation | generated.Compilation] = []
        self.refused = ""  # why nothing is compiled
        self.threaded = True  # until a compiler turns out to know none
        self.refused_far = ""

    def find(self, key: Any) -> Plan | None:
        """The plan for `key`."""
        with self._lock:
            plan = self._plans.get(key)
            if plan is not None:
                self._plans.move_to_end(key)
            return plan

    def add(self, key: Any, plan: Plan) -> Plan:
        """Remember `plan` under `key`, unless another thread was faster."""
        with self._lock:
            found = self._plans.setdefault(key, plan)
            if found is plan:
                from engine.jit.reasons import difference

                plan.reason = difference(plan.place.last, plan)
                plan.place.last = plan
            while len(self._plans) > PLANS:
                self._plans.popitem(last=False)
            return found

    def place(self, code: Any, lasti: int) -> Place:
        """The place of an instruction of the person's program."""
        key = (code, lasti)
        found = self._places.get(key)
        if found is None:
            from engine.location import line_of

            with self._lock:
                found = self._places.setdefault(key, Place(code.co_filename, line_of(code, lasti)))
                while len(self._places) > PLANS:
                    self._places.popitem(last=False)
        return found

    def at_work(self) -> int:
        """Compilers that run now."""
        self.jobs = [job for job in self.jobs if not job.poll()]
        return len(self.jobs)

    def failed(self, why: str, far: bool) -> None:
        """A compilation failed. After three without a success none is tried again."""
        self.failures[far] += 1
        if self.failures[far] >= 3 and not any(p.state == READY and p.far == far for p in self.all()):
            if far:
                self.refused_far = why
            else:
                self.refused = why

    def all(self) -> list[Plan]:
        """The plans, the one used last at the end."""
        with self._lock:
            return list(self._plans.values())

    def wait(self) -> None:
        """Wait for the compilers that run: for tests and measurements, no part of a program's way."""
        for job in list(self.jobs):
            job.wait()

    def forget(self) -> None:
        """Start anew, as after the start of the process."""
        with self._lock:
            self._plans.clear()
            self._places.clear()
            self.compiled, self.failures, self.refused_far = 0, [0, 0], ""
            self.threaded = True
            if compiler() is not None:
                self.refused = ""


plans = Plans()
