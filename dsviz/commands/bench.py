"""`dsviz bench NAME`: training steps of this engine beside PyTorch's, on this machine or its GPU, now."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from dsviz.bench import gpu
from dsviz.bench.compare import compare, machine
from dsviz.bench.contestants import CONTESTANTS, EAGER, OURS
from dsviz.bench.contestants import USUAL as USUAL_CONTESTANTS
from dsviz.bench.contestants import field as field_of
from dsviz.bench.report import report, summary
from dsviz.bench.setting import PRECISIONS, Setting
from dsviz.bench.workloads import BATCH, USUAL, WORKLOADS, plain_name
from dsviz.commands.usage import Parser, UsageError
from dsviz.picture import ending, write_marks

_EPILOG = f"""\
Each framework runs in a process of its own with the same weights and batches, and they take turns. Times are
medians with the 5th and 95th percentile; a ratio below 1 is for this engine. Losses are compared step by step.
PyTorch comes with the extra: pip install "dsviz[compare]"; without it this engine is measured alone.

columns: time of a step (or images a second), the peak of resident memory above what the loaded library takes, what
the allocator gave at most, from the start of a process to the end of its first step, from the built model to there.

on a GPU (--device cuda; this engine needs CuPy): each step ends with loss.item(), which waits for the GPU. Columns of
memory: what the allocator had in use at most (in two steps), what it reserved, and what the GPU lost to the process
from its bare context on, kernels and workspaces included (those of cuBLAS are in PyTorch's reserved memory too, not in CuPy's). PyTorch's
settings are its own, cudnn.benchmark off. Nothing else should run on that GPU.
precisions: {"; ".join(f"{name} {what}" for name, what in PRECISIONS.items())}.

benchmarks (a first word of several runs them all, so lstm is all that begin with lstm):
  {", ".join(WORKLOADS)}

beside (default {", ".join(USUAL_CONTESTANTS[1:])}):
  {", ".join(n for n in CONTESTANTS if n != OURS)}, all

examples:
  dsviz bench mlp
  dsviz bench lstm --threads 1 --picture lstm.svg
  dsviz bench resnet50 --beside all    also compiled and in other frameworks, where they are installed
  dsviz bench resnet50 --device cuda --precision fp16 --batch 64 --json resnet50.json
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
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where (default: cpu)")
    parser.add_argument("--precision", choices=tuple(PRECISIONS), default="fp32", help="on a GPU: how products are computed (default: fp32)")  # fmt: skip
    parser.add_argument("--batch", type=_count, metavar="N", help="images a step of resnet50 (default 8)")
    parser.add_argument("--rounds", type=_count, default=9, help="turns for each (default 9; resnet50 on the CPU: 3 at most)")  # fmt: skip
    parser.add_argument("--starts", type=_count, default=3, help="processes for the columns of first steps (default 3, no more than the turns)")  # fmt: skip
    parser.add_argument(
        "--beside", metavar="NAMES", default=",".join(USUAL_CONTESTANTS), help="who is measured beside it, with commas between"
    )  # fmt: skip
    parser.add_argument(
        "--processor-time", action="store_true", help="steps by the processor's time, which other programs disturb less"
    )  # fmt: skip
    parser.add_argument("--picture", metavar="FILE", help="draw the ratios too; ends in .svg, .png or .html")
    parser.add_argument(
        "--json", nargs="?", const="", metavar="FILE",
        help="one JSON object a benchmark instead of the table; with a FILE, the table and every figure in there",
    )  # fmt: skip
    parser.add_argument("--verbose", action="store_true", help="on standard error, all that those said who failed")  # fmt: skip
    given = parser.parse_args(words)
    setting, names, asked = sound(given), chosen(given.names, given.batch), contestants(given.beside)
    try:
        if given.picture:
            ending(given.picture, (".svg", ".png", ".html"))
        where, unable = surroundings(asked, given.threads, setting)
        where += ", processor time" if given.processor_time else ""
        date = time.strftime("%Y-%m-%d")
        document: dict[str, Any] = {"where": where, "date": date, "benchmarks": []}
        if given.json:
            write(given.json, document)
        if given.json != "":
            print(f"{where}, {date}" if setting.gpu else where)
            if EAGER in asked and field_of(names[0], (EAGER,))[EAGER]:
                print(
                    'PyTorch is not installed, so there is nothing to compare with: pip install "dsviz[compare]"'
                )
        figures = []
        for name in names:
            figures.append(measured(name, asked, given, setting, unable, document))
        if given.picture:
            from dsviz.bench.chart import chart

            write_marks(chart(figures, f"{where}, {date}"), given.picture)
    except ValueError as problem:
        raise UsageError(f"{problem}.") from None
    return 0


