"""Which turn of the training loop is running: a new one begins at the first forward op after a backward
pass or an optimizer step. A gradient that is itself to be differentiated (`grad` with `create_graph`) ends none."""

from __future__ import annotations

from engine.bus import bus


class IterationCount:
    """`index` counts from 0; `closed`: the next forward op begins another one."""

    __slots__ = ("closed", "index")

    def __init__(self) -> None:
        self.index = 0
        self.closed = False

    @property
    def coming(self) -> int:
        """The iteration that a forward op would belong to if one ran now."""
        return self.index + self.closed

    def forward(self) -> None:
        """A forward op is about to run."""
        if self.closed:
            self.closed = False
            self.index += 1
            bus.emit("iteration", self.index)

    def backward(self) -> None:
        """A backward pass begins."""
        if self.closed and not bus.active:
            # Nobody was looking at the forward ops between two backward passes, but there were some.
            self.index += 1
        self.closed = True

    def step(self) -> None:
        """An optimizer made its step."""
        self.closed = True


iteration = IterationCount()
