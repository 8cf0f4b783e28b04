"""One run of a program: its process, its rings, its control channel, and the thread that reads them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from dsviz import events, shadow
from dsviz.endings import memory_kills
from dsviz.wire import control
from dsviz.wire.ring import DEFAULT_CAPACITY, Breadcrumb, RingReader
from dsviz.wire.short import Reading

# The interpreter is told where our own packages are: the folder it was started in may hold others.
_BOOTSTRAP = (
    "__dsviz_bootstrap__ = True\n"
    "import sys\n"
    "if sys.path and sys.path[0] == '': del sys.path[0]\n"
    "sys.path.insert(0, {root!r})\n"
    "from dsviz.debuggee.main import main\n"
    "main()\n"
)
SETUP = "DSVIZ_SESSION"

BUSY, IDLE, MOST_IDLE = 0.002, 0.02, 0.05  # seconds the reader sleeps while the program runs
ROOM = 8 * DEFAULT_CAPACITY  # bytes free that a folder should have for rings and values
BATCH = 256 << 10  # bytes read from one ring before the others get their turn
LOOK = 5.0  # seconds between two looks whether the system has killed somebody for memory
GRACE, LAST_GRACE = 1.0, 1.0  # seconds a program has to end when asked, and when told


class LaunchError(RuntimeError):
    """The program could not be started; the text is a sentence for the person."""


class Child(Protocol):
    """What is asked of the program's process: the part of `subprocess.Popen` that is used here."""

    pid: int

    def poll(self) -> int | None:
        """Its exit status, None while it runs."""

    def wait(self) -> int:
        """Its exit status, once it has ended."""

    def terminate(self) -> None:
        """Tell it to end."""

    def send_signal(self, number: int) -> None:
        """Send it a signal."""


