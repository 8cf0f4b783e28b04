"""Padding as modules."""

from __future__ import annotations

from typing import Any

from engine.located import located
from engine.module import Module
from engine.ops.pad import pad
from engine.tensor import Tensor

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d",
    "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d",
    "ReplicationPad3d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip


class _Pad(Module):
    rank = 1
    mode = "constant"
    value = 0.0

    def __init__(self, padding: Any) -> None:
        self.padding = (padding,) * (2 * self.rank) if isinstance(padding, int) else tuple(padding)
        if len(self.padding) != 2 * self.rank:
            raise located(
                ValueError(
                    f"{type(self).__name__} needs one size, or {2 * self.rank} (before and after, the last dimension "
                    f"first), got {padding!r}"
                )
            )

    def forward(self, input: Any) -> Tensor:
        """[batch, channels, ...] with its last dimensions made longer."""
        return pad(input, self.padding, self.mode, self.value if self.mode == "constant" else None)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.padding}"


class _Constant(_Pad):
    def __init__(self, padding: Any, value: float = 0.0) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        """The sizes, and the number there."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_Constant):
    """`value` before and after the last dimension."""


class ConstantPad2d(_Constant):
    """`value` around the last two dimensions."""

    rank = 2


class ConstantPad3d(_Constant):
    """`value` around the last three dimensions."""

    rank = 3


class ZeroPad1d(_Pad):
    """Zeros before and after the last dimension."""


class ZeroPad2d(_Pad):
    """Zeros around the last two dimensions."""

    rank = 2


class ZeroPad3d(_Pad):
    """Zeros around the last three dimensions."""

    rank = 3


class ReflectionPad1d(_Pad):
    """The last dimension reflected at its ends."""

    mode = "reflect"


class ReflectionPad2d(_Pad):
    """The last two dimensions reflected at their ends."""

    rank, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """The last three dimensions reflected at their ends."""

    rank, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """The border of the last dimension repeated."""

    mode = "replicate"


class ReplicationPad2d(_Pad):
    """The border of the last two dimensions repeated."""

    rank, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """The border of the last three dimensions repeated."""

    rank, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """The last dimension continued from its other end."""

    mode = "circular"


class CircularPad2d(_Pad):
    """The last two dimensions continued from their other ends."""

    rank, mode = 2, "circular"


class CircularPad3d(_Pad):
    """The last three dimensions continued from their other ends."""

    rank, mode = 3, "circular"
