"""The time limit itself, in a thread that has no alarm."""

from __future__ import annotations

import threading
from typing import Any

from dsviz.debuggee import patience
from dsviz.debuggee.patience import Overtime, Watchdog


def endless() -> None:
    while True:
        pass


def test_a_thread_without_an_alarm_is_interrupted_between_two_instructions(monkeypatch: Any) -> None:
    monkeypatch.setattr(patience, "TICK", 0.02)
    watchdog, told = Watchdog(), []

    def work() -> None:
        for what in (endless, lambda: 1):
            try:
                with watchdog.limit(0.05):
                    what()
                told.append("done")
            except Overtime:
                watchdog.calm()
                told.append("over")

    worker = threading.Thread(target=work)
    worker.start()
    worker.join(60)
    assert told == ["over", "done"]
    assert not watchdog._asked
    watchdog.quiet()
    assert not watchdog._alive.locked(), "its own thread is gone, so that the program can fork"
