"""`dsviz export RUN.dsviz --to FILE`: a recording for other programs."""

from __future__ import annotations

import json
import os

from dsviz.commands.recordings import opened, stored, target
from dsviz.commands.usage import Parser, UsageError

ENDINGS = (".json", ".dot")


def main(words: list[str]) -> int:
    """Carry out `dsviz export` with these words."""
    parser = Parser(
        prog="dsviz export",
        description="Write a recording for other programs: .json is a trace that Perfetto (ui.perfetto.dev) and Chrome open, "
        ".dot the folded graph for Graphviz.",
        allow_abbrev=False,
    )
    parser.add_argument("recording", metavar="RUN.dsviz")
    parser.add_argument("--to", required=True, metavar="FILE", help="ends in .json or .dot")
    parser.add_argument("--force", action="store_true", help="replace FILE where it exists")
    given = parser.parse_args(words)
    ending = os.path.splitext(given.to)[1].lower()
    if ending not in ENDINGS:
        raise UsageError(f"{given.to} has to end in {' or '.join(ENDINGS)}: the ending says what is written.")
    with opened(given.recording) as recording:
        path = target(given.to, given.force, "the export")
        store = stored(recording)
        if ending == ".json":
            from dsviz.query.perfetto import trace

            text = json.dumps(trace(store, list(recording.events())))
        else:
            from dsviz.query.dot import dot

            text = dot(store)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    print(f"{path}: {len(text):,} bytes")
    return 0
