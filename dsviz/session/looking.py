"""Looking into a program that stands: its values, its reasons, and expressions in its frames."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from dsviz.debuggee.view import BadIndex
from dsviz.playback import NotKeptError, Playback
from dsviz.recording.format import EVENTS_PER_CHUNK, RecordingError
from dsviz.recording.past import Past
from dsviz.recording.reader import NodeEvent, Reader
from dsviz.session.refused import Refused
from dsviz.session.state import State
from dsviz.stop import PAUSED
from dsviz.store import GraphStore


class Looking(State):
    """The part of a session that asks its program, and its recording where the program cannot tell."""

    # Looking

    def request(self, do: str, **fields: Any) -> Future[Any]:
        """Ask the paused program; the future holds its answer or raises `Refused` with its sentence."""
        future: Future[Any] = Future()
        with self._changed:
            if self._past is not None:
                raise Refused(
                    "This moment is past: its frames are gone. Continue to the present to look into the program."
                )
            if self._state != PAUSED:
                raise Refused(f"The program is {self._state}: it can be looked into only while it is paused.")
            self._next_request += 1
            number = self._next_request
            self._requests[number] = future
            assert self._process is not None
            sent = self._process.send({"t": "request", "id": number, "do": do, **fields})
            if not sent:
                del self._requests[number]
                raise Refused("The program does not hear any more.")
        return future

    def _asked(self, do: str, timeout: float, **fields: Any) -> Any:
        """The program's answer. Raises TimeoutError with a sentence where it gives none."""
        future = self.request(do, **fields)
        try:
            answer = future.result(timeout)
        except concurrent.futures.TimeoutError:
            raise TimeoutError(
                f"The program gave no answer in {timeout:g} s: it is in a call that Python cannot interrupt. It "
                "answers when that returns; restart or stop ends it."
            ) from None
        if do in ("evaluate", "set"):
            self._ask_watches()  # it may have changed what they give
        return answer

    def facts(self, timeout: float = 10.0) -> dict[str, Any]:
        """What the paused program's engine says of itself: `config`, `amp`, `reuse`, `partitions` and `jit` (`debuggee.facts`)."""
        return dict(self._asked("facts", timeout))

    def configure(self, timeout: float = 10.0, **keys: Any) -> list[dict[str, Any]]:
        """Change keys of `ds.graph_config` in the paused program, from here on; gives the configuration then in force."""
        return list(self._asked("configure", timeout, keys=keys))

    def inspect(self, node: int, timeout: float = 10.0) -> dict[str, Any]:
        """What the paused program still holds of `node`: statistics of its value, and some of its numbers.

        What it no longer holds, and all that is past, is read from the recording or computed again: `how` says which.
        """
        if self._past is None and self._state == PAUSED:
            try:
                return dict(self._asked("inspect", timeout, node=node))
            except Refused as refused:
                try:
                    return self.recall(node)
                except Refused as why:
                    raise Refused(f"{refused} {why}") from None
        return self.recall(node)

    def recall(self, node: int) -> dict[str, Any]:
        """What `inspect` gives, from the recording only, at the moment looked at. The program may run or have ended."""
        return self._from_record(lambda past: past.inspect(node))

    def look(self, node: int, index: str = "", timeout: float = 5.0, kind: str = "") -> dict[str, Any]:
        """The part `[index]` of the value of `node`, small enough for a picture; from the program where it holds it.

        `kind` "image" or "attention" asks for what such a picture needs."""
        if self._past is None and self._state == PAUSED:
            try:
                return dict(self._asked("look", timeout, node=node, index=index, kind=kind))
            except Refused as refused:
                if "not held any more" not in str(refused):
                    raise
                try:
                    return self._looked(node, index, kind)
                except Refused as why:
                    raise Refused(f"{refused} {why}") from None
        return self._looked(node, index, kind)

    def _looked(self, node: int, index: str, kind: str) -> dict[str, Any]:
        return self._from_record(lambda past: past.look(node, index, kind))

    def _snapshot(self) -> Reader:
        if self._recorder is None:
            raise Refused("This run is not recorded, so nothing of it was kept.")
        return self._recorder.snapshot()

    def earlier(self, node: int) -> NodeEvent | None:
        """What was told of a node that the store no longer keeps, from the recording; None where it is not there either."""
        try:
            with self._snapshot() as reader:
                found = reader.find(node)
        except (Refused, RecordingError, OSError):
            return None
        return None if found is None else found[1]

    def as_of(self, time: int, ask: Callable[[GraphStore], dict[str, Any]]) -> dict[str, Any]:
        """What a question gives of the run up to `time` (nanoseconds) and a little beyond, from the recording.

        Raises `Refused` where there is none, RecordingError where it cannot be read.
        """
        with self._snapshot() as reader:
            return ask(Past(reader).store(reader.position_at(time) + 2 * EVENTS_PER_CHUNK))

    def recorded(self) -> str:
        """The file of this run's recording, with all that is known by now in it. Raises `Refused` where there is none."""
        with self._snapshot() as reader:
            return reader.path

    def _from_record(self, ask: Callable[[Playback], dict[str, Any]]) -> dict[str, Any]:
        with self._changed:
            past = self._past or Playback(self._snapshot())
            try:
                return ask(past)
            except (NotKeptError, BadIndex) as error:
                raise Refused(str(error)) from None
            finally:
                if past is not self._past:
                    past.close()

    def why(self, question: str, node: int, dim: int = 0, timeout: float = 10.0) -> dict[str, Any]:
        """Ask the paused program "shape", "value", "largest" or "no_grad" of a node: the sentence and the chain of lines."""
        if question not in ("shape", "value", "largest", "no_grad"):
            raise Refused(
                f"There is no question {question[:40]!r}; there are shape, value, largest and no_grad."
            )
        return dict(self._asked("why", timeout, question=question, node=node, dim=dim))

    def why_shape(self, node: int, dim: int) -> dict[str, Any]:
        """Where dimension `dim` of `node` was chosen."""
        return self.why("shape", node, dim)

    def why_value(self, node: int) -> dict[str, Any]:
        """Where the NaN or Inf of `node` first appeared."""
        return self.why("value", node)

    def why_no_grad(self, node: int) -> dict[str, Any]:
        """Why the leaf `node` has no gradient."""
        return self.why("no_grad", node)

    def evaluate(self, text: str, frame: int = 0, timeout: float = 10.0) -> str:
        """The value of a Python expression in the paused frame (0 innermost), or what a statement printed."""
        return str(self._asked("evaluate", timeout, text=text, frame=frame))

    def variables(self, frame: int = 0, timeout: float = 5.0) -> list[dict[str, Any]]:
        """The variables of a paused frame in a few words each: `name`, `type`, `text`, of tensors also `shape`, `dtype`, `node`."""
        return list(self._asked("variables", timeout, frame=frame))

    def complete(self, text: str, frame: int = 0, timeout: float = 5.0) -> dict[str, Any]:
        """How an expression, up to the cursor, may go on in a paused frame: `start` of the last word and `items`."""
        return dict(self._asked("complete", timeout, text=text, frame=frame))

    def set_value(self, node: int, index: str, value: object, timeout: float = 10.0) -> dict[str, Any]:
        """Write to a part of the value of `node`: `set_value(7, "0, :", 1.5)`; text is an expression.

        Gives what `inspect` gives, with the new numbers.
        """
        text = value if isinstance(value, str) else repr(value)
        return dict(self._asked("set", timeout, node=node, index=index, value=text))

    def supply(self, value: object, timeout: float = 10.0) -> list[int]:
        """Give the result of the op that cannot run, as an expression in the paused frame or as nested
        lists; the program uses it when it goes on. Gives its shape.
        """
        now = self.stop_now
        if now is None or now.error is None or now.position != "node":
            raise Refused("A result can be supplied only at a stop before an op that cannot run.")
        text = value if isinstance(value, str) else repr(value)
        return list(self._asked("supply", timeout, value=text))

    # Answers

    def _answer(self, message: dict[str, Any]) -> None:
        with self._changed:
            future = self._requests.pop(message.get("id", 0), None)
        if future is None:
            return
        if message.get("ok"):
            future.set_result(message.get("data"))
        else:
            future.set_exception(Refused(str(message.get("error", "The program gave no answer."))))

    def _fail_requests(self, sentence: str) -> None:
        with self._changed:
            waiting, self._requests = self._requests, {}
        for future in waiting.values():
            future.set_exception(Refused(sentence))
