"""A session that comes to a program which runs already, and goes again while it runs on."""

from __future__ import annotations

import linecache
import os
import platform
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from dsviz import events
from dsviz.debuggee.followed import Followed
from dsviz.debuggee.into_ring import RingOutlet
from dsviz.debuggee.link import tell

LONGEST = 2_000_000  # characters of a text that is in no file


class Visit(Followed):
    """One such session. `over` is set once it is gone; `script` is what the program is called."""

    def __init__(self, setup: dict[str, Any], owner: int, script: str, interactive: bool) -> None:
        self.viewer: int = setup.get("viewer", 0)
        self.over = threading.Event()
        self._script, self._interactive = script, interactive
        self._hook: Callable[..., object] | None = None
        self._told: set[str] = set()
        self._failed = False
        super().__init__(setup, owner)

    def before_tracing(self) -> None:
        """The text of what is in no file, a notebook's cell, is told beside its name."""
        self.link.made = lambda ring: _Outlet(ring, self._text)

    def start(self) -> None:
        """Begin, in a program that is in the middle of something."""
        self._hook, sys.excepthook = sys.excepthook, self._excepthook
        self.begin(
            {
                "python": platform.python_version(),
                "script": self._script,
                "args": sys.argv[1:],
                "attached": True,
                "interactive": self._interactive,
            }
        )

    def take(self, message: dict[str, Any]) -> None:
        """Carry out a message; a visitor never ends the program, it leaves."""
        if message.get("t") in ("detach", "terminate"):
            self.leave(ends=False)
            return
        super().take(message)

    def leave(self, ends: bool) -> None:
        """Let go of the program, and say so with all that was told before. `ends`: the program does, too."""
        self.close_tees(tell=ends)
        self.let_go()
        self.over.set()  # before the session hears of it: the next one may come at once
        self.link.send({"t": "bye", "ends": ends, "failed": self._failed, "heads": self.link.heads()})

    def on_gone(self) -> None:
        """The session was killed, or has heard that we left."""
        self.close_tees(tell=False)
        super().on_gone()
        if not self.over.is_set() and not self._interactive:
            tell("the debugger is gone; the program goes on, and can be attached to again.")
        self.over.set()

    def let_go(self) -> None:
        """Everything is as it was before."""
        super().let_go()
        if sys.excepthook == self._excepthook and self._hook is not None:
            sys.excepthook = self._hook

    def at_exit(self) -> None:
        """The program ends."""
        if not self.over.is_set():
            self.leave(ends=True)
        self.link.close()

    def _excepthook(
        self, kind: type[BaseException], exception: BaseException, trace: TracebackType | None
    ) -> None:
        if isinstance(exception, Exception) and not self.over.is_set():
            self._failed = not self._interactive
            self.uncaught(exception)
        if self._hook is not None:
            self._hook(kind, exception, trace)

    def _text(self, text: str) -> None:
        if text in linecache.cache and text not in self._told and not os.path.exists(text):
            self._told.add(text)
            source = "".join(linecache.getlines(text))[:LONGEST]
            self.link.send({"t": "source", "path": text, "text": source})


class _Outlet(RingOutlet):
    def __init__(self, ring: Any, on_text: Callable[[str], None]) -> None:
        super().__init__(ring)
        self._on_text = on_text

    def definition(self, event: events.Event) -> None:
        """A text that names a source is told after the source itself."""
        if type(event) is events.Text:
            self._on_text(event.text)
        super().definition(event)
