"""Which array library computes: NumPy, or CuPy for arrays on a GPU. The only file that imports CuPy."""

from __future__ import annotations

import functools
import importlib
import re
from contextvars import ContextVar
from typing import Any

import numpy as np

from engine.located import located

Array = Any  # numpy.ndarray or cupy.ndarray


class Device:
    """Where an array lives: `Device("cpu")`, `Device("cuda", 0)`; prints as PyTorch writes it."""

    __slots__ = ("index", "type")

    def __init__(self, type: str, index: int | None = None) -> None:
        match = re.fullmatch(r"(cpu|cuda)(?::(\d+))?", str(type))
        if match is None:
            raise located(ValueError(f'no device {type!r}; there are "cpu", "cuda" and "cuda:N"'))
        self.type = match[1]
        number = int(match[2]) if match[2] else index
        self.index = number if number is not None else (None if self.type == "cpu" else 0)

    def __enter__(self) -> Device:
        """Tensors made of numbers in the block are made here."""
        _given.set((*_given.get(), self if self.type == "cpu" else usable(self)))
        return self

    def __exit__(self, *_: object) -> None:
        _given.set(_given.get()[:-1])

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


CPU = Device("cpu")
# Where new tensors are made, the latest last: `set_default_device`, then each `with device:` the program is in.
_given: ContextVar[tuple[Device, ...]] = ContextVar("devices", default=(CPU,))


def usable(device: Device) -> Device:
    """The same device. Raises `RuntimeError` where it is a GPU that is not there."""
    if device.type == "cuda":
        count = require_cupy().cuda.runtime.getDeviceCount()
        if device.index is None or device.index >= count:
            raise located(
                RuntimeError(f"there is no {device}: this machine has {count} GPU{'s'[: count != 1]}")
            )
    return device


def default_device() -> Device:
    """Where tensors are made that are told no device."""
    return _given.get()[-1]


def set_default(device: Device) -> None:
    """Make them there from now on, outside every `with device:`."""
    _given.set((usable(device), *_given.get()[1:]))


def placed(array: Array, device: Device | str | int | None = None) -> Array:
    """A newly made `array` where it was asked for, or where new tensors are made."""
    if device is None:
        device = _given.get()[-1]
        if device is CPU:
            return array
    return move(array, device)


@functools.cache
def cupy() -> Any:
    """The cupy module where CuPy is installed and a GPU answers, else None."""
    try:
        module = importlib.import_module("cupy")
        # cupy.is_available() raises by itself on a machine with no driver, so the driver is asked directly.
        return module if module.cuda.runtime.getDeviceCount() > 0 else None
    except Exception:  # noqa: BLE001 - a missing or broken driver shows up as one of many exceptions
        return None


def require_cupy() -> Any:
    """The cupy module. Raises `RuntimeError` that says what to install where it cannot be used."""
    module = cupy()
    if module is None:
        raise located(
            RuntimeError(
                "there is no usable CUDA device: CuPy is not installed or finds no GPU; "
                'install the extra that fits the driver: pip install "dsviz[cuda11]", "dsviz[cuda12]" or "dsviz[cuda13]"'
            )
        )
    return module


def is_array(value: object) -> bool:
    """Whether `value` is a NumPy or CuPy array."""
    return isinstance(value, np.ndarray) or type(value).__module__.startswith("cupy")


# The module of each type of array that was met.
_spaces: dict[type, Any] = {np.ndarray: np}


def namespace(array: Array) -> Any:
    """The module (numpy or cupy) that made `array`."""
    kind = type(array)
    found = _spaces.get(kind)
    if found is None:
        found = np if isinstance(array, (np.ndarray, np.generic)) else require_cupy()
        if found is np or kind is found.ndarray:
            _spaces[kind] = found
    return found


def device_of(array: Array) -> Device:
    """The device `array` lives on."""
    return CPU if isinstance(array, (np.ndarray, np.generic)) else _gpu(array.device.id)


@functools.cache
def _gpu(index: int) -> Device:
    return Device("cuda", index)


def as_device(device: Device | str | int) -> Device:
    """A device from its name, or from the number of a GPU."""
    if isinstance(device, Device):
        return device
    return Device("cuda", device) if isinstance(device, int) else Device(device)


def move(array: Array, device: Device | str | int) -> Array:
    """`array` on `device`; the same object when it is there already."""
    device = as_device(device)
    if device.type == "cpu":
        return array if isinstance(array, np.ndarray) else require_cupy().asnumpy(array)
    xp = require_cupy()
    if not isinstance(array, np.ndarray) and array.device.id == device.index:
        return array
    with xp.cuda.Device(device.index):
        return xp.asarray(array)


def arrived(value: Any, xp: Any) -> Array:
    """What an op gave, as an array: itself when it is one, wherever it lives, else one of `xp`."""
    return value if is_array(value) else xp.asarray(value)


def writeable(array: Array) -> bool:
    """Whether it can be written to; CuPy's arrays all can."""
    return bool(getattr(array.flags, "writeable", True))


def owner(array: Array) -> Array:
    """The array that owns the memory `array` is a view of; itself when it owns it."""
    base = array.base
    while base is not None and is_array(base):
        array, base = base, base.base
    return array
