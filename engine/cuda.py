"""What a program asks about the GPU, under PyTorch's names. Without one, it is told so and nothing else fails.

Memory is that of CuPy's pool, from which all arrays on the GPU come.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from engine import amp, late, random
from engine.backend import cupy, require_cupy

__all__ = [
    "Event", "amp", "current_device", "device_count", "empty_cache", "get_device_capability", "get_device_name", "get_device_properties", "graphed",
    "is_available", "is_bf16_supported", "is_initialized", "manual_seed", "manual_seed_all", "max_memory_allocated", "mem_get_info",
    "memory_allocated", "memory_reserved", "reset_peak_memory_stats", "set_device", "synchronize",
]  # fmt: skip

_peak = 0


def is_available() -> bool:
    """Whether CuPy is installed and a GPU answers."""
    return cupy() is not None


def is_initialized() -> bool:
    """As `is_available`: there is nothing to set up."""
    return is_available()


def device_count() -> int:
    """How many GPUs there are."""
    module = cupy()
    return 0 if module is None else int(module.cuda.runtime.getDeviceCount())


def current_device() -> int:
    """The number of the GPU in use. Raises `RuntimeError` without one."""
    return int(require_cupy().cuda.runtime.getDevice())


def set_device(device: Any) -> None:
    """Use this GPU from now on. Raises `RuntimeError` without one."""
    require_cupy().cuda.Device(_number(device)).use()


def _number(device: Any) -> int:
    """The number in 1, "cuda:1" or a device."""
    return int(str(getattr(device, "index", device)).rpartition(":")[2])


def _index(device: Any) -> int:
    return current_device() if device is None else _number(device)


def get_device_name(device: Any = None) -> str:
    """Its name. Raises `RuntimeError` without one."""
    module = require_cupy()
    return str(module.cuda.runtime.getDeviceProperties(_index(device))["name"].decode())


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Major and minor compute capability. Raises `RuntimeError` without a GPU."""
    text = str(require_cupy().cuda.Device(_index(device)).compute_capability)
    return int(text[:-1]), int(text[-1])


def is_bf16_supported() -> bool:
    """Whether the GPU computes in bfloat16."""
    return is_available() and get_device_capability() >= (8, 0)


def synchronize(device: Any = None) -> None:
    """Wait until the GPU has done all it was given. Raises `RuntimeError` without one."""
    late.settle()
    require_cupy().cuda.runtime.deviceSynchronize()


def empty_cache() -> None:
    """Give memory that nobody uses back to the GPU. Nothing to do without one."""
    module = cupy()
    if module is not None:
        module.get_default_memory_pool().free_all_blocks()


def memory_allocated(device: Any = None) -> int:
    """Bytes in use on the GPU; 0 without one."""
    global _peak
    module = cupy()
    used = 0 if module is None else int(module.get_default_memory_pool().used_bytes())
    _peak = max(_peak, used)
    return used


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that `memory_allocated` has seen when it was asked; CuPy keeps no peak of its own."""
    memory_allocated()
    return _peak


def reset_peak_memory_stats(device: Any = None) -> None:
    """Forget the peak."""
    global _peak
    _peak = 0


def memory_reserved(device: Any = None) -> int:
    """Bytes taken from the GPU, used or not; 0 without one."""
    module = cupy()
    return 0 if module is None else int(module.get_default_memory_pool().total_bytes())


def graphed(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as one launch on a GPU; `engine.gpu.capture.graphed` says what it asks of it.

    >>> graphed(abs)(-3)
    3
    """
    from engine.gpu import capture  # a program on the CPU does not wait for it

    return capture.graphed(function)


class Event:
    """A moment among what the GPU was given: `record` it, and ask how long it was between two.

    Raises `RuntimeError` without a GPU.
    """

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        self._event = require_cupy().cuda.Event(block=blocking, disable_timing=not enable_timing)

    def record(self, stream: Any = None) -> None:
        """Put the moment behind all that was given so far."""
        self._event.record()

    def synchronize(self) -> None:
        """Wait until the GPU has come to it."""
        self._event.synchronize()

    def query(self) -> bool:
        """Whether it has."""
        return bool(self._event.done)

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from here to `end_event`; both have to be over."""
        return float(require_cupy().cuda.get_elapsed_time(self._event, end_event._event))


def get_device_properties(device: Any = None) -> SimpleNamespace:
    """Its `name`, `total_memory` in bytes, `major` and `minor` of its capability, `multi_processor_count`.

    Raises `RuntimeError` without a GPU.
    """
    said = require_cupy().cuda.runtime.getDeviceProperties(_index(device))
    return SimpleNamespace(
        name=said["name"].decode(),
        total_memory=int(said["totalGlobalMem"]),
        major=int(said["major"]),
        minor=int(said["minor"]),
        multi_processor_count=int(said["multiProcessorCount"]),
    )


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Bytes of the GPU that nobody has, and all it has. Raises `RuntimeError` without one."""
    free, total = require_cupy().cuda.runtime.memGetInfo()
    return int(free), int(total)


def __getattr__(name: str) -> Any:
    """The constructors of PyTorch's early days, `cuda.FloatTensor` and its like."""
    from engine.also import KINDS, old

    if name not in KINDS:
        raise AttributeError(f"module 'engine.cuda' has no attribute {name!r}")
    return old(name, KINDS[name], "cuda")


def manual_seed(seed: int) -> None:
    """Seed the generator that the engine draws from, which is one for all devices."""
    random.manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """As `manual_seed`."""
    random.manual_seed(seed)
