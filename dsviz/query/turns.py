"""Which turn every loop is in: from the program's announcements, or inferred where it makes none."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from dsviz.events import Frame, ModuleEntered, Site
from dsviz.query.sites import LOOPS, Sites

DEEPEST = 64  # executions of one loop that may be active at a time: recursion, and loops whose end was lost

stamps = count(1)  # never the same twice: two threads' turns are told apart by it


class Thread:
    """Where one thread of the program is: its module calls, active loops and latest decisions."""

    __slots__ = ("active", "calls", "decided", "first", "frame", "inferred", "outside", "position", "stamp")

    def __init__(self, id: int = 0) -> None:
        self.outside = (
            -2 - id if id else 0
        )  # stands for no module call: what two threads do there is no repetition
        self.active: dict[int, list[int]] = {}  # site -> turn of each active execution, innermost last
        self.calls: list[int] = []
        self.decided: dict[int, bool] = {}
        self.stamp = next(stamps)
        self.position: tuple[int, int] = (0, 0)  # call and frame of the latest node
        self.first = -1  # what ran first at that position
        self.inferred: list[tuple[int, int, int]] = []  # (depth, site, turn)

    def turn(self, site: int, index: int) -> None:
        """The loop at `site` begins turn `index`, or was left (-1)."""
        stack = self.active.get(site)
        if index < 0:
            if stack:
                stack.pop()
        elif not stack:
            self.active[site] = [index]
        elif index == 0:
            stack.append(0)
            if len(stack) > DEEPEST:
                del stack[0]
        else:
            stack[-1] = index
        self.stamp = next(stamps)


class Inference:
    """Turns of loops that nobody announces.

    The same instruction of one activation cannot run twice without a loop, so a node whose code offset
    is not beyond that of the node before begins a turn of the innermost loop around both.
    """

    def __init__(self, frames: dict[int, Frame], calls: dict[int, ModuleEntered], sites: Sites) -> None:
        self.frames = frames
        self.calls = calls
        self.sites = sites
        self.function: Callable[[int], str] = str
        self._chains: dict[int, list[Frame]] = {}

    def move(self, thread: Thread, call: int, frame: int, what: int) -> None:
        """`thread` runs a node from `frame` within module call `call`; `what` tells apart what runs there."""
        position = (call, frame)
        if position == thread.position:
            entered = self.calls.get(call)
            if what != thread.first or (entered is not None and entered.frame == frame):
                return  # what the engine's own modules do, however often, stands where they were called
            steps = self._steps(call, frame)
            level = self._last_frame(steps, len(steps))
            self._turn(thread, steps, level, self._innermost(steps, level, None))
            return
        before = self._steps(*thread.position)
        steps = self._steps(call, frame)
        thread.position = position
        thread.first = what
        at = 0
        for old, new in zip(before, steps, strict=False):
            if old is not new and old != new:
                break
            at += 1
        level, loop = -1, None
        if at < len(before) and at < len(steps):
            level, loop = self._repeated(before, steps, at)
        self._turn(thread, steps, level, loop, shared=at)

    def _repeated(
        self, before: list[Frame | int], steps: list[Frame | int], at: int
    ) -> tuple[int, Site | None]:
        old, new = before[at], steps[at]
        if isinstance(old, Frame) and isinstance(new, Frame):
            if (old.file, old.function) != (new.file, new.function):
                return -1, None
            if new.lasti > old.lasti:
                return -1, None
            loop = self._innermost(steps, at, old.line)
            if loop is not None:
                return at, loop
        elif isinstance(old, int) and isinstance(new, int):
            if self.calls[old].path != self.calls[new].path:
                return -1, None  # a container calls its parts, one after the other
        else:
            return -1, None
        # The function was called again from the same instruction: a loop further out.
        level = self._last_frame(steps, at)
        while level >= 0:
            loop = self._innermost(steps, level, None)
            if loop is not None:
                return level, loop
            level = self._last_frame(steps, level)
        return -1, None

    def _turn(
        self, thread: Thread, steps: list[Frame | int], level: int, loop: Site | None, shared: int = 1 << 30
    ) -> None:
        known = {(depth, site): turn for depth, site, turn in thread.inferred}
        now: list[tuple[int, int, int]] = []
        fresh = False
        for depth, step in enumerate(steps):
            if not isinstance(step, Frame):
                continue
            for site in self._loops(step):
                turn = 0 if fresh or depth > shared else known.get((depth, site.id), 0)
                if loop is not None and depth == level and site.id == loop.id:
                    turn += 1
                    fresh = True
                now.append((depth, site.id, turn))
        if now == thread.inferred:
            return
        for _, site_id, _ in thread.inferred:
            thread.active.pop(site_id, None)
        for _, site_id, turn in now:
            thread.active.setdefault(site_id, []).append(turn)
        thread.inferred = now
        thread.stamp = next(stamps)

    def _loops(self, frame: Frame) -> list[Site]:
        around, _ = self.sites.around(frame.file, frame.line, self.function(frame.function))
        return [site for site, _ in around if site.id < 0 and site.construct in LOOPS]

    def _innermost(self, steps: list[Frame | int], level: int, other: int | None) -> Site | None:
        if level < 0:
            return None
        frame = steps[level]
        assert isinstance(frame, Frame)
        found = None
        for site in self._loops(frame):
            if other is None or min(site.line, site.body[0]) <= other <= site.body[1]:
                found = site
        return found

    @staticmethod
    def _last_frame(steps: list[Frame | int], before: int) -> int:
        for level in range(before - 1, -1, -1):
            if isinstance(steps[level], Frame):
                return level
        return -1

    def _steps(self, call: int, frame: int) -> list[Frame | int]:
        """Frames and module calls on the way to a node, outermost first."""
        calls: list[ModuleEntered] = []
        while call and (entered := self.calls.get(call)) is not None and len(calls) < 500:
            calls.append(entered)
            call = entered.parent
        steps: list[Frame | int] = []
        frames = self.chain(frame)
        done = 0
        for entered in reversed(calls):
            upto = len(self.chain(entered.frame))
            if upto > done:
                steps.extend(frames[done:upto])
                done = upto
            steps.append(entered.call)
        steps.extend(frames[done:])
        return steps

    def chain(self, frame: int) -> list[Frame]:
        """The frames from the outermost to `frame`."""
        found = self._chains.get(frame)
        if found is None:
            found = []
            at = frame
            while at and (record := self.frames.get(at)) is not None and len(found) < 2000:
                found.append(record)
                at = record.parent
            found.reverse()
            self._chains[frame] = found
        return found
