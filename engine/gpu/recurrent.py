"""The steps of a long short-term memory: a product and one kernel each."""

from __future__ import annotations

from typing import Any

from engine.backend import cupy
from engine.gpu import launch
from engine.gpu.launch import int32, int64
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
    if to_out is not None and not to_out.flags.c_contiguous:
        to_out = cupy().ascontiguousarray(to_out)
    arrays = (bare, cells, weight, to_out, into, to_state, to_cell)
    if not bare.size or not launch.serves(*arrays):
        return False
    steps, batch, width = bare.shape
    kind, size, hidden = bare.dtype.char, int64(batch * width // 4), int32(width // 4)
    null = int64(0)
    for t in range(steps - 1, -1, -1):
        given = null if to_out is None else to_out[t]
        launch.each(
            "lstm_step_gradient", kind, int(size), bare[t], cells[t], cells[t + 1], given, to_state, to_cell, into[t], size,
            hidden,
        )  # fmt: skip
        if product(into[t], weight, to_state) is None:
            to_state[...] = into[t] @ weight
    return True
