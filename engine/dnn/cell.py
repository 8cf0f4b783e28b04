"""The steps of a long short-term memory by one call of C, where there is a compiler. False where NumPy has to do them.

Products are made by the functions that make them otherwise (oneDNN's or those of NumPy's OpenBLAS) and tanh by NumPy's own
loop, so results have the same bits, and it does not matter from when on this serves.
"""

from __future__ import annotations

import ctypes
import functools
from contextlib import nullcontext
from typing import Any

import numpy as np

from engine.dnn import packed, product
from engine.dnn.compiled import Compiled
from engine.dnn.library import address, library
from engine.dnn.weave import loop_of
from engine.threads import alone, team

_POINTER, _LONG, _INT = ctypes.c_void_p, ctypes.c_long, ctypes.c_int
ONEDNN, PLAIN, TURNED, ROW = range(4)


class Cell(ctypes.Structure):
    """What all steps share; the same in `cell.c`."""

    _fields_ = [
        ("batch", _LONG), ("hidden", _LONG), ("forth", _INT), ("back", _INT), ("function", _POINTER * 4),
        ("multiply", _POINTER), ("forth_ends", _POINTER), ("back_ends", _POINTER),
        ("tanh", _POINTER), ("data", _POINTER), ("half", _POINTER), ("shift", _POINTER), ("quarter", _POINTER),
    ]  # fmt: skip


cells = Compiled(
    "cell.c",
    ("-ffp-contract=off",),
    {
        "cell_forward": [_POINTER] * 2 + [_LONG] + [_POINTER] * 5 + [_INT],
        "cell_backward": [_POINTER] * 2 + [_LONG] + [_POINTER] * 7 + [_INT],
        "cell_forth": [_POINTER] * 4,
        "cell_back": [_POINTER] * 4,
        "cell_step": [_POINTER] * 5,
        "cell_step_back": [_POINTER] * 8,
        "cell_whole": [_POINTER, _INT, _LONG] + [_POINTER] * 11,
        "cell_whole_back": [_POINTER] * 10,
    },
)


@functools.cache
def _tanh() -> tuple[int, int] | None:
    """NumPy's loop of tanh for float32 and what it is given, None where it is not found or gives other bits."""
    found = loop_of("tanh", "f->f")
    if found is None:
        return None
    function, data = found
    loop = ctypes.CFUNCTYPE(None, _POINTER, _POINTER, _POINTER, _POINTER)(function)
    x = np.linspace(-9, 9, 257, dtype=np.float32)
    out = np.empty_like(x)
    arrays = (ctypes.c_void_p * 2)(address(x), address(out))
    loop(arrays, (_LONG * 1)(x.size), (_LONG * 2)(4, 4), data)
    return found if np.array_equal(out, np.tanh(x)) else None


@functools.cache
def _blas() -> tuple[int, int] | None:
    """Where NumPy's OpenBLAS has the products of matrices, and of a matrix and a vector; None for another library."""
    from engine.threads import openblas

    for opened in openblas():
        for prefix in ("scipy_", ""):
            found: list[Any] = [
                getattr(opened, f"{prefix}cblas_{name}64_", None) for name in ("sgemm", "sgemv")
            ]
            if None not in found:
                gemm, gemv = (int(ctypes.cast(f, _POINTER).value or 0) for f in found)
                return gemm, gemv
    return None


@functools.lru_cache(maxsize=64)
def _rows(hidden: int) -> tuple[Any, Any, Any]:
    from engine.ops.recurrent import rows_of

    return rows_of(np, hidden, np.dtype(np.float32))


@functools.lru_cache(maxsize=64)
def _cell(batch: int, hidden: int, turned: bool) -> Cell | None:
    """The record of a cell with a recurrent weight [4 hidden, hidden], None where something of it is missing."""
    tanh, lib = _tanh(), library()
    if tanh is None or lib is None or hidden < 2 or batch * hidden == 0:
        return None
    made = Cell(batch, hidden)
    if batch * hidden * 4 * hidden >= product.ENOUGH:
        made.forth = made.back = ONEDNN
        made.function[ONEDNN] = ctypes.cast(lib.lib.dnnl_sgemm, _POINTER).value
    else:
        blas = _blas()
        if blas is None:
            return None
        gemm, gemv = blas
        made.function[PLAIN] = made.function[TURNED] = gemm
        made.function[ROW] = gemv
        made.forth = ROW if batch == 1 else TURNED if turned else PLAIN
        made.back = ROW if batch == 1 else PLAIN
    made.tanh, made.data = tanh
    made.rows = _rows(hidden)  # as long as the record
    made.half, made.shift, made.quarter = (address(row) for row in made.rows)
    return made


