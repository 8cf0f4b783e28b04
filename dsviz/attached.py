"""A session with a program that runs already and listens: `ds.listen()` there, `Session.attach` or `dsviz attach` here."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from dsviz import doors, events, stop
from dsviz.debuggee.breakpoints import EXCEPTION, SHAPE_MISMATCH
from dsviz.process import BUSY, GRACE, Child, LaunchError, Process
from dsviz.recording.writer import DEFAULT_BUDGET
from dsviz.session import Refused, Session
from dsviz.session.settings import checked_budget, checked_level, checked_sample
from dsviz.stop import ENDS, FINISHED, STOPPED, Stop
from dsviz.store import read_file
from dsviz.wire import control

PATIENCE = 10.0  # seconds a program may take to let us in: one long op may hold it
_LOOK = 0.05  # seconds between two looks whether a program that is not our child is still there


class Attached(Session):
    """Follows a program that listens. Ending the session leaves the program running.

    `target` is a process number or an address. Raises `LaunchError` with a sentence where there is nothing to
    attach to, or somebody is attached already.
    """

    attached = True

    def __init__(
        self,
        target: int | str,
        trace_level: int = 1,
        *,
        pause: bool = False,
        capacity: int | None = None,
        record: str | os.PathLike[str] | None = None,
        value_budget: int = DEFAULT_BUDGET,
        sample: int = 1,
        breakpoints: bool = True,
    ) -> None:
        try:
            self.record_of = doors.find(str(target))
        except doors.NoDoorError as error:
            raise LaunchError(str(error)) from None
        name = self.record_of.script or f"{self.record_of.name} (process {self.record_of.pid})"
        self._prepare(name, (), checked_level(trace_level))
        self._texts: dict[str, str] = {}
        self._present.read = self._source
        self._pause_at_entry = pause
        self._capacity = capacity
        self._record = None if record is None else os.path.abspath(os.fspath(record))
        self._value_budget, self._sample = checked_budget(value_budget), checked_sample(sample)
        self._popen, self._config = {}, {}
        self._halts = breakpoints
        if breakpoints:
            self.add_breakpoint(SHAPE_MISMATCH)
            self.add_breakpoint(EXCEPTION)
        self._start()

    @property
    def interactive(self) -> bool:
        """Whether a person types the program: a notebook, or `python -i`."""
        return self.record_of.interactive

    def send(self, verb: str, **fields: Any) -> int:
        """Start a command. Here `stop` lets go of the program, which runs on; it cannot be restarted from here."""
        if verb == "restart":
            raise Refused("This program was attached to, so it cannot be restarted from here: start it anew, and dsviz attach PID.")  # fmt: skip
        return super().send(verb, **fields)

    def detach(self) -> Stop:
        """Let go of the program; it runs on by itself, and can be attached to again."""
        return self.stop()

    def state_message(self) -> dict[str, Any]:
        """A session's message, marked as attached."""
        message = {**super().state_message(), "attached": True}
        if self._state in ENDS:
            alive = self._state == STOPPED
            message["next"] = (
                "Attach to it again to go on." if alive else "What it told stays here to be looked at."
            )
        return message

    def _process_of(self, setup: dict[str, Any]) -> Process:
        return Visited(
            self.record_of,
            setup,
            on_events=self._on_events,
            on_message=self._on_message,
            on_end=self._on_end,
        )

    def _on_message(self, message: dict[str, Any]) -> None:
        if message.get("t") == "source":
            self._texts[str(message["path"])] = str(message["text"])
            return
        super()._on_message(message)
        if message.get("t") == "hello":
            self.args[:] = [str(arg) for arg in message.get("args", ())]
            self._present.args = list(self.args)

    def _reader(self) -> Callable[[str], str | None]:
        return self._source

    def _source(self, path: str) -> str | None:
        text = self._texts.get(path)
        return read_file(path) if text is None else text

    def _how_it_ended(self, status: int) -> Stop:
        process = self._process
        assert isinstance(process, Visited)
        if process.child.ended:
            failed = process.child.failed or self._uncaught is not None
            if not failed:
                return Stop("finished", text="The program ended.", state=FINISHED, status=0)
            return super()._how_it_ended(1)
        if process.child.lives:
            how = "Detached" if self._stopping else "The program let go of the debugger"
            text = f"{how}; process {self.pid} runs on by itself."
            return Stop("detached", text=text, state=STOPPED)
        crash = super()._how_it_ended(-9)
        # Whose child it was has the signal's number; we only see that it is gone.
        text = crash.text.replace("Killed by SIGKILL", "Killed")
        return Stop(
            crash.reason, crash.node, crash.source, crash.op, text=text, state=stop.KILLED, file=crash.file
        )