class Process:
    """Starts the program and follows it to its end, in a thread of its own.

    `on_events(list)` gets events in order, `on_message(message)` what the program says (after all events it
    had written by then), `on_end(status)` its exit status (negative: a signal) when all has been read.
    """

    def __init__(
        self,
        script: str,
        args: Sequence[str],
        setup: dict[str, Any],
        *,
        on_events: Callable[[list[events.AnyEvent]], None],
        on_message: Callable[[control.Message], None],
        on_end: Callable[[int], None],
        **popen: Any,
    ) -> None:
        self._on_events, self._on_message, self._on_end = on_events, on_message, on_end
        self.folder = _private_folder()
        self._readers: dict[str, RingReader] = {}
        self._readings: dict[str, Reading] = {}
        self._names: dict[str, str] = {}
        self._last: RingReader | None = None
        self._channel: control.Channel | None = None
        self._unsent: list[control.Message] = []  # what was said before the program had connected
        self._sending = threading.Lock()
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._kills = (
            0.0,
            0,
        )  # when it was looked last how many processes had been killed for memory, and how many
        self._ending = False  # the program has said that it ends; how long that takes is its own affair
        self.damaged = False
        self._secret = secrets.token_bytes(32)
        listener = None
        try:
            self._listener = listener = control.Listener(self.folder)
            setup = {
                "capacity": DEFAULT_CAPACITY,
                **setup,
                "address": self._listener.address,
                "secret": self._secret.hex(),
                "folder": self.folder,
            }
            self.popen = self._begin(script, args, setup, popen)
        except (OSError, LaunchError) as error:
            if listener is not None:
                listener.close()
            shutil.rmtree(self.folder, ignore_errors=True)
            if isinstance(error, LaunchError):
                raise
            raise LaunchError(f"The program cannot be started: {error}.") from None
        self._thread = threading.Thread(target=self._follow, name="dsviz-session", daemon=True)
        self._thread.start()

    def _begin(self, script: str, args: Sequence[str], setup: dict[str, Any], popen: dict[str, Any]) -> Child:
        """Start the program, which then connects to us. Raises OSError or LaunchError where it cannot be."""
        return _start(script, args, json.dumps(setup), popen)

    @property
    def pid(self) -> int:
        """The program's process number."""
        return self.popen.pid

    def send(self, message: control.Message) -> bool:
        """Send to the program, or keep it until the program has connected; False where it cannot hear any more."""
        with self._sending:
            channel = self._channel
            if channel is None:
                self._unsent.append(message)
                return True
        try:
            channel.send(message)
        except OSError:
            return False
        return True

    def breadcrumb(self) -> Breadcrumb | None:
        """The node that started last in any thread."""
        crumbs = [reader.breadcrumb() for reader in self._readers.values() if not reader.closed]
        return max(crumbs, key=lambda crumb: crumb.node, default=None)

    def end(self) -> None:
        """Ask the program to end, then make it end; returns when it has, and everything has been read."""
        if not self._ended.is_set() and self.popen.poll() is None:
            self.send({"t": "terminate"})
            for patience, number in ((GRACE, signal.SIGTERM), (LAST_GRACE, getattr(signal, "SIGKILL", 9))):
                if self._ended.wait(patience) or self.popen.poll() is not None:
                    break
                with contextlib.suppress(ProcessLookupError):
                    self.popen.send_signal(number)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def refuse(self) -> None:
        """From the reading thread: what the program speaks is not understood; it is ended."""
        self.popen.terminate()

    # The reading thread

    def _follow(self) -> None:
        try:
            channel = self._accept()
            with self._sending:
                if channel is not None:
                    with contextlib.suppress(OSError):  # it ended at once: the reading below tells
                        for message in self._unsent:
                            channel.send(message)
                    self._unsent.clear()
                    self._channel = channel
            if channel is not None:
                self._read()
        finally:
            status = self.popen.wait()
            try:
                self._drain_all()
            finally:  # whatever goes wrong with the last words, who waits for the end hears of it
                self._close()
                self._ended.set()
                self._on_end(status)

    def _accept(self) -> control.Channel | None:
        # The program may also die before it connects, for example where its Python cannot import us.
        while self.popen.poll() is None:
            channel = self._listener.accept(self._secret, 0.1)
            if channel is not None:
                return channel
        return None

    def _read(self) -> None:
        channel, nap = self._channel, BUSY
        assert channel is not None
        while True:
            self._look_at_memory()
            try:
                message = channel.receive(nap)
            except (EOFError, OSError, msgspec.MsgspecError):
                break
            if message is not None:
                self._take(message)
                nap = BUSY
                continue
            if self._drain():
                nap = BUSY
            elif self.popen.poll() is not None:
                # Its end closes the channel, unless a child of its own still holds it.
                break
            else:
                nap = min(nap * 2, MOST_IDLE)
        self._closed_early()

    def _look_at_memory(self) -> None:
        if (now := time.monotonic()) >= self._kills[0] + LOOK:
            self._kills = now, memory_kills()

    @property
    def starved(self) -> bool:
        """Whether a process was killed for want of memory at the end of this one."""
        return memory_kills() > self._kills[1]

    def _closed_early(self) -> None:
        # The channel is closed a moment before the process is gone; a program that closed it and
        # goes on (it let go of the debugger) runs on by itself.
        deadline = time.monotonic() + 2.0
        while self.popen.poll() is None:
            self._drain()
            if time.monotonic() > deadline and not self._ending:
                self._on_message({"t": "lost"})
                self.popen.wait()
                return
            time.sleep(BUSY)

    def _take(self, message: control.Message) -> None:
        kind = message.get("t")
        if kind == "bye":
            self._ending = bool(message.get("ends"))
            return
        if kind == "ring":
            self._open(str(message["path"]), str(message.get("thread", "")))
            return
        for path, head in message.pop("heads", {}).items():
            self._drain_to(path, head)
        self._on_message(message)

    def _open(self, path: str, thread: str) -> None:
        # Only what the program made in the folder we gave it.
        if os.path.dirname(path) != self.folder or path in self._readers:
            return
        self._readers[path] = RingReader(path)
        self._readings[path] = Reading()
        self._names[path] = thread

    def _drain(self) -> bool:
        busy = False
        for reader in list(self._readers.values()):
            busy = self._feed(reader) or busy
        return busy

    def _drain_to(self, path: str, head: int) -> None:
        reader = self._readers.get(path)
        while reader is not None and not reader.damaged and reader.head - reader.waiting < head:
            if not self._feed(reader):
                break

    def _drain_all(self) -> None:
        names: list[str] = []
        with contextlib.suppress(FileNotFoundError):  # the program thought us gone, and cleared up
            names = sorted(os.listdir(self.folder))
        for name in names:
            path = os.path.join(self.folder, name)
            if name.startswith("ring-") and path not in self._readers:
                # Made a moment before the program died: it could not announce it any more.
                with contextlib.suppress(ValueError, OSError):
                    self._open(path, "")
        while self._drain():
            pass

    def _feed(self, reader: RingReader) -> bool:
        records = list(reader.read(BATCH))
        if not records:
            self.damaged = self.damaged or reader.damaged
            return False
        reading = self._readings[reader.path]
        batch = reading.events(records)
        reader.damaged = reader.damaged or reading.damaged
        for index, event in enumerate(batch):
            if type(event) is events.Value and event.file:
                batch[index] = self._from_file(event)
        self.damaged = self.damaged or reader.damaged
        if not batch:
            return False
        if reader is not self._last and len(self._readers) > 1:
            index = list(self._readers).index(reader.path)
            batch.insert(0, events.Thread(index, self._names[reader.path]))
        self._last = reader
        self._on_events(batch)
        return True

    def _from_file(self, event: events.Value) -> events.Value:
        """A value whose bytes were too many for the ring; without them where they cannot be had."""
        data = b""
        if event.file == os.path.basename(event.file):
            path = os.path.join(self.folder, event.file)
            with contextlib.suppress(OSError):
                with open(path, "rb") as file:
                    data = file.read()
                os.unlink(path)
        return events.Value(event.node, event.name, event.dtype, event.shape, event.axes, data)

    def _close(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self._listener.close()
        self.last_breadcrumb = self.breadcrumb()
        for reader in self._readers.values():
            reader.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _private_folder() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK):
        with contextlib.suppress(OSError):
            if shutil.disk_usage(runtime).free < ROOM:  # it is a small one in memory, as a rule
                raise OSError("it is full")
            return tempfile.mkdtemp(prefix="dsviz-", dir=runtime)
    return tempfile.mkdtemp(prefix="dsviz-")  # both make it readable for this user only


def _start(script: str, args: Sequence[str], setup: str, popen: dict[str, Any]) -> subprocess.Popen[bytes]:
    popen = dict(popen)  # a restart needs it again
    python = popen.pop("python", None) or sys.executable
    environment = dict(popen.pop("env", None) or os.environ)
    command = popen.pop("command", None)  # of a program that speaks the protocol by itself
    command = (
        [*command, *args] if command else [python, "-c", _BOOTSTRAP.format(root=shadow.ROOT), script, *args]
    )
    if sys.platform == "win32":
        environment[SETUP] = setup
        return subprocess.Popen(command, env=environment, **popen)
    # The secret goes through a pipe: the environment of a process can be read while it runs.
    read, write = os.pipe()
    try:
        environment[SETUP] = f"fd:{read}"
        process = subprocess.Popen(command, env=environment, pass_fds=(read,), **popen)
        os.write(write, setup.encode() + b"\n")
    finally:
        os.close(read)
        os.close(write)
    return process
