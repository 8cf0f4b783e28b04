"""What one page is told of a session: the run, its state, settings and watches, and what is new in its store."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dsviz.query.stream import PageStream
from dsviz.stop import ENDS, PAUSED, RUNNING

if TYPE_CHECKING:
    from dsviz.session import Session
    from dsviz.web.live import Json

SETTLE = 0.012  # seconds; a step is often over before this, and then its "running" need not be shown


class Page:
    """One page's cursor into a session. The first `read` gives everything, later ones what is new."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._stream = PageStream(session.store)
        self._state: Json = {}
        self._settings: Json = {}
        self._watches: Json = {}
        self._memory = 0
        self._went_on = (
            0.0  # when a page that shows a stop was first to be told that the program runs; 0.0: it is not
        )

    @property
    def behind(self) -> bool:
        """Whether more is waiting than the last batch could hold, or than it was time for."""
        return self._stream.behind or self._went_on > 0.0 or self._memory != self._memory_changes()

    def _memory_changes(self) -> int:
        return self._stream.store.memory.changes

    def read(self) -> list[Json]:
        """The page's messages since the last call, in the order in which it can use them."""
        session = self.session
        # State first, store after: the store then holds at least what the state speaks of.
        state, settings = session.state_message(), session.settings_message()
        watches = session.watches_message()
        self._stream.store = session.store  # another one in the past: the stream starts over with it
        memory = self._memory_changes()
        messages: list[Json] = self._stream.collect()
        for message in messages:
            if message["t"] == "memory":
                self._memory = memory
            if message["t"] == "hello":
                self._state, self._settings, self._watches = {}, {}, {}  # a new run: the page forgot them
        if settings != self._settings:
            self._settings = settings
            messages.append(settings)
        # A page that saw the program run hears of its end last: when it says so, it has all of the run.
        early = state["state"] in ENDS and self._state.get("state") == RUNNING and self._stream.behind
        if state != self._state and not early and not self._settling(state["state"]):
            self._state = state
            messages.append(state)
        if watches != self._watches:
            self._watches = watches
            messages.append(watches)
        return messages

    def _settling(self, state: str) -> bool:
        """Whether a program that has just gone on may stand again before that is worth a frame of the page."""
        if state != RUNNING or self._state.get("state") != PAUSED:
            self._went_on = 0.0
            return False
        now = time.monotonic()
        self._went_on = self._went_on or now
        if now - self._went_on < SETTLE:
            return True
        self._went_on = 0.0
        return False

    def close(self) -> None:
        """Stop following the store."""
        self._stream.close()
