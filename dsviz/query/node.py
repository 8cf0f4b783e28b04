"""Everything about one node: what the inspector shows."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from dsviz.events import PHASES, Failed, Leaf, Op
from dsviz.query.display import Display
from dsviz.query.parts import Slot
from dsviz.query.paths import base
from dsviz.query.rows import family, label
from dsviz.query.source import line_text

if TYPE_CHECKING:
    from dsviz.store import GraphStore

HISTORY = 200
USERS = 50


def describe(store: GraphStore, node: int, earlier: Leaf | Op | Failed | None = None) -> dict[str, Any]:
    """A node by its number. Where it is not known, `problem` says why in a sentence.

    `earlier` is what a recording has of a node that is older than what the store keeps.
    """
    record = store.nodes.get(node) or earlier
    slot = store.structure.slot_at(node)
    if record is None:
        known = 0 < node <= store.structure.latest
        reason = (
            f"Node {node} is no longer kept: the debugger keeps the last {store.window:,} nodes."
            if known
            else f"Node {node} has not run."
        )
        return {"node": node, "problem": reason}
    answer: dict[str, Any] = {
        "node": node,
        "slot": slot.id if slot is not None else None,
        "module": slot.group.module if slot is not None else "",
        "status": Display(store).status(slot, node) if slot is not None else "done",
        "turns": _turns(store, node, slot),
        **place(store, record.frame),
        "statistics": statistics(store, node),
        "users": _users(store, node),
    }
    if isinstance(record, Leaf):
        gradient = store.gradients.get(node)
        return {
            **answer,
            "op": None,
            "label": record.name or record.role,
            "family": "leaf",
            "role": record.role,
            "name": record.name,
            "shape": list(record.shape),
            "dtype": store.text(record.dtype),
            "nbytes": record.nbytes,
            "inputs": [],
            "attrs": {},
            "gradient": {"node": gradient.node, "norm": gradient.norm} if gradient is not None else None,
        }
    op = store.text(record.op)
    answer.update(
        op=op,
        label=label(op, slot) if slot is not None else op,
        family=family(op),
        role=None,
        phase=PHASES[record.phase]
        if 0 <= record.phase < len(PHASES)
        else "",  # another program may say anything
        iteration=record.iteration,
        attrs=plain(record.attrs),
        inputs=inputs(store, record),
        twin=None,
        backward=_link(store, store.backward_of.get(node, 0)),
    )
    if isinstance(record, Failed):
        return {**answer, "error": record.error, "message": record.message, "shape": None, "dtype": None}
    pending = node == store.pending
    return {
        **answer,
        "shape": None if pending else list(record.shape),
        "dtype": None if pending else store.text(record.dtype),
        "outputs": [[list(shape), store.text(dtype)] for shape, dtype in record.outputs],
        "nbytes": record.nbytes,
        "saved": record.saved,
        "ns": record.duration,
        "start": record.start,
        "twin": _link(store, record.twin),
        "history": history(store, slot) if slot is not None else [],
    }


def place(store: GraphStore, frame: int) -> dict[str, Any]:
    """File, line and text of a stack frame; None and "" where it is not known."""
    record = store.structure.frames.get(frame)
    if record is None:
        return {"file": None, "line": None, "path": "", "source": "", "function": ""}
    path = store.text(record.file)
    return {
        "file": record.file,
        "line": record.line,
        "path": path,
        "source": line_text(store, path, record.line),
        "function": store.text(record.function),
    }


def where(store: GraphStore, frame: int) -> str:
    """`model.py:27`, or "" where it is not known."""
    record = store.structure.frames.get(frame)
    return f"{base(store.text(record.file))}:{record.line}" if record is not None else ""


@lru_cache(maxsize=1024)
def argument_names(op: str) -> tuple[str, ...]:
    """The names of an op's tensor arguments; empty for an op that is not built in."""
    try:
        from engine.op import OPS
    except ImportError:
        return ()
    known = OPS.get(op)
    return tuple(known.arg_names) if known is not None else ()


