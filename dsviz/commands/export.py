"""`dsviz export RUN.dsviz --to FILE`: a recording for other programs, or as one HTML file for other people."""

from __future__ import annotations

import json
import os

from dsviz.commands.recordings import opened, stored, target
from dsviz.commands.usage import Parser, UsageError

ENDINGS = (".json", ".dot", ".html")


def main(words: list[str]) -> int:
    """Carry out `dsviz export` with these words."""
    parser = Parser(
        prog="dsviz export",
        description="Write a recording for other programs: .json is a trace that Perfetto (ui.perfetto.dev) and Chrome open, "
        ".dot the folded graph for Graphviz, .html the page itself with the run inside it: it opens in any browser, without dsviz and without a network.",
        allow_abbrev=False,
    )
    parser.add_argument("recording", metavar="RUN.dsviz")
    parser.add_argument("--to", metavar="FILE", help="ends in .json, .dot or .html")
    parser.add_argument("--html", metavar="FILE", help="the same as --to FILE.html")
    parser.add_argument("--force", action="store_true", help="replace FILE where it exists")
    given = parser.parse_args(words)
    if (given.to is None) == (given.html is None):
        raise UsageError("give either --to FILE or --html FILE: where the export is written.")
    wanted = given.to or given.html
    ending = os.path.splitext(wanted)[1].lower()
    allowed = ENDINGS if given.html is None else (".html", ".htm")
    if ending not in allowed:
        raise UsageError(f"{wanted} has to end in {' or '.join(allowed)}: the ending says what is written.")
    with opened(given.recording) as recording:
        path = target(wanted, given.force, "the export")
        if ending in (".html", ".htm"):
            return _page(given.recording, path)
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


def _page(recording: str, path: str) -> int:
    from dsviz.onefile.write import html

    text = html(os.path.abspath(recording))
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    print(f"{path}: {len(text.encode()):,} bytes; open it in any browser")
    return 0
