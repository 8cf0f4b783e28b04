"""A convolution or one of its gradients, prepared once by cuDNN's graph interface and run for a few microseconds a time.

The older functions (`cudnnConvolutionForward`) look for a way to compute it anew at every call: 130 to 200 us of the
CPU's time each with cuDNN 9.19, where a GPU is done in 60. Numbers of attributes are those of `cudnn_graph.h`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

from engine.gpu.library import DOUBLE, FLOAT, TYPES, Library, Unsupported
from engine.ops.window import Sizes, Window
from engine.shapes import steps

# cudnnBackendDescriptorType_t
CONVOLUTION, ENGINE, CONFIG, HEURISTICS, PLAN = 1, 2, 3, 4, 5
FORWARD, WEIGHTS, DATA, GRAPH, PACK, TENSOR = 10, 11, 12, 15, 16, 17
# cudnnBackendAttributeType_t
HANDLE, DATA_TYPE, INT64, FLOAT_TYPE, DOUBLE_TYPE, POINTER, MODE, HEURISTIC, NOTE, DESCRIPTOR = 0, 1, 3, 4, 5, 6, 7, 8, 11, 15  # fmt: skip
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

    __slots__ = ("_alive", "_names", "_plan", "lib", "room")

    def __init__(self, lib: Library, plan: Descriptor, room: int, alive: list[Descriptor]) -> None:
        self.lib = lib
        self.room = room
        self._plan = plan
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
            or c.cudnnBackendExecute(lib.handle(), self._plan.value, pack)
        )
        c.cudnnBackendDestroyDescriptor(pack)
        if status:
            raise RuntimeError(
                f"cuDNN could not compute a convolution: {c.cudnnGetErrorString(status).decode()}"
            )


def _tensor(lib: Library, name: int, shape: Sizes, kind: str) -> Descriptor:
    made = Descriptor(lib, TENSOR).set(901, DATA_TYPE, enum(TYPES[kind])).set(902, INT64, longs(*shape))
    return (
        made.set(903, INT64, longs(*steps(shape)))
        .set(906, INT64, longs(name))
        .set(900, INT64, longs(16))
        .finish()
    )


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


def prepare(
    lib: Library, what: str, x: Sizes, weight: Sizes, y: Sizes, w: Window, kind: str, exact: bool
) -> Prepared:
    """A way to compute "forward", "data" or "weights" for arrays of these shapes with their elements in order.

    The same bits come each time it runs; `exact`: float32 is multiplied as float32. Raises `Unsupported`.
    """
    if len(x) == 3:  # one spatial dimension is two, the second of size 1
        x, weight, y = (*x, 1), (*weight, 1), (*y, 1)
        w = Window((*w.kernel, 1), (*w.stride, 1), (*w.padding, (0, 0)), (*w.dilation, 1))
    source, filters, result = (_tensor(lib, *each, kind) for each in ((X, x), (W, weight), (Y, y)))
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
    refused = {NONDETERMINISTIC, *((TENSOR_CORE, DOWN_CONVERTED) if kind == "f" and exact else ())}
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
            return Prepared(
                lib, plan, room[0], [source, filters, result, convolution, operation, graph, configuration]
            )
    raise Unsupported("there is no way to compute it that gives the same bits each time")
