"""The steps of a long short-term memory: a product and one kernel each."""

from __future__ import annotations

from typing import Any

from engine.backend import cupy
from engine.gpu import launch
from engine.gpu.launch import int32, int64, ordered
from engine.gpu.product import product


def forward(bare: Any, states: Any, cells: Any, weight: Any) -> bool:
    """Every h and c from the first ones, and tanh of the gates in `bare`; whether it was done."""
    if not bare.size or not launch.serves(bare, states, cells, weight):
        return False
    steps, batch, width = bare.shape
    gates, turned, kind = cupy().empty((batch, width), bare.dtype), weight.T, bare.dtype.char
    if product(states[0], turned, gates) is None:
        return False
    size, hidden = int64(batch * width // 4), int32(width // 4)
    for t in range(steps):
        if t:
            product(states[t], turned, gates)
        launch.each(
            "lstm_step", kind, int(size), bare[t], gates, cells[t], cells[t + 1], states[t + 1], size, hidden
        )
    return True


def backward(bare: Any, cells: Any, weight: Any, to_out: Any, into: Any, to_state: Any, to_cell: Any) -> bool:
    """The gradients of the gates in `into`, and of the first h and c in `to_state` and `to_cell`; whether it was done."""
    to_out = ordered(to_out)
    arrays = (bare, cells, weight, to_out, into, to_state, to_cell)
    if not bare.size or not launch.serves(*arrays):
        return False
    steps, batch, width = bare.shape
    kind, size, hidden = bare.dtype.char, int64(batch * width // 4), int32(width // 4)
    null = int64(0)
    for t in range(steps - 1, -1, -1):
        given = null if to_out is None else to_out[t]
        launch.each(
            "lstm_step_gradient", kind, int(size), bare[t], cells[t], cells[t + 1], given, to_state, to_cell, into[t],
            to_cell, size, hidden,
        )  # fmt: skip
        if product(into[t], weight, to_state) is None:
            to_state[...] = into[t] @ weight
    return True


def step(gates: Any, c: Any, cell: Any, after: Any) -> bool:
    """One step from its gates, of which tanh is left in their place: c' and h' into `cell` and `after`."""
    if not gates.size or not launch.serves(gates, c, cell, after):
        return False
    size, hidden = int64(c.size), int32(c.shape[-1])
    launch.each("lstm_step", gates.dtype.char, c.size, gates, int64(0), c, cell, after, size, hidden)
    return True


def step_back(bare: Any, c: Any, to_h: Any, to_c: Any, into: Any, before: Any) -> bool:
    """The gradients of the gates in `into` and of c in `before`."""
    to_h, to_c = ordered(to_h), ordered(to_c)
    if not bare.size or not launch.serves(bare, c, to_h, to_c, into, before):
        return False
    null, size = int64(0), int64(c.size)
    launch.each(
        "lstm_step_gradient", bare.dtype.char, c.size, bare, c, null, null, null if to_h is None else to_h,
        null if to_c is None else to_c, into, before, size, int32(c.shape[-1]),
    )  # fmt: skip
    return True
