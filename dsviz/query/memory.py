"""Live bytes by category over time: the timeline, its peak explained, and what was alive at an instant."""

from __future__ import annotations

from array import array
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from dsviz.events import CATEGORIES, PHASES, Allocated, Leaf, Op, Recategorised, Released

if TYPE_CHECKING:
    from dsviz.store import GraphStore

ROWS = 4096  # changes that wait to be sorted in
LIMIT = 200_000  # changes kept one by one where nothing else is said; older ones are kept as totals only
LARGEST = 50  # buffers named in an answer

Numbers = np.ndarray[Any, np.dtype[np.int64]]


class MemoryLog:
    """Every change of the live bytes, in order: when, which buffer, how much, what for, by which node.

    Changes are taken as rows, and sorted into columns once somebody reads one. At most about `limit` are kept.
    """

    def __init__(self) -> None:
        self.limit = LIMIT
        self._rows: list[tuple[int, int, int, int, int, int]] = []
        self._columns = (array("q"), array("q"), array("q"), array("q"), array("b"), array("q"))
        self._add = self._rows.append
        self.live: dict[int, tuple[int, int, int]] = {}  # buffer -> (bytes, category, node)
        self.base = [0] * len(CATEGORIES)  # totals before the first change that is kept
        self.base_live: dict[int, tuple[int, int, int]] = {}
        self.dropped = 0
        self.total = 0
        self.peak = 0
        self.peak_time = 0
        self.peak_step = 0
        self.peak_node = 0
        self.peak_buffer = 0
        self.peak_at = -1  # which change it was, dropped ones counted
        self._peak_live: tuple[int, dict[int, tuple[int, int, int]]] = (-1, {})
        self.reused = 0
        self.allocations = 0

    def __len__(self) -> int:
        return len(self._columns[0]) + len(self._rows)

    time = property(lambda self: self._column(0), doc="When each change came.")
    step = property(lambda self: self._column(1), doc="Nodes that had run.")
    buffer = property(lambda self: self._column(2), doc="Which buffer.")
    delta = property(lambda self: self._column(3), doc="Bytes, negative where they were released.")
    category = property(lambda self: self._column(4), doc="What for, a place in CATEGORIES.")
    node = property(lambda self: self._column(5), doc="The node that made the buffer.")

    @property
    def changes(self) -> int:
        """How many there were, dropped ones included. Needs no lock, unlike the columns."""
        return self.dropped + len(self)

    def _column(self, which: int) -> Any:
        if self._rows:
            self._sort_in()
        return self._columns[which]

    def _sort_in(self) -> None:
        times = self._columns[0]
        first = len(times)
        for column, values in zip(self._columns, zip(*self._rows, strict=True), strict=True):
            column.extend(values)
        self._rows.clear()
        if bool((np.diff(np.array(times[max(first - 1, 0) :], np.int64)) < 0).any()):
            self._by_time(first)

    def _by_time(self, first: int) -> None:
        """Changes from `first` on came later than they were: what another thread did meanwhile is told in one piece."""
        times, buffers = self._columns[0], self._columns[2]
        start = int(np.searchsorted(np.array(times[:first], np.int64), min(times[first:]), side="right"))
        latest: dict[
            int, int
        ] = {}  # a buffer's own changes keep their order, whatever the threads' clocks say
        for i in range(start, len(times)):
            times[i] = latest[buffers[i]] = max(times[i], latest.get(buffers[i], 0))
        order = np.argsort(np.array(times[start:], np.int64), kind="stable").tolist()
        for which, column in enumerate(self._columns):
            if which != 1:  # how many nodes had run is in order already
                told = column[start:]
                column[start:] = array(column.typecode, [told[i] for i in order])
        if self.peak_at >= self.dropped:
            delta = np.array(self._columns[3], np.int64)
            top = int(np.cumsum(delta).argmax())
            self.peak, self.peak_at = int(delta[: top + 1].sum()) + sum(self.base), self.dropped + top
            self.peak_time, self.peak_step, self.peak_buffer, _, _, self.peak_node = (
                c[top] for c in self._columns
            )
            self._peak_live = (-1, {})

    def allocated(self, event: Allocated, step: int) -> None:
        """A buffer came to life."""
        nbytes, category, node, time = event.nbytes, event.category, event.node, event.time
        self.live[event.buffer] = (nbytes, category, node)
        self.allocations += 1
        if event.reused:
            self.reused += 1
        self._add((time, step, event.buffer, nbytes, category, node))
        self.total += nbytes
        if self.total > self.peak:
            self.peak = self.total
            self.peak_time = time
            self.peak_step = step
            self.peak_node = node
            self.peak_buffer = event.buffer
            self.peak_at = self.dropped + len(self) - 1
        if len(self._rows) >= ROWS:
            self._shorten()

    def recategorised(self, event: Recategorised, step: int) -> None:
        """A buffer serves something else now."""
        known = self.live.get(event.buffer)
        if known is None or known[1] == event.category:
            return
        nbytes, category, node = known
        self._add((event.time, step, event.buffer, -nbytes, category, node))
        self._add((event.time, step, event.buffer, nbytes, event.category, node))
        self.live[event.buffer] = (nbytes, event.category, node)

    def released(self, event: Released, step: int) -> None:
        """Nothing can reach the buffer any more."""
        known = self.live.pop(event.buffer, None)
        if known is None:
            return
        nbytes, category, node = known
        self._add((event.time, step, event.buffer, -nbytes, category, node))
        self.total -= nbytes

    def _shorten(self) -> None:
        self._sort_in()
        gone = len(self._columns[0]) - self.limit
        if gone <= 0:
            return
        gone += self.limit // 8  # some at a time: what is alive then has to be found
        self.base_live = self.alive(gone - 1)
        last = np.array([gone - 1], np.int64)
        self.base = [int(self.course(last, category)[0]) for category in range(len(CATEGORIES))]
        for column in self._columns:
            del column[:gone]
        self.dropped += gone

    def course(self, kept: Numbers, category: int) -> Numbers:
        """Live bytes of one category after each of the `kept` changes."""
        delta, kinds = np.frombuffer(self.delta, np.int64), np.frombuffer(self.category, np.int8)
        return np.asarray(
            np.cumsum(np.where(kinds == category, delta, 0))[kept] + self.base[category], np.int64
        )

    def totals(self) -> Numbers:
        """Live bytes after each kept change."""
        delta = np.frombuffer(self.delta, np.int64) if self.delta else np.zeros(0, np.int64)
        return np.asarray(np.cumsum(delta) + sum(self.base), np.int64)

    def alive(self, index: int) -> dict[int, tuple[int, int, int]]:
        """The buffers alive after the kept change `index`."""
        if index < 0:
            return dict(self.base_live)
        # What changed last decides about each buffer.
        buffers = np.frombuffer(self.buffer, np.int64)[: index + 1]
        known, back = np.unique(buffers[::-1], return_index=True)
        last = index - back
        lives = np.frombuffer(self.delta, np.int64)[last] >= 0
        changed = set(known.tolist())
        live = {buffer: facts for buffer, facts in self.base_live.items() if buffer not in changed}
        _, _, buffer, delta, category, node = self._columns
        for i in np.sort(last[lives]).tolist():
            live[buffer[i]] = (delta[i], category[i], node[i])
        return live

    @property
    def index_of_peak(self) -> int | None:
        """The kept change that made the peak; None where it is no longer kept."""
        return self.peak_at - self.dropped if self.peak_at >= self.dropped else None

    def alive_at_peak(self) -> dict[int, tuple[int, int, int]] | None:
        """The buffers alive when the peak was reached; None where that is no longer kept and was not asked in time."""
        at, live = self._peak_live
        if at != self.peak_at:
            if (index := self.index_of_peak) is None:
                return None
            live = self.alive(index)
            self._peak_live = (self.peak_at, live)
        return live


