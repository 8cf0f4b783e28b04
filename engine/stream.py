"""Learning from a stream without end: `with ds.stream_graph():` around each batch.

    for batch in data_stream():
        with ds.stream_graph():
            loss = model(batch)
            loss.backward()
            optimizer.step()
        model.update_rules()

Each block is one iteration. What an earlier block computed is a plain value in this one: a hidden state carried from
batch to batch is cut off at the block's edge (truncated backpropagation), so that the graph, and the memory it holds,
never grows. The last `window` nodes stay to be looked at.
"""

from __future__ import annotations

import threading
from types import TracebackType

from engine.bus import bus
from engine.grad_mode import state
from engine.iteration import iteration
from engine.located import located
from engine.node import order
from engine.trace import Graph, trace


class Window(Graph):
    """A graph that keeps its last `size` nodes and what belongs to them."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.dropped = 0  # nodes that are no longer kept

    def trim(self) -> None:
        """Let go of what is older than the window."""
        extra = len(self.nodes) - self.size
        if extra <= 0:
            return
        self.dropped += extra
        del self.nodes[:extra]
        first = self.nodes[0].id if self.nodes else 0
        self.leaves = [node for node in self.leaves if node.id >= first]
        calls = {node.call.id for node in self.nodes if node.call is not None}
        self.modules = [call for call in self.modules if call.id in calls]
        self.records = [
            (kind, subject)
            for kind, subject in self.records
            if (subject.id in calls if kind.startswith("module") else subject.id >= first)
        ]
        for table in (self.statistics, self.values):
            for number in [n for n in table if n < first]:
                del table[number]

    def __repr__(self) -> str:
        return f"<Window of {len(self.nodes)} nodes, {self.dropped} before them>"


class _Streams(threading.local):
    """One thread's window, so that it lasts from block to block."""

    def __init__(self) -> None:
        self.window: Window | None = None


_streams = _Streams()


class stream_graph:  # noqa: N801 - written as a function, `with ds.stream_graph():`
    """One batch of an endless stream: a trace of bounded size, and a graph that ends with the block.

    `window` is how many nodes stay to be looked at after they ran (0: none, and nothing is traced). Gives the graph.
    Raises `ValueError` for a window that is no whole number of 0 or more, and `RuntimeError` for a block inside another.

    >>> import engine as ds
    >>> weight, state = ds.Parameter(ds.ones(1)), ds.zeros(1)
    >>> for batch in range(3):
    ...     with ds.stream_graph() as graph:
    ...         state = state * weight + 1
    ...         state.sum().backward()
    >>> weight.grad.tolist()  # 0 + 1 + 2: each batch takes the state before it as given
    [3.0]
    """

    def __init__(self, window: int = 1000) -> None:
        if isinstance(window, bool) or not isinstance(window, int) or window < 0:
            raise located(ValueError(f"window takes a whole number of nodes, 0 or more, got {window!r}"))
        self._size = window
        self._trace: trace | None = None

    def __enter__(self) -> Window:
        if state.stream is not None:
            raise located(
                RuntimeError("a stream_graph block is running in this thread already; one batch is one block")
            )
        kept = _streams.window
        if kept is None or kept.size != self._size:
            kept = _streams.window = Window(self._size)
        kept.names.clear()
        if self._size:
            self._trace = trace()
            self._trace.graph = kept
            self._trace.__enter__()
        bus.hold(1)
        iteration.step()
        state.stream = next(order)
        return kept

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        state.stream = None
        bus.hold(-1)
        iteration.step()
        if self._trace is not None:
            self._trace.__exit__(kind, error, traceback)
            self._trace.graph.trim()  # type: ignore[attr-defined]
            self._trace = None
