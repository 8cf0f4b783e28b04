"""The modules and Python frames around a node, innermost first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsviz.events import Leaf
from dsviz.query.node import place

if TYPE_CHECKING:
    from dsviz.store import GraphStore


def stack(store: GraphStore, node: int = 0) -> dict[str, Any]:
    """`modules` and `frames` of a node; 0 means the node about to run, else the latest."""
    node = node or store.pending or store.structure.latest
    record = store.nodes.get(node)
    if record is None:
        return {"node": node or None, "modules": [], "frames": []}
    call = 0 if isinstance(record, Leaf) else record.call
    modules: list[dict[str, Any]] = []
    while call and (entered := store.calls.get(call)) is not None and len(modules) < 1000:
        modules.append(
            {
                **place(store, entered.frame),
                "path": store.text(entered.path),  # of the module: the file has its number
                "cls": store.text(entered.cls),
                "call": call,
            }
        )
        call = entered.parent
    frames: list[dict[str, Any]] = []
    frame = record.frame
    while frame and (known := store.frames.get(frame)) is not None and len(frames) < 1000:
        frames.append({"frame": frame, **place(store, frame)})
        frame = known.parent
    return {"node": node, "modules": modules, "frames": frames}
