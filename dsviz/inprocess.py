"""A trace that was made inside this process (`with ds.trace():`), as the store the debugger's views read.

Nothing is done while the program runs but keeping the engine's records; the rest waits until somebody looks.
"""

from __future__ import annotations

import sys
from typing import Any

from dsviz import events
from dsviz.debuggee.attributes import simple_attrs
from dsviz.debuggee.frames import Places, Walker
from dsviz.debuggee.tracer import classify
from dsviz.store import GraphStore
from engine.module_call import ModuleCall
from engine.node import BACKWARD, Node
from engine.trace import Graph


class _Feeder:
    """Hands definitions to a store."""

    def __init__(self, store: GraphStore) -> None:
        self._store = store

    def definition(self, event: Any) -> None:
        """Take one record."""
        self._store.feed(event)


def store_of(graph: Graph) -> GraphStore:
    """The records of `graph` as a `GraphStore`: groups, slots and all that the queries answer."""
    store = GraphStore(window=max(1, len(graph.records)))
    store.begin(script=sys.argv[0], python=sys.version.split()[0])
    walker = Walker(Places(classify), _Feeder(store))
    frames: dict[int, int] = {}  # call -> frame where it was called
    began = min((subject.start for kind, subject in graph.records if kind == "op_finish"), default=0)
    now = 0
    iteration = None
    for kind, subject in graph.records:
        if kind == "module_enter":
            store.feed(_entered(subject, walker, frames, now))
        elif kind == "module_exit":
            store.feed(events.ModuleLeft(subject.id, now, subject.failed))
        elif kind == "leaf":
            store.feed(_leaf(subject, walker))
        else:
            if subject.iteration != iteration:
                iteration = subject.iteration
                store.feed(events.Iteration(iteration, now))
            now = subject.start - began
            store.feed(_op(subject, walker, frames, now))
            now += subject.duration
    return store


def _place(node: Node, walker: Walker, frames: dict[int, int]) -> int:
    at = node.twin or node
    return _frame(at, at.call, walker, frames)


def _frame(at: Node | ModuleCall, call: ModuleCall | None, walker: Walker, frames: dict[int, int]) -> int:
    """The frame of something in `call`. What the engine's own modules do stands where they were called."""
    around = 0 if call is None else frames.get(call.id, 0)
    if at.code is None or (call is not None and at.code is call.code and at.lasti == call.lasti):
        return around
    return walker.at(around, at.code, at.lasti)


def _entered(call: ModuleCall, walker: Walker, frames: dict[int, int], now: int) -> events.ModuleEntered:
    parent = 0 if call.parent is None else call.parent.id
    frames[call.id] = _frame(call, call.parent, walker, frames)
    return events.ModuleEntered(
        call.id, parent, walker.text(call.path), walker.text(call.cls), frames[call.id], now
    )


def _leaf(node: Node, walker: Walker) -> events.Leaf:
    frame = 0 if node.code is None else walker.at(0, node.code, node.lasti)
    return events.Leaf(
        node.id, node.role, node.name, tuple(node.shape), walker.text(str(node.dtype)), node.nbytes, frame
    )


def _op(node: Node, walker: Walker, frames: dict[int, int], start: int) -> events.Op:
    assert node.op is not None
    outputs: Any = ()
    if node.outputs and len(node.outputs) > 1:
        outputs = tuple(((), 0) if o is None else (tuple(o[0]), walker.text(str(o[1]))) for o in node.outputs)
    return events.Op(
        node.id, walker.text(node.op.name), node.phase, tuple(0 if i is None else i.id for i in node.inputs),
        tuple(node.shape), walker.text(str(node.dtype)), 0 if node.call is None else node.call.id,
        _place(node, walker, frames), 0 if node.twin is None else node.twin.id, node.iteration, start,
        node.duration, node.nbytes, 0 if node.phase == BACKWARD else node.saved_bytes, simple_attrs(node.attrs),
        outputs,
    )  # fmt: skip
