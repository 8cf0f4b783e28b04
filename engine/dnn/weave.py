"""Elementary steps on large arrays by NumPy's own loops, a cacheful at a time, on all cores.

A `Program` says which of NumPy's functions follow on each other; what they give is what NumPy gives, to the bit.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.dnn.compiled import Compiled
from engine.dnn.library import address
from engine.pool import is_last, pool
from engine.threads import team

_POINTER, _LONG, _INT = ctypes.c_void_p, ctypes.c_long, ctypes.c_int

# As in weave.c.
PIECE, MOST, SLOTS = 2048, 4, 64
# Elements of a row from which it pays, for arrays that differ from row to row.
ROW = 256
# The same where rows are summed, and bytes of what lies between two steps.
SHORTEST, ROOM = 32, 1 << 20
LINE = 64
# Additions, or their like, that are worth a thread; and what takes as long as several.
SHARE, DEAR = 1 << 17, 8
CHEAP = frozenset(["add", "subtract", "multiply", "negative", "absolute", "maximum", "minimum", "where"])


class _Step(ctypes.Structure):
    _fields_ = [
        ("loop", _POINTER),
        ("data", _POINTER),
        ("form", _LONG),
        ("count", _LONG),
        ("slot", _LONG * MOST),
    ]


class _Slot(ctypes.Structure):
    _fields_ = [("base", _POINTER), ("down", _LONG), ("across", _LONG)]


class _Ufunc(ctypes.Structure):
    """The beginning of NumPy's PyUFuncObject, which is part of its public interface, after the object's head."""

    _fields_ = [
        ("inputs", _INT), ("outputs", _INT), ("arguments", _INT), ("identity", _INT),
        ("functions", ctypes.POINTER(_POINTER)), ("data", ctypes.POINTER(_POINTER)), ("count", _INT),
    ]  # fmt: skip


woven = Compiled(
    "weave.c",
    ("-fno-strict-aliasing", "-mprefer-vector-width=512"),
    {"weave_run": [_POINTER, _LONG, _POINTER, *[_LONG] * 5, _INT, _INT, _POINTER]},
)


@functools.cache
def loop_of(name: str, types: str) -> tuple[int, int] | None:
    """NumPy's loop for `types` ("ff->f") of a function and what it is given, None where it is not found."""
    ufunc = getattr(np, name)
    found = _Ufunc.from_address(id(ufunc) + object.__basicsize__)
    kinds = ufunc.types
    if (found.inputs, found.outputs, found.count) != (ufunc.nin, 1, len(kinds)) or types not in kinds:
        return None
    at = kinds.index(types)
    function, data = found.functions[at], found.data[at] if found.data else None
    return (function, data or 0) if function else None


EACH, ROWS, SUM, EXTREME = range(4)


class Step(NamedTuple):
    """`out = name(*args)`. An argument and `out` are numbers of slots; `types` are NumPy's words, "" for `where`.

    `form`: for each element, one number for each row, or of all elements of a row their sum or extreme.
    """

    name: str
    types: str
    args: tuple[int, ...]
    out: int
    form: int = EACH


