"""The control channel: commands one way, stops and replies the other, over one local socket.

A message is a 4-byte length and a msgpack map. Before the first message both sides prove that they
know the session's secret (HMAC-SHA256 over the other's random number), so neither a stranger who
finds the socket nor one who takes its place can speak.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from dsviz.events import cleaned

VERSION = 1
LARGEST = 64 << 20  # bytes of one message; a value asked for at a stop is the largest
LARGEST_BEFORE_TRUST = 4096
_LENGTH = struct.Struct("<I")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode

Message = dict[str, Any]


class ControlError(ConnectionError):
    """The other side is not who it should be, or sent what it may not."""


class Channel:
    """One end of the control channel. `send` may be called from any thread, `receive` from one."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        # Entered again by a thread that holds it when the collector runs a finaliser there that has something to say.
        self._lock = threading.RLock()
        self._buffer = bytearray()
        self._largest = LARGEST_BEFORE_TRUST
        connection.setblocking(True)

    def fileno(self) -> int:
        """The socket's descriptor, for `select`; -1 once closed."""
        return self._socket.fileno()

    def send(self, message: Message) -> None:
        """Send one message whole. Raises OSError where the other side is gone."""
        try:
            data = _encode(message)
        except UnicodeEncodeError:  # a name that is no UTF-8
            data = _encode(cleaned(message))
        if len(data) > LARGEST:
            raise ValueError(f"a message of {len(data)} bytes is larger than {LARGEST}")
        with self._lock:
            self._socket.sendall(_LENGTH.pack(len(data)) + data)

    def takes(self, timeout: float) -> bool:
        """Whether a short message can be sent without waiting, now or within `timeout` seconds."""
        return bool(_ready((self._socket,), timeout, write=True))

    def receive(self, timeout: float | None = None) -> Message | None:
        """The next message; None when `timeout` seconds passed without a whole one.

        Raises EOFError when the other side closed, ControlError when it sent what it may not.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            message = self._take()
            if message is not None:
                return message
            if deadline is not None and not readable(self._socket, max(0.0, deadline - time.monotonic())):
                return None
            try:
                data = self._socket.recv(1 << 16)
            except OSError as error:
                raise EOFError(str(error)) from None
            if not data:
                raise EOFError("the other side closed the control channel")
            self._buffer += data

    def receive_or(self, wake: socket.socket) -> Message | None:
        """The next message, or None as soon as `wake` has something to read."""
        while True:
            message = self._take()
            if message is not None:
                return message
            if wake in readable_of((self._socket, wake)):
                return None
            message = self.receive(0.0)
            if message is not None:
                return message

    def _take(self) -> Message | None:
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        (size,) = _LENGTH.unpack_from(buffer)
        if size > self._largest:
            raise ControlError(f"a message of {size} bytes is larger than {self._largest}")
        if len(buffer) < 4 + size:
            return None
        data = bytes(buffer[4 : 4 + size])
        del buffer[: 4 + size]
        try:
            return _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ControlError(f"a message that is no msgpack map: {error}") from None

    def trust(self) -> None:
        """The other side proved itself: large messages are allowed from here on."""
        self._largest = LARGEST

    def detach(self) -> None:
        """Close this process's copy of the socket only: other holders keep theirs."""
        self._socket.close()

    def close(self) -> None:
        """Close the socket and wake whoever waits on it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):  # the program may have closed it, with all that were open
            self._socket.close()


class Listener:
    """A door: one address that the other side connects to, in `folder` or where `address` says.

    `address` is the absolute path of a socket or 127.0.0.1:PORT (port 0: any). Raises OSError where it is taken.
    """

    def __init__(self, folder: str, address: str | None = None) -> None:
        path = os.path.join(folder, "control") if address is None else address
        # A Unix socket's address holds about 100 bytes; Windows has none that Python can open.
        local = hasattr(socket, "AF_UNIX") and sys.platform != "win32" and len(os.fsencode(path)) < 100
        if os.path.isabs(path) and (local or address is not None):
            self.path = path
            self._socket = socket.socket(socket.AF_UNIX)
            self._bind(path)
            os.chmod(path, 0o600)
            self.address = path
        else:
            self.path = ""
            self._socket = socket.socket(socket.AF_INET)
            if address is not None and os.name != "nt":
                # A port that a program of ours has just left can be taken again at once.
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._bind(("127.0.0.1", 0 if address is None else int(address.rpartition(":")[2])))
            self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._socket.listen(4)

    def _bind(self, address: Any) -> None:
        try:
            self._socket.bind(address)
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """The listening socket's descriptor, for `select`."""
        return self._socket.fileno()

    def accept(self, secret: bytes, timeout: float) -> Channel | None:
        """The channel of whoever connects and knows `secret`; None where nobody did in `timeout` seconds.

        None as well where the door is closed meanwhile.
        """
        try:
            return self._accept(secret, timeout)
        except (OSError, ValueError):
            if self._socket.fileno() < 0:
                return None
            raise

    def _accept(self, secret: bytes, timeout: float) -> Channel | None:
        deadline = time.monotonic() + timeout
        while readable(self._socket, max(0.0, deadline - time.monotonic())):
            connection, _ = self._socket.accept()
            channel = Channel(connection)
            try:
                _prove(channel, secret, "server", "program", timeout=2.0)
                return channel
            except (OSError, EOFError):
                # A stranger: closed, and the door stays open for the one we wait for.
                channel.close()
        return None

    def detach(self) -> None:
        """Close this process's copy of the door only: the one who made it keeps it."""
        self._socket.close()

    def close(self) -> None:
        """Close the door and remove its file."""
        self._socket.close()
        if self.path:
            with contextlib.suppress(FileNotFoundError):  # a program that lets go removes it, too
                os.unlink(self.path)


