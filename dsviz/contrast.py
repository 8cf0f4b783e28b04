"""The same program once more with the memory optimisation the other way round, for the timeline to compare."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from dsviz.query import memory
from dsviz.session import LaunchError, Refused, Session
from dsviz.stop import ENDS, FAILED, KILLED

if TYPE_CHECKING:
    from dsviz.store import GraphStore

LONGEST = 600.0  # seconds the second run may take
POINTS = 240


class Contrast:
    """Runs a session's script a second time, unseen, as far as the session has come. One at a time.

    The program does what it always does, files it writes included; what it prints is thrown away.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._told: dict[str, Any] = {"state": "none"}
        self._run = 0
        self._course: dict[str, Any] | None = None

    def start(self) -> dict[str, Any]:
        """Begin; `status` tells how far it is. Raises `Refused` where there is no program that could be run."""
        session = self._session
        options = session.once_more()
        if session.store.count == 0:
            raise Refused("Nothing has run yet that could be compared; run some nodes first.")
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return self.status()
            optimised = not options["config"].get("memory_optimization", True)
            options["config"]["memory_optimization"] = optimised
            self._stopping.clear()
            self._course, self._run = None, session.run
            self._told = {
                "state": "running", "optimised": optimised, "nodes": 0, "of": session.store.count, "peak": None, "message": "",
            }  # fmt: skip
            self._thread = threading.Thread(
                target=self._work, args=(options,), name="dsviz-contrast", daemon=True
            )
            self._thread.start()
        return self.status()

    def stop(self) -> None:
        """Give it up."""
        self._stopping.set()

    def status(self) -> dict[str, Any]:
        """`state` none, running, done or failed; the nodes it ran `of` those there are; its `peak` in bytes."""
        return dict(self._told)

    def course(self, axis: str) -> dict[str, Any] | None:
        """Live bytes of the second run: `x` and `total`; None until there is one, and once the program was run anew.

        On the time axis each stands where the first run had run as many nodes: the two are compared, not their speeds.
        """
        course = self._course if self._run == self._session.run else None
        if course is None or axis == "events":
            return course
        store = self._session.store
        with store.lock:
            steps, times = list(store.memory.step), list(store.memory.time)
        if not times:
            return None
        return {**course, "x": np.interp(course["x"], steps, times).tolist()}

    def _work(self, options: dict[str, Any]) -> None:
        session, told = self._session, self._told
        wanted, nothing = told["of"], subprocess.DEVNULL
        try:
            with Session.launch(
                session.script,
                session.args,
                pause_at_entry=False,
                breakpoints=False,
                value_budget=0,
                **{**options, "stdin": nothing, "stdout": nothing, "stderr": nothing},
            ) as second:
                deadline = time.monotonic() + LONGEST
                while second.state not in ENDS and second.store.count < wanted:
                    if self._stopping.wait(0.1) or time.monotonic() > deadline:
                        break
                    told["nodes"] = second.store.count
                ended = second.stop_now
                if second.state in (FAILED, KILLED) and not second.store.count and ended is not None:
                    told.update(state="failed", message=ended.text)
                    return
                self._keep(second.store, wanted)
        except (LaunchError, OSError) as error:
            told.update(state="failed", message=str(error))
            return
        told["nodes"] = min(told["nodes"], wanted)
        told["state"] = "stopped" if self._stopping.is_set() else "done"

    def _keep(self, store: GraphStore, wanted: int) -> None:
        with store.lock:
            self._told["nodes"] = store.count
            view = memory.timeline(store, "events", POINTS)
            kept = sum(1 for x in view["x"] if x <= wanted)
            self._course = {"x": view["x"][:kept], "total": view["total"][:kept]}
            self._told["peak"] = max(self._course["total"], default=0)
