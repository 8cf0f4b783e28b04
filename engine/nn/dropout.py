"""Dropout."""

from __future__ import annotations

from typing import Any

from engine.creation import ones
from engine.located import located
from engine.module import Module
from engine.ops.arithmetic import mul
from engine.ops.inplace import over
from engine.ops.noise import dropout
from engine.tensor import Tensor


class Dropout(Module):
    """Zeroes each element with probability `p` while training, and scales the rest by 1 / (1 - p)."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        if not 0.0 <= p <= 1.0:
            raise located(ValueError(f"p is a probability, 0 to 1, got {p}"))
        self.p, self.inplace = p, inplace

    def forward(self, input: Any) -> Tensor:
        """`input` with some elements zeroed."""
        return dropout(input, self.p, self.training, inplace=self.inplace)

    def extra_repr(self) -> str:
        """The options."""
        return f"p={self.p}, inplace={self.inplace}"


class _ChannelDropout(Dropout):
    def forward(self, input: Any) -> Tensor:
        """`input` [batch, channels, ...] with some channels zeroed."""
        if not self.training or self.p == 0:
            return input  # type: ignore[no-any-return]
        spread = (1,) * (len(input.shape) - 2)
        mask = ones(*input.shape[:2], *spread, dtype=input.dtype, device=input.device)
        kept = dropout(mask, self.p)
        return over(input, mul, kept) if self.inplace else mul(input, kept)


class Dropout1d(_ChannelDropout):
    """Zeroes whole channels of [batch, channels, length] with probability `p` while training."""


class Dropout2d(_ChannelDropout):
    """Zeroes whole channels of [batch, channels, height, width] with probability `p` while training."""


class Dropout3d(_ChannelDropout):
    """Zeroes whole channels of [batch, channels, depth, height, width] with probability `p` while training."""
