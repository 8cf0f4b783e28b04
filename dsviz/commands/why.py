"""`dsviz why SCRIPT`: run a script once and say why its shapes clash, where its NaN comes from, what has no gradient."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from dsviz.commands.recordings import claims_recording, opened
from dsviz.commands.usage import Parser, UsageError, check_script, split

_EPILOG = """\
Options come before SCRIPT; all that follows SCRIPT is given to the script. What the script prints goes to
standard error. The exit status is 0 where there was nothing to explain, 1 where something was explained.

examples:
  dsviz why train.py
  dsviz why --json train.py --epochs 1
  dsviz why run.dsviz 41 1           where dimension 1 of node 41 was chosen
  dsviz why run.dsviz 41 --value     where its NaN or Inf first appeared
  dsviz why run.dsviz 41 --largest   where its largest value comes from
  dsviz why run.dsviz 3 --no-grad    why leaf 3 has no gradient
"""


def main(words: list[str]) -> int:
    """Carry out `dsviz why` with these words: 0 nothing to explain, 1 explained."""
    parser = Parser(
        prog="dsviz why",
        usage="dsviz why [--json] SCRIPT [ARGS...]\n"
        "       dsviz why [--json] RUN.dsviz NODE (DIM | --value | --largest | --no-grad)",
        description="Run a script once and walk back from what went wrong to the lines that decided it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print the answers as a JSON list")
    ours, rest = split(words, ())
    given = parser.parse_args(ours)
    if not rest:
        raise UsageError("no script was given. Name one: dsviz why SCRIPT [ARGS...].")
    if claims_recording(rest[0]):
        again = "--json" in rest
        found = [recorded(rest[0], [word for word in rest[1:] if word != "--json"])]
        given.json = given.json or again
    else:
        found = answers(check_script(rest[0]), rest[1:])
    if given.json:
        print(json.dumps(found, indent=2))
    elif not found:
        print("Nothing to explain: no shapes clash, every value is finite, every gradient arrived.")
    else:
        print("\n\n".join(text(answer) for answer in found))
    return 1 if found else 0


def recorded(path: str, words: list[str]) -> dict[str, Any]:
    """The answer to a question about a node of a recording."""
    from dsviz.why.recorded import Recorded

    asked = {"--value": "value", "--largest": "largest", "--no-grad": "no_grad"}
    numbers = [word for word in words if word not in asked]
    questions = [asked[word] for word in words if word in asked]
    usual = "dsviz why RUN.dsviz NODE DIM, or NODE with --value, --largest or --no-grad"
    if not numbers or len(numbers) + len(questions) != 2:
        raise UsageError(f"which node, and what of it? Say {usual}.")
    for word in numbers:
        if not word.lstrip("-").isdecimal():
            raise UsageError(f"{word!r} is no number of a node or dimension. Say {usual}.")
    with opened(path) as reader:
        try:
            dim = int(numbers[1]) if len(numbers) > 1 else 0
            return Recorded(reader).ask(questions[0] if questions else "shape", int(numbers[0]), dim)
        except LookupError as error:
            raise UsageError(str(error)) from None


def text(answer: dict[str, Any]) -> str:
    """An answer as people read it."""
    rows = [f"{answer['question']}?", f"  {answer['sentence']}"]
    rows += [f"    {s['op']:14} {s['file']}:{s['line']}  {s['text']}  ({s['note']})" for s in answer["chain"]]
    return "\n".join(rows)


def answers(script: str, args: list[str]) -> list[dict[str, Any]]:
    """The answers of a script, which runs in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="dsviz-") as folder:
        report = os.path.join(folder, "report.json")
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        words = [sys.executable, "-m", "dsviz.why.script", report, script, *args]
        done = subprocess.run(words, stdout=sys.stderr, env=env, check=False)
        if not os.path.exists(report):
            raise UsageError(f"{script} ended with status {done.returncode} before it could be asked.")
        with open(report, encoding="utf-8") as file:
            found: list[dict[str, Any]] = json.load(file)["answers"]
        return found
