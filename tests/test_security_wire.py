"""Strangers who speak no proper HTTP: raw bytes to a real server. None gets an answer, none keeps others from theirs."""

from __future__ import annotations

import base64
import contextlib
import gzip
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import uvicorn
from test_security import PAGES, NothingBehind

from dsviz.web.app import build
from dsviz.web.launch import SERVING, bind
from dsviz.web.live import Live
from dsviz.web.security import Keys

WAIT = 60


class Served:
    """A server as `dsviz run` starts it, with nothing behind it, and what a page of its own would hold."""

    def __init__(self) -> None:
        self.listener = bind(0)
        self.port: int = self.listener.getsockname()[1]
        self.keys = Keys(self.port)
        self.cookie = self.keys.set_cookie().partition(";")[0]
        self.backend = NothingBehind()
        live = Live(self.backend)
        self.server = uvicorn.Server(uvicorn.Config(build(PAGES, None, live, self.keys), **SERVING))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]})
        self.thread.start()

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(WAIT)
        self.listener.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAIT)

    def ask(self, request: bytes) -> bytes:
        """All that the server answers to these bytes before it closes."""
        with self.connect() as stream:
            with contextlib.suppress(ConnectionError):  # it may close before it has heard all
                stream.sendall(request)
            return everything(stream)

    def request(self, *headers: str, line: str = "GET / HTTP/1.1", body: bytes = b"") -> bytes:
        lines = [line, *headers, "Connection: close", "", ""]
        return "\r\n".join(lines).encode("latin-1") + body

    def good(self) -> bytes:
        """The answer to a page of ours, which must always come."""
        return self.ask(self.request(f"Host: 127.0.0.1:{self.port}", f"Cookie: {self.cookie}"))

    def websocket(self) -> socket.socket:
        """A page's websocket, opened as a page opens it."""
        stream = self.connect()
        key = base64.b64encode(bytes(16)).decode()
        stream.sendall(
            f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nOrigin: http://127.0.0.1:{self.port}\r\n"
            f"Cookie: {self.cookie}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += stream.recv(1)
        assert head.startswith(b"HTTP/1.1 101"), head
        return stream


def everything(stream: socket.socket) -> bytes:
    found = b""
    try:
        while data := stream.recv(1 << 16):
            found += data
    except ConnectionError:
        pass  # it hung up on us
    return found


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.close()


def test_a_page_of_ours_is_served(served: Served) -> None:
    assert served.good().startswith(b"HTTP/1.1 200")


HOST = "Host: 127.0.0.1:{port}"
STRANGE = {
    "no host": ("GET / HTTP/1.0", ()),
    "two hosts": ("GET / HTTP/1.1", (HOST, "Host: evil.example", "Cookie: {cookie}")),
    "two hosts, ours last": ("GET / HTTP/1.1", ("Host: evil.example", HOST, "Cookie: {cookie}")),
    "a host in the request line": ("GET http://evil.example/ HTTP/1.1", ("Host: evil.example", "Cookie: {cookie}")),
    "a host after white space": ("GET / HTTP/1.1", ("Host : 127.0.0.1:{port}", "Cookie: {cookie}")),
    "a host that goes on": ("GET / HTTP/1.1", ("Host: 127.0.0.1:{port},evil.example", "Cookie: {cookie}")),
    "a user in the host": ("GET / HTTP/1.1", ("Host: evil.example@127.0.0.1:{port}", "Cookie: {cookie}")),
    "a forwarded host": ("GET / HTTP/1.1", ("X-Forwarded-Host: 127.0.0.1:{port}", "Host: evil.example", "Cookie: {cookie}")),
    "a forwarded user": ("GET / HTTP/1.1", (HOST, "X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1")),
    "another method by header": ("GET / HTTP/1.1", (HOST, "X-HTTP-Method-Override: POST")),
    "a cookie of another port": ("GET / HTTP/1.1", (HOST, "Cookie: dsviz_1=x; {cookie}x")),
    "a cookie's name in capitals": ("GET / HTTP/1.1", (HOST, "Cookie: {upper}")),
    "a cookie with a path": ("GET / HTTP/1.1", (HOST, "Cookie: $Version=1; $Path=/; dsviz_{port}=")),
    "an authorisation": ("GET / HTTP/1.1", (HOST, "Authorization: Bearer {secret}", "X-Token: {secret}")),
    "a cookie in the address": ("GET /?cookie={cookie}&token={secret} HTTP/1.1", (HOST,)),
    "a folded header": ("GET / HTTP/1.1", (HOST, "X-A: b\r\n Cookie: {cookie}")),
    "a line feed in a header": ("GET / HTTP/1.1", (HOST, "X-A: b\nCookie: {cookie}x")),
    "a zero in the path": ("GET /\0 HTTP/1.1", (HOST,)),
    "a long path": ("GET /" + "a" * 100_000 + " HTTP/1.1", (HOST,)),
    "many headers": ("GET / HTTP/1.1", (HOST, *(f"X-{i}: {'y' * 500}" for i in range(400)))),
    "both lengths": ("POST / HTTP/1.1", (HOST, "Content-Length: 5", "Transfer-Encoding: chunked")),
    "two lengths": ("POST / HTTP/1.1", (HOST, "Content-Length: 5", "Content-Length: 50")),
    "a length below zero": ("POST / HTTP/1.1", (HOST, "Content-Length: -5")),
    "a huge length": ("POST / HTTP/1.1", (HOST, "Content-Length: " + "9" * 40)),
    "no HTTP": ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ()),
    "HTTP of the future": ("GET / HTTP/7.1", (HOST,)),
}  # fmt: skip


