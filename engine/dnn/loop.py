"""Sums, choices, relu and updates of large float32 arrays by loops in C, on all cores. False where NumPy has to do it.

Each gives the bits NumPy gives, so it does not matter from when on they serve.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np

from engine.dnn.compiled import Compiled
from engine.dnn.library import address, serves

# Elements from which it pays to wake other threads.
ENOUGH = 1 << 17

_POINTER, _LONG, _FLOAT, _INT = ctypes.c_void_p, ctypes.c_long, ctypes.c_float, ctypes.c_int

loops = Compiled(
    "loops.c",
    ("-ffp-contract=off",),
    {
        "loops_add": [_POINTER, _POINTER, _POINTER, _LONG],
        "loops_relu": [_POINTER, _POINTER, _LONG],
        "loops_below_infinity": [_POINTER, _LONG, _POINTER],
        "loops_where": [_POINTER] * 4 + [_LONG] + [_FLOAT] * 2,
        "loops_add_rows": [_POINTER] * 3 + [_LONG] * 2,
        "loops_sum_rows": [_POINTER] * 2 + [_LONG] * 2,
        "loops_kept": [ctypes.c_uint64] * 2 + [ctypes.c_uint32, _POINTER, _LONG],
        "loops_drop": [_POINTER] * 2 + [_FLOAT, _POINTER, _LONG],
        "loops_sgd_all": [_LONG] + [_POINTER] * 4 + [_FLOAT] * 4 + [_INT] * 3,
        "loops_adam_all": [_LONG] + [_POINTER] * 6 + [_FLOAT] * 8 + [_INT],
    },
)


def add(a: Any, b: Any, out: Any) -> bool:
    """`out = a + b` of arrays in one piece that lie alike; `out` may be one of them."""
    if out.size < ENOUGH or not serves(a, b) or a.shape != b.shape or a.strides != b.strides:
        return False
    found = loops.ready()
    if found is None:
        return False
    found.loops_add(address(a), address(b), address(out), out.size)
    return True


def relu(x: Any, out: Any) -> bool:
    """`out = max(x, 0)` of arrays in one piece that lie alike."""
    found = loops.ready() if out.size >= ENOUGH and serves(x) else None
    if found is None:
        return False
    found.loops_relu(address(x), address(out), out.size)
    return True


def below_infinity(x: Any) -> bool:
    """Whether there is no NaN and no infinity above in a float32 array in one piece."""
    found = loops.ready() if x.size >= ENOUGH else None
    if found is None:
        return bool(np.maximum.reduce(x, axis=None) < np.inf)
    answer = _INT()
    found.loops_below_infinity(address(x), x.size, ctypes.addressof(answer))
    return bool(answer.value)


def where(condition: Any, a: Any, b: Any) -> Any:
    """`np.where` of truth values and of arrays in order that lie like them; one of the two may be a plain number."""
    if type(condition) is not np.ndarray or condition.size < ENOUGH or condition.dtype != np.bool_:
        return None
    a, b = _number(a), _number(b)
    arrays = [x for x in (a, b) if type(x) is not float]
    if not arrays or not serves(*arrays) or not condition.flags.c_contiguous:
        return None
    if any(not x.flags.c_contiguous or x.shape != condition.shape for x in arrays):
        return None
    found = loops.ready()
    if found is None:
        return None
    out = np.empty_like(arrays[0])
    pointers = [address(x) if type(x) is np.ndarray else None for x in (a, b)]
    plain = [0.0 if type(x) is np.ndarray else x for x in (a, b)]
    found.loops_where(address(condition), *pointers, address(out), out.size, *plain)
    return out


def _number(x: Any) -> Any:
    """A plain number for one that stands everywhere in an array, as in the gradient of a sum."""
    if type(x) is int:
        return float(x)
    return (
        float(x.flat[0])
        if type(x) is np.ndarray and x.dtype == np.float32 and not any(x.strides) and x.size
        else x
    )


def chosen(xp: Any, condition: Any, a: Any, b: Any) -> Any:
    """`xp.where(condition, a, b)`."""
    made = where(condition, a, b) if xp is np else None
    return xp.where(condition, a, b) if made is None else made


def sum_rows(x: Any) -> Any:
    """`x.sum(0)` of an array [rows, width]."""
    wide = type(x) is np.ndarray and x.ndim == 2 and x.size >= SUMMED and x.shape[1] >= ROW
    if not wide or not serves(x) or not x.flags.c_contiguous:
        return x.sum(0)
    found = loops.ready()
    if found is None:
        return x.sum(0)
    out = np.empty(x.shape[1], np.float32)
    found.loops_sum_rows(address(x), address(out), *x.shape)
    return out


# Numbers from which it is worth a call to draw them, and to leave some out.
DRAWN = 1 << 12


def kept(seed: int, counter: int, shape: tuple[int, ...], p: float) -> Any:
    """Whether uniform numbers of the stream of `seed` from `counter` on reach the probability `p`."""
    n = math.prod(shape)
    if type(p) is not float or n < DRAWN or not 0 <= seed < 1 << 64 or not 0 <= counter < (1 << 64) - n:
        return None
    found = loops.ready()
    if found is None:
        return None
    made = np.empty(shape, np.bool_)
    least = math.ceil(float(np.float32(p)) * (1 << 24))
    found.loops_kept(seed, counter, least, address(made), n)
    return made


def drop(x: Any, kept: Any, scale: Any, out: Any) -> bool:
    """`out = x * (kept * scale)` of arrays in order."""
    if x.size < DRAWN or not serves(x, out) or type(kept) is not np.ndarray or kept.dtype != np.bool_:
        return False
    if kept.shape != x.shape or not (x.flags.c_contiguous and kept.flags.c_contiguous):
        return False
    found = loops.ready()
    if found is None:
        return False
    found.loops_drop(address(x), address(kept), scale, address(out), x.size)
    return True


# Elements of all parameters from which one call updates them faster than NumPy.
UPDATED = 1 << 11

# Elements of a row, and of all rows, from which one call is faster than NumPy's; and from which a sum of rows is.
ROW, ROWS, SUMMED = 8, 1 << 12, 1 << 15


def add_rows(out: Any, index: Any, rows: Any) -> bool:
    """`np.add.at(out, index, rows)` for whole rows [..., width] that `index`, whole numbers, names."""
    if type(index) is not np.ndarray or index.dtype != np.int64 or type(out) is not np.ndarray:
        return False
    if not index.ndim or type(rows) is not np.ndarray or rows.shape != index.shape + out.shape[1:]:
        return False
    if rows.size < max(ROWS, ROW * index.size) or not serves(out, rows):
        return False
    if not out.flags.c_contiguous:
        return False
    found = loops.ready()
    if found is None or index.min() < -len(out) or index.max() >= len(out):
        return False  # NumPy says what is wrong
    at = np.ascontiguousarray(np.where(index < 0, index + len(out), index))
    rows = np.ascontiguousarray(rows)  # the gradient of a sum is one number
    found.loops_add_rows(address(at), address(rows), address(out), at.size, rows.size // at.size)
    return True


def worth(parameters: list[Any]) -> bool:
    """Whether one call for all of them is faster than NumPy."""
    return bool(sum([a.size for a in parameters]) >= UPDATED)


def _updater(columns: list[list[Any]], numbers: list[Any]) -> tuple[Any, list[Any], Any] | None:
    """The library, the addresses of the arrays in each column and their sizes; None where NumPy does the update.

    The first column is the parameters; those beside each other have to be alike.
    """
    if any(type(x) is not float and type(x) is not int for x in numbers):
        return None  # NumPy computes with a number of its own in that number's type
    if not worth(columns[0]):
        return None
    count, sizes = len(columns[0]), []
    for row in zip(*columns, strict=True):
        shape = row[0].shape
        for a in row:
            if type(a) is not np.ndarray or a.dtype != np.float32 or a.shape != shape:
                return None
            if not a.flags.c_contiguous:
                return None
        sizes.append(row[0].size)
    found = loops.ready()
    if found is None:
        return None
    return found, [(_POINTER * count)(*map(address, column)) for column in columns], (_LONG * count)(*sizes)


def sgd(
    parameters: list[Any], gradients: list[Any], velocities: list[Any], first: bool, group: dict[str, Any]
) -> bool:
    """One step of stochastic gradient descent, in place, of several parameters in one call.

    `velocities` are None without momentum, and written if `first`.
    """
    lr, momentum, dampening, decay = numbers = [
        group[name] for name in ("lr", "momentum", "dampening", "weight_decay")
    ]
    columns = [parameters, gradients] if velocities[0] is None else [parameters, gradients, velocities]
    made = _updater(columns, numbers)
    if made is None:
        return False
    found, pointers, sizes = made
    found.loops_sgd_all(
        len(parameters), *pointers[:2], pointers[2] if len(pointers) > 2 else None, sizes, lr, momentum,
        1 - dampening, decay, bool(group["nesterov"]), bool(group["maximize"]), first,
    )  # fmt: skip
    return True


def adam(
    parameters: list[Any], gradients: list[Any], means: list[Any], squares: list[Any], most: list[Any], step: int,
    decoupled: bool, group: dict[str, Any],
) -> bool:  # fmt: skip
    """Step number `step` of Adam, in place, of several parameters in one call; `most` are None without AMSGrad."""
    (beta1, beta2), lr, eps, decay = betas, *numbers = [
        group[name] for name in ("betas", "lr", "eps", "weight_decay")
    ]
    columns = [parameters, gradients, means, squares]
    made = _updater(columns if most[0] is None else [*columns, most], [*betas, *numbers])
    if made is None:
        return False
    found, pointers, sizes = made
    found.loops_adam_all(
        len(parameters), *pointers[:4], pointers[4] if len(pointers) > 4 else None, sizes,
        1 - lr * decay if decoupled and decay else 1, 0 if decoupled else decay, 1 - beta1, beta2, 1 - beta2,
        math.sqrt(1 - beta2**step), eps, lr / (1 - beta1**step), bool(group["maximize"]),
    )  # fmt: skip
    return True


def total(a: Any, b: Any, out: Any) -> Any:
    """`a + b` in `out`, for arrays of one shape, type and layout."""
    return out if add(a, b, out) else np.add(a, b, out=out)
