"""`with ds.record("run.dsviz"):` records a part of a program from inside, with no debugger around it."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType
from typing import Any

from dsviz import events as ev
from dsviz.debuggee.outlets import DirectOutlet, Outlet
from dsviz.debuggee.tracer import Tracer
from dsviz.debuggee.values import Values
from dsviz.recording.format import RecordingError
from dsviz.recording.recorder import Recorder, is_recording, make_room, meta_of
from dsviz.recording.writer import DEFAULT_BUDGET
from dsviz.stop import FAILED, FINISHED, Stop
from engine.bus import bus

BATCH = 256  # events handed on together


class record:  # noqa: N801 - written as a function, `with ds.record(path):`
    """Record every op of the block to the file `path`, at trace level `level`, with `value_budget` bytes of arrays.

    A recording that is there already is replaced, any other file never is. Raises RecordingError with a
    sentence where the file cannot be made, ValueError for a level other than 1 or 2.

    >>> import tempfile
    >>> import dsviz as ds
    >>> path = os.path.join(tempfile.mkdtemp(), "run.dsviz")
    >>> with ds.record(path, level=2):
    ...     y = ds.ones(3) * 2
    >>> with ds.open(path) as run:
    ...     run.value(max(run.store.nodes))
    array([2., 2., 2.], dtype=float32)
    """

    def __init__(
        self, path: str | os.PathLike[str], *, level: int = 1, value_budget: int = DEFAULT_BUDGET
    ) -> None:
        if level not in (1, 2):
            raise ValueError(f"level has to be 1 (operations) or 2 (also values), got {level!r}")
        self.path = os.path.abspath(os.fspath(path))
        self.level = level
        self._budget = value_budget
        self._lock = threading.RLock()
        self._batch: list[ev.AnyEvent] = []
        self._lane = -1
        self._lanes = 0

    def __enter__(self) -> record:
        if os.path.lexists(self.path):
            if not is_recording(self.path):
                raise RecordingError(f"{self.path} exists and is not a recording: it is not overwritten.")
            make_room(self.path)
        script = os.path.abspath(sys.argv[0]) if sys.argv and sys.argv[0] else ""
        self._recorder = Recorder(self.path, meta_of(script, sys.argv[1:]), budget=self._budget)
        self._recorder.take([ev.Level(self.level, 0)])
        values = Values(self._budget) if self.level == 2 else None
        self._tracer = Tracer(bus, self._outlet, time.perf_counter_ns(), self.level, values)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tracer.close()
        with self._lock:
            self._recorder.take(self._batch)
            self._batch = []
        if error is None:
            stop = Stop("finished", text="The recorded block ended.", state=FINISHED)
        else:
            text = f"{type(error).__name__}: {error}"[:2000]
            stop = Stop("failed", text=text, state=FAILED)
        self._recorder.end(stop)

    def _outlet(self) -> Outlet:
        number, name = self._lanes, threading.current_thread().name
        self._lanes += 1

        def receive(event: Any) -> None:
            with self._lock:
                if number != self._lane:
                    if self._lanes > 1:
                        self._batch.append(ev.Thread(number, name))
                    self._lane = number
                self._batch.append(event)
                if len(self._batch) >= BATCH:
                    batch, self._batch = self._batch, []
                    self._recorder.take(batch)

        return DirectOutlet(receive)
