"""Recordings: a whole run in one file, to look at later, to go back in, to send to somebody."""

from __future__ import annotations

import os
from collections.abc import Callable

from dsviz.recording.format import (
    SUFFIX,
    End,
    Link,
    Meta,
    NewerRecordingError,
    RecordingError,
    Source,
    Stopped,
)
from dsviz.recording.reader import Damage, Reader
from dsviz.recording.values import Value, value_key
from dsviz.recording.writer import DEFAULT_BUDGET, Writer

__all__ = [
    "DEFAULT_BUDGET",
    "SUFFIX",
    "Damage",
    "End",
    "Link",
    "Meta",
    "NewerRecordingError",
    "Reader",
    "Recording",
    "RecordingError",
    "Source",
    "Stopped",
    "Value",
    "Writer",
    "value_key",
]


class Recording:
    """Makes and opens recordings.

    >>> import tempfile
    >>> from dsviz import events
    >>> path = os.path.join(tempfile.mkdtemp(), "run" + SUFFIX)
    >>> writer = Recording.create(path, Meta(script="train.py"))
    >>> writer.append(events.Iteration(1, 5000))
    >>> writer.close("finished", status=0)
    >>> with Recording.open(path) as recording:
    ...     recording.meta.script, recording.state, list(recording.events()), recording.damage
    ('train.py', 'finished', [Iteration(index=1, time=5000)], [])
    """

    @staticmethod
    def create(
        path: str | os.PathLike[str],
        meta: Meta,
        *,
        budget: int = DEFAULT_BUDGET,
        on_damage: Callable[[str], None] | None = None,
    ) -> Writer:
        """Begin a recording in a new file, readable only by its owner.

        `budget` is how many bytes of arrays are kept; `on_damage` is told the reason, a sentence, when
        the disk is full or broken and the recording ends there. Raises RecordingError where the file
        cannot be made or exists already; after that nothing raises.
        """
        return Writer(os.fspath(path), meta, budget=budget, on_damage=on_damage)

    @staticmethod
    def open(path: str | os.PathLike[str]) -> Reader:
        """Open a recording, from anywhere: it is read only, and nothing in it can act.

        Raises RecordingError where the file is no recording, and NewerRecordingError, which is one too,
        where it needs a newer dsviz.
        """
        return Reader(os.fspath(path))
