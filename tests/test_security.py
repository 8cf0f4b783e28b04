"""The checklist of who may talk to the server, against the real application with every route of Dash."""

import asyncio
import re
from types import SimpleNamespace

import httpx
import pytest
from dash import html

from dsviz.web import security
from dsviz.web.app import build
from dsviz.web.live import Live
from dsviz.web.security import BODY_LIMIT, Gate, Keys

PORT = 8850
HOST = f"127.0.0.1:{PORT}"
ORIGIN = f"http://{HOST}"
PAGES = SimpleNamespace(
    page=lambda: html.Div(html.Div(id="react-entry-point"), id="page"),
    plots=html.Div,
    bind_all=lambda app, session: None,
    ASSETS_IGNORE=r"\.mjs$",
)
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]


class NothingBehind:
    """A backend that must never be reached by a stranger."""

    def __init__(self):
        self.opened = 0

    def open_stream(self):
        self.opened += 1
        return SimpleNamespace(read=list, behind=False, close=lambda: None)

    def moves(self, verb):
        return False

    def answer(self, request):
        return None


@pytest.fixture(scope="module")
def backend():
    return NothingBehind()


@pytest.fixture(scope="module")
def gate(backend):
    return build(PAGES, None, Live(backend), Keys(PORT))


def routes(gate):
    """Every path the application knows, with its parameters filled in, and some it does not."""
    known = [re.sub(r"\{[^}]*\}", "dash", route.path) for route in gate.app.routes]
    return [*known, "/assets/page.css", "/docs", "/openapi.json", "/nothing-here", "/live"]


def ask(gate, method, path, cookie=None, **headers):
    """One request through the gate. A header given as None is left out."""
    given = {"host": HOST, "origin": ORIGIN, "cookie": cookie, **headers}
    given = {name.replace("_", "-"): value for name, value in given.items() if value is not None}

    async def go():
        transport = httpx.ASGITransport(gate)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            return await client.request(method, path, headers=given)

    return asyncio.run(go())


def visit(gate, token, **headers):
    return ask(gate, "GET", f"/?token={token}", origin=None, **headers)


@pytest.fixture(scope="module")
def cookie(gate):
    answer = visit(gate, gate.keys.issue())
    return answer.headers["set-cookie"].partition(";")[0]


def knock(gate, path="/live", **headers):
    """Open a websocket and hang up at once; gives the first message the server sent."""
    given = {"host": HOST, "origin": ORIGIN, **headers}
    raw = [(k.replace("_", "-").encode(), v.encode()) for k, v in given.items() if v is not None]
    scope = {"type": "websocket", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"headers": raw, "subprotocols": [], "scheme": "ws", "root_path": "", "asgi": {"version": "3.0"}}
    incoming = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]
    sent = []

    async def go():
        async def receive():
            return incoming.pop(0)

        async def send(message):
            sent.append(message)

        await gate(scope, receive, send)

    asyncio.run(go())
    return sent[0]


@pytest.mark.parametrize("method", METHODS)
def test_every_route_needs_the_cookie(gate, method):
    for path in routes(gate):
        answer = ask(gate, method, path)
        assert answer.status_code == 403, path
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("cookie", ["dsviz_8850=", "dsviz_8850=guess", "dsviz_8851={}", "dsviz={}", "x=1; y"])
def test_a_wrong_cookie_is_no_cookie(gate, cookie):
    wrong = cookie.format(gate.keys._secret)
    assert ask(gate, "GET", "/", cookie=wrong).status_code == 403
    assert knock(gate, cookie=wrong)["type"] == "websocket.close"


def test_with_the_cookie_the_page_is_served(gate, cookie):
    assert ask(gate, "GET", "/", cookie=cookie).status_code == 200
    assert ask(gate, "GET", "/_dash-layout", cookie=f"other=1; {cookie}").status_code == 200
    assert knock(gate, cookie=cookie)["type"] == "websocket.accept"


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:80", f"0.0.0.0:{PORT}",
             f"localhost.evil.example:{PORT}", f"[::1]:{PORT}", f"127.0.0.1:{PORT}.evil.example", ""]
)  # fmt: skip
def test_a_foreign_host_is_refused_even_with_the_cookie(gate, cookie, host):
    # The name of a hostile page may be pointed at 127.0.0.1 after it was loaded.
    for path in ["/", "/_dash-layout", f"/?token={gate.keys.issue()}"]:
        assert ask(gate, "GET", path, cookie=cookie, host=host, origin=None).status_code == 403
    assert knock(gate, cookie=cookie, host=host, origin=f"http://{host}")["type"] == "websocket.close"


