"""What trace level 2 keeps of the arrays themselves, so that any value can be had again later.

Small results are sent as they are. Of the rest only what nothing can recompute is sent: the leaves (inputs
and parameters, again whenever they may have changed), and attributes that an op's record only describes.
From these every other value follows by running the ops again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from dsviz import events
from dsviz.wire.short import Seen
from engine.node import Node
from engine.writes import writes

if TYPE_CHECKING:
    from dsviz.debuggee.outlets import Outlet

SMALL = 64 << 10  # bytes of a result that is kept itself
INLINE = 128 << 10  # bytes that travel in the ring; more go through a file
AFLOAT = 256 << 20  # bytes in files that nobody has read yet
_KINDS = "biufc"
_LONGEST = 200  # characters of a text that a record holds whole


class InexactError(Exception):
    """An attribute that cannot be written down."""


class Told:
    """A leaf's value as it was sent. What the engine writes is known; what the program writes by itself is looked for
    once an iteration, by a digest, from the second time on that the engine wrote nothing."""

    __slots__ = ("_array", "_digest", "_iteration", "_writes")

    def __init__(self, iteration: int, array: Any, before: Told | None = None) -> None:
        self._iteration, self._writes, self._array = iteration, writes.count, id(array)
        still = before is not None and before._array == id(array) and not _written(array, before._writes)
        self._digest = digest(array) if still else b""

    def holds(self, array: Any, iteration: int) -> bool:
        """Whether that is still its value in `iteration`."""
        if self._array != id(array) or _written(array, self._writes):
            return False
        if iteration != self._iteration:
            if not self._digest or self._digest != digest(array):
                return False
            self._iteration = iteration
        return True


def _written(array: Any, stamp: int) -> bool:
    return writes.count != stamp and writes.since(array, stamp) is not None


def digest(array: Any) -> bytes:
    """What tells the bytes of an array from any others; empty for one that is not on this machine."""
    if not isinstance(array, np.ndarray | np.generic):
        return b""
    whole = np.ascontiguousarray(array)
    return hashlib.blake2b(whole.data if whole.size else b"", digest_size=16).digest()


class Values:
    """Sends arrays of at most a quarter of `budget` bytes each; `folder` takes those too large for a ring."""

    __slots__ = ("_afloat", "_files", "_folder", "_largest", "_told")

    def __init__(self, budget: int, folder: str | None = None) -> None:
        self._largest = budget // 4
        self._folder = folder
        self._afloat: deque[tuple[str, int]] = deque()
        self._files = 0
        self._told: dict[int, Told] = {}  # by leaf

    def leaf(self, outlet: Outlet, node: Node) -> None:
        """A leaf was seen for the first time."""
        if node.out is not None and self._send(outlet, node.id, "output", node.out):
            self._told[node.id] = Told(node.iteration, node.out)

    def inputs(self, outlet: Outlet, node: Node) -> None:
        """`node` is about to run: send the leaves it takes that have changed since they were sent, or may have."""
        arrays = node.arrays or ()
        for source, array in zip(node.inputs, arrays, strict=False):
            if source is None or source.op is not None or not source.id:
                continue
            told = self._told.get(source.id)
            if told is not None and told.holds(array, node.iteration):
                continue
            if self._send(outlet, source.id, "output", array):
                self._told[source.id] = Told(node.iteration, array, told)
                if len(self._told) > 100_000:
                    del self._told[next(iter(self._told))]

    def output(self, outlet: Outlet, node: Node) -> bool:
        """`node` ran: send its results where they are small, and how it is run again where that needs saying.

        True: whoever reads the first of them makes its statistics as well.
        """
        out = node.out
        told = False
        if type(out) is np.ndarray:
            told = out.nbytes <= SMALL and self._send(outlet, node.id, "output", out, outlet.summarizes)
        else:
            several = isinstance(out, tuple)
            seen = outlet.summarizes
            for index, array in enumerate(out if several else (out,)):
                if array is not None:
                    if getattr(array, "nbytes", SMALL + 1) <= SMALL:
                        sent = self._send(
                            outlet, node.id, f"output {index}" if several else "output", array, seen
                        )
                        told = told or (seen and sent)
                    seen = False
        if not node.phase and not _said(node):
            self._recipe(outlet, node)
        return told and outlet.summarizes

    def _recipe(self, outlet: Outlet, node: Node) -> None:
        picks = tuple(_pick(source) for source in node.inputs)
        attrs: dict[str, Any] = {}
        impure = ""
        for name, value in node.attrs.items():
            if not _plain(value):
                try:
                    attrs[name] = self._exact(outlet, node.id, name, value)
                except InexactError as error:
                    impure = f"its attribute {name!r} is {error}, which cannot be written down"
        if attrs or impure or any(pick >= 0 for pick in picks):
            outlet.extra(events.Recipe(node.id, picks, attrs, impure), "values")

    def _exact(self, outlet: Outlet, node: int, name: str, value: Any) -> Any:
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            return value if -(1 << 63) <= value < 1 << 63 else {"int": str(value)}
        if isinstance(value, str):
            return value
        if isinstance(value, tuple | list):
            items = [self._exact(outlet, node, f"{name}.{i}", item) for i, item in enumerate(value)]
            return {"tuple": items} if isinstance(value, tuple) else items
        if isinstance(value, slice):
            parts = (value.start, value.stop, value.step)
            return {"slice": [self._exact(outlet, node, name, part) for part in parts]}
        if value is ...:
            return {"ellipsis": True}
        if isinstance(value, complex):
            return {"complex": [value.real, value.imag]}
        if isinstance(value, np.dtype):
            return {"dtype": value.str}
        if isinstance(value, np.ndarray | np.generic):
            if self._send(outlet, node, f"attribute {name}", np.asarray(value)):
                return {"array": f"attribute {name}"}
            raise InexactError(f"an array of {value.nbytes:,} bytes")
        raise InexactError(f"a {type(value).__name__}")

    def _send(self, outlet: Outlet, node: int, name: str, array: Any, seen: bool = False) -> bool:
        if not isinstance(array, np.ndarray | np.generic):
            array = array.get() if hasattr(array, "get") else None
        if array is None or array.dtype.kind not in _KINDS or array.nbytes > self._largest:
            return False
        dtype, shape, axes = array.dtype.str, tuple(array.shape), axes_of(array)
        if array.nbytes <= INLINE or self._folder is None:
            kind = Seen if seen else events.Value
            return outlet.extra(kind(node, name, dtype, shape, axes, array.tobytes()), "values")
        while self._afloat and not os.path.exists(self._afloat[0][0]):
            self._afloat.popleft()
        if sum(size for _, size in self._afloat) + array.nbytes > AFLOAT:
            return False
        self._files += 1
        file = f"value-{os.getpid()}-{self._files}"
        path = os.path.join(self._folder, file)
        try:
            with open(path, "xb") as out:
                out.write(np.ascontiguousarray(array).data)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(path)
            return False  # no room for it; the program goes on
        if outlet.extra(events.Value(node, name, dtype, shape, axes, file=file), "values"):
            self._afloat.append((path, array.nbytes))
            return True
        os.unlink(path)
        return False


def axes_of(array: Any) -> tuple[int, ...]:
    """The order in which an array's axes lie in memory, () for C order or one that no order describes.

    >>> axes_of(np.zeros((2, 3)).T)
    (1, 0)
    """
    if array.ndim < 2 or array.flags.c_contiguous:
        return ()
    order = tuple(sorted(range(array.ndim), key=lambda axis: -array.strides[axis]))
    return order if array.transpose(order).flags.c_contiguous else ()


def _said(node: Node) -> bool:
    """Whether the record of a node says all that it takes to run it again."""
    for given in (node.scalars, node.kwargs):
        if given:
            for value in given.values():
                if type(value) is not float and not _plain(value):
                    return False
    return all(source is None or source.op is None or source.op.name != "part" for source in node.inputs)


def _pick(source: Node | None) -> int:
    return (
        source.kwargs["index"]
        if source is not None and source.op is not None and source.op.name == "part"
        else -1
    )


def _plain(value: Any) -> bool:
    """Whether an op's record holds this attribute as it is."""
    kind = type(value)
    if kind is int:
        return bool(-(1 << 63) <= value < 1 << 63)
    if kind is str:
        return len(value) <= _LONGEST
    if kind is tuple:
        return len(value) <= 32 and all(_plain(item) for item in value)
    return kind is bool or kind is float or value is None
