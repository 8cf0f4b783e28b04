"""`dsviz diff A.dsviz B.dsviz`, or `dsviz diff RUN.dsviz --iterations 3 7`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dsviz.commands.recordings import opened, stored
from dsviz.commands.usage import Parser, UsageError

if TYPE_CHECKING:
    from dsviz.store import GraphStore


def main(words: list[str]) -> int:
    """Carry out `dsviz diff` with these words: 0 where nothing differs, 1 where something does."""
    parser = Parser(
        prog="dsviz diff",
        usage="dsviz diff [--json] RUN.dsviz --iterations A B\n       dsviz diff [--json] A.dsviz B.dsviz [--iterations A B]",
        description="What differs between two iterations of a run, or between two runs (their last iterations, or those named): "
        "nodes added and removed, shapes, dtypes and statistics changed. Exit status 0: nothing; 1: something.",
        allow_abbrev=False,
    )
    parser.add_argument("recordings", nargs="+", metavar="RUN.dsviz")
    parser.add_argument("--iterations", nargs=2, type=int, metavar=("A", "B"))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(words)
    if len(given.recordings) > 2:
        raise UsageError(f"dsviz diff compares two recordings, got {len(given.recordings)}.")
    if len(given.recordings) == 1 and given.iterations is None:
        raise UsageError(
            "one recording has nothing to be compared with: name a second one, or --iterations A B."
        )
    stores = []
    for name in given.recordings:
        with opened(name) as recording:
            stores.append(stored(recording))
    from dsviz.query.difference import difference, sentences, turn_of

    first, second = stores[0], stores[-1]
    turns = given.iterations or [_last(first), _last(second)]
    for store, name, index in zip(
        (first, second), (given.recordings[0], given.recordings[-1]), turns, strict=True
    ):
        known = [record.index for record in store.iterations]
        if index not in known:
            span = f"{known[0]} to {known[-1]}" if known else "none"
            raise UsageError(f"{name} has no iteration {index}; it has {span}.")
    found = difference(turn_of(first, turns[0]), turn_of(second, turns[1]))
    print(json.dumps(found) if given.json else "\n".join(sentences(found)))
    return 1 if found["added"] or found["removed"] or found["changed"] else 0


def _last(store: GraphStore) -> int:
    return store.iterations[-1].index if store.iterations else 0
