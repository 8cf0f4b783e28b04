"""What a program asks about the device to compute on, whichever that is, under PyTorch's names: a GPU, or none.

>>> device = current_accelerator().type if is_available() else "cpu"
>>> device in ("cpu", "cuda")
True
"""

from __future__ import annotations

from engine import cuda
from engine.backend import Device

__all__ = [
    "current_accelerator", "current_device_index", "device_count", "is_available", "set_device_index", "synchronize",
]  # fmt: skip

is_available = cuda.is_available
device_count = cuda.device_count
current_device_index = cuda.current_device
set_device_index = cuda.set_device
synchronize = cuda.synchronize


def current_accelerator(check_available: bool = False) -> Device | None:
    """The device "cuda" where a GPU answers, None without one; `check_available` is PyTorch's and changes nothing here."""
    return Device("cuda") if is_available() else None
