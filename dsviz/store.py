"""Everything a run has told, indexed: nodes, structure, buffers, output, iterations, in a bounded window."""

from __future__ import annotations

import linecache
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dsviz import events as ev
from dsviz.iterated import IterationRecord, Ways
from dsviz.query.memory import MemoryLog
from dsviz.query.parts import Path, Record, Slot
from dsviz.query.structure import Structure

WINDOW = 50_000  # nodes kept besides the newest of every place; the recording has the older ones
OUTPUT_HEAD = 200_000  # characters of the program's output kept from its beginning
OUTPUT_TAIL = 800_000  # and from its end
BANDS = ITERATIONS = 4096
TRAIL = 4096  # nodes of one iteration whose slots are kept in their order
CHANGES = 4  # of the live bytes that are kept one by one, for each node of the window
MARKS = 20_000  # of the events that are listed: modules, branches, turns, failures


@dataclass(slots=True)
class Band:
    """A stretch of one phase: nanoseconds and node counts."""

    phase: int
    iteration: int
    start: int
    end: int
    first: int
    last: int


class GraphStore:
    """What is known of one run.

    `feed` takes events in the order they happened. Readers hold `lock` while they look. `version`
    grows with every change. `read(path)` gives a file of the program as text, or None.

    >>> store = GraphStore()
    >>> store.feed(ev.Text(1, "matmul"))
    >>> store.text(1)
    'matmul'
    """

    def __init__(
        self, window: int = WINDOW, read: Callable[[str], str | None] | None = None, run: int = 1
    ) -> None:
        self._window = window
        self.read = read or read_file
        self.lock = threading.RLock()
        self.run = run - 1
        self.begin()

    def begin(
        self,
        script: str = "",
        args: Sequence[str] = (),
        pid: int = 0,
        python: str = "",
        level: int = 1,
    ) -> None:
        """Forget everything: a new run of the program starts."""
        with self.lock:
            self.run += 1
            self.script = script
            self.args = list(args)
            self.pid = pid
            self.python = python
            self.level = level
            self.version = 0
            self.events = 0
            self.count = 0  # nodes that ran, dropped ones included
            self.dropped = 0
            self.overhead: float | None = (
                None  # share of the time that tracing takes, percent; None: not known
            )
            self.core: str | None = None  # why the program follows its ops in Python; "": it does not
            self.time = 0
            self.texts: dict[int, str] = {}
            self.nodes: dict[int, Record] = {}
            self.structure = Structure(self.texts, self.read)
            self.frames = self.structure.frames
            self.calls = self.structure.calls
            self.pins: dict[int, int] = {}
            self.pending = 0
            self.untold: dict[
                int, Path
            ] = {}  # slot -> the turn in which its node was expected and never told
            self.memory = MemoryLog()
            self.window = self._window
            self.summaries: OrderedDict[int, ev.Summary] = OrderedDict()
            self.gradients: OrderedDict[int, ev.GradientReady] = OrderedDict()
            self.backward_of: dict[int, int] = {}
            self.kept: OrderedDict[int, None] = OrderedDict()  # nodes whose value a recording has
            self.switches: dict[tuple[str, str], bool] = {}
            self.iterations: deque[IterationRecord] = deque(maxlen=ITERATIONS)
            self.bands: deque[Band] = deque(maxlen=BANDS)
            self.marks: deque[tuple[int, int, ev.Event]] = deque(maxlen=MARKS)
            self.failures: list[ev.Failed] = []
            self.uncaught: list[ev.Uncaught] = []
            self.gaps: list[ev.Gap] = []
            self.output_head: list[tuple[int, str]] = []
            self.output_tail: deque[tuple[int, str]] = deque()
            self.output_head_size = 0
            self.output_tail_size = 0
            self.output_cut = 0  # characters lost between head and tail
            self.output_written = 0  # characters
            self._files: list[int] = []
            self._files_known: set[int] = set()
            self._band: Band | None = None
            self._iteration: IterationRecord | None = None
            self._ways: Ways = OrderedDict()
            self._evict = 0
            self._held: dict[int, int] = {}  # slot -> its newest node, where that is older than the window
            self._handlers: dict[type, Callable[[Any], None]] = {
                ev.Text: self._text,
                ev.Frame: self._frame,
                ev.Site: self._site,
                ev.Branch: self._branch,
                ev.LoopTurn: self._turn,
                ev.ModuleEntered: self._entered,
                ev.ModuleLeft: self._left,
                ev.Leaf: self._leaf,
                ev.Op: self._op,
                ev.Failed: self._failed,
                ev.Summary: self._summary,
                ev.Allocated: self._allocated,
                ev.Recategorised: self._recategorised,
                ev.Released: self._released,
                ev.GradientReady: self._gradient,
                ev.Iteration: self._iterate,
                ev.Loss: self._loss,
                ev.Switched: self._switched,
                ev.Level: self._level,
                ev.Output: self._output,
                ev.Uncaught: self._uncaught,
                ev.Thread: self._thread,
                ev.Gap: self._gap,
                ev.Value: self._value,
                ev.Recipe: self._recipe,
            }

    # -- reading --------------------------------------------------------------------------------

    def text(self, id: int) -> str:
        """The interned text `id`, "" where it is not known."""
        return self.texts.get(id, "")

    @property
    def files(self) -> list[int]:
        """The program's own files, by their text number, in order of appearance."""
        return list(self._files)

    def recent(self) -> list[ev.Op]:
        """The latest nodes that ran, oldest first, with none missing between them."""
        held = set(self._held.values())
        return [
            record
            for node, record in self.nodes.items()
            if isinstance(record, ev.Op) and node != self.pending and node not in held
        ]

    @property
    def failure(self) -> ev.Failed | None:
        """The latest node that raised."""
        return self.failures[-1] if self.failures else None

    def switched_off(self, slot: Slot) -> bool:
        """Whether tracing is off for what stands at a slot."""
        if not self.switches:
            return False
        if self.switches.get(("op", self.text(slot.op))) is False:
            return True
        frame = self.structure.frames.get(getattr(slot.record, "frame", 0))
        if frame and self.switches.get(("place", f"{self.text(frame.file)}:{frame.line}")) is False:
            return True
        module = slot.group.module
        while module:
            if self.switches.get(("module", module)) is False:
                return True
            module = module.rpartition(".")[0]
        return False

    def output(self, since: int = 0) -> list[tuple[int, str]]:
        """What the program wrote after its first `since` characters: (stream, text).

        The middle of a flood is not kept; a label stands there (stream 0).
        """
        pieces: list[tuple[int, str]] = []
        at = 0
        for stream, text in self.output_head:
            if at + len(text) > since:
                pieces.append((stream, text[max(since - at, 0) :]))
            at += len(text)
        if self.output_cut:
            if at + self.output_cut > since:
                pieces.append((0, cut_label(at + self.output_cut - max(since, at))))
            at += self.output_cut
        for stream, text in self.output_tail:
            if at + len(text) > since:
                pieces.append((stream, text[max(since - at, 0) :]))
            at += len(text)
        return pieces

    # -- changing -------------------------------------------------------------------------------

    def feed(self, event: ev.Event) -> None:
        """Take in one event."""
        with self.lock:
            self.events += 1
            self.version += 1
            self._handlers[type(event)](event)

    def feed_many(self, events: Iterable[ev.Event]) -> None:
        """Take in many events at once; cheaper than one by one."""
        handlers = self._handlers
        with self.lock:
            before = self.events
            for event in events:
                self.events += 1
                handlers[type(event)](event)  # each may ask how many there were
            self.version += self.events - before

    @property
    def window(self) -> int:
        """Nodes kept besides the newest of every place."""
        return self._window

    @window.setter
    def window(self, nodes: int) -> None:
        self._window = nodes
        self._most = nodes + nodes // 64  # they are dropped some at a time
        self.structure.window, self.memory.limit = nodes, nodes * CHANGES

    @property
    def latest(self) -> list[int]:
        """The nodes from the oldest on from which on all are held, as they came: of what was before, only the newest of each place is."""
        return self.structure.order[self._evict :]

    def skip(self, nodes: int) -> None:
        """So many nodes ran of which nothing is kept."""
        with self.lock:
            self.count += nodes
            self.dropped += nodes

    def pin(self, group: int, index: int | None) -> None:
        """Show turn `index` of a loop; None follows the program again."""
        with self.lock:
            if index is None:
                self.pins.pop(group, None)
            else:
                self.pins[group] = index
            self.version += 1

    def expect(self, op: ev.Op | None) -> Slot | None:
        """The node that is about to run, at a stop; it gets its slot now. None: nothing is pending.

        One that was expected before and of which nothing was told since ran untraced: it is no node of the graph.
        """
        with self.lock:
            self.version += 1
            if self.pending and (op is None or op.node != self.pending):
                self._pass_untold()
            if op is None:
                return None
            self.pending = op.node
            self.nodes[op.node] = op
            return self.structure.place(op)

    def go_on(self, traced: bool) -> None:
        """The program goes on from its stop: of a node that is not `traced`, or switched off, nothing will be told."""
        with self.lock:
            slot = self.structure.slot_of.get(self.pending)
            if slot is not None and not (traced and not self.switched_off(slot)):
                self.version += 1
                self._pass_untold()

    def _pass_untold(self) -> None:
        node, self.pending = self.pending, 0
        self._touch(node)
        slot, path = self.structure.slot_of.get(node), self.structure.path_of.get(node)
        if slot is None or path is None:
            return
        del self.nodes[node]
        self.structure.forget(node)
        slot.count -= 1
        self.untold[slot.id] = path
        before = next(reversed(slot.bindings.values()), 0)
        if before in self.nodes:
            slot.record, slot.last = self.nodes[before], before

    def _touch(self, node: int) -> None:
        slot = self.structure.slot_of.get(node)
        if slot is not None:
            for slots, _ in self.structure.watchers:
                slots.add(slot)

    def _text(self, event: ev.Text) -> None:
        self.texts[event.id] = event.text

    def _frame(self, event: ev.Frame) -> None:
        self._file(event.file)
        self.structure.add_frame(event)

    def _file(self, file: int) -> None:
        if file not in self._files_known:
            self._files_known.add(file)
            self._files.append(file)

    def _site(self, event: ev.Site) -> None:
        self._file(event.file)
        self.structure.add_site(event)

    def _branch(self, event: ev.Branch) -> None:
        self.structure.decide(event)
        self.marks.append((self.events, event.time, event))

    def _turn(self, event: ev.LoopTurn) -> None:
        self.structure.turn(event)
        self.marks.append((self.events, event.time, event))

    def _entered(self, event: ev.ModuleEntered) -> None:
        self.structure.enter(event)
        self.marks.append((self.events, event.time, event))

    def _left(self, event: ev.ModuleLeft) -> None:
        self.structure.leave(event.call)
        self.marks.append((self.events, event.time, event))

    def _leaf(self, event: ev.Leaf) -> None:
        self.nodes[event.node] = event
        self.structure.add_leaf(event)

    def _op(self, event: ev.Op) -> None:
        node, phase, number = event.node, event.phase, event.iteration
        self.nodes[node] = event
        slot = self.structure.place(event)
        if self._held:
            self._release(slot)
        if node == self.pending:
            self.pending = 0
        self.count += 1
        duration = event.duration
        slot.busy += duration
        end = event.start + duration
        self.time = end
        band = self._band
        if band is None or band.phase != phase or band.iteration != number:
            band = self._begin_band(event)
        band.end = end
        band.last = self.count
        iteration = self._iteration
        if iteration is None or iteration.index != number:
            iteration = self._begin_iteration(number, event.start)
        iteration.busy += duration
        iteration.end = end
        iteration.trail.append(slot.id)
        if len(iteration.trail) >= TRAIL:
            iteration.fold()
        if event.twin:
            self.backward_of[event.twin] = node
            if phase == 1 and not iteration.loss:
                iteration.loss = event.twin
        if len(self.nodes) - len(self._held) > self._most:
            self._drop()

    def _begin_band(self, event: ev.Op) -> Band:
        self._band = band = Band(
            event.phase, event.iteration, event.start, event.start, self.count, self.count
        )
        self.bands.append(band)
        return band

    def _begin_iteration(self, index: int, start: int) -> IterationRecord:
        before = self._iteration
        if before is not None and before.trail:
            before.fold(self._ways)
        self._iteration = record = IterationRecord(index, start, self.count)
        self.iterations.append(record)
        return record

    def _drop(self) -> None:
        """Forget the oldest nodes, but for the newest of each place: the graph is whole however long a run takes."""
        nodes, held, backward_of = self.nodes, self._held, self.backward_of
        structure = self.structure
        order, slot_of, forget = structure.order, structure.slot_of, structure.forget
        at, end, room = self._evict, len(order), self.window
        while at < end and len(nodes) - len(held) > room:
            node = order[at]
            at += 1
            record = nodes.get(node)
            if record is None or (type(record) is ev.Leaf and record.role == "parameter"):
                continue
            slot = slot_of.get(node)
            if slot is not None and slot.last == node:
                self._release(slot)
                held[slot.id] = node
                continue
            del nodes[node]
            forget(node)
            if node in backward_of:
                del backward_of[node]
            self.dropped += 1
        self._evict = at
        if at > room:
            del order[:at]
            structure.order_dropped += at
            self._evict = 0

    def _release(self, slot: Slot) -> None:
        """What was held as a place's newest node is that no more."""
        node = self._held.get(slot.id)
        if node is not None and node != slot.last:
            del self._held[slot.id]
            self._forget(node)

    def _forget(self, node: int) -> None:
        del self.nodes[node]
        self.structure.forget(node)
        self.backward_of.pop(node, None)
        self.dropped += 1

    def _failed(self, event: ev.Failed) -> None:
        self.nodes[event.node] = event
        self.structure.place(event)
        self.failures.append(event)
        del self.failures[:-100]
        if event.node == self.pending:
            self.pending = 0
        self.marks.append((self.events, event.time, event))

    def _summary(self, event: ev.Summary) -> None:
        self.summaries[event.node] = event
        if len(self.summaries) > self.window:
            self.summaries.popitem(last=False)
        self._touch(event.node)

    def _allocated(self, event: ev.Allocated) -> None:
        self.memory.allocated(event, self.count)

    def _recategorised(self, event: ev.Recategorised) -> None:
        self.memory.recategorised(event, self.count)

    def _released(self, event: ev.Released) -> None:
        self.memory.released(event, self.count)

    def _gradient(self, event: ev.GradientReady) -> None:
        self.gradients[event.leaf] = event
        self.gradients.move_to_end(event.leaf)
        if len(self.gradients) > self.window:
            self.gradients.popitem(last=False)
        self._touch(event.leaf)

    def _iterate(self, event: ev.Iteration) -> None:
        before = self._iteration
        if before is None or before.index != event.index:
            if before is not None and not before.nodes:
                before.end = event.time  # nothing of it was traced, but how long it took is known
            self._begin_iteration(event.index, event.time)
        self.time = max(self.time, event.time)
        self.marks.append((self.events, event.time, event))

    def _loss(self, event: ev.Loss) -> None:
        record = self._iteration
        if record is None or record.index != event.iteration:
            record = self._begin_iteration(event.iteration, event.time)
        if record.value is None:
            record.value, record.loss = event.value, event.node
        record.end = max(record.end, event.time)

    def _switched(self, event: ev.Switched) -> None:
        self.switches[event.target, event.name] = event.on
        for slot in self.structure.slots:
            for slots, _ in self.structure.watchers:
                slots.add(slot)

    def _level(self, event: ev.Level) -> None:
        self.level = event.level
        if not event.level:
            self.structure.depart()
        self.marks.append((self.events, event.time, event))

    def _output(self, event: ev.Output) -> None:
        text = event.text
        self.output_written += len(text)
        room = OUTPUT_HEAD - self.output_head_size
        if room > 0 and not self.output_tail:
            self.output_head.append((event.stream, text[:room]))
            self.output_head_size += min(room, len(text))
            text = text[room:]
        if not text:
            return
        self.output_tail.append((event.stream, text))
        self.output_tail_size += len(text)
        while self.output_tail_size > OUTPUT_TAIL and self.output_tail:
            stream, old = self.output_tail.popleft()
            excess = self.output_tail_size - OUTPUT_TAIL
            lost = min(excess, len(old))
            self.output_cut += lost
            self.output_tail_size -= lost
            if lost < len(old):
                self.output_tail.appendleft((stream, old[lost:]))

    def _uncaught(self, event: ev.Uncaught) -> None:
        self.uncaught.append(event)
        del self.uncaught[:-100]
        self.marks.append((self.events, event.time, event))

    def _thread(self, event: ev.Thread) -> None:
        self.structure.switch_thread(event.id)

    def _value(self, event: ev.Value) -> None:
        if event.key:
            self.kept[event.node] = None
            if len(self.kept) > self.window:
                self.kept.popitem(last=False)

    def _recipe(self, event: ev.Recipe) -> None:
        """Only a recording has use for it."""

    def _gap(self, event: ev.Gap) -> None:
        self.gaps.append(event)
        del self.gaps[:-1000]
        self.marks.append((self.events, event.time, event))


def cut_label(lost: int) -> str:
    """The line that stands where output was cut."""
    return f"\n[{lost:,} characters are not kept]\n"


def read_file(path: str) -> str | None:
    """A source text from this machine, also of notebook cells; None where there is none."""
    try:
        lines = linecache.getlines(path)
    except ValueError:  # no name a file can have
        return None
    return "".join(lines) if lines else None
