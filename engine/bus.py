"""The one way anything learns what the engine does: sinks subscribed to kinds of events.

A sink is called as `sink(kind, subject)`, synchronously, in the thread that ran the op. A sink that
blocks is a breakpoint; there is no second mechanism. A sink must not keep a `Node`: a node may own the
arrays its gradient needs, and keeping it would keep them.

| kind | subject |
| --- | --- |
| `op_start` | the `Node`, before it computes; `inputs` and `arrays` are there |
| `op_finish` | the `Node`, after; `out` is there until the sinks return, and `arrays` as far as its gradient was not computed in their place |
| `op_error` | `Failure`, before the exception reaches the person; a sink may set its `replacement` |
| `module_enter`, `module_exit` | `ModuleCall`; at the exit its `out` is there until the sinks return |
| `leaf` | a `Node` nothing recorded made, when first used; its `role` says what it is; `out` is there |
| `buffer` | a list of changes, in their order: `(what, Buffer, time)`; see `engine.memory` |
| `fate` | the same, without what an op's own node says of it at `op_finish`: its `fates` |
| `gradient` | `(leaf Node, array)`, when a leaf's gradient is complete |
| `backward` | nothing: a backward pass that fills `.grad` has ended |
| `step` | the optimizer that is about to make its step |
| `iteration` | the number of the iteration that begins |
| `root` | `(Node, array)` of each tensor that a backward pass begins from |
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from engine.interruption import from_handler
from engine.locks import reentrant

Sink = Callable[[str, Any], None]

KINDS = (
    "op_start",
    "op_finish",
    "op_error",
    "module_enter",
    "module_exit",
    "leaf",
    "buffer",
    "fate",
    "gradient",
    "backward",
    "step",
    "iteration",
    "root",
)


class Bus:
    """Holds one tuple of sinks for each kind, so that an empty kind costs one truth test.

    `active` is all that an op looks at: true while anything but `op_error` is subscribed, or while somebody
    holds the ops on their long way, where they can be changed (mixed precision, streams): `held` counts those. `arguments` says whether
    a sink of `op_finish` looks at the arguments: without one, a gradient may be computed in the place of another.
    `buffers` says whether anybody follows what becomes of buffers, and `heard` whether anything but `op_error` is subscribed.
    """

    __slots__ = (*KINDS, "_incurious", "_lock", "active", "arguments", "buffers", "heard", "held")

    op_start: tuple[Sink, ...]
    op_finish: tuple[Sink, ...]
    op_error: tuple[Sink, ...]
    module_enter: tuple[Sink, ...]
    module_exit: tuple[Sink, ...]
    leaf: tuple[Sink, ...]
    buffer: tuple[Sink, ...]
    fate: tuple[Sink, ...]
    gradient: tuple[Sink, ...]
    backward: tuple[Sink, ...]
    step: tuple[Sink, ...]
    iteration: tuple[Sink, ...]
    root: tuple[Sink, ...]

    def __init__(self) -> None:
        self._lock = reentrant()
        self.active = self.arguments = self.buffers = self.heard = False
        self.held = 0
        self._incurious: tuple[Sink, ...] = ()
        for kind in KINDS:
            setattr(self, kind, ())

    def subscribe(self, sink: Sink, *kinds: str, arguments: bool = True) -> Handle:
        """Call `sink(kind, subject)` for each event of `kinds` (all kinds when none is named).

        Without `arguments` the sink does not look at `arrays` when an op has finished.
        Raises `ValueError` for a kind that does not exist.
        """
        kinds = kinds or KINDS
        for kind in kinds:
            if kind not in KINDS:
                raise ValueError(f"no event kind {kind!r}; there are {', '.join(KINDS)}")
        with self._lock:
            for kind in kinds:
                self._change(kind, lambda sinks: (*sinks, sink))
            if not arguments:
                self._incurious = (*self._incurious, sink)
            self._refresh()
        return Handle(self, sink, kinds)

    def emit(self, kind: str, subject: Any) -> None:
        """Give `subject` to every sink of `kind`. Only the engine emits.

        An ordinary exception in a sink detaches the sink and is reported on stderr: a debugger's
        mistake never changes the result of the person's program. `KeyboardInterrupt`, `SystemExit`
        and their like pass through, because they are meant for the program; so do `RecursionError` and `MemoryError`.
        """
        for sink in getattr(self, kind):
            try:
                sink(kind, subject)
            except Exception:  # noqa: BLE001 - see above
                self.failed(kind, sink)

    def failed(self, kind: str, sink: Sink) -> None:
        """While an exception that `sink` raised is handled: it is detached and reported.

        Where the program itself has run out of stack or memory, the sink did nothing wrong: the exception is the
        program's, as it would have been one call later. So is what a signal handler of the program raised meanwhile.
        """
        error = sys.exc_info()[1]
        if isinstance(error, (RecursionError, MemoryError)) or from_handler(error):
            raise  # what is being handled
        self._detach(sink, KINDS)
        import traceback  # slow to load, and seldom needed

        report = traceback.format_exc()
        sys.stderr.write(f"dsviz: a subscriber to {kind!r} failed and was detached\n{report}")

    def _detach(self, sink: Sink, kinds: tuple[str, ...]) -> None:
        with self._lock:
            for kind in kinds:
                self._change(kind, lambda sinks: tuple(s for s in sinks if s is not sink))
            self._incurious = tuple(s for s in self._incurious if s in self.op_finish)
            self._refresh()

    def _replace(self, before: Sink, after: Sink, kinds: tuple[str, ...]) -> None:
        with self._lock:
            if before in self._incurious:
                self._incurious = (*self._incurious, after)
            for kind in kinds:
                self._change(kind, lambda sinks: tuple(after if sink is before else sink for sink in sinks))
            self._incurious = tuple(s for s in self._incurious if s in self.op_finish)
            self._refresh()

    def _change(self, kind: str, changed: Callable[[tuple[Sink, ...]], tuple[Sink, ...]]) -> None:
        """Other sinks for `kind`; what a finaliser changes while these are made is not undone."""
        while True:
            before = getattr(self, kind)
            after = changed(before)
            if getattr(self, kind) is before:
                setattr(self, kind, after)
                return

    def hold(self, change: int) -> None:
        """Keep the ops on their long way (+1), or no longer (-1)."""
        with self._lock:
            self.held += change
            self._refresh()

    def _refresh(self) -> None:
        self.heard = any(getattr(self, kind) for kind in KINDS if kind != "op_error")
        self.active = self.held > 0 or self.heard
        self.arguments = any(sink not in self._incurious for sink in self.op_finish)
        self.buffers = bool(self.buffer or self.fate)


class Handle:
    """A subscription; `close()` ends it. As a context manager it ends with the block."""

    __slots__ = ("_bus", "_kinds", "_sink")

    def __init__(self, bus: Bus, sink: Sink, kinds: tuple[str, ...]) -> None:
        self._bus, self._sink, self._kinds = bus, sink, kinds

    def close(self) -> None:
        """End the subscription. Closing twice is harmless."""
        self._bus._detach(self._sink, self._kinds)

    def replace(self, sink: Sink) -> None:
        """Have `sink` called from here on in the place of the one that was: what happens is told to one of the two."""
        self._bus._replace(self._sink, sink, self._kinds)
        self._sink = sink

    def __enter__(self) -> Handle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


bus = Bus()