def test_localhost_is_the_same_place(gate, cookie):
    host = f"localhost:{PORT}"
    assert ask(gate, "GET", "/", cookie=cookie, host=host, origin=None).status_code == 200
    assert knock(gate, cookie=cookie, host=host, origin=f"http://{host}")["type"] == "websocket.accept"


def test_two_host_headers_are_refused(gate, cookie):
    scope_headers = [(b"host", HOST.encode()), (b"host", b"evil.example"), (b"cookie", cookie.encode())]
    assert gate._foreign({"headers": scope_headers}, needs_origin=False) == "host"


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "http://127.0.0.1:9999", f"https://127.0.0.1:{PORT}",
               f"http://localhost:{PORT}", f"http://127.0.0.1:{PORT}0"]
)  # fmt: skip
def test_a_foreign_origin_changes_nothing(gate, cookie, backend, origin):
    opened = backend.opened
    for method in METHODS[2:]:
        answer = ask(gate, method, "/_dash-update-component", cookie=cookie, origin=origin)
        assert answer.status_code == 403, method
    assert knock(gate, cookie=cookie, origin=origin)["type"] == "websocket.close"
    assert backend.opened == opened


def test_a_foreign_origin_reads_nothing(gate, cookie):
    assert ask(gate, "GET", "/_dash-layout", cookie=cookie, origin="http://evil.example").status_code == 403


@pytest.mark.parametrize(("site", "status"), [
    ("none", 200), ("same-origin", 200), (None, 200), ("same-site", 403), ("cross-site", 403), ("", 403),
])  # fmt: skip
def test_requests_that_other_pages_make_are_refused(gate, cookie, site, status):
    answer = ask(gate, "GET", "/", cookie=cookie, origin=None, sec_fetch_site=site)
    assert answer.status_code == status
    accepted = knock(gate, cookie=cookie, sec_fetch_site=site)["type"] == "websocket.accept"
    assert accepted == (status == 200)


