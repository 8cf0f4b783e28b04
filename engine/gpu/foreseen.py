"""On a GPU what `engine.foreseen` has on the CPU: a normalisation that was not written down, as long as nobody looks."""

from __future__ import annotations

from typing import Any

from engine.gpu import batch
from engine.gpu.layout import lie
from engine.pending import Unwritten


class Normalised(Unwritten):
    """A normalisation's result that was not written down: how to compute it, its relu, and its sum with something.

    `stats` holds all that is needed beside the input, parameters as they were too: an optimizer may change them before
    somebody looks.
    """

    __slots__ = ("input", "relu", "stats")

    def __init__(self, input: Any, stats: Any, relu: Any) -> None:
        self.input, self.stats = input, stats
        self.relu: Any = relu  # until it is taken

    def value(self) -> Any:
        """The normalised input."""
        return batch.applied(self.input, None, None, self.stats)

    def rectified(self) -> Any:
        """The relu of the value."""
        return batch.applied(self.input, None, None, self.stats, relu=True)

    def added(self, other: Any, relu: bool) -> Any:
        """The sum of the value and `other`, or the relu of that."""
        return batch.applied(self.input, None, None, self.stats, relu=relu, more=lie(other, True))


def normalise(arrays: list[Any], momentum: float, eps: float, relu: bool) -> Normalised | None:
    """Of x, running mean and variance, weight and bias: what is to come, its relu computed where a relu follows."""
    x, running_mean, running_var, weight, bias = arrays
    if not batch.takes(x, weight, bias, running_mean, running_var):
        return None
    stats, parts = batch.room(x), batch.statistics(x)
    made = batch.applied(
        x, weight, bias, stats, parts, running_mean, running_var, momentum, eps, relu, written=relu
    )
    return Normalised(x, stats, made)
