"""Signals that ask the command to end, told to whoever runs it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


class Interrupted(BaseException):
    """The command was asked to end by signal `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def interrupts(tell: Callable[[int], object]) -> Iterator[None]:
    """Within this, Ctrl-C and its kin call `tell(number)` in the main thread instead of ending Python.

    Ignored signals stay ignored: `nohup dsviz run ...` outlives its terminal.
    """
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    numbers = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, lambda got, _frame: tell(int(got))) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def raise_once() -> Callable[[int], None]:
    """A `tell` that raises Interrupted the first time: what follows must not disturb the cleaning up."""
    told = False

    def tell(number: int) -> None:
        nonlocal told
        if not told:
            told = True
            raise Interrupted(number)

    return tell


def exit_status(status: int | None) -> int:
    """A program's status as a shell would tell it: 128 + the signal's number where one ended it.

    >>> exit_status(3), exit_status(-9)
    (3, 137)
    """
    if status is None:
        return 1
    return 128 - status if status < 0 else status
