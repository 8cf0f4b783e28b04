"""What travels from the traced program to the debugger: small records that never hold an array.

The records name no engine class, so that another framework could send them. Strings that repeat
(op kinds, dtypes, files, function names, module classes) travel once as `Text` and are numbers after
that; so do stack frames (`Frame`) and the source's branches and loops (`Site`). `node`, `call`,
`buffer` and `frame` numbers are monotonic within a run, never `id()`; 0 means none.
Times are nanoseconds since the run began (`time.perf_counter_ns` of the traced process).
"""

from __future__ import annotations

from typing import Any, Union

import msgspec

VERSION = 1

FORWARD, BACKWARD, OPTIMIZER = 0, 1, 2
PHASES = ("forward", "backward", "optimizer")

PARAMETER, GRADIENT, ACTIVATION, SAVED, OPTIMIZER_STATE, WORKSPACE, INPUT = range(7)
CATEGORIES = ("parameters", "gradients", "activations", "saved", "optimizer", "workspace", "inputs")


class Event(msgspec.Struct, array_like=True, gc=False, tag_field="kind"):
    """Base of all events; on the wire a msgpack array whose first item is the tag."""


class Text(Event, tag=1):
    """`text` is called `id` from here on."""

    id: int
    text: str


class Frame(Event, tag=2):
    """One user stack frame, linked to its caller's `parent` frame (0: none)."""

    id: int
    parent: int
    file: int  # Text
    line: int
    function: int  # Text
    lasti: int  # bytecode offset, so that two calls on one line differ


class Site(Event, tag=3):
    """A place in the source that chooses: an `if` (with its arms) or a loop (with its body)."""

    id: int
    construct: str  # "if", "for", "while", "comprehension"
    file: int  # Text
    line: int
    body: tuple[int, int]  # first and last line
    orelse: tuple[int, int]  # (0, 0): none
    label: str  # source text of the condition or loop header
    scope: str = ""  # name of the function it stands in, "<module>" outside all; "" not known


class Branch(Event, tag=4):
    """The `if` at `site` was decided in the frame activation that runs now."""

    site: int
    taken: bool
    time: int
    frame: int = 0  # where the choice stands; 0 not known


class LoopTurn(Event, tag=5):
    """The loop at `site` begins its turn `index` (0-based); -1: the loop was left."""

    site: int
    index: int
    time: int
    frame: int = 0  # where the loop stands; 0 not known


class ModuleEntered(Event, tag=6):
    """A module's call begins. `path` such as "net.cell", `cls` such as "Cell"."""

    call: int
    parent: int  # call
    path: int  # Text
    cls: int  # Text
    frame: int  # where it was called
    time: int


class ModuleLeft(Event, tag=7):
    """That call ended (`failed`: by an exception)."""

    call: int
    time: int
    failed: bool = False


class Leaf(Event, tag=8):
    """A tensor that no recorded op made, seen when first used. `role`: parameter, input or constant."""

    node: int
    role: str
    name: str  # "net.head.weight", or the variable's name where known, or ""
    shape: tuple[int, ...]
    dtype: int  # Text
    nbytes: int
    frame: int  # where it was made; 0 unknown


class Op(Event, tag=9):
    """A node ran. The record comes when it finished; the breadcrumb names the one in flight."""

    node: int
    op: int  # Text
    phase: int
    inputs: tuple[int, ...]  # nodes, 0 for an argument that is no tensor
    shape: tuple[int, ...]
    dtype: int  # Text
    call: int  # innermost module call, 0 none
    frame: int  # innermost user frame; for a backward node its twin's
    twin: int  # forward node of a backward node
    iteration: int
    start: int
    duration: int
    nbytes: int  # of the output
    saved: int  # bytes kept for the backward pass
    attrs: dict[str, Any]  # simple values only
    outputs: tuple[tuple[tuple[int, ...], int], ...] = ()  # backward: (shape, dtype) of each gradient


class Failed(Event, tag=10):
    """A node raised. `error` is the exception's class, `message` its text."""

    node: int
    op: int
    phase: int
    inputs: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    call: int
    frame: int
    iteration: int
    time: int
    error: str
    message: str
    clash: tuple[tuple[int, int], ...] = ()  # (argument, dimension) pairs that disagree
    attrs: dict[str, Any] = {}


class Summary(Event, tag=11):
    """Statistics of a node's output (trace level 2). `histogram` counts a sample of `sampled` elements."""

    node: int
    minimum: float
    maximum: float
    mean: float
    std: float
    zeros: int
    nans: int
    infs: int
    count: int
    sampled: int
    histogram: tuple[int, ...]
    edges: tuple[float, float]


class Allocated(Event, tag=12):
    """A buffer came to life for `node` (0 outside nodes). `reused`: from a parked one."""

    buffer: int
    nbytes: int
    category: int
    node: int
    time: int
    reused: bool = False


class Recategorised(Event, tag=13):
    """A buffer now serves something else, for example it is kept for the backward pass."""

    buffer: int
    category: int
    time: int


class Released(Event, tag=14):
    """Nothing can reach the buffer any more."""

    buffer: int
    time: int


