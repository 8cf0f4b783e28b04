"""What the commands on recordings share: opening one, and where a new file may be written."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from dsviz.commands.usage import UsageError, every, named_recording
from dsviz.recording.recorder import is_recording, make_room

__all__ = [
    "claims_recording",
    "is_recording",
    "make_room",
    "opened",
    "size",
    "stored",
    "target",
    "what_is_kept",
]

if TYPE_CHECKING:
    from dsviz.recording.reader import Reader
    from dsviz.store import GraphStore


def target(name: str, force: bool = False, of: str = "the recording") -> str:
    """The absolute path for a new file. Raises UsageError where it cannot be made, or is somebody's file.

    With `force` any plain file may be replaced, without it only a recording may.
    """
    path = os.path.abspath(name)
    folder = os.path.dirname(path)
    if os.path.basename(name).startswith("-"):
        raise UsageError(f"{name!r} looks like an option and not like a file: name another one for {of}.")
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder, but a file for {of} was expected. Name a file in it.")
    if not os.path.isdir(folder):
        raise UsageError(f"there is no folder {folder} for {of}. Make it first, or name another file.")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{folder} cannot be written to, so {of} cannot be made there. Name another file.")
    if os.path.lexists(path):
        if not os.path.isfile(path):
            raise UsageError(f"{path} is no plain file: name another one for {of}.")
        if not force and not is_recording(path):
            raise UsageError(
                f"{path} exists and is not a recording: it is not overwritten. "
                "Name another file, or give --force to replace it."
            )
    return path


def claims_recording(name: str) -> bool:
    """Whether a file is a recording by what it holds or by its name; one that is damaged is never run as a script."""
    return named_recording(name) or is_recording(name)


def size(text: str) -> int:
    """Bytes from what was typed, for argparse.

    >>> size("64M"), size("1.5g"), size("0")
    (67108864, 1610612736, 0)
    """

    units = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
    number = text.lower().removesuffix("b").removesuffix("i")
    factor = units.get(number[-1:], 1)
    try:
        found = float(number[:-1] if factor > 1 else number) * factor
    except ValueError:
        found = -1.0
    if not 0 <= found < 1 << 50:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; give bytes, or a number with K, M or G")
    return int(found)


def opened(name: str) -> Reader:
    """The recording `name`. Raises UsageError with a sentence where it cannot be opened."""
    from dsviz.recording import Recording, RecordingError

    if not name:
        raise UsageError("the recording's name is empty. Name a .dsviz file.")
    path = os.path.abspath(name)
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder, but a recording was expected. Name a .dsviz file.")
    if not os.path.exists(path):
        raise UsageError(f"there is no file {path}. Make one with dsviz record SCRIPT.")
    try:
        return Recording.open(path)
    except RecordingError as error:
        raise UsageError(str(error)) from None


def stored(recording: Reader) -> GraphStore:
    """All that a recording tells, as the views want it; damage is told on standard error."""
    import sys

    from dsviz.store import GraphStore

    store = GraphStore()
    store.begin(recording.meta.script, list(recording.meta.args))
    for _, batch in recording.batches():
        store.feed_many(batch)
    for damage in recording.damage:
        print(f"dsviz: {recording.path} is damaged: {damage}", file=sys.stderr)
    return store


def what_is_kept(parser: argparse.ArgumentParser) -> None:
    """The options of all that trace: which iterations, and how much of the values."""
    parser.add_argument(
        "--sample",
        type=every,
        default=1,
        metavar="N",
        help="trace every N-th iteration only; of the others the loss and the memory (default 1: all)",
    )
    parser.add_argument(
        "--value-budget",
        type=size,
        default=256 << 20,
        metavar="BYTES",
        help="how much of the values is kept at trace level 2, such as 64M (default 256M)",
    )
