"""What a program asks about the device to compute on, whichever that is, under PyTorch's names: a GPU, or none.

>>> device = current_accelerator().type if is_available() else "cpu"
>>> device in ("cpu", "cuda")
True
"""

from __future__ import annotations

from typing import Any

from engine import cuda
from engine.backend import Device

__all__ = [
    "current_accelerator", "current_device_index", "device_count", "is_available", "set_device_index", "synchronize",
]  # fmt: skip

is_available = cuda.is_available
device_count = cuda.device_count
current_device_index = cuda.current_device


def current_accelerator(check_available: bool = False) -> Device | None:
    """The device "cuda" where a GPU answers, None without one; `check_available` is PyTorch's and changes nothing here."""
    return Device("cuda") if is_available() else None


def set_device_index(device: Any) -> None:
    """Use this GPU from now on. Raises `RuntimeError` without one."""
    cuda.set_device(device)


def synchronize(device: Any = None) -> None:
    """Wait until a GPU has done what it was given."""
    cuda.synchronize(device)
