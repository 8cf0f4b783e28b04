"""Questions to a paused program, about a node by its number."""

from __future__ import annotations

import gc
from typing import Any

from dsviz.why.gradient import why_no_grad
from dsviz.why.shape import why_shape
from dsviz.why.value import why_value
from engine.node import Node
from engine.tensor import Tensor


def ask(question: str, number: int, dim: int) -> dict[str, Any]:
    """The answer as JSON. Raises `LookupError` with a sentence for a node or dimension there is not."""
    node = find(number)
    if node.shape is None:
        raise LookupError(
            f"Node {number} ({node.label}) has not run yet: step over it first, or ask about what it is given."
        )
    if question == "shape":
        return why_shape(node, dim).as_json()
    if question in ("value", "largest"):
        held = next(
            (o for o in gc.get_objects() if type(o) is Tensor and getattr(o, "node", None) is node), node
        )
        return why_value(held, largest=question == "largest").as_json()
    return why_no_grad(node).as_json()


def find(number: int) -> Node:
    """The node of a number, while anything in the program still holds it."""
    # One that is just being made has no number yet, or no op.
    pieces: list[Node] = [
        o for o in gc.get_objects() if issubclass(type(o), Node) and getattr(o, "id", 0) == number
    ]
    for node in pieces:
        op = getattr(node, "op", None)
        if op is None or op.name != "part":
            return node
    if pieces:
        return pieces[0]
    raise LookupError(f"Node {number} is not held any more: nothing in the program needs it.")
