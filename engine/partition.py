"""A big graph split into parts that run side by side: `ds.partition(trace, k)`.

Chains of nodes are merged, so that nothing is cut that has nothing to run beside it; the chains are given to `k`
lanes by list scheduling (the longest way to the end first, each to the lane where it can finish first, counting
the bytes that would have to travel; fewer than `k` lanes where that is faster), as in Topcuoglu et al. 2002, HEFT. A lane's nodes form segments that wait only for
what other lanes send them. Segments are plain data: any `concurrent.futures.Executor` runs them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.located import located
from engine.program import Call, Program, Ref, program, run_calls
from engine.tensor import Tensor
from engine.trace import Graph

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

# Seconds for a byte that goes from one lane to another, and for handing over a segment: those of threads that
# share memory. An executor of processes has to pickle; give `partition` its own figures.
SECONDS_A_BYTE, SECONDS_A_SEGMENT = 2e-10, 5e-5


@dataclass
class Segment:
    """Calls that run one after the other in one lane. `needs` are segments that come before it."""

    lane: int
    calls: list[Call]
    needs: set[int] = field(default_factory=set)
    takes: list[Ref] = field(default_factory=list)  # values from outside
    gives: list[Ref] = field(default_factory=list)  # values that somebody outside uses


@dataclass
class Timing:
    """What a run took: seconds in all, and seconds in which `lanes` worked added up."""

    seconds: float
    busy: float

    @property
    def overlap(self) -> float:
        """How many segments ran at once, on average."""
        return self.busy / self.seconds if self.seconds else 0.0


everywhere: weakref.WeakSet[Partition] = weakref.WeakSet()  # those that are alive, for the debugger


class Partition:
    """A graph in `k` parts. Made by `partition`.

    `lane_of` tells each node's part, `cut` the (from, to) nodes of different parts, `cut_bytes` what goes between them,
    `costs` the seconds of each part, `predicted` how many times faster than unsplit the schedule would be.
    `last` is the `Timing` of the last run.
    """

    def __init__(
        self, source: Program, lanes: int, lane_of: dict[int, int], costs: dict[int, float],
        sizes: dict[int, int], makespan: float,
    ) -> None:  # fmt: skip
        everywhere.add(self)
        self.lanes = lanes
        self.lane_of = lane_of
        self.costs = [sum(costs[n] for n, lane in lane_of.items() if lane == k) for k in range(lanes)]
        self.cut = [
            (arg.number, call.number)
            for call in source.calls
            for arg in call.args
            if isinstance(arg, Ref) and lane_of.get(arg.number, lane_of[call.number]) != lane_of[call.number]
        ]
        self.cut_bytes = sum(sizes[number] for number in {a for a, _ in self.cut})
        self.predicted = sum(self.costs) / makespan if makespan else 1.0
        self.segments = segments(source, lane_of)
        self.last: Timing | None = None
        self._source = source

    def run(
        self, inputs: Mapping[Any, Any] | None = None, executor: Executor | None = None
    ) -> dict[Ref, Any]:
        """Run the graph again, segments side by side, and give its results (arrays, by node).

        `inputs` replaces leaves: keys are node numbers or the tensors that were used, values are arrays or tensors
        of the same shape and dtype. `executor` is any `concurrent.futures.Executor` (threads of its own if none).

        Raises `KeyError` for an input that is no leaf of the graph and `ValueError` for another shape or dtype.
        What a segment raises is raised here, and no further segment is started.
        """
        given = {Ref(number): array for number, array in self._source.given.items()}
        for key, value in (inputs or {}).items():
            number, array = self._leaf(key), _array(value)
            old = self._source.given[number]
            if (array.shape, array.dtype) != (old.shape, old.dtype):
                raise located(
                    ValueError(
                        f"leaf {number} takes {list(old.shape)} {old.dtype}, got {list(array.shape)} {array.dtype}: "
                        "a partition is of the shapes that were traced"
                    )
                )
            given[Ref(number)] = array
        if executor is None:
            from concurrent.futures import ThreadPoolExecutor  # slow to load; `import dsviz` does without

            with ThreadPoolExecutor(self.lanes) as own:
                return self._run(given, own.submit)
        return self._run(given, executor.submit)

    def _leaf(self, key: Any) -> int:
        number = key.node.id if isinstance(key, Tensor) else key
        if number not in self._source.given:
            raise KeyError(
                f"{key!r} is no leaf of this graph; there are the nodes {sorted(self._source.given)[:20]}"
            )
        return int(number)

    def _run(self, values: dict[Ref, Any], submit: Callable[..., Future[Any]]) -> dict[Ref, Any]:
        from concurrent.futures import FIRST_COMPLETED, wait

        began, busy = perf_counter(), 0.0
        left = {i: set(segment.needs) for i, segment in enumerate(self.segments)}
        running: dict[Future[Any], int] = {}
        try:
            while left or running:
                for i in [i for i, needs in left.items() if not needs]:
                    del left[i]
                    segment = self.segments[i]
                    taken = {ref: values[ref] for ref in segment.takes}
                    running[submit(run_segment, segment.calls, taken, segment.gives)] = i
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    made, seconds = future.result()
                    busy += seconds
                    values.update(made)
                    finished = running.pop(future)
                    for needs in left.values():
                        needs.discard(finished)
        finally:
            for future in running:
                future.cancel()
        self.last = Timing(perf_counter() - began, busy)
        return {ref: values[ref] for ref in self._source.results}

    def describe(self) -> str:
        """The parts in words: nodes, seconds and bytes of each, the cut, and the overlap predicted and seen."""
        lines = []
        for lane, cost in enumerate(self.costs):
            count = sum(1 for other in self.lane_of.values() if other == lane)
            parts = sum(1 for segment in self.segments if segment.lane == lane)
            lines.append(f"part {lane}: {count} nodes in {parts} segments, {cost * 1e3:.3g} ms")
        lines.append(
            f"cut: {len(self.cut)} edges, {self.cut_bytes} bytes; predicted {self.predicted:.2f} times faster"
        )
        if self.last is not None:
            lines.append(
                f"last run: {self.last.seconds * 1e3:.3g} ms, {self.last.overlap:.2f} segments at once"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Partition of {len(self.lane_of)} nodes in {self.lanes} parts, {len(self.cut)} edges cut>"


def partition(
    trace: Graph, k: int, *, seconds_a_byte: float = SECONDS_A_BYTE, seconds_a_segment: float = SECONDS_A_SEGMENT
) -> Partition:  # fmt: skip
    """Split the forward graph of `trace` (of level 2) into `k` parts that run side by side.

    Costs are the measured times of the nodes, balanced against `seconds_a_byte` for what is cut.
    Raises `ValueError` for a `k` below 1 or a trace without values, `TypeError` for anything but a trace.

    >>> import engine as ds
    >>> x = ds.randn(4, 3)
    >>> with ds.trace(level=2) as trace:
    ...     y = ds.exp(x) @ ds.ones(3, 2) + ds.tanh(x) @ ds.ones(3, 2)
    >>> parts = partition(trace, 2)
    >>> (result,) = parts.run().values()
    >>> bool((result == y.array).all())
    True
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise located(ValueError(f"k takes a whole number of parts, 1 or more, got {k!r}"))
    source = program(trace)
    costs = {n.id: max(n.duration, 1) / 1e9 for n in trace.nodes}
    sizes = {n.id: n.nbytes for n in [*trace.nodes, *trace.leaves]}
    chain_of, chains = _chains(source.calls)
    # More lanes are not always faster: what is cut has to travel.
    lane, makespan = min(
        (
            _schedule(source.calls, chain_of, chains, costs, sizes, lanes, seconds_a_byte, seconds_a_segment)
            for lanes in range(1, k + 1)
        ),
        key=lambda plan: plan[1],
    )
    lane_of = {call.number: lane[chain_of[call.number]] for call in source.calls}
    return Partition(source, k, lane_of, costs, sizes, makespan)


