"""Why has this parameter no gradient: frozen, not used, or cut off on the way to the loss."""

from __future__ import annotations

from typing import Any

from dsviz.why.chain import Answer, Step, node_of, of
from engine.node import Node
from engine.trace import Graph, latest


def why_no_grad(parameter: Any, loss: Any = None, graph: Graph | None = None) -> Answer:
    """Where the way from `loss` to a parameter stops carrying gradients; `decided` is that step.

    Without `loss` every result of `graph`, a trace (the last one where none is given), is looked through.
    Raises `TypeError` for what is no tensor or node.

    >>> import dsviz as ds
    >>> w = ds.ones(2, requires_grad=True)
    >>> loss = (w * 2).detach().sum()
    >>> why_no_grad(w, loss).decided.note
    'is taken out of the graph here: a copy without a gradient'
    """
    target = node_of(parameter, "parameter")
    question = f"why has {target.name or target.label} {list(target.shape)} no gradient"
    made = of(target, "made here", "parameter")
    if target.grad is not None:
        return Answer(question, "it has a gradient", [made])
    if not target.requires:
        return Answer(
            question, f"it is frozen: requires_grad is False (made at {made.file}:{made.line})", [made], made
        )
    if loss is not None:
        way = way_to(node_of(loss, "loss"), target)
        if way is None:
            return Answer(
                question, "the loss does not depend on it: nothing on the way to the loss uses it, or its value went through Python or NumPy numbers", [made], made
            )  # fmt: skip
        return cut_on(question, way, made)
    graph = graph if graph is not None else latest()
    if graph is None:
        return Answer(
            question,
            "give the loss: why_no_grad(parameter, loss), or run the computation in `with ds.trace():`",
        )
    number = target.id
    users = [
        n for n in graph.nodes if n.phase == 0 and any(i is not None and i.id == number for i in n.inputs)
    ]
    if not number or not users:
        return Answer(question, "no op of the trace uses it", [made], made)
    first = of(users[0], "uses it first")
    return Answer(
        question, f"it is used at {first.file}:{first.line}, but no backward pass reached it; give the loss to learn where the way is cut", [made, first], first
    )  # fmt: skip


def way_to(start: Node, target: Node) -> list[Node] | None:
    """Nodes from `start` back to `target`, both included."""
    stack: list[Node] = [start]
    came: dict[Node, Node | None] = {start: None}
    while stack:
        node = stack.pop()
        if node is target or (node.id and node.id == target.id):
            way: list[Node] = []
            step: Node | None = node
            while step is not None:
                way.insert(0, step)
                step = came[step]
            return way
        for parent in node.inputs:
            if parent is not None and parent not in came:
                came[parent] = node
                stack.append(parent)
    return None


def _carries(node: Node) -> bool:
    return node.requires or node.flowed


def cut_on(question: str, way: list[Node], made: Step) -> Answer:
    """The first node on the way up from the parameter that carries no gradient, though what it is given does."""
    cut = next((node for node in reversed(way) if not _carries(node)), None)
    steps = []
    for node in way[:-1]:
        note = "carries a gradient" if _carries(node) else "behind the cut"
        steps.append(of(node, reason(node) if node is cut else note, "cut" if node is cut else "op"))
    if cut is None:
        return Answer(
            question,
            "the whole way carries gradients: call backward() on the loss (zero_grad() afterwards removes them again)",
            [*steps, made],
        )
    decided = steps[way.index(cut)]
    sentence = f"the way is cut at {decided.file}:{decided.line}: {decided.note}"
    return Answer(question, sentence, [*steps, made], decided)


def reason(node: Node) -> str:
    """Why a node carries no gradient although what it is given does."""
    if node.op is None:
        return "is taken out of the graph here: a copy without a gradient"
    if node.op.vjp is None:
        return f"{node.op.name} has no derivative"
    if node.dtype.kind not in "fc":
        return f"a result of {node.dtype} takes no gradient"
    return "no gradient is recorded here: it runs under no_grad"
