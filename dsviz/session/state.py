"""What a session knows: the state of its program, where it stands, what was set; and who is told when that changes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import msgspec

from dsviz import events
from dsviz.debuggee.breakpoints import Breakpoint
from dsviz.process import Process
from dsviz.recording.recorder import Recorder
from dsviz.stop import ENDS, PAUSED, STARTING, Stop
from dsviz.store import GraphStore
from dsviz.travelling import Travelling


class State(Travelling):
    """The data of a session, under one lock."""

    contrast: Any = None  # the same program run once more with another setting, where a page asked for it
    recorded_only = False  # whether there is no program, only what was recorded of one
    attached = False  # whether the program ran before we came, and runs on when we go

    def _prepare(self, script: str, args: Sequence[str], level: int) -> None:
        """What there is before a program runs."""
        self.script, self.args = script, [str(arg) for arg in args]
        self.level = level
        self.run = 0
        self._present = GraphStore()
        self._present.script, self._present.args, self._present.level = self.script, self.args, self.level
        self._recorder: Recorder | None = None
        self._unrecorded = ""
        self._changed = threading.Condition(threading.RLock())
        self._moving = threading.Lock()  # restart and stop, one at a time
        self._listeners: list[Callable[[str], object]] = []
        self._process: Process | None = None
        self._state = STARTING
        self._stop: Stop | None = None
        self._generation = 0  # counts moves, so that a waiting command knows its own stop
        self._hello: dict[str, Any] = {}
        self._uncaught: events.Uncaught | None = None
        self._stopping = False
        self._restarting = False  # what ends is to be started anew
        self._closing = False  # it has ended, and its recording is being closed
        self._lost = False
        self._mismatch: Any = None  # the version of a program that speaks another one
        self._waiting = 0  # counts what waits for the next op
        self._stall: Any = None  # what is known of why that does not come
        self._requests: dict[int, Future[Any]] = {}
        self._next_request = 0
        self._next_breakpoint = 0
        self._breakpoints: dict[int, Breakpoint] = {}
        self._watches: dict[int, Any] = {}  # number -> Watch
        self._next_watch = 0
        self._switches: dict[tuple[str, str], bool] = {}
        self._popen: dict[str, Any] = {}
        self._sample, self._value_budget = 1, 0
        self._stops = 0  # number of the program's last stop
        self.logs: deque[str] = deque(maxlen=10_000)  # what logpoints told

    # What is known

    @property
    def state(self) -> str:
        """starting, running, paused, finished, failed, killed, stopped or lost; paused too while in the past."""
        return self._state if self._past is None else PAUSED

    @property
    def store(self) -> GraphStore:
        """What the program has told; in the past, what it had told by then."""
        with self._changed:
            return self._present if self._past is None else self._past.store

    @property
    def stop_now(self) -> Stop | None:
        """The stop the program stands at, or how it ended; None while it runs. In the past, the moment looked at."""
        with self._changed:
            if self._past is not None:
                return self._past.stop
            return self._stop if self._state == PAUSED or self._state in ENDS else None

    @property
    def pid(self) -> int:
        """Process number of the program."""
        assert self._process is not None
        return self._process.pid

    @property
    def breakpoints(self) -> list[Breakpoint]:
        """All breakpoints, oldest first."""
        with self._changed:
            return list(self._breakpoints.values())

    @property
    def switches(self) -> list[tuple[str, str, bool]]:
        """Trace switches that were set: (target, name, on)."""
        with self._changed:
            return [(target, name, on) for (target, name), on in self._switches.items()]

    def graph(self) -> Any:
        """The view model of the graph so far: the store's merged structure."""
        return self.store.structure

    # Waiting

    def wait(self, timeout: float | None = None) -> Stop:
        """The stop the program stands at, once it stands. Raises TimeoutError after `timeout` seconds."""
        return self._wait(self._generation, timeout)

    def _wait(self, generation: int, timeout: float | None) -> Stop:
        with self._changed:
            reached = self._changed.wait_for(
                lambda: (
                    not self._closing
                    and (self._generation > generation or self._state == PAUSED or self._state in ENDS)
                ),
                timeout,
            )
            if self._past is not None:
                return self._past.stop
            if reached and self._stop is not None:
                return self._stop
            why = f" {self._stall.text}" if self._stall is not None else ""
        raise TimeoutError(f"The program is still {self._state} after {timeout} s.{why}")

    def _set(self, state: str, now: Stop | None) -> None:
        with self._changed:
            self._state, self._stop = state, now
            self._waiting += 1
            self._stall = None
            if now is not None:
                self._generation += 1
            self._changed.notify_all()

    # Listeners

    def on_change(self, callback: Callable[[str], object]) -> Callable[[], None]:
        """Call `callback(what)` after each change: "state", "events", "settings", "watches" or "run" (a new run began).

        It is called in a thread of the session and must return at once. Gives the function that ends it.
        """
        with self._changed:
            self._listeners.append(callback)

        def remove() -> None:
            with self._changed:
                if callback in self._listeners:
                    self._listeners.remove(callback)

        return remove

    def _tell(self, what: str) -> None:
        with self._changed:
            listeners = list(self._listeners)
        for listener in listeners:
            listener(what)

    # Towards the program

    def _breakpoint_records(self) -> list[dict[str, Any]]:
        with self._changed:
            return [msgspec.to_builtins(item) for item in self._breakpoints.values()]

    def _forward(self, message: dict[str, Any]) -> None:
        if self._process is not None and self._state not in ENDS:
            self._process.send(message)

    def _back_to_present(self) -> None:
        with self._changed:
            self._leave_past()

    # What the parts of a session ask of each other

    def _ask_watches(self) -> None:
        raise NotImplementedError

    def request(self, do: str, **fields: Any) -> Future[Any]:
        """Ask the paused program."""
        raise NotImplementedError

    def _forget_watches(self) -> None:
        raise NotImplementedError

    def _await_op(self) -> None:
        raise NotImplementedError

    def _start(self) -> None:
        raise NotImplementedError

    def _answer(self, message: dict[str, Any]) -> None:
        raise NotImplementedError

    def _fail_requests(self, sentence: str) -> None:
        raise NotImplementedError
