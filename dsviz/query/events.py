"""What happened, as rows: nodes, module calls, turns, branches and failures, newest first."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from dsviz import events as ev
from dsviz.query.node import where
from dsviz.query.rows import label

if TYPE_CHECKING:
    from dsviz.store import GraphStore

MOST = 1000  # rows in one answer


ONLY = ("all", "nodes", "structure", "not finite")


def rows(
    store: GraphStore,
    skip: int = 0,
    count: int = 200,
    only: str = "all",
    before: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """`count` rows after the first `skip`, newest first, and how many there are in all.

    `only` "nodes" are ops, "structure" modules, branches, turns and failures, "not finite" the ops that made NaN or Inf.
    `bad` of a row counts what is not finite in the result (where statistics were taken), `made` says it began there.
    `before` (node, time) leaves out ops from that node on and marks from that nanosecond on: where a page of rows ended.
    Of ops only those are listed from which on the store holds them all.
    """
    found = _nodes(store, before) if only != "structure" else iter(())
    marks = _marks(store, before, only) if only in ("all", "structure") else iter(())
    merged = heapq.merge(found, marks, key=lambda row: -int(row["time"]))
    if only == "not finite":
        merged = (row for row in merged if row["bad"])
    chosen = list(islice(merged, skip, skip + min(count, MOST)))
    total = len(store.structure.order) + len(store.marks)
    return {"from": skip, "total": total, "events": store.events, "rows": chosen}


def forgets(store: GraphStore) -> bool:
    """Whether something that would be listed is no longer held, and stands in the recording only."""
    return store.dropped > 0 or len(store.marks) == store.marks.maxlen


def _nodes(store: GraphStore, before: tuple[int, int] | None) -> Iterator[dict[str, Any]]:
    for node in reversed(store.latest):
        record = store.nodes.get(node)
        if not isinstance(record, ev.Op) or node == store.pending or (before and node >= before[0]):
            continue
        slot = store.structure.slot_of.get(node)
        op = store.text(record.op)
        yield {
            "time": record.start,
            "kind": ev.PHASES[record.phase],
            "text": label(op, slot) if slot is not None else op,
            "shape": list(record.shape),
            "ns": record.duration,
            "nbytes": record.nbytes,
            "module": slot.group.module if slot is not None else "",
            "iteration": record.iteration,
            "node": node,
            "slot": slot.id if slot is not None else None,
            **_finite(store, record),
            **_place(store, record.frame),
        }


def _finite(store: GraphStore, record: ev.Op) -> dict[str, Any]:
    summary = store.summaries.get(record.node)
    bad = summary.nans + summary.infs if summary is not None else 0
    given = (store.summaries.get(source) for source in record.inputs) if bad else ()
    return {
        "bad": bad,
        "made": bool(bad) and not any(one is not None and one.nans + one.infs for one in given),
    }


def _marks(store: GraphStore, before: tuple[int, int] | None, only: str) -> Iterator[dict[str, Any]]:
    since = 0
    if only == "all" and store.dropped:  # none without the ops that ran between them
        since = min(
            (op.start for n in store.latest[:50] if isinstance(op := store.nodes.get(n), ev.Op)), default=0
        )
    for _, time, event in reversed(store.marks):
        if time < since or (before and time >= before[1]):
            continue
        row = _mark(store, event)
        if row is not None:
            yield {
                "time": time,
                "shape": None,
                "ns": None,
                "nbytes": None,
                "node": None,
                "slot": None,
                "bad": 0,
                "made": False,
                **row,
            }


def _mark(store: GraphStore, event: ev.Event) -> dict[str, Any] | None:
    if isinstance(event, ev.ModuleEntered):
        text = f"into {store.text(event.path)} ({store.text(event.cls)})"
        return {"kind": "module", "text": text, **_place(store, event.frame)}
    if isinstance(event, ev.ModuleLeft):
        entered = store.calls.get(event.call)
        name = store.text(entered.path) if entered is not None else f"call {event.call}"
        text = f"out of {name}" + (" by an exception" if event.failed else "")
        return {"kind": "module", "text": text, **_place(store, entered.frame if entered is not None else 0)}
    if isinstance(event, ev.Branch | ev.LoopTurn):
        site = store.structure.sites.by_id.get(event.site)
        if site is None:
            return None
        if isinstance(event, ev.Branch):
            text = f"{site.label}: {'taken' if event.taken else 'not taken'}"
            return {"kind": "branch", "text": text, "file": site.file, "line": site.line}
        text = f"{site.label}: " + ("left" if event.index < 0 else f"turn {event.index}")
        return {"kind": "loop", "text": text, "file": site.file, "line": site.line}
    if isinstance(event, ev.Failed):
        text = f"{store.text(event.op)} raised {event.error}: {event.message.split(chr(10), 1)[0]}"
        return {"kind": "failed", "text": text, "node": event.node, **_place(store, event.frame)}
    if isinstance(event, ev.Iteration):
        return {"kind": "iteration", "text": f"iteration {event.index}", "file": None, "line": None}
    if isinstance(event, ev.Level):
        return {"kind": "level", "text": f"trace level {event.level}", "file": None, "line": None}
    if isinstance(event, ev.Uncaught):
        return {"kind": "failed", "text": f"{event.error}: {event.message}", **_place(store, event.frame)}
    if isinstance(event, ev.Gap):
        text = f"{event.lost:,} {event.what} are missing here"
        return {"kind": "gap", "text": text, "file": None, "line": None}
    return None


def _place(store: GraphStore, frame: int) -> dict[str, Any]:
    record = store.frames.get(frame)
    return {
        "file": record.file if record is not None else None,
        "line": record.line if record is not None else None,
        "place": where(store, frame),
    }
