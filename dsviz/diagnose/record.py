"""What was seen of a run: the nodes of the last turns, and what adds up over all of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.location import line_of

TURNS_KEPT = 3  # turns of the training loop whose nodes are kept whole
LOOKED_AT = 24  # turns in which activations and updates are all measured; then every tenth
LARGEST = 1 << 22  # elements of an array that are looked at one by one


def looks(count: int) -> bool:
    """Whether a turn is one of those that are measured."""
    return count < LOOKED_AT or count % 10 == 0


class Seen:
    """One node, without its arrays."""

    __slots__ = (
        "call", "code", "dtype", "finite", "id", "inputs", "iteration", "kwargs", "lasti", "module", "muted", "op", "phase", "recording",
        "requires", "role", "scalars", "shape", "shapes", "twin", "value",
    )  # fmt: skip

    id: int
    op: str  # "" for a leaf
    phase: int
    shape: tuple[int, ...]
    dtype: Any
    inputs: tuple[int, ...]  # 0 for what is no tensor
    shapes: tuple[Any, ...]
    module: str
    iteration: int
    kwargs: dict[str, Any]
    scalars: dict[str, Any]
    requires: bool
    recording: bool  # whether gradients were recorded when it ran
    role: str
    twin: int
    value: float | None  # of a result of one element
    finite: bool
    call: tuple[str, int]  # where its layer was made, where a layer of ours called it: in a Sequential, say
    code: Any  # the person's code object and the byte offset in it
    lasti: int
    muted: tuple[str, int]  # where gradients were switched off, if they were

    @property
    def file(self) -> str:
        """The person's file, "" where unknown. Looked up when asked: most nodes never are."""
        return self.code.co_filename if self.code is not None else ""

    @property
    def line(self) -> int:
        """The line in it."""
        return line_of(self.code, self.lasti) if self.code is not None else 0

    @property
    def place(self) -> tuple[str, int]:
        """The person's file and line."""
        return self.file, self.line

    @property
    def places(self) -> list[tuple[str, int]]:
        """The lines that stand for it, likeliest first: of a layer in a Sequential the one that made the layer."""
        return [self.call, self.place] if self.call[0] else [self.place]


@dataclass
class Units:
    """What an activation gave at one place, over all calls that were looked at."""

    op: str
    module: str
    calls: int = 0
    training: int = 0  # calls with a gradient
    alive: Any = None  # per unit: whether it was ever above 0
    saturated: list[float] = field(default_factory=list)  # share of saturated elements, call by call
    shape: tuple[int, ...] = ()


@dataclass
class Steps:
    """One optimizer: where it was made and what its steps did."""

    file: str
    line: int
    name: str
    lr: float
    params: list[Any]
    count: int = 0
    empty: int = 0  # steps in which no parameter had a gradient
    step_place: tuple[str, int] = ("", 0)
    ratios: list[float] = field(
        default_factory=list
    )  # |update| / |parameter|, of the steps that were measured
    stale: int = 0  # backward passes that added to a gradient a step had already used
    stale_place: tuple[str, int] = ("", 0)
    since: int = 0  # backward passes before it was made
    rates: list[float] = field(default_factory=list)  # the rate of each step
    schedule: tuple[str, int] = ("", 0)  # where its schedule was made
    schedule_step: tuple[str, int] = ("", 0)  # where its schedule steps
    wasted: int = 0  # times its gradients were put away with no step since they were put away before
    zeroed: int = 0  # times its gradients were put away
    zeroed_place: tuple[str, int] = ("", 0)
    stepped_at: int = 0  # its steps when its gradients were put away last
    thrown: tuple[str, int] = ("", 0)  # where gradients were put away that no step had used
    stateful: bool = False  # it remembers earlier steps
    roots: list[int] = field(default_factory=list)  # the losses before its last steps without gradients
    decay: float = 0.0  # the largest part of a weight that weight decay takes in one step
    early: list[tuple[str, int]] = field(
        default_factory=list
    )  # where its schedule stepped before its first step
    later: list[tuple[str, int]] = field(default_factory=list)  # where it stepped after


@dataclass
class ParameterFacts:
    """One parameter: where it was made, and the gradients it got."""

    file: str
    line: int
    name: str
    shape: tuple[int, ...]
    used: int = 0  # forward nodes that took it
    used_recording: int = 0  # ... while gradients were recorded
    gradients: int = 0
    norms: deque[float] = field(default_factory=lambda: deque(maxlen=64))
    size: float = 0.0  # its norm when first used
    alike: bool = False  # all its rows were one and the same, and not zero
    last_used: int = 0
    consumer: int = 0  # the node that took it last
    frozen: bool = False  # it took no gradient when it was used last
    written: tuple[str, int] = ("", 0)  # who put its first values there, where it is another line
    first_used: int = 0  # the turn in which it was used first
    total: float = 0.0  # the sum of its first values
    moved: bool = False  # its values are others now
    zero: bool = False  # all its first values were 0
    spread: float = 0.0  # the standard deviation of its first values


@dataclass
class Loader:
    """One data loader: where it was made and how it was gone through."""

    file: str
    line: int
    ordered: bool  # its items come in the order of the data, each time
    batches: int  # in one epoch
    begun: int = 0  # times it was gone through from the start while gradients are recorded
    given: int = 0  # batches it gave
    place: tuple[str, int] = ("", 0)  # where it was begun last


