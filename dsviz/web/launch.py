"""`dsviz run` with the page: the order in which things start, and how they end.

Starting is a race for three seconds, so slow things overlap: the port is bound and the address
printed at once, the program is started next, and while it imports its own modules we import Dash.
A browser that comes before the server listens simply waits: its connection is already queued.

The server has a thread of its own. The main thread waits for the end and for Ctrl-C:

- Ctrl-C (or SIGTERM, SIGHUP) while the program lives stops it and ends with 130 (143, 129);
- after the program ended, the page stays up to be looked at, and Ctrl-C ends with the program's status.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dsviz import shadow
from dsviz.commands.run import RunOptions
from dsviz.commands.usage import UsageError
from dsviz.interrupts import exit_status, heard, interrupts
from dsviz.stop import ENDS, FAILED, FINISHED, KILLED, RUNNING
from dsviz.thrift import keep_little
from dsviz.web.security import Keys

if TYPE_CHECKING:
    from dsviz.session import Session

News = BaseException | int | None  # the server's fault, a signal's number, or "the program's state changed"

USUAL_PORT = 8850  # stays the same from run to run, so that the browser remembers the page's layout
GOODBYE = 3.0  # seconds the server may take to end


def run(options: RunOptions) -> int:
    """Run the script with the page and give the exit status. Raises UsageError where the port is taken."""
    from dsviz.process import LaunchError

    def start() -> Session:
        from dsviz.session import Session

        try:
            return Session.launch(
                options.script,
                args=options.args,
                trace_level=options.trace_level,
                record=options.record,
                value_budget=options.value_budget,
                sample=options.sample,
            )
        except LaunchError as error:
            raise UsageError(str(error)) from None

    return follow(start, os.path.basename(options.script), options.port, options.browser)


def follow(start: Callable[[], Session], name: str, port: int | None, browser: bool) -> int:
    """Show the program that `start` gives a session for, called `name`, until it is over; gives the exit status."""
    keep_little()
    with bind(port) as listener:
        terminal = Terminal(Keys(listener.getsockname()[1]), name)
        news: queue.SimpleQueue[News] = queue.SimpleQueue()  # a signal handler may put into this kind
        with interrupts(news.put):
            address = terminal.keys.address()
            terminal.say(address)  # whoever reads it may end us at once
            with start() as session:
                server = Server(session, listener, terminal, news.put)
                server.start()
                if browser:
                    threading.Thread(target=open_browser, args=(address, terminal), daemon=True).start()
                session.on_change(lambda what: news.put(None) if what == "state" else None)
                try:
                    return _wait(session, terminal, news)
                finally:
                    session.close()  # before the server, so that open pages are told
                    server.stop()


def show(path: str, port: int | None, browser: bool) -> int:
    """Show a recording in the page until Ctrl-C. Raises UsageError where the port is taken."""
    from dsviz.opened import Opened

    keep_little()
    with bind(port) as listener:
        terminal = Terminal(Keys(listener.getsockname()[1]), os.path.basename(path), recording=True)
        address = terminal.keys.address()
        terminal.say(address)
        news: queue.SimpleQueue[News] = queue.SimpleQueue()
        with interrupts(news.put), Opened(path) as session:
            server = Server(session, listener, terminal, news.put)
            server.start()
            if browser:
                threading.Thread(target=open_browser, args=(address, terminal), daemon=True).start()
            try:
                what = heard(news)
                if isinstance(what, BaseException):
                    raise what
                return 0  # there is no program whose end could be reported
            finally:
                server.stop()


def bind(port: int | None) -> socket.socket:
    """A listening socket on 127.0.0.1; None: the usual port, or any free one where that is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name != "nt":  # there it would let two programs share the port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    wanted = [USUAL_PORT, 0] if port is None else [port]
    for candidate in wanted:
        try:
            listener.bind(("127.0.0.1", candidate))
            listener.listen(128)
        except PermissionError:
            why = f"you may not use port {candidate}"
        except OSError:
            why = f"port {candidate} on 127.0.0.1 is taken by another program"
        else:
            return listener
    listener.close()
    raise UsageError(f"{why}. Give another with --port N, or let dsviz choose a free one with --port 0.")


