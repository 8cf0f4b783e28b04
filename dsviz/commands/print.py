"""`dsviz print RUN.dsviz`: the graph of a recording as the terminal prints it, or as JSON."""

from __future__ import annotations

import json

from dsviz.commands.recordings import opened, stored
from dsviz.commands.usage import Parser


def main(words: list[str]) -> int:
    """Carry out `dsviz print` with these words."""
    parser = Parser(
        prog="dsviz print",
        description="Print the graph that a recording holds, folded by module and loop.",
        allow_abbrev=False,
    )
    parser.add_argument("recording", metavar="RUN.dsviz")
    parser.add_argument("--json", action="store_true", help="the same view as JSON")
    given = parser.parse_args(words)
    with opened(given.recording) as recording:
        store = stored(recording)
        if given.json:
            from dsviz.query.graph import graph

            print(json.dumps({"state": recording.state, "graph": graph(store)}, default=str))
        else:
            from dsviz.terminal import print_graph

            print_graph(store)
            end = recording.end
            status = "" if end is None or end.status is None else f", exit status {end.status}"
            print(f"recorded run: {recording.state}{status}")
    return 0
