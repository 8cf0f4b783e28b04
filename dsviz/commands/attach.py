"""`dsviz attach PID`: debug a program that runs already and called `ds.listen()`."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsviz.commands.recordings import make_room, target, what_is_kept
from dsviz.commands.usage import Parser, UsageError, port
from dsviz.stop import FAILED, FINISHED, KILLED

if TYPE_CHECKING:
    from dsviz.attached import Attached

_EPILOG = """\
The program calls ds.listen() where it may be attached to, and says its process number there. It is not
traced before somebody attaches, and runs on when you leave (Ctrl-C here, or Stop in the page). Only the
same user of the same machine can attach, one at a time.

examples:
  dsviz attach 12345                    open the page; the program runs on, Pause stops it
  dsviz attach --pause 12345            pause it before its next node
  dsviz attach --terminal 12345         step it by typed commands
  dsviz attach 127.0.0.1:5678           a program that called ds.listen(5678)
"""


@dataclass(frozen=True)
class AttachOptions:
    """What `dsviz attach` was asked to do."""

    target: str
    port: int | None = None
    browser: bool = True
    trace_level: int = 1
    terminal: bool = False
    pause: bool = False
    record: str | None = None
    value_budget: int = 256 << 20
    sample: int = 1
    until_eof: bool = False


def main(words: list[str]) -> int:
    """Carry out `dsviz attach` with these words and give the exit status."""
    return attach(_options(words))


def attach(options: AttachOptions) -> int:
    """Attach, with the page or in the terminal, until the person leaves."""
    if options.record is not None:
        make_room(options.record)
    if options.terminal:
        from dsviz.terminal_stepper import attach as step

        return step(lambda: session_of(options))
    session = session_of(options)
    if options.until_eof:
        threading.Thread(target=_end_with_input, daemon=True).start()
        session.on_change(lambda what: _end_with(session) if what == "state" else None)
    try:
        from dsviz.web.launch import follow

        return follow(lambda: session, session.record_of.name, options.port, options.browser)
    finally:
        session.close()


def session_of(options: AttachOptions) -> Attached:
    """The session. Raises UsageError with a sentence where there is nothing to attach to."""
    from dsviz.attached import Attached
    from dsviz.process import LaunchError

    try:
        return Attached(
            options.target,
            options.trace_level,
            pause=options.pause or options.terminal,
            record=options.record,
            value_budget=options.value_budget,
            sample=options.sample,
        )
    except LaunchError as refused:
        raise UsageError(str(refused)) from None


def _end_with(session: Attached) -> None:
    if session.state in (FINISHED, FAILED, KILLED):
        os.kill(os.getpid(), signal.SIGTERM)


def _end_with_input() -> None:
    """End this process as soon as whoever started it has ended, which closes our input."""
    # Not through sys.stdin: a thread that holds its lock would abort the interpreter when that ends.
    while os.read(0, 1 << 16):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _options(words: list[str]) -> AttachOptions:
    parser = Parser(
        prog="dsviz attach",
        usage="dsviz attach [--port N] [--no-browser] [--terminal] [--pause] [--trace-level 0|1|2] [--sample N] "
        "[--record FILE] [--value-budget BYTES] PID|ADDRESS",
        description="Debug a program that runs already and listens.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("target", nargs="?", metavar="PID|ADDRESS", help="which program")
    parser.add_argument(
        "--port", type=port, metavar="N", help="port of the page on 127.0.0.1 (0: any free one)"
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="only print the address, do not open the browser"
    )
    parser.add_argument("--terminal", action="store_true", help="no page: step it by typed commands")
    parser.add_argument("--pause", action="store_true", help="pause the program before its next node")
    parser.add_argument(
        "--trace-level",
        type=int,
        choices=[0, 1, 2],
        default=1,
        help="0 off, 1 operations (the default), 2 also statistics of every tensor",
    )
    parser.add_argument("--record", metavar="FILE", help="keep the recording of what is seen in FILE")
    what_is_kept(parser)
    parser.add_argument("--until-eof", action="store_true", help=argparse.SUPPRESS)  # of dsviz.serve()
    given = parser.parse_args(words)
    if given.target is None:
        from dsviz.doors import listed, listening

        raise UsageError(f"no program was named. {listed(listening())} See dsviz attach --help.")
    if given.terminal and given.port is not None:
        raise UsageError("--terminal steps the program here, so --port has no meaning beside it. Give one.")
    return AttachOptions(
        target=given.target,
        port=given.port,
        browser=not given.no_browser,
        trace_level=given.trace_level,
        terminal=given.terminal,
        pause=given.pause,
        record=target(given.record) if given.record else None,
        value_budget=given.value_budget,
        sample=given.sample,
        until_eof=given.until_eof,
    )
