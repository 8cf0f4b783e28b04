"""A node of the graph: one use of an op, or a leaf that no op made.

The same object serves the gradient (what made this value, what it saved), the debugger (where, when, how
big) and the explanation of errors (where a dimension came from). It never holds the value it stands for.
"""

from __future__ import annotations

import itertools
from types import CodeType
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.location import line_of

if TYPE_CHECKING:
    from engine.module import ModuleCall
    from engine.op import Op
    from engine.tensor import Tensor

FORWARD, BACKWARD, OPTIMIZER = 0, 1, 2

# Order of creation, counting down: the newest node has the least number, so the backward pass can pop
# nodes off a heap with no negation, and no node is popped before all that used it.
order = itertools.count(0, -1)
ids = itertools.count(1)

NO_KWARGS: dict[str, Any] = {}

# A node is made for each op, so only what every node needs is stored; the rest reads as these.
_DEFAULTS: dict[str, Any] = {
    "id": 0,
    "phase": FORWARD,
    "kwargs": NO_KWARGS,
    "code": None,
    "lasti": 0,
    "call": None,
    "twin": None,
    "iteration": 0,
    "start": 0,
    "duration": 0,
    "nbytes": 0,
    "saved_bytes": 0,
    "out": None,
    "outputs": None,
    "picks": (),
    "arrays": None,
    "saved": (),
    "grad": None,
    "grad_source": None,
    "hooks": None,
    "role": "",
    "name": "",
    "depth": 0,
    "stamp": 0,
    "scalars": None,
    "shape": None,
    "dtype": None,
}


class Node:
    """One op that ran, or a leaf (`op` is None). See the slots for what it knows."""

    __slots__ = (
        "__weakref__",
        "arrays",  # the op's arguments, from op_start until op_finish
        "call",  # ModuleCall the op ran in
        "code",  # the person's code object that called the op ...
        "depth",  # how many nodes without gradient lie behind; bounds what is kept for error messages
        "dtype",
        "duration",  # nanoseconds
        "grad",  # of a leaf: its accumulated gradient, a Tensor
        "grad_source",  # of a leaf: the backward node that last gave it a gradient
        "hooks",
        "id",  # 0 while nobody is tracing
        "inputs",  # Node for each argument of the op, None for one that is no tensor
        "iteration",
        "kwargs",  # the op's attributes
        "lasti",  # ... and the byte offset in it
        "name",  # of a leaf
        "nbytes",
        "op",
        "order",
        "out",  # the value, only while the sinks of op_finish look
        "outputs",  # (shape, dtype) of each result where there are several, None for one that is not there
        "phase",
        "picks",  # of a trace's record: which result of each input is meant, None for its only one
        "requires",  # whether a gradient flows here
        "role",  # of a leaf: "parameter", "input" or "constant"
        "saved",  # what the gradient needs: one entry for each argument, then the output, then extras
        "saved_bytes",
        "scalars",  # plain numbers among the arguments, by name (only while tracing)
        "shape",
        "stamp",  # in-place writes there had been when this ran
        "start",  # nanoseconds, time.perf_counter_ns
        "twin",  # forward node of a backward node
    )

    arrays: tuple[Any, ...] | None
    call: ModuleCall | None
    code: CodeType | None
    depth: int
    dtype: np.dtype[Any]
    duration: int
    grad: Tensor | None
    grad_source: Node | None
    hooks: dict[int, Any] | None
    id: int
    inputs: tuple[Node | None, ...]
    iteration: int
    kwargs: dict[str, Any]
    lasti: int
    name: str
    nbytes: int
    op: Op | None
    order: int
    out: Any
    outputs: list[tuple[tuple[int, ...], np.dtype[Any]] | None] | None
    phase: int
    picks: tuple[int | None, ...]
    requires: bool
    role: str
    saved: tuple[Any, ...] | None
    saved_bytes: int
    scalars: dict[str, Any] | None
    shape: tuple[int, ...]
    stamp: int
    start: int
    twin: Node | None

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            try:
                return _DEFAULTS[name]
            except KeyError:
                raise AttributeError(name) from None

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
    node.depth = 0 if origin is None else origin.depth + 1
    return node


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
    copy.order = node.order
    copy.inputs = tuple(None if i is None else behind(i, reach - 1) for i in node.inputs) if reach > 0 else ()
    copy.depth = max((i.depth for i in copy.inputs if i is not None), default=-1) + 1
    return copy
