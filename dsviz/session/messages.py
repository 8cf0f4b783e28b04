"""What a page is told of a session: its `state` and its `settings` message."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from dsviz import stop
from dsviz.session.watches import Watches
from dsviz.stop import ENDS, PAUSED, RUNNING, STARTING, Stop


class Messages(Watches):
    """The part of a session that describes itself."""

    def state_message(self) -> dict[str, Any]:
        """The page's `state` message: the state, the stop, one sentence, and what to do next."""
        with self._changed:
            state, now = self.state, self.stop_now
        message, advice = _say(state, now)
        if state == RUNNING and self._stall is not None:
            message = self._stall.text
        shown = now.as_dict() if now else None
        if shown is not None and now is not None:
            store = (
                self.store
            )  # asked before its lock is taken: it takes the session's, which always comes first
            with store.lock:
                slot = store.structure.slot_of.get(now.node)
            shown["slot"] = None if slot is None else slot.id
        return {
            "t": "state",
            "state": state,
            "stop": shown,
            "message": message,
            "next": advice,
            "last": self._present.structure.latest,  # the newest node, as far as one can go forward again
        }

    def settings_message(self) -> dict[str, Any]:
        """The page's `settings` message: trace level, breakpoints and switches."""
        with self._changed:
            return {
                "t": "settings",
                "level": self.level,
                "sample": self._sample,
                "value_budget": self._value_budget,
                "breakpoints": [
                    {
                        "id": item.id,
                        "kind": item.kind,
                        "label": item.label,
                        "enabled": item.enabled,
                        "hits": item.hits,
                        "file": item.file,
                        "line": item.line,
                        "name": item.name,
                        "node": item.node,
                        "limit": item.limit,
                        "condition": item.condition,
                        "hit": item.hit,
                        "log": item.log,
                        "problem": item.problem,
                    }
                    for item in self._breakpoints.values()
                ],
                "switches": [
                    {"target": target, "name": name, "on": on}
                    for (target, name), on in self._switches.items()
                ],
            }

    def watches_message(self) -> dict[str, Any]:
        """The page's `watches` message: each expression with what it gives at this stop, or why it gives nothing."""
        return {"t": "watches", "items": [asdict(watch) for watch in self.watches]}


SAY = {
    STARTING: ("The program is starting.", "It pauses before its first node."),
    RUNNING: ("The program is running.", "Pause stops it before the next node."),
    stop.LOST: (
        "The program let go of the debugger and runs on.",
        "Restart runs it again under the debugger.",
    ),
}


def _say(state: str, now: Stop | None) -> tuple[str, str]:
    if now is None or state not in (PAUSED, *ENDS):
        return SAY.get(state, SAY[RUNNING])
    if now.past:
        return f"{now.text}.", "Next and Continue go forward, at last to where the program is."
    if state == PAUSED:
        if now.position == "end":
            return now.text, "Look at what it held; Continue lets it end."
        if now.error is not None:
            return (
                now.text,
                "Look at the operands and where their sizes come from; Continue lets the op raise.",
            )
        return now.text, "Next runs it; Continue runs to the next breakpoint."
    advice = "Restart runs it again from the beginning."
    return now.text, advice
