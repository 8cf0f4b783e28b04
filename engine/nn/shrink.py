"""Activations with a threshold, and dropout that goes with selu, as modules."""

from __future__ import annotations

from typing import Any

from engine.located import located
from engine.module import Module
from engine.ops import shrink
from engine.ops.activation import softmax
from engine.tensor import Tensor

__all__ = [
    "AlphaDropout", "FeatureAlphaDropout", "Hardshrink", "RReLU", "Softmax2d", "Softmin", "Softshrink", "Tanhshrink",
    "Threshold",
]  # fmt: skip


class Softmin(Module):
    """softmax(-x) along `dim`."""

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def forward(self, input: Any) -> Tensor:
        """Of `input`'s shape."""
        return shrink.softmin(input, self.dim)


class Softmax2d(Module):
    """softmax over the channels of [batch, channels, height, width]."""

    def forward(self, input: Any) -> Tensor:
        """Of `input`'s shape."""
        if len(input.shape) not in (3, 4):
            raise located(
                ValueError(f"Softmax2d needs [batch, channels, height, width], got {list(input.shape)}")
            )
        return softmax(input, -3)


class Tanhshrink(Module):
    """x - tanh(x)."""

    def forward(self, input: Any) -> Tensor:
        """Element by element."""
        return shrink.tanhshrink(input)


class Hardshrink(Module):
    """x where it is more than `lambd` from 0, else 0."""

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def forward(self, input: Any) -> Tensor:
        """Element by element."""
        return shrink.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """The width."""
        return f"{self.lambd}"


class Softshrink(Module):
    """x moved towards 0 by `lambd`."""

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def forward(self, input: Any) -> Tensor:
        """Element by element."""
        return shrink.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """The width."""
        return f"{self.lambd}"


class Threshold(Module):
    """x where it is above `threshold`, else `value`."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        self.threshold, self.value = threshold, value
        self.inplace = inplace

    def forward(self, input: Any) -> Tensor:
        """Element by element."""
        return shrink.threshold(input, self.threshold, self.value, inplace=self.inplace)


class RReLU(Module):
    """Leaky ReLU with a slope drawn between `lower` and `upper` while training."""

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        self.lower, self.upper = lower, upper
        self.inplace = inplace

    def forward(self, input: Any) -> Tensor:
        """Element by element."""
        return shrink.rrelu(input, self.lower, self.upper, self.training, inplace=self.inplace)


class AlphaDropout(Module):
    """Dropout that keeps mean and variance, for networks of selu."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        if not 0.0 <= p <= 1.0:
            raise located(ValueError(f"p is a probability, 0 to 1, got {p}"))
        self.p = p
        self.inplace = inplace

    def forward(self, input: Any) -> Tensor:
        """`input` with some elements at selu's limit."""
        return shrink.alpha_dropout(input, self.p, self.training, inplace=self.inplace)


class FeatureAlphaDropout(AlphaDropout):
    """`AlphaDropout` of whole channels."""

    def forward(self, input: Any) -> Tensor:
        """`input` with some channels at selu's limit."""
        return shrink.feature_alpha_dropout(input, self.p, self.training, self.inplace)