def test_strange_requests_get_nothing_and_the_next_is_served(served: Served) -> None:
    secret = served.cookie.partition("=")[2]
    known = {"port": served.port, "cookie": served.cookie, "upper": served.cookie.upper(), "secret": secret}
    for name, (line, headers) in STRANGE.items():
        filled = [header.format(**known) for header in headers]
        answer = served.ask(served.request(*filled, line=line.format(**known)))
        assert not answer or answer.split()[1] in (b"400", b"403", b"413", b"421", b"431"), (
            name,
            answer[:200],
        )
        assert secret.encode() not in answer, name
    assert served.good().startswith(b"HTTP/1.1 200")
    assert served.backend.opened == 0


def test_a_request_hidden_in_anothers_body_is_not_answered(served: Served) -> None:
    host = f"Host: 127.0.0.1:{served.port}"
    hidden = f"GET / HTTP/1.1\r\n{host}\r\nCookie: {served.cookie}\r\n\r\n".encode()
    for smuggled in (
        served.request(host, "Content-Length: 4", "Transfer-Encoding: chunked", line="POST / HTTP/1.1", body=b"0\r\n\r\n" + hidden),
        served.request(host, "Transfer-Encoding: xchunked", line="POST / HTTP/1.1", body=b"0\r\n\r\n" + hidden),
        served.request(host, "Transfer-Encoding: chunked", line="POST / HTTP/1.1", body=b"ffffffffffffffff\r\n" + hidden),
    ):  # fmt: skip
        assert b" 200 " not in served.ask(smuggled)


def test_half_requests_keep_nobody_waiting(served: Served) -> None:
    half = [served.connect() for _ in range(100)]
    try:
        for stream in half:
            stream.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n")
        assert served.good().startswith(b"HTTP/1.1 200")
    finally:
        for stream in half:
            stream.close()


def test_a_compressed_bomb_stays_compressed(served: Served) -> None:
    bomb = gzip.compress(bytes(50 << 20))
    headers = [
        f"Host: 127.0.0.1:{served.port}",
        f"Origin: http://127.0.0.1:{served.port}",
        f"Cookie: {served.cookie}",
    ]
    headers += ["Content-Type: application/json", "Content-Encoding: gzip", f"Content-Length: {len(bomb)}"]
    answer = served.ask(served.request(*headers, line="POST /_dash-update-component HTTP/1.1", body=bomb))
    assert answer.split()[1] in (b"400", b"415", b"422", b"500")
    assert served.good().startswith(b"HTTP/1.1 200")


def frame(code: int, data: bytes, *, fin: bool = True, mask: bool = True, length: int | None = None) -> bytes:
    size = len(data) if length is None else length
    short = size if size < 126 else 126 if size < 1 << 16 else 127
    head = bytes([code | (0x80 if fin else 0), short | (0x80 if mask else 0)])
    head += b"" if short < 126 else struct.pack(">H" if short == 126 else ">Q", size)
    return head + (bytes(4) if mask else b"") + data


MALFORMED = {
    "not masked": frame(1, b"{}", mask=False),
    "an unknown kind": frame(5, b"x"),
    "reserved bits": bytes([0xF1, 0x80, 0, 0, 0, 0]),
    "a length of four exabytes": frame(1, b"x", length=1 << 62),
    "a length with its highest bit": bytes([0x81, 0xFF]) + b"\xff" * 12,
    "larger than a message may be": frame(1, b"x" * ((1 << 20) + 1)),
    "parts that are larger together": b"".join(
        [frame(1, b"x" * (1 << 19), fin=False), *(frame(0, b"x" * (1 << 19), fin=False) for _ in range(3))]
    ),
    "a part of nothing": frame(0, b"x"),
    "a long ping": frame(9, b"x" * 200),
    "text that is no UTF-8": frame(1, b"\xff\xfe"),
    "a close of one byte": frame(8, b"x"),
    "no frame": b"GET / HTTP/1.1\r\n\r\n" * 10,
}


def test_malformed_frames_end_their_own_connection_only(served: Served) -> None:
    with served.websocket() as other:
        for name, data in MALFORMED.items():
            with served.websocket() as stream:
                with contextlib.suppress(ConnectionError):  # it may close before it has heard all
                    stream.sendall(data)
                # The server closes; the time limit of the socket says where it does not.
                last = everything(stream)
            assert not last or last[0] & 0x0F in (8, 9, 10), name
        assert told(other, b"[" * 100_000) == "The request is not JSON."
        assert told(other, frame_json(do="x" * 100_000)).startswith("The request has no number")
    assert served.good().startswith(b"HTTP/1.1 200")


def frame_json(**fields: Any) -> bytes:
    return msgspec.json.encode(fields)


def told(stream: socket.socket, text: bytes) -> str:
    """What a page is told of a request that makes no sense."""
    stream.sendall(frame(1, text))
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        head = take(stream, 2)
        size = head[1] & 0x7F
        size = struct.unpack(">H", take(stream, 2))[0] if size == 126 else size
        data = take(stream, size)
        if head[0] & 0x0F == 1:
            return str(msgspec.json.decode(data)[0]["error"])
    raise AssertionError("nothing was told")


def take(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = stream.recv(size - len(data))
        assert more, "the connection was closed"
        data += more
    return data
