"""Recording what runs in a block: `with ds.trace() as graph:`."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from engine import backend
from engine.bus import Handle, bus
from engine.config import checked, current, graph_config
from engine.iteration import iteration
from engine.module_call import ModuleCall
from engine.node import Node, blank


class Graph:
    """The nodes of a trace, in the order they ran: `nodes`, `leaves`, and the `modules` that were called.

    The records hold no arrays; at level 2, `statistics`, `values` and the leaves' arrays (`given`) are kept beside them, by node number. `records` has everything in order, as (kind, subject) with the kinds of the bus.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.leaves: list[Node] = []
        self.modules: list[ModuleCall] = []
        self.records: list[tuple[str, Any]] = []
        self.names: dict[str, int] = {}  # sizes that assert_shape named
        self.statistics: dict[int, dict[str, float]] = {}  # by node number, at level 2
        self.values: dict[int, Any] = {}  # arrays by node number, at level 2 and within the budget
        self.given: dict[int, Any] = {}  # the leaves' own arrays (no copies) by node number, at level 2

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        return f"<Graph of {len(self.nodes)} nodes>"


_latest: list[Graph] = []
_open: list[Graph] = []


def latest() -> Graph | None:
    """The graph of the trace that runs, or of the last one."""
    return _latest[-1] if _latest else None


def running() -> Graph | None:
    """The graph of the innermost trace that runs."""
    return _open[-1] if _open else None


def record(node: Node) -> Node:
    """What a graph keeps of a node: everything but arrays and what holds them."""
    kept = blank()
    for name in (
        "id", "op", "phase", "kwargs", "scalars", "shape", "dtype", "outputs", "nbytes", "saved_bytes", "code",
        "lasti", "call", "iteration", "start", "duration", "role", "name",
    ):  # fmt: skip
        setattr(kept, name, getattr(node, name))
    kept.order = node.order
    return kept


def statistics(array: Any) -> dict[str, float]:
    """`min`, `max`, `mean` and `std` of the finite elements (the magnitudes of complex ones), and how many are not `finite`.

    >>> import numpy as np
    >>> statistics(np.array([1.0, 3.0, np.inf]))
    {'min': 1.0, 'max': 3.0, 'mean': 2.0, 'std': 1.0, 'not_finite': 1.0}
    """
    xp = backend.namespace(array)
    finite = array[xp.isfinite(array)] if array.dtype.kind in "fc" else array.ravel()
    found = {"not_finite": float(array.size - finite.size)}
    if finite.size:
        wide = (xp.abs(finite) if finite.dtype.kind == "c" else finite).astype(xp.float64)
        found = {
            "min": float(wide.min()), "max": float(wide.max()), "mean": float(wide.mean()),
            "std": float(wide.std()), **found,
        }  # fmt: skip
    return found


class trace:  # noqa: N801 - written as a function, `with ds.trace():`
    """Record every op of the block, forward and backward, in a `Graph`.

    `level` is 0 (nothing), 1 (operations) or 2 (also the statistics of every result, and copies of the first
    `budget` bytes of results); without one, `trace_level` of `ds.graph_config` decides.
    Its `trace_sample` says of how many iterations one is recorded. Raises `ValueError` for another level.

    >>> import engine as ds
    >>> with ds.trace() as graph:
    ...     y = ds.ones(2) + 1
    >>> [node.op.name for node in graph.nodes]
    ['add']
    """

    def __new__(cls, level: Any = None, budget: int = 64 << 20) -> Any:
        """The context manager; of a matrix, the sum of its diagonal, which PyTorch gives the same name."""
        return level.trace() if hasattr(level, "node") else super().__new__(cls)

    def __init__(self, level: int | None = None, budget: int = 64 << 20) -> None:
        if level is not None:
            checked({"trace_level": level}, "trace")
        self.graph = Graph()
        self._level = level
        self._left = budget
        self._seen: dict[int, Node] = {}
        self._calls: set[int] = set()
        self._handle: Handle | None = None

    def __enter__(self) -> Graph:
        if self._level is not None:
            self._config = graph_config(trace_level=self._level)
            self._config.__enter__()
        self._handle = bus.subscribe(self._sink, "op_finish", "leaf", "module_enter", "module_exit")
        _open.append(self.graph)
        _latest[:] = [self.graph]
        return self.graph

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._handle is not None
        self._handle.close()
        _open.remove(self.graph)
        if self._level is not None:
            self._config.__exit__(kind, error, trace)

    def _sink(self, kind: str, subject: Any) -> None:
        every = current().trace_sample
        if every > 1 and iteration.index % every:
            return
        if kind in ("module_enter", "module_exit"):
            if kind == "module_enter":
                self._enter(subject)
            elif subject.id in self._calls:
                self.graph.records.append((kind, subject))
            return
        if kind == "op_finish":
            call = subject.call
            if call is not None and call.id not in self._calls and not subject.phase:
                self._enter(call)
            for i, parent in enumerate(subject.inputs):
                if parent is not None and parent.id not in self._seen:
                    self._earlier(parent, subject.arrays[i] if subject.arrays else None)
        kept = record(subject)
        self._seen[subject.id] = kept
        kept.inputs = tuple(None if i is None else self._seen.get(i.id) for i in subject.inputs)
        kept.picks = tuple(
            i.kwargs["index"] if i is not None and i.op is not None and i.op.name == "part" else None
            for i in subject.inputs
        )
        kept.twin = None if subject.twin is None else self._seen.get(subject.twin.id)
        self.graph.records.append((kind, kept))
        (self.graph.leaves if kind == "leaf" else self.graph.nodes).append(kept)
        if current().trace_level == 2:
            if kind == "leaf":
                self.graph.given[subject.id] = subject.out
            else:
                self._look(subject)

    def _enter(self, call: ModuleCall) -> None:
        """A module's call begins, or has begun before the block did; and so may those around it have."""
        if call.parent is not None and call.parent.id not in self._calls:
            self._enter(call.parent)
        self._calls.add(call.id)
        self.graph.records.append(("module_enter", call))
        self.graph.modules.append(call)

    def _earlier(self, node: Node, array: Any) -> None:
        """A value that was there before the block began is a leaf of this graph."""
        kept = self._seen[node.id] = record(node)
        kept.op, kept.role, kept.inputs = None, node.role or "input", ()
        self.graph.leaves.append(kept)
        self.graph.records.append(("leaf", kept))
        if array is not None and current().trace_level == 2:
            self.graph.given[node.id] = array

    def _look(self, node: Node) -> None:
        """Level 2: what there is to know of the result while it is there."""
        # A backward node has a result for each argument that takes a gradient; the first stands for it.
        parts = node.out if isinstance(node.out, tuple) else (node.out,)
        out = next((part for part in parts if part is not None), None)
        if out is None:
            return
        self.graph.statistics[node.id] = statistics(out)
        if out.nbytes <= self._left:
            self._left -= out.nbytes
            self.graph.values[node.id] = out.copy()
