"""The door of a program that listens: nothing of it is traced, and it pays nothing, until a session comes in."""

from __future__ import annotations

import _thread
import atexit
import contextlib
import os
import secrets
import socket
import stat
import sys
import threading
from typing import Any

import msgspec

from dsviz import doors, events
from dsviz.debuggee.followed import after_fork
from dsviz.debuggee.visit import Visit
from dsviz.wire import control
from engine.locks import reentrant

PATIENCE = 2.0  # seconds somebody who came in may take to say what he wants
HANDOVER = 1.0  # seconds a session that was killed may take to be gone before the next one is refused


class Door:
    """Listens in a thread of its own, at `address` (a private socket where it is None).

    The thread is outside of `threading`'s books and waits in the kernel. Raises NoDoorError where it cannot listen.
    """

    def __init__(self, address: str | None, script: str, interactive: bool, waiting: bool = False) -> None:
        self.script, self.interactive = script, interactive
        self.visit: Visit | None = None
        self.waiting = waiting  # the program waits in listen() and is to pause once somebody has come
        self.came = threading.Event()
        self._main = threading.main_thread().ident or 0
        self._pid = os.getpid()
        self._secret = secrets.token_bytes(32)
        self._lock = reentrant()
        self._wake: tuple[socket.socket, socket.socket] | None = None
        self._stopped = _thread.allocate_lock()
        place = doors.folder()
        self._listener = _listener(place, address)
        self.address = self._listener.address
        try:
            record = doors.Record(self._pid, self.address, self._secret.hex(), script, interactive)
            self._record = doors.keep(record, place)
        except OSError as error:
            self._listener.close()
            raise doors.NoDoorError(f"{place} cannot be written to ({error.strerror}).") from None
        self.closed = False
        os.register_at_fork(
            before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._in_child
        )
        atexit.register(self.close)
        self._listen()

    @property
    def attached(self) -> bool:
        """Whether a session is there."""
        return self.visit is not None and not self.visit.over.is_set()

    def pause(self) -> None:
        """Pause before the next node, where a session is there to go on from it."""
        visit = self.visit
        if visit is not None and not visit.over.is_set():
            visit.stepper.pause()

    def close(self) -> None:
        """Listen no more; a session that is there is sent away. Closing twice is harmless."""
        with self._lock:
            if self.closed or os.getpid() != self._pid:
                return
            self.closed = True
        atexit.unregister(self.close)
        self._quiet()
        if self.visit is not None:
            self.visit.at_exit()
        self._listener.close()
        with contextlib.suppress(OSError):
            os.unlink(self._record)

    # The thread

    def _listen(self) -> None:
        self._wake = socket.socketpair()
        self._stopped.acquire()
        _thread.start_new_thread(self._serve, (self._wake[1],))

    def _quiet(self) -> None:
        if self._wake is None:
            return
        self._wake[0].send(b"x")
        self._stopped.acquire()
        self._stopped.release()
        for end in self._wake:
            end.close()
        self._wake = None

    def _serve(self, wake: socket.socket) -> None:
        try:
            while wake not in control.readable_of((self._listener, wake)):
                channel = self._listener.accept(self._secret, 0.0)
                if channel is None:
                    continue  # somebody without the secret
                with contextlib.suppress(OSError, EOFError, msgspec.MsgspecError):
                    self._answer(channel)
                channel.close()
        finally:
            self._stopped.release()

    def _answer(self, channel: control.Channel) -> None:
        message = channel.receive(PATIENCE)
        if message is None or message.get("t") != "attach":
            return
        refused = self._let_in(message)
        if refused:
            channel.send({"t": "refused", "error": refused})
        else:
            channel.send({"t": "attached", "pid": self._pid})

    def _let_in(self, message: control.Message) -> str:
        """Why the session cannot come in; "" once it has."""
        theirs = message.get("version")
        if theirs != events.VERSION:
            return f"The program speaks version {events.VERSION} of the protocol, and this dsviz version {theirs}."
        before = self.visit
        if before is not None and not before.over.wait(HANDOVER):
            return f"A debugger is attached already (process {before.viewer}). Detach that one first."
        if before is not None:
            before.link.close()
        setup: dict[str, Any] = message["setup"]
        setup["pause_at_entry"] = setup["pause_at_entry"] or self.waiting
        try:
            visit = Visit(setup, self._main, self.script, self.interactive)
        except Exception as error:  # noqa: BLE001 - no fault of ours may reach the program
            return f"The program could not take the debugger in: {type(error).__name__}: {error}."
        self.visit = visit
        visit.start()
        self.came.set()
        return ""

    # Forks

    def _before_fork(self) -> None:
        if self.closed or os.getpid() != self._pid:
            return
        self._quiet()
        if self.attached and self.visit is not None:
            self.visit.before_fork()

    def _after_fork(self) -> None:
        if not self.closed and os.getpid() == self._pid:
            after_fork(self._listen_again)

    def _listen_again(self) -> None:
        with self._lock:
            if self.closed or self._wake is not None:
                return
            self._listen()
        if self.attached and self.visit is not None:
            self.visit.listen_again()

    def _in_child(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._listener.detach()
        if self.attached and self.visit is not None:
            self.visit.in_child()


def _listener(place: str, address: str | None) -> control.Listener:
    if address is None:
        address = os.path.join(place, f"{os.getpid()}.sock")
        if not hasattr(socket, "AF_UNIX") or sys.platform == "win32" or len(os.fsencode(address)) >= 100:
            address = "127.0.0.1:0"
    local = os.path.isabs(address)
    if local:
        if not hasattr(socket, "AF_UNIX") or sys.platform == "win32":
            raise doors.NoDoorError(
                f"{address}: sockets in the file system are not to be had here; give a port."
            )
        _make_room(address)
    try:
        return control.Listener(place, address)
    except OSError as error:
        what = address if local else f"Port {address.rpartition(':')[2]} of this machine"
        raise doors.NoDoorError(f"{what} cannot be listened at: {error.strerror or error}.") from None


def _make_room(path: str) -> None:
    """Remove a socket that nobody listens at any more. Raises NoDoorError for anything else that is there."""
    try:
        found = os.lstat(path)
    except OSError:
        return  # nothing there; what else is wrong, binding tells
    if not stat.S_ISSOCK(found.st_mode):
        raise doors.NoDoorError(f"{path} exists and is no socket: it is not replaced. Give another address.")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PATIENCE)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError as error:
            raise doors.NoDoorError(f"{path} cannot be listened at: {error.strerror or error}.") from None
        else:
            raise doors.NoDoorError(f"Another program listens at {path}. Give another address.")
