"""Parts of the graph's view model: one module, one op, one phase, or only down to some depth."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from dsviz.events import PHASES
from dsviz.query.display import Display
from dsviz.query.graph import graph, slot_item

if TYPE_CHECKING:
    from dsviz.store import GraphStore

View = dict[str, Any]


def filtered(
    store: GraphStore,
    *,
    module: str | None = None,
    op: str | None = None,
    phase: str | None = None,
    depth: int | None = None,
) -> View:
    """What `query.graph.graph` gives, with only what is asked for, and the groups around it.

    `module` is a path ("net.head", with all inside it); `op` a name, `relu'` for its backward; `phase` "forward",
    "backward" or "optimizer" ("backward" puts the backward nodes where their forward twins stand); `depth`
    folds the groups that are nested deeper: `folded` is the number of nodes in such a group. `filter` holds what was
    asked for, `matching` counts the nodes. Raises ValueError, or TypeError, with a sentence.
    """
    with store.lock:
        view = graph(store)
        asked = {"module": module, "op": op, "phase": phase, "depth": depth}
        for name, value in asked.items():
            if value is not None and name != "depth" and not isinstance(value, str):
                raise TypeError(f"{name} has to be a text, got {type(value).__name__}: {value!r:.60}")
        if phase is not None and phase not in PHASES:
            raise ValueError(
                f"phase has to be one of {', '.join(PHASES)}, got {phase!r}{_near(phase, PHASES)}"
            )
        if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int)):
            raise TypeError(f"depth has to be a whole number, got {type(depth).__name__}: {depth!r:.60}")
        if depth is not None and depth < 0:
            raise ValueError(f"depth counts nested groups from 0, got {depth}")
        root = view["root"]
        backward = phase == "backward" or (phase is None and op is not None and op.endswith("'"))
        everything = _with_backward(store, root)
        if module is not None:
            _known("module", module, {group["module"] for group in _groups(root)} - {""})
        if op is not None:
            _known("op", op, {item["label"] for item in _slots(everything) if item["kind"] == "node"})
        wanted = "backward" if backward else phase
        whole = everything if backward else root
        if op is not None or wanted is not None or module is not None:
            label = f"{op}'" if op is not None and backward and not op.endswith("'") else op
            whole = _pruned(whole, "", module, label, wanted) or {**root, "items": []}
        view["filter"] = {name: value for name, value in asked.items() if value is not None}
        view["matching"] = sum(item["count"] for item in _slots(whole) if item["kind"] == "node")
        view["root"] = whole if depth is None else _folded(whole, depth)
        return view


def _known(kind: str, name: str, known: Iterable[str]) -> None:
    names = sorted(known)
    if name in names:
        return
    hint = _near(name, names)
    if not hint:
        some = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        hint = f"; there are: {some}" if names else f"; it has no {kind}s at all"
    raise ValueError(f"there is no {kind} {name[:60]!r} in this graph{hint}")


def _near(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), 2, 0.5)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def _groups(group: View) -> Iterator[View]:
    yield group
    for item in group["items"]:
        if "items" in item:
            yield from _groups(item)


def _slots(group: View) -> Iterator[View]:
    for each in _groups(group):
        yield from (item for item in each["items"] if "items" not in item)


def _with_backward(store: GraphStore, root: View) -> View:
    """The tree with the backward nodes beside their forward twins."""
    display = Display(store)

    def beside(group: View) -> View:
        items: list[View] = []
        for item in group["items"]:
            if "items" in item:
                items.append(beside(item))
                continue
            items.append(item)
            for partner in item["backward"]:
                items.append(slot_item(store, display, store.structure.slots[partner - 1]))
        return {**group, "items": items}

    return beside(root)


def _pruned(group: View, inside: str, module: str | None, op: str | None, phase: str | None) -> View | None:
    """The group with only what matches in it; None where nothing does."""
    inside = group["module"] or inside
    here = module is None or inside == module or inside.startswith(module + ".")
    items = []
    for item in group["items"]:
        if "items" in item:
            inner = _pruned(item, inside, module, op, phase)
            if inner is not None:
                items.append(inner)
        elif here and item["kind"] == "node" and (op is None or item["label"] == op):
            if phase is None or PHASES[item["phase"]] == phase:
                items.append(item)
        elif here and item["kind"] == "leaf" and op is None and phase is None:
            items.append(item)
    return {**group, "items": items} if items else None


def _folded(group: View, depth: int) -> View:
    items = []
    for item in group["items"]:
        if "items" not in item:
            items.append(item)
        elif depth > 0:
            items.append(_folded(item, depth - 1))
        else:
            inside = sum(1 for slot in _slots(item) if slot["kind"] == "node")
            items.append({**item, "items": [], "folded": inside})
    return {**group, "items": items}