def sound(given: argparse.Namespace) -> Setting:
    """Where and how to measure. Raises `UsageError` for options that do not go together."""
    if given.device == "cpu" and given.precision != "fp32":
        raise UsageError(f"--precision {given.precision} is for a GPU; on the CPU only fp32 is measured. Add --device cuda.")  # fmt: skip
    if given.device == "cuda" and given.processor_time:
        raise UsageError("--processor-time leaves out the GPU's; it does not go with --device cuda.")
    if given.json and not given.json.endswith(".json"):
        raise UsageError(f"--json's FILE has to end in .json, got {given.json!r}. Without a FILE give it last: it prints.")  # fmt: skip
    return Setting(given.device, given.precision)


def surroundings(asked: tuple[str, ...], threads: int, setting: Setting) -> tuple[str, dict[str, str]]:
    """A line on the machine, and by package why it cannot use the GPU. Raises `UsageError` where ours cannot."""
    if not setting.gpu:
        return machine(threads), {}
    torch = [n for n in asked if CONTESTANTS[n].needs == "torch" and not field_of("resnet50", (EAGER,))[EAGER]]  # fmt: skip
    told = gpu.asked([OURS, *([EAGER] if torch else [])])
    if told[OURS]["why"]:
        raise UsageError(f"--device cuda: {told[OURS]['why']}.")
    unable = {CONTESTANTS[name].needs: facts["why"] for name, facts in told.items() if facts["why"]}
    return gpu.described(told, setting.precision), unable


def measured(
    name: str, asked: tuple[str, ...], given: argparse.Namespace, setting: Setting, unable: dict[str, str],
    document: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Measure one workload, and print and write down what came of it; gives the figures."""
    taking_part = field_of(name, asked, setting.device)
    without = {contestant: why for contestant, why in taking_part.items() if why and contestant != EAGER}
    without.update({c: unable[CONTESTANTS[c].needs] for c in taking_part if CONTESTANTS[c].needs in unable})
    names = [c for c, why in taking_part.items() if not why and c not in without]
    rounds = min(given.rounds, 3) if plain_name(name) == "resnet50" and not setting.gpu else given.rounds
    clock = "processor" if given.processor_time else "wall"

    def tell(contestant: str, said: str) -> None:
        if given.verbose:
            print(f"--- {name}, {contestant}:\n{said}", file=sys.stderr, flush=True)

    found, failed = compare(name, given.threads, rounds, names, clock, setting, given.starts, tell)
    without.update(failed)
    figures = summary(name, found, without, setting)
    print(json.dumps(figures) if given.json == "" else "\n".join(report(name, found, without, setting)), flush=True)  # fmt: skip
    document["benchmarks"].append({**figures, "turns": {c: m._asdict() for c, m in found.items()}})
    if given.json:
        write(given.json, document)
    return figures


def write(path: str, document: dict[str, Any]) -> None:
    """Write it down whole: one that is cut off leaves what was there before. Raises `UsageError` where it cannot."""
    part = Path(f"{path}.part")
    try:
        part.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as problem:
        raise UsageError(f"--json: {path} cannot be written: {problem.strerror}.") from None


def chosen(names: list[str], size: int | None = None) -> list[str]:
    """The benchmarks meant by the words typed, those with a batch to choose with one of `size`.

    Raises `UsageError` for a word that begins none, and for a size where none has it to choose.
    """
    found: list[str] = [] if names else list(USUAL)
    for word in names:
        meant = [name for name in WORKLOADS if name == word or name.startswith(word + "-")]
        if not meant:
            raise UsageError(f"there is no benchmark {word!r}. There are: {', '.join(WORKLOADS)}.")
        found += [name for name in meant if name not in found]
    if size is not None:
        if "resnet50" not in found:
            raise UsageError(f"--batch {size} is for resnet50; the others have a batch of their own.")
        found = [f"{name}-{size}" if name == "resnet50" and size != BATCH else name for name in found]
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
