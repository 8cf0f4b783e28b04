"""`dsviz run SCRIPT`: debug a script in the browser, in the terminal, or to its end without a page."""

from __future__ import annotations

import argparse
import importlib
import os
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace

from dsviz.commands.recordings import make_room, target, what_is_kept
from dsviz.commands.usage import Parser, UsageError, check_script, port, split
from dsviz.debuggee.breakpoints import checked
from dsviz.onnx_script import is_model, script_of
from dsviz.terminal_places import USAGE, breakpoint_of

_WITH_VALUE = {"--port", "--trace-level", "--sample", "--break", "--record", "--value-budget"}

_EPILOG = f"""\
KIND is written as after the terminal's `b`, quoted where it has spaces (--break "op relu if shape[0] > 4"):
{textwrap.indent(USAGE, "  ")}

Options come before SCRIPT; all that follows SCRIPT is given to the script.

examples:
  dsviz run train.py                    pause before the first node, open the page
  dsviz run --port 0 train.py --epochs 3
  dsviz run --headless --break nan train.py
  dsviz run --headless --break missing --break "gradient if norm > 10" train.py
  dsviz run --terminal train.py         step it by typed commands, over ssh too
  dsviz run model.onnx --input x.npy    step an ONNX file node by node (NAME=FILE for each of several inputs)
"""


def _check_break(text: str, script: str) -> None:
    try:
        checked(0, *breakpoint_of(text, script))
    except ValueError as error:
        sentence = str(error).replace("`help b`", "`dsviz run --help`").removeprefix("b ")
        raise UsageError(f"--break {text!r}: {sentence}") from None


@dataclass(frozen=True)
class RunOptions:
    """What `dsviz run` was asked to do."""

    script: str  # absolute path
    args: tuple[str, ...] = ()
    port: int | None = None  # None: the usual one where it is free
    browser: bool = True
    trace_level: int = 1
    headless: bool = False
    breaks: tuple[str, ...] = ("shape",)  # as typed after `b` in the terminal: "op relu if shape[0] > 4"
    record: str | None = None  # absolute path; None: to a temporary file
    value_budget: int = 256 << 20
    sample: int = 1
    terminal: bool = False


def main(words: list[str]) -> int:
    """Carry out `dsviz run` with these words and give the exit status."""
    options = _run_options(words)
    if not is_model(options.script):
        return run(options)
    with script_of([options.script, *options.args]) as script:
        return run(replace(options, script=script, args=()))


def run(options: RunOptions) -> int:
    """Run a script under the debugger, with the page or without, and give the exit status."""
    if options.record is not None:
        make_room(options.record)
    runner: Callable[[RunOptions], int]
    if options.headless:
        runner = importlib.import_module("dsviz.headless").run
    elif options.terminal:
        runner = importlib.import_module("dsviz.terminal_stepper").run
    else:
        runner = importlib.import_module("dsviz.web.launch").run
    return runner(options)


def _run_options(words: list[str]) -> RunOptions:
    parser = Parser(
        prog="dsviz run",
        usage="dsviz run [--port N] [--no-browser] [--trace-level 0|1|2] [--sample N] [--headless] [--break KIND] "
        "[--terminal] "
        "[--record FILE] [--value-budget BYTES] SCRIPT|MODEL.onnx [ARGS...]",
        description="Run a script in a process of its own, paused before its first node, "
        "and open the page that steps it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--port", type=port, metavar="N", help="port of the page on 127.0.0.1 (0: any free one)"
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="only print the address, do not open the browser"
    )
    parser.add_argument(
        "--trace-level",
        type=int,
        choices=[0, 1, 2],
        default=1,
        help="0 off, 1 operations (the default), 2 also statistics of every tensor",
    )
    parser.add_argument(
        "--headless", action="store_true", help="no page: run to the end and print what it stops at"
    )
    parser.add_argument(
        "--terminal",
        action="store_true",
        help="no page: step it by commands typed here, or from a pipe, one a line (help lists them)",
    )
    parser.add_argument(
        "--break",
        dest="breaks",
        action="append",
        metavar="KIND",
        help="with --headless or --terminal: where to stop, of the kinds below (may be repeated; with --headless "
        "only there, and at shape mismatches where none is given)",
    )
    parser.add_argument(
        "--record", metavar="FILE", help="keep the run's recording in FILE (a recording there is replaced)"
    )
    what_is_kept(parser)
    ours, rest = split(words, _WITH_VALUE)
    given = parser.parse_args(ours)
    if not rest:
        raise UsageError("no script was given. Name one: dsviz run SCRIPT [ARGS...].")
    if given.terminal and (given.headless or given.port is not None):
        other = "--headless" if given.headless else "--port"
        raise UsageError(f"--terminal steps the program here, so {other} has no meaning beside it. Give one.")
    if given.breaks and not (given.headless or given.terminal):
        raise UsageError(
            "--break belongs to --headless or --terminal; on the page, breakpoints are set in its Breakpoints panel."
        )
    script = os.path.abspath(rest[0])
    breaks = tuple(dict.fromkeys(given.breaks or ([] if given.terminal else ["shape"])))
    for text in breaks:
        _check_break(text, script)
    if not is_model(rest[0]):
        script = check_script(rest[0])
    record = target(given.record) if given.record else None
    return RunOptions(
        script=script,
        args=tuple(rest[1:]),
        port=given.port,
        browser=not given.no_browser,
        trace_level=given.trace_level,
        headless=given.headless,
        terminal=given.terminal,
        breaks=breaks,
        record=record,
        value_budget=given.value_budget,
        sample=given.sample,
    )