class Program:
    """Steps from arrays and numbers to arrays.

    Slots come in this order: the `arrays`, the `numbers` that are given at each call, the `constants`, the results, whose
    `kinds` are NumPy's letters of their types, and what lies between, of the kinds `between`: "x" a number, "?" a truth,
    "r" a number for each row. The results `of_rows` are such, too.
    """

    def __init__(
        self, steps: Sequence[Step], arrays: int, numbers: int, constants: Sequence[float], kinds: str, between: str,
        of_rows: Sequence[int] = (),
    ) -> None:  # fmt: skip
        self.steps, self.arrays, self.numbers, self.kinds = tuple(steps), arrays, numbers, kinds
        self.constants = tuple(constants)
        self.between = between
        self.of_rows = frozenset(of_rows)
        self.by_rows = any(s.form != EACH for s in steps)
        self.used = arrays + numbers + len(constants) + len(kinds) + len(between)
        self.cost = sum(1 if s.name in CHEAP else DEAR for s in steps)
        self.checked: bool | None = None  # whether it gave NumPy's bits, once it is known
        loops = [loop_of(s.name, s.types) if s.types else (0, 0) for s in steps]
        self.whole = self.used <= SLOTS and None not in loops
        self._made: Any = None
        if self.whole:
            self._made = (_Step * len(steps))()
            for made, step, found in zip(self._made, steps, loops, strict=True):
                made.loop, made.data = found or (0, 0)
                made.form, made.count = step.form, len(step.args) + 1
                made.slot[: made.count] = [*step.args, step.out]

    def run(
        self, arrays: Sequence[Any], numbers: Sequence[float], dtype: Any, always: bool = False
    ) -> tuple[list[Any], bool] | None:
        """The results, and whether floating point went wrong somewhere; None where it is not done for these.

        It is not where nothing is gained, unless it is wanted `always`.
        """
        laid = _laid(arrays, self.by_rows)
        if laid is None:
            return None
        shape, rows, row, like, places = laid
        room, offsets = self._room(row, dtype.itemsize)
        if room > ROOM:
            return None
        size = rows * row
        threads = min(team(), max(size * self.cost // SHARE, 1))
        if len(self.steps) * threads == 1 and not always:
            return None
        found = woven.ready()
        if found is None:
            return None
        width = dtype.itemsize
        scalars = np.array([*numbers, *self.constants], dtype)
        slots = (_Slot * self.used)(*places)
        for k in range(scalars.size):
            slots[len(arrays) + k] = _Slot(address(scalars) + k * width, 0, 0)
        made = []
        at = len(arrays) + scalars.size
        for k, kind in enumerate(self.kinds):
            if k in self.of_rows:
                out = np.empty((*shape[:-1], 1), kind)
                slots[at + k] = _Slot(address(out), width, 0)
            else:
                out = pool.like(like, kind) if like is not None else pool.empty(shape, kind)
                slots[at + k] = _Slot(address(out), row * out.itemsize, out.itemsize)
            made.append(out)
        at += len(self.kinds)
        for k, (kind, offset) in enumerate(zip(self.between, offsets, strict=True)):
            slots[at + k] = _Slot(None, offset, {"x": width, "?": 1, "r": 0}[kind])
        flags = _INT()
        found.weave_run(
            ctypes.addressof(self._made), len(self.steps), ctypes.addressof(slots), self.used, rows, row, width, room,
            self.by_rows, threads, ctypes.addressof(flags),
        )  # fmt: skip
        return made, bool(flags.value)

    def _room(self, row: int, width: int) -> tuple[int, list[int]]:
        """The bytes of what lies between, for each thread, and where in them."""
        each = -(-(row if self.by_rows else PIECE) * width // LINE) * LINE
        offsets, end = [], 0
        for kind in self.between:
            offsets.append(end)
            end += LINE if kind == "r" else each
        return end, offsets


def _laid(arrays: Sequence[Any], by_rows: bool) -> tuple[Any, int, int, Any, list[_Slot]] | None:
    """The shape they broadcast to, rows and their length, an array with its channels last, and where each of them lies."""
    most = max(arrays, key=_extent)
    shape, size = most.shape, most.size
    like = None
    if not most.flags.c_contiguous:
        if by_rows or not is_last(most):
            return None
        like = most
    row = shape[-1] if by_rows and shape else size
    forms = []
    for a in arrays:
        if (a.size == 1 and a.ndim <= len(shape)) or (a.shape == shape and not any(a.strides)):
            forms.append(0)
        elif a.shape == shape and (a.strides == like.strides if like is not None else a.flags.c_contiguous):
            forms.append(1)
        elif like is not None or not a.flags.c_contiguous:
            return None
        elif a.shape == (*shape[:-1], 1):
            if row not in (size, shape[-1]):
                return None
            row = shape[-1]
            forms.append(3)
        elif a.ndim <= len(shape) and _bare(a.shape) == shape[len(shape) - len(_bare(a.shape)) :]:
            if row not in (size, a.size):
                return None
            row = a.size
            forms.append(2)
        else:
            return None
    if row < min(SHORTEST if by_rows else ROW, size):
        return None
    if by_rows and any(form != 1 for form in forms):
        return None  # what is the same everywhere NumPy sums its own way
    places = []
    for a, form in zip(arrays, forms, strict=True):
        width = a.itemsize
        down, across = ((0, 0), (row * width, width), (0, width), (width, 0))[form]
        places.append(_Slot(address(a), down, across))
    return shape, size // row, row, like, places


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without the ones it begins with."""
    return shape[next((k for k, s in enumerate(shape) if s != 1), len(shape)) :]


def _extent(a: Any) -> int:
    return 0 if not any(a.strides) else int(a.size)
