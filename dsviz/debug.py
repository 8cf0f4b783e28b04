"""`ds.debug`: what a person asks of a graph from inside a program."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from engine.trace import Graph, latest

if TYPE_CHECKING:
    from dsviz.why import Answer

NOTHING = (
    "There is no graph to print: nothing was traced yet. Run the part that matters inside\n"
    "    with ds.trace():\n        ...\n    ds.debug.print_graph()"
)


def print_graph(
    graph: Graph | None = None,
    file: IO[str] | None = None,
    *,
    module: str | None = None,
    op: str | None = None,
    phase: str | None = None,
    depth: int | None = None,
    json: bool = False,
) -> None:
    """Print `graph` (by default that of the running or last `with ds.trace():`) as a tree to `file` (stdout).

    Modules are nested, turns of a loop are folded (`×64`), an `if` says whether it was taken where that is
    certain; each line has shape, bytes and time. Raises `TypeError` for anything that is no graph.

    Only a part: `module` ("net.head", with all inside it), `op` ("relu", "relu'" for its backward), `phase`
    ("forward", "backward", "optimizer"); `depth` folds what is nested deeper. Raises `ValueError` for what the
    graph does not have. `json` prints the same as JSON (`null` where nothing was traced).

    >>> import sys
    >>> import dsviz as ds
    >>> with ds.trace() as graph:
    ...     y = ds.relu(ds.ones(2, 3))
    >>> ds.debug.print_graph(graph)  # doctest: +ELLIPSIS, +NORMALIZE_WHITESPACE
    Graph of ...: 1 nodes (1 forward)
    └─ relu  2×3  24 B ...
    """
    graph = latest() if graph is None else graph
    if graph is None:
        print("null" if json else NOTHING, file=file)
        return
    if not isinstance(graph, Graph):
        raise TypeError(f"graph has to be what `with ds.trace() as graph:` gives, got {type(graph).__name__}")
    from dsviz import terminal
    from dsviz.inprocess import store_of

    terminal.print_graph(store_of(graph), file, json=json, module=module, op=op, phase=phase, depth=depth)


def why_shape(tensor: Any, dim: int) -> Answer:
    """Where the size of dimension `dim` of a tensor was chosen: the way back, each step with its line.

    >>> import dsviz as ds
    >>> print(ds.debug.why_shape(ds.ones(4, 6).reshape(3, 8), 1).decided.op)
    reshape
    """
    from dsviz.why import why_shape as ask

    return ask(tensor, dim)


def why_value(tensor: Any, graph: Graph | None = None) -> Answer:
    """Where the NaN or Inf of a tensor first appeared; `graph` is a trace of level 2 (by default the last trace)."""
    from dsviz.why import why_value as ask

    return ask(tensor, graph)


def why_no_grad(parameter: Any, loss: Any = None, graph: Graph | None = None) -> Answer:
    """Where the way from `loss` to a parameter stops carrying gradients."""
    from dsviz.why import why_no_grad as ask

    return ask(parameter, loss, graph)
