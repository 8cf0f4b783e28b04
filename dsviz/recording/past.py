"""A run as it was at some moment: the store that a recording's events up to there make."""

from __future__ import annotations

from collections.abc import Callable

from dsviz import events as ev
from dsviz.recording.reader import Reader
from dsviz.store import GraphStore

WINDOW = 60_000  # nodes before the moment that are shown; older ones are counted

# What later events refer to, and what has to be added up from the beginning.
_ALWAYS = frozenset((
    ev.Text, ev.Frame, ev.Site, ev.Leaf, ev.ModuleEntered, ev.ModuleLeft, ev.LoopTurn, ev.Thread, ev.Allocated,
    ev.Recategorised, ev.Released, ev.Iteration, ev.Switched, ev.Level, ev.Output, ev.Gap, ev.Value,
))  # fmt: skip


class Past:
    """The store at one position of a recording; moving on is cheap, moving back makes it anew."""

    def __init__(self, reader: Reader, window: int = WINDOW) -> None:
        self.reader = reader
        self.window = window
        self.position = 0
        self._store: GraphStore | None = None

    def store(self, position: int) -> GraphStore:
        """Everything that was known before the event at `position`."""
        position = max(0, min(position, self.reader.count))
        store = self._store
        if store is not None and position == self.position:
            return store
        if store is None or position < self.position or store.pending:
            store = self._store = self._begin()
            self.position = 0
        if position > self.position:
            self._feed(store, self.position, position)
            self.position = position
        return store

    def _begin(self) -> GraphStore:
        meta = self.reader.meta
        # A page shows the person's files; of those there are only the ones in the recording.
        store = GraphStore(window=max(self.window, 1), read=self.reader.source)
        store.begin(meta.script, meta.args, python=meta.python)
        return store

    def _feed(self, store: GraphStore, first: int, last: int) -> None:
        cut = self._cut(last)
        for at, batch in self.reader.batches(first, last):
            if at + len(batch) <= cut:
                ops = sum(type(event) is ev.Op for event in batch)
                store.skip(ops)
                store.feed_many(event for event in batch if type(event) in _ALWAYS)
            else:
                store.feed_many(batch)

    def _cut(self, position: int) -> int:
        """The position before which nodes are only counted."""
        ops = 0
        end = position
        while end > 0 and ops < self.window:
            start = max(0, end - 4096)
            ops += sum(type(event) is ev.Op for event in self.reader.events(start, end))
            end = start
        return end


def before(
    reader: Reader, position: int, wanted: Callable[[ev.AnyEvent], bool]
) -> tuple[int, ev.AnyEvent] | None:
    """The last event before `position` that is wanted, with its position."""
    end = position
    while end > 0:
        start = max(0, end - 1024)
        found = None
        for at, batch in reader.batches(start, end):
            for offset, event in enumerate(batch):
                if wanted(event):
                    found = (at + offset, event)
        if found is not None:
            return found
        end = start
    return None


def after(
    reader: Reader, position: int, wanted: Callable[[ev.AnyEvent], bool]
) -> tuple[int, ev.AnyEvent] | None:
    """The first event at `position` or later that is wanted, with its position."""
    for at, batch in reader.batches(position):
        for offset, event in enumerate(batch):
            if wanted(event):
                return at + offset, event
    return None
