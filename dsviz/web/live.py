"""The page's websocket: what happened goes out in batches, what the person wants comes in.

Every open page (a `Client`) has a stream of its own, a cursor into the same store, and asks it for
what is new when there is something new *and* the page can take it. So a slow page costs nothing: it
skips states between its frames, and nothing is queued for it. A reloaded page starts a new cursor,
whose first batch is everything.

The store is fed by other threads. They call `wake`, which is safe from any thread and cheap.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import msgspec
from starlette.websockets import WebSocketDisconnect

from dsviz.events import cleaned

FRAME = 1 / 60  # seconds between batches while the program runs
SETTLE = 0.012  # seconds that what is not urgent waits for more: a step is often over before this
ALONE = 2.0  # seconds without any page before the terminal is told; a reload takes less
CLIENTS = 16  # pages open at a time
IN_FLIGHT = 64  # requests of one page that wait for their answer

TOO_MANY = 1013  # websocket close code "try again later"

Json = dict[str, Any]


class Stream(Protocol):
    """One page's cursor: what is new since it was last asked, everything the first time."""

    @property
    def behind(self) -> bool:
        """Whether more is waiting than the last batch could hold."""

    def read(self) -> list[Json]:
        """Messages for the page, in order; empty where nothing is new."""

    def close(self) -> None:
        """The page is gone."""


class Backend(Protocol):
    """What the pages of one program talk to."""

    def open_stream(self) -> Stream:
        """A new cursor for a page that was just opened."""

    def moves(self, verb: str) -> bool:
        """Whether the verb is a command that moves the program: `answer` then never waits."""

    def answer(self, request: Json) -> Any:
        """Do what a page asked and give the reply's data. Raises Refusal with a sentence."""


class Socket(Protocol):
    """The part of a Starlette WebSocket that is used here."""

    async def accept(self) -> None:
        """Let the page in."""

    async def receive(self) -> Any:
        """The next ASGI message."""

    async def send_text(self, data: str) -> None:
        """Send one text frame; waits while the page is behind."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the conversation."""


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    """What was asked cannot be done; the text is the sentence shown to the person."""

    def __init__(self, text: str, number: int | None = None) -> None:
        super().__init__(text)
        self.number = number  # of a request that could be read just so far


class Live:
    """All open pages of one program. Lives in the server's event loop, apart from `wake`."""

    def __init__(self, backend: Backend, on_alone: Callable[[], None] | None = None) -> None:
        self.backend = backend
        self.on_alone = on_alone
        self.clients: set[Client] = set()
        self.pool = ThreadPoolExecutor(4, thread_name_prefix="dsviz-query")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._alone: asyncio.TimerHandle | None = None
        self._lock = threading.Lock()
        self._urgent = self._woken = False

    def wake(self, urgent: bool = False) -> None:
        """Something is new. `urgent`: the person waits for it (a stop), so it goes out at once."""
        with self._lock:
            if self._loop is None or (self._woken and (self._urgent or not urgent)):
                return
            self._urgent, self._woken = self._urgent or urgent, True
        try:
            self._loop.call_soon_threadsafe(self._stir)
        except RuntimeError:  # the loop has ended, and the pages with it
            self._loop = None

    def _stir(self) -> None:
        with self._lock:
            urgent, self._urgent, self._woken = self._urgent, False, False
        for client in self.clients:
            client.stir(urgent)

    async def serve(self, socket: Socket) -> None:
        """Serve one page until it goes away. The gate has already checked who it is."""
        self._loop = asyncio.get_running_loop()
        await socket.accept()
        if len(self.clients) >= CLIENTS:
            await socket.close(TOO_MANY, f"{CLIENTS} pages are open already; close one of them.")
            return
        client = Client(self, socket)
        self.clients.add(client)
        if self._alone:
            self._alone.cancel()
        try:
            await client.talk()
        finally:
            self.clients.discard(client)
            if not self.clients:
                self._alone = self._loop.call_later(ALONE, self._left_alone)

    def _left_alone(self) -> None:
        if not self.clients and self.on_alone:
            self.on_alone()

    def close(self) -> None:
        """Stop answering; to be called in the loop when the server ends."""
        if self._alone:
            self._alone.cancel()
        self.pool.shutdown(wait=False, cancel_futures=True)


