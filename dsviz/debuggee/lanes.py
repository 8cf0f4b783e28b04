"""What a tracer knows of one thread: where its ops stand, what was told of them already, and where it is told.

Nearly all that is told of an op is the same each time its line runs. So it is found once, at a `Spot`, and told as a
`Kind`; what runs again only says which.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from dsviz.debuggee.attributes import NO_ATTRS, simple_attrs
from dsviz.debuggee.frames import ENGINE, MODULE_CALL, OUTSIDE, Places, Walker
from dsviz.debuggee.into_ring import RingOutlet
from dsviz.debuggee.outlets import Outlet
from dsviz.debuggee.probes import Pending
from dsviz.wire.short import Called, Kind
from engine.module import Module
from engine.module_call import ModuleCall
from engine.node import BACKWARD, Node

REMEMBERED = 200_000
KINDS = 256  # of one spot: an op whose shapes are ever new is told in full
SITES = 100_000
CALLS = 10_000
_CALL = Module.__call__.__code__
_PLAIN = frozenset((int, float, bool, str, type(None), type))


class Like:
    """What nodes of one kind have in common, as the engine has it."""

    __slots__ = ("attrs", "dtype", "given", "name", "nbytes", "number", "outputs", "saved", "shape", "value")

    def __init__(self, number: int, node: Node, attrs: dict[str, Any]) -> None:
        self.number = number
        self.shape = node.shape
        self.dtype = node.dtype
        self.nbytes = node.nbytes
        self.saved = node.saved_bytes
        self.outputs = node.outputs
        self.attrs = attrs
        self.given = given_of(node)
        # The only attribute, where it is a plain number among the arguments.
        self.name: Any = ""
        self.value: Any = self
        if self.given and len(self.given) == 2 and not node.kwargs:
            self.name, self.value = self.given

    def same_attrs(self, node: Node) -> bool:
        """Whether the attributes are the very same objects, which cannot have changed."""
        mine = self.given
        if mine is None:
            return False
        count = 0
        for given in (node.scalars, node.kwargs):
            if given:
                for name, value in given.items():
                    if count >= len(mine) or mine[count] is not name or mine[count + 1] is not value:
                        return False
                    count += 2
        return count == len(mine)


def given_of(node: Node) -> tuple[Any, ...] | None:
    """Names and values of a node's attributes; None where one of them might change, or hold an array."""
    found: list[Any] = []
    for given in (node.scalars, node.kwargs):
        for name, value in (given or NO_ATTRS).items():
            if type(value) not in _PLAIN and not (
                type(value) is tuple and all(type(item) in _PLAIN for item in value)
            ):
                return None
            found += (name, value)
    return tuple(found)


class Spot:
    """An op at a place of the program, reached in one way. `like` and `back` are the kinds of its latest nodes."""

    __slots__ = ("back", "backs", "frame", "lane", "like", "likes", "op", "place", "what")

    def __init__(self, lane: Lane, what: Any, op: int, frame: int) -> None:
        self.lane = lane
        self.what = what  # the engine's op
        self.op = op
        self.frame = frame
        self.place = op << 32 | frame  # as a breadcrumb says it
        self.like: Like | None = None
        self.back: Like | None = None
        self.likes: dict[Any, Like] = {}
        self.backs: dict[Any, Like] = {}


class Site:
    """An instruction that runs an op, the frames around it as they were the last time, and the spot they gave."""

    __slots__ = ("around", "chain", "depth", "spot")

    def __init__(self, depth: int, chain: tuple[tuple[CodeType, int], ...], around: int, spot: Spot) -> None:
        self.depth = depth  # how far up the person's frame was
        self.chain = chain  # code and instruction of the frames around it, up to a module's call or to all that runs the program
        self.around = around  # number of the frame where the module was called
        self.spot = spot


