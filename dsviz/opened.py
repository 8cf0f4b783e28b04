"""A recording as a session of the past: what the page shows of `dsviz open`. Nothing runs and nothing can be run."""

from __future__ import annotations

import os
from concurrent.futures import Future
from typing import Any

from dsviz.playback import Playback
from dsviz.recording.format import RecordingError
from dsviz.recording.reader import Reader
from dsviz.session import MOVES, Refused, Session
from dsviz.stop import ENDS, STOPPED, Stop
from dsviz.travelling import BACK

LEVEL = "What was traced is what was recorded"


class Opened(Session):
    """A session without a program. Its present is the end of the recording; from there it goes back.

    Raises RecordingError with a sentence where the file is no recording.
    """

    recorded_only = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(os.fspath(path))
        with Playback(self.path) as whole:
            meta = whole.reader.meta
            self._prepare(meta.script, meta.args, 1)
            self._present = whole.store
            self._damage = [str(damage) for damage in whole.reader.damage]
            end = whole.stop
            self.level = whole.store.level
        self.run = 1
        self._state = end.state if end.state in ENDS else STOPPED
        text = end.text if not self._damage else f"{end.text} It is damaged: {self._damage[0]}."
        self._stop = Stop(end.reason, text=text, state=self._state, status=end.status)
        self._present.read = self._source

    def _source(self, path: str) -> str | None:
        # The text as it was when the program ran; this machine's files may be others by now.
        with Reader(self.path) as reader:
            return reader.source(path)

    def state_message(self) -> dict[str, Any]:
        """A session's message, marked as a recording."""
        message = super().state_message()
        if not (message["stop"] or {}).get("past"):
            message["message"] = f"Recording {os.path.basename(self.path)}: {message['message']}"
            message["next"] = "Step back, or drag the time line, to see how it came to that."
        return {**message, "recording": os.path.basename(self.path)}

    def send(self, verb: str, **fields: Any) -> int:
        """Move in the recording. Raises `Refused` for what needs a program."""
        if verb not in BACK and (verb not in (*MOVES, "resume") or self._past is None):
            known = verb in (*MOVES, "resume")
            raise Refused(
                "The recording ends here; step back to move in it."
                if known
                else f"This is a recording: there is no program to {verb[:40]}."
            )
        return super().send(verb, **fields)

    def request(self, do: str, **fields: Any) -> Future[Any]:
        """There is nobody to ask."""
        raise Refused(
            "This is a recording: there is no program to look into. Kept and recomputed values can be seen."
        )

    def why(self, question: str, node: int, dim: int = 0, timeout: float = 10.0) -> dict[str, Any]:
        """As of a paused program; the answer comes from what was recorded."""
        from dsviz.why.recorded import QUESTIONS, Recorded

        if question not in QUESTIONS:
            raise Refused(f"There is no question {question[:40]!r}; there are {', '.join(QUESTIONS)}.")
        with self._snapshot() as reader:
            try:
                return Recorded(reader).ask(question, node, dim)
            except LookupError as error:
                raise Refused(str(error)) from None

    def set_level(self, level: int) -> None:
        """What was not traced cannot be traced now."""
        raise Refused(f"{LEVEL}: the trace level cannot be changed afterwards.")

    def set_sample(self, every: int) -> None:
        """The same."""
        raise Refused(f"{LEVEL}: iterations cannot be sampled afterwards.")

    def set_value_budget(self, bytes: int) -> None:
        """The same for values."""
        raise Refused(f"{LEVEL}: values cannot be kept afterwards.")

    def switch(self, target: str, name: str, on: bool) -> None:
        """The same."""
        raise Refused(f"{LEVEL}: tracing cannot be switched afterwards.")

    def _enter_past(self) -> Playback:
        return self._begin_past(self._snapshot())

    def _snapshot(self) -> Reader:
        try:
            return Reader(self.path)
        except (RecordingError, OSError) as error:
            raise Refused(f"The recording cannot be read any more: {error}") from None

    def close(self) -> None:
        """Let go of the file."""
        self._back_to_present()
