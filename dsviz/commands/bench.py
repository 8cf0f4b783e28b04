"""`dsviz bench NAME`: training steps of this engine beside PyTorch's, on this machine, now."""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

from dsviz.bench.compare import compare, machine
from dsviz.bench.contestants import CONTESTANTS, EAGER, OURS
from dsviz.bench.contestants import USUAL as USUAL_CONTESTANTS
from dsviz.bench.contestants import field as field_of
from dsviz.bench.report import report, summary
from dsviz.bench.workloads import USUAL, WORKLOADS
from dsviz.commands.usage import Parser, UsageError
from dsviz.picture import ending, write_marks

_EPILOG = f"""\
Each framework runs in a process of its own with the same weights and batches, and they take turns. Times are
medians with the 5th and 95th percentile; a ratio below 1 is for this engine. Losses are compared step by step.
PyTorch comes with the extra: pip install "dsviz[compare]"; without it this engine is measured alone.

columns: time of a step (or images a second), the peak of resident memory above what the loaded library takes, what
the allocator gave at most, from the start of a process to the end of its first step, from the built model to there.

benchmarks (a first word of several runs them all, so lstm is all that begin with lstm):
  {", ".join(WORKLOADS)}

beside (default {", ".join(USUAL_CONTESTANTS[1:])}):
  {", ".join(n for n in CONTESTANTS if n != OURS)}, all

examples:
  dsviz bench mlp
  dsviz bench lstm --threads 1 --picture lstm.svg
  dsviz bench resnet50 --beside all    also compiled and in other frameworks, where they are installed
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
    parser.add_argument("--rounds", type=_count, default=9, help="turns for each (default 9; resnet50: 3)")
    parser.add_argument(
        "--beside", metavar="NAMES", default=",".join(USUAL_CONTESTANTS), help="who is measured beside it, with commas between"
    )  # fmt: skip
    parser.add_argument(
        "--processor-time", action="store_true", help="steps by the processor's time, which other programs disturb less"
    )  # fmt: skip
    parser.add_argument("--picture", metavar="FILE", help="draw the ratios too; ends in .svg, .png or .html")
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a benchmark instead of the table"
    )
    given = parser.parse_args(words)
    names, asked = chosen(given.names), contestants(given.beside)
    clock = "processor" if given.processor_time else "wall"
    try:
        if given.picture:
            ending(given.picture, (".svg", ".png", ".html"))
        where = machine(given.threads)
        if not given.json:
            print(where + (", processor time" if given.processor_time else ""))
            if EAGER in asked and field_of(names[0], (EAGER,))[EAGER]:
                print(
                    'PyTorch is not installed, so there is nothing to compare with: pip install "dsviz[compare]"'
                )
        figures = []
        for name in names:
            rounds = min(given.rounds, 3) if name == "resnet50" else given.rounds
            figures.append(measured(name, asked, given.threads, rounds, clock, given.json))
        if given.picture:
            from dsviz.bench.chart import chart

            write_marks(chart(figures, f"{where}, {time.strftime('%Y-%m-%d')}"), given.picture)
    except ValueError as problem:
        raise UsageError(f"{problem}.") from None
    return 0


def measured(
    name: str, asked: tuple[str, ...], threads: int, rounds: int, clock: str, as_json: bool
) -> dict[str, Any]:
    """Measure one workload and print what came of it; gives the figures."""
    taking_part = field_of(name, asked)
    without = {contestant: why for contestant, why in taking_part.items() if why and contestant != EAGER}
    found, failed = compare(name, threads, rounds, [c for c, why in taking_part.items() if not why], clock)
    without.update(failed)
    figures = summary(name, found, without)
    print(json.dumps(figures) if as_json else "\n".join(report(name, found, without)), flush=True)
    return figures


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


def contestants(text: str) -> tuple[str, ...]:
    """Who is measured, this engine first. Raises `UsageError` for a name that is nobody's."""
    if text == "all":
        return tuple(CONTESTANTS)
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in CONTESTANTS:
            raise UsageError(f"--beside knows no {word!r}. There are: {', '.join(CONTESTANTS)}, all.")
    return (OURS, *(word for word in dict.fromkeys(words) if word != OURS))


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no count; give a whole number, 1 or more")
    return int(text)
