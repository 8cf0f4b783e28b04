"""A GPU as each framework sees it: made ready, waited for, its memory asked, its name and versions told.

`python -m dsviz.bench.gpu torch` prints what `told` finds, in a process that ends: one that only compares keeps no
context on the GPU.
"""

from __future__ import annotations

import importlib
import json
import platform
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from typing import Any

from dsviz.bench.contestants import CONTESTANTS, MINE, OURS
from dsviz.bench.setting import PRECISIONS
from dsviz.bench.workloads import Step
from engine.backend import require_cupy
from engine.pool import pool as parked

MIB = 1 << 20
ANY = "any of cuDNN's algorithms (cudnn.deterministic = False)"


class Gpu(ABC):
    """What both frameworks have under the same names. `unused` is what the GPU had free when its context was made."""

    def __init__(self, lib: Any) -> None:
        self.lib = lib
        lib.cuda.synchronize()
        self.unused = self.free()

    def set(self, precision: str) -> None:
        """Products and convolutions in full float32, or with inputs rounded as TF32 has them.

        Convolutions by whatever cuDNN thinks fastest, as PyTorch has it and this engine does when it is told.
        """
        self.lib.backends.cudnn.deterministic = False
        allowed = precision == "tf32"
        self.lib.backends.cuda.matmul.allow_tf32 = allowed
        self.lib.backends.cudnn.allow_tf32 = allowed

    @abstractmethod
    def free(self) -> int:
        """Bytes of the GPU that no process has."""

    @abstractmethod
    def reserved(self) -> int:
        """The most bytes that the allocator has had of the GPU since `clear`."""

    @abstractmethod
    def clear(self) -> None:
        """Give back what nobody uses, and count anew."""

    @abstractmethod
    def peak(self, step: Step) -> int:
        """The most bytes of the allocator in use at one time during two steps."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Of all that computes."""

    def memory(self) -> dict[str, float]:
        """What is `reserved`, and what the `device` has lost since there was a context, kernels and all, in MiB."""
        self.lib.cuda.synchronize()
        return {"reserved": self.reserved() / MIB, "device": (self.unused - self.free()) / MIB}


class Ours(Gpu):
    """This engine on CuPy."""

    def __init__(self, lib: Any) -> None:
        self.cupy = require_cupy()
        self.pool = self.cupy.get_default_memory_pool()
        super().__init__(lib)

    def free(self) -> int:
        """From the driver."""
        return int(self.cupy.cuda.runtime.memGetInfo()[0])

    def reserved(self) -> int:
        """The pool gives nothing back by itself: what it has now was its most."""
        return int(self.pool.total_bytes())

    def clear(self) -> None:
        """The engine's parked buffers, then the pool's."""
        parked.clear()
        self.pool.free_all_blocks()

    def peak(self, step: Step) -> int:
        """The pool keeps no peak, so each block is followed."""
        live = most = int(self.pool.used_bytes())

        class Follow(self.cupy.cuda.MemoryHook):  # type: ignore[misc, name-defined]
            def malloc_postprocess(self, **seen: Any) -> None:
                nonlocal live, most
                live += seen["mem_size"]
                most = max(most, live)

            def free_postprocess(self, **seen: Any) -> None:
                nonlocal live
                live -= seen["mem_size"]

        with Follow():
            step()
            step()
        return most

    def versions(self) -> dict[str, str]:
        """Of CuPy and the CUDA it brings."""
        made = int(self.cupy.cuda.runtime.runtimeGetVersion())
        return {"dsviz": self.lib.__version__, "CuPy": self.cupy.__version__, "its CUDA": f"{made // 1000}.{made % 1000 // 10}"}  # fmt: skip


class Theirs(Gpu):
    """PyTorch. Raises `RuntimeError` where it has no GPU."""

    def __init__(self, lib: Any) -> None:
        if not lib.cuda.is_available():
            why = "is no CUDA build" if lib.version.cuda is None else "finds no CUDA device"
            raise RuntimeError(f"PyTorch {lib.__version__} {why}")
        super().__init__(lib)

    def free(self) -> int:
        """From the driver."""
        return int(self.lib.cuda.mem_get_info()[0])

    def reserved(self) -> int:
        """PyTorch's own count."""
        return int(self.lib.cuda.max_memory_reserved())

    def clear(self) -> None:
        """The allocator's blocks and its counts."""
        self.lib.cuda.empty_cache()
        self.lib.cuda.reset_peak_memory_stats()

    def peak(self, step: Step) -> int:
        """PyTorch's own count."""
        self.lib.cuda.reset_peak_memory_stats()
        step()
        step()
        return int(self.lib.cuda.max_memory_allocated())

    def versions(self) -> dict[str, str]:
        """Of PyTorch and the CUDA and cuDNN it brings."""
        return {
            "PyTorch": str(self.lib.__version__), "its CUDA": str(self.lib.version.cuda),
            "cuDNN": str(self.lib.backends.cudnn.version()),
        }  # fmt: skip


def gpu_of(name: str) -> Gpu:
    """The GPU as a contestant's framework sees it. Raises `RuntimeError` where it sees none."""
    lib = importlib.import_module(OURS if name in MINE else CONTESTANTS[name].needs)
    return Ours(lib) if name in MINE else Theirs(lib)


def told(name: str) -> dict[str, Any]:
    """`why` a contestant cannot use the GPU, "" where it can; then its `device`, `memory_mib` and `versions`."""
    try:
        gpu = gpu_of(name)
        return {
            "why": "", "device": gpu.lib.cuda.get_device_name(), "free_mib": gpu.unused / MIB,
            "versions": gpu.versions(),
        }  # fmt: skip
    except Exception as problem:  # noqa: BLE001 - a missing or broken driver shows up as one of many exceptions
        said = (str(problem).strip().splitlines() or [""])[0]
        return {"why": said if isinstance(problem, RuntimeError) else f"{type(problem).__name__}: {said}"}


def asked(names: list[str]) -> dict[str, dict[str, Any]]:
    """`told` of each, from a process of its own: two libraries of CUDA need not get on in one."""
    found = {}
    for name in names:
        words = [sys.executable, "-m", "dsviz.bench.gpu", name]
        ran = subprocess.run(words, capture_output=True, text=True, check=False)
        lines = ran.stdout.strip().splitlines()
        if ran.returncode or not lines:
            last = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
            found[name] = {"why": f"asking for the GPU ended with status {ran.returncode}: {last}"}
        else:
            found[name] = json.loads(lines[-1])
    return found


def driver() -> str:
    """The driver's version, "" where `nvidia-smi` is not there to be asked."""
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return ""
    words = [smi, "--query-gpu=driver_version", "--format=csv,noheader"]
    lines = subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()
    return lines[0] if lines else ""


def described(found: dict[str, dict[str, Any]], precision: str) -> str:
    """One line that says on what GPU, with which libraries and in what precision."""
    first = next(facts for facts in found.values() if not facts["why"])
    parts = [first["device"]] + ([f"driver {driver()}"] if driver() else [])
    for facts in found.values():
        if not facts["why"]:
            (who, version), *rest = facts["versions"].items()
            inside = ", ".join(f"{key.removeprefix('its ')} {value}" for key, value in rest)
            parts.append(f"{who} {version} ({inside})")
    return ", ".join([*parts, f"Python {platform.python_version()}", ANY, PRECISIONS[precision]])


if __name__ == "__main__":
    print(json.dumps(told(sys.argv[1])))
