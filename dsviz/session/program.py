"""The program of a session: how it is started, what it reports, how it ends, and where that is recorded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from dsviz import events, stop
from dsviz.endings import ended
from dsviz.process import LaunchError, Process
from dsviz.recording.format import RecordingError
from dsviz.recording.recorder import Recorder, beside, make_room, meta_of
from dsviz.session.messages import SAY
from dsviz.session.names import UNSEEN
from dsviz.session.refused import Refused
from dsviz.session.state import State
from dsviz.stop import ENDS, PAUSED, RUNNING, STARTING, Stop


class Program(State):
    """The part of a session that follows its program."""

    _pause_at_entry: bool
    _capacity: int | None
    _record: str | None
    _value_budget: int
    _sample: int
    _config: dict[str, Any]
    _halts: bool  # whether a breakpoint() in the source stops

    # What the process reports, in its reading thread

    def _start(self) -> None:
        with self._changed:
            self.run += 1
            if self.run > 1:
                self._leave_past()
                self._present.begin(self.script, self.args, level=self.level)
            self._hello, self._uncaught, self._stopping, self._lost = {}, None, False, False
            self._restarting = False
            self._mismatch, self._stops = None, 0
            self._state, self._stop = STARTING, None
            for item in self._breakpoints.values():
                item.problem = ""  # a new run has no faults yet, and what fails again is told again
            self._forget_watches()
            self._begin_recording()
            setup: dict[str, Any] = {
                "level": self.level,
                "pause_at_entry": self._pause_at_entry,
                "breakpoints": self._breakpoint_records(),
                "switches": self.switches,
                "values": self._value_budget,
                "sample": self._sample,
                "config": self._config,
                "halts": self._halts,
            }
            if self._capacity is not None:
                setup["capacity"] = self._capacity
            try:
                self._process = self._process_of(setup)
            except LaunchError:
                if self._recorder is not None:
                    self._recorder.discard()
                    make_room(self._recorder.path)  # nothing ran: there is nothing to keep
                raise

    def _process_of(self, setup: dict[str, Any]) -> Process:
        return Process(
            self.script,
            self.args,
            setup,
            on_events=self._on_events,
            on_message=self._on_message,
            on_end=self._on_end,
            **self._popen,
        )

    def _on_events(self, batch: list[events.AnyEvent]) -> None:
        if self._recorder is not None:
            batch = self._recorder.take(batch)
        self._present.feed_many(batch)
        for event in batch:
            if type(event) is events.Uncaught:
                self._uncaught = event
        self._tell("events")

    def _on_message(self, message: dict[str, Any]) -> None:
        kind = message.get("t")
        if kind == "hello":
            if message.get("version") != events.VERSION:
                self._mismatch = message.get("version")
                assert self._process is not None
                self._process.refuse()
                return
            with self._changed:
                self._hello = message
                self._present.pid, self._present.python = message["pid"], message["python"]
                if self._state == STARTING and not self._stopping:
                    self._set(RUNNING, None)
            self._tell("state")
        elif kind == "stop":
            now = stop.paused(message)
            self._stops = now.number
            self._present.overhead, self._present.core = message.get("overhead"), message.get("core")
            if now.pending and now.error is None and not message.get("ran"):
                self._expect(now)
            elif now.node != self._present.pending:
                self._present.expect(None)
            with self._changed:
                for id in now.breakpoints:
                    if id in self._breakpoints:
                        hit = self._breakpoints[id]
                        hit.hits += 1
                        hit.problem = "" if hit.problem.startswith(UNSEEN) else hit.problem
                if self._recorder is not None:
                    self._recorder.stop(now)
                if not self._stopping:  # it is about to end: whoever waits, waits for that
                    self._set(PAUSED, now)
                self._ask_watches()
            if now.breakpoints:
                self._tell("settings")
            self._tell("state")
        elif kind == "resumed":
            # Ctrl-C at a pause: the program goes on by itself.
            with self._changed:
                if self._state == PAUSED:
                    self._set(RUNNING, None)
            self._tell("state")
        elif kind == "reply":
            self._answer(message)
        elif kind == "log":
            self.logs.append(str(message["text"]))
            self._on_events([events.Output(1, f"{message['text']}\n", 0)])
        elif kind == "condition":
            with self._changed:
                if message["id"] in self._breakpoints:
                    self._breakpoints[message["id"]].problem = str(message["error"])
            self._tell("settings")
        elif kind == "level":
            self._on_events([events.Level(message["level"], message["time"])])
        elif kind == "switch":
            self._on_events([events.Switched(message["target"], message["name"], message["on"])])
        elif kind == "gap":
            self._on_events([events.Gap(message["lost"], message["what"], self._present.time)])
        elif kind == "lost":
            self._lost = True
            self._fail_requests("The program let go of the debugger.")
            self._set(stop.LOST, Stop("lost", state=stop.LOST, text=SAY[stop.LOST][0]))
            self._tell("state")

    def _expect(self, now: Stop) -> None:
        # The node about to run gets its place in the graph before it ran.
        pending = now.pending
        self._present.expect(
            events.Op(
                pending["node"], pending["op"], pending["phase"], tuple(pending["inputs"]), (), 0,
                pending["call"], pending["frame"], pending["twin"], pending["iteration"],
                0, 0, 0, 0, pending["attrs"],
            )
        )  # fmt: skip

    def _on_end(self, status: int) -> None:
        self._fail_requests("The program has ended.")
        if self._restarting and self._moving.locked() and self._state == STARTING:
            if self._recorder is not None:
                self._recorder.end(Stop("stopped", text="Restarted.", state=stop.STOPPED, status=status))
            return  # a restart: the next run's stop is the one to tell of
        now = self._how_it_ended(status)
        if self._mismatch is not None:
            text = f"The program speaks version {self._mismatch} of the protocol, and this dsviz version {events.VERSION}."
            now = Stop("failed", text=text, state=stop.FAILED, status=status)
        # A page is told at once; who waits for the end gets the recording whole, and closing that may wait for the disk.
        if now.state in (stop.FINISHED, stop.FAILED):  # else nobody knows whether it ran
            self._present.expect(None)
        with self._changed:
            self._closing = self._recorder is not None
            self._set(now.state, now)
        self._tell("state")
        if self._recorder is None:
            return
        try:
            self._recorder.end(now)
        finally:
            with self._changed:
                self._closing = False
                self._changed.notify_all()
        if self.recording_problem:
            self._tell("state")

    def _how_it_ended(self, status: int) -> Stop:
        assert self._process is not None
        return ended(
            status,
            stopped=self._stopping,
            uncaught=self._uncaught,
            breadcrumb=self._process.last_breadcrumb,
            store=self._present,
            connected=bool(self._hello),
            level=self.level,
            starved=self._process.starved,
        )

    def _begin_recording(self) -> None:
        before, self._recorder = self._recorder, None
        if before is not None:
            before.discard()
        path = self._record
        if path is not None and before is not None:
            path = beside(path)
        try:
            meta, read = meta_of(self.script, self.args), self._reader()
            self._recorder = Recorder(path, meta, budget=self._value_budget, read=read)
            self._recorder.take([events.Level(self.level, 0)])
        except (RecordingError, OSError) as error:
            if self.run == 1 and path is not None:
                raise LaunchError(str(error)) from None
            self._unrecorded = str(error)  # the run goes on, and going back in it says why it cannot

    def _reader(self) -> Callable[[str], str | None] | None:
        """What gives the text of a source, where it is more than a file of this machine."""
        return None

    def once_more(self) -> dict[str, Any]:
        """The options with which `Session.launch` runs the same program again, beside this run. Raises `Refused` where it cannot."""
        if self.recorded_only or getattr(self, "attached", False):
            what = "a recording" if self.recorded_only else "a program that was attached to"
            raise Refused(f"This is {what}: it cannot be run again from here.")
        return {**self._popen, "config": dict(self._config)}

    @property
    def recording(self) -> str:
        """The file this run is recorded to."""
        return "" if self._recorder is None else self._recorder.path

    @property
    def recording_problem(self) -> str:
        """Why the run is not recorded, or not to its end; "" where it is."""
        recorder = self._recorder
        if recorder is None:
            return self._unrecorded
        return recorder.reason if recorder.state == "damaged" else ""

    # End

    def close(self) -> None:
        """End the program if it still runs, and leave nothing behind."""
        deadline = time.monotonic() + 10.0
        while not self._moving.acquire(timeout=0.1):
            if time.monotonic() > deadline:
                return
        try:
            self._stopping = self._stopping or self._state not in ENDS
            if self._process is not None:
                self._process.end()
            self._back_to_present()
            if self._recorder is not None:
                self._recorder.discard()
        finally:
            self._moving.release()