def _inputs(call: Call) -> list[int]:
    return [arg.number for arg in call.args if isinstance(arg, Ref)]


def _chains(calls: Sequence[Call]) -> tuple[dict[int, int], list[list[int]]]:
    """Nodes merged with their only user where they are its only computed input."""
    made = {call.number for call in calls}
    users: dict[int, list[int]] = {}
    for call in calls:
        for number in dict.fromkeys(_inputs(call)):
            users.setdefault(number, []).append(call.number)
    chain_of: dict[int, int] = {}
    chains: list[list[int]] = []
    for call in calls:
        before = [n for n in dict.fromkeys(_inputs(call)) if n in made]
        if len(before) == 1 and len(users[before[0]]) == 1:
            chain_of[call.number] = chain_of[before[0]]
            chains[chain_of[call.number]].append(call.number)
        else:
            chain_of[call.number] = len(chains)
            chains.append([call.number])
    return chain_of, chains


def _schedule(
    calls: Sequence[Call], chain_of: dict[int, int], chains: list[list[int]], costs: dict[int, float],
    sizes: dict[int, int], k: int, a_byte: float, a_segment: float,
) -> tuple[list[int], float]:  # fmt: skip
    """The lane of each chain, and when the last one ends."""
    count = len(chains)
    work = [sum(costs[n] for n in chain) for chain in chains]
    before: list[dict[int, int]] = [{} for _ in range(count)]  # chain -> bytes it gets from each other chain
    after: list[set[int]] = [set() for _ in range(count)]
    for call in calls:
        chain = chain_of[call.number]
        for number in dict.fromkeys(_inputs(call)):
            other = chain_of.get(number, chain)
            if other != chain:
                before[chain][other] = before[chain].get(other, 0) + sizes.get(number, 0)
                after[other].add(chain)
    rank = [0.0] * count
    for chain in range(count - 1, -1, -1):  # chains are in an order in which they can run
        rank[chain] = work[chain] + max((rank[next_] for next_ in after[chain]), default=0.0)
    lane, end, free = [0] * count, [0.0] * count, [0.0] * k
    waiting = [len(b) for b in before]
    ready = [c for c in range(count) if not waiting[c]]
    while ready:
        chain = max(ready, key=lambda c: (rank[c], -c))
        ready.remove(chain)

        def start(at: int, chain: int = chain) -> float:
            arrivals = [
                end[other] + (0.0 if lane[other] == at else size * a_byte + a_segment)
                for other, size in before[chain].items()
            ]
            return max([free[at], *arrivals])

        lane[chain] = min(range(k), key=lambda at: (start(at), at))
        end[chain] = free[lane[chain]] = start(lane[chain]) + work[chain]
        for next_ in after[chain]:
            waiting[next_] -= 1
            if not waiting[next_]:
                ready.append(next_)
    return lane, max(end, default=0.0)


