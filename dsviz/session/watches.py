"""Watch expressions: evaluated in the innermost frame at every stop, each with its value or why it has none."""

from __future__ import annotations

import concurrent.futures
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from dsviz.debuggee.breakpoints import no_expression
from dsviz.session.refused import Refused
from dsviz.session.state import State
from dsviz.stop import PAUSED

MOST = 50
PAST = "This moment is past: its frames are gone."


@dataclass(frozen=True)
class Watch:
    """An expression with what it gives at the stop the program stands at.

    `value` is its `repr`, cut where long; `type` the name of its class; `shape` and `dtype` are those of a tensor or an
    array; `node` is a tensor's node. `error` says why there is no value. While none of them is known `asked` is true.
    """

    id: int
    text: str
    value: str = ""
    type: str = ""
    shape: tuple[int, ...] | None = None
    dtype: str = ""
    node: int = 0
    error: str = ""
    asked: bool = False
    given_up: bool = False  # it ran too long, and is not asked again


class Watches(State):
    """The part of a session that keeps watch expressions."""

    def add_watch(self, text: str) -> Watch:
        """Watch the Python expression `text`. Raises `Refused` with a sentence; one that is watched already is asked again."""
        text = _checked(text)
        with self._changed:
            known = next((watch for watch in self._watches.values() if watch.text == text), None)
            if known is None and len(self._watches) >= MOST:
                raise Refused(f"There are {MOST} watches already; remove one first.")
            number = known.id if known is not None else self._next_watch + 1
            self._next_watch = max(self._next_watch, number)
            self._watches[number] = new = Watch(number, text)
            self._ask_watch(number)
        self._tell("watches")
        return new

    def edit_watch(self, id: int, text: str) -> Watch:
        """Watch the Python expression `text` in the place of watch `id`. Raises `Refused` with a sentence."""
        text = _checked(text)
        with self._changed:
            if id not in self._watches:
                raise Refused(f"There is no watch {id}.")
            if any(watch.text == text for watch in self._watches.values() if watch.id != id):
                del self._watches[id]  # it is watched already
                id = next(watch.id for watch in self._watches.values() if watch.text == text)
            self._watches[id] = new = Watch(id, text)
            self._ask_watch(id)
        self._tell("watches")
        return new

    def remove_watch(self, id: int) -> None:
        """Watch expression `id` no longer."""
        with self._changed:
            if id not in self._watches:
                raise Refused(f"There is no watch {id}.")
            del self._watches[id]
        self._tell("watches")

    @property
    def watches(self) -> list[Watch]:
        """The watches as far as they are known at this stop, oldest first."""
        with self._changed:
            found = list(self._watches.values())
            return (
                found if self._past is None else [Watch(watch.id, watch.text, error=PAST) for watch in found]
            )

    def watch_values(self, timeout: float = 10.0) -> list[Watch]:
        """The watches once all are known. Raises TimeoutError with a sentence where one stays unknown."""
        with self._changed:
            if not self._changed.wait_for(
                lambda: self._state != PAUSED or not any(watch.asked for watch in self.watches), timeout
            ):
                raise TimeoutError(f"The program has not told all watches in {timeout:g} s.")
            return self.watches

    def watches_in(self, frame: int, timeout: float = 10.0) -> list[Watch]:
        """What the watches give in another frame than the innermost (0), asked now. Raises TimeoutError."""
        if frame == 0:
            return self.watch_values(timeout)
        found = []
        for watch in self.watches:
            try:
                told = self.request("watch", text=watch.text, frame=frame).result(timeout)
            except Refused as why:
                found.append(Watch(watch.id, watch.text, error=str(why)))
            else:
                found.append(_known(watch, told))
        return found

    def _ask_watches(self) -> None:
        with self._changed:
            for number in self._watches:
                self._ask_watch(number)

    def _ask_watch(self, number: int) -> None:
        """Called with the lock held."""
        watch = self._watches[number]
        if self._state != PAUSED or self._stop is None or watch.given_up:
            return
        future: Future[Any] = Future()
        self._next_request += 1
        self._requests[self._next_request] = future
        assert self._process is not None
        message = {"t": "request", "id": self._next_request, "do": "watch", "text": watch.text, "frame": 0}
        if not self._process.send(message):
            del self._requests[self._next_request]
            return
        self._watches[number] = replace(watch, asked=True)
        stop = self._stop.number
        future.add_done_callback(lambda done: self._know(watch, stop, done))

    def _know(self, asked: Watch, stop: int, done: Future[Any]) -> None:
        with self._changed:
            watch = self._watches.get(asked.id)
            if watch is None or watch.text != asked.text or self._stop is None or self._stop.number != stop:
                return
            new = Watch(watch.id, watch.text)
            try:
                data = done.result()
            except (Refused, concurrent.futures.CancelledError) as why:
                long = "ran longer than" in str(why)
                again = (
                    " It is not asked again until it is added anew or the program is restarted."
                    if long
                    else ""
                )
                new = replace(new, error=f"{why}{again}", given_up=long)
            else:
                new = _known(new, data)
            self._watches[new.id] = new
            self._changed.notify_all()
        self._tell("watches")

    def _forget_watches(self) -> None:
        """A new run: nothing is known of it."""
        self._watches = {number: Watch(number, watch.text) for number, watch in self._watches.items()}


def _checked(text: str) -> str:
    text = text.strip()
    if not text:
        raise Refused("A watch is a Python expression, such as loss.item(), and this one is empty.")
    if (problem := no_expression(text)) is not None:
        raise Refused(f"The watch {text[:200]!r} is no Python expression: {problem}.")
    return text


def _known(watch: Watch, data: dict[str, Any]) -> Watch:
    shape = data.get("shape")
    return Watch(
        watch.id,
        watch.text,
        value=str(data.get("value", "")),
        type=str(data.get("type", "")),
        shape=None if shape is None else tuple(shape),
        dtype=str(data.get("dtype", "")),
        node=int(data.get("node", 0)),
    )
