"""Going back in a run: a session's view of a moment that is past, and the way forward to the present.

The program itself stays where it is. What moves is what the session shows: its store, its stop, the values
it can tell. Verbs that go forward first walk through what was recorded; at its end they are the program's again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from dsviz.moving import Moving
from dsviz.playback import Playback
from dsviz.recording.format import RecordingError
from dsviz.recording.reader import Reader
from dsviz.recording.recorder import Recorder
from dsviz.stop import Stop

BACK = ("step_back", "reverse_continue", "go_to", "present")


class Travelling(Moving):
    """The part of a session that looks back. The session gives the lock, the recorder and the ways to refuse."""

    _changed: threading.Condition
    _recorder: Recorder | None
    _stop: Stop | None
    _past: Playback | None = None

    def _refusal(self, sentence: str) -> Exception:
        raise NotImplementedError

    def _tell(self, what: str) -> None:
        raise NotImplementedError

    def step_back(self, timeout: float | None = None) -> Stop:
        """Go back to before the node that ran last; again, to the one before it. The stop says `past`."""
        return self._move("step_back", timeout)

    def reverse_continue(self, timeout: float | None = None) -> Stop:
        """Go back to the latest stop or breakpoint hit before this moment, else to the first node."""
        return self._move("reverse_continue", timeout)

    def go_to(self, node: int, timeout: float | None = None) -> Stop:
        """Go to the moment before node number `node` ran."""
        return self._move("go_to", timeout, node=node)

    def present(self, timeout: float | None = None) -> Stop:
        """Come back to where the program is."""
        return self._move("present", timeout)

    @property
    def past(self) -> Playback | None:
        """The moment in the past that is looked at; None: the present."""
        return self._past

    def _travel(self, verb: str, fields: dict[str, Any]) -> None:
        """Move the view. Called with the lock held, while the program stands still."""
        if verb == "present":
            self._leave_past()
        elif verb in BACK:
            past = self._past or self._enter_past()
            past.breakpoints = self._breakpoints_now()
            if verb == "go_to":
                self._go_to(past, fields["node"])
            elif verb == "step_back":
                past.step_back()
            else:
                past.reverse_continue()
        else:
            assert self._past is not None
            self._past.breakpoints = self._breakpoints_now()
            try:
                _forward(self._past, verb, fields)
            except LookupError as error:
                raise self._refusal(str(error)) from None
            if self._past.at_end:
                self._leave_past()

    def _enter_past(self) -> Playback:
        if self._recorder is None:
            raise self._refusal("This run is not recorded, so there is no going back in it.")
        try:
            reader = self._recorder.snapshot()
        except (RecordingError, OSError) as error:
            raise self._refusal(f"The run's recording cannot be read: {error}") from None
        return self._begin_past(reader)

    def _begin_past(self, reader: Reader) -> Playback:
        past = Playback(reader)
        past.present = self._stop
        if not past.reader.count:
            past.close()
            raise self._refusal("Nothing has run yet that one could go back to.")
        self._past = past
        return past

    def _go_to(self, past: Playback, node: int) -> None:
        try:
            past.near(node)
        except LookupError as error:
            if past.at_end:
                self._leave_past()
            raise self._refusal(str(error)) from None

    def _breakpoints_now(self) -> list[Any]:
        raise NotImplementedError

    def _leave_past(self) -> None:
        if self._past is not None:
            self._past.close()
            self._past = None


def _forward(past: Playback, verb: str, fields: dict[str, Any]) -> None:
    """Walk forward in what was recorded as the verb would have."""
    if verb == "run_to_node":
        if past.reader.find(int(fields["node"])) is None:
            past.end()
        else:
            past.at(int(fields["node"]))
        return
    moves: dict[str, Callable[[], Stop]] = {
        "continue": past.resume,
        "next": past.next,
        "into": past.next,
        "over": past.over,
        "out": past.out,
        "next_line": past.next_line,
        "next_iteration": past.next_iteration,
        "run_to_line": lambda: past.line(str(fields["file"]), int(fields["line"])),
    }
    moves[verb]()
