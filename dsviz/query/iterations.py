"""The iterations of training: a row each, and what differs between two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dsviz.events import Op
from dsviz.query.node import plain, where
from dsviz.query.parts import Slot
from dsviz.query.rows import label

if TYPE_CHECKING:
    from dsviz.iterated import IterationRecord
    from dsviz.store import GraphStore

MOST = 500
CHANGED = 200  # places told of what changed
NAMED = 3  # places named of what came or went


def iterations(store: GraphStore, count: int = MOST) -> dict[str, Any]:
    """The latest iterations, oldest first: nodes, time, loss, and how the structure changed.

    `loss` is the value of the scalar that backward started from, where it was recorded.
    """
    records = list(store.iterations)
    peaks = _peaks(store, records[-count:])
    rows = []
    for index, record in enumerate(records[-count:], start=max(len(records) - count, 0)):
        before = records[index - 1] if index else None
        finished = record is not records[-1]
        rows.append(
            {
                "index": record.index,
                "nodes": record.nodes,  # 0 where the iteration was not sampled
                "ns": max(record.end - record.start, 0),
                "busy": record.busy,
                "start": record.start,
                "loss": loss(store, record),
                "peak": peaks.get(record.index),
                "hash": f"{record.hash & 0xFFFFFFFF:08x}",
                "same": None if before is None or not finished else before.hash == record.hash,
                "added": (record.bits & ~before.bits).bit_count() if before is not None else 0,
                "removed": (before.bits & ~record.bits).bit_count() if before is not None and finished else 0,
                "running": not finished,
                "changes": _changes(store, before, record) if before is not None and finished else [],
            }
        )
    return {"total": len(records), "rows": rows}


def _peaks(store: GraphStore, records: list[IterationRecord]) -> dict[int, int]:
    """The most live bytes of each iteration."""
    log = store.memory
    if not log.time or not records:
        return {}
    times = np.frombuffer(log.time, np.int64)
    totals = np.cumsum(np.frombuffer(log.delta, np.int64)) + sum(log.base)
    first = np.searchsorted(times, [record.start for record in records]).tolist()
    found = {}
    for record, start, end in zip(records, first, [*first[1:], len(times)], strict=True):
        start = max(start - 1, 0)  # what was alive already
        if end > start:
            found[record.index] = int(totals[start:end].max())
    return found


def _changes(store: GraphStore, before: IterationRecord, record: IterationRecord) -> list[list[Any]]:
    """What differs from the iteration before, in a few words: `[sign, label, slot]`."""
    if before.hash == record.hash:
        return []
    added, removed = sorted(record.beyond(before)), sorted(before.beyond(record))
    found = [["+", item(store, slot)["label"], slot] for slot in added[:NAMED]]
    found += [["-", item(store, slot)["label"], slot] for slot in removed[:NAMED]]
    if not found and before.nodes != record.nodes:
        found.append(["!", f"{before.nodes} \u2192 {record.nodes} nodes", None])
    return found


def loss(store: GraphStore, record: IterationRecord) -> Any:
    """The loss of an iteration, None where its value was not recorded."""
    if record.value is not None:
        return plain(record.value)
    made = store.nodes.get(record.loss)
    if not isinstance(made, Op) or any(size != 1 for size in made.shape):
        return None
    summary = store.summaries.get(record.loss)
    value = summary.mean if summary is not None else made.attrs.get("value")
    return plain(value) if isinstance(value, int | float) else None


def compare(store: GraphStore, a: int, b: int) -> dict[str, Any]:
    """What iteration `b` has that `a` has not, and the reverse. Unknown numbers give a `problem`."""
    by_index = {record.index: record for record in store.iterations}
    missing = [index for index in (a, b) if index not in by_index]
    if missing:
        return {"a": a, "b": b, "problem": f"Iteration {missing[0]} is not known."}
    first, second = by_index[a].slots, by_index[b].slots
    return {
        "a": a,
        "b": b,
        "same": by_index[a].hash == by_index[b].hash,
        "only_a": [item(store, slot) for slot in sorted(first - second)],
        "only_b": [item(store, slot) for slot in sorted(second - first)],
        "both": len(first & second),
        "changed": _changed(store, a, b, first & second),
        "numbers": {name: _numbers(store, by_index[index]) for name, index in (("a", a), ("b", b))},
    }


def _changed(store: GraphStore, a: int, b: int, both: set[int]) -> list[dict[str, Any]]:
    """Places in both whose result has another shape or dtype, or that ran another number of times."""
    found = []
    for id in sorted(both):
        slot = store.structure.slots[id - 1]
        made: dict[int, list[Op]] = {a: [], b: []}
        for node in slot.bindings.values():
            record = store.nodes.get(node)
            if isinstance(record, Op) and record.iteration in made:
                made[record.iteration].append(record)
        if not made[a] or not made[b]:
            continue
        before, now = (
            {
                "shape": list(made[index][-1].shape),
                "dtype": store.text(made[index][-1].dtype),
                "times": len(made[index]),
            }
            for index in (a, b)
        )
        if before != now:
            found.append({**item(store, id), "a": before, "b": now})
        if len(found) >= CHANGED:
            break
    return found


def _numbers(store: GraphStore, record: IterationRecord) -> dict[str, Any]:
    return {
        "nodes": record.nodes,
        "ns": max(record.end - record.start, 0),
        "busy": record.busy,
        "loss": loss(store, record),
        "peak": _peaks(store, [record, *(i for i in store.iterations if i.start > record.start)][:2]).get(
            record.index
        ),
    }


def item(store: GraphStore, id: int) -> dict[str, Any]:
    """What a place of the graph is called, where it differs between iterations."""
    slot: Slot = store.structure.slots[id - 1]
    branch = next((g for g in slot.group.ancestors() if g.kind == "branch"), None)
    return {
        "slot": id,
        "label": label(store.text(slot.op), slot),
        "module": slot.group.module,
        "place": where(store, slot.frame),
        "branch": branch.label if branch is not None else None,
    }
