"""The whole graph as nested plain data: what `session.graph()` gives and the terminal prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsviz.events import Failed, Leaf, Op
from dsviz.query.display import Display
from dsviz.query.node import plain, where
from dsviz.query.parts import Group, Slot
from dsviz.query.rows import edges, family, group_row, label

if TYPE_CHECKING:
    from dsviz.store import GraphStore


def graph(store: GraphStore) -> dict[str, Any]:
    """Groups and slots as they are nested, in the order they run; the turn shown of each loop.

    Every group has `items` (groups and slots), `ops`, `ns` and `backward_ns` of the turn shown with all
    that is inside, and `total_ns` over all turns.
    """
    with store.lock:
        display = Display(store)
        return {
            "script": store.script,
            "nodes": store.count,
            "dropped": store.dropped,
            "iteration": store.iterations[-1].index if store.iterations else None,
            "peak": store.memory.peak,
            "phases": _phases(store),
            "root": _group(store, display, store.structure.root),
        }


def _phases(store: GraphStore) -> dict[str, dict[str, int]]:
    """Nodes and nanoseconds of each phase, over the whole run."""
    sums = {name: {"nodes": 0, "ns": 0} for name in ("forward", "backward", "optimizer")}
    for slot in store.structure.slots:
        if not slot.leaf:
            of_phase = sums[("forward", "backward", "optimizer")[slot.phase]]
            of_phase["nodes"] += slot.count
            of_phase["ns"] += slot.busy
    return sums


def _group(store: GraphStore, display: Display, group: Group) -> dict[str, Any]:
    items = []
    ops = ns = backward = total = 0
    for item in group.items:
        if isinstance(item, Group):
            inner = _group(store, display, item)
            ops += inner["ops"]
            ns += inner["ns"]
            backward += inner["backward_ns"]
            total += inner["total_ns"]
            items.append(inner)
        else:
            made = slot_item(store, display, item)
            if not item.leaf:
                ops += 1
                ns += made["ns"] or 0
                total += item.busy
            items.append(made)
    for slot in group.slots:
        if slot.phase == 1:
            total += slot.busy
            record = store.nodes.get(display.node(slot))
            backward += record.duration if isinstance(record, Op) else 0
    return {
        **group_row(display, group),
        "module": group.path,
        "place": f"{_name(store, group.file)}:{group.line}" if group.file else "",
        "ops": ops,
        "ns": ns,
        "backward_ns": backward,
        "total_ns": total,
        "items": items,
    }


def _name(store: GraphStore, file: int) -> str:
    return store.text(file).replace("\\", "/").rpartition("/")[2]


def slot_item(store: GraphStore, display: Display, slot: Slot) -> dict[str, Any]:
    """A slot with the node of the turn shown, and its backward partners."""
    node = display.node(slot)
    record = store.nodes.get(node, slot.record) if node else slot.record
    answer: dict[str, Any] = {
        "slot": slot.id,
        "kind": "leaf" if slot.leaf else "node",
        "node": node or None,
        "status": display.status(slot, node),
        "role": slot.leaf or None,
        "place": where(store, record.frame),
        "count": slot.count,
        "shape": None,
        "dtype": None,
        "nbytes": 0,
        "ns": 0,
        "saved": 0,
        "backward": [],
    }
    if isinstance(record, Leaf):
        return {
            **answer,
            "label": record.name or record.role,
            "family": "leaf",
            "phase": 0,
            "shape": list(record.shape),
            "dtype": store.text(record.dtype),
            "nbytes": record.nbytes,
            "attrs": {},
            "inputs": [],
        }
    op = store.text(record.op)
    answer.update(
        label=label(op, slot),
        op=op,
        family=family(op),
        phase=record.phase,
        attrs=plain(record.attrs),
        inputs=[edge[0] for edge in edges(store, slot, record)],
        backward=[partner.id for partner in slot.backward.values()],
    )
    if isinstance(record, Failed):
        shapes = [list(shape) for shape in record.shapes]
        return {**answer, "error": record.error, "message": record.message, "shapes": shapes}
    if answer["status"] != "pending":
        answer.update(
            shape=list(record.shape),
            dtype=store.text(record.dtype),
            nbytes=record.nbytes,
            ns=record.duration if node else 0,
            saved=record.saved,
        )
    return answer