def segments(source: Program, lane_of: dict[int, int]) -> list[Segment]:
    """Each lane's calls in pieces: a new one begins where a value of another lane is needed that the piece before did
    not wait for, and where what was made so far is waited for elsewhere."""
    made: list[Segment] = []
    segment_of: dict[int, int] = {}
    current: dict[int, int] = {}
    closed: set[int] = set()
    used_elsewhere = {
        arg.number
        for call in source.calls
        for arg in call.args
        if isinstance(arg, Ref) and lane_of.get(arg.number) not in (None, lane_of[call.number])
    }
    for call in source.calls:
        lane = lane_of[call.number]
        needs = {segment_of[n] for n in _inputs(call) if n in segment_of}
        at = current.get(lane)
        foreign = {n for n in needs if made[n].lane != lane}
        if at is None or at in closed or not foreign <= made[at].needs:
            at = current[lane] = len(made)
            made.append(Segment(lane, []))
        made[at].calls.append(call)
        made[at].needs |= needs - {at}
        segment_of[call.number] = at
        if call.number in used_elsewhere:
            closed.add(at)
    wanted: dict[Ref, set[int]] = {ref: {-1} for ref in source.results}  # who uses it; -1: the caller
    for i, segment in enumerate(made):
        for call in segment.calls:
            for arg in call.args:
                if isinstance(arg, Ref):
                    wanted.setdefault(arg, set()).add(i)
    for ref, users in sorted(wanted.items(), key=lambda item: (item[0].number, item[0].pick or 0)):
        home = segment_of.get(ref.number)
        if home is not None and users - {home}:
            made[home].gives.append(ref)
        for user in users - {home, -1}:
            made[user].takes.append(ref)
    return made


def run_segment(calls: list[Call], values: dict[Ref, Any], gives: list[Ref]) -> tuple[dict[Ref, Any], float]:
    """What an executor's worker does: run the calls, and give what others need and the seconds it took."""
    began = perf_counter()
    made = run_calls(calls, values)
    return {ref: made[ref] for ref in gives}, perf_counter() - began


def _array(value: Any) -> Any:
    return (
        value.array if isinstance(value, Tensor) else np.asarray(value) if isinstance(value, list) else value
    )
