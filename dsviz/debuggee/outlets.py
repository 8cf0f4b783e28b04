"""Where a thread's events go: the form of an outlet, and the one that hands them to a function at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from dsviz import events
from dsviz.wire.ring import PLACE
from dsviz.wire.short import Called, Kind, Ran, Reading
from engine.memory import Buffer

CATEGORY = {name: number for number, name in enumerate(events.CATEGORIES)}
ABBREVIATED = (Ran, Kind, Called)
# What befell buffers until an op had run: the released ones, those it made, those saved from then on.
Fates = tuple[Sequence[Buffer], Sequence[Buffer], Sequence[Buffer]] | None


NOBODY = [0] * (PLACE + 1)  # needs to know after a crash


class Alike(Protocol):
    """A kind of node that was told."""

    number: int
    nbytes: int


class Outlet(Protocol):
    """Takes one thread's events. At `wire.ring.NODE` and `PLACE` of `words` it is noted which node starts."""

    words: Any
    summarizes: bool  # whoever reads it makes the statistics of what is `Seen`

    def event(self, event: events.Event) -> None:
        """Take an event that must not be lost."""

    def later(self, event: events.Event) -> None:
        """Take an event that may wait for the next one to go with."""

    def definition(self, event: events.Event) -> None:
        """Take a record that later events refer to."""

    def ran(
        self, node: int, like: Alike, call: int, twin: int, iteration: int, duration: int, start: int,
        inputs: tuple[int, ...], fates: Fates,
    ) -> None:  # fmt: skip
        """Take what there is to say of a node of a kind that was told, as `event` would."""

    def turn(self, site: int, frame: int, index: int, time: int) -> None:
        """Take a `LoopTurn`, as `event` would."""

    def entered(self, call: int, parent: int, like: Called, time: int) -> None:
        """Take a module's call of a kind that was told, as `event` would."""

    def left(self, call: int, failed: bool, time: int) -> None:
        """Take a `ModuleLeft`, as `event` would."""

    def extra(self, event: events.Event, what: str) -> bool:
        """Take an event that may be dropped; False where it was."""


def ran_event(
    node: int, like: Alike, call: int, twin: int, iteration: int, duration: int, start: int, inputs: tuple[int, ...],
    fates: Fates, attrs: dict[str, Any] | None = None,
) -> Ran:  # fmt: skip
    """What `ran` is told, as an event."""
    gone, made, kept = fates or ((), (), ())
    return Ran(
        node, like.number, inputs, call, twin, iteration, start, duration, tuple([buffer.id for buffer in gone]), 0,
        attrs, tuple([buffer.id for buffer in kept]),
        tuple([number for buffer in made for number in (numbered(buffer), buffer.nbytes)]),
    )  # fmt: skip


def numbered(buffer: Buffer) -> int:
    """Number, reuse and category of a buffer in one."""
    return buffer.id << 4 | buffer.reused << 3 | CATEGORY[buffer.category]


class DirectOutlet:
    """Hands every event to one function, at once."""

    def __init__(self, receive: Callable[[Any], object]) -> None:
        self._receive = receive
        self.words = NOBODY
        self.summarizes = False
        self._reading = Reading()

    def event(self, event: events.Event) -> None:
        """Hand it on."""
        if type(event) in ABBREVIATED:
            for one in self._reading.spelled((event,)):
                self._receive(one)
        else:
            self._receive(event)

    later = definition = event

    def ran(self, *what: Any) -> None:
        """A node of a known kind."""
        self.event(ran_event(*what))

    def turn(self, site: int, frame: int, index: int, time: int) -> None:
        """A turn of a loop."""
        self.event(events.LoopTurn(site, index, time, frame))

    def entered(self, call: int, parent: int, like: Called, time: int) -> None:
        """A module's call of a known kind."""
        self.event(events.ModuleEntered(call, parent, like.path, like.cls, like.frame, time))

    def left(self, call: int, failed: bool, time: int) -> None:
        """The end of a module's call."""
        self.event(events.ModuleLeft(call, time, failed))

    def extra(self, event: events.Event, what: str) -> bool:
        """Nothing is dropped inside one process."""
        self._receive(event)
        return True
