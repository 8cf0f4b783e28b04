"""`dsviz memory SCRIPT`: the peak of the live bytes, who owns each of them and why, with and without the optimisation."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from dsviz.commands.graph import ran
from dsviz.commands.recordings import claims_recording
from dsviz.commands.usage import Parser, UsageError, split
from dsviz.query import peak
from dsviz.terminal import bytes_text

MOST = 20  # owners listed as text; JSON has all

_EPILOG = """\
A script is run to its end first; what it prints and its exit status are its own.

examples:
  dsviz memory train.py --epochs 1          the peak by category and by line, and what kept each byte alive
  dsviz memory --compare train.py           the same run with the memory optimisation and without (runs twice)
  dsviz memory --json run.dsviz             of a recording, all owners, as JSON
"""


def main(words: list[str]) -> int:
    """Carry out `dsviz memory` with these words; gives the script's exit status."""
    parser = Parser(
        prog="dsviz memory",
        usage="dsviz memory [--compare] [--json] SCRIPT|MODEL.onnx|RUN.dsviz [ARGS...]",
        description="Explain the peak of the live bytes of a script or of a recording.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--compare", action="store_true", help="run SCRIPT with the memory optimisation and without"
    )
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")
    ours, rest = split(words, ())
    given = parser.parse_args(ours)
    if not rest:
        raise UsageError("nothing was given. Name a script or a recording: dsviz memory SCRIPT.")
    name = os.path.basename(rest[0])
    if not given.compare:
        status, store = ran(rest)
        _print(peak.explain(store), _one(name, peak.explain(store)), given.json)
        return status
    if claims_recording(rest[0]):
        raise UsageError(
            f"--compare runs a script twice, with and without; {rest[0]} is a recording. Name the script."
        )
    status, with_it = ran(rest, {"memory_optimization": True})
    if status == 0:
        status, without = ran(rest, {"memory_optimization": False})
    if status:
        raise UsageError(f"{name} ended with status {status}, so there is nothing to compare.")
    both = peak.compare(with_it, without)
    _print(both, _both(name, both), given.json)
    return 0


def _print(data: Any, lines: Iterator[str], as_json: bool) -> None:
    if as_json:
        json.dump(data, sys.stdout, indent=1)
        sys.stdout.write("\n")
        return
    for line in lines:
        print(line)


def _one(name: str, found: dict[str, Any]) -> Iterator[str]:
    """One run's peak as lines."""
    if not found["bytes"]:
        yield f"{name}: no memory was seen; nothing was traced."
        return
    at = found["at"]
    where = (
        "" if at is None else f", at {at['op']} (node {at['node']}), iteration {at['iteration']}{_line(at)}"
    )
    yield f"{name}: peak {bytes_text(found['bytes'])}{where}"
    if not found["complete"]:
        yield "The run was too long for its changes to be kept: record it, or trace a shorter part."
        return
    for category, nbytes in sorted(found["categories"].items(), key=lambda item: -item[1]):
        if nbytes:
            yield f"  {category:12} {bytes_text(nbytes):>10}  {100 * nbytes / found['bytes']:5.1f} %"
    yield ""
    rows = found["rows"]
    table = [
        (
            bytes_text(row["bytes"]),
            f"×{row['buffers']}" if row["buffers"] > 1 else "",
            _owner(row),
            f"{os.path.basename(row['path'])}:{row['line']}" if row["path"] else "",
            row["kept"],
        )
        for row in rows[:MOST]
    ]
    widths = [max(len(row[i]) for row in table) for i in range(4)]
    for row in table:
        cells = [row[0].rjust(widths[0])] + [row[i].ljust(widths[i]) for i in range(1, 4)]
        yield "  ".join([*cells, row[4]]).rstrip()
    if len(rows) > MOST:
        rest = sum(row["bytes"] for row in rows[MOST:])
        yield f"and {len(rows) - MOST} more owners of {bytes_text(rest)}; --json lists them"


def _owner(row: dict[str, Any]) -> str:
    op = row["op"] or row["name"] or row["category"]
    if row["phase"] == "backward":
        op += "'"
    return f"{op} in {row['module']}" if row["module"] else str(op)


def _line(at: dict[str, Any]) -> str:
    return f", {os.path.basename(at['path'])}:{at['line']}" if at["path"] else ""


def _both(name: str, both: dict[str, Any]) -> Iterator[str]:
    first, second = both["with"]["peak"], both["without"]["peak"]
    yield from _one(f"{name}, with the memory optimisation", first)
    yield ""
    yield from _one(f"{name}, without it", second)
    yield ""
    less = both["less"]
    share = f" ({100 * abs(less) / second['bytes']:.1f} %)" if second["bytes"] else ""
    word = "lower" if less >= 0 else "higher"
    yield f"With it the peak is {bytes_text(abs(less))}{share} {word}; {first['reused']} of {first['allocations']} buffers were used again."