class Client:
    """One open page."""

    def __init__(self, live: Live, socket: Socket) -> None:
        self.live = live
        self.socket = socket
        self._something = asyncio.Event()
        self._now = asyncio.Event()
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._replies: list[Json] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def stir(self, urgent: bool) -> None:
        """There is something to send."""
        self._something.set()
        if urgent:
            self._now.set()

    async def talk(self) -> None:
        """Send and receive until one of the two ends."""
        halves = [asyncio.ensure_future(self._send()), asyncio.ensure_future(self._receive())]
        try:
            await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in [*halves, *self._tasks]:
                task.cancel()
            for outcome in await asyncio.gather(*halves, return_exceptions=True):
                if isinstance(outcome, Exception):
                    traceback.print_exception(type(outcome), outcome, outcome.__traceback__)

    async def _send(self) -> None:
        clock = asyncio.get_running_loop().time
        stream = self.live.backend.open_stream()
        try:
            await self._follow(stream, clock)
        finally:
            stream.close()

    async def _follow(self, stream: Stream, clock: Callable[[], float]) -> None:
        self.stir(urgent=True)
        last = 0.0
        while True:
            await self._something.wait()
            if not self._now.is_set():
                await self._pause(max(SETTLE, last + FRAME - clock()))
            self._something.clear()
            self._now.clear()
            replies, self._replies = self._replies, []
            messages = stream.read() + replies  # what a command caused, then that it was done
            if messages:
                try:
                    text = msgspec.json.encode(messages).decode()
                except UnicodeEncodeError:  # a name that is no UTF-8
                    text = msgspec.json.encode(cleaned(messages)).decode()
                try:
                    await self.socket.send_text(text)
                except (OSError, RuntimeError, WebSocketDisconnect):
                    return  # the page is gone
            for _ in replies:
                self._room.release()
            if stream.behind:
                self.stir(urgent=False)
            last = clock()

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._now.wait(), seconds)
        except asyncio.TimeoutError:
            return

    async def _receive(self) -> None:
        while True:
            message = await self.socket.receive()
            if message["type"] != "websocket.receive":
                return
            # Without room the page is not read from until it has taken its replies.
            await self._room.acquire()
            text = message.get("text")
            self._take(text if isinstance(text, str) else "")

    def _take(self, text: str) -> None:
        try:
            number, request = parse(text)
        except Refusal as refusal:
            self._reply(refusal.number, error=str(refusal))
            return
        task = asyncio.ensure_future(self._answer(number, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, number: int, request: Json) -> None:
        loop = asyncio.get_running_loop()
        backend = self.live.backend
        moves = False
        try:
            moves = backend.moves(request["do"])
            if moves:
                data = backend.answer(request)  # never waits, so it is not sent through the pool
            else:
                data = await loop.run_in_executor(self.live.pool, backend.answer, request)
        except Refusal as refusal:
            self._reply(number, error=str(refusal))
        except Exception as error:  # noqa: BLE001 - one panel's fault must not end the page
            traceback.print_exc(file=sys.stderr)
            what = f"dsviz could not answer {request['do']!r}: {error!r}."
            self._reply(number, error=f"{what} The terminal shows where.")
        else:
            # That a step was begun is told together with where it ended: to draw both takes twice as long.
            self._reply(number, data=data, urgent=not moves)

    def _reply(
        self, number: int | None, data: Any = None, error: str | None = None, urgent: bool = True
    ) -> None:
        if error is None:
            self._replies.append({"t": "reply", "id": number, "ok": True, "data": data})
        else:
            self._replies.append({"t": "reply", "id": number, "ok": False, "error": error})
        self.stir(urgent)


def parse(text: str) -> tuple[int, Json]:
    """A page's request and its number. Raises Refusal where it is none."""
    try:
        request = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Refusal("The request is not JSON.") from None
    if not isinstance(request, dict):
        raise Refusal("The request is not a JSON object.")
    number = request.get("id")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 53:
        raise Refusal("The request has no number: `id` must be a whole number from 0.")
    if not isinstance(request.get("do"), str):
        raise Refusal("The request does not say what to do: `do` must be a verb.", number)
    return number, request