def inputs(store: GraphStore, record: Op | Failed) -> list[dict[str, Any]]:
    """What a node took: name, shape, dtype, and the node and line each came from."""
    names = ("grad", "out") if record.phase == 1 else argument_names(store.text(record.op))
    found = []
    for index, source in enumerate(record.inputs):
        name = names[index] if index < len(names) else names[-1] if names and record.phase == 0 else ""
        item: dict[str, Any] = {
            "name": name,
            "node": source or None,
            "slot": None,
            "shape": None,
            "dtype": None,
        }
        made = store.nodes.get(source)
        slot = store.structure.slot_of.get(source)
        if isinstance(made, Op | Leaf):
            item.update(
                shape=list(made.shape),
                dtype=store.text(made.dtype),
                nbytes=made.nbytes,
                **place(store, made.frame),
            )
        if slot is not None:
            item["slot"] = slot.id
            item["label"] = _label(store, slot)
        if isinstance(record, Failed) and index < len(record.shapes):
            item["shape"] = list(record.shapes[index])
            item["clash"] = [dim for argument, dim in record.clash if argument == index]
        if not source:
            # The gradient of a loss by itself is made by no node: backward starts with it.
            item["text"] = "backward starts here" if record.phase == 1 and index == 0 else "not a tensor"
        found.append(item)
    return found


def _label(store: GraphStore, slot: Slot) -> str:
    if isinstance(slot.record, Leaf):
        return slot.record.name or slot.record.role
    return label(store.text(slot.op), slot)


def _link(store: GraphStore, node: int) -> dict[str, Any] | None:
    slot = store.structure.slot_of.get(node)
    if not node:
        return None
    return {
        "node": node,
        "slot": slot.id if slot is not None else None,
        "label": _label(store, slot) if slot is not None else "",
    }


def _users(store: GraphStore, node: int) -> list[dict[str, Any]]:
    """The newest nodes that took this one."""
    found: list[dict[str, Any]] = []
    order = store.structure.order
    for number in reversed(order):
        if number <= node:
            break
        record = store.nodes.get(number)
        if isinstance(record, Op | Failed) and node in record.inputs:
            link = _link(store, number)
            if link is not None:
                found.append(link)
            if len(found) >= USERS:
                break
    return found[::-1]


def _turns(store: GraphStore, node: int, slot: Slot | None) -> list[dict[str, Any]]:
    path = store.structure.path_of.get(node, ())
    loops = slot.group.loops if slot is not None else ()
    return [
        {"group": loop.id, "label": loop.label, "turn": turn} for loop, turn in zip(loops, path, strict=False)
    ]


def statistics(store: GraphStore, node: int) -> dict[str, Any] | None:
    """Minimum, maximum, mean, histogram and so on of a node's output, where they were taken."""
    summary = store.summaries.get(node)
    if summary is None:
        return None
    return {name: plain(getattr(summary, name)) for name in summary.__struct_fields__ if name != "node"}


def history(store: GraphStore, slot: Slot) -> list[dict[str, Any]]:
    """The nodes that stood at this slot, newest last: iteration, turn path, time, shape, mean."""
    found = []
    for path, node in list(slot.bindings.items())[-HISTORY:]:
        record = store.nodes.get(node)
        if isinstance(record, Op) and node != store.pending:
            summary = store.summaries.get(node)
            found.append(
                {
                    "node": node,
                    "iteration": record.iteration,
                    "turn": list(path),
                    "ns": record.duration,
                    "shape": list(record.shape),
                    "nbytes": record.nbytes,
                    "mean": plain(summary.mean) if summary is not None else None,
                    "std": plain(summary.std) if summary is not None else None,
                    "minimum": plain(summary.minimum) if summary is not None else None,
                    "maximum": plain(summary.maximum) if summary is not None else None,
                    "bad": summary.nans + summary.infs if summary is not None else None,
                }
            )
    return found


def plain(value: Any) -> Any:
    """A value as JSON can hold it; numbers that are not finite become text."""
    if isinstance(value, float) and value - value != 0:
        return str(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(msgspec.to_builtins(value, str_keys=True)) if isinstance(value, msgspec.Struct) else str(value)
