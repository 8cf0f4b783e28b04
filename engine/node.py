"""A node of the graph: one use of an op, or a leaf that no op made.

The same object serves the gradient (what made this value, what it saved), the debugger (where, when, how
big) and the explanation of errors (where a dimension came from). It never holds the value it stands for.
"""

from __future__ import annotations

import itertools
from types import CodeType
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import complexes
from engine.location import line_of
from engine.pending import seen

if TYPE_CHECKING:
    from engine.module_call import ModuleCall
    from engine.op import Op
    from engine.tensor import Tensor

FORWARD, BACKWARD, OPTIMIZER = 0, 1, 2

# Order of creation, counting down: the newest node has the least number, so the backward pass can pop
# nodes off a heap with no negation, and no node is popped before all that used it.
order = itertools.count(0, -1)
ids = itertools.count(1)

NO_KWARGS: dict[str, Any] = {}


class Node:
    """One op that ran, or a leaf (`op` is None).

    A node is made for each op, so only what every node needs has a slot, and whoever makes one fills all slots.
    The rest reads as the defaults below until it is set. (A `__getattr__` for them would make every read slow.)
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "code",  # the person's code object that called the op ...
        "depth",  # how many nodes without gradient lie behind; bounds what is kept for error messages
        "dtype",
        "inputs",  # Node for each argument of the op, None for one that is no tensor
        "kwargs",  # the op's attributes
        "lasti",  # ... and the byte offset in it
        "op",
        "order",
        "requires",  # whether a gradient flows here
        "saved",  # what the gradient needs: one entry for each argument, then the output, then extras
        "shape",
        "stamp",  # in-place writes there had been when this ran
    )

    code: CodeType | None
    depth: int
    dtype: np.dtype[Any]
    inputs: tuple[Node | None, ...]
    kwargs: dict[str, Any]
    lasti: int
    op: Op | None
    order: int
    requires: bool
    saved: tuple[Any, ...] | None
    shape: tuple[int, ...]
    stamp: int

    again: Any = None  # of a checkpointed node: the region that computes `saved` again, and its number in it
    arrays: tuple[Any, ...] | None = None  # the op's arguments, from op_start until op_finish
    call: ModuleCall | None = None  # the module call the op ran in
    duration: int = 0  # nanoseconds
    fates: Any = (
        None  # what befell buffers until it had run, while the sinks of op_finish look; see engine.memory
    )
    flowed: bool = False  # of a copy kept for error messages: a gradient flowed through what it is a copy of
    foreseen: str | None = (
        None  # of a normalisation's weight: what took its result last time, "relu" or "sum"; "" for anything else
    )
    grad: Tensor | None = None  # of a leaf: its accumulated gradient
    grad_source: Node | None = None  # of a leaf: the backward node that last gave it a gradient
    hooks: dict[int, Any] | None = None
    id: int = 0  # 0 while nobody is tracing
    iteration: int = 0
    name: str = ""  # of a leaf
    nbytes: int = 0
    made: Any = None  # the value as the op left it, only while the sinks of op_finish look; see `out`
    # (shape, dtype) of each result where there are several, None for one that is not there
    outputs: list[tuple[tuple[int, ...], np.dtype[Any]] | None] | None = None
    phase: int = FORWARD
    place: Any = None  # what a debugger noted of where it stands; also for its backward twin
    picks: tuple[
        int | None, ...
    ] = ()  # for each input, which result of it is used, None for one with only one
    role: str = ""  # of a leaf: "parameter", "input" or "constant"
    saved_bytes: int = 0
    scalars: dict[str, Any] | None = None  # plain numbers among the arguments, by name (only while tracing)
    start: int = 0  # nanoseconds, time.perf_counter_ns
    twin: Node | None = None  # forward node of a backward node

    @property
    def out(self) -> Any:
        """The value, only while the sinks of op_finish look. A gradient that was put off is computed for who asks."""
        made = self.made
        if type(made) is tuple:
            return tuple([seen(part) for part in made])
        return seen(made)

    @property
    def attrs(self) -> dict[str, Any]:
        """The op's attributes, with the plain numbers among its arguments: `{"dim": 1}`, `{"other": 2.0}`."""
        return {**self.scalars, **self.kwargs} if self.scalars else self.kwargs

    @property
    def filename(self) -> str:
        """File of the person's code that ran this op, "" where unknown."""
        return self.code.co_filename if self.code is not None else ""

    @property
    def line(self) -> int:
        """Line in that file, 0 where unknown."""
        return line_of(self.code, self.lasti) if self.code is not None else 0

    @property
    def label(self) -> str:
        """What people call it: `mul`, `mul'` for its gradient, or a leaf's name."""
        if self.op is None:
            return self.name or self.role or "value"
        return self.op.name + "'" if self.phase == BACKWARD else self.op.name

    def __repr__(self) -> str:
        shape = "?" if self.shape is None else list(self.shape)
        return f"<Node {self.id} {self.label} {shape}>"


