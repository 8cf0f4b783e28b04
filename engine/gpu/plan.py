"""A convolution or one of its gradients, prepared once by cuDNN's graph interface and run for a few microseconds a time.

The older functions (`cudnnConvolutionForward`) look for a way to compute it anew at every call: 130 to 200 us of the
CPU's time each with cuDNN 9.19, where a GPU is done in 60. Numbers of attributes are those of `cudnn_graph.h`.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from engine.backend import require_cupy
from engine.gpu.library import DOUBLE, FLOAT, TYPES, Library, Unsupported
from engine.ops.window import Sizes, Window
from engine.shapes import steps

# cudnnBackendDescriptorType_t
CONVOLUTION, ENGINE, CONFIG, HEURISTICS, PLAN = 1, 2, 3, 4, 5
FORWARD, WEIGHTS, DATA, GRAPH, PACK, TENSOR = 10, 11, 12, 15, 16, 17
# cudnnBackendAttributeType_t
HANDLE, DATA_TYPE, INT64, FLOAT_TYPE, DOUBLE_TYPE, POINTER, MODE, HEURISTIC, NOTE, DESCRIPTOR, TEXT = 0, 1, 3, 4, 5, 6, 7, 8, 11, 15, 24  # fmt: skip
# cudnnBackendNumericalNote_t
TENSOR_CORE, DOWN_CONVERTED, NONDETERMINISTIC = 0, 1, 4
CROSS_CORRELATION = 1
# Each operation: what it is, then the attributes of its convolution, x, weight, y and the two factors.
OPERATIONS = {
    "forward": (FORWARD, 702, 704, 703, 705, 700, 701),
    "data": (DATA, 708, 710, 709, 711, 706, 707),
    "weights": (WEIGHTS, 714, 716, 715, 717, 712, 713),
}
HEURISTIC_A, FALLBACK = 3, 2
MOST = 1 << 30  # bytes of room a computation may take
X, W, Y = 1, 2, 3  # how the arrays are named to the plan
# Of how many ways the time is taken, how often each runs for it, and what a later one has to take less than of the
# time of an earlier one, which cuDNN thinks faster: what is measured of so short a time is not exact.
TRIED, TURNS, BETTER = 4, 8, 0.95


class Wanted(NamedTuple):
    """A computation: "forward", "data" or "weights", the shapes and type of its arrays, and what is asked of its numbers."""

    what: str
    x: Sizes
    weight: Sizes
    y: Sizes
    window: Window
    kind: str
    last: bool  # the channels are last in memory in all three arrays; else their elements are in order
    exact: bool  # float32 is multiplied as float32
    careful: bool  # the same bits each time


class Descriptor:
    """One of cuDNN's descriptors, gone with this object."""

    __slots__ = ("lib", "value")

    def __init__(self, lib: Library, kind: int) -> None:
        self.lib = lib
        self.value = ctypes.c_void_p()
        lib.check(lib.lib.cudnnBackendCreateDescriptor(kind, ctypes.byref(self.value)))

    def set(self, name: int, kind: int, values: Any) -> Descriptor:
        """Set an attribute from a ctypes array."""
        self.lib.check(
            self.lib.lib.cudnnBackendSetAttribute(
                self.value, name, kind, ctypes.c_int64(len(values)), ctypes.byref(values)
            )
        )
        return self

    def finish(self) -> Descriptor:
        """Done with setting."""
        self.lib.check(self.lib.lib.cudnnBackendFinalize(self.value))
        return self

    def get(self, name: int, kind: int, values: Any) -> int:
        """Read an attribute into a ctypes array (None: only count); how many there were."""
        count = ctypes.c_int64()
        room = 0 if values is None else len(values)
        place = None if values is None else ctypes.byref(values)
        self.lib.check(
            self.lib.lib.cudnnBackendGetAttribute(
                self.value, name, kind, ctypes.c_int64(room), ctypes.byref(count), place
            )
        )
        return count.value

    def __del__(self) -> None:
        if self.value.value:
            self.lib.lib.cudnnBackendDestroyDescriptor(self.value)


def longs(*values: int) -> Any:
    """Whole numbers as C has them."""
    return (ctypes.c_int64 * len(values))(*values)


def pointers(*values: Any) -> Any:
    """Addresses as C has them."""
    return (ctypes.c_void_p * len(values))(*values)


def enum(value: int) -> Any:
    """One of an enumeration's values."""
    return (ctypes.c_int * 1)(value)


