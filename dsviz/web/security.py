"""Who may talk to the server: one gate in front of every route, Dash's own included.

The server can run code in the person's program, so it trusts nobody on the machine's network, no
other web page in the person's browser, and no other local user. A request passes when all hold:

1. `Host` is exactly ours (otherwise a hostile name could be pointed at 127.0.0.1: DNS rebinding);
2. `Origin` is exactly ours, and present for everything but GET and HEAD (forged cross-site requests);
3. `Sec-Fetch-Site` is absent, `none` or `same-origin` (another port on this machine is `same-site`);
4. it carries the cookie, which is only given for a one-time token printed in the terminal.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

BODY_LIMIT = 1 << 20  # bytes of one request; Dash's callbacks and the console need far less
TOKENS_KEPT = 16  # addresses that may be open or remembered as used at a time

_SAFE = {"GET", "HEAD"}
_SITES = {b"none", b"same-origin"}
_CACHED = ("/assets/", "/page/", "/_dash-component-suites/")

_REFUSALS = {
    "host": "This address is not the debugger's own. Open the one that dsviz printed in the terminal.",
    "origin": "The request came from another page, so it was refused.",
    "key": (
        "This browser has no key for the debugger yet. "
        "Open the address that dsviz printed in the terminal; it works once."
    ),
    "used": (
        "This address has been used already; each works once. "
        "A new one has just been printed in the terminal where dsviz runs."
    ),
    "size": f"The request is larger than {BODY_LIMIT} bytes, which the debugger never needs.",
}


class Keys:
    """One-time tokens for addresses, and the one cookie they are exchanged for.

    `on_reuse` is called when a token comes a second time from a browser without the cookie: whoever
    has it saw the terminal, so the terminal may print a fresh one.
    """

    def __init__(self, port: int, on_reuse: Callable[[], None] | None = None) -> None:
        self.port = port
        self.name = f"dsviz_{port}"  # cookies are shared between ports, so the name tells ours apart
        self.on_reuse = on_reuse
        self._secret = secrets.token_urlsafe(32)
        self._tokens: dict[str, bool] = {}  # token -> still unused

    def issue(self) -> str:
        """A new token of 256 random bits that is good for one visit."""
        token = secrets.token_urlsafe(32)
        self._tokens[token] = True
        while len(self._tokens) > TOKENS_KEPT:
            del self._tokens[next(iter(self._tokens))]
        return token

    def address(self) -> str:
        """A new address to open in the browser."""
        return f"http://127.0.0.1:{self.port}/?token={self.issue()}"

    def spend(self, candidate: str) -> str:
        """ "new" the first time a token comes, "used" after that, "unknown" for anything else."""
        found = None
        for token in self._tokens:  # all are compared, each in constant time
            if hmac.compare_digest(token.encode(), candidate.encode("utf-8", "replace")):
                found = token
        if found is None:
            return "unknown"
        if not self._tokens[found]:
            return "used"
        self._tokens[found] = False
        return "new"

    def set_cookie(self) -> str:
        """The header's value that gives the cookie to a browser, until the browser ends."""
        return f"{self.name}={self._secret}; HttpOnly; SameSite=Strict; Path=/"

    def opens(self, cookies: Iterable[bytes]) -> bool:
        """Whether one of the request's `Cookie` headers carries our cookie."""
        wanted, good = self.name.encode(), False
        for header in cookies:
            for part in header.split(b";"):
                name, _, value = part.strip().partition(b"=")
                if name == wanted and hmac.compare_digest(value, self._secret.encode()):
                    good = True
        return good


