"""The peak of the live bytes, explained to the last byte; and the same run with the memory optimisation and without.

`explain(store)` is what the page's memory panel and `dsviz memory` show of one run, `compare(with_it, without)` of two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsviz.events import CATEGORIES, PHASES, Op
from dsviz.query.memory import MemoryLog, owner, timeline

if TYPE_CHECKING:
    from dsviz.store import GraphStore

Alive = dict[int, tuple[int, int, int]]


def explain(store: GraphStore) -> dict[str, Any]:
    """What was alive when the live bytes were highest, who made each byte and what kept it alive.

    `bytes` is the peak; `categories` sums it up by category. `rows` says it again by owner, largest first, and their
    `bytes` add up to the peak: `category`, `op` (None for a leaf, then `name`), `module`, `file` (a number of the store),
    `path`, `line`, `phase`, `buffers` (how many), `nodes` (up to ten), `kept` (a sentence) and `until`: after which
    node it was released, `{node, op, phase, iteration, path, line}`, None where it was not. `at` is the
    node whose result made the peak. `complete` is False where the run was too long for all its changes to be kept;
    then `rows` and `categories` are empty. No memory at all: `bytes` is 0.
    """
    log = store.memory
    answer: dict[str, Any] = {
        "bytes": log.peak,
        "time": log.peak_time,
        "at": None,
        "complete": True,
        "categories": {},
        "rows": [],
        "allocations": log.allocations,
        "reused": log.reused,
    }
    if not log.peak:
        return answer
    index = log.index_of_peak
    ran = Ran(store, store.recent())
    answer["at"] = ran.place(log.peak_node) or ran.after(log.step[index] + 1 if index is not None else 0)
    if index is None:
        return {**answer, "complete": False}
    live = log.alive(index)
    sums = dict.fromkeys(CATEGORIES, 0)
    for nbytes, category, _ in live.values():
        sums[CATEGORIES[category]] += nbytes
    return {**answer, "categories": sums, "rows": _rows(store, ran, live, *_later(log, index))}


def compare(with_it: GraphStore, without: GraphStore) -> dict[str, Any]:
    """One program with the memory optimisation and without: for each the peak explained and the timeline
    (`with`, `without`: `{"peak": explain(...), "timeline": timeline(...)}`), and what it saved (`less`, in bytes, by category too).
    """
    sides = {
        name: {"peak": explain(store), "timeline": timeline(store)}
        for name, store in (("with", with_it), ("without", without))
    }
    first, second = sides["with"]["peak"], sides["without"]["peak"]
    less = {name: second["categories"].get(name, 0) - first["categories"].get(name, 0) for name in CATEGORIES}
    return {**sides, "less": second["bytes"] - first["bytes"], "less_by_category": less}


class Ran:
    """The nodes of a store in the order they ran, as far as they are kept."""

    def __init__(self, store: GraphStore, ops: list[Op]) -> None:
        self._store = store
        self._ops = ops
        self._dropped = store.count - len(ops)

    def place(self, node: int) -> dict[str, Any] | None:
        """A node that ran, and its line."""
        record = self._store.nodes.get(node)
        return self._place(record) if isinstance(record, Op) else None

    def after(self, step: int) -> dict[str, Any] | None:
        """The node that was the `step`-th to run."""
        index = step - 1 - self._dropped
        return self._place(self._ops[index]) if 0 <= index < len(self._ops) else None

    def _place(self, op: Op) -> dict[str, Any]:
        store = self._store
        frame = store.structure.frames.get(op.frame)
        return {
            "node": op.node,
            "op": store.text(op.op) + "'" * (op.phase == 1),
            "phase": PHASES[op.phase],
            "iteration": op.iteration,
            "path": store.text(frame.file) if frame is not None else "",
            "line": frame.line if frame is not None else 0,
        }


def _later(log: MemoryLog, index: int) -> tuple[dict[int, int], set[int]]:
    """Of the buffers after change `index`: how many nodes had run when each was released, and which were saved on the way."""
    steps: dict[int, int] = {}
    saved: set[int] = set()
    for i in range(index + 1, len(log.time)):
        buffer = log.buffer[i]
        if log.delta[i] < 0:
            steps[buffer] = log.step[i]
        else:
            steps.pop(buffer, None)  # it only serves something else now
            if CATEGORIES[log.category[i]] == "saved":
                saved.add(buffer)
    return steps, saved


def _rows(
    store: GraphStore, ran: Ran, live: Alive, released: dict[int, int], saved: set[int]
) -> list[dict[str, Any]]:
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for buffer, (nbytes, category, node) in live.items():
        made = owner(store, node)
        until = ran.after(released[buffer]) if buffer in released else None
        # The result of a node is there before it is known that a gradient needs it.
        kept = _kept("saved" if buffer in saved else CATEGORIES[category], made, until, buffer in released)
        key = (category, made["op"], made["name"], made["module"], made["file"], made["line"], kept)
        row = rows.get(key)
        if row is None:
            path = store.text(made["file"]) if made["file"] else ""
            row = rows[key] = {
                "bytes": 0,
                "buffers": 0,
                "category": CATEGORIES[category],
                **{name: made.get(name) for name in ("op", "name", "module", "phase", "file", "line")},
                "path": path,
                "nodes": [],
                "kept": kept,
                "until": until,
            }
        row["bytes"] += nbytes
        row["buffers"] += 1
        if node and len(row["nodes"]) < 10 and node not in row["nodes"]:
            row["nodes"].append(node)
    return sorted(rows.values(), key=lambda row: (-row["bytes"], row["category"], row["line"] or 0))


def _kept(category: str, made: dict[str, Any], until: dict[str, Any] | None, released: bool) -> str:
    """What kept a buffer alive, in words."""
    last = "" if until is None else f"until {until['op']}"
    if until is not None and until["line"]:
        last += f" of line {until['line']}"
    if category == "parameters":
        return f"parameter {made['name']}" if made["name"] not in (None, "parameter") else "a parameter"
    if category == "optimizer":
        return "the optimizer's state"
    if category == "saved":
        return f"saved for a gradient, {last}" if last else "saved for a gradient"
    if not released:
        return "held to the end" if category != "workspace" else "parked for use again"
    if category == "gradients":
        return f"a gradient, {last}" if last else "a gradient"
    return f"in use {last}" if last else "in use"
