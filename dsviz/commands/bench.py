"""`dsviz bench NAME`: training steps of this engine beside PyTorch's, on this machine, now."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os

from dsviz.bench.compare import OURS, THEIRS, Measured, compare, machine, report, summary
from dsviz.bench.workloads import USUAL, WORKLOADS
from dsviz.commands.usage import Parser, UsageError

_EPILOG = f"""\
Each framework runs in a process of its own with the same weights and batches, and they take turns. Times are
medians with the 5th and 95th percentile; a ratio below 1 is for this engine. Losses are compared step by step.
PyTorch comes with the extra: pip install "dsviz[compare]"; without it this engine is measured alone.

benchmarks (a first word of several runs them all, so lstm is all that begin with lstm):
  {", ".join(WORKLOADS)}

examples:
  dsviz bench mlp
  dsviz bench lstm --threads 1
  dsviz bench                  all but resnet50, which takes minutes
"""


def main(words: list[str]) -> int:
    """Carry out `dsviz bench` with these words."""
    parser = Parser(
        prog="dsviz bench", description="Measure training steps beside PyTorch's.", epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="what to measure (default: all but resnet50)"
    )
    parser.add_argument(
        "--threads", type=_count, default=os.cpu_count() or 1, help="threads for each (default: all cores)"
    )
    parser.add_argument("--rounds", type=_count, default=9, help="turns for each (default 9; resnet50: 1)")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a benchmark instead of the table"
    )
    given = parser.parse_args(words)
    names = chosen(given.names)
    frameworks = [OURS, THEIRS] if importlib.util.find_spec(THEIRS) else [OURS]
    if not given.json:
        print(machine(given.threads))
        if THEIRS not in frameworks:
            print(
                'PyTorch is not installed, so there is nothing to compare with: pip install "dsviz[compare]"'
            )
    for name in names:
        rounds = 1 if name == "resnet50" else given.rounds
        found: dict[str, Measured] = compare(name, given.threads, rounds, frameworks)
        print(json.dumps(summary(name, found)) if given.json else "\n".join(report(name, found)), flush=True)
    return 0


def chosen(names: list[str]) -> list[str]:
    """The benchmarks meant by the words typed. Raises `UsageError` for a word that begins none."""
    if not names:
        return list(USUAL)
    found: list[str] = []
    for word in names:
        meant = [name for name in WORKLOADS if name == word or name.startswith(word + "-")]
        if not meant:
            raise UsageError(f"there is no benchmark {word!r}. There are: {', '.join(WORKLOADS)}.")
        found += [name for name in meant if name not in found]
    return found


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no count; give a whole number, 1 or more")
    return int(text)
