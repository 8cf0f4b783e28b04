"""The graph as DOT, for graphviz and documents: modules, loops and branches are clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsviz.query.display import Display
from dsviz.query.parts import Group, Slot
from dsviz.query.rows import edges, label

if TYPE_CHECKING:
    import graphviz

    from dsviz.events import Failed, Leaf, Op
    from dsviz.store import GraphStore

COLOURS = ("#3f5f8a", "#85399a", "#0a6e4c")  # forward, backward, optimizer


def dot(store: GraphStore) -> str:
    """The graph as it is shown now (the turn shown of each loop) in the DOT language."""
    import graphviz

    with store.lock:
        display = Display(store)
        drawing = graphviz.Digraph("dsviz", node_attr={"shape": "box", "style": "rounded", "fontname": "Helvetica", "fontsize": "11"})  # fmt: skip
        _group(store, display, store.structure.root, drawing)
        for slot in store.structure.slots:
            record = _record(store, display, slot)
            if slot.leaf:
                continue
            for source, carried, shape, _size in edges(store, slot, record):  # type: ignore[arg-type]
                drawing.edge(
                    f"s{source}",
                    f"s{slot.id}",
                    label="×".join(map(str, shape)) if shape else "",
                    color=COLOURS[slot.phase],
                    style="dashed" if carried else "solid",
                    constraint="false" if carried else "true",
                    fontsize="9",
                )
        return str(drawing.source)


def _group(store: GraphStore, display: Display, group: Group, drawing: graphviz.Digraph) -> None:
    from graphviz import escape

    for item in group.items:
        if isinstance(item, Slot):
            record = _record(store, display, item)
            name = (record.name or record.role) if item.leaf else label(store.text(item.op), item)  # type: ignore[union-attr]
            drawing.node(f"s{item.id}", label=escape(str(name)), color=COLOURS[item.phase])
            continue
        with drawing.subgraph(name=f"cluster_{item.id}") as inner:
            note = f" ×{display.turns(item)}" if item.kind == "loop" else f" {item.note}" if item.note else ""
            style = {"branch": "dashed", "loop": "bold"}.get(item.kind, "rounded")
            inner.attr(label=escape(f"{item.label}{note}"), style=style, color="#8ea3c0", fontsize="11")
            _group(store, display, item, inner)


def _record(store: GraphStore, display: Display, slot: Slot) -> Op | Failed | Leaf:
    return store.nodes.get(display.node(slot), slot.record)
