"""No op runs: where the program is meanwhile, while a pause or a step waits for the next one."""

from __future__ import annotations

import concurrent.futures
import linecache
import os
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from dsviz.session.refused import Refused
from dsviz.session.state import State
from dsviz.stop import RUNNING, STARTING

PATIENCE = 5.0  # seconds without an op until it is told
ANSWER = 2.0  # seconds the program has to say where it is


@dataclass(frozen=True)
class Stall:
    """The program has run no op for a while. `frames` is its Python stack, innermost first, as
    `{function, path, line, own}`; empty where it could not say. `text` says all that in a sentence."""

    text: str
    seconds: float
    frames: tuple[dict[str, Any], ...] = ()


class Stalls(State):
    """The part of a session that waits with the person."""

    @property
    def stall(self) -> Stall | None:
        """Where the program was when it had run no op for 5 s, and again each 5 s; None while it moves."""
        with self._changed:
            return self._stall if self._state == RUNNING else None

    def _await_op(self) -> None:
        """Called with the lock held, when the program was asked to stop at its next op."""
        self._waiting += 1
        self._look_later(self._waiting, 1)

    def _look_later(self, number: int, times: int) -> None:
        timer = threading.Timer(PATIENCE, self._look, (number, times))
        timer.daemon = True
        timer.start()

    def _look(self, number: int, times: int) -> None:
        with self._changed:
            if number != self._waiting or self._state not in (RUNNING, STARTING) or self._moving.locked():
                return
            starting = self._state == STARTING  # it cannot hear yet
            future = None if starting else self._where()
        if future is not None:
            try:
                frames = tuple(future.result(ANSWER))
            except (concurrent.futures.TimeoutError, Refused):
                frames = ()
            with self._changed:
                if number != self._waiting or self._state != RUNNING:
                    return
                seconds = PATIENCE * times
                self._stall = Stall(self._sentence(seconds, frames), seconds, frames)
            self._tell("state")
        self._look_later(number, times + 1)

    def _where(self) -> Future[Any] | None:
        future: Future[Any] = Future()
        self._next_request += 1
        self._requests[self._next_request] = future
        assert self._process is not None
        if not self._process.send({"t": "request", "id": self._next_request, "do": "where"}):
            del self._requests[self._next_request]
            return None
        return future

    def _sentence(self, seconds: float, frames: tuple[dict[str, Any], ...]) -> str:
        begins = f"No op has run for {seconds:g} s"
        ends = "It stops at the next op."
        if not frames:
            return (
                f"{begins}, and the program does not answer: it is in a call that lets no Python run{self._last()}. "
                f"{ends} Stop or restart ends it."
            )
        own = [frame for frame in frames if frame["own"]] or list(frames)
        at = own[0]
        line = linecache.getline(at["path"], at["line"]).strip()
        inside = f", inside {frames[0]['function']}" if frames[0] is not at else ""
        came = "".join(f", called from {_place(frame)}" for frame in own[1:4])
        return (
            f"{begins}: the program is at {_place(at)}"
            + (f" (`{line}`)" if line else "")
            + f"{inside}{came}. {ends}"
        )

    def _last(self) -> str:
        assert self._process is not None
        crumb = self._process.breadcrumb()
        if crumb is None or not crumb.node:
            return ""
        with self._present.lock:
            op = self._present.text(crumb.op)
        return f"; the node that began last was {crumb.node}, {op}"


def _place(frame: dict[str, Any]) -> str:
    return f"{os.path.basename(frame['path'])}:{frame['line']} in {frame['function']}"