def test_the_token_is_exchanged_for_a_strict_cookie_once(gate):
    token = gate.keys.issue()
    first = visit(gate, token)
    assert (first.status_code, first.headers["location"]) == (303, "/")
    assert token not in first.headers["location"]
    given = first.headers["set-cookie"]
    assert given.startswith(f"dsviz_{PORT}=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(given.split("; "))
    second = visit(gate, token)
    assert second.status_code == 403
    assert "set-cookie" not in second.headers


def test_a_used_token_makes_the_terminal_print_a_new_one(gate, monkeypatch):
    printed = []
    monkeypatch.setattr(gate.keys, "on_reuse", lambda: printed.append("new"))
    token = gate.keys.issue()
    visit(gate, token)
    assert printed == []
    assert "has just been printed" in visit(gate, token).text
    assert printed == ["new"]
    visit(gate, "made-up")  # who guesses has not seen the terminal
    assert printed == ["new"]


def test_a_browser_that_has_the_cookie_may_open_any_address_of_ours(gate, cookie):
    token = gate.keys.issue()
    for _ in range(2):
        answer = visit(gate, token, cookie=cookie)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("method", [m for m in METHODS if m != "GET"])
def test_only_opening_the_page_uses_a_token(gate, method):
    token = gate.keys.issue()
    assert ask(gate, method, f"/?token={token}").status_code == 403
    assert ask(gate, "GET", f"/_dash-layout?token={token}", origin=None).status_code == 403
    assert visit(gate, token).status_code == 303


@pytest.mark.parametrize(
    "token", ["", "%00", "%ff%fe", "é", "a" * 10_000, "x&token=y", "&".join("abcdefghijk")]
)
def test_odd_tokens_are_wrong_tokens(gate, token):
    assert visit(gate, token).status_code == 403


def test_tokens_and_the_cookie_have_256_bits(monkeypatch):
    asked = []
    monkeypatch.setattr(security.secrets, "token_urlsafe", lambda n: asked.append(n) or f"t{len(asked)}")
    Keys(PORT).issue()
    assert asked == [32, 32]


def test_secrets_are_compared_in_constant_time(monkeypatch):
    keys, compared = Keys(PORT), []
    tokens = [keys.issue() for _ in range(3)]
    real = security.hmac.compare_digest
    monkeypatch.setattr(security.hmac, "compare_digest", lambda a, b: compared.append(a) or real(a, b))
    keys.spend(tokens[0])
    assert len(compared) == 3  # a match does not end the search early
    keys.opens([f"dsviz_{PORT}=x".encode()])
    assert len(compared) == 4


def test_old_tokens_are_forgotten():
    keys = Keys(PORT)
    first = keys.issue()
    for _ in range(security.TOKENS_KEPT):
        keys.issue()
    assert keys.spend(first) == "unknown"


def test_answers_carry_the_rules_for_the_browser(gate, cookie):
    for path, known in [("/", cookie), ("/_dash-layout", cookie), ("/nothing-here", cookie), ("/", None)]:
        headers = ask(gate, "GET", path, cookie=known, origin=None).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_the_policy_allows_nothing_remote_and_no_eval(gate, cookie):
    policy = ask(gate, "GET", "/", cookie=cookie).headers["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in rules["script-src"]
    places = {word for rule in rules.values() for word in rule.split() if not word.startswith("'sha256-")}
    allowed = {"'none'", "'self'", "'unsafe-inline'", "data:", "blob:"}
    assert places <= {*allowed, f"ws://127.0.0.1:{PORT}", f"ws://localhost:{PORT}"}


def test_the_page_loads_nothing_remote(gate, cookie):
    page = ask(gate, "GET", "/", cookie=cookie).text
    loaded = re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=\"([^\"]*)\"", page)
    assert loaded
    assert all(address.startswith("/") and not address.startswith("//") for address in loaded)


def test_scripts_may_be_kept_by_the_browser(gate, cookie):
    page = ask(gate, "GET", "/", cookie=cookie).text
    script = re.search(r"src=\"(/_dash-component-suites/[^\"]*dash_renderer[^\"]*)\"", page)
    assert script
    assert "no-store" not in ask(gate, "GET", script[1], cookie=cookie).headers["cache-control"]


def test_the_page_is_whole_before_dash_has_run(gate, cookie):
    page = ask(gate, "GET", "/", cookie=cookie).text
    shell, _, later = page.partition('<template id="dash">')
    assert '<div id="page"><div id="react-entry-point">' in shell
    assert "_dash-component-suites" in later
    assert "_dash-component-suites" not in shell
    script = re.search(r"src=\"(/page/[^\"]*)\"", shell)
    assert script
    answer = ask(gate, "GET", script[1], cookie=cookie)
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]  # its name changes with its text
    assert ask(gate, "GET", "/page/dsviz-0000.js", cookie=cookie).status_code == 404


def test_a_body_that_is_too_large_is_refused_before_it_is_read(gate, cookie):
    headers = {"cookie": cookie, "content_length": str(BODY_LIMIT + 1)}
    assert ask(gate, "POST", "/_dash-update-component", **headers).status_code == 413


def test_a_body_that_grows_too_large_is_cut():
    """With no declared length the body is counted as it comes."""
    arrived = []

    async def app(scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            arrived.append(len(message["body"]))

    keys = Keys(PORT)
    cookie = keys.set_cookie().partition(";")[0]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b""}
    scope["headers"] = [(b"host", HOST.encode()), (b"origin", ORIGIN.encode()), (b"cookie", cookie.encode())]

    async def receive():
        return {"type": "http.request", "body": b"x" * (1 << 18), "more_body": True}

    asyncio.run(Gate(app, keys)(scope, receive, None))
    assert sum(arrived) == BODY_LIMIT


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../dsviz/cli.py",
        "/assets/%2e%2e/dsviz/cli.py",
        "/assets//etc/passwd",
        "/_dash-component-suites/dash/../../../etc/passwd",
        "/_dash-component-suites/dash/%2e%2e/%2e%2e/secrets.py",
        "/_dash-component-suites/dsviz/cli.py",
        "/_dash-component-suites/os/os.py",
    ],
)
def test_no_other_file_can_be_read(gate, cookie, path):
    assert ask(gate, "GET", path, cookie=cookie).status_code == 404
