"""What a slot's value says of the run: whether it is finite, where it stopped being so, and its norm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dsviz.events import Op
from dsviz.query.display import Display
from dsviz.query.node import plain

if TYPE_CHECKING:
    from dsviz.store import GraphStore


def marks(store: GraphStore) -> dict[str, Any]:
    """`[slot, bad, made, norm]` of every slot whose value of the turn shown was looked at (trace level 2).

    `bad` counts elements that are not finite; `made`: all that went in was finite, so they began here.
    `norm` is Euclidean, of the finite elements.
    """
    display = Display(store)
    rows = []
    for slot in store.structure.slots:
        node = display.node(slot)
        summary = store.summaries.get(node)
        if summary is None:
            continue
        bad = summary.nans + summary.infs
        record = store.nodes.get(node)
        made = bool(bad) and isinstance(record, Op) and not any(map(_bad(store), record.inputs))
        square = (summary.mean**2 + summary.std**2) * max(summary.count - bad, 0)
        rows.append([slot.id, bad, made, plain(math.sqrt(square)) if square >= 0 else "nan"])
    return {"slots": rows}


def _bad(store: GraphStore) -> Any:
    def bad(node: int) -> bool:
        summary = store.summaries.get(node)
        return summary is not None and bool(summary.nans + summary.infs)

    return bad
