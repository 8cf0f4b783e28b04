"""Which turn of the training loop is running: a new one begins at the first forward op after a backward
pass or an optimizer step."""

from __future__ import annotations

from engine.bus import bus


class IterationCount:
    """`index` counts from 0."""

    __slots__ = ("_closed", "index")

    def __init__(self) -> None:
        self.index = 0
        self._closed = False

    @property
    def coming(self) -> int:
        """The iteration that a forward op would belong to if one ran now."""
        return self.index + self._closed

    def forward(self) -> None:
        """A forward op is about to run."""
        if self._closed:
            self._closed = False
            self.index += 1
            bus.emit("iteration", self.index)

    def backward(self) -> None:
        """A backward pass begins."""
        if self._closed and not bus.active:
            # Nobody was looking at the forward ops between two backward passes, but there were some.
            self.index += 1
        self._closed = True

    def step(self) -> None:
        """An optimizer made its step."""
        self._closed = True


iteration = IterationCount()
