"""Writes a run down while it goes: its events, where it stood still, its files' text, its arrays.

A session has one recorder for each run. What it is given it hands on without the arrays' bytes, which
live in the file only; nothing here raises, and a full disk ends the recording, never the run.
"""

from __future__ import annotations

import contextlib
import glob
import itertools
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence

import dsviz
from dsviz import events as ev
from dsviz.recording.format import APPLICATION_ID, SUFFIX, Meta
from dsviz.recording.reader import Reader
from dsviz.recording.writer import DEFAULT_BUDGET, Writer
from dsviz.stop import PAUSED, Stop
from dsviz.store import read_file

FLUSH = 1.0  # seconds an event may wait for its row to fill while others come
_LOOKED_AT = frozenset((ev.Value, ev.Text, ev.Frame, ev.Site))
LEFT = 24 * 3600.0  # seconds that the recording of a killed debugger can still be found
MOST_BYTES = 4 << 30  # of events in a recording nobody asked for


class Recorder:
    """One run being recorded, to `path`, or to a file of its own that goes away with `discard`.

    `read(path)` gives the text of a file. Raises RecordingError where the file cannot be made.

    >>> recorder = Recorder(None, Meta(script="train.py"))
    >>> recorder.take([ev.Text(1, "matmul")])
    [Text(id=1, text='matmul')]
    >>> recorder.snapshot().count
    1
    >>> recorder.discard()
    """

    def __init__(
        self,
        path: str | None,
        meta: Meta,
        *,
        budget: int = DEFAULT_BUDGET,
        read: Callable[[str], str | None] | None = None,
        on_damage: Callable[[str], None] | None = None,
    ) -> None:
        self._folder = None if path else _temporary()
        self.path = path or os.path.join(str(self._folder), "run" + SUFFIX)
        self._read = read or read_file
        self._texts: dict[int, str] = {}
        self._known: set[int] = set()
        self._told = time.monotonic()
        try:
            self._writer = Writer(
                self.path,
                meta,
                budget=budget,
                most=None if path else MOST_BYTES,
                on_damage=on_damage,
            )
        except BaseException:
            self.discard()
            raise

    @property
    def position(self) -> int:
        """Events taken so far."""
        return self._writer.position

    @property
    def state(self) -> str:
        """recording, damaged (then `reason` says why), or how the program ended."""
        return self._writer.state

    @property
    def reason(self) -> str:
        """Why the recording ended before the program did; "" where it did not."""
        return self._writer.reason

    def take(self, batch: Sequence[ev.AnyEvent]) -> list[ev.AnyEvent]:
        """Write down events in order. Returns them with each array's bytes replaced by its key."""
        kept = list(batch)
        written = 0
        # Of the many events few are of these kinds.
        for index in [index for index, event in enumerate(kept) if type(event) in _LOOKED_AT]:
            event = kept[index]
            if isinstance(event, ev.Value):
                # Its position has to be its own: all that came before it is with the writer by then.
                self._writer.extend(kept[written:index])
                written = index
                kept[index] = self._value(event)
            elif isinstance(event, ev.Text):
                self._texts[event.id] = event.text
            elif isinstance(event, (ev.Frame, ev.Site)) and event.file not in self._known:
                self._source(event.file)
        self._writer.extend(kept[written:] if written else kept)
        if time.monotonic() - self._told > FLUSH:
            self.flush()
        return kept

    def _value(self, event: ev.Value) -> ev.Value:
        key = self._writer.append_value(
            event.dtype, event.shape, event.data, node=event.node, name=event.name, pin=event.pin
        )
        return ev.Value(event.node, event.name, event.dtype, event.shape, event.axes, key=key or b"")

    def _source(self, file: int) -> None:
        path = self._texts.get(file)
        if path is None:
            return
        self._known.add(file)
        text = self._read(path)
        if text is not None:
            self._writer.add_source(path, text)

    def resize(self, budget: int) -> None:
        """Keep at most `budget` bytes of arrays from here on."""
        self._writer.resize(budget)

    def stop(self, stop: Stop) -> None:
        """The program stands still here."""
        if stop.state == PAUSED:
            self._writer.append_stop(stop)

    def end(self, stop: Stop) -> None:
        """The program has ended so."""
        if self._writer.state == "recording":
            self._writer.append_stop(stop)
        self._writer.close(stop.state, stop.status, "" if stop.state == "finished" else stop.text)

    def flush(self) -> None:
        """Write what waits."""
        self._told = time.monotonic()
        self._writer.flush()

    def snapshot(self) -> Reader:
        """Everything up to now, opened for reading."""
        self.flush()
        return Reader(self.path)

    def discard(self) -> None:
        """Let go of the file, and remove it where nobody asked for it."""
        writer = getattr(self, "_writer", None)
        if writer is not None:
            writer.close("unfinished", reason="The debugger was closed before the program ended.")
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def meta_of(script: str, args: Sequence[str]) -> Meta:
    """What is known of a run when it begins."""
    return Meta(
        script=script,
        args=tuple(args),
        python=platform.python_version(),
        version=dsviz.__version__,
        started=time.time(),
        platform=platform.platform(),
    )


def beside(path: str) -> str:
    """The first name like `path` that is free: `run-2.dsviz` beside `run.dsviz`.

    >>> beside("/nowhere/run.dsviz")
    '/nowhere/run-2.dsviz'
    """
    stem, ending = os.path.splitext(path)
    return next(name for n in itertools.count(2) if not os.path.lexists(name := f"{stem}-{n}{ending}"))


def make_room(path: str) -> None:
    """Remove a recording that is to be replaced, and what SQLite left beside it."""
    for name in (path, path + "-wal", path + "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def is_recording(path: str) -> bool:
    """Whether the file says that it is a recording (one of a newer dsviz is one too)."""
    try:
        with open(path, "rb") as file:
            header = file.read(72)
    except OSError:
        return False
    return header[:6] == b"SQLite" and header[68:72] == APPLICATION_ID.to_bytes(4, "big")


def _temporary() -> str:
    """A folder for a recording nobody asked for, after those that killed debuggers left a day ago are gone."""
    for name in glob.glob(os.path.join(tempfile.gettempdir(), "dsviz-recording-*")):
        with contextlib.suppress(OSError):  # somebody else's, or gone by now
            about = os.stat(name)
            ours = not hasattr(os, "getuid") or about.st_uid == os.getuid()
            if ours and time.time() - about.st_mtime > LEFT and not _alive(name):
                shutil.rmtree(name, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"dsviz-recording-{os.getpid()}-")


def _alive(name: str) -> bool:
    """Whether the process that made such a folder still runs."""
    pid = os.path.basename(name).split("-")[2]
    if not pid.isdigit():
        return False
    if os.name == "nt":
        return True  # there, asking would end it
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