class Watched(Node):
    """A node of an op that somebody watches. What is known of it has slots: those of a dictionary take ten times as long.

    `engine.watched.begin` fills them.
    """

    __slots__ = (
        "arrays",
        "call",
        "duration",
        "fates",
        "id",
        "iteration",
        "made",
        "nbytes",
        "outputs",
        "phase",
        "place",
        "saved_bytes",
        "scalars",
        "start",
        "twin",
    )


class Backward(Node):
    """The backward node of an op, made only while somebody watches. What is the same for all of them has no slot."""

    __slots__ = (
        "arrays",
        "call",
        "duration",
        "fates",
        "id",
        "iteration",
        "made",
        "nbytes",
        "outputs",
        "place",
        "start",
        "twin",
    )

    phase = BACKWARD
    requires = False
    saved = ()
    depth = order = stamp = 0


def blank(kind: type[Node] = Node) -> Node:
    """A node with every slot filled with its default, for where speed does not matter."""
    node = kind()
    node.op = None
    node.inputs = ()
    node.kwargs = NO_KWARGS
    node.code = None
    node.lasti = node.order = node.depth = node.stamp = 0
    node.requires = False
    node.saved = ()
    node.shape = node.dtype = None  # type: ignore[assignment]
    return node


def leaf(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    role: str,
    requires: bool = False,
    code: CodeType | None = None,
    lasti: int = 0,
    origin: Node | None = None,
) -> Node:
    """A node for a value no op made; `origin` is what it is a copy of, for error messages only."""
    if dtype.kind == "c":
        complexes.arm()
    node = Node()
    node.op = None
    node.inputs = () if origin is None else (behind(origin),)
    node.shape = shape
    node.dtype = dtype
    node.role = role
    node.requires = requires
    node.order = next(order)
    node.code = code
    node.lasti = lasti
    node.kwargs = NO_KWARGS
    node.saved = ()
    node.stamp = 0
    node.depth = 0 if origin is None else origin.depth + 1
    return node


def keep(
    node: Node, op: Op, arrays: list[Any], nodes: list[Node | None], out: Any, extras: tuple[Any, ...] = ()
) -> None:
    """Save on `node` what its gradient declared, and nothing else."""
    if op.cross and not extras:
        first, second = nodes
        node.saved = (
            arrays[0] if second is not None and second.requires else None,
            arrays[1] if first is not None and first.requires else None,
            None,
        )
        return
    saved: list[Any] = []
    rules = op.saves_args
    last = len(rules) - 1
    for i, parent in enumerate(nodes):
        rule = rules[i] if i < last else rules[last]
        if rule is None:
            saved.append(arrays[i] if parent is None else parent)
        elif not rule:
            saved.append(arrays[i])
        else:
            for j in rule:
                user = nodes[j]
                if user is not None and user.requires:
                    saved.append(arrays[i])
                    break
            else:
                saved.append(None)
    saved.append(out if op.saves_out else None)
    node.saved = (*saved, *extras)


def settle(node: Node, nodes: list[Node | None]) -> None:
    """`node` takes no gradient: of `nodes`, its inputs, it keeps what error messages need and no long past."""
    depth = 0
    for i, source in enumerate(nodes):
        if source is not None:
            if (source.requires and source.op is not None) or source.depth >= REACH:
                source = nodes[i] = behind(source)
            if source.depth >= depth:
                depth = source.depth + 1
    node.depth = depth
    node.inputs = tuple(nodes)


# How far back error messages can look through values that take no gradient. A loop without gradient
# would otherwise hold every step it ever took.
REACH = 48


def behind(node: Node, reach: int = 8) -> Node:
    """`node` as something that may be kept for error messages: it owns no arrays and no long past."""
    if node.op is None or not node.requires:
        if node.depth < REACH:
            return node
        reach = 0
    copy = Node()
    copy.op = node.op
    copy.shape = node.shape
    copy.dtype = node.dtype
    copy.kwargs = node.kwargs
    copy.code = node.code
    copy.lasti = node.lasti
    copy.id = node.id
    copy.role = node.role
    copy.name = node.name
    copy.call = node.call
    copy.requires = False
    if node.requires or node.flowed:
        copy.flowed = True
    copy.order = node.order
    copy.saved = ()
    copy.stamp = node.stamp
    copy.inputs = tuple(None if i is None else behind(i, reach - 1) for i in node.inputs) if reach > 0 else ()
    copy.depth = max((i.depth for i in copy.inputs if i is not None), default=-1) + 1
    return copy
