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
from _thread import get_ident
from collections.abc import Callable
from time import perf_counter_ns
from types import CodeType
from typing import Any

import numpy as np

from dsviz import events
from dsviz.debuggee import core
from dsviz.debuggee.attributes import NO_ATTRS, clash_of, ids_of, message_of, shape_of, simple_attrs
from dsviz.debuggee.frames import ENGINE, MODULE_CALL, OUTSIDE, USER, Places
from dsviz.debuggee.lanes import Lane, Spot
from dsviz.debuggee.outlets import CATEGORY, Outlet, ran_event
from dsviz.debuggee.probes import Loop
from dsviz.debuggee.summary import moved, sampled, summarize
from dsviz.debuggee.values import Values
from dsviz.wire.ring import NODE, PLACE
from engine.bus import Bus
from engine.config import current
from engine.grad_mode import state
from engine.iteration import iteration
from engine.location import is_engine_code
from engine.locks import reentrant
from engine.memory import change_of, memory
from engine.module import Module
from engine.module_call import ModuleCall, open_call
from engine.node import BACKWARD, OPTIMIZER, Node

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_PACKAGE = os.path.dirname(os.path.dirname(_HERE)) + os.sep
_STDLIB = sysconfig.get_paths()["stdlib"] + os.sep


class Tracer:
    """Follows a bus at a trace level: 0 nothing, 1 operations, 2 also statistics of each result.

    `outlet()` makes the outlet of the thread that calls it. Times count from `began` (perf_counter_ns).
    `values` sends arrays at level 2. `owner` is the thread that runs the program, where another one makes this.
    """

    __slots__ = (
        "_bus", "_handles", "_lane", "_lanes", "_lock", "_outlet", "_resting", "_sampled", "_values", "began", "every",
        "level", "on_rest", "owner", "places",
    )  # fmt: skip

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
        self.began = perf_counter_ns() if began is None else began
        self.places = Places(classify)
        self.level = 0
        self.every = 1  # of so many iterations one is told; 1: as the program's own configuration says
        self.on_rest: Callable[[bool], None] = lambda resting: None
        self._resting = False  # this iteration is one of those that are not told
        self._handles: list[Any] = []
        self._sampled: list[Any] = []  # subscriptions that are others in such an iteration
        self._lanes: dict[int, Lane] = {}
        self._lock = reentrant()
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
                for lane in list(self._lanes.values()):
                    lane.walker.calls.clear()  # their ends are not heard of; those that go on are told of again
                return
            core.use()
            self._handles = [self._subscribe(kind) for kind in ALWAYS]
            self._sampled = [self._subscribe(kind) for kind in self._wanted()]

    def _subscribe(self, kind: str) -> Any:
        sink = core.sink(self, kind) or getattr(self, "_" + kind)
        return self._bus.subscribe(sink, kind, arguments=False)

    def _look_for_core(self) -> None:
        """Go on with the compiled sinks where the compiler is done by now."""
        with self._lock:
            if self.level and not self._resting and core.use():
                for kind, handle in zip(SAMPLED, self._sampled, strict=True):
                    sink = core.sink(self, kind)
                    if sink is not None:
                        handle.replace(sink)

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
            # The new ones first: there is no moment in which nobody follows the buffers.
            handles = self._sampled
            self._sampled = [self._subscribe(kind) for kind in self._wanted()] if self.level else []
            for handle in handles:
                handle.close()

    def _wanted(self) -> tuple[str, ...]:
        # What befalls buffers is told with the ops, or where those are not told by itself.
        return ("buffer",) if self._resting else SAMPLED

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
                made = self._new_lane()
                lane = self._lanes.setdefault(
                    me, made
                )  # a finaliser in the middle of that may have needed one
        return lane

    def _new_lane(self) -> Lane:
        return Lane(self, self.places, self._outlet(), lambda: perf_counter_ns() - self.began)

    def skip(self, nanoseconds: int) -> None:
        """The program stood still for so long: its clock did too."""
        self.began += nanoseconds

    @property
    def overhead(self) -> float:
        """Share of the program's time that following it takes, in percent, from a sample of the nodes."""
        cost = sum(lane.cost for lane in list(self._lanes.values()))
        passed = max(perf_counter_ns() - self.began, 1)
        # A sample that fell on a moment when the machine did something else can add up to more than there was.
        cost = min(cost, int(0.9 * passed))
        return 100.0 * cost / (passed - cost)

    # Places

    def frame_of(self, node: Node) -> int:
        """Where the person's program stands for `node`: a backward node stands where its forward twin did."""
        lane = self.lane()
        if node.op is None:  # a leaf, whose gradient is complete: the program stands where it asked for that
            return lane.walker.frame(sys._getframe(1), 0 if node.call is None else node.call.id)
        return self._spot(lane, node).frame

    def _spot(self, lane: Lane, node: Node) -> Spot:
        if node.id == lane.framed and lane.spot is not None:
            return lane.spot
        twin = node.twin
        spot = lane.find(node) if twin is None else self._spot_of_twin(lane, node, twin)
        lane.framed, lane.spot = node.id, spot
        return spot

    def _spot_of_twin(self, lane: Lane, node: Node, twin: Node) -> Spot:
        place = twin.place
        if place is None or place.lane is not lane:
            place = lane.spot_of.get(twin.id) or place
        if place is not None and place.lane is lane and place.what is node.op:
            return place  # type: ignore[no-any-return]
        return lane.spot_at(self._frame_of_twin(lane, twin, place), node.op)

    def _frame_of_twin(self, lane: Lane, twin: Node, place: Spot | None) -> int:
        if place is not None and place.lane.walker.places is self.places:
            return place.frame
        for other in list(self._lanes.values()):
            known = other.spot_of.get(twin.id)
            if known is not None:
                return known.frame
        return 0 if twin.code is None else lane.walker.at(0, twin.code, twin.lasti)

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
        call = open_call()
        if call is not None and call.id not in lane.walker.calls:
            lane.late(call)
        frame = lane.walker.frame(sys._getframe(1), 0 if call is None else call.id)
        lane.event(events.Branch(site, taken, perf_counter_ns() - self.began, frame))

    def turn(self, site: int, index: int) -> None:
        """A loop begins turn `index`, or was left (-1)."""
        if index < 0 and get_ident() not in self._lanes:
            return  # the collector found another thread's loop; nothing has been told of this one yet
        self.lane().pending.turn(site, index)

    def opened(self, site: int) -> Loop:
        """A loop begins its first turn."""
        return self.lane().pending.open(site)

    def left(self, loop: Loop) -> None:
        """A loop was left; which another thread may find, where the collector runs there."""
        lane = self._lanes.get(get_ident())
        if lane is not None and lane.pending is loop.pending:
            lane.pending.left(loop)
        else:
            loop.pending.left_elsewhere(loop)

    # Sinks, one for each kind: what runs for every op goes straight to its own

    def _op_start(self, kind: str, node: Node) -> None:
        id = node.id
        timed = 0 if id & SAMPLE else perf_counter_ns()
        lane = self._lane if get_ident() == self.owner else self._other(get_ident())
        lane.decided = 0
        if lane.pending.moved:
            lane.pending.flush()
        twin = node.twin
        if twin is None:
            spot = lane.find(node)
        else:
            place = twin.place
            if place is not None and place.lane is lane and place.what is node.op:
                spot = place
            else:
                spot = self._spot_of_twin(lane, node, twin)
        lane.framed, lane.spot = id, spot
        if node.place is None:
            node.place = spot
        words = lane.words
        words[NODE], words[PLACE] = id, spot.place
        if self.level == 2:
            self._look_before(lane, node)
        if timed:
            lane.cost += (perf_counter_ns() - timed) * (SAMPLE + 1)

    def _look_before(self, lane: Lane, node: Node) -> None:
        """Level 2: what there is to keep of the arguments of a node that is about to run."""
        if self._values is not None:
            self._values.inputs(lane.outlet, node)
        if node.phase == OPTIMIZER:
            lane.before = None if not node.arrays else sampled(node.arrays[0])

    def _op_finish(self, kind: str, node: Node) -> None:
        id = node.id
        timed = 0 if id & SAMPLE else perf_counter_ns()
        place = node.place
        lane = self.lane() if place is None or place.lane.tracer is not self else place.lane
        spot: Any = lane.spot if lane.framed == id else self._spot(lane, node)
        kwargs, twin, call = node.kwargs, node.twin, node.call
        attrs: dict[str, Any] | None = None
        if node.phase == BACKWARD:
            like = spot.back
            if like is None or like.outputs != node.outputs or like.dtype is not node.dtype:
                like = lane.like(spot, node)
            scalars = None
        else:
            if place is not spot and node.requires:
                lane.remember(node, spot)
            like = spot.like
            if (
                like is None
                or like.shape != node.shape
                or like.dtype is not node.dtype
                or like.saved != node.saved_bytes
                or like.outputs != node.outputs
            ):
                like = lane.like(spot, node)
            scalars = node.scalars
            if lane.before is not None:
                attrs = self._stepped(lane, node)
        # A number is the same one or told anew: 1, 1.0 and True are equal, and so are 0.0 and -0.0.
        if like is None:
            attrs = attrs or simple_attrs(node.attrs)
        elif attrs is not None:
            pass
        elif kwargs or (
            scalars is not None and (len(scalars) != 1 or scalars.get(like.name, NO_ATTRS) is not like.value)
        ):
            if not like.same_attrs(node):
                attrs = simple_attrs(node.attrs)
        elif scalars is None and like.attrs:
            attrs = NO_ATTRS
        inputs: Any = node.inputs
        if len(inputs) == 2:
            first, second = inputs
            inputs = (0 if first is None else first.id, 0 if second is None else second.id)
        elif len(inputs) == 1:
            (first,) = inputs
            inputs = (0 if first is None else first.id,)
        else:
            inputs = tuple([0 if source is None else source.id for source in inputs])
        if like is None:
            self._in_full(lane, node, spot, inputs, attrs or NO_ATTRS)
        elif attrs is None:
            lane.ran(
                id, like, 0 if call is None else call.id, 0 if twin is None else twin.id, node.iteration, node.duration,
                node.start - self.began, inputs, node.fates,
            )  # fmt: skip
        else:
            lane.event(
                ran_event(
                    id, like, 0 if call is None else call.id, 0 if twin is None else twin.id, node.iteration,
                    node.duration, node.start - self.began, inputs, node.fates, attrs,
                )
            )  # fmt: skip
        if self.level == 2:
            self._look_after(lane, node)
        if timed:
            lane.cost += (perf_counter_ns() - timed) * (SAMPLE + 1)

    def _look_after(self, lane: Lane, node: Node) -> None:
        """Level 2: what there is to keep of the result of a node that has run."""
        if self._values is None or not self._values.output(lane.outlet, node):
            self._summary(lane, node)

    def _in_full(
        self, lane: Lane, node: Node, spot: Spot, inputs: tuple[int, ...], attrs: dict[str, Any]
    ) -> None:
        call, twin = node.call, node.twin
        gone, born, kept = node.fates or ((), (), ())
        ended = node.start + node.duration
        self._tell(lane, [("released", buffer, node.start) for buffer in gone])
        self._tell(lane, [change_of(buffer, ended) for buffer in born])
        self._tell(lane, [("recategorised", buffer, ended) for buffer in kept])
        lane.event(
            events.Op(
                node.id, spot.op, node.phase, inputs, node.shape, lane.dtypes.get(node.dtype) or lane.dtype(node.dtype),
                0 if call is None else call.id, spot.frame, 0 if twin is None else twin.id, node.iteration,
                node.start - self.began, node.duration, node.nbytes, 0 if node.phase == BACKWARD else node.saved_bytes, attrs, lane.outputs(node.outputs),
            )
        )  # fmt: skip

    def _tell(self, lane: Lane, changes: list[Any]) -> None:
        for what, buffer, at in changes:
            # The clock skips the pauses of the program.
            at -= self.began
            if at < lane.clock:
                at = lane.clock
            lane.clock = at
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

    def _stepped(self, lane: Lane, node: Node) -> dict[str, Any]:
        """The attributes of an optimizer's step; at level 2 with the share of the parameter that it changed."""
        attrs = simple_attrs(node.attrs)
        before, lane.before = lane.before, None
        if before is not None and node.arrays:
            attrs["update"] = moved(before, node.arrays[0])
        return attrs

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
                perf_counter_ns() - self.began, type(exception).__name__, message_of(exception)[:20_000],
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
        parent = 0 if call.parent is None else call.parent.id
        lane.outlet.entered(call.id, parent, lane.enter(call, parent), perf_counter_ns() - self.began)

    def _module_exit(self, kind: str, call: ModuleCall) -> None:
        if state.asked:
            return
        lane = self.lane()
        if lane.walker.calls.pop(call.id, None) is None:
            return  # it was entered while nobody looked
        lane.outlet.left(call.id, call.failed, perf_counter_ns() - self.began)

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

    def _fate(self, kind: str, changes: list[Any]) -> None:
        self._tell(self.lane(), changes)

    _buffer = _fate

    def catch_up(self) -> None:
        """Tell what became of buffers so far: at a stop before an op, what it is given counts."""
        memory.flush()

    def depart(self) -> None:
        """A stop ends; at level 0 the modules in which it was are not followed on."""
        if not self.level:
            self.lane().depart()

    def leaf(self, node: Node) -> None:
        """Tell of a leaf that the engine announced before we were there."""
        self._leaf("leaf", node)

    def _gradient(self, kind: str, ready: Any) -> None:
        leaf, gradient = ready
        norm = math.nan
        if self.level == 2:
            flat = np.ravel(gradient) if type(gradient) is np.ndarray else None
            norm = math.nan if flat is None else float(np.sqrt(np.vdot(flat, flat).real))
        source = leaf.grad_source
        self.lane().event(events.GradientReady(leaf.id, 0 if source is None else source.id, norm))

    def _iteration(self, kind: str, index: int) -> None:
        self.lane().event(events.Iteration(index, perf_counter_ns() - self.began))
        self._sample(index)
        if not core.used() and index & (index - 1) == 0:  # ever more seldom
            self._look_for_core()

    def _root(self, kind: str, root: tuple[Node, Any]) -> None:
        node, array = root
        if array.size != 1 or array.dtype.kind not in "fiub":
            return
        now = perf_counter_ns() - self.began
        self.lane().event(events.Loss(node.id, float(array.reshape(-1)[0]), iteration.index, now))


# What is told of every iteration, and what only of those that are sampled.
ALWAYS = ("op_error", "module_exit", "iteration", "root")
SAMPLED = ("fate", "op_start", "op_finish", "module_enter", "leaf", "gradient")
SAMPLE = 15  # one node in 16 is timed; numbers with these bits set are not
DECISIONS = 64  # branches told between two ops: a program may decide a million times without running one
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
