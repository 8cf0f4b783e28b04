"""`dsviz record SCRIPT`: run a script as it is and write down what happens, with no page."""

from __future__ import annotations

import argparse
import os
import queue
import sys
from typing import TYPE_CHECKING

from dsviz.commands.recordings import make_room, target, what_is_kept
from dsviz.commands.usage import Parser, UsageError, check_script, split

if TYPE_CHECKING:
    from dsviz.session import Session
    from dsviz.stop import Stop

_WITH_VALUE = {"-o", "--output", "--trace-level", "--sample", "--value-budget"}

_EPILOG = """\
Options come before SCRIPT; all that follows SCRIPT is given to the script. What the script prints and
its exit status are its own. Look at the recording with dsviz print, diff or export.

examples:
  dsviz record train.py                          to train.dsviz, or the next free name like it
  dsviz record -o run.dsviz --trace-level 2 train.py --epochs 3
"""


def main(words: list[str]) -> int:
    """Carry out `dsviz record` with these words and give the script's exit status."""
    parser = Parser(
        prog="dsviz record",
        usage="dsviz record [-o FILE] [--force] [--trace-level 0|1|2] [--sample N] [--value-budget BYTES] SCRIPT [ARGS...]",
        description="Run a script and record every op, module, stop and byte of it to one file.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="the recording (default: SCRIPT's name.dsviz)")
    parser.add_argument("--force", action="store_true", help="replace FILE even where it is no recording")
    parser.add_argument(
        "--trace-level",
        type=int,
        choices=[0, 1, 2],
        default=1,
        help="0 off, 1 operations (the default), 2 also statistics and values of tensors",
    )
    what_is_kept(parser)
    ours, rest = split(words, _WITH_VALUE)
    given = parser.parse_args(ours)
    if not rest:
        raise UsageError("no script was given. Name one: dsviz record SCRIPT [ARGS...].")
    script = check_script(rest[0])
    if given.output:
        path = target(given.output, given.force)
        make_room(path)
    else:
        path = _free(script)
        target(path)
    return record(script, rest[1:], path, given.trace_level, given.value_budget, given.sample)


def _free(script: str) -> str:
    from dsviz.recording.recorder import beside

    path = os.path.abspath(os.path.splitext(os.path.basename(script))[0] + ".dsviz")
    return beside(path) if os.path.lexists(path) else path


def record(script: str, args: list[str], path: str, level: int, budget: int, sample: int = 1) -> int:
    """Run `script` to its end and record it to `path`; gives its exit status."""
    from dsviz.interrupts import interrupts
    from dsviz.session import LaunchError, Session

    news: queue.SimpleQueue[int | None] = queue.SimpleQueue()  # a signal's number, or "it has ended"
    with interrupts(news.put):
        try:
            session = Session.launch(
                script,
                args,
                level,
                pause_at_entry=False,
                breakpoints=False,
                record=path,
                value_budget=budget,
                sample=sample,
            )
        except LaunchError as refused:
            raise UsageError(str(refused)) from None
        with session:
            session.on_change(lambda what: news.put(None) if what == "state" else None)
            stop = _end(session, news)
            return _status(session, stop)


def _end(session: Session, news: queue.SimpleQueue[int | None]) -> Stop:
    """How the program ended. The first signal is handed to it, the second ends it."""
    import signal

    from dsviz.interrupts import heard
    from dsviz.stop import ENDS

    signals = 0
    while True:
        stop = session.stop_now
        if stop is not None and stop.state in ENDS:
            return stop
        number = heard(news)
        if number is None:
            continue
        signals += 1
        if signals > 1:
            session.stop()
        elif number != signal.SIGINT or not sys.stdin or not sys.stdin.isatty():
            # Ctrl-C in a terminal reaches the program by itself.
            os.kill(session.pid, number)


def _status(session: Session, stop: Stop) -> int:
    from dsviz.interrupts import exit_status

    reason = session.recording_problem
    if reason:
        print(f"dsviz: {reason}", file=sys.stderr)
    elif sys.stderr is not None and sys.stderr.isatty():
        print(f"dsviz: recorded {session.store.count:,} nodes to {session.recording}", file=sys.stderr)
    return exit_status(stop.status)
