"""The command line: `dsviz run SCRIPT`.

Everything before SCRIPT is ours and everything after it is the script's, untouched, as with Python
itself. Mistakes end with status 2 and one sentence: what came, what was expected, what to do.
Heavy modules are imported only once the command is known to be sound.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import dsviz
from dsviz import shadow

BREAKS = ("shape", "nan", "exception")
EXIT_USAGE = 2

_WITH_VALUE = {"--port", "--trace-level", "--break"}

_EPILOG = """\
Options come before SCRIPT; all that follows SCRIPT is given to the script.

examples:
  dsviz run train.py                    pause before the first node, open the page
  dsviz run --port 0 train.py --epochs 3
  dsviz run --headless --break nan train.py
"""


class UsageError(Exception):
    """The command cannot be carried out; the text is the sentence for the person."""


@dataclass(frozen=True)
class RunOptions:
    """What `dsviz run` was asked to do."""

    script: str  # absolute path
    args: tuple[str, ...] = ()
    port: int | None = None  # None: the usual one where it is free
    browser: bool = True
    trace_level: int = 1
    headless: bool = False
    breaks: tuple[str, ...] = ("shape",)


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out a command line and give the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _command(words)
    except UsageError as refused:
        print(f"dsviz: {refused}", file=sys.stderr)
        return EXIT_USAGE


def _command(words: list[str]) -> int:
    top = _Parser(prog="dsviz", description="Watch and step dynamic neural networks.", allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"dsviz {dsviz.__version__}")
    top.add_argument("command", choices=["run"], metavar="COMMAND", help="run: debug a script")
    top.epilog = "dsviz run --help tells more."
    top.parse_args(words[:1])
    return run(_run_options(words[1:]))


def run(options: RunOptions) -> int:
    """Run a script under the debugger, with the page or without, and give the exit status."""
    runner: Callable[[RunOptions], int]
    if options.headless:
        runner = importlib.import_module("dsviz.headless").run
    else:
        runner = importlib.import_module("dsviz.web.launch").run
    return runner(options)


class _Parser(argparse.ArgumentParser):
    """argparse, but a mistake is one sentence."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. See {self.prog} --help.")


def _run_options(words: list[str]) -> RunOptions:
    parser = _Parser(
        prog="dsviz run",
        usage="dsviz run [--port N] [--no-browser] [--trace-level 0|1|2] [--headless] [--break KIND] "
        "SCRIPT [ARGS...]",
        description="Run a script in a process of its own, paused before its first node, "
        "and open the page that steps it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--port", type=_port, metavar="N", help="port of the page on 127.0.0.1 (0: any free one)"
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
        "--break",
        dest="breaks",
        action="append",
        choices=BREAKS,
        metavar="KIND",
        help=f"with --headless, stop to explain at: {', '.join(BREAKS)} (default shape; may be repeated)",
    )
    ours, rest = _split(words)
    given = parser.parse_args(ours)
    if not rest:
        raise UsageError("no script was given. Name one: dsviz run SCRIPT [ARGS...].")
    if given.breaks and not given.headless:
        raise UsageError(
            "--break belongs to --headless; on the page, breakpoints are set in its Breakpoints panel."
        )
    return RunOptions(
        script=check_script(rest[0]),
        args=tuple(rest[1:]),
        port=given.port,
        browser=not given.no_browser,
        trace_level=given.trace_level,
        headless=given.headless,
        breaks=tuple(dict.fromkeys(given.breaks or ["shape"])),
    )


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """Our options, and the script with its own arguments (which argparse must not look at)."""
    at = 0
    while at < len(words):
        word = words[at]
        if word == "--":
            return words[:at], words[at + 1 :]
        if not word.startswith("-") or word == "-":
            break
        at += 2 if word in _WITH_VALUE else 1
    return words[:at], words[at:]


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number from 0 to 65535")
    return int(text)


def check_script(name: str) -> str:
    """The absolute path of a script that can be run. Raises UsageError with the reason where it cannot."""
    path = os.path.abspath(name)
    if name == "-":
        raise UsageError(
            "a script cannot come from standard input, which belongs to the script. Save it in a file."
        )
    if os.path.isdir(path):
        inner = os.path.join(name, "__main__.py")
        hint = f": dsviz run {inner}" if os.path.exists(inner) else "."
        raise UsageError(f"{name} is a folder, but a Python script was expected. Name a file in it{hint}")
    try:
        with open(path, "rb") as file:
            source = file.read()
    except FileNotFoundError:
        raise UsageError(
            f"there is no file {path}. Check the name, or give the script's full path."
        ) from None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror}). Give a Python script you may read."
        ) from None
    _check_source(source, path)
    hidden = shadow.hiding(os.path.dirname(os.path.realpath(path)))
    if hidden:
        raise UsageError(hidden)
    return path


def _check_source(source: bytes, path: str) -> None:
    if b"\0" in source:
        raise UsageError(f"{path} is not a Python script: it holds binary data. Give the .py file.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the script's own run shows its warnings
            compile(source, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise UsageError(_syntax_error(error, path)) from None
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise UsageError(f"{path} is not a Python script that can be compiled: {error}.") from None


def _syntax_error(error: SyntaxError, path: str) -> str:
    if not error.lineno:  # undecodable source has a message but no place
        return f"{path} is not a Python script: {error.msg}. Mend it, or give the right file."
    text = (error.text or "").rstrip("\n").expandtabs(1)
    shown = text.lstrip()
    column = (error.offset or 1) - 1 - (len(text) - len(shown))
    where = f"\n    {shown}\n    {' ' * max(column, 0)}^" if shown else ""
    return (
        f"{path}, line {error.lineno}: {error.msg}. "
        f"Mend the line and run again, or give another file if this is no Python script.{where}"
    )


if __name__ == "__main__":
    sys.exit(main())
