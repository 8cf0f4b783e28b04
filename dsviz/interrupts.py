"""Signals that ask the command to end, told to whoever runs it."""

from __future__ import annotations

import contextlib
import queue
import signal
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

TICK = 0.5  # seconds a signal may wait where the main thread was not woken for it
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


def heard(news: queue.SimpleQueue[T]) -> T:
    """The next of `news`, to which signals are put by their handlers (so only this kind of queue will do).

    Python runs handlers in the main thread, between its steps. Which thread the system gives a signal to is another
    matter, and only its own waiting ends: Windows and macOS choose any, Linux does for a process that was stopped, as
    where a shell or a service manager ends a stopped job (SIGTERM, then SIGCONT). So nothing here waits for long.
    """
    while True:
        try:
            return news.get(timeout=TICK)
        except queue.Empty:
            continue


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
