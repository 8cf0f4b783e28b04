"""Turns what the engine announces on its bus into the wire's events.

The same class serves a traced program under the debugger (events go into rings) and a trace inside
one process (events go straight to a function such as `GraphStore.feed`).
"""

from __future__ import annotations

import math
import os
import re
import sys
import sysconfig
import threading
import time
from _thread import get_ident
from collections.abc import Callable
from contextlib import suppress
from types import CodeType, FrameType
from typing import Any, Protocol

import numpy as np

from dsviz import events
from dsviz.debuggee.frames import ENGINE, MODULE_CALL, OUTSIDE, USER, Places, Walker
from dsviz.debuggee.probes import Pending
from dsviz.debuggee.summary import moved, sampled, summarize
from dsviz.debuggee.values import Values
from engine.bus import Bus
from engine.config import current
from engine.grad_mode import state
from engine.iteration import iteration
from engine.location import is_engine_code
from engine.module import Module, ModuleCall
from engine.node import BACKWARD, FORWARD, OPTIMIZER, Node

LONGEST_ATTR = 200  # characters of an attribute's text
_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_PACKAGE = os.path.dirname(os.path.dirname(_HERE)) + os.sep
_STDLIB = sysconfig.get_paths()["stdlib"] + os.sep


class Outlet(Protocol):
    """Takes one thread's events."""

    def event(self, event: events.Event) -> None:
        """Take an event that must not be lost."""

    def later(self, event: events.Event) -> None:
        """Take an event that may wait for the next one to go with."""

    def definition(self, event: events.Event) -> None:
        """Take a record that later events refer to."""

    def extra(self, event: events.Event, what: str) -> bool:
        """Take an event that may be dropped; False where it was."""

    def breadcrumb(self, node: int, op: int, frame: int) -> None:
        """Note which node starts."""


class DirectOutlet:
    """Hands every event to one function, at once."""

    def __init__(self, receive: Callable[[Any], object]) -> None:
        self._receive = receive

    def event(self, event: events.Event) -> None:
        """Hand it on."""
        self._receive(event)

    later = definition = event

    def extra(self, event: events.Event, what: str) -> bool:
        """Nothing is dropped inside one process."""
        self._receive(event)
        return True

    def breadcrumb(self, node: int, op: int, frame: int) -> None:
        """Nobody needs to know after a crash."""


