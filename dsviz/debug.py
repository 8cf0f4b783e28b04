"""`ds.debug`: what a person asks of a graph from inside a program."""

from __future__ import annotations

import os
from collections.abc import Callable
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


def save_graph(
    path: str | os.PathLike[str],
    graph: Graph | None = None,
    *,
    module: str | None = None,
    op: str | None = None,
    phase: str | None = None,
    depth: int | None = None,
) -> None:
    """Draw `graph` (by default that of the running or last `with ds.trace():`) to a file.

    The ending says what is written: ".svg", ".png" (needs Pillow, the extra `pictures`), ".html" (one file that zooms
    and finds) or ".dot" for Graphviz, which is not needed. Forward runs down at the left, each backward node stands
    level with its forward node at the right. The rest picks a part, as in `print_graph`; a large graph is
    folded until it can be read, and says so. Raises `ValueError` for an ending or a part there is not, and where
    nothing was traced; `TypeError` for anything that is no graph.
    """
    from dsviz.inprocess import store_of
    from dsviz.picture import ending, write_graph

    ending(path)
    graph = latest() if graph is None else graph
    if graph is None:
        raise ValueError(NOTHING.replace("to print", "to draw").replace("print_graph()", "save_graph(path)"))
    if not isinstance(graph, Graph):
        raise TypeError(f"graph has to be what `with ds.trace() as graph:` gives, got {type(graph).__name__}")
    write_graph(store_of(graph), path, module=module, op=op, phase=phase, depth=depth)


def save_memory(path: str | os.PathLike[str], step: Callable[[], object], rounds: int = 3) -> dict[str, Any]:
    """Draw what the memory optimisation does: `step()` runs `rounds` times with it and as often without.

    Live bytes by category over time, one figure above the other on the same scales, to a ".svg", ".png" or ".html"
    file. Gives the numbers: `{"with": {"peak", "asked", "reused"}, "without": ...}`: the peak of live bytes, and how often
    the allocator was asked for a large buffer and a parked one served instead. The first call of `step` should
    come before, so that both see the same parameters and optimizer state.
    Raises `ValueError` for another ending or fewer rounds than one, `TypeError` for a `step` that cannot be called.
    """
    from dsviz.picture import ending, write_marks
    from dsviz.picture.effect import course_of, effect, facts
    from engine.config import graph_config

    ending(path, (".svg", ".png", ".html"))
    if not callable(step):
        raise TypeError(f"step has to be a function of no arguments, got {type(step).__name__}: {step!r:.60}")
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise ValueError(f"rounds has to be a whole number from 1 on, got {rounds!r:.60}")
    with graph_config(memory_optimization=True):
        with_it = course_of(step, rounds)
    with graph_config(memory_optimization=False):
        without = course_of(step, rounds)
    write_marks(effect(with_it, without, "What the memory optimisation does"), path)
    return facts(with_it, without)


def why_shape(tensor: Any, dim: int) -> Answer:
    """Where the size of dimension `dim` of a tensor was chosen: the way back, each step with its line.

    >>> import dsviz as ds
    >>> print(ds.debug.why_shape(ds.ones(4, 6).reshape(3, 8), 1).decided.op)
    reshape
    """
    from dsviz.why import why_shape as ask

    return ask(tensor, dim)


def why_value(tensor: Any, graph: Graph | None = None, *, largest: bool = False) -> Answer:
    """Where the NaN or Inf of a tensor first appeared; `graph` is a trace of level 2 (by default the last trace).

    With `largest`: where its largest magnitude comes from.
    """
    from dsviz.why import why_value as ask

    return ask(tensor, graph, largest=largest)


def why_no_grad(parameter: Any, loss: Any = None, graph: Graph | None = None) -> Answer:
    """Where the way from `loss` to a parameter stops carrying gradients."""
    from dsviz.why import why_no_grad as ask

    return ask(parameter, loss, graph)
