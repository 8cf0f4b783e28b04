"""`dsviz graph SCRIPT -o FILE`: the graph of a script or a recording as a picture, or what its memory does."""

from __future__ import annotations

import argparse
import os
import queue
import sys
from typing import TYPE_CHECKING, Any

from dsviz.commands.recordings import claims_recording, opened, stored, target
from dsviz.commands.usage import Parser, UsageError, check_script, split
from dsviz.onnx_script import is_model, script_of
from dsviz.picture import ENDINGS, ending, write_graph, write_marks

if TYPE_CHECKING:
    from dsviz.store import GraphStore

_WITH_VALUE = {"-o", "--output", "--module", "--op", "--phase", "--depth"}
_MEMORY = (".svg", ".png", ".html")

_EPILOG = """\
A script is run to its end first; what it prints and its exit status are its own. The ending of FILE says what is
written: .svg, .png (needs Pillow: pip install "dsviz[pictures]"), .html (zooms and finds) or .dot for Graphviz.

examples:
  dsviz graph -o net.svg train.py --epochs 1
  dsviz graph -o head.png --module net.head run.dsviz
  dsviz graph --memory -o memory.svg train.py     with the memory optimisation and without, on the same scales
"""


def main(words: list[str]) -> int:
    """Carry out `dsviz graph` with these words."""
    parser = Parser(
        prog="dsviz graph",
        usage="dsviz graph -o FILE [--force] [--module PATH] [--op NAME] [--phase PHASE] [--depth N] [--memory] SCRIPT|MODEL.onnx|RUN.dsviz [ARGS...]",
        description="Draw the graph of a script or of a recording.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("-o", "--output", metavar="FILE", help=f"ends in {', '.join(ENDINGS)}")
    parser.add_argument("--force", action="store_true", help="replace FILE where it exists")
    parser.add_argument("--module", metavar="PATH", help="only this module, with all inside it")
    parser.add_argument("--op", metavar="NAME", help="only this op; relu' for its backward")
    parser.add_argument("--phase", help="only forward, backward or optimizer")
    parser.add_argument("--depth", type=_depth, metavar="N", help="fold what is nested deeper")
    parser.add_argument(
        "--memory", action="store_true", help="the live bytes instead, with the memory optimisation and without: runs SCRIPT twice"
    )  # fmt: skip
    ours, rest = split(words, _WITH_VALUE)
    given = parser.parse_args(ours)
    if not rest:
        raise UsageError(
            "nothing to draw was given. Name a script or a recording: dsviz graph -o FILE SCRIPT."
        )
    if given.output is None:
        raise UsageError(
            "no file for the picture was given: dsviz graph -o FILE SCRIPT, such as -o graph.svg."
        )
    only = {name: getattr(given, name) for name in ("module", "op", "phase", "depth")}
    asked = [name for name, value in only.items() if value is not None]
    if given.memory and asked:
        raise UsageError(f"--memory draws bytes, not the graph, so --{asked[0]} has no meaning beside it.")
    if asked and given.output.lower().endswith(".dot"):
        raise UsageError(f"a .dot file holds the whole graph, so --{asked[0]} has no meaning for it.")
    try:
        # Not after the script has run for an hour.
        ending(given.output, _MEMORY if given.memory else ENDINGS)
        path = target(given.output, given.force, "the picture")
        if given.memory:
            status, written = _memory(rest, path)
        else:
            status, store = ran(rest)
            written = write_graph(store, path, **only)
    except ValueError as problem:
        raise UsageError(f"{problem}.") from None
    print(f"{path}: {written:,} bytes", file=sys.stderr)
    return status


def _depth(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(
            f"{text!r} is no depth; give how many nested groups to show, 0 or more"
        )
    return int(text)


def ran(words: list[str], config: dict[str, Any] | None = None) -> tuple[int, GraphStore]:
    """The exit status and all that was told of a script, a model or a recording."""
    if claims_recording(words[0]):
        if len(words) > 1:
            raise UsageError(f"a recording takes no arguments, but {words[1]!r} came after it.")
        with opened(words[0]) as recording:
            return 0, stored(recording)
    if is_model(words[0]):
        with script_of(words) as made:
            return _run_through(made, [], config)
    return _run_through(check_script(words[0]), words[1:], config)


def _run_through(script: str, args: list[str], config: dict[str, Any] | None) -> tuple[int, GraphStore]:
    from dsviz.interrupts import exit_status, heard, interrupts
    from dsviz.session import LaunchError, Session
    from dsviz.stop import ENDS

    news: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    with interrupts(news.put):
        try:
            session = Session.launch(script, args, 1, pause_at_entry=False, breakpoints=False, config=config)
        except LaunchError as refused:
            raise UsageError(str(refused)) from None
        with session:
            session.on_change(lambda what: news.put(None) if what == "state" else None)
            while (stop := session.stop_now) is None or stop.state not in ENDS:
                if heard(news) is not None:
                    session.stop()
            return exit_status(stop.status), session.store


def _memory(words: list[str], path: str) -> tuple[int, int]:
    from dsviz.picture.effect import course_in, effect

    if claims_recording(words[0]):
        raise UsageError(
            f"--memory runs a script twice, with and without; {words[0]} is a recording. Name the script."
        )
    status, store = ran(words, {"memory_optimization": True})
    with_it = course_in(store)
    if status == 0:
        status, store = ran(words, {"memory_optimization": False})
    if status:
        raise UsageError(f"{words[0]} ended with status {status}, so there is nothing to compare.")
    name = os.path.basename(words[0])
    return 0, write_marks(
        effect(with_it, course_in(store), f"{name}: what the memory optimisation does"), path
    )