class GradientReady(Event, tag=15):
    """The gradient of a leaf is complete; `norm` is its Euclidean norm (NaN: not computed)."""

    leaf: int
    node: int
    norm: float


class Iteration(Event, tag=16):
    """Iteration `index` begins: the first forward node after a backward or optimizer phase."""

    index: int
    time: int


class Switched(Event, tag=17):
    """Tracing of a module path, op kind or node's place was switched."""

    target: str  # "module", "op" or "place"
    name: str
    on: bool


class Level(Event, tag=18):
    """The trace level changed."""

    level: int
    time: int


class Output(Event, tag=19):
    """The program wrote to `stream` (1 stdout, 2 stderr)."""

    stream: int
    text: str
    time: int


class Uncaught(Event, tag=20):
    """An exception ended the program or a thread."""

    error: str
    message: str
    traceback: str
    frame: int
    time: int


class Thread(Event, tag=21):
    """Events after this come from the thread of this name."""

    id: int
    name: str


class Gap(Event, tag=22):
    """`lost` events of the kinds `what` could not be kept."""

    lost: int
    what: str
    time: int


class Value(Event, tag=23):
    """An array that `node` made or is: its bytes in C order, or the key a recording knows it by.

    `name` is "output" for a node's only result, "output 1" for the second of several. `axes` is the order
    in which its axes lay in memory, outermost first (empty: C order): sums and products of the same
    numbers in another order may differ in their last bit. `file` names a file of the session's folder
    that holds the bytes where they are too many for the ring; whoever reads it removes it.
    """

    node: int
    name: str
    dtype: str  # NumPy's, such as "<f4"
    shape: tuple[int, ...]
    axes: tuple[int, ...] = ()
    data: bytes = b""
    key: bytes = b""
    pin: bool = False
    file: str = ""


class Recipe(Event, tag=24):
    """What it takes to run `node` again beyond its `Op` record, told where that record does not say it all.

    `picks` says for each input which of its node's results was taken (-1: its only one). `attrs` holds
    attributes that the record only describes: a slice is `{"slice": [start, stop, step]}`, a tuple
    `{"tuple": [...]}`, 1+2j is `{"complex": [1, 2]}`, `...` is `{"ellipsis": true}`, an array `{"array": NAME}`, a `Value` of the node.
    `impure` is why it cannot be run again, "" where it can.
    """

    node: int
    picks: tuple[int, ...] = ()
    attrs: dict[str, Any] = {}
    impure: str = ""


class Loss(Event, tag=25):
    """A backward pass begins from the scalar that `node` made."""

    node: int
    value: float
    iteration: int
    time: int


AnyEvent = Union[  # noqa: UP007 - msgspec reads it at run time, on Python 3.10 too

    Text, Frame, Site, Branch, LoopTurn, ModuleEntered, ModuleLeft, Leaf, Op, Failed, Summary, Allocated,
    Recategorised, Released, GradientReady, Iteration, Switched, Level, Output, Uncaught, Thread, Gap,
    Value, Recipe, Loss,
]  # fmt: skip

encoder = msgspec.msgpack.Encoder()
decoder: msgspec.msgpack.Decoder[AnyEvent] = msgspec.msgpack.Decoder(AnyEvent)
_batches: msgspec.msgpack.Decoder[list[AnyEvent]] = msgspec.msgpack.Decoder(list[AnyEvent])


def encoded(item: Event | list[Event]) -> bytes:
    r"""The bytes of an event, or of several. In strings that UTF-8 cannot hold, lone surrogates are told as `\udc..`.

    >>> decode(encoded(Text(1, "caf\udce9")))
    [Text(id=1, text='caf\\udce9')]
    """
    try:
        return encoder.encode(item)
    except UnicodeEncodeError:
        return encoder.encode(cleaned(msgspec.to_builtins(item, builtin_types=(bytes,))))


def cleaned(value: object) -> object:
    r"""`value` with strings that UTF-8 can hold: lone surrogates (non-UTF-8 file names) become `\udc..`.

    >>> cleaned({"path": ["caf\udce9"]})
    {'path': ['caf\\udce9']}
    """
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {cleaned(key): cleaned(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [cleaned(item) for item in value]
    return value


def decode(record: bytes) -> list[AnyEvent]:
    """The events of one record: an event, or an array of them. Raises `msgspec.MsgspecError`.

    >>> decode(encoder.encode(Text(1, "matmul")))
    [Text(id=1, text='matmul')]
    >>> decode(encoder.encode([Released(3, 50), Iteration(1, 60)]))
    [Released(buffer=3, time=50), Iteration(index=1, time=60)]
    """
    # An event begins with its kind, a number; several begin with an array.
    at = {0xDC: 3, 0xDD: 5}.get(record[0], 1) if record else 1
    first = record[at] if len(record) > at else 0
    try:
        if 0x90 <= first <= 0x9F or first == 0xDC or first == 0xDD:
            return _batches.decode(record)
        return [decoder.decode(record)]
    except UnicodeDecodeError as error:  # these two errors of its decoder are not of its own kind
        raise msgspec.DecodeError(f"a text that is no UTF-8: {error.reason}") from None
    except RecursionError:
        raise msgspec.DecodeError("nested too deep") from None
