"""A trace as a program: the forward calls of its ops, with what goes into each, ready to be run again elsewhere.

Plain data that can be pickled: partition and export are made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from engine import backend
from engine.node import FORWARD, Node
from engine.op import OPS, Op
from engine.trace import Graph

# Ops that are no part of the public table, by name: a room that makes one for its own use puts it here.
HIDDEN: dict[str, Op] = {}


class Ref(NamedTuple):
    """The value of a node: `number`, and which of its results where it has several."""

    number: int
    pick: int | None = None


class Call(NamedTuple):
    """One op to run. An argument is a `Ref`, or the plain value itself."""

    number: int
    op: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Program(NamedTuple):
    """The calls in order, the arrays of the leaves by number, and the results nothing in the program uses."""

    calls: list[Call]
    given: dict[int, Any]
    results: list[Ref]


def program(graph: Graph) -> Program:
    """The forward part of `graph`, which has to be a trace of level 2 (the leaves' values belong to it).

    Raises `TypeError` for anything but a trace, and `ValueError` for one that is empty or of a lower level.
    """
    if not isinstance(graph, Graph):
        raise TypeError(
            f"a trace was expected (`with ds.trace(level=2) as trace:`), got {type(graph).__name__}"
        )
    nodes = [node for node in graph.nodes if node.phase == FORWARD]
    if not nodes:
        raise ValueError(
            "the trace holds no forward node: run the model inside `with ds.trace(level=2) as trace:`"
        )
    calls = [call_of(node) for node in nodes]
    made = {call.number for call in calls}
    used = {arg for call in calls for arg in call.args if isinstance(arg, Ref)}
    missing = {ref.number for ref in used} - made - set(graph.given)
    if missing:
        raise ValueError(
            f"the trace does not hold the values of {len(missing)} leaves (node {min(missing)} is one): "
            "trace with ds.trace(level=2)"
        )
    needed = {ref.number for ref in used}
    results: list[Ref] = []
    for node in nodes:
        if node.outputs:
            results += [Ref(node.id, i) for i in range(len(node.outputs)) if Ref(node.id, i) not in used]
        elif node.id not in needed:
            results.append(Ref(node.id))
    given = {number: graph.given[number] for number in needed & set(graph.given)}
    return Program(calls, given, results)


def call_of(node: Node) -> Call:
    """The call that a trace's record of a node stands for."""
    op = node.op
    assert op is not None
    scalars = node.scalars or {}
    args: list[Any] = []
    for i, parent in enumerate(node.inputs):
        if parent is not None:
            args.append(Ref(parent.id, node.picks[i] if i < len(node.picks) else None))
        else:
            args.append(scalars.get(op.arg_names[min(i, len(op.arg_names) - 1)]))
    return Call(node.id, op.name, tuple(args), dict(node.kwargs))


def run_calls(calls: Iterable[Call], values: Mapping[Ref, Any]) -> dict[Ref, Any]:
    """Run `calls` on raw arrays. `values` has what they need from outside; the result has what they made.

    Raises `KeyError` that names an op this process does not know (a custom op has to be imported there).
    """
    made: dict[Ref, Any] = {}
    for call in calls:
        op = OPS.get(call.op) or HIDDEN.get(call.op)
        if op is None:
            raise KeyError(
                f"there is no op {call.op!r} in this process; import the module that defines it there"
            )
        args = [
            (made[arg] if arg in made else values[arg]) if isinstance(arg, Ref) else arg for arg in call.args
        ]
        for index, array in _results(op, args, call.kwargs):
            made[Ref(call.number, index)] = array
    return made


def _results(op: Op, args: list[Any], kwargs: dict[str, Any]) -> list[tuple[int | None, Any]]:
    arrays = [a for a in args if backend.is_array(a)]
    xp = backend.namespace(arrays[0]) if arrays else np
    with np.errstate(all="ignore"):  # inf and nan are results, as where it ran first
        out = op.on(xp)(*args, **kwargs)
    if op.extras:
        out = out[0]
    if op.outputs == 1:
        return [(None, xp.asarray(out))]
    return list(enumerate(out))