class Visited(Process):
    """The process of a program that lets us in by its door."""

    child: Guest

    def __init__(self, record: doors.Record, setup: dict[str, Any], **told: Any) -> None:
        self._record = record
        self._connected: control.Channel | None = None
        super().__init__(record.script, (), setup, **told)

    def _begin(self, script: str, args: Sequence[str], setup: dict[str, Any], popen: dict[str, Any]) -> Child:
        record = self._record
        try:
            channel = control.connect(record.address, bytes.fromhex(record.secret), PATIENCE)
        except (OSError, EOFError, ValueError) as error:
            raise LaunchError(
                f"{record.name} (process {record.pid}) does not answer at {record.address}{_why(error)}. "
                "It may be stopped, or inside one very long operation."
            ) from None
        try:
            channel.send(
                {"t": "attach", "version": events.VERSION, "setup": {**setup, "viewer": os.getpid()}}
            )
            answer = self._hear(channel)
        except (OSError, EOFError) as error:
            raise LaunchError(f"{record.name} (process {record.pid}) ended while it was attached to: {error}.") from None  # fmt: skip
        finally:
            channel.close()
        if answer is None:
            raise LaunchError(f"{record.name} (process {record.pid}) gave no answer in {PATIENCE:.0f} s.")
        if answer.get("t") != "attached":
            raise LaunchError(str(answer.get("error", "The program refused the debugger.")))
        self.child = Guest(record.pid)
        return self.child

    def _hear(self, door: control.Channel) -> control.Message | None:
        """What the program answers at its door, having connected to ours on the way."""
        deadline = time.monotonic() + PATIENCE
        while (left := deadline - time.monotonic()) > 0:
            ready = control.readable_of((door, self._listener), left)
            if self._listener in ready:
                self._connected = self._listener.accept(self._secret, PATIENCE) or self._connected
            if door in ready:
                return door.receive(left)
        return None

    def _accept(self) -> control.Channel | None:
        return self._connected or super()._accept()

    def _take(self, message: control.Message) -> None:
        if message.get("t") == "bye":
            for path, head in message.get("heads", {}).items():
                self._drain_to(path, head)
            self.child.bye(ends=bool(message.get("ends")), failed=bool(message.get("failed")))
            return
        super()._take(message)

    def _closed_early(self) -> None:
        # It closes the channel a moment before it is gone where it was killed; otherwise it has let us go.
        deadline = time.monotonic() + GRACE
        while self.child.poll() is None and time.monotonic() < deadline:
            self._drain()
            time.sleep(BUSY)
        self.child.left()

    def end(self) -> None:
        """Let go of the program; returns when everything it told has been read."""
        if not self._ended.is_set():
            self.send({"t": "detach"})
            if threading.current_thread() is not self._thread and not self._ended.wait(GRACE):
                self.child.left()  # it does not hear; when it does, it finds us gone
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def refuse(self) -> None:
        """What it speaks is not understood."""
        self.child.left()


def _why(error: Exception) -> str:
    return f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""


class Guest:
    """What is known of a process that is no child of ours. It is over for us when it ends or lets us go."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended = self.failed = False  # it said that it ends, and that an exception ends it
        self._left = threading.Event()

    def bye(self, ends: bool, failed: bool = False) -> None:
        """The program said that it lets go, and whether it ends."""
        self.ended, self.failed = ends, failed
        self._left.set()

    def left(self) -> None:
        """We follow it no longer, whatever it does."""
        self._left.set()

    @property
    def lives(self) -> bool:
        """Whether the process runs."""
        return doors.alive(self.pid)

    def poll(self) -> int | None:
        """None while we follow it."""
        return 0 if self._left.is_set() or not self.lives else None

    def wait(self) -> int:
        """Returns once we follow it no longer."""
        while self.poll() is None:
            time.sleep(_LOOK)
        return 0

    def terminate(self) -> None:
        """It is not ours to end."""

    def send_signal(self, number: int) -> None:
        """The same."""
