"""Why is this NaN or Inf: back through the values that are known to the op that made the first of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsviz.why.chain import Answer, Step, node_of, of
from engine import backend
from engine.node import Node
from engine.trace import Graph, latest

# Ops that hand on the values they are given.
COPIES = frozenset(
    ["reshape", "permute", "transpose", "expand", "getitem", "cast", "clone", "part", "cat", "stack"]
)


class Known:
    """What is known of values: of the tensor asked about, of what ops saved, and of a trace of level 2."""

    def __init__(self, graph: Graph | None, start: Node, array: Any) -> None:
        self._graph = graph
        self._arrays: dict[Node, Any] = {} if array is None else {start: array}

    def saved_by(self, node: Node) -> None:
        """Learn of a node's arguments and result from what it saved or still holds."""
        held = node.saved or ()
        for i, parent in enumerate(node.inputs):
            for source in (held, node.arrays or ()):
                if parent is not None and i < len(source) and backend.is_array(source[i]):
                    self._arrays.setdefault(parent, source[i])
        n = len(node.inputs)
        if node.op is not None and node.op.saves_out and len(held) > n and backend.is_array(held[n]):
            self._arrays.setdefault(node, held[n])

    def largest(self, node: Node) -> float | None:
        """The largest magnitude among the elements; None where the value is not known."""
        array = self._arrays.get(node)
        if array is None and self._graph is not None and node.id:
            counted = self._graph.statistics.get(node.id)
            if counted is not None and "min" in counted and "max" in counted:
                return max(abs(float(counted["min"])), abs(float(counted["max"])))
            array = self._graph.given.get(node.id)
        if array is None or array.dtype.kind not in "fciu" or not array.size:
            return None
        return float(np.abs(backend.move(array, "cpu")).max())

    def bad(self, node: Node) -> bool | None:
        """Whether the value has NaN or Inf; None where it is not known."""
        array = self._arrays.get(node)
        if array is None and self._graph is not None and node.id:
            counted = self._graph.statistics.get(node.id)
            if counted is not None:
                return counted["not_finite"] > 0
            array = self._graph.given.get(node.id)
        if array is None:
            return None
        return bool(array.dtype.kind in "fc" and not np.isfinite(backend.move(array, "cpu")).all())


def why_value(value: Any, graph: Graph | None = None, *, largest: bool = False) -> Answer:
    """Where the NaN or Inf in a tensor (or node) first appeared; `decided` is the op that made it of finite values.

    With `largest`, or where every element is finite: where the largest magnitude comes from; `decided` is the op that
    made it grow most, or the leaf that held it from the start.

    Values are known from what ops saved for the gradient, and from `graph`, a trace of level 2 (the last one where
    none is given). Ops that only hand values on are passed over.
    Raises `TypeError` for what is no tensor or node.

    >>> import dsviz as ds
    >>> x = ds.tensor([-1.0], requires_grad=True)
    >>> with ds.trace(level=2):
    ...     y = ds.sqrt(ds.sqrt(x))
    >>> why_value(y).decided.note
    'makes NaN or Inf of finite values'
    """
    start = node_of(value, "value")
    known = Known(graph if graph is not None else latest(), start, getattr(value, "array", None))
    question = f"why is {start.label} {list(start.shape)} not finite"
    if largest:
        return _largest(start, known)
    if known.bad(start) is False:
        answer = _largest(start, known)
        more = f"; the largest: {answer.sentence}" if answer.decided is not None else ""
        return Answer(
            question, f"every element of {start.label} is finite: there is nothing to explain{more}"
        )
    way = _back(start, known)
    if way is None:
        return Answer(
            question,
            "no value on the way here is known any more; record with `with ds.trace(level=2):` around the computation, and ask again",
        )
    steps: list[Step] = []
    for node in way[:-1]:
        if node.op is None or node.op.name not in COPIES:
            steps.append(of(node, "is given it"))
    origin = way[-1]
    if origin.op is None:
        note = "holds NaN or Inf from the start"
    elif all(p is None or known.bad(p) is False for p in origin.inputs):
        note = "makes NaN or Inf of finite values"
    else:
        note = "gives NaN or Inf; what it was given is not known any more"
    decided = of(origin, note)
    steps.append(decided)
    return Answer(question, f"{origin.label} at {decided.file}:{decided.line} {note}", steps, decided)


GROWS = 4.0  # times its arguments' largest that a result has to be for its op to be named


def _largest(start: Node, known: Known) -> Answer:
    """Back from argument to argument, each time to the one with the largest magnitude."""
    question = f"where does the largest value of {start.label} {list(start.shape)} come from"
    known.saved_by(start)
    size = known.largest(start)
    if size is None:
        return Answer(
            question,
            "its value is not known any more; record with `with ds.trace(level=2):` around the computation, and ask again",
        )
    steps: list[Step] = []
    grown: tuple[float, Step] | None = None
    node, seen, first = start, {start}, size
    while True:
        known.saved_by(node)
        parents = [
            (m, p)
            for p in node.inputs
            if p is not None and p not in seen and (m := known.largest(p)) is not None
        ]
        step = of(node, f"up to {size:.3g}")
        if node.op is None or node.op.name not in COPIES:
            steps.append(step)
        if not parents:
            break
        most, parent = max(parents, key=lambda found: found[0])
        factor = size / most if most else float("inf")
        if grown is None or factor > grown[0]:
            grown = factor, step
        node, size = parent, most
        seen.add(node)
    if grown is not None and grown[0] >= GROWS:
        decided = grown[1]
        how = f"grows most at {decided.op}, {decided.file}:{decided.line}: {grown[0]:.3g} times"
    else:
        decided = steps[-1] if steps else of(node, f"up to {size:.3g}")
        how = f"is there from {decided.op} at {decided.file}:{decided.line} on"
    return Answer(question, f"{first:.3g} {how}", steps, decided)


def _back(start: Node, known: Known) -> list[Node] | None:
    """The way from a value to the first that is not finite, None where nothing on it is known to be so."""
    way, seen = [start], {start}
    last = 0 if known.bad(start) else -1  # the deepest place on the way that is known to be bad
    while True:
        node = way[-1]
        known.saved_by(node)
        parents = [p for p in node.inputs if p is not None and p not in seen]
        for parent in parents:
            known.saved_by(parent)
        states = [(p, known.bad(p)) for p in parents]
        chosen = next((p for p, bad in states if bad), None)
        if chosen is not None:
            last = len(way)
        else:
            # What is not known may hide one that is: look behind it.
            chosen = next((p for p, bad in states if bad is None and _hides(p, known, set(seen))), None)
        if chosen is None:
            break
        seen.add(chosen)
        way.append(chosen)
    return way[: last + 1] if last >= 0 else None


def _hides(node: Node, known: Known, seen: set[Node]) -> bool:
    stack = [node]
    while stack and len(seen) < 100_000:
        one = stack.pop()
        if one in seen:
            continue
        seen.add(one)
        known.saved_by(one)
        for parent in one.inputs:
            if parent is not None:
                known.saved_by(parent)
                bad = known.bad(parent)
                if bad:
                    return True
                if bad is None:
                    stack.append(parent)
    return False
