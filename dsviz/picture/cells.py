"""What is drawn: the graph's groups and slots as nested cells, with the edges between them.

A layer that is one op is one cell, as on the page. A folded group is one cell too, with how many ops it hides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dsviz.events import Leaf
from dsviz.picture.marks import text_width
from dsviz.query.display import Display
from dsviz.query.filters import filtered
from dsviz.query.graph import slot_item
from dsviz.query.parts import Slot
from dsviz.query.rows import edges
from dsviz.terminal import bytes_text, cut, shape_text, time_text

if TYPE_CHECKING:
    from dsviz.store import GraphStore

READABLE = 400  # cells a picture has at most where nobody says how deep to go
LABEL, NOTE = 11.0, 9.5
HEIGHT, PLAIN = 36.0, 23.0
HIDDEN = ("parameter", "constant")


@dataclass(eq=False, slots=True)
class Cell:
    """A node, a folded group or (with `cells`) a box. Places are filled in by the layout."""

    kind: str  # "node", "leaf", "fold", or the group's: "module", "loop", "branch", "optimizer", "root"
    label: str
    note: str = ""
    family: str = "other"
    tip: str = ""
    status: str = "done"
    taken: bool | None = None
    backward: list[Cell] = field(
        default_factory=list
    )  # of a node: what stands level with it in the other lane
    slots: list[int] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    parent: Cell | None = None
    x: float = 0.0
    y: float = 0.0
    w: float = 0.0
    h: float = 0.0

    @property
    def box(self) -> bool:
        """Whether it holds others."""
        return self.kind not in ("node", "leaf", "fold")

    def within(self) -> Iterator[Cell]:
        """It and all inside it, in the order they run."""
        yield self
        for cell in self.cells:
            yield from cell.within()

    def above(self) -> list[Cell]:
        """The boxes around it, innermost first."""
        found, at = [], self.parent
        while at is not None:
            found.append(at)
            at = at.parent
        return found


@dataclass(slots=True)
class Graph:
    """What is drawn: the outermost box, the edges of the forward pass (`carried`: from turn to turn of a loop) and of the backward pass."""

    root: Cell
    forward: list[tuple[Cell, Cell, bool]]
    backward: list[tuple[Cell, Cell]]
    title: str
    below: str


def graph_of(store: GraphStore, **only: Any) -> Graph:
    """What is drawn of a store; `only` is what `query.filters.filtered` takes."""
    with store.lock:
        view = filtered(store, **only)
        below = ""
        if only.get("depth") is None:
            deepest = _depth(view["root"])
            depth = deepest
            while depth > 0 and _count(view["root"]) > READABLE:
                depth -= 1
                view = filtered(store, **{**only, "depth": depth})
            if depth < deepest:
                below = f"folded at depth {depth} to stay readable; depth={depth + 1} shows more"
        return _Maker(store, view, lane=only.get("phase") is None and only.get("op") is None).graph(below)


def _depth(group: dict[str, Any]) -> int:
    return max((1 + _depth(item) for item in group["items"] if "items" in item), default=0)


def _count(group: dict[str, Any]) -> int:
    return sum(1 + _count(item) if "items" in item else 1 for item in group["items"])


class _Maker:
    def __init__(self, store: GraphStore, view: dict[str, Any], lane: bool) -> None:
        self.store = store
        self.view = view
        self.lane = lane  # whether the backward pass has a lane of its own
        self.display = Display(store)
        self.by_slot: dict[int, Cell] = {}
        self.folds: dict[int, Cell] = {}

    def graph(self, below: str) -> Graph:
        root = Cell("root", "")
        self._fill(root, self.view["root"]["items"])
        phases = [f"{p['nodes']:,} {name}" for name, p in self.view["phases"].items() if p["nodes"]]
        name = self.store.script.replace("\\", "/").rpartition("/")[2] or "this program"
        title = f"{name}: {self.view['nodes']:,} nodes" + (f" ({', '.join(phases)})" if phases else "")
        asked = ", ".join(f"{key} {value}" for key, value in self.view["filter"].items())
        return Graph(root, self._forward(), self._backward(), title, below or asked)

    def _fill(self, box: Cell, items: list[dict[str, Any]]) -> None:
        for item in items:
            if item.get("role") in HIDDEN:
                continue
            made = self._group(item) if "items" in item else self._node(item)
            if made is not None:
                made.parent = box
                box.cells.append(made)

    def _group(self, group: dict[str, Any]) -> Cell | None:
        inner = [item for item in group["items"] if item.get("role") not in HIDDEN]
        if group["layer"] and len(inner) == 1 and inner[0].get("kind") == "node":
            made = self._node(inner[0])
            made.tip = f"{group['module']}: {group['note']}\n{made.tip}"
            return self._sized(made, f"{group['label']}  {group['note']}", made.note)
        note = group["note"] or ""
        if group["kind"] == "loop":
            note = f"×{group['turns'] or 1}" + (
                f", turn {group['turn']} shown" if (group["turns"] or 1) > 1 else ""
            )
        elif group["kind"] == "branch":
            note = {True: "taken", False: "not taken", None: ""}[group["taken"]]
        elif group["kind"] == "optimizer":
            group = {
                **group,
                "folded": group.get("folded") or sum(item.get("kind") != "leaf" for item in inner),
            }
            note = f"{group['folded']} updates"
        tip = "\n".join(
            part for part in (group["module"] or group["label"], group["note"], group["place"]) if part
        )
        if group.get("folded"):
            inside = "" if group["kind"] == "optimizer" else f"{group['folded']} ops inside"
            cell = Cell("fold", "", family=group["kind"], tip=tip, taken=group["taken"])
            self.folds[group["id"]] = cell
            second = ", ".join(part for part in (note, inside) if part)
            return self._sized(cell, cut(group["label"]), second)
        cell = Cell(group["kind"], cut(group["label"]), note, tip=tip, taken=group["taken"])
        self._fill(cell, inner)
        return cell if cell.cells else None

    def _node(self, item: dict[str, Any]) -> Cell:
        leaf = item["kind"] == "leaf"
        cell = Cell("leaf" if leaf else "node", "", family=item["family"], status=item["status"])
        cell.slots.append(item["slot"])
        self.by_slot[item["slot"]] = cell
        shape = "" if item["shape"] is None else shape_text(item["shape"], item["dtype"])
        parts = [cut(item["label"]), shape, bytes_text(item["nbytes"]) if item["nbytes"] else ""]
        parts += [
            time_text(item["ns"], 0) if item["ns"] else "",
            item["place"],
            str(item.get("message") or ""),
        ]
        cell.tip = "\n".join(part for part in parts if part)
        self._sized(cell, cut(item["label"]), "failed" if item["status"] == "failed" else shape)
        if self.lane:
            for partner in item["backward"]:
                twin = slot_item(self.store, self.display, self.store.structure.slots[partner - 1])
                back = self._node({**twin, "backward": []})
                back.parent = cell
                cell.backward.append(back)
        return cell

    def _sized(self, cell: Cell, label: str, note: str) -> Cell:
        cell.label, cell.note = label, note
        cell.w = max(64.0, 24 + max(text_width(label, LABEL, True), text_width(note, NOTE)))
        cell.h = HEIGHT if note else PLAIN
        return cell

    def _cell(self, slot: Slot | None) -> Cell | None:
        """What stands for a slot: its own cell, or that of a folded group around it."""
        if slot is None:
            return None
        found = self.by_slot.get(slot.id)
        if found is None:
            for group in slot.group.ancestors():
                if group.id in self.folds:
                    return self.folds[group.id]
        return found

    def _sources(self, slot: Slot) -> Iterator[tuple[Slot, bool]]:
        record = self.store.nodes.get(self.display.node(slot), slot.record)
        if not isinstance(record, Leaf):
            for source, carried, _shape, _size in edges(self.store, slot, record):
                yield self.store.structure.slots[source - 1], bool(carried)

    def _forward(self) -> list[tuple[Cell, Cell, bool]]:
        found: dict[tuple[int, int], tuple[Cell, Cell, bool]] = {}
        for slot in self.store.structure.slots:
            if slot.leaf or (slot.phase != 0 and self.lane) or isinstance(slot.record, Leaf):
                continue
            cell = self._cell(slot)
            if cell is None:
                continue
            for source, carried in self._sources(slot):
                start = self._cell(source)
                if start is not None and start is not cell and not self._in_lane(start):
                    key = (id(start), id(cell))
                    known = found.get(key)
                    if known is None or (known[2] and not carried):
                        found[key] = (start, cell, carried)
        return list(found.values())

    def _in_lane(self, cell: Cell) -> bool:
        return cell.parent is not None and not cell.parent.box

    def _backward(self) -> list[tuple[Cell, Cell]]:
        """Gradients from backward cell to backward cell; sums of gradients that are not drawn are passed through."""
        found: dict[tuple[int, int], tuple[Cell, Cell]] = {}
        if not self.lane:
            return []
        for number, cell in list(self.by_slot.items()):
            slot = self.store.structure.slots[number - 1]
            if not self._in_lane(cell):
                continue
            waiting, seen = [source for source, _ in self._sources(slot)], {slot.id}
            while waiting:
                source = waiting.pop()
                if source.id in seen or source.phase != 1:
                    continue
                seen.add(source.id)
                start = self.by_slot.get(source.id)
                if start is None:
                    waiting.extend(other for other, _ in self._sources(source))
                elif start is not cell:
                    found[id(start), id(cell)] = (start, cell)
        return list(found.values())


def failed(cell: Cell) -> bool:
    """Whether the op of a cell failed."""
    return cell.status == "failed"
