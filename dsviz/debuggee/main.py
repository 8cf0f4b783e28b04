"""The traced program's process, from its first moment to its last: `python -m dsviz.debuggee SCRIPT ARGS`."""

from __future__ import annotations

import atexit
import json
import os
import platform
import sys
import time
from typing import Any

import msgspec

from dsviz import events, shadow
from dsviz.debuggee import hook, probes
from dsviz.debuggee.breakpoints import Breakpoint
from dsviz.debuggee.halts import Halts
from dsviz.debuggee.inspection import Inspection
from dsviz.debuggee.link import Link, tell
from dsviz.debuggee.output import Tee, tee
from dsviz.debuggee.patience import watchdog
from dsviz.debuggee.script import Script, traceback_text
from dsviz.debuggee.stepper import Stepper, Terminate
from dsviz.debuggee.tracer import Tracer
from dsviz.debuggee.values import Values
from engine.bus import bus
from engine.config import configure
from engine.switches import switches

SETUP = "DSVIZ_SESSION"


class Debuggee:
    """Ties tracer, stepper, output and link of this process together."""

    def __init__(self, setup: dict[str, Any], script: Script) -> None:
        began = time.perf_counter_ns()
        self.script = script
        self.level: int = setup["level"]
        self.link = Link(setup, began)
        budget: int = setup.get("values", 0)
        values = Values(budget, self.link.folder) if budget else None
        self.tracer = Tracer(bus, self.link.outlet, began, self.level, values)
        inspection = Inspection()
        self.stepper = Stepper(bus, self.tracer, self.link.send, inspection.answer, self._before_stop)
        inspection.supply = self.stepper.supply
        self.stepper.set_breakpoints([msgspec.convert(item, Breakpoint) for item in setup["breakpoints"]])
        for target, name, on in setup["switches"]:
            self._switch(target, name, on)
        configure(**setup.get("config", {}))
        if setup["pause_at_entry"]:
            self.stepper.stop_at_entry()
        self.halts = Halts(self.stepper.halt if setup.get("halts", True) else lambda: None)
        self._next_site = 1
        probes.install()
        probes.listen(self.tracer.branch, self.tracer.turn)
        self.finder = hook.Instrumenter(script.folder, self._instrument, _ours())
        self.tees: list[Tee] = []
        self.link.on_message = self._on_message
        self.link.on_gone = self._on_gone

    def run(self) -> None:
        """Run the script; what it raises goes on to the interpreter."""
        self.script.enter()
        self.finder.install()
        self.halts.install()
        self.tees = tee(self._output)
        os.register_at_fork(
            before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._in_child
        )
        atexit.register(self._at_exit)  # the first registered runs last, after the script's own
        self.link.send(
            {
                "t": "hello",
                "version": events.VERSION,
                "pid": os.getpid(),
                "python": platform.python_version(),
                "script": self.script.path,
                "args": sys.argv[1:],
            }
        )
        self.link.listen()
        self.script.run(self.finder.compiled, self._uncaught)

    # Commands, in the listening thread

    def _on_message(self, message: dict[str, Any]) -> None:
        kind = message.get("t")
        if kind in ("go", "request"):
            self.stepper.command(message)
        elif kind == "pause":
            self.stepper.pause()
        elif kind == "breakpoints":
            self.stepper.set_breakpoints([msgspec.convert(item, Breakpoint) for item in message["items"]])
        elif kind == "level":
            self.level = message["level"]
            self.tracer.set_level(self.level)
            self.link.send({"t": "level", "level": self.level, "time": self._now()})
        elif kind == "switch":
            self._switch(message["target"], message["name"], message["on"])
            self.link.send({**message, "time": self._now()})
        elif kind == "terminate":
            self.stepper.terminate()

    def _switch(self, target: str, name: str, on: bool) -> None:
        if target == "place":
            file, _, line = name.rpartition(":")
            switches.set("place", (file, int(line)), on)
        else:
            switches.set(target, name, on)

    def _now(self) -> int:
        return time.perf_counter_ns() - self.tracer.began

    # What the program does

    def _instrument(self, tree: Any, path: str) -> Any:
        made, sites = probes.instrument(tree, path, self._next_site)
        self._next_site += len(sites)
        for site in sites:
            self.tracer.add_site(site, path)
        return made

    def _output(self, stream: int, text: str) -> None:
        if not self.link.gone:
            self.tracer.lane().outlet.extra(events.Output(stream, text, self._now()), "output")

    def _before_stop(self) -> dict[str, Any]:
        for stream in self.tees:
            stream.tell()
        return {"heads": self.link.heads()}

    def _uncaught(self, exception: BaseException) -> None:
        from dsviz.debuggee.positions import describe_post_mortem

        position = describe_post_mortem(self.tracer, exception)
        message = str(exception)
        if isinstance(exception, SyntaxError):
            message = exception.msg
        self.tracer.lane().event(
            events.Uncaught(
                type(exception).__name__,
                message[:20_000],
                traceback_text(exception),
                position["frame"],
                self._now(),
            )
        )
        self.stepper.post_mortem(exception)

    # Ends

    def _on_gone(self) -> None:
        # In the listening thread, or in whichever first could not send.
        self._let_go()
        self.link.abandon()
        tell("the debugger is gone; the program goes on without it.")

    def _let_go(self) -> None:
        self.tracer.close()
        self.halts.close()
        self.stepper.close()
        self.finder.close()

    def _before_fork(self) -> None:
        watchdog.quiet()
        self.link.quiet()

    def _after_fork(self) -> None:
        # Not at once: Python warns of threads that run at the end of fork(), and ours is not the program's.
        if self.link.gone:
            return

        def at_next_op(kind: str, subject: object) -> None:
            handle.close()
            watchdog.again()
            self.link.listen_again()

        handle = bus.subscribe(at_next_op, "op_start")

    def _in_child(self) -> None:
        self.link.forget()
        self._let_go()
        for stream in self.tees:
            stream.close()

    def _at_exit(self) -> None:
        for stream in self.tees:
            stream.close()
        self._let_go()
        self.link.close()


def main() -> None:
    """Run the script named on the command line under the session that started this process."""
    setup = _setup()
    if setup is None or len(sys.argv) < 2:
        sys.stderr.write("dsviz.debuggee is started by a session. Use: dsviz run SCRIPT [ARGS...]\n")
        raise SystemExit(2)
    name, args = sys.argv[1], sys.argv[2:]
    # The way to our own packages was put there for this import only.
    if sys.path and sys.path[0] == shadow.ROOT:
        del sys.path[0]
    script = Script(name, args)
    hidden = shadow.hiding(script.folder)
    if hidden:
        sys.stderr.write(f"dsviz: {hidden}\n")
        raise SystemExit(2)
    debuggee = Debuggee(setup, script)
    try:
        debuggee.run()
    except Terminate:
        raise SystemExit(0) from None


def _setup() -> dict[str, Any] | None:
    text = os.environ.pop(SETUP, None)
    if text is None:
        return None
    if text.startswith("fd:"):
        with open(int(text[3:]), "rb") as pipe:
            text = pipe.readline().decode()
    setup: dict[str, Any] = json.loads(text)
    return setup


def _ours() -> list[str]:
    return [os.path.join(shadow.ROOT, name) for name in ("dsviz", "engine", "layouts")]
