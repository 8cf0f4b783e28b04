"""The program's side of the session: the rings it writes and the control channel it listens on.

One thread waits for commands, outside of `threading`'s books and holding no lock while it waits. So a
command is heard whatever the program does: inside a long kernel, with tracing off, in an endless loop
without ops. An op pays nothing for it, where asking a flag would cost 40 ns an op.
"""

from __future__ import annotations

import _thread
import contextlib
import itertools
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from dsviz import events
from dsviz.debuggee.into_ring import NoOutlet, RingOutlet
from dsviz.wire import control
from dsviz.wire.ring import DEFAULT_CAPACITY, PATIENCE, RingWriter
from engine.locks import reentrant

LEAST = 256 << 10  # bytes of a ring, where the disk has no room for as many as were wanted


class Link:
    """This process's end of the session that started it; `on_message` is called in the listening thread.

    `owner` is the thread that the first outlet is for, where another one asks for it.
    """

    def __init__(self, setup: dict[str, Any], began: int, owner: int | None = None) -> None:
        self.folder: str = setup["folder"]
        self.capacity: int = setup.get("capacity", DEFAULT_CAPACITY)
        self.channel = control.connect(setup["address"], bytes.fromhex(setup["secret"]))
        self.began = began
        self.on_message: Callable[[control.Message], None] = lambda message: None
        self.on_gone: Callable[[], None] = lambda: None
        self.gone = False
        self._owner = os.getpid()
        self._thread = owner
        self._unlogged = 0  # lines of logpoints that found no room
        self._outlets: list[RingOutlet] = []
        self._without: list[NoOutlet] = []
        self.made: Callable[[RingWriter], RingOutlet] = RingOutlet
        self._lock = reentrant()  # for what a finaliser may do while it is held, as the channel's
        self._numbers = itertools.count()
        self._wake: tuple[socket.socket, socket.socket] | None = None
        self._stopped = _thread.allocate_lock()

    # Rings

    def outlet(self) -> RingOutlet | NoOutlet:
        """A ring for the calling thread, announced to the server; on a full disk a smaller one, or none.

        Raises OSError where even the first has no room.
        """
        with self._lock:
            path = os.path.join(self.folder, f"ring-{self._owner}-{next(self._numbers)}")
            thread, self._thread = self._thread or threading.get_ident(), None
            try:
                ring = self._ring(path, thread)
            except OSError as error:
                if not self._outlets:
                    raise
                problem = error
            else:
                outlet = self.made(ring)
                self._outlets.append(outlet)
                self.send({"t": "ring", "path": path})
                return outlet
            none = NoOutlet()
            self._without.append(none)
            first = len(self._without) == 1
        if first:  # without the lock: what is printed asks for an outlet, too
            tell(f"there is no room for what another thread does ({problem}); it is not followed.")
        return none

    def _ring(self, path: str, thread: int) -> RingWriter:
        capacity = self.capacity
        while True:
            try:
                return RingWriter(path, capacity, thread, on_gap=self._gap, on_full=lambda: self.gone)
            except OSError:
                if capacity // 4 < LEAST:
                    raise
                capacity //= 4

    def heads(self) -> dict[str, int]:
        """How far each ring is written: the server reads so far before it shows a stop."""
        with self._lock:
            outlets = [outlet for outlet in self._outlets if not outlet.ring.closed]
        self._flush(outlets)
        self._tell_missing()
        return {outlet.ring.path: outlet.ring.head for outlet in outlets}

    def _flush(self, outlets: list[RingOutlet]) -> None:
        """Write what waits in this thread's outlets, and tell what is missing there."""
        for outlet in outlets:
            if outlet.ring.thread == threading.get_ident() and not outlet.ring.closed:
                outlet.flush()
                outlet.ring.flush_gap()

    def _tell_missing(self) -> None:
        for none in self._without:
            lost, none.lost = none.lost, 0
            if lost:
                self.send(
                    {"t": "gap", "lost": lost, "what": "events of a thread that the disk had no room for"}
                )

    def _gap(self, lost: dict[str, int]) -> bytes:
        gap = events.Gap(sum(lost.values()), ", ".join(sorted(lost)), time.perf_counter_ns() - self.began)
        return events.encoder.encode(gap)

    # Messages

    def send(self, message: control.Message) -> bool:
        """Send to the server; False where it is gone."""
        if self.gone:
            return False
        try:
            if message.get("t") == "log" and not self._room_to_log():
                return True
            self.channel.send(message)
        except OSError:
            self._lose()
            return False
        return True

    def _room_to_log(self) -> bool:
        """Whether what a logpoint says can be sent. It holds the program up for a moment only: of what a debugger that
        does not read misses it is told how much it was."""
        if not self.channel.takes(0.0 if self._unlogged else PATIENCE):
            self._unlogged += 1
            return False
        lost, self._unlogged = self._unlogged, 0
        if lost:
            self.channel.send({"t": "gap", "lost": lost, "what": "lines of logpoints"})
        return True

    def listen(self) -> None:
        """Start the listening thread."""
        self._wake = socket.socketpair()
        self._stopped.acquire()
        _thread.start_new_thread(self._listen, (self._wake[1],))

    def quiet(self) -> None:
        """Stop the listening thread and wait until it is gone."""
        if self._wake is None:
            return
        wake, self._wake = self._wake, None
        try:
            wake[0].send(b"x")
        except OSError:
            return  # the program has closed what is not its own; the thread found its end closed as well
        self._stopped.acquire()
        self._stopped.release()
        for end in wake:
            end.close()

    def listen_again(self) -> None:
        """Start listening again after `quiet`."""
        if self._wake is None and not self.gone:
            self.listen()

    def _listen(self, wake: socket.socket) -> None:
        try:
            while True:
                message = self.channel.receive_or(wake)
                if message is None:
                    return
                self.on_message(message)
        except (EOFError, OSError, msgspec.MsgspecError):
            self._lose()
        finally:
            self._stopped.release()

    def _lose(self) -> None:
        with self._lock:
            if self.gone or os.getpid() != self._owner:
                return
            self.gone = True
        self.on_gone()

    # Ends

    def abandon(self) -> None:
        """The server is gone: nothing of this session may stay on the disk."""
        with self._lock:
            for outlet in self._outlets:
                with contextlib.suppress(OSError):
                    os.unlink(outlet.ring.path)
        with contextlib.suppress(OSError):
            for name in os.listdir(self.folder):
                if name == "control" or name.startswith(f"value-{self._owner}-"):
                    os.unlink(os.path.join(self.folder, name))
        with contextlib.suppress(OSError):
            os.rmdir(self.folder)

    def forget(self) -> None:
        """In a forked child: let go of what belongs to the parent, without a word to the server."""
        self.gone = True
        self.channel.detach()
        for outlet in self._outlets:
            outlet.ring.closed = True

    def close(self) -> None:
        """The program ends: the last words are in the rings, which the server removes."""
        if os.getpid() != self._owner:
            return
        self.quiet()
        self._flush(self._outlets)
        self._tell_missing()
        for outlet in self._outlets:
            if outlet.ring.lost:  # it is full to the last, so that this cannot stand in it
                self.send({"t": "gap", "lost": outlet.ring.lost, "what": "events at the end"})
        if self._unlogged and not self.gone:
            self.send({"t": "gap", "lost": self._unlogged, "what": "lines of logpoints"})
        self.gone = True
        self.channel.close()


def tell(sentence: str) -> None:
    """One line on the program's stderr, from the debugger."""
    with contextlib.suppress(OSError, ValueError):
        stream = sys.__stderr__
        if stream is not None:
            stream.write(f"dsviz: {sentence}\n")
            stream.flush()