_One, _Three = ctypes.c_void_p * 1, ctypes.c_void_p * 3
_ONE, _THREE = ctypes.c_int64(1), ctypes.c_int64(3)


class Prepared:
    """A way to compute it that cuDNN chose, with the room it needs."""

    __slots__ = ("_alive", "_names", "last", "lib", "plan", "room")

    def __init__(
        self, lib: Library, plan: Descriptor, room: int, last: bool, alive: list[Descriptor]
    ) -> None:
        self.lib = lib
        self.room = room
        self.last = last  # whether its arrays have their channels last
        self.plan = plan
        self._alive = alive
        self._names = longs(X, W, Y)

    def run(self, x: int, weight: int, y: int, room: int) -> None:
        """Launch it on the arrays at these addresses."""
        lib, c = self.lib, self.lib.lib
        pack = ctypes.c_void_p()
        # In one expression, which stops at the first that fails: this is run for every convolution.
        status = (
            c.cudnnBackendCreateDescriptor(PACK, ctypes.byref(pack))
            or c.cudnnBackendSetAttribute(pack, 1001, POINTER, _THREE, _Three(x, weight, y))
            or c.cudnnBackendSetAttribute(pack, 1000, INT64, _THREE, self._names)
            or c.cudnnBackendSetAttribute(pack, 1003, POINTER, _ONE, _One(room))
            or c.cudnnBackendFinalize(pack)
            or c.cudnnBackendExecute(lib.handle(), self.plan.value, pack)
        )
        c.cudnnBackendDestroyDescriptor(pack)
        if status:
            raise RuntimeError(
                f"cuDNN could not compute a convolution: {c.cudnnGetErrorString(status).decode()}"
            )


def _tensor(lib: Library, name: int, shape: Sizes, kind: str, last: bool) -> Descriptor:
    made = Descriptor(lib, TENSOR).set(901, DATA_TYPE, enum(TYPES[kind])).set(902, INT64, longs(*shape))
    return (
        made.set(903, INT64, longs(*(strides_last(shape) if last else steps(shape))))
        .set(906, INT64, longs(name))
        .set(900, INT64, longs(16))
        .finish()
    )


def strides_last(shape: Sizes) -> Sizes:
    """The strides, in elements, of [samples, channels, spatial...] with the channels last in memory.

    >>> strides_last((2, 3, 5, 7))
    (105, 1, 21, 3)
    """
    whole, *between, _ = steps((shape[0], *shape[2:], shape[1]))
    return (whole, 1, *between)


def _configurations(lib: Library, graph: Descriptor) -> Iterator[Descriptor]:
    """Ways to compute it, the one thought fastest first."""
    for mode in (HEURISTIC_A, FALLBACK):
        try:
            asked = Descriptor(lib, HEURISTICS).set(201, DESCRIPTOR, pointers(graph.value))
            asked.set(200, HEURISTIC, enum(mode)).finish()
            found = [Descriptor(lib, CONFIG) for _ in range(asked.get(202, DESCRIPTOR, None))]
            count = asked.get(202, DESCRIPTOR, pointers(*[each.value for each in found])) if found else 0
        except Unsupported:
            continue
        yield from found[:count]


def _notes(lib: Library, configuration: Descriptor) -> set[int]:
    """What is said of the numbers that a configuration gives."""
    engine = Descriptor(lib, ENGINE)
    configuration.get(300, DESCRIPTOR, pointers(engine.value))
    found = (ctypes.c_int * 16)()
    return set(found[: min(16, engine.get(1303, NOTE, found))])