def timeline(store: GraphStore, axis: str = "time", points: int = 1000) -> dict[str, Any]:
    """Live bytes by category, at most `points` points, with the peak never lost.

    `axis` "time" counts nanoseconds since the run began, "events" counts nodes that had run.
    """
    log = store.memory
    totals = log.totals()
    times = np.array(log.time, np.int64)
    places = times if axis == "time" else np.array(log.step, np.int64)
    kept = _choose(totals, points)
    series = {name: log.course(kept, i).tolist() if log.time else [] for i, name in enumerate(CATEGORIES)}
    return {
        "axis": axis,
        "x": places[kept].tolist(),
        "series": series,
        "total": totals[kept].tolist(),
        "now": {"x": store.time if axis == "time" else store.count, "total": log.total, **by_category(store)},
        "peak": peak(store, axis),
        "bands": bands(store, axis),
        "iterations": [(i.start if axis == "time" else i.first, i.index) for i in store.iterations],
        "allocations": log.allocations,
        "reused": log.reused,
        "dropped": log.dropped,
    }


def _choose(total: Numbers, points: int) -> Numbers:
    """Of every stretch its lowest and highest point, so that no spike disappears."""
    count = len(total)
    if count <= points:
        return np.arange(count, dtype=np.int64)
    stretches = max(1, (points - 2) // 2)
    edges = np.linspace(0, count, stretches + 1).astype(np.int64)
    chosen = {0, count - 1}
    for first, last in pairwise(edges):
        if last > first:
            part = total[first:last]
            chosen.add(int(first + part.argmax()))
            chosen.add(int(first + part.argmin()))
    return np.array(sorted(chosen), np.int64)


def by_category(store: GraphStore) -> dict[str, int]:
    """Live bytes now."""
    sums = [0] * len(CATEGORIES)
    for nbytes, category, _ in store.memory.live.values():
        sums[category] += nbytes
    return dict(zip(CATEGORIES, sums, strict=True))


def peak(store: GraphStore, axis: str = "time") -> dict[str, Any] | None:
    """When the live bytes were highest, who asked for the `last` of them, and what filled them."""
    log = store.memory
    if not log.peak or not log.time:  # asking sorts in what came last
        return None
    answer: dict[str, Any] = {"bytes": log.peak, "time": log.peak_time, "x": log.peak_time}
    answer.update(owner(store, log.peak_node))
    live = log.alive_at_peak()
    if live is None:
        return {**answer, "last": 0, "categories": None, "largest": []}
    if axis != "time":
        answer["x"] = log.peak_step
    sums = [0] * len(CATEGORIES)
    for nbytes, category, _ in live.values():
        sums[category] += nbytes
    buffer = live.get(log.peak_buffer)
    return {
        **answer,
        "last": buffer[0] if buffer is not None else 0,
        "categories": dict(zip(CATEGORIES, sums, strict=True)),
        "largest": largest(store, live),
    }


def largest(store: GraphStore, live: dict[int, tuple[int, int, int]]) -> list[dict[str, Any]]:
    """The biggest of these buffers with what they are for and who made them."""
    order = sorted(live.items(), key=lambda item: (-item[1][0], item[0]))[:LARGEST]
    return [
        {"buffer": buffer, "bytes": nbytes, "category": CATEGORIES[category], **owner(store, node)}
        for buffer, (nbytes, category, node) in order
    ]


def owner(store: GraphStore, node: int) -> dict[str, Any]:
    """The node that owns a buffer, as far as it is known."""
    record = store.nodes.get(node)
    if record is None:
        return {"node": node or None, "op": None, "name": None, "module": "", "file": None, "line": None}
    frame = store.structure.frames.get(record.frame)
    slot = store.structure.slot_of.get(node)
    leaf = isinstance(record, Leaf)
    return {
        "node": node,
        "op": None if isinstance(record, Leaf) else store.text(record.op),
        "name": (record.name or record.role) if isinstance(record, Leaf) else None,
        "module": slot.group.module if slot is not None else "",
        "phase": None if leaf or not isinstance(record, Op) else PHASES[record.phase],
        "file": frame.file if frame is not None else None,
        "line": frame.line if frame is not None else None,
    }


def at(store: GraphStore, x: int, axis: str = "time") -> dict[str, Any]:
    """What was alive at an instant: totals by category and the largest buffers."""
    log = store.memory
    column = log.time if axis == "time" else log.step
    places = np.frombuffer(column, np.int64) if column else np.zeros(0, np.int64)
    index = int(np.searchsorted(places, x, side="right")) - 1
    live = log.alive(index)
    sums = [0] * len(CATEGORIES)
    for nbytes, category, _ in live.values():
        sums[category] += nbytes
    return {
        "x": x,
        "total": sum(sums),
        "categories": dict(zip(CATEGORIES, sums, strict=True)),
        "buffers": len(live),
        "largest": largest(store, live),
        "early": index < 0 and log.dropped > 0,
    }


def bands(store: GraphStore, axis: str = "time") -> list[dict[str, Any]]:
    """The stretches of forward, backward and optimizer, with their iteration."""
    return [
        {
            "phase": PHASES[band.phase],
            "iteration": band.iteration,
            "from": band.start if axis == "time" else band.first,
            "to": band.end if axis == "time" else band.last,
        }
        for band in store.bands
    ]