@functools.lru_cache(maxsize=64)
def _packing(batch: int, hidden: int, turned: bool) -> Cell | None:
    """The same with products by a packed weight, those that have the bits of the others."""
    plain = _cell(batch, hidden, turned)
    if plain is None or not packed.serves(batch, hidden, 4 * hidden):
        return plain
    found, made = cells.ready(), Cell.from_buffer_copy(plain)
    made.rows = plain.rows
    weight = np.random.default_rng(0).random((4 * hidden, hidden), np.float32) - np.float32(0.5)

    def forth(x: Any, out: Any) -> None:
        into = np.empty((4 * hidden, batch), np.float32) if plain.forth == TURNED else out
        found.cell_forth(ctypes.addressof(plain), address(weight), address(x), address(into))
        out[...] = into.T if plain.forth == TURNED else into

    def back(x: Any, out: Any) -> None:
        found.cell_back(ctypes.addressof(plain), address(weight), address(x), address(out))

    made.ends = packed.like(forth, batch, weight.T), packed.like(back, batch, weight)
    made.forth_ends, made.back_ends = (None if e is None else ctypes.addressof(e) for e in made.ends)
    made.multiply = ctypes.cast(packed.products.ready().packed_multiply, _POINTER).value
    return made


def _ready(batch: int, weight: Any, turned: bool) -> tuple[Any, Cell] | None:
    """The library and the record for steps with this weight, None where NumPy has to do them."""
    found = cells.ready()
    if found is None or not weight.flags.c_contiguous:
        return None
    hidden = weight.shape[1]
    record = (_packing if packed.products.ready() is not None else _cell)(batch, hidden, turned)
    return None if record is None else (found, record)


def _laid(weight: Any, ends: Any) -> Any:
    """`weight` as the steps take it, whose products have these `ends`: packed, or as it is."""
    if ends is None:
        return weight
    made = packed.room(*weight.shape)
    packed.pack(weight, made)
    return made


@functools.lru_cache(maxsize=64)
def _single(batch: int, hidden: int) -> Cell | None:
    """The record of a step whose products are made elsewhere."""
    tanh = _tanh()
    if tanh is None:
        return None
    made = Cell(batch, hidden)
    made.tanh, made.data = tanh
    made.rows = _rows(hidden)  # as long as the record
    made.half, made.shift, made.quarter = (address(row) for row in made.rows)
    return made


