"""`dsviz diff A.dsviz B.dsviz`, or `dsviz diff RUN.dsviz --iterations 3 7`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from dsviz.commands.recordings import opened
from dsviz.commands.usage import Parser, UsageError
from dsviz.events import Op

if TYPE_CHECKING:
    from dsviz.query.difference import Turn
    from dsviz.recording.reader import Reader


def main(words: list[str]) -> int:
    """Carry out `dsviz diff` with these words: 0 where nothing differs, 1 where something does."""
    parser = Parser(
        prog="dsviz diff",
        usage="dsviz diff [--json] RUN.dsviz --iterations A B\n       dsviz diff [--json] A.dsviz B.dsviz [--iterations A B]",
        description="What differs between two iterations of a run, or between two runs (their last iterations, or those named): "
        "nodes added and removed, branches flipped, shapes, dtypes and statistics changed. Exit status 0: nothing; 1: something.",
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
    from dsviz.query.difference import difference, differs, sentences

    names = given.recordings
    last = given.iterations is None
    with opened(names[0]) as one, opened(names[-1]) as other:
        wanted = [_last(one), _last(other)] if last else given.iterations
        turns = [
            _turn(side, name, index)
            for side, name, index in zip((one, other), (names[0], names[-1]), wanted, strict=True)
        ]
        for recording in (one, other):
            for damage in recording.damage:
                print(f"dsviz: {recording.path} is damaged: {damage}", file=sys.stderr)
    found = difference(*turns)
    if given.json:
        print(json.dumps({"iterations": wanted, **found}, allow_nan=False))
    else:
        print("\n".join(sentences(found)))
    return 1 if differs(found) else 0


def _turn(recording: Reader, name: str, index: int) -> Turn:
    from dsviz.query.difference import turns_of

    turns, known = turns_of(recording.events(), [index], recording.source)
    if index not in known and (known or index):
        span = f"{min(known)} to {max(known)}" if known else "none: no node ran in it"
        raise UsageError(f"{name} has no iteration {index}; it has {span}.")
    return turns[index]


def _last(recording: Reader) -> int:
    return max((event.iteration for event in recording.events() if isinstance(event, Op)), default=0)