class Terminal:
    """What is said in the terminal, and the addresses it hands out."""

    def __init__(self, keys: Keys, script: str, recording: bool = False) -> None:
        self.keys = keys
        self.script = script
        self.recording = recording
        keys.on_reuse = lambda: self.say(f"a new address, good for one visit: {keys.address()}")

    def say(self, text: str) -> None:
        """Print one line. A terminal that is gone is no reason to end."""
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write(f"dsviz: {text}\n")
            sys.stdout.flush()

    def page_closed(self, state: str) -> None:
        """The last page is gone."""
        what = {
            "paused": f"{self.script} stays paused",
            "running": f"{self.script} keeps running",
            "starting": f"{self.script} keeps starting",
        }.get(state, f"{self.script} has ended")
        if self.recording:
            what = f"{self.script} can still be looked at"
        self.say(f"the page was closed; {what}. Open it again: {self.keys.address()}")


def _wait(session: Session, terminal: Terminal, news: queue.SimpleQueue[News]) -> int:
    """Wait until the person or a fault ends it all; gives the exit status."""
    told = 0
    while True:
        what = heard(news)
        if isinstance(what, BaseException):
            raise what
        now = session.stop_now
        by_itself = now is not None and now.state in (FINISHED, FAILED, KILLED)
        if isinstance(what, int) and session.attached:
            return 0  # the program runs on: leaving it is no failure
        if isinstance(what, int):
            return exit_status(now.status) if now is not None and by_itself else 128 + what
        if now is not None and now.state in ENDS and told != session.run:
            told = session.run
            terminal.say(f"{now.text} The page stays open; press Ctrl-C to close it.")


# How uvicorn serves: nothing is logged or told of itself, no forwarded address is believed, and a message is bounded.
SERVING: dict[str, Any] = {
    "lifespan": "off",
    "log_config": None,
    "log_level": "warning",
    "access_log": False,
    "ws_max_size": 1 << 20,
    "ws_per_message_deflate": False,  # compressing costs more than copying within one machine
    "server_header": False,
    "proxy_headers": False,
    "timeout_graceful_shutdown": 1,
}


class Server(threading.Thread):
    """The web server in its own thread, with its own event loop."""

    def __init__(
        self,
        session: Session,
        listener: socket.socket,
        terminal: Terminal,
        report: Callable[[BaseException], None],
    ) -> None:
        super().__init__(name="dsviz-server", daemon=True)
        self._session = session
        self._listener = listener
        self._terminal = terminal
        self._report = report
        self._server: Any = None
        self._ended = False

    def run(self) -> None:
        """Import, build and serve; what goes wrong is reported to the main thread."""
        try:
            self._serve()
        except BaseException as error:  # noqa: BLE001 - handed to the thread that can end the run
            self._report(error)

    def _serve(self) -> None:
        import uvicorn

        from dsviz.web.app import build
        from dsviz.web.live import Live
        from dsviz.web.verbs import Verbs

        shadow.load_own("layouts")
        layouts = importlib.import_module("layouts")
        session, terminal = self._session, self._terminal
        live = Live(Verbs(session), on_alone=lambda: terminal.page_closed(session.state))
        session.on_change(lambda what: live.wake(urgent=what != "events" and session.state != RUNNING))
        config = uvicorn.Config(build(layouts, session, live, terminal.keys), **SERVING)
        self._server = uvicorn.Server(config)
        if not self._ended:
            self._server.run(sockets=[self._listener])
        live.close()

    def stop(self) -> None:
        """End the server and wait a moment for it."""
        self._ended = True
        if self._server is not None:
            self._server.should_exit = True
        self.join(GOODBYE)


def open_browser(address: str, terminal: Terminal) -> None:
    """Open the person's browser. Not being able to is no fault: the address is in the terminal."""
    if sys.platform.startswith("linux") and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    ):
        return  # a text browser would take the terminal from the script
    try:
        opened = webbrowser.open(address)
    except Exception:  # noqa: BLE001 - whatever a browser's starter does, the run goes on
        opened = False
    if not opened:
        terminal.say("no browser could be opened; open the address above yourself.")
