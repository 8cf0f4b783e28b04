"""The command line: `dsviz COMMAND ...`. Each command is a file of `dsviz.commands`.

Everything before SCRIPT is ours and everything after it is the script's, untouched, as with Python
itself. Mistakes end with status 2 and one sentence: what came, what was expected, what to do.
Heavy modules are imported only once the command is known to be sound.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence

import dsviz
from dsviz.commands.usage import Parser, UsageError
from dsviz.output import until_closed

EXIT_USAGE = 2

# The command, as the person types it: the file of `dsviz.commands`, and what `dsviz --help` says.
COMMANDS = {
    "run": ("run", "debug a script"),
    "attach": ("attach", "debug a program that runs already and listens"),
    "ops": ("ops", "what the engine computes: signature, formula, what is saved"),
    "diagnose": ("diagnose", "run a script once and name what is wrong with it"),
    "why": ("why", "run a script and say why its shapes clash or its values are not finite"),
    "bench": ("bench", "training steps beside PyTorch's, on this machine"),
    "record": ("record", "run a script and write down all that happens"),
    "open": ("open", "a recording in the page, at any moment of its run"),
    "print": ("print", "the graph of a recording, in the terminal"),
    "diff": ("diff", "what differs between two iterations, or two recordings"),
    "graph": ("graph", "draw the graph of a script or a recording: SVG, PNG, HTML, DOT"),
    "memory": ("memory", "the peak of the live bytes: who owns them, and why"),
    "export": ("export", "a recording as a trace for Perfetto, or its graph as DOT"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out a command line and give the exit status."""
    if argv is None:
        return until_closed(lambda: main(sys.argv[1:]))
    try:
        return _command(list(argv))
    except UsageError as refused:
        print(f"dsviz: {refused}", file=sys.stderr)
        return EXIT_USAGE


def _command(words: list[str]) -> int:
    commands = "\n".join(f"  {name:10} {help}" for name, (_, help) in COMMANDS.items())
    top = Parser(
        prog="dsviz",
        description="Watch and step dynamic neural networks.",
        epilog=f"commands:\n{commands}\n\ndsviz COMMAND --help tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"dsviz {dsviz.__version__}")
    top.add_argument("command", choices=list(COMMANDS), metavar="COMMAND", help="one of those below")
    command = top.parse_args(words[:1]).command
    carry_out: Callable[[list[str]], int]
    carry_out = importlib.import_module(f"dsviz.commands.{COMMANDS[command][0]}").main
    return carry_out(words[1:])


if __name__ == "__main__":
    sys.exit(main())
