"""A process that a session follows, however the two came together: tracer, stepper, output and link."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from dsviz import events
from dsviz.debuggee.attributes import message_of
from dsviz.debuggee.breakpoints import Breakpoint
from dsviz.debuggee.earlier import Earlier
from dsviz.debuggee.halts import Halts
from dsviz.debuggee.inspection import Inspection
from dsviz.debuggee.link import Link
from dsviz.debuggee.output import Tee, tee
from dsviz.debuggee.patience import watchdog
from dsviz.debuggee.positions import describe_post_mortem
from dsviz.debuggee.stepper import Stepper
from dsviz.debuggee.tracebacks import text_of
from dsviz.debuggee.tracer import Tracer
from dsviz.debuggee.values import Values
from engine.bus import Handle, bus
from engine.config import configure
from engine.switches import switches


class Followed:
    """Ties the parts together. `setup` is what the session asked for, `owner` the thread that runs the program
    (the calling one where it is left out)."""

    def __init__(self, setup: dict[str, Any], owner: int | None = None) -> None:
        began = time.perf_counter_ns()
        self.level: int = setup["level"]
        self.link = Link(setup, began, owner)
        self.before_tracing()
        self.earlier = Earlier(bus)
        values = self._values(setup.get("values", 0))
        self.tracer = Tracer(bus, self.link.outlet, began, self.level, values, owner)
        self.tracer.every = setup.get("sample", 1)
        self.earlier.follow(self.tracer)
        inspection = Inspection()
        self.stepper = Stepper(bus, self.tracer, self.link.send, inspection.answer, self._before_stop)
        inspection.supply = self.stepper.supply
        inspection.pending = lambda: self.stepper.pending
        self.stepper.set_breakpoints([msgspec.convert(item, Breakpoint) for item in setup["breakpoints"]])
        for target, name, on in setup["switches"]:
            self._switch(target, name, on)
        configure(**setup.get("config", {}))
        if setup["pause_at_entry"]:
            self.stepper.stop_at_entry()
        self.halts = Halts(self.stepper.halt if setup.get("halts", True) else lambda: None)
        self.tees: list[Tee] = []
        self.link.on_message = self.take
        self.link.on_gone = self.on_gone

    def before_tracing(self) -> None:
        """What is to be done once the link is there and nothing is told yet."""

    def begin(self, hello: dict[str, Any]) -> None:
        """Say who we are and hear commands from here on."""
        self.halts.install()
        self.tees = tee(self._output)
        self.link.send({"t": "hello", "version": events.VERSION, "pid": os.getpid(), **hello})
        self.link.listen()

    # Commands, in the listening thread

    def take(self, message: dict[str, Any]) -> None:
        """Carry out a message of the session."""
        kind = message.get("t")
        if kind in ("go", "request"):
            self.stepper.command(message)
        elif kind == "pause":
            self.stepper.pause(message.get("number"))
        elif kind == "breakpoints":
            self.stepper.set_breakpoints([msgspec.convert(item, Breakpoint) for item in message["items"]])
        elif kind == "level":
            self.level = message["level"]
            self.tracer.set_level(self.level)
            self.link.send({"t": "level", "level": self.level, "time": self._now()})
            self.earlier.follow(self.tracer)
        elif kind == "sample":
            self.tracer.every = message["every"]
            self.link.send({**message, "time": self._now()})
        elif kind == "budget":
            self.tracer.set_values(self._values(message["bytes"]))
            self.link.send({**message, "time": self._now()})
        elif kind == "switch":
            self._switch(message["target"], message["name"], message["on"])
            self.link.send({**message, "time": self._now()})
        elif kind == "terminate":
            self.stepper.terminate()

    def _values(self, budget: int) -> Values | None:
        return Values(budget, self.link.folder) if budget else None

    def _switch(self, target: str, name: str, on: bool) -> None:
        if target == "place":
            file, _, line = name.rpartition(":")
            switches.set("place", (file, int(line)), on)
        else:
            switches.set(target, name, on)

    def _now(self) -> int:
        return time.perf_counter_ns() - self.tracer.began

    # What the program does

    def _output(self, stream: int, text: str) -> None:
        if not self.link.gone:
            self.tracer.lane().outlet.extra(events.Output(stream, text, self._now()), "output")

    def _before_stop(self) -> dict[str, Any]:
        self.listen_again()  # the first op after a fork may be the one to stop at
        for stream in self.tees:
            stream.tell()
        return {"heads": self.link.heads()}

    def uncaught(self, exception: BaseException) -> None:
        """An exception is about to end the program: tell of it, and stop there where that is wanted."""
        position = describe_post_mortem(self.tracer, exception)
        message = message_of(exception)
        if isinstance(exception, SyntaxError):
            message = exception.msg
        self.tracer.lane().event(
            events.Uncaught(
                type(exception).__name__,
                message[:20_000],
                text_of(exception),
                position["frame"],
                self._now(),
            )
        )
        self.stepper.post_mortem(exception)

    # Ends

    def on_gone(self) -> None:
        """The session is gone. In the listening thread, or in whichever first could not send."""
        self.let_go()
        self.link.abandon()

    def let_go(self) -> None:
        """Trace and pause no more; a program that stands goes on."""
        self.earlier.close()
        self.tracer.close()
        self.halts.close()
        self.stepper.close()

    def close_tees(self, tell: bool = True) -> None:
        """What the program prints is its own again. `tell`, in a thread of the program: what it has printed."""
        for stream in self.tees:
            stream.close(tell)

    def before_fork(self) -> None:
        """No thread of ours may run at a fork."""
        watchdog.quiet()
        self.link.quiet()

    def listen_again(self) -> None:
        """After a fork."""
        watchdog.again()
        self.link.listen_again()

    def in_child(self) -> None:
        """In a forked child: it is not followed."""
        self.link.forget()
        self.let_go()
        self.close_tees()

    def at_exit(self) -> None:
        """The program ends; what it wrote is in the rings."""
        self.close_tees()
        self.let_go()
        self.link.close()


def after_fork(again: Callable[[], object]) -> None:
    """In the parent, call `again` at its next op.

    Not at once: Python warns of threads that run at the end of fork(), and ours is not the program's.
    """

    first = threading.Lock()

    def at_next_op(kind: str, subject: object) -> None:
        if first.acquire(blocking=False):  # ops of other threads may begin at the same time
            handle.close()
            again()

    handle = Handle(bus, at_next_op, ("op_start",))  # known before the first op can come
    bus.subscribe(at_next_op, "op_start")
