"""Slots and groups as the rows that page and terminal draw."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dsviz.events import Failed, Leaf, Op
from dsviz.query.display import Display
from dsviz.query.parts import Group, Slot
from dsviz.query.quiet import quiet

if TYPE_CHECKING:
    from dsviz.store import GraphStore

Row = list[Any]


@lru_cache(maxsize=1024)
def family(op: str) -> str:
    """The kind of an op, which decides its colour: linear, elementwise, ... or other."""
    try:
        from engine.op import OPS
    except ImportError:
        return "other"
    known = OPS.get(op)
    return str(known.family) if known is not None else "other"


@lru_cache(maxsize=1)
def _one_word_ops() -> frozenset[str]:
    try:
        from engine.op import OPS
    except ImportError:
        return frozenset()
    return frozenset(name.replace("_", "") for name in OPS)


@lru_cache(maxsize=1024)
def is_layer(cls: str) -> bool:
    """Whether a module class is named after one op, as Linear and Conv2d are: it is drawn as one node.

    >>> is_layer("Linear"), is_layer("BatchNorm2d"), is_layer("CrossEntropyLoss"), is_layer("Reviews")
    (True, True, True, False)
    """
    name = cls.lower()
    short = name[:-2] if name[-2:] in ("1d", "2d", "3d") else name.removesuffix("loss")
    return name in _one_word_ops() or short in _one_word_ops()


NOTED = ("p", "dim", "axis", "value")  # attributes that say most, in the order they are looked for


def note(record: Op) -> str | None:
    """The one attribute worth a few characters on the node: `p 0.2`, `dim 1`; None where there is none."""
    for name in NOTED:
        value = record.attrs.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return f"{name} {value:.3g}"
    return None


def label(op: str, slot: Slot) -> str:
    """A slot's name: backward nodes carry a prime, `mul'`."""
    primes = 0
    twin = slot.twin
    while twin is not None and primes < 4:
        primes += 1
        twin = twin.twin
    if slot.phase == 1 and not primes:
        primes = 1
    return op + "'" * primes


def slot_row(store: GraphStore, display: Display, slot: Slot) -> Row:
    """`[slot, group, node, op, label, family, phase, status, inputs, shape, dtype, file, line, twinslot,
    iteration, ns, nbytes, saved, role, name, module, turn, note, others]`.

    `node` is None where nothing ran in the turn shown; shape, bytes and edges are then those of the
    newest node, so that a place keeps its look. `others` are edges of other turns that this one has not.
    """
    node = display.node(slot)
    record = store.nodes.get(node, slot.record) if node else slot.record
    status = display.status(slot, node)
    path = display.path(slot.group)
    turn = path[-1] if path and slot.leaf != "parameter" else None
    frame = store.structure.frames.get(record.frame)
    file, line = (frame.file, frame.line) if frame is not None else (None, None)
    twin = slot.twin.id if slot.twin is not None else None
    module = slot.group.module
    if isinstance(record, Leaf):
        name = record.name or record.role
        return [
            slot.id, slot.group.id, node or None, None, name, "leaf", 0, status, [], list(record.shape),
            store.text(record.dtype), file, line, None, None, 0, record.nbytes, 0, slot.leaf, record.name,
            module, turn, None, [],
        ]  # fmt: skip
    op = store.text(record.op)
    inputs = edges(store, slot, record)
    if isinstance(record, Failed):
        return [
            slot.id, slot.group.id, node or None, op, label(op, slot), family(op), record.phase, status,
            inputs, None, None, file, line, twin, record.iteration, 0, 0, 0, None, None, module, turn, None, [],
        ]  # fmt: skip
    known = status != "pending" and bool(node or slot.id not in store.untold)
    return [
        slot.id, slot.group.id, node or None, op, label(op, slot), family(op), record.phase, status, inputs,
        list(record.shape) if known else None, store.text(record.dtype) if known else None, file, line, twin,
        record.iteration, record.duration, record.nbytes, record.saved, None, None, module, turn, note(record),
        other_edges(store, slot, inputs),
    ]  # fmt: skip


def other_edges(store: GraphStore, slot: Slot, shown: list[list[Any]]) -> list[list[Any]]:
    """Edges of the first and the latest turn that are not among those `shown`.

    A loop's first turn takes what was made before it, its last one gives (and, backwards, takes) what is outside.
    """
    bound = slot.bindings
    if slot.count < 2 or not bound:
        return []
    known = {edge[0] for edge in shown}
    found = []
    for node in {next(iter(bound.values())), next(reversed(bound.values()))}:
        record = store.nodes.get(node)
        if not isinstance(record, Op):
            continue
        for edge in edges(store, slot, record):
            if edge[0] not in known:
                known.add(edge[0])
                found.append(edge)
    for source in slot.sources:
        if source.id not in known and isinstance(source.record, Op | Leaf):
            known.add(source.id)
            found.append([source.id, 0, list(source.record.shape), source.record.nbytes])
    return found


def edges(store: GraphStore, slot: Slot, record: Op | Failed) -> list[list[Any]]:
    """`[slot, carried, shape, bytes]` of each tensor a node took; carried: from another turn of its loop."""
    structure = store.structure
    here = structure.path_of.get(record.node)
    found = []
    for index, source in enumerate(record.inputs):
        origin = structure.slot_at(source)
        if origin is None:
            continue
        made = store.nodes.get(source)
        shape: list[int] | None
        if isinstance(made, Op | Leaf):
            shape, size = list(made.shape), made.nbytes
        else:
            shape, size = None, 0
        if isinstance(record, Failed) and index < len(record.shapes):
            shape = list(record.shapes[index])
        found.append(
            [origin.id, int(_carried(structure.path_of.get(source), origin, here, slot)), shape, size]
        )
    return found


def _carried(there: tuple[int, ...] | None, origin: Slot, here: tuple[int, ...] | None, slot: Slot) -> bool:
    if not there or not here:
        return False
    for loop, other, turn, now in zip(origin.group.loops, slot.group.loops, there, here, strict=False):
        if loop is not other:
            return False
        if turn != now:
            return True
    return False


def _one_op(group: Group) -> bool:
    """Whether a group is a layer: named like an op, and with no code of a person's in it, who may have an `Rnn` of his own.

    Decided when it is first shown: what folds stays folded.
    """
    if group.layer is None:
        own = any(group.signatures) or bool(group.children)
        group.layer = group.kind == "module" and not own and is_layer(group.note or "")
    return group.layer


def _is_quiet(store: GraphStore, group: Group) -> bool:
    """Whether a group is an arm of a branch that prints or raises, and so has no room in the graph until an op runs there."""
    if group.quiet is None:
        group.quiet = False
        site = store.structure.sites.by_id.get(group.site) if group.kind == "branch" else None
        text = store.read(store.text(group.file)) if site is not None else None
        if site is not None and text is not None:
            first, last = site.body if group.arm else site.orelse
            group.quiet = quiet("\n".join(text.splitlines()[first - 1 : last]))
    return group.quiet


def group_row(display: Display, group: Group) -> dict[str, Any]:
    """A group as the page draws it."""
    loop = group.kind == "loop"
    return {
        "id": group.id,
        "parent": group.parent.id if group.parent is not None else None,
        "kind": group.kind,
        "label": group.label,
        "note": group.note,
        "layer": _one_op(group),
        "file": group.file or None,
        "line": group.line or None,
        "endline": group.endline or None,
        "turns": display.turns(group) if loop else None,
        "turn": max(display.turn(group), 0) if loop else None,
        "arm": None if group.arm is None else ("if" if group.arm else "else"),
        "taken": display.taken(group),
        "quiet": _is_quiet(display.store, group),
        "lane": 2 if group.kind == "optimizer" else 0,
    }
