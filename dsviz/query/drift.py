"""How values move over the iterations: what a stream that changes looks like, layer by layer.

The kept iterations are halved; a place has drifted by how far the mean of its results moved from the first half to the
second, in units of their usual spread. Needs statistics (trace level 2); changes of structure are known without.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dsviz.events import Op
from dsviz.query.iterations import iterations
from dsviz.query.node import where
from dsviz.query.rows import label

if TYPE_CHECKING:
    from dsviz.store import GraphStore

MOST = 30


def drift(store: GraphStore, last: int = 200) -> dict[str, Any]:
    """Over the last `last` iterations: `loss` of both halves, `places` that moved most first, and `changes` of structure.

    A place has `mean` and `std` (first half, second half), `moved` (the shift of the mean over the spread), and `shapes` where
    they changed. A change has the iteration it came with, and how many places came and went.
    """
    with store.lock:
        rows = [row for row in iterations(store, last)["rows"] if not row["running"] or row["nodes"]]
        turns = {row["index"] for row in rows}
        if len(turns) < 2:
            return {"iterations": len(turns), "loss": None, "places": [], "changes": [], "statistics": False}
        middle = sorted(turns)[len(turns) // 2]
        seen: dict[
            int, tuple[list[tuple[float, float]], list[tuple[float, float]], dict[tuple[int, ...], None]]
        ] = {}
        looked = False
        for node, record in store.nodes.items():
            if not isinstance(record, Op) or record.iteration not in turns or record.phase != 0:
                continue
            slot = store.structure.slot_of.get(node)
            if slot is None:
                continue
            early, late, shapes = seen.setdefault(slot.id, ([], [], {}))
            shapes[tuple(record.shape)] = None
            summary = store.summaries.get(node)
            if summary is not None and isinstance(summary.mean, float) and math.isfinite(summary.mean):
                looked = True
                (early if record.iteration < middle else late).append((summary.mean, summary.std))
        places = [_place(store, slot, *sides) for slot, sides in seen.items()]
        moved = [place for place in places if place["moved"] is not None or len(place["shapes"]) > 1]
        moved.sort(key=lambda place: (-(place["moved"] or 0.0), place["slot"]))
        losses = [
            [
                row["loss"]
                for row in rows
                if isinstance(row["loss"], float) and (row["index"] < middle) is first
            ]
            for first in (True, False)
        ]
        return {
            "iterations": len(turns),
            "first": min(turns),
            "middle": middle,
            "last": max(turns),
            "loss": [sum(side) / len(side) for side in losses] if all(losses) else None,
            "places": moved[:MOST],
            "changes": [
                {"iteration": row["index"], "added": row["added"], "removed": row["removed"]}
                for row in rows
                if row["same"] is False and (row["added"] or row["removed"])
            ],
            "statistics": looked,
        }


def _place(
    store: GraphStore, id: int, early: list[tuple[float, float]], late: list[tuple[float, float]], shapes: dict[tuple[int, ...], None]
) -> dict[str, Any]:  # fmt: skip
    slot = store.structure.slots[id - 1]
    mean = std = moved = None
    if early and late:
        mean, std = ([sum(pair[k] for pair in side) / len(side) for side in (early, late)] for k in (0, 1))
        # The spread within a result, and of the means from iteration to iteration (all there is of a scalar).
        means = [(value - mean[k]) ** 2 for k, side in enumerate((early, late)) for value, _ in side]
        spread = math.sqrt((sum(std) / 2) ** 2 + sum(means) / len(means))
        moved = abs(mean[1] - mean[0]) / spread if spread else None
    return {
        "slot": id,
        "label": label(store.text(slot.op), slot),
        "module": slot.group.module,
        "place": where(store, slot.frame),
        "mean": mean,
        "std": std,
        "moved": moved,
        "shapes": [list(shape) for shape in shapes],
    }


def sentences(view: dict[str, Any]) -> list[str]:
    """The view as lines for a person."""
    if view["iterations"] < 2:
        return ["drift is seen over iterations; there are not two yet"]
    lines = [f"iterations {view['first']} to {view['last']}, halved at {view['middle']}"]
    if view["loss"] is not None:
        lines.append("mean loss {:.4g}, then {:.4g}".format(*view["loss"]))
    for change in view["changes"][-12:]:
        lines.append(f"iteration {change['iteration']}: +{change['added']} -{change['removed']} places")
    for place in view["places"][:12]:
        where = f" in {place['module']}" if place["module"] else ""
        shapes = " to ".join("×".join(map(str, shape)) or "scalar" for shape in place["shapes"][-3:])
        said = f"  {place['label']}{where}  {place['place']}:"
        if place["moved"] is not None:
            said += " mean {:.3g} to {:.3g},".format(*place["mean"]) + " std {:.3g} to {:.3g},".format(
                *place["std"]
            )
            said += f" moved {place['moved']:.2f} spreads"
        if len(place["shapes"]) > 1:
            said += f"  shapes {shapes}"
        lines.append(said)
    if not view["statistics"]:
        lines.append("how values move is known at trace level 2 only")
    return lines
