"""Attention and its gradients by one call of C each, where there is a compiler. None where NumPy has to do it.

The numbers differ from NumPy's by some units of the last digit. So a program uses this from its first attention on or not
at all, and its numbers do not change under way: on a machine where nothing was compiled yet, the next program does.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np

from engine.dnn import library as dnn
from engine.dnn.compiled import Compiled
from engine.dnn.library import address
from engine.pool import pool

# Multiplications of queries and keys from which a program is worth the compiler's time.
ENOUGH = 1 << 18
# Scores that are worked on at a time, which stay in the cache, and of how many queries at least and at most.
CACHEFUL, LEAST, MOST = 1 << 17, 64, 128
# Of how many threads one has to have a head to work on; NumPy's products are made by all of them.
HEADS = 2

_POINTER, _LONG, _INT = ctypes.c_void_p, ctypes.c_long, ctypes.c_int
_NONE, _ALLOWED, _ADDED = range(3)
_Three = _LONG * 3


class Attention(ctypes.Structure):
    """What is computed, and how the arrays lie; the same in `attention.c`."""

    _fields_ = [
        ("samples", _LONG), ("heads", _LONG), ("queries", _LONG), ("keys", _LONG), ("features", _LONG),
        ("values", _LONG), ("rows", _LONG),
        ("query", _Three), ("key", _Three), ("value", _Three), ("out", _Three), ("slope", _Three),
        ("to_query", _Three), ("to_key", _Three), ("to_value", _Three), ("mask_step", _LONG * 4),
        ("multiply", _POINTER), ("mask", _POINTER), ("keep", _POINTER),
        ("scale", ctypes.c_float), ("causal", _INT), ("kind", _INT), ("threads", _INT),
    ]  # fmt: skip


attention = Compiled(
    "attention.c",
    ("-ffp-contract=fast", "-mprefer-vector-width=512"),
    {
        "attention_forward": [_POINTER] * 7,
        "attention_backward": [_POINTER] * 12,
        "attention_threads": [_POINTER],
    },
    late=False,
)


def _steps(x: Any) -> tuple[int, ...] | None:
    """The distances of samples, heads and rows of [..., places, features]; None where a row is not in one piece.

    A dimension of one element, or that is not there, has any distance.
    """
    places, features = x.shape[-2:]
    row, column = x.strides[-2:]
    row = row if places > 1 else 4 * features
    if (column != 4 and features > 1) or row < 4 * features:
        return None
    lead = [step if size > 1 else 0 for size, step in zip(x.shape[:-2], x.strides[:-2], strict=True)]
    lead = [0] * (2 - len(lead)) + lead
    steps = (*_paired(x.ndim, lead), row)
    return None if any(step % 4 or step < 0 for step in steps) else tuple(step // 4 for step in steps)


def _paired(rank: int, lead: list[int]) -> list[int]:
    """[samples, places, features] has samples, and one head."""
    return lead[::-1] if rank == 3 else lead


def _record(query: Any, key: Any, value: Any, mask: Any, causal: bool, scale: float) -> Attention | None:
    """What is computed, without the results; None where the arrays are not like that."""
    lead, (queries, features) = query.shape[:-2], query.shape[-2:]
    keys = key.shape[-2]
    if len(lead) > 2 or key.shape[:-2] != lead or value.shape[:-2] != lead:
        return None
    if math.prod(query.shape) * keys < ENOUGH or not dnn.serves(query, key, value):
        return None
    steps = [_steps(x) for x in (query, key, value)]
    lib = dnn.library()
    if lib is None or None in steps:
        return None
    samples, heads = lead if len(lead) == 2 else (*lead, 1) if lead else (1, 1)
    rows = min(queries, max(LEAST, min(MOST, CACHEFUL // keys)))
    made = Attention(samples, heads, queries, keys, features, value.shape[-1], rows, *steps)
    if mask is not None and not _masked(made, mask, (*lead, queries, keys)):
        return None
    made.multiply = ctypes.cast(lib.lib.dnnl_sgemm, _POINTER).value
    made.scale, made.causal = scale, causal
    return made


def _masked(record: Attention, mask: Any, shape: tuple[int, ...]) -> bool:
    """Write down what the mask is and how it lies; False for one that is not taken."""
    kinds = {"bool": _ALLOWED, "float32": _ADDED}
    if type(mask) is not np.ndarray or mask.dtype.name not in kinds:
        return False
    size, bytes_between = mask.itemsize, np.broadcast_to(mask, shape).strides
    if any(step % size or step < 0 for step in bytes_between):
        return False
    steps = [step // size for step in bytes_between]
    if shape[-1] == 1:
        steps[-1] = 1
    if steps[-1] not in (0, 1):
        return False
    lead = [0] * (4 - len(steps)) + steps[:-2]
    record.mask_step = (_LONG * 4)(*_paired(len(shape), lead), *steps[-2:])
    record.mask, record.kind = address(mask), kinds[mask.dtype.name]
    return True


def _laid(x: Any) -> tuple[Any, Any]:
    """The array, in order where it does not lie so that it can be read, and its steps."""
    found = _steps(x)
    if found is None:
        x = np.ascontiguousarray(x)
        found = _steps(x)
    return x, found


def _room(found: Any, record: Attention, tables: int) -> Any:
    """Scores for each thread; None where most of the threads would have nothing to do."""
    threads = _INT()
    found.attention_threads(ctypes.byref(threads))
    if HEADS * record.samples * record.heads < threads.value:
        return None
    record.threads = threads.value
    return pool.empty((threads.value * tables * record.rows * record.keys,), np.float32, brief=True)


def _fresh(shape: tuple[int, ...]) -> Any:
    """A result [..., heads, places, features] with the heads beside the features in memory."""
    if len(shape) != 4:
        return pool.empty(shape, np.float32)
    samples, heads, places, features = shape
    return pool.empty((samples, places, heads, features), np.float32).swapaxes(1, 2)


def attend(
    query: Any, key: Any, value: Any, mask: Any, keep: Any, causal: bool, scale: float
) -> tuple[Any, Any] | None:
    """The mean of the values for each query, and the logarithm of the sum of its exponentials [..., queries, 1].

    `keep` is what the weights are multiplied with, or None.
    """
    record = _record(query, key, value, mask, causal, scale)
    found = None if record is None else attention.ready()
    room = None if found is None or record is None else _room(found, record, 1)
    if found is None or record is None or room is None:
        return None
    out = _fresh((*query.shape[:-1], value.shape[-1]))
    lse = np.empty((*query.shape[:-1], 1), np.float32)
    record.out = _steps(out)
    if keep is not None:
        keep = np.ascontiguousarray(keep)
        record.keep = address(keep)
    found.attention_forward(
        ctypes.addressof(record), address(query), address(key), address(value), address(out), address(lse), address(room)
    )  # fmt: skip
    return out, lse


def gradients(
    g: Any, out: Any, query: Any, key: Any, value: Any, mask: Any, keep: Any, causal: bool, scale: float, lse: Any, soft: bool
) -> tuple[Any, Any, Any, Any] | None:  # fmt: skip
    """The gradients of query, key and value, and of the scores if `soft`, given the result of `attend` and its logarithms."""
    record = _record(query, key, value, mask, causal, scale)
    found = None if record is None or not dnn.serves(g, out, lse) else attention.ready()
    room = None if found is None or record is None else _room(found, record, 2)
    if found is None or record is None or room is None:
        return None
    g, record.slope = _laid(g)
    out, record.out = _laid(out)
    lse = np.ascontiguousarray(lse)
    made = [_fresh(x.shape) for x in (query, key, value)]
    record.to_query, record.to_key, record.to_value = (_steps(x) for x in made)
    slopes = pool.empty((*query.shape[:-1], key.shape[-2]), np.float32) if soft else None
    if keep is not None:
        keep = np.ascontiguousarray(keep)
        record.keep = address(keep)
    found.attention_backward(
        ctypes.addressof(record), *(address(x) for x in (g, query, key, value, out, lse, *made)),
        None if slopes is None else address(slopes), address(room),
    )  # fmt: skip
    return made[0], made[1], made[2], slopes
