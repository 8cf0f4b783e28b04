"""The commands of a session: which make sense now, and what each sends to the program."""

from __future__ import annotations

import threading
from typing import Any

import msgspec

from dsviz.debuggee.breakpoints import Breakpoint, checked
from dsviz.session.refused import Refused
from dsviz.session.state import State
from dsviz.stop import ENDS, PAUSED, RUNNING, STARTING, Stop
from dsviz.travelling import BACK

RUN_TO = {"run_to_node": "node", "run_to_line": "line"}
MOVES = ("continue", "next", "into", "over", "out", "next_line", "next_iteration", *RUN_TO)
_ALIASES = {"resume": "continue"}


class Commands(State):
    """The part of a session that moves its program."""

    # Moving

    def pause(self, timeout: float | None = None) -> Stop:
        """Stop before the next node. A program that stands already stays where it is."""
        with self._changed:  # it may stop by itself this very moment
            if (now := self.stop_now) is not None:
                return now
            generation = self.send("pause")
        return self._wait(generation, timeout)

    def stop(self, timeout: float | None = None) -> Stop:
        """End the program: asked first, then by SIGTERM, then by SIGKILL."""
        if self._state in ENDS:
            self._back_to_present()
            return self.wait(0)
        return self._move("stop", timeout)

    def send(self, verb: str, *, seen: int | None = None, **fields: Any) -> int:
        """Start a command without waiting for what comes of it.

        `verb`: continue, pause, next, into, over, out, next_line, next_iteration, run_to_node (`node`),
        run_to_line (`file`, `line`), step_back, reverse_continue, go_to (`node`), present, restart, stop. Raises `Refused` with a
        sentence where it makes no sense now. Listeners hear of the stop that follows. `seen` is the number of the
        stop that it is meant for: it is refused at any other one.
        """
        if seen is None:
            return self._send(verb, fields)
        with self._changed:
            now = self.stop_now
            if now is None or now.number != seen:
                raise Refused("The program has moved on since this page showed it: another page was quicker.")
            return self._send(verb, fields)

    def _send(self, verb: str, fields: dict[str, Any]) -> int:
        verb = _ALIASES.get(verb, verb)
        if verb in BACK or (self._past is not None and verb in MOVES):
            return self._visit(verb, fields)
        until = self._until(verb, fields)
        if verb in ("restart", "stop"):
            return self._end_or_restart(verb)
        if verb not in (*MOVES, "pause"):
            raise Refused(f"There is no command {verb!r}.")
        with self._changed:
            generation = self._generation
            if verb == "pause":
                self._refuse_unless(RUNNING, STARTING, verb=verb)
                assert self._process is not None
                self._process.send({"t": "pause", "number": self._stops})
                self._await_op()
                return generation
            self._refuse_unless(PAUSED, verb=verb)
            assert self._process is not None
            number = self._stop.number if self._stop else 0
            self._present.go_on(self.level > 0)
            self._set(RUNNING, None)
            go = "continue" if until is not None else verb
            self._process.send({"t": "go", "verb": go, "number": number, "until": until})
            if verb in ("next", "into"):
                self._await_op()
        self._tell("state")
        return generation

    def _visit(self, verb: str, fields: dict[str, Any]) -> int:
        """Move the view between past and present; the program stands still meanwhile."""
        with self._changed:
            if verb == "go_to" and not isinstance(fields.get("node"), int):
                raise Refused("'go_to' needs 'node', the number of a node.")
            if verb in BACK and set(fields) - ({"node"} if verb == "go_to" else set()):
                raise Refused(f"'{verb}' takes no {next(iter(fields))!r}.")
            if self._moving.locked() and self._state not in ENDS:
                raise Refused("The program is being restarted or stopped; wait for that.")
            if self._state != PAUSED and self._state not in ENDS:
                raise Refused(f"The program is {self._state}: pause it before '{verb}'.")
            if self._past is not None and verb not in BACK:
                self._until(verb, fields)
            self._travel(verb, fields)
            generation = self._generation
        self._tell("state")
        return generation

    def _refusal(self, sentence: str) -> Refused:
        return Refused(sentence)

    def _breakpoints_now(self) -> list[Breakpoint]:
        return list(self._breakpoints.values())

    def _until(self, verb: str, fields: dict[str, Any]) -> dict[str, Any] | None:
        # "Run to" is a breakpoint that is gone at the next stop, whatever that is.
        kind = RUN_TO.get(verb)
        if kind is None:
            if fields:
                raise Refused(f"'{verb}' takes no {next(iter(fields))!r}.")
            return None
        if kind == "node" and self._past is None and fields.get("node") in self._present.nodes:
            raise Refused(f"Node {fields['node']} has run already; step back or restart to see it.")
        try:
            return dict(msgspec.to_builtins(checked(0, kind, fields)))
        except ValueError as error:
            raise Refused(str(error).replace("A breakpoint of kind", f"'{verb}': a place of kind")) from None

    def _refuse_unless(self, *states: str, verb: str) -> None:
        if self._moving.locked():
            raise Refused("The program is being restarted or stopped; wait for that.")
        if self._state in states:
            return
        if self._state in ENDS:
            raise Refused(f"The program has {_ENDED[self._state]}: there is nothing to {verb}. Restart it.")
        if self._state == PAUSED:
            raise Refused("The program is paused already.")
        raise Refused(f"The program is {self._state}: pause it before '{verb}'.")

    def _end_or_restart(self, verb: str) -> int:
        with self._changed:
            if verb == "stop" and self._state in ENDS:
                raise Refused(f"The program has {_ENDED[self._state]} already.")
            mine = self._moving.acquire(blocking=False)
            if not mine and self._state not in ENDS:
                raise Refused("The program is being restarted or stopped; wait for that.")
            generation = self._generation
            self._leave_past()
            self._stopping, self._restarting = True, verb == "restart"
            if verb == "restart":
                # The old run's end is no stop of the new one.
                self._set(STARTING, None)
            elif self._state == PAUSED:
                self._set(RUNNING, None)  # whoever waits, waits for the end and not for where it stood

        def work() -> None:
            if not mine:
                self._moving.acquire()  # the end has been told; what ended it is a moment from being done
            try:
                assert self._process is not None
                self._process.end()
                if verb == "restart":
                    self._start()
            finally:
                self._moving.release()
            if verb == "restart":
                self._tell("run")
                self._tell("state")

        threading.Thread(target=work, name="dsviz-" + verb, daemon=True).start()
        return generation


_ENDED = {
    "finished": "finished",
    "failed": "failed",
    "killed": "been killed",
    "stopped": "been stopped",
    "lost": "let go of the debugger",
}
