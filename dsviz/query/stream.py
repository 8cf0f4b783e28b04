"""What a page has to be told: the changes of the store since it was last asked, in the page's messages."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from dsviz.query.display import Display
from dsviz.query.parts import Group, Slot
from dsviz.query.paths import base
from dsviz.query.rows import Row, group_row, slot_row
from dsviz.store import GraphStore, cut_label

Message = dict[str, Any]

ROWS = 2000  # slots told in one batch; the rest waits for the next, so that no page has a long task to do
OUTPUT = 64_000  # characters of output in one batch; a flood is cut in its middle
MEMORY_PERIOD = 0.2  # seconds between hints that the memory panel is out of date


class PageStream:
    """One page's cursor into a store. The first `collect` gives everything, later ones what is new.

    Pointing `store` to another store, or `begin` of the same one, starts over with a new hello.
    """

    def __init__(self, store: GraphStore) -> None:
        self.store = store
        self._slots: set[Slot] = set()
        self._groups: set[Group] = set()
        self._watched: Any = None

    def close(self) -> None:
        """Stop following the store."""
        with self.store.lock:
            self._unwatch()

    def _unwatch(self) -> None:
        if self._watched is not None:
            watchers = self._watched.watchers
            watchers[:] = [pair for pair in watchers if pair[0] is not self._slots]
            self._watched = None

    def _restart(self) -> None:
        structure = self.store.structure
        self._unwatch()
        self._slots = set(structure.slots)
        self._groups = set(structure.groups)
        structure.watchers.append((self._slots, self._groups))
        self._watched = structure
        self._backlog: list[Slot] = []  # of slots that did not fit into a batch, the next one last
        self._sent_rows: dict[int, tuple[Any, ...]] = {}
        self._turns: dict[int, int] = {}
        self._taken: dict[int, bool | None] = {}
        self._nodes = structure.order_dropped
        self._counts: tuple[int, int, float | None, int, str | None] = (-1, -1, None, 0, None)
        self._process = self._process_now()
        self._output = 0
        self._memory = -1
        self._memory_told = 0.0
        self._files = 0

    def collect(self, limit: int | None = ROWS) -> list[Message]:
        """The messages since the last call. `limit` bounds the slot rows; None sends all."""
        store = self.store
        with store.lock:
            messages: list[Message] = []
            if self._watched is not store.structure:
                self._restart()
                messages.append(self._hello())
            process = self._process_now()
            if process != self._process:  # a page may be open before the program has said who it is
                self._process = process
                messages.append({"t": "process", **process})
            if len(store.files) > self._files:
                new = store.files[self._files :]
                self._files += len(new)
                messages.append({"t": "files", "items": [file_item(store, f) for f in new]})
            self._structure(messages, limit)
            self._new_nodes(messages)
            counts = (store.count, store.events, store.overhead, len(store.structure.slots), store.core)
            if counts != self._counts:
                self._counts = counts
                names = ("nodes", "events", "overhead", "places", "core")
                messages.append({"t": "count", **dict(zip(names, counts, strict=True))})
            messages.extend(self._new_output())
            changes = store.memory.changes
            now = time.monotonic()
            if changes != self._memory and now - self._memory_told >= MEMORY_PERIOD:
                self._memory = changes
                self._memory_told = now
                messages.append({"t": "memory", "dirty": True})
            return messages

    read = collect

    @property
    def behind(self) -> bool:
        """Whether more is waiting than the last batch could hold."""
        return bool(self._slots or self._groups)

    def _process_now(self) -> Message:
        store = self.store
        return {"pid": store.pid, "python": store.python, "args": store.args}

    def _hello(self) -> Message:
        store = self.store
        self._files = len(store.files)
        return {
            "t": "hello",
            "run": store.run,
            "script": base(store.script),
            "level": store.level,
            "files": [file_item(store, f) for f in store.files],
            **self._process,
        }

    def _structure(self, messages: list[Message], limit: int | None) -> None:
        store, structure = self.store, self.store.structure
        display = Display(store)
        # A slot's look depends on the turns and decisions shown around it as much as on itself.
        for group in structure.groups:
            if group.kind == "loop":
                turn = display.turn(group)
                if self._turns.get(group.id) != turn:
                    self._turns[group.id] = turn
                    self._all_within(group)
            elif group.kind == "branch":
                taken = display.taken(group)
                if group.id not in self._taken or self._taken[group.id] is not taken:
                    self._taken[group.id] = taken
                    self._all_within(group)
        self._groups.discard(structure.root)
        if self._groups:
            due = sorted(self._groups, key=lambda g: g.id)[
                :limit
            ]  # a parent's number is below its children's
            self._groups.difference_update(due)
            messages.append({"t": "groups", "items": [group_row(display, g) for g in due]})
        rows = self._rows(display, limit)
        if rows:
            messages.append({"t": "slots", "items": rows})

    def _all_within(self, group: Group) -> None:
        self._groups.add(group)
        for inner in group.within():
            if inner.kind in ("loop", "branch"):
                self._groups.add(inner)
            self._slots.update(inner.slots)

    def _rows(self, display: Display, limit: int | None) -> list[Row]:
        store = self.store
        rows: list[Row] = []
        if limit is None or len(self._slots) <= limit:
            self._backlog = sorted(self._slots, key=lambda s: s.id, reverse=True)
        elif not self._backlog:
            # New ones first and in their order, for they are placed in it; then what changed around the
            # latest node, where the person looks.
            latest = store.structure.slot_of.get(store.structure.latest)
            centre = latest.id if latest is not None else 0
            sent = self._sent_rows
            self._backlog = sorted(
                self._slots,
                key=lambda s: (1, abs(s.id - centre)) if s.id in sent else (0, s.id),
                reverse=True,
            )
        early = []
        while self._backlog and (limit is None or len(rows) < limit):
            slot = self._backlog.pop()
            if slot not in self._slots:
                continue
            if slot.group in self._groups:  # its group has to wait for the next batch, and so has it
                early.append(slot)
                continue
            self._slots.discard(slot)
            node = display.node(slot)
            record = store.nodes.get(node, slot.record) if node else slot.record
            look = (node, display.status(slot, node), id(record), display.path(slot.group))
            if self._sent_rows.get(slot.id) == look and node not in store.summaries:
                continue
            self._sent_rows[slot.id] = look
            rows.append(slot_row(store, display, slot))
        self._backlog.extend(reversed(early))
        return rows

    def _new_nodes(self, messages: list[Message]) -> None:
        structure = self.store.structure
        start = max(self._nodes - structure.order_dropped, 0)
        nodes = sorted(structure.order[start:])
        self._nodes = structure.order_dropped + len(structure.order)
        messages.extend(node_runs(nodes, structure.slot_of))

    def _new_output(self) -> list[Message]:
        store = self.store
        if self._output == store.output_written:
            return []
        pieces = store.output(self._output)
        self._output = store.output_written
        return output_messages(pieces)


def node_runs(nodes: Sequence[int], slot_of: dict[int, Slot]) -> list[Message]:
    """Which slot each node is bound to, one message for each run of consecutive numbers."""
    messages: list[Message] = []
    slots: list[int] = []
    first = following = 0
    for node in nodes:
        slot = slot_of.get(node)
        if slot is None:
            continue
        if node != following or not slots:
            slots = []
            first = node
            messages.append({"t": "nodes", "first": first, "slots": slots})
        slots.append(slot.id)
        following = node + 1
    return messages


def output_messages(pieces: Iterable[tuple[int, str]]) -> list[Message]:
    """Output with neighbours of one stream joined, and a flood cut in its middle."""
    parts = list(pieces)
    total = sum(len(text) for _, text in parts)
    if total > OUTPUT:
        half = OUTPUT // 2
        parts = [*_first(parts, half), (0, cut_label(total - 2 * half)), *_last(parts, half)]
    messages: list[Message] = []
    for stream, text in parts:
        if messages and messages[-1]["stream"] == stream:
            messages[-1]["text"] += text
        else:
            messages.append({"t": "output", "stream": stream, "text": text})
    return messages


def _first(parts: Sequence[tuple[int, str]], room: int) -> list[tuple[int, str]]:
    kept = []
    for stream, text in parts:
        if room <= 0:
            break
        kept.append((stream, text[:room]))
        room -= len(text)
    return kept


def _last(parts: Sequence[tuple[int, str]], room: int) -> list[tuple[int, str]]:
    kept = []
    for stream, text in reversed(parts):
        if room <= 0:
            break
        kept.append((stream, text[-room:]))
        room -= len(text)
    return kept[::-1]


def file_item(store: GraphStore, file: int) -> dict[str, Any]:
    """A file of the program as the page lists it."""
    path = store.text(file)
    return {"id": file, "name": base(path), "path": path}


def state_message(
    state: str, stop: dict[str, Any] | None = None, message: str = "", next: str = ""
) -> Message:
    """The run's state, why it stopped, and one sentence each on what happened and what to do."""
    return {"t": "state", "state": state, "stop": stop, "message": message, "next": next}


def settings_message(
    level: int, breakpoints: Sequence[dict[str, Any]], switches: Sequence[dict[str, Any]]
) -> Message:
    """The trace level, breakpoints and switches as they are now."""
    return {"t": "settings", "level": level, "breakpoints": list(breakpoints), "switches": list(switches)}
