"""`ds.memory_report()`: what is alive, for what, and how often memory was used again.

Nothing is counted while nobody asks: the live bytes are found by looking at all tensors, nodes and optimizers there
are. As a context manager the report follows every buffer of its block instead, and knows the peak.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from engine import backend
from engine.backend import owner
from engine.bus import Handle, bus
from engine.memory import CATEGORIES, Change, memory
from engine.node import Node
from engine.optim.optimizer import Optimizer
from engine.pool import pool
from engine.tensor import Tensor

# A buffer that serves several ends counts for the first of these.
FIRST = ("parameters", "optimizer", "gradients", "saved", "activations", "inputs")


class MemoryReport:
    """`live` bytes by category and their `total`; "workspace" is what is parked for reuse.

    `peak` and `peak_by_category` are known of a block (`with ds.memory_report() as report:`), `None` otherwise;
    `events` counts what happened in it. `allocated` and `reused` count large buffers, those that are parked when
    they are free: how often the allocator was asked for one, and how often a parked one served.
    """

    def __init__(self) -> None:
        self.peak: int | None = None
        self.peak_by_category: dict[str, int] | None = None
        self.events: dict[str, int] = {}
        self._handle: Handle | None = None
        self._alive: dict[int, tuple[int, str]] = {}
        self._now: dict[str, int] = {}
        self._take()

    def _take(self) -> None:
        self.live = live_bytes()
        counts = pool.counts()
        self.allocated, self.reused = counts.allocated, counts.reused

    @property
    def total(self) -> int:
        """Bytes held."""
        return sum(self.live.values())

    def __enter__(self) -> MemoryReport:
        self._before = pool.counts()
        self._now = dict.fromkeys(CATEGORIES, 0)
        self.events = dict.fromkeys(("allocated", "reused", "released", "recategorised"), 0)
        # What is alive already is known, so that its release is no surprise.
        memory.flush()
        for array, category in found():
            buffer = memory.expect(array, category)
            self._alive[buffer.id] = (buffer.nbytes, category)
            self._now[category] += buffer.nbytes
        self.peak, self.peak_by_category = sum(self._now.values()), dict(self._now)
        self._handle = bus.subscribe(self._see, "buffer")
        return self

    def _see(self, kind: str, changes: list[Change]) -> None:
        for what, buffer, _ in changes:
            self.events[what] += 1
            known = self._alive.pop(buffer.id, None)
            if known is not None:
                self._now[known[1]] -= known[0]
            if what != "released":
                self._alive[buffer.id] = (buffer.nbytes, buffer.category)
                self._now[buffer.category] += buffer.nbytes
            total = sum(self._now.values())
            assert self.peak is not None
            if total > self.peak:
                self.peak, self.peak_by_category = total, dict(self._now)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        memory.flush()
        assert self._handle is not None
        self._handle.close()
        self._alive.clear()
        before = self._before
        self._take()
        self.allocated -= before.allocated
        self.reused -= before.reused

    def __repr__(self) -> str:
        lines = [f"{name:12} {bytes_text(self.live[name]):>12}" for name in CATEGORIES if self.live.get(name)]
        lines.append(f"{'total':12} {bytes_text(self.total):>12}")
        if self.peak is not None:
            lines.append(f"{'peak':12} {bytes_text(self.peak):>12}")
        lines.append(f"large buffers: {self.allocated} allocated, {self.reused} reused")
        return "\n".join(lines)


def memory_report() -> MemoryReport:
    """What is alive now, by category; as a context manager, what a block needed.

    >>> with memory_report() as report:
    ...     pass
    >>> report.events["allocated"]
    0
    """
    return MemoryReport()


def live_bytes() -> dict[str, int]:
    """Bytes alive by category."""
    live = dict.fromkeys(CATEGORIES, 0)
    for buffer, category in found():
        live[category] += int(buffer.nbytes)
    live["workspace"] = pool.counts().parked
    return live


def bytes_text(size: int) -> str:
    """`size` in the unit that fits.

    >>> bytes_text(1536)
    '1.5 KiB'
    """
    number, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if number < 1024:
            break
        number, unit = number / 1024, larger
    return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"


def found() -> Iterator[tuple[Any, str]]:
    """Every array that owns memory and that a tensor, a node or an optimizer holds, once, with its category."""
    held: dict[int, tuple[Any, str]] = {}
    rank = {category: i for i, category in enumerate(FIRST)}

    def hold(value: Any, category: str) -> None:
        if backend.is_array(value):
            memory_of = owner(value)
            known = held.get(id(memory_of))
            if known is None or rank[category] < rank[known[1]]:
                held[id(memory_of)] = (memory_of, category)

    for thing in gc.get_objects():
        kind = type(thing)
        if issubclass(kind, Node):
            # What is just being made has not all its parts yet.
            if getattr(thing, "grad", None) is not None:
                hold(thing.grad.array, "gradients")
            for value in getattr(thing, "saved", None) or ():
                hold(value, "saved")
        elif issubclass(kind, Tensor):
            node = getattr(thing, "node", None)
            if node is None or not hasattr(thing, "array"):
                continue
            leaf = getattr(node, "op", None) is None
            role = node.role if leaf else ""
            hold(
                thing.array,
                "parameters" if role == "parameter" else "gradients" if role == "gradient"
                else "inputs" if leaf else "activations",
            )  # fmt: skip
        elif issubclass(kind, Optimizer):
            for kept in thing.state.values():
                for value in kept.values():
                    hold(value, "optimizer")
    yield from held.values()