def content_policy(port: int, script_hashes: Iterable[str] = ()) -> str:
    """The page's Content-Security-Policy: nothing remote, no eval, no inline script but the hashed.

    Inline *styles* are allowed because Dash and plotly set them; they cannot run code or, with the
    other rules, send anything anywhere.
    """
    return "; ".join(
        [
            "default-src 'none'",
            " ".join(["script-src 'self'", *script_hashes]),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            f"connect-src 'self' ws://127.0.0.1:{port} ws://localhost:{port}",
            "worker-src 'self' blob:",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


class Gate:
    """ASGI middleware that lets nothing but the person's own page through to `app`."""

    def __init__(self, app: ASGIApp, keys: Keys, script_hashes: Iterable[str] = ()) -> None:
        self.app = app
        self.keys = keys
        hosts = [f"{name}:{keys.port}" for name in ("127.0.0.1", "localhost")]
        self._hosts = {host.encode() for host in hosts}
        self._headers: Headers = [
            (b"content-security-policy", content_policy(keys.port, script_hashes).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or refuse it before anything behind the gate has seen it."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self.app(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._foreign(scope, needs_origin=True)
        if refusal or not self.keys.opens(_values(scope, b"cookie")):
            await receive()  # websocket.connect; closing before accepting is an HTTP 403
            await send({"type": "websocket.close", "code": 1008})
            return
        await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        cached = scope["path"].startswith(_CACHED)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": self._guard(message.get("headers", ()), cached)}
            await send(message)

        refusal = self._foreign(scope, needs_origin=scope["method"] not in _SAFE)
        if refusal:
            await _refuse(send_guarded, 403, refusal)
            return
        known = self.keys.opens(_values(scope, b"cookie"))
        token = _token(scope)  # HEAD and POST never use one up
        visit = self.keys.spend(token) if token is not None else ""
        if visit and known:
            await _respond(send_guarded, 303, "", [(b"location", b"/")])
        elif visit == "new":
            cookie = (b"set-cookie", self.keys.set_cookie().encode())
            await _respond(send_guarded, 303, "", [(b"location", b"/"), cookie])
        elif not known:
            if visit == "used" and self.keys.on_reuse:
                self.keys.on_reuse()
            await _refuse(send_guarded, 403, "used" if visit == "used" else "key")
        elif _declared(scope) > BODY_LIMIT:
            await _refuse(send_guarded, 413, "size")
        else:
            await self.app(scope, _Limited(receive), send_guarded)

    def _foreign(self, scope: Scope, needs_origin: bool) -> str | None:
        """Which rule a request that is not our own page's breaks, if any."""
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return "host"
        origins = _values(scope, b"origin")
        # Same host as well: the page at localhost has no business at 127.0.0.1, nor a cookie there.
        if (origins or needs_origin) and origins != [b"http://" + hosts[0]]:
            return "origin"
        if any(site not in _SITES for site in _values(scope, b"sec-fetch-site")):
            return "origin"
        return None

    def _guard(self, headers: Iterable[tuple[bytes, bytes]], cached: bool) -> Headers:
        ours = {name for name, _ in self._headers}
        if not cached:
            ours.add(b"cache-control")
        kept = [(name, value) for name, value in headers if name.lower() not in ours]
        if not cached:
            kept.append((b"cache-control", b"no-store"))
        elif not any(name.lower() == b"cache-control" for name, _ in kept):
            kept.append((b"cache-control", b"no-cache"))  # kept by the browser, asked for each time
        return kept + self._headers


class _Limited:
    """A `receive` that ends the request once its body is larger than it said or may be."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = BODY_LIMIT

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                return {"type": "http.disconnect"}
        return message


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key.lower() == name]


def _declared(scope: Scope) -> int:
    lengths = _values(scope, b"content-length")
    return max((int(length) for length in lengths if length.isdigit()), default=0)


def _token(scope: Scope) -> str | None:
    """The token of a visit to `/?token=...`."""
    if scope["method"] != "GET" or scope["path"] != "/" or b"token=" not in scope["query_string"]:
        return None
    try:
        found = parse_qs(scope["query_string"].decode("ascii"), max_num_fields=8).get("token", [])
    except ValueError:  # not ASCII, or too many fields: no address of ours
        return None
    return found[0] if len(found) == 1 else None


async def _refuse(send: Send, status: int, why: str) -> None:
    await _respond(send, status, f"dsviz: {_REFUSALS[why]}\n", [])


async def _respond(send: Send, status: int, text: str, headers: Headers) -> None:
    body = text.encode()
    common = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": [*common, *headers]})
    await send({"type": "http.response.body", "body": body})