class Lane:
    """One thread's outlet and what it has told already."""

    __slots__ = (
        "_kinds", "_now", "before", "calls", "clock", "cost", "decided", "dtypes", "event", "framed", "later", "ops",
        "outlet", "packs", "pending", "ran", "sites", "spot", "spot_of", "spots", "tracer", "walker", "words",
    )  # fmt: skip

    def __init__(self, tracer: Any, places: Places, outlet: Outlet, now: Callable[[], int]) -> None:
        self.tracer = tracer
        self.outlet = outlet
        self._now = now
        self.clock = 0  # time of the latest change of a buffer
        self.cost = 0  # nanoseconds spent on telling, estimated
        self.pending = Pending(self._turn)  # loop turns in which nothing has run yet
        self.decided = 0  # branches decided since the last op
        self.event = outlet.event
        self.later = outlet.later
        self.ran = outlet.ran
        self.words = outlet.words
        # What the compiled core may write itself.
        self.packs = isinstance(outlet, RingOutlet) and type(outlet).ran is RingOutlet.ran
        self.walker = Walker(places, outlet)
        self.ops: dict[Any, int] = {}
        self.dtypes: dict[Any, int] = {}
        self.framed = -1  # the node whose spot was looked up last
        self.spot: Spot | None = None
        self.before: Any = None  # some numbers of a parameter, before the step that is going on
        self.sites: dict[tuple[int, int, Any], Site] = {}
        self.calls: dict[tuple[str, str, int], Called] = {}
        self.spots: dict[tuple[int, Any], Spot] = {}
        self.spot_of: dict[int, Spot] = {}  # forward node -> spot, where another tracer has noted its own
        self._kinds = 0

    def _turn(self, site: int, index: int) -> None:
        self.outlet.turn(site, 0, index, self._now())

    def op(self, op: Any) -> int:
        """The text of an op's name, as told."""
        text = self.ops[op] = self.walker.text(op.name)
        return text

    def dtype(self, dtype: Any) -> int:
        """The text of a dtype, as told; its name is slow to make."""
        text = self.dtypes[dtype] = self.walker.text(str(dtype))
        return text

    # Where a node stands

    def spot_at(self, frame: int, op: Any) -> Spot:
        """The spot of `op` at the frame of this number."""
        spot = self.spots.get((frame, op))
        if spot is None:
            spot = self.spots[frame, op] = Spot(self, op, self.ops.get(op) or self.op(op), frame)
        return spot

    def find(self, node: Node) -> Spot:
        """The spot of a forward node that is about to run, or has just run."""
        call, op = node.call, node.op
        around = 0
        if call is not None:
            known = self.walker.calls.get(call.id)
            around = self.late(call) if known is None else known
            if call.code is node.code and call.lasti == node.lasti:
                # What a module of the engine's does stands where it was called: the person's frame is outside of it.
                return self.spots.get((around, op)) or self.spot_at(around, op)
        code, lasti = node.code, node.lasti
        site = self.sites.get((id(code), lasti, op))
        if site is not None and site.around == around:
            try:
                frame: FrameType | None = sys._getframe(site.depth)
            except ValueError:
                frame = None  # called in another way, there are fewer frames
            if frame is not None and frame.f_code is code and frame.f_lasti == lasti:
                for other, instruction in site.chain:
                    frame = frame.f_back
                    if frame is None or frame.f_code is not other or frame.f_lasti != instruction:
                        break
                else:
                    return site.spot
        return self._walk(node, 0 if call is None else call.id, around)

    def _walk(self, node: Node, call: int, around: int) -> Spot:
        code, lasti = node.code, node.lasti
        depth, start = 0, sys._getframe(1)
        while start.f_code is not code or start.f_lasti != lasti:
            if start.f_back is None:
                return self.spot_at(self.walker.frame(sys._getframe(1), call), node.op)
            start = start.f_back
            depth += 1
        spot = self.spot_at(self.walker.frame(start, call), node.op)
        # From `find`, which is where the next node is looked for.
        self._know((id(code), lasti, node.op), Site(depth, self._chain(start, call), around, spot))
        return spot

    def _know(self, key: tuple[int, int, Any], site: Site) -> None:
        if len(self.sites) >= SITES:
            self.sites.clear()
        self.sites[key] = site

    def _chain(self, start: FrameType, call: int) -> tuple[tuple[CodeType, int], ...]:
        """The frames around `start`, up to the call of a module or what runs the program."""
        kinds = self.walker.places.kind
        chain = []
        frame = start.f_back
        while frame is not None:
            chain.append((frame.f_code, frame.f_lasti))
            kind = kinds(frame.f_code)
            if kind == OUTSIDE or (kind == MODULE_CALL and call):
                break
            frame = frame.f_back
        return tuple(chain)

    def enter(self, call: ModuleCall, parent: int) -> Called:
        """The kind of a module's call that begins, told now where it is new. For the sink of `module_enter` only."""
        if call.parent is not None and parent not in self.walker.calls:
            self.late(call.parent, 1)
        return self._called(call, self._place_of(call, parent))

    def late(self, call: ModuleCall, inner: int = 0) -> int:
        """Tell of a call that began while nobody looked, and of those around it; where it was called from.

        There are `inner` calls inside it.
        """
        calls = self.walker.calls
        waiting = []
        outer: ModuleCall | None = call
        while outer is not None and outer.id not in calls:
            waiting.append(outer)
            outer = outer.parent
        place = 0
        for index in reversed(range(len(waiting))):
            one = waiting[index]
            parent = 0 if one.parent is None else one.parent.id
            place = self.walker.frame(_outside(inner + index + 1), parent)
            self.outlet.entered(one.id, parent, self._called(one, place), self._now())
        return place

    def depart(self) -> None:
        """Of the module calls that are going on nothing more will be told."""
        calls = self.walker.calls
        for call in reversed(list(calls)):
            self.outlet.left(call, False, self._now())
        calls.clear()

    def _called(self, call: ModuleCall, place: int) -> Called:
        walker = self.walker
        walker.calls[call.id] = place
        key = (call.path, call.cls, place)
        kind = self.calls.get(key)
        if kind is None:
            if len(self.calls) >= CALLS:
                self.calls.clear()
            number = self._kinds = self._kinds + 1
            kind = Called(number, walker.text(call.path), walker.text(call.cls), place)
            self.outlet.definition(kind)
            self.calls[key] = kind
        return kind

    def _place_of(self, call: ModuleCall, parent: int) -> int:
        """The frame where a module was called."""
        walker = self.walker
        kinds = walker.places.kinds
        around = walker.calls.get(parent, 0)
        sink = sys._getframe(2)
        frame = sink.f_back
        if frame is None or frame.f_code is not _CALL:
            return walker.frame(sink, parent, skip=1)  # somebody else tells of it
        frame = frame.f_back
        while frame is not None and kinds.get(id(frame.f_code)) == ENGINE:
            frame = frame.f_back
        if frame is None:
            return walker.frame(sink, parent, skip=1)
        code, lasti = frame.f_code, frame.f_lasti
        if code is _CALL and parent:
            return around  # a module of the engine's called it
        key = (id(code), lasti, None)
        site = self.sites.get(key)
        if site is not None and site.around == around:
            inner: FrameType | None = frame
            for other, instruction in site.chain:
                inner = inner.f_back  # type: ignore[union-attr]
                if inner is None or inner.f_code is not other or inner.f_lasti != instruction:
                    break
            else:
                return site.spot.frame
        place = walker.frame(sink, parent, skip=1)
        self._know(key, Site(0, self._chain(frame, parent), around, Spot(self, None, 0, place)))
        return place

    def remember(self, node: Node, spot: Spot) -> None:
        """Where a forward node stands, for its backward twin, where another tracer has noted its own on the node."""
        self.spot_of[node.id] = spot
        if len(self.spot_of) > REMEMBERED:
            # Graphs of so many nodes are rare; their oldest twins are placed by their line alone.
            for old in list(self.spot_of)[: REMEMBERED // 2]:
                del self.spot_of[old]

    # What kind of node it is

    def like(self, spot: Spot, node: Node) -> Like | None:
        """The kind of a node, told now where it is new. None: there are too many at this spot."""
        back = node.phase == BACKWARD
        likes = spot.backs if back else spot.likes
        outputs = node.outputs
        key = (
            node.shape, node.dtype, node.nbytes, node.saved_bytes, node.phase,
            None if outputs is None else tuple(outputs),
        )  # fmt: skip
        like = likes.get(key)
        if like is None:
            if len(likes) >= KINDS:
                return None
            number = self._kinds = self._kinds + 1
            attrs = simple_attrs(node.attrs) if node.scalars or node.kwargs else NO_ATTRS
            like = Like(number, node, attrs)
            self.outlet.definition(
                Kind(
                    like.number, spot.op, node.phase, node.shape, self.dtypes.get(node.dtype) or self.dtype(node.dtype),
                    spot.frame, node.nbytes, 0 if back else node.saved_bytes, attrs, self.outputs(outputs),
                )
            )  # fmt: skip
            likes[key] = like  # told first: a signal's handler may come between, and do the same op
        if back:
            spot.back = like
        else:
            spot.like = like
        return like

    def outputs(self, outputs: list[Any] | None) -> Any:
        """The shapes and dtypes of several results, as told."""
        if outputs is None or len(outputs) < 2:
            return ()
        known = self.dtypes
        return [
            ((), 0) if output is None else (output[0], known.get(output[1]) or self.dtype(output[1]))
            for output in outputs
        ]


def _outside(calls: int) -> FrameType | None:
    """The frame that made the outermost of so many module calls, counted from where we are."""
    frame: FrameType | None = sys._getframe(1)
    for _ in range(calls):
        while frame is not None and frame.f_code is not _CALL:
            frame = frame.f_back
        frame = None if frame is None else frame.f_back
    return frame