def step(gates: Any, c: Any, cell: Any, after: Any) -> bool:
    """One step from its `gates` [..., 4 hidden], which are given tanh of themselves: c' in `cell`, h' in `after`."""
    found = cells.ready()
    if found is None or not _whole(gates, c, cell, after):
        return False
    record = _single(c.size // c.shape[-1], c.shape[-1])
    if record is None:
        return False
    found.cell_step(ctypes.addressof(record), address(gates), address(c), address(cell), address(after))
    return True


@functools.lru_cache(maxsize=64)
def _mapping(batch: int, hidden: int, features: int) -> tuple[Cell, int] | None:
    """The record of a step that makes its products itself, and by which function that of the input is made.

    The functions are those that the op `linear` takes.
    """
    from engine.ops.linear import FEW, LARGE

    turned = 2 <= batch <= FEW
    record = _cell(batch, hidden, turned and 4 * hidden * hidden >= LARGE)
    if record is None or features < 2:
        return None
    kind = ROW if batch == 1 else TURNED if turned and 4 * hidden * features >= LARGE else PLAIN
    if batch * features * 4 * hidden >= product.ENOUGH:
        kind = ONEDNN
    made = Cell.from_buffer_copy(record)
    made.rows = record.rows
    lib, blas = library(), _blas()
    if blas is None or lib is None:
        return None
    gemm, gemv = blas
    made.function[ONEDNN] = ctypes.cast(lib.lib.dnnl_sgemm, _POINTER).value
    made.function[PLAIN] = made.function[TURNED] = gemm
    made.function[ROW] = gemv
    return made, kind


def whole(
    input: Any, h: Any, c: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any
) -> tuple[Any, Any, Any] | None:
    """One step of rows [batch, features]: tanh of the gates, c' and h'; None where it is not made for these."""
    found = cells.ready()
    if found is None or input.ndim != 2 or weight_ih is None:
        return None
    batch, features = input.shape
    rows, hidden = weight_hh.shape
    biases = [b for b in (bias_ih, bias_hh) if b is not None]
    if (
        rows != 4 * hidden
        or h.shape != (batch, hidden)
        or c.shape != h.shape
        or weight_ih.shape != (rows, features)
        or any(b.shape != (rows,) for b in biases)
        or not _whole(input, h, c, weight_ih, weight_hh, *biases)
    ):
        return None
    made = _mapping(batch, hidden, features)
    if made is None:
        return None
    record, kind = made
    gates, room = np.empty((batch, rows), np.float32), np.empty((2, batch, rows), np.float32)
    cell, after = np.empty((batch, hidden), np.float32), np.empty((batch, hidden), np.float32)
    with _alone(batch * rows * max(hidden, features)):
        found.cell_whole(
            ctypes.addressof(record), kind, features, address(input), address(h), address(c), address(weight_ih),
            address(weight_hh), None if bias_ih is None else address(bias_ih),
            None if bias_hh is None else address(bias_hh), address(gates), address(cell), address(after), address(room),
        )  # fmt: skip
    return gates, cell, after


def step_back(
    gates: Any,
    c: Any,
    to_h: Any,
    to_c: Any,
    into: Any,
    before: Any,
    weight: Any = None,
    to_before: Any = None,
) -> bool:
    """One step back: the gradients of the gates in `into` and of c in `before`; `to_h` or `to_c` may be None.

    With the recurrent `weight` also that of h in `to_before`.
    """
    found = cells.ready()
    if found is None or not _whole(gates, c, into, before):
        return False
    for given in (to_h, to_c):
        if given is not None and (given.shape != c.shape or not _whole(given)):
            return False
    batch, hidden = c.size // c.shape[-1], c.shape[-1]
    room = np.empty_like(c)
    rest = (
        address(gates), address(c), None if to_h is None else address(to_h), None if to_c is None else address(to_c),
        address(into), address(before),
    )  # fmt: skip
    if weight is None:
        record = _single(batch, hidden)
        if record is None:
            return False
        found.cell_step_back(ctypes.addressof(record), *rest, address(room))
        return True
    record = _cell(batch, hidden, False) if _whole(weight) else None
    if record is None:
        return False
    with _alone(batch * hidden * 4 * hidden):
        found.cell_whole_back(
            ctypes.addressof(record), address(weight), *rest, address(to_before), address(room)
        )
    return True


def _alone(multiplications: int) -> Any:
    """What NumPy's library makes a step's products in, which have at most so many."""
    return alone if multiplications > product.SHARED else nullcontext()


_FLOAT = np.dtype(np.float32)


def _whole(*arrays: Any) -> bool:
    """Whether these are arrays of float32 in order, with something in them."""
    for a in arrays:
        if type(a) is not np.ndarray or (a.dtype is not _FLOAT and a.dtype != _FLOAT):
            return False
        if not a.size or not a.flags.c_contiguous:
            return False
    return True


def adds(xp: Any, *arrays: Any) -> bool:
    """Whether `forward` is for these, the last of them the bias, so that the bias can be left to it."""
    return xp is np and arrays[-1] is not None and _whole(*arrays) and cells.ready() is not None


# Numbers of all gates that are worth a thread.
WORTH = 1 << 17


def _threads(bare: Any) -> int:
    return min(team(), max(int(bare.size) // WORTH, 1))


def forward(bare: Any, states: Any, kept: Any, weight: Any, turned: bool, bias: Any = None) -> bool:
    """All steps: `bare` [steps, batch, 4 hidden] holds the mapped inputs and is given tanh of the gates.

    `bias` [4 hidden] is added to the inputs where it is given. `states` and `kept` [steps + 1, batch, hidden] hold the first h and c, and are given the others.
    """
    if not _whole(bare, states, kept, weight) or not (bias is None or _whole(bias)):
        return False
    made = _ready(bare.shape[1], weight, turned)
    if made is None:
        return False
    found, record = made
    laid, gates = _laid(weight.T, record.forth_ends), np.empty(bare.shape[1:], np.float32)
    with alone:
        found.cell_forward(
            ctypes.addressof(record), address(laid), len(bare), address(bare), address(states), address(kept),
            address(gates), None if bias is None else address(bias), _threads(bare),
        )  # fmt: skip
    return True


def backward(
    bare: Any, kept: Any, weight: Any, to_out: Any, into: Any, to_state: Any, to_cell: Any
) -> bool:  # fmt: skip
    """All steps back: gives `into`, the gradients of the gates, and in `to_state` and `to_cell` those of the first h and c."""
    if not _whole(bare, kept, weight, into, to_state, to_cell):
        return False
    made = _ready(bare.shape[1], weight, False)
    if made is None:
        return False
    found, record = made
    if to_out is not None:
        to_out = np.ascontiguousarray(to_out, np.float32)
    laid, room = _laid(weight, record.back_ends), np.empty_like(to_state)
    with alone:
        found.cell_backward(
            ctypes.addressof(record), address(laid), len(bare), address(bare), address(kept),
            None if to_out is None else address(to_out), address(into), address(to_state), address(to_cell), address(room),
            _threads(bare),
        )  # fmt: skip
    return True