class Tracer:
    """Follows a bus at a trace level: 0 nothing, 1 operations, 2 also statistics of each result.

    `outlet()` makes the outlet of the thread that calls it. Times count from `began` (perf_counter_ns).
    `values` sends arrays at level 2. `owner` is the thread that runs the program, where another one makes this.
    """

    def __init__(
        self,
        bus: Bus,
        outlet: Callable[[], Outlet],
        began: int | None = None,
        level: int = 1,
        values: Values | None = None,
        owner: int | None = None,
    ) -> None:
        self._values = values
        self._bus = bus
        self._outlet = outlet
        self.began = time.perf_counter_ns() if began is None else began
        self.places = Places(classify)
        self.level = 0
        self.every = 1  # of so many iterations one is told; 1: as the program's own configuration says
        self.on_rest: Callable[[bool], None] = lambda resting: None
        self._resting = False  # this iteration is one of those that are not told
        self._handles: list[Any] = []
        self._sampled: list[Any] = []  # subscriptions that rest in such an iteration
        self._lanes: dict[int, Lane] = {}
        self._lock = threading.RLock()
        self.owner = owner or get_ident()
        self._lane = self._lanes[self.owner] = self._new_lane()
        self.set_level(level)

    def set_level(self, level: int) -> None:
        """Trace at `level` from here on; may be called from any thread."""
        with self._lock:
            was, self.level = self.level, level
            if (was > 0) == (level > 0):
                return
            if level == 0:
                handles, self._handles, self._sampled = [*self._handles, *self._sampled], [], []
                for handle in handles:
                    handle.close()
                return
            self._handles = [self._subscribe(kind) for kind in ALWAYS]
            if not self._resting:
                self._sampled = [self._subscribe(kind) for kind in SAMPLED]

    def _subscribe(self, kind: str) -> Any:
        return self._bus.subscribe(getattr(self, "_" + kind), kind, arguments=False)

    def set_values(self, values: Values | None) -> None:
        """Send arrays by these rules from here on, or none."""
        self._values = values

    def _sample(self, index: int) -> None:
        """Iteration `index` begins: is it one of those that are told?"""
        every = self.every if self.every > 1 else current().trace_sample
        rest = every > 1 and index % every != 0
        if rest == self._resting:
            return
        with self._lock:
            self._resting = rest
            self.on_rest(rest)
            handles, self._sampled = self._sampled, []
            for handle in handles:
                handle.close()
            if not rest and self.level:
                self._sampled = [self._subscribe(kind) for kind in SAMPLED]

    def close(self) -> None:
        """Follow the bus no longer."""
        self.set_level(0)

    def lane(self) -> Lane:
        """The calling thread's tables and outlet."""
        me = get_ident()
        return self._lane if me == self.owner else self._other(me)

    def _other(self, me: int) -> Lane:
        lane = self._lanes.get(me)
        if lane is None:
            with self._lock:
                alive = sys._current_frames()
                for thread, old in list(self._lanes.items()):
                    if thread not in alive and thread != self.owner:
                        del self._lanes[thread]
                        lane = self._lanes[me] = old
                        return lane
                lane = self._lanes[me] = self._new_lane()
        return lane

    def _new_lane(self) -> Lane:
        return Lane(self.places, self._outlet(), lambda: time.perf_counter_ns() - self.began)

    def skip(self, nanoseconds: int) -> None:
        """The program stood still for so long: its clock did too."""
        self.began += nanoseconds

    @property
    def overhead(self) -> float:
        """Share of the program's time that following it takes, in percent, from a sample of the nodes."""
        cost = sum(lane.cost for lane in list(self._lanes.values()))
        passed = time.perf_counter_ns() - self.began
        return 100.0 * cost / max(passed - cost, 1)

    # Places

    def frame_of(self, node: Node) -> int:
        """Where the person's program stands for `node`: a backward node stands where its forward twin did."""
        lane = self.lane()
        return lane.frame if node.id == lane.framed else self._place(lane, node)

    def _place(self, lane: Lane, node: Node) -> int:
        twin = node.twin
        if twin is not None:
            frame = lane.frames_of.get(twin.id) or self._from_other(twin.id)
            if not frame and twin.code is not None:
                frame = lane.walker.at(0, twin.code, twin.lasti)
        else:
            call = node.call
            if call is not None and call.code is node.code and call.lasti == node.lasti:
                # What a module of the engine's does stands where it was called: the person's frame is outside of it.
                frame = lane.walker.calls.get(call.id, 0)
            else:
                frame = lane.walker.frame(self._start(lane, node), 0 if call is None else call.id)
        lane.framed, lane.frame = node.id, frame
        return frame

    def _start(self, lane: Lane, node: Node) -> FrameType:
        """The person's frame that the engine found for `node`: as far up as the last time such an op was told."""
        depth = lane.depths.get(node.op)
        code, lasti = node.code, node.lasti
        if depth is not None:
            with suppress(ValueError):  # called in another way, there are fewer frames
                start = sys._getframe(depth)
                if start.f_code is code and start.f_lasti == lasti:
                    return start
        depth, frame = 0, sys._getframe(0)
        while frame.f_code is not code or frame.f_lasti != lasti:
            if frame.f_back is None:
                return sys._getframe(1)
            frame = frame.f_back
            depth += 1
        lane.depths[node.op] = depth
        return frame

    def _from_other(self, twin: int) -> int:
        for lane in list(self._lanes.values()):
            frame = lane.frames_of.get(twin)
            if frame:
                return frame
        return 0

    # What the probes in the person's code tell

    def add_site(self, site: events.Site, path: str) -> None:
        """A file was instrumented: this is one of its branches and loops."""
        lane = self.lane()
        site.file = lane.walker.text(path)
        lane.outlet.definition(site)

    def branch(self, site: int, taken: bool) -> None:
        """An `if` was decided. Decisions with no op between them are told only so many times."""
        if not self.level or self._resting:
            return
        lane = self.lane()
        lane.decided += 1
        if lane.decided > DECISIONS:
            return
        if lane.pending.moved:
            lane.pending.flush()
        call = state.call
        frame = lane.walker.frame(sys._getframe(1), 0 if call is None else call.id)
        lane.event(events.Branch(site, taken, time.perf_counter_ns() - self.began, frame))

    def turn(self, site: int, index: int) -> None:
        """A loop begins turn `index`, or was left (-1)."""
        self.lane().pending.turn(site, index)

    # Sinks, one for each kind: what runs for every op goes straight to its own

    def _op_start(self, kind: str, node: Node) -> None:
        lane = self._lane if get_ident() == self.owner else self._other(get_ident())
        id = node.id
        timed = 0 if id & SAMPLE else time.perf_counter_ns()
        lane.decided = 0
        if lane.pending.moved:
            lane.pending.flush()
        twin = node.twin
        if twin is not None and twin.id in lane.frames_of:
            lane.framed, lane.frame = id, lane.frames_of[twin.id]
        else:
            self._place(lane, node)
        op = node.op
        lane.breadcrumb(id, lane.ops.get(op) or lane.op(op), lane.frame)
        if self.level == 2:
            if self._values is not None:
                self._values.inputs(lane.outlet, node)
            if node.phase == OPTIMIZER:
                lane.before = None if not node.arrays else sampled(node.arrays[0])
        if timed:
            lane.cost += (time.perf_counter_ns() - timed) * (SAMPLE + 1)

    def _op_finish(self, kind: str, node: Node) -> None:
        lane = self._lane if get_ident() == self.owner else self._other(get_ident())
        id = node.id
        timed = 0 if id & SAMPLE else time.perf_counter_ns()
        frame = lane.frame if lane.framed == id else self._place(lane, node)
        op, phase, twin, call, outputs = node.op, node.phase, node.twin, node.call, node.outputs
        if phase == FORWARD and node.requires:
            frames = lane.frames_of
            frames[id] = frame
            if len(frames) > REMEMBERED:
                lane.forget()
        lane.event(
            events.Op(
                id,
                lane.ops.get(op) or lane.op(op),
                phase,
                tuple([0 if source is None else source.id for source in node.inputs]),
                node.shape,
                lane.dtypes.get(node.dtype) or lane.dtype(node.dtype),
                0 if call is None else call.id,
                frame,
                0 if twin is None else twin.id,
                node.iteration,
                node.start - self.began,
                node.duration,
                node.nbytes,
                0 if phase == BACKWARD else node.saved_bytes,
                self._stepped(lane, node)
                if phase == OPTIMIZER
                else simple_attrs(node.attrs)
                if node.scalars or node.kwargs
                else NO_ATTRS,
                self._outputs(lane, outputs) if outputs is not None and len(outputs) > 1 else (),
            )
        )
        if self.level == 2:
            self._summary(lane, node)
            if self._values is not None:
                self._values.output(lane.outlet, node)
        if timed:
            lane.cost += (time.perf_counter_ns() - timed) * (SAMPLE + 1)

    def _stepped(self, lane: Lane, node: Node) -> dict[str, Any]:
        """The attributes of an optimizer's step; at level 2 with the share of the parameter that it changed."""
        attrs = simple_attrs(node.attrs)
        before, lane.before = lane.before, None
        if before is not None and node.arrays:
            attrs["update"] = moved(before, node.arrays[0])
        return attrs

    def _outputs(self, lane: Lane, outputs: list[Any]) -> Any:
        known = lane.dtypes
        return [
            ((), 0) if output is None else (output[0], known.get(output[1]) or lane.dtype(output[1]))
            for output in outputs
        ]

    def _summary(self, lane: Lane, node: Node) -> None:
        out = node.out
        if isinstance(out, tuple):
            out = next((part for part in out if part is not None), None)
        summary = None if out is None else summarize(node.id, out)
        if summary is not None:
            lane.outlet.extra(summary, "summaries")

    def _op_error(self, kind: str, failure: Any) -> None:
        node: Node = failure.node
        lane = self.lane()
        assert node.op is not None
        exception = failure.exception
        lane.event(
            events.Failed(
                node.id, lane.walker.text(node.op.name), node.phase, ids_of(node.inputs),
                tuple(shape_of(array) for array in node.arrays or ()),
                0 if node.call is None else node.call.id, self.frame_of(node), node.iteration,
                time.perf_counter_ns() - self.began, type(exception).__name__, str(exception)[:20_000],
                clash_of(failure), simple_attrs(node.attrs),
            )
        )  # fmt: skip

    def _module_enter(self, kind: str, call: ModuleCall) -> None:
        if state.asked:
            return
        lane = self.lane()
        lane.decided = 0
        if lane.pending.moved:
            lane.pending.flush()
        walker = lane.walker
        parent = 0 if call.parent is None else call.parent.id
        frame = walker.frame(sys._getframe(1), parent, skip=1)
        walker.calls[call.id] = frame
        lane.event(
            events.ModuleEntered(
                call.id,
                parent,
                walker.text(call.path),
                walker.text(call.cls),
                frame,
                time.perf_counter_ns() - self.began,
            )
        )

    def _module_exit(self, kind: str, call: ModuleCall) -> None:
        if state.asked:
            return
        lane = self.lane()
        if lane.walker.calls.pop(call.id, None) is None:
            return  # it was entered while nobody looked
        lane.event(
            events.ModuleLeft(call.id, time.perf_counter_ns() - self.began, sys.exc_info()[0] is not None)
        )

    def _leaf(self, kind: str, node: Node) -> None:
        lane = self.lane()
        frame = 0 if node.code is None else lane.walker.at(0, node.code, node.lasti)
        lane.event(
            events.Leaf(
                node.id,
                node.role,
                node.name,
                tuple(node.shape),
                lane.walker.text(str(node.dtype)),
                node.nbytes,
                frame,
            )
        )
        if self.level == 2 and self._values is not None:
            self._values.leaf(lane.outlet, node)

    def _buffer(self, kind: str, change: Any) -> None:
        lane = self._lane if get_ident() == self.owner else self._other(get_ident())
        buffer = change.buffer
        # A release may be told after a pause that it came before, and the clock has skipped the pause.
        at = change.time - self.began
        if at < lane.clock:
            at = lane.clock
        lane.clock = at
        what = change.kind
        if what == "released":
            lane.later(events.Released(buffer.id, at))
        elif what == "recategorised":
            lane.later(events.Recategorised(buffer.id, CATEGORY[buffer.category], at))
        else:
            lane.later(
                events.Allocated(
                    buffer.id, buffer.nbytes, CATEGORY[buffer.category], buffer.node, at, what == "reused"
                )
            )

    def leaf(self, node: Node) -> None:
        """Tell of a leaf that the engine announced before we were there."""
        self._leaf("leaf", node)

    def _gradient(self, kind: str, ready: Any) -> None:
        leaf, gradient = ready
        norm = math.nan
        if self.level == 2:
            flat = np.ravel(gradient) if type(gradient) is np.ndarray else None
            norm = math.nan if flat is None else float(np.sqrt(np.dot(flat, flat)))
        source = leaf.grad_source
        self.lane().event(events.GradientReady(leaf.id, 0 if source is None else source.id, norm))

    def _iteration(self, kind: str, index: int) -> None:
        self.lane().event(events.Iteration(index, time.perf_counter_ns() - self.began))
        self._sample(index)

    def _root(self, kind: str, root: tuple[Node, Any]) -> None:
        node, array = root
        if array.size != 1 or array.dtype.kind not in "fiub":
            return
        now = time.perf_counter_ns() - self.began
        self.lane().event(events.Loss(node.id, float(array.reshape(-1)[0]), iteration.index, now))


