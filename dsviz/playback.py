"""A recorded run, opened: what a session can be asked, and a position in the past that can be moved.

with dsviz.open("run.dsviz") as run:
    run.graph()                    # all of it
    run.value(12)                  # an array that was kept, or run again from those that were
    stop = run.step_back()         # one node back; graph, memory and stack are those of that moment
    run.reverse_continue()         # to the stop or breakpoint before
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np

from dsviz import events as ev
from dsviz.debuggee.breakpoints import EXCEPTION, LINE, MODULE, NAN, NODE, OP, SHAPE_MISMATCH, Breakpoint
from dsviz.debuggee.view import look
from dsviz.query import iterations, memory
from dsviz.query import node as nodes
from dsviz.query.graph import graph
from dsviz.query.stack import stack
from dsviz.recording.format import Stopped
from dsviz.recording.past import Past, after, before
from dsviz.recording.reader import Reader
from dsviz.recording.replay import Known, NotKeptError, Replay
from dsviz.stop import PAUSED, Source, Stop
from dsviz.store import GraphStore

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

Frames: TypeAlias = tuple[tuple[str, int], ...]  # file and line, outermost first

MOST_VALUES = 4096  # numbers of a value told at once


class Playback:
    """A recording with a position in it. It begins at its end, where everything is known.

    `recording` is a path or an opened Reader. Raises RecordingError with a sentence where it cannot be opened.
    The end of a run that is still going on is `present`: whatever `Past` says is what was, and is labelled so.
    """

    def __init__(self, recording: str | os.PathLike[str] | Reader) -> None:
        self.reader = recording if isinstance(recording, Reader) else Reader(os.fspath(recording))
        self.breakpoints: Sequence[Breakpoint] = ()
        self.present: Stop | None = None  # of a run that still goes on: where it stands now
        self._past = Past(self.reader)
        self._replay = Replay(self.reader)
        self._moves = 0
        self.position = self.reader.count
        self._stop: Stop | None = None

    def close(self) -> None:
        """Let go of the file."""
        self.reader.close()

    def __enter__(self) -> Playback:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = "at its end" if self.at_end else f"in the past: {self.stop.text}"
        return f"<Playback of {os.path.basename(self.reader.path)}, {self.state}, {where}>"

    # What is known

    @property
    def state(self) -> str:
        """How the program ended, "unfinished" where nobody knows, "damaged" where the recording broke off."""
        return self.reader.state

    @property
    def at_end(self) -> bool:
        """Whether the position is the end of the recording."""
        return self.position >= self.reader.count

    @property
    def store(self) -> GraphStore:
        """All that was known at the position."""
        return self._past.store(self.position) if self._stop is None else self._with_pending(self._stop)

    @property
    def stop(self) -> Stop:
        """Where this looks at: the moment in the past, or how the recording ends."""
        if self._stop is not None:
            return self._stop
        last = None
        for stopped in self.reader.stops():
            last = stopped
        if last is not None and last.position >= self.reader.count:
            return last.stop
        reason = self.reader.reason or "The recording ends here."
        return Stop(self.state, state=self.state, text=reason, number=self._moves)

    def stops(self) -> list[Stop]:
        """Where the program stood still, oldest first."""
        return [stopped.stop for stopped in self.reader.stops()]

    # The queries of a session, at the position

    def graph(self) -> dict[str, Any]:
        """The graph as nested plain data, up to the position."""
        return graph(self.store)

    def node(self, node: int) -> dict[str, Any]:
        """What is known of a node. `problem` says why where nothing is."""
        store = self.store
        with store.lock:
            return nodes.describe(store, node)

    def value(self, node: int, index: int | None = None) -> Array:
        """The value of a node, kept or recomputed; see `known` for which.

        Raises NotKeptError (a LookupError) with the reason where it cannot be had.
        """
        return self.known(node, index).array

    def known(self, node: int, index: int | None = None) -> Known:
        """The value of a node and `how` it is known: "kept" or "recomputed"."""
        return self._replay.value(node, self.position, index)

    def inspect(self, node: int) -> dict[str, Any]:
        """A value as a session tells it: shape, statistics, the first numbers, and how it is known."""
        from dsviz.debuggee.inspection import plain as told
        from dsviz.debuggee.summary import summarize

        known = self.known(node)
        array = known.array
        summary = summarize(node, array)
        return {
            "node": node,
            "shape": list(array.shape),
            "dtype": str(array.dtype),
            "nbytes": int(array.nbytes),
            "summary": None
            if summary is None
            else {n: getattr(summary, n) for n in summary.__struct_fields__},
            "values": [told(value) for value in array.reshape(-1)[:MOST_VALUES].tolist()],
            "total": int(array.size),
            "how": known.how,
        }

    def look(self, node: int, index: str = "", kind: str = "") -> dict[str, Any]:
        """The part `[index]` of a value, small enough for a picture. Raises BadIndex where the index does not fit."""
        known = self.known(node)
        return {**look(known.array, index, kind), "how": known.how}

    def iterations(self) -> dict[str, Any]:
        """The iterations: a row each."""
        store = self.store
        with store.lock:
            return iterations.iterations(store)

    def compare(self, a: int, b: int) -> dict[str, Any]:
        """What iteration `b` has that `a` has not, and the reverse."""
        store = self.store
        with store.lock:
            return iterations.compare(store, a, b)

    def memory(self, axis: str = "time") -> dict[str, Any]:
        """The memory timeline up to the position."""
        store = self.store
        with store.lock:
            return memory.timeline(store, axis)

    def output(self) -> str:
        """What the program had printed by then."""
        return "".join(text for stream, text in self.store.output() if stream)

    # Moving

    def at(self, node: int) -> Stop:
        """Go to the moment before `node` ran. Raises LookupError where it is not in the recording."""
        found = self.reader.find(node)
        if found is None or isinstance(found[1], ev.Leaf):
            what = "is a tensor that no op made" if found else "is not in this recording"
            raise LookupError(f"Node {node} {what}; go to a node that ran.")
        return self._arrive(found[0], found[1], "go to")

    def near(self, node: int) -> Stop:
        """`at`, or for a tensor that no op made the moment before the node that ran next."""
        found = self.reader.find(node)
        if found is None or not isinstance(found[1], ev.Leaf):
            return self.at(node)
        following = after(self.reader, found[0], _ran)
        return self.end() if following is None else self._arrive(*following, "go to")

    def step_back(self) -> Stop:
        """Go to the node before. At the first one it stays there and says so."""
        found = before(self.reader, self.position, _ran)
        if found is None:
            return self._beginning()
        return self._arrive(*found, "step back")

    def reverse_continue(self) -> Stop:
        """Go back to the latest stop or breakpoint hit before the position, else to the first node."""
        earlier = [moment for moment in self._moments() if moment[0] < self.position]
        stop = max(earlier, key=lambda moment: moment[0], default=None)
        hit = before(self.reader, self.position, self._hit) if self._armed() else None
        if hit is not None and (stop is None or hit[0] > stop[0]):
            return self._arrive(*hit, "breakpoint")
        if stop is not None:
            return self._arrive_at_stop(*stop)
        return self._beginning()

    def next(self) -> Stop:
        """Go one node on; at the last one, to the end."""
        found = after(self.reader, self.position + 1, _ran)
        return self.end() if found is None else self._arrive(*found, "step")

    def resume(self) -> Stop:
        """Go on to the next stop or breakpoint hit, else to the end."""
        later = [moment for moment in self._moments() if self.position < moment[0] < self.reader.count]
        stop = min(later, key=lambda moment: moment[0], default=None)
        hit = after(self.reader, self.position + 1, self._hit) if self._armed() else None
        if hit is not None and (stop is None or hit[0] < stop[0]):
            return self._arrive(*hit, "breakpoint")
        return self.end() if stop is None else self._arrive_at_stop(*stop)

    def over(self) -> Stop:
        """Go on to the next node of this module or of one around it."""
        depth = self._replay.depth_of(self._call)
        return self._on(lambda event: self._replay.depth_of(event.call) <= depth)

    def out(self) -> Stop:
        """Go on to the first node after this module."""
        depth = self._replay.depth_of(self._call)
        return self._on(lambda event: self._replay.depth_of(event.call) < depth)

    def next_line(self) -> Stop:
        """Go on to the next line of this function, or of its callers, that runs an op."""
        here = self._replay.stack_of(self.stop.pending.get("frame", 0))
        return self._on(lambda event: _another_line(here, self._replay.stack_of(event.frame)))

    def next_iteration(self) -> Stop:
        """Go on to the first node of the next iteration."""
        now = self.stop.iteration
        return self._on(lambda event: event.iteration > now)

    def line(self, file: str, line: int) -> Stop:
        """Go on to the next node of a line."""
        wanted = os.path.realpath(file)

        def there(event: ev.Op | ev.Failed) -> bool:
            path, number = self._replay.line_of(event.frame)
            return not event.phase and number == line and os.path.realpath(path) == wanted

        return self._on(there)

    @property
    def _call(self) -> int:
        return int(self.stop.pending.get("call", 0))

    def _on(self, wanted: Callable[[ev.Op | ev.Failed], bool]) -> Stop:
        def chosen(event: ev.AnyEvent) -> bool:
            return isinstance(event, ev.Op | ev.Failed) and wanted(event)

        found = after(self.reader, self.position + 1, chosen)
        return self.end() if found is None else self._arrive(*found, "step")

    def end(self) -> Stop:
        """Go to the end of the recording."""
        self.position, self._stop = self.reader.count, None
        self._moves += 1
        return self.stop

    def _moments(self) -> list[tuple[int, Stop]]:
        """Where the program stood still, as positions; not where it stands now."""
        now = self.present.number if self.present is not None and self.present.state == PAUSED else None
        return [
            self._moment_of_stop(stopped) for stopped in self.reader.stops() if stopped.stop.number != now
        ]

    def _moment_of_stop(self, stopped: Stopped) -> tuple[int, Stop]:
        # Between a stop before a node and that node's record lie the leaves it takes: one moment all the same.
        stop = stopped.stop
        if stop.node and stop.position == "node" and stop.reason != "nan":
            found = self.reader.find(stop.node)
            if found is not None and found[0] >= stopped.position:
                return found[0], stop
        return stopped.position, stop

    def _arrive_at_stop(self, position: int, stop: Stop) -> Stop:
        self._moves += 1
        self.position = position
        self._stop = replace(
            stop, text=f"In the past: {stop.text[:1].lower()}{stop.text[1:]}", past=True, number=-self._moves
        )
        return self._stop

    def _beginning(self) -> Stop:
        found = after(self.reader, 0, _ran)
        if found is None:
            self.position = 0
            self._moves += 1
            self._stop = Stop(
                "start", text="In the past: no node had run yet.", past=True, number=-self._moves
            )
            return self._stop
        return self._arrive(*found, "start")

    def _arrive(self, position: int, event: ev.AnyEvent, reason: str) -> Stop:
        assert isinstance(event, ev.Op | ev.Failed)
        self._moves += 1
        self.position = position
        store = self._past.store(position)
        with store.lock:
            frame = store.frames.get(event.frame)
            path = store.text(frame.file) if frame is not None else ""
            op = store.text(event.op)
            store.expect(_pending(event))
            around = stack(store, event.node)
        label = op + "'" if event.phase == ev.BACKWARD else op
        first = ", the first node" if reason == "start" else ""
        self._stop = Stop(
            reason=reason,
            node=event.node,
            source=Source(path, frame.line) if frame is not None and path else None,
            op=op,
            phase=event.phase,
            module=around["modules"][0]["path"] if around["modules"] else "",
            text=f"In the past: before {label} (node {event.node}){first}",
            iteration=event.iteration,
            pending=_fields(event, store),
            modules=tuple(around["modules"]),
            frames=tuple(around["frames"]),
            file=frame.file if frame is not None else 0,
            number=-self._moves,
            past=True,
        )
        return self._stop

    def _with_pending(self, stop: Stop) -> GraphStore:
        store = self._past.store(self.position)
        if stop.pending and store.pending != stop.node and stop.node not in store.nodes:
            found = self.reader.find(stop.node)
            if found is not None and isinstance(found[1], ev.Op | ev.Failed):
                store.expect(_pending(found[1]))
        return store

    # Breakpoints, asked of what was recorded

    def _armed(self) -> list[Breakpoint]:
        """The breakpoints that records can answer: those without a condition, which nothing here executes."""
        kinds = (LINE, OP, MODULE, NODE, NAN, EXCEPTION, SHAPE_MISMATCH)
        return [
            b for b in self.breakpoints if b.enabled and not b.condition and not b.log and b.kind in kinds
        ]

    def _hit(self, event: ev.AnyEvent) -> bool:
        return isinstance(event, ev.Op | ev.Failed) and any(self._hits(b, event) for b in self._armed())

    def _bad(self, node: int) -> bool:
        summary = self._replay.summary(node)
        return summary is not None and summary.nans + summary.infs > 0

    def _hits(self, breakpoint: Breakpoint, event: ev.Op | ev.Failed) -> bool:
        kind = breakpoint.kind
        if kind == NODE:
            return event.node == breakpoint.node
        if kind == OP:
            return self._replay.text(event.op) + "'" * (event.phase == ev.BACKWARD) == breakpoint.name
        if kind == MODULE:
            return breakpoint.name in self._replay.enters(event.node)
        if kind == LINE:
            if event.phase:
                return False
            path, line = self._replay.line_of(event.frame)
            return line == breakpoint.line and os.path.realpath(path) == breakpoint.file
        if kind == NAN:
            return self._bad(event.node) and not any(self._bad(source) for source in event.inputs)
        if isinstance(event, ev.Failed):
            return (event.error == "ShapeMismatchError") == (kind == SHAPE_MISMATCH)
        return False


def _another_line(here: Frames, there: Frames) -> bool:
    """Whether `there` is in the function of `here`, or in one that called it, and on another line of it."""
    return (
        0 < len(there) <= len(here)
        and there[:-1] == here[: len(there) - 1]
        and there[-1] != here[len(there) - 1]
    )


def _ran(event: ev.AnyEvent) -> bool:
    return isinstance(event, ev.Op | ev.Failed)


def _pending(event: ev.Op | ev.Failed) -> ev.Op:
    """The record of a node that has not run yet at this moment."""
    twin = event.twin if isinstance(event, ev.Op) else 0
    return ev.Op(
        event.node, event.op, event.phase, event.inputs, (), 0, event.call, event.frame, twin, event.iteration,
        0, 0, 0, 0, event.attrs,
    )  # fmt: skip


def _fields(event: ev.Op | ev.Failed, store: GraphStore) -> dict[str, Any]:
    shapes = []
    for source in event.inputs:
        made = store.nodes.get(source)
        shapes.append(list(made.shape) if isinstance(made, ev.Op | ev.Leaf) else [])
    return {
        "node": event.node,
        "op": event.op,
        "phase": event.phase,
        "inputs": list(event.inputs),
        "shapes": shapes,
        "call": event.call,
        "frame": event.frame,
        "twin": event.twin if isinstance(event, ev.Op) else 0,
        "iteration": event.iteration,
        "attrs": nodes.plain(event.attrs),
    }


__all__ = ["Known", "NotKeptError", "Playback"]
