"""What a program sets once for all: how tensors print, and what PyTorch's scripts set that needs nothing here."""

from __future__ import annotations

from typing import Any

from engine import backend
from engine.backend import Device
from engine.backends import cuda
from engine.config import current
from engine.located import located

__all__ = [
    "are_deterministic_algorithms_enabled", "get_default_device", "get_float32_matmul_precision",
    "is_autocast_enabled", "set_default_device", "set_float32_matmul_precision", "set_printoptions", "typename",
    "use_deterministic_algorithms",
]  # fmt: skip

_deterministic = False
_precision = "highest"
# How numbers print.
printing: dict[str, Any] = {
    "precision": 4,
    "threshold": 1000,
    "edgeitems": 3,
    "linewidth": 80,
    "sci_mode": None,
}
_PROFILES = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": 2**62, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: int | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors print: digits, from how many elements on they are summed up, how many are shown at the ends.

    `profile` is "default", "short" or "full"; the others change it. Raises `ValueError` for another one.

    >>> import engine as ds
    >>> ds.set_printoptions(precision=2)
    >>> ds.tensor([1.23456])
    tensor([1.23])
    >>> ds.set_printoptions(profile="default")
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise located(ValueError(f"profile has to be one of {', '.join(_PROFILES)}, got {profile!r}"))
        printing.update(_PROFILES[profile])
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    printing.update({name: value for name, value in given.items() if value is not None})
    printing["sci_mode"] = sci_mode


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """The same bits each time, of a GPU's convolutions too where `backends.cudnn.deterministic` was switched off.

    On the CPU the same program gives the same bits whatever this says.
    """
    global _deterministic
    _deterministic = bool(mode)


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` said last."""
    return _deterministic


def set_float32_matmul_precision(precision: str) -> None:
    """Whether a GPU may round float32 to TF32 before it multiplies two matrices: "highest" forbids it.

    It is the same switch as `backends.cuda.matmul.allow_tf32`. On the CPU float32 products are always whole.
    Raises `ValueError` for an unknown word.
    """
    global _precision
    if precision not in ("highest", "high", "medium"):
        raise located(ValueError(f"precision has to be 'highest', 'high' or 'medium', got {precision!r}"))
    _precision = precision
    cuda.matmul.allow_tf32 = precision != "highest"


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` said last."""
    return _precision


def set_default_device(device: Any) -> None:
    """Where tensors are made that are told no device: `None` is the CPU. `with ds.device("cuda"):` does it for a block.

    Raises `RuntimeError` where there is no such device.
    """
    backend.set_default(backend.CPU if device is None else backend.as_device(device))


def get_default_device() -> Device:
    """Where tensors are made that are told no device."""
    return backend.default_device()


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether ops compute in float16 where that is safe."""
    return current().amp


def typename(o: Any) -> str:
    """The name of its type, with the module."""
    return f"{type(o).__module__}.{type(o).__qualname__}"
