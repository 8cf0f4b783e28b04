"""A partition beside the graph it splits: the part of each place, the edges cut, the overlap predicted and seen."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from dsviz.query.rows import label
from dsviz.terminal import bytes_text, total_text

if TYPE_CHECKING:
    from dsviz.store import GraphStore


def partitions(store: GraphStore, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the program says of its partitions (`debuggee.facts`), by the places of the graph.

    Each has `parts` (nodes, nanoseconds), `slots` {slot: part}, `cut` [[from slot, to slot], ...], `cut_bytes`, `predicted`, and
    `seen` (None before it ran): how many segments ran at once.
    """
    with store.lock:
        return [_partition(store, item) for item in found]


def _partition(store: GraphStore, item: dict[str, Any]) -> dict[str, Any]:
    place = store.structure.slot_of
    lane_of = dict(item["lane_of"])
    counts = Counter(lane_of.values())
    ends = {(place[a].id, place[b].id) for a, b in item["cut"] if a in place and b in place}
    return {
        "parts": [
            {"part": lane, "nodes": counts.get(lane, 0), "ns": seconds * 1e9}
            for lane, seconds in enumerate(item["seconds"])
        ],
        "slots": {place[node].id: lane for node, lane in lane_of.items() if node in place},
        "cut": [list(pair) for pair in sorted(ends)],
        "cut_edges": len(item["cut"]),
        "cut_bytes": item["cut_bytes"],
        "predicted": item["predicted"],
        "seen": None if item["last"] is None else item["last"]["overlap"],
        "ns": None if item["last"] is None else item["last"]["seconds"] * 1e9,
    }


def sentences(store: GraphStore, views: list[dict[str, Any]]) -> list[str]:
    """The partitions as lines for a person."""
    if not views:
        return ["the program holds no partition; ds.partition(trace, k) makes one"]
    lines = []
    for number, view in enumerate(views):
        seen = (
            "not run yet"
            if view["seen"] is None
            else f"{view['seen']:.2f} at once in the last run, {total_text(view['ns'])}"
        )
        lines.append(
            f"partition {number}: predicted {view['predicted']:.2f} times faster, {seen}; "
            f"{view['cut_edges']} edges cut, {bytes_text(view['cut_bytes'])}"
        )
        for part in view["parts"]:
            names = Counter(name(store, slot) for slot, lane in view["slots"].items() if lane == part["part"])
            what = ", ".join(
                f"{each} ×{count}" if count > 1 else each for each, count in names.most_common(6)
            )
            lines.append(
                f"  part {part['part']}: {part['nodes']} nodes, {total_text(part['ns'])}  {what}".rstrip()
            )
        for a, b in view["cut"][:12]:
            lines.append(f"  cut: {name(store, a)} to {name(store, b)}")
    return lines


def name(store: GraphStore, slot: int) -> str:
    """What a place of the graph is called, with the module it is in."""
    found = store.structure.slots[slot - 1]
    inside = found.group.module
    op = "input" if found.leaf else label(store.text(found.op), found)
    return f"{op} in {inside}" if inside else op