@dataclass
class Loss:
    """One backward pass: the value it started from."""

    node: int
    value: float | None
    iteration: int
    place: tuple[str, int]


class Record:
    """Everything detectors may read."""

    def __init__(self) -> None:
        self.turns: dict[int, dict[int, Seen]] = {}
        self.pinned: set[int] = set()  # turns that stay: the one with the first nan
        self.units: dict[tuple[str, int, int, str], Units] = {}
        self.optimizers: list[Steps] = []
        self.parameters: dict[int, ParameterFacts] = {}  # by id() of the parameter, which is kept alive
        self.registered: set[int] = set()
        self.losses: list[Loss] = []
        self.not_finite: list[tuple[Seen, dict[str, Any]]] = []  # nodes that made one from finite values
        self.outside: dict[tuple[str, int], dict[str, Any]] = {}  # targets an output cannot reach
        self.evaluated: dict[int, dict[str, Any]] = {}  # modules that were trained in evaluation, by id()
        self.modes: dict[tuple[str, int], dict[str, Any]] = {}
        self.targets: dict[tuple[str, int], dict[str, Any]] = {}
        self.softmaxed: dict[tuple[str, int], dict[str, Any]] = {}
        self.spread: dict[tuple[str, int], dict[str, Any]] = {}
        self.masks: dict[tuple[str, int], dict[str, Any]] = {}
        self.inputs: dict[tuple[str, int], dict[str, Any]] = {}
        self.alive: list[tuple[int, int]] = []  # (iteration, nodes of earlier turns that are still held)
        self.old_inputs: dict[
            tuple[str, int], int
        ] = {}  # lines that take values of earlier turns with a graph
        self.callers: dict[tuple[str, int], list[tuple[str, int]]] = {}  # who called such a line
        self.failure: Any = None  # the op_error that ended the program, if one did
        self.exception: BaseException | None = None
        self.iterations = 0
        self.lists: dict[
            tuple[int, str], tuple[Any, str, int]
        ] = {}  # plain lists a module was given: (module, place)
        self.frozen: dict[int, tuple[str, int]] = {}  # where a parameter's requires_grad was switched off
        self.taken: dict[int, tuple[str, int]] = {}  # where a node's value was taken out as plain numbers
        self.learners: dict[int, ParameterFacts] = {}  # plain tensors that take gradients, by their numbers
        self.bad_data: dict[tuple[str, int], Seen] = {}  # leaves that hold nan from the start
        self.made: dict[int, tuple[str, int]] = {}  # where modules were made, by id()
        self.odd_targets: dict[
            tuple[str, int], dict[str, Any]
        ] = {}  # of a binary cross entropy, outside 0 to 1
        self.roots: dict[str, tuple[str, int]] = {}  # where networks are called, by their names
        self.held_by: dict[str, int] = {}  # names of what still holds nodes of earlier turns
        self.clips: dict[
            tuple[str, int], list[int]
        ] = {}  # where gradients are clipped: calls, those that found none
        self.loaders: list[Loader] = []
        self.wrapped: dict[
            tuple[str, int], dict[str, Any]
        ] = {}  # whole numbers that went round their type's end
        self.switched: dict[
            tuple[str, int], dict[str, Any]
        ] = {}  # scores multiplied with a mask before a softmax
        self.taken_parameters: dict[
            int, tuple[str, int]
        ] = {}  # parameters whose value left as a plain number

    def keep(self, seen: Seen) -> None:
        """Remember a node, and forget the turns before the last few."""
        turn = self.turns.get(seen.iteration)
        if turn is None:
            turn = self.turns[seen.iteration] = {}
            for old in sorted(self.turns)[:-TURNS_KEPT]:
                if old not in self.pinned:
                    del self.turns[old]
        turn[seen.id] = seen

    def find(self, number: int) -> Seen | None:
        """A node that is still remembered."""
        for turn in reversed(list(self.turns.values())):
            if number in turn:
                return turn[number]
        return None

    def nodes(self) -> Iterator[Seen]:
        """All nodes that are still remembered, oldest turn first."""
        for turn in self.turns.values():
            yield from turn.values()

    def last_turn(self) -> dict[int, Seen]:
        """The last turn that had a backward pass, else the last one."""
        for turn in reversed(list(self.turns.values())):
            if any(seen.phase == 1 for seen in turn.values()):
                return turn
        return next(reversed(list(self.turns.values())), {})

    def back(self, number: int, through: set[str] | None = None) -> Iterator[Seen]:
        """The node and all it was made from, nearest first; only through ops named in `through`, if given."""
        queue, seen = deque([number]), {number}
        while queue:
            found = self.find(queue.popleft())
            if found is None:
                continue
            yield found
            if through is None or found.op in through or found.id == number:
                for parent in found.inputs:
                    if parent and parent not in seen:
                        seen.add(parent)
                        queue.append(parent)


def label_of(facts: ParameterFacts) -> str:
    """A parameter's name and shape."""
    return f"{facts.name or 'parameter'} {list(facts.shape)}"


def owned(record: Record) -> set[int]:
    """The parameters that an optimizer has, by id() of their nodes."""
    return {id(p.node) for steps in record.optimizers for p in steps.params}
