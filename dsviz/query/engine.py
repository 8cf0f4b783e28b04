"""What the engine does by itself, one view at a time, for a page: its configuration, types, reuse, partitions, compilation, drift.

Some of it only the paused program can tell (`debuggee.facts`); the rest is in the graph, and is told of a recording too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dsviz.query import drift, partitions, precision
from dsviz.query.node import plain

if TYPE_CHECKING:
    from dsviz.store import GraphStore

VIEWS = ("configuration", "precision", "reuse", "partitions", "jit", "drift")
_OF_THE_PROGRAM = {
    "configuration": "config",
    "precision": "amp",
    "reuse": "reuse",
    "partitions": "partitions",
    "jit": "jit",
}


def engine(store: GraphStore, view: str, facts: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """One of `VIEWS`. `facts()` asks the program; where it raises LookupError that sentence becomes `unknown`.

    `told` is what the program says, None where it is not there to be asked; `seen` is what the graph shows.
    """
    told, unknown = None, ""
    if view in _OF_THE_PROGRAM:
        try:
            told = facts()[_OF_THE_PROGRAM[view]]
        except LookupError as why:
            unknown = str(why)
    if told is not None and view == "partitions":
        told = _named(store, partitions.partitions(store, told))
    seen = None
    if view == "precision":
        seen = precision.precision(store)
    elif view == "drift":
        seen = drift.drift(store)
    return {"view": view, "told": told, "unknown": unknown, "seen": plain(seen)}


def _named(store: GraphStore, views: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Partitions with what is in each part, most of it first, and the names of the ends of what is cut."""
    for view in views:
        names = {slot: partitions.name(store, slot) for slot in view["slots"]}
        for part in view["parts"]:
            inside: dict[str, int] = {}
            for slot, lane in view["slots"].items():
                if lane == part["part"]:
                    inside[names[slot]] = inside.get(names[slot], 0) + 1
            part["holds"] = sorted(inside.items(), key=lambda pair: -pair[1])[:8]
        view["slots"] = sorted(view["slots"].items())
        view["cut"] = [[a, b, partitions.name(store, a), partitions.name(store, b)] for a, b in view["cut"]]
    return views