class Lane:
    """One thread's outlet and what it has told already."""

    def __init__(self, places: Places, outlet: Outlet, now: Callable[[], int]) -> None:
        self.outlet = outlet
        self._now = now
        self.clock = 0  # time of the latest change of a buffer
        self.cost = 0  # nanoseconds spent on telling, estimated
        self.pending = Pending(self._turn)  # loop turns in which nothing has run yet
        self.decided = 0  # branches decided since the last op
        self.event = outlet.event
        self.later = outlet.later
        self.breadcrumb = outlet.breadcrumb
        self.walker = Walker(places, outlet)
        self.ops: dict[Any, int] = {}
        self.dtypes: dict[Any, int] = {}
        self.framed = -1  # the node whose frame was looked up last
        self.frame = 0
        self.before: Any = None  # some numbers of a parameter, before the step that is going on
        self.depths: dict[Any, int] = {}  # op -> how far up the person's frame was, the last time
        self.frames_of: dict[int, int] = {}  # forward node -> frame, for its backward twin

    def _turn(self, site: int, index: int) -> None:
        self.event(events.LoopTurn(site, index, self._now()))

    def op(self, op: Any) -> int:
        """The text of an op's name, as told."""
        text = self.ops[op] = self.walker.text(op.name)
        return text

    def dtype(self, dtype: Any) -> int:
        """The text of a dtype, as told; its name is slow to make."""
        text = self.dtypes[dtype] = self.walker.text(str(dtype))
        return text

    def forget(self) -> None:
        """Graphs of so many nodes are rare; their oldest twins are placed by their line alone."""
        for old in list(self.frames_of)[: REMEMBERED // 2]:
            del self.frames_of[old]


# What is told of every iteration, and what only of those that are sampled.
ALWAYS = ("op_error", "module_exit", "buffer", "iteration", "root")
SAMPLED = ("op_start", "op_finish", "module_enter", "leaf", "gradient")
NO_ATTRS: dict[str, Any] = {}
REMEMBERED = 200_000
SAMPLE = 15  # one node in 16 is timed; numbers with these bits set are not
DECISIONS = 64  # branches told between two ops: a program may decide a million times without running one
CATEGORY = {name: number for number, name in enumerate(events.CATEGORIES)}
# What runs a notebook's cells lies outside of the person's program, as what runs a script does.
_RUNS_CELLS = re.compile(r"-packages[/\\](IPython|ipykernel|ipywidgets|tornado|traitlets)[/\\]")
_MODULE_CALL = Module.__call__.__code__


def classify(code: CodeType) -> int:
    """Whose code it is, for `Places`."""
    if code is _MODULE_CALL:
        return MODULE_CALL
    name = code.co_filename
    if name.startswith(_HERE) or _RUNS_CELLS.search(name):
        return OUTSIDE
    if is_engine_code(code) or name.startswith(("<frozen ", _PACKAGE)):
        return ENGINE
    if name.startswith(_STDLIB) and "site-packages" not in name and "dist-packages" not in name:
        return ENGINE
    return USER


def ids_of(inputs: tuple[Node | None, ...]) -> tuple[int, ...]:
    """Node numbers, 0 for an argument that is no tensor."""
    return tuple(0 if source is None else source.id for source in inputs)


def shape_of(array: Any) -> tuple[int, ...]:
    """An argument's shape; a plain number has none."""
    return tuple(int(size) for size in getattr(array, "shape", ()))


def clash_of(failure: Any) -> tuple[tuple[int, int], ...]:
    """The pairs (argument, dimension) that disagree."""
    return tuple((int(argument), int(dim)) for argument, dim in failure.clash or ())


def simple_attrs(attrs: dict[str, Any]) -> dict[str, Any]:
    """An op's attributes as values that fit in a record."""
    return {
        str(name): value if type(value) is float or type(value) is bool else simple(value)
        for name, value in attrs.items()
    }


def simple(value: Any) -> Any:
    """`value` itself where a record can hold it, else a short text."""
    kind = type(value)
    if kind is bool or kind is float or value is None:
        return value
    if kind is int:
        return value if -(1 << 63) <= value < 1 << 63 else str(value)[:LONGEST_ATTR]
    if kind is str:
        return value[:LONGEST_ATTR]
    if kind in (tuple, list) and len(value) <= 32:
        return [simple(item) for item in value]
    if isinstance(value, np.generic):
        return simple(value.item())
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{getattr(value, 'dtype', kind.__name__)} {list(shape)}"
    if isinstance(value, slice):
        parts = ("" if part is None else str(part) for part in (value.start, value.stop, value.step))
        return ":".join(parts).removesuffix(":")
    try:
        return repr(value)[:LONGEST_ATTR]
    except Exception:  # noqa: BLE001 - a person's __repr__ may raise anything
        return f"<{kind.__name__}>"
