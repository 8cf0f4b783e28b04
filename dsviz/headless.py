"""`dsviz run --headless`: the program runs to its end; what it stops at on the way is printed."""

from __future__ import annotations

import queue
import sys
from typing import TYPE_CHECKING

from dsviz import terminal
from dsviz.interrupts import exit_status, heard, interrupts
from dsviz.session import LaunchError, Session
from dsviz.stop import ENDS, KILLED, PAUSED
from dsviz.terminal_places import added

if TYPE_CHECKING:
    from dsviz.commands.run import RunOptions
    from dsviz.stop import Stop


def run(options: RunOptions) -> int:
    """Run the script, print the graph and the explanation at each stop, and give the script's exit status."""
    from dsviz.commands.usage import UsageError

    news: queue.SimpleQueue[int | None] = queue.SimpleQueue()  # a signal's number, or "something changed"
    with interrupts(news.put):
        try:
            session = Session.launch(
                options.script,
                options.args,
                options.trace_level,
                record=options.record,
                value_budget=options.value_budget,
                sample=options.sample,
            )
        except LaunchError as refused:
            raise UsageError(str(refused)) from None
        with session:
            _arm(session, options)
            session.on_change(lambda what: news.put(None))
            return _follow(session, news)


def _arm(session: Session, options: RunOptions) -> None:
    for breakpoint in session.breakpoints:
        session.enable_breakpoint(breakpoint.id, False)
    for new in added(session, options.breaks):
        if new.problem:
            print(f"dsviz: {new.label}: {new.problem}", file=sys.stderr)


def _follow(session: Session, news: queue.SimpleQueue[int | None]) -> int:
    told = 0
    while True:
        stop = session.stop_now
        if stop is not None and stop.state in ENDS:
            return _status(stop)
        if stop is not None and stop.state == PAUSED and stop.number != told:
            told = stop.number
            if stop.reason != "entry":
                _print(session, stop)
            session.send("continue")
        number = heard(news)
        if number is not None:
            session.stop()
            return exit_status(-number)


def _print(session: Session, stop: Stop) -> None:
    # On stderr: what the program itself prints stays as it is without the debugger.
    terminal.print_graph(session.store, sys.stderr)
    print(file=sys.stderr)
    terminal.print_stop(stop, sys.stderr)
    print(file=sys.stderr, flush=True)


def _status(stop: Stop) -> int:
    if stop.state == KILLED:
        print(f"dsviz: {stop.text}", file=sys.stderr)
    status = stop.status or 0
    return status if status >= 0 else 128 - status