def _graph(lib: Library, wanted: Wanted) -> tuple[Descriptor, list[Descriptor]]:
    """The computation as cuDNN takes it, and what has to stay as long as that."""
    what, x, weight, y, w, kind = wanted[:6]
    if len(x) == 3:  # one spatial dimension is two, the second of size 1
        x, weight, y = (*x, 1), (*weight, 1), (*y, 1)
        w = Window((*w.kernel, 1), (*w.stride, 1), (*w.padding, (0, 0)), (*w.dilation, 1))
    source, filters, result = (
        _tensor(lib, *each, kind, wanted.last) for each in ((X, x), (W, weight), (Y, y))
    )
    before, after = zip(*w.padding, strict=True)
    convolution = Descriptor(lib, CONVOLUTION).set(100, DATA_TYPE, enum(DOUBLE if kind == "d" else FLOAT))
    convolution.set(101, MODE, enum(CROSS_CORRELATION)).set(106, INT64, longs(len(w.kernel)))
    convolution.set(105, INT64, longs(*before)).set(104, INT64, longs(*after))
    convolution.set(102, INT64, longs(*w.dilation)).set(103, INT64, longs(*w.stride)).finish()
    code, *names, alpha, beta = OPERATIONS[what]
    operation = Descriptor(lib, code)
    for name, each in zip(names, (convolution, source, filters, result), strict=True):
        operation.set(name, DESCRIPTOR, pointers(each.value))
    number, scale = (DOUBLE_TYPE, ctypes.c_double) if kind == "d" else (FLOAT_TYPE, ctypes.c_float)
    operation.set(alpha, number, (scale * 1)(1)).set(beta, number, (scale * 1)(0)).finish()
    graph = Descriptor(lib, GRAPH).set(800, HANDLE, pointers(lib.handle()))
    graph.set(801, DESCRIPTOR, pointers(operation.value)).finish()
    return graph, [source, filters, result, convolution, operation, graph]


def _ways(lib: Library, wanted: Wanted) -> Iterator[Prepared]:
    """Every way to compute it that gives the numbers asked for, the one thought fastest first."""
    graph, alive = _graph(lib, wanted)
    refused = {NONDETERMINISTIC} if wanted.careful else set()
    if wanted.kind == "f" and wanted.exact:
        refused |= {TENSOR_CORE, DOWN_CONVERTED}
    for configuration in _configurations(lib, graph):
        try:
            if refused & _notes(lib, configuration):
                continue
            plan = Descriptor(lib, PLAN).set(400, HANDLE, pointers(lib.handle()))
            plan.set(401, DESCRIPTOR, pointers(configuration.value)).finish()
            room = longs(0)
            plan.get(402, INT64, room)
        except Unsupported:
            continue
        if room[0] <= MOST:
            yield Prepared(lib, plan, room[0], wanted.last, [*alive, configuration])


def text(way: Prepared) -> str:
    """A prepared computation as cuDNN writes it down. Raises `Unsupported` where it does not."""
    place = (ctypes.c_char * way.plan.get(405, TEXT, None))()
    size = way.plan.get(405, TEXT, place)
    return place.raw[:size].decode()


def restore(lib: Library, wanted: Wanted, said: str) -> Prepared:
    """What `text` wrote down. Raises `Unsupported` where it is of no use to this cuDNN and GPU."""
    content = said.encode()
    plan = Descriptor(lib, PLAN).set(400, HANDLE, pointers(lib.handle()))
    plan.set(405, TEXT, (ctypes.c_char * len(content)).from_buffer_copy(content)).finish()
    room = longs(0)
    plan.get(402, INT64, room)
    if not 0 <= room[0] <= MOST:
        raise Unsupported("it takes too much room")
    return Prepared(lib, plan, room[0], wanted.last, [])


def prepare(lib: Library, wanted: Wanted, arrays: Sequence[int] = ()) -> Prepared:
    """A way to compute what is wanted: the one cuDNN thinks fastest.

    With the addresses of `arrays` (x, weight, y) the first few are run on them, and the one that took least is it.
    Raises `Unsupported` where there is none.
    """
    best = None
    for way in itertools.islice(_ways(lib, wanted), TRIED if arrays else 1):
        if not arrays:
            return way
        took = _time(way, arrays)
        if best is None or took < best[0] * BETTER:
            best = took, way
    if best is None:
        raise Unsupported("there is no way to compute it that gives the numbers asked for")
    return best[1]


def _time(way: Prepared, arrays: Sequence[int]) -> float:
    """Milliseconds that it takes run after run, by the GPU's clock; infinite where it cannot be run."""
    cuda = require_cupy().cuda
    try:
        room = cuda.alloc(way.room) if way.room else None
        at = 0 if room is None else room.ptr
        way.run(arrays[0], arrays[1], arrays[2], at)  # its kernel is loaded
        start, end = cuda.Event(), cuda.Event()
        start.record()
        for _ in range(TURNS):
            way.run(arrays[0], arrays[1], arrays[2], at)
        end.record()
        end.synchronize()
        return float(cuda.get_elapsed_time(start, end)) / TURNS
    except (RuntimeError, MemoryError):  # too little memory for its room is one of them
        return float("inf")
