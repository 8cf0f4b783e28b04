"""Where a thread's events go: the form of an outlet, and the one that hands them to a function at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from dsviz import events
from dsviz.wire.short import Kind, Ran, Reading


class Outlet(Protocol):
    """Takes one thread's events."""

    def event(self, event: events.Event) -> None:
        """Take an event that must not be lost."""

    def later(self, event: events.Event) -> None:
        """Take an event that may wait for the next one to go with."""

    def definition(self, event: events.Event) -> None:
        """Take a record that later events refer to."""

    def extra(self, event: events.Event, what: str) -> bool:
        """Take an event that may be dropped; False where it was."""

    def breadcrumb(self, node: int, op: int, frame: int) -> None:
        """Note which node starts."""


class DirectOutlet:
    """Hands every event to one function, at once."""

    def __init__(self, receive: Callable[[Any], object]) -> None:
        self._receive = receive
        self._reading = Reading()

    def event(self, event: events.Event) -> None:
        """Hand it on."""
        if type(event) is Ran or type(event) is Kind:
            for one in self._reading.spelled((event,)):
                self._receive(one)
        else:
            self._receive(event)

    later = definition = event

    def extra(self, event: events.Event, what: str) -> bool:
        """Nothing is dropped inside one process."""
        self._receive(event)
        return True

    def breadcrumb(self, node: int, op: int, frame: int) -> None:
        """Nobody needs to know after a crash."""
