"""Why has this dimension this size: back through the ops to the line that chose it."""

from __future__ import annotations

from typing import Any

from dsviz.why.chain import Answer, Step, node_of, of
from engine.node import Node

REACH = 400  # nodes a dimension is followed


def why_shape(node: Any, dim: int) -> Answer:
    """Where the size of dimension `dim` of a tensor or node was chosen.

    The dimension is followed through every op that hands its size on (views, broadcasts, products, cat) to the op,
    the layer's constructor or the data that makes it. `decided` is that step.
    Raises `TypeError` for what is no tensor or node or for a `dim` that is no int, `IndexError` for one there is not.

    >>> import dsviz as ds
    >>> x = ds.zeros(2, 3).transpose(0, 1)
    >>> why_shape(x, 0).sentence  # doctest: +ELLIPSIS
    'dimension 0 is 3: ...
    """
    start = node_of(node, "node")
    if not isinstance(dim, int) or isinstance(dim, bool):
        raise TypeError(f"dim has to be a whole number, got {type(dim).__name__}")
    ndim = len(start.shape)
    if not -ndim <= dim < ndim:
        raise IndexError(f"dim has to be from {-ndim} to {ndim - 1} for shape {list(start.shape)}, got {dim}") if ndim else IndexError(f"a value without dimensions has no dimension {dim}")  # fmt: skip
    dim %= ndim
    question = f"why is dimension {dim} of {list(start.shape)} {start.shape[dim]}"
    steps: list[Step] = []
    decided: Step | None = None
    current, size = start, start.shape[dim]
    asked, first = dim, size
    for _ in range(REACH):
        found = sources(current, dim)
        same = next(((p, d) for p, d in found if p.shape[d] == size), None)
        if same is not None:
            add(steps, of(current, f"keeps {size} (dimension {dim})"))
            current, dim = same
            continue
        made = of(current, f"makes {size} (dimension {dim})", kind_of(current))
        steps.append(made)
        if decided is None:
            decided = made
        if not found:
            break
        current, dim = found[0]
        size = current.shape[dim]
    where = f"{decided.file}:{decided.line}" if decided is not None else "an unknown line"
    what = {"parameter": "a layer made at", "data": "data from", "reshape": "a reshape at"}.get(
        decided.kind if decided is not None else "", "the op at"
    )
    return Answer(question, f"dimension {asked} is {first}: {what} {where} chose it", steps, decided)


def add(steps: list[Step], step: Step) -> None:
    """Steps on one line that only keep a size count once."""
    if not steps or (steps[-1].file, steps[-1].line, steps[-1].kind) != (step.file, step.line, step.kind):
        steps.append(step)


def kind_of(node: Node) -> str:
    """What a node that makes a size is."""
    if node.op is None:
        return "parameter" if node.role == "parameter" else "data"
    return "reshape" if node.op.name == "reshape" else "op"


def sources(node: Node, dim: int) -> list[tuple[Node, int]]:
    """The dimensions of a node's arguments that dimension `dim` comes from."""
    op = node.op
    first = node.inputs[0] if node.inputs else None
    if op is None or op.name == "part":
        same = first is not None and first.shape is not None and len(first.shape) > dim
        return [(first, dim)] if same and first is not None else []
    if op.origin is None:
        return []
    shapes = [None if i is None else i.shape for i in node.inputs]
    found = []
    try:
        ways = op.origin(shapes, node.kwargs, node.shape, dim)
    except (KeyError, TypeError, AttributeError, IndexError):
        if type(node).__module__ == Node.__module__:
            raise
        return []  # a recording does not hold every attribute
    for argument, d in ways:
        parent = node.inputs[argument] if argument < len(node.inputs) else None
        if parent is not None and parent.shape is not None and -len(parent.shape) <= d < len(parent.shape):
            found.append((parent, d % len(parent.shape)))
    return found