def connect(address: str, secret: bytes, timeout: float = 10.0) -> Channel:
    """The traced program's end of the channel at `address`. Raises ControlError or OSError."""
    local = os.path.isabs(address)
    connection = socket.socket(socket.AF_UNIX if local else socket.AF_INET)
    connection.settimeout(timeout)
    try:
        if not local:
            host, port = address.rsplit(":", 1)
            connection.connect((host, int(port)))
        else:
            connection.connect(address)
        channel = Channel(connection)
        _prove(channel, secret, "program", "server", timeout)
    except BaseException:
        connection.close()
        raise
    return channel


def readable(source: Any, timeout: float) -> bool:
    """Whether `source` has something to read within `timeout` seconds."""
    return bool(readable_of((source,), timeout))


def readable_of(sources: Sequence[Any], timeout: float | None = None) -> list[Any]:
    """Those of `sources` that have something to read, after at most `timeout` seconds (None: for ever)."""
    return _ready(sources, timeout)


def _ready(sources: Sequence[Any], timeout: float | None, write: bool = False) -> list[Any]:
    if not hasattr(select, "poll"):
        none: list[Any] = []
        found = select.select(none if write else sources, sources if write else none, none, timeout)
        return found[write]
    poll = select.poll()  # select() cannot take descriptors above 1023
    numbers = {source.fileno(): source for source in sources}
    for number in numbers:
        poll.register(number, select.POLLOUT if write else select.POLLIN)
    return [numbers[number] for number, _ in poll.poll(None if timeout is None else timeout * 1000)]


def _prove(channel: Channel, secret: bytes, me: str, other: str, timeout: float) -> None:
    mine = os.urandom(32)
    channel.send({"t": "hello", "version": VERSION, "nonce": mine})
    hello = _expect(channel, "hello", timeout)
    theirs = hello.get("nonce")
    if hello.get("version") != VERSION or not isinstance(theirs, bytes) or len(theirs) != 32:
        raise ControlError(f"the {other} speaks version {hello.get('version')!r}, not {VERSION}")
    if theirs == mine:
        raise ControlError("the other side only repeats what it hears")
    # Who proves is part of what is signed: an answer cannot be reflected to its sender.
    channel.send({"t": "proof", "mac": _mac(secret, me, theirs, mine)})
    proof = _expect(channel, "proof", timeout).get("mac")
    if not isinstance(proof, bytes) or not hmac.compare_digest(proof, _mac(secret, other, mine, theirs)):
        raise ControlError(f"the {other} does not know the session's secret")
    channel.trust()


def _expect(channel: Channel, kind: str, timeout: float) -> Message:
    message = channel.receive(timeout)
    if message is None or message.get("t") != kind:
        raise ControlError(f"expected {kind!r}, got {message and message.get('t')!r}")
    return message


def _mac(secret: bytes, who: str, challenge: bytes, own: bytes) -> bytes:
    return hmac.new(secret, who.encode() + challenge + own, hashlib.sha256).digest()
