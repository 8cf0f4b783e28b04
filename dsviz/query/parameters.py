"""The parameters of the program: their size, their gradients, and how far the latest step moved each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dsviz.events import OPTIMIZER, Leaf, Op
from dsviz.query.node import argument_names, plain

if TYPE_CHECKING:
    from dsviz.query.parts import Slot
    from dsviz.store import GraphStore

HISTORY = 120  # steps of a parameter that are told
MOST = 2_000  # parameters in one answer


def parameters(store: GraphStore, module: str | None = None) -> dict[str, Any]:
    """A row for each parameter (of `module` and below, where one is named), in the order they came to be.

    `gradient` is the norm of the latest gradient, `norm` that of the value after the latest step, `update` the share of it
    that the step changed (norm of the difference over norm of the value; from a sample of at most 4,096 elements); the
    last two are known from trace level 2 on, and None before. `updates` are those of the latest steps, oldest first.
    """
    steps = _steps(store)
    names = _names(store)
    rows: dict[str, dict[str, Any]] = {}
    for slot in store.structure.slots:
        leaf = slot.record
        if not isinstance(leaf, Leaf) or leaf.role != "parameter":
            continue
        if module is not None and not _below(slot.group.module, module):
            continue
        node = next(reversed(slot.bindings.values()), leaf.node)
        gradient = store.gradients.get(node)
        row = {
            "node": node,
            "slot": slot.id,
            "name": leaf.name or names.get(node) or leaf.role,
            "module": slot.group.module,
            "shape": list(leaf.shape),
            "dtype": store.text(leaf.dtype),
            "nbytes": leaf.nbytes,
            "gradient": plain(gradient.norm) if gradient is not None else None,
            "gradient_node": gradient.node if gradient is not None else None,
            **_stepped(store, steps.get(node)),
        }
        rows.setdefault(f"{slot.group.module}.{leaf.name}.{node}", row)
    return {"total": len(rows), "rows": list(rows.values())[:MOST]}


def _below(path: str, module: str) -> bool:
    return path == module or path.startswith(module + ".") or not module


def _names(store: GraphStore) -> dict[int, str]:
    """What the first op that takes a node calls it: the name of a parameter that has none of its own."""
    found: dict[int, str] = {}
    for slot in store.structure.slots:
        record = slot.record
        if slot.phase or not isinstance(record, Op):
            continue
        names = argument_names(store.text(record.op))
        for name, source in zip(names, record.inputs, strict=False):
            found.setdefault(source, name)
    return found


def _steps(store: GraphStore) -> dict[int, Slot]:
    """The optimizer's place for each parameter's node."""
    found: dict[int, Slot] = {}
    for slot in store.structure.slots:
        record = slot.record
        if slot.phase == OPTIMIZER and isinstance(record, Op) and record.inputs:
            found[record.inputs[0]] = slot
    return found


def _stepped(store: GraphStore, slot: Slot | None) -> dict[str, Any]:
    answer: dict[str, Any] = {"op": None, "lr": None, "norm": None, "update": None, "updates": []}
    if slot is None:
        return answer
    for node in list(slot.bindings.values())[-HISTORY:]:
        record = store.nodes.get(node)
        if not isinstance(record, Op) or node == store.pending:
            continue
        update = record.attrs.get("update")
        answer.update(op=store.text(record.op), lr=plain(record.attrs.get("lr")))
        if update is not None:
            answer["update"] = plain(update)
            answer["updates"].append(plain(update))
        summary = store.summaries.get(node)
        if summary is not None:
            size = max(summary.count - summary.nans - summary.infs, 0)
            answer["norm"] = plain(math.sqrt(max((summary.mean**2 + summary.std**2) * size, 0.0)))
    return answer
