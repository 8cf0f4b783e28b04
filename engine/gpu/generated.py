"""Generated kernels on a GPU: compiled by a thread beside the program, and launched.

CuPy's compiler runs without holding Python up, and CuPy keeps what it made on disk.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Sequence
from typing import Any

from engine.backend import cupy, require_cupy
from engine.gpu.launch import bare
from engine.jit.cuda import MOST
from engine.jit.passes import Traits

# As the ops one by one compute: nothing is contracted.
FLAGS = ("-std=c++17", "--fmad=false")
THREADS, BLOCKS = 256, 4096
WARP = 32
SHORT = 512  # the longest row that a warp does alone
SHORT_SUMMED = 128  # the same where there are sums over all rows
TEAMS = 512  # blocks that make a part of a sum over all rows each
# A row longer than this is more than a block does in good time, unless there are as many rows as the GPU is wide.
LONGEST, FEW = 1 << 16, 128


def refused() -> str:
    """Why nothing can be compiled for the GPU; "" where it can."""
    return "" if hasattr(cupy(), "RawModule") else "there is no compiler for the GPU"


class Compilation:
    """A compiler at work on `text`, as `engine.native.compiler.Compilation` is for C."""

    def __init__(self, text: str) -> None:
        self.name = hashlib.sha256("\0".join((*FLAGS, text)).encode()).hexdigest()[:40]
        self.cached = False
        self.error = ""
        self.library: Any = None
        self._module: Any = None
        self._text = text
        self._device = require_cupy().cuda.runtime.getDevice()
        # Waited for at the end of the program, which takes a fraction of a second: no compiler is cut off in the middle.
        self._thread = threading.Thread(target=self._make, name="compiles for the GPU")
        self._thread.start()

    def _make(self) -> None:
        module = require_cupy()
        try:
            with module.cuda.Device(self._device):
                made = module.RawModule(code=self._text, options=FLAGS)
                made.get_function("forward")
            self._module = made
        except Exception as error:  # noqa: BLE001 - whatever it is, the ops do it one by one
            said = str(error).strip().splitlines()
            self.error = f"CUDA's compiler: {said[0] if said else repr(error)}"

    def poll(self) -> bool:
        """Whether it has ended, well (`library`) or not (`error`). Never waits."""
        if self._thread.is_alive():
            return False
        self.library = self._module
        if self.library is None and not self.error:  # a child of the program after fork has no such thread
            self.error = "the process was forked while it compiled"
        return True

    def wait(self) -> None:
        """Wait for the end, for tests and for who asks for it."""
        self._thread.join()
        self.poll()


class Kernel:
    """One generated kernel: `kernel(arrays in, arrays out, numbers, rows, row)`."""

    __slots__ = ("_function", "_join", "_single", "_traits")

    def __init__(self, module: Any, name: str, traits: Traits, kind: str) -> None:
        self._function = bare(module.get_function(name))
        self._join: Any = bare(module.get_function(f"{name}_join")) if traits.columns else None
        self._traits = traits
        self._single = "d" if kind == "d" else "f"

    def serves(self, rows: int, row: int) -> bool:
        """Whether it is a good way to compute so many rows of this length."""
        return not self._traits.reduces or row <= LONGEST or rows >= FEW

    def __call__(self, given: Sequence[Any], made: Sequence[Any], numbers: Any, rows: int, row: int) -> None:
        """Fill `made`."""
        traits = self._traits
        numbers = [float(n) for n in numbers[: traits.numbers]]
        grid, block = extent(traits, rows, row)
        if not traits.columns:
            self._function(grid, block, (*given, *made, *numbers, rows, row))
            return
        teams = grid[0] * block[1]
        columns = [made[i] for i in traits.columns]
        others = [array for i, array in enumerate(made) if i not in traits.columns]
        parts = require_cupy().empty(len(columns) * teams * row, self._single)
        self._function(grid, block, (*given, *others, parts, *numbers, rows, row))
        lines = max(1, min(WARP, teams // 4))
        self._join(
            (-(-row // WARP), len(columns), 1),
            (WARP, lines, 1),
            (parts, *columns, teams, min(teams, rows), row),
        )


@functools.lru_cache(maxsize=1024)
def extent(traits: Traits, rows: int, row: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Blocks and threads: along the columns first, then over the rows.

    >>> extent(Traits(False, True, ()), 1000, 100)
    ((125, 1, 1), (32, 8, 1))
    """
    if traits.flat:
        return (min(BLOCKS, -(-rows * row // THREADS)), 1, 1), (THREADS, 1, 1)
    across = 1
    if traits.reduces:
        wide = (
            WARP if row <= (SHORT_SUMMED if traits.columns else SHORT) else min(MOST, -(-row // 128) * WARP)
        )
        high = 8 if wide == WARP else 1
    else:
        wide = min(THREADS, -(-row // WARP) * WARP)
        high = THREADS // wide
        across = min(65535, max(1, row // (4 * wide)))
    blocks = -(-rows // high)
    return (min(blocks, TEAMS if traits.columns else 1 << 20), across, 1), (wide, high, 1)
