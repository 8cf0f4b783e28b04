"""A long short-term memory over a whole sequence as one op, for when nobody watches its steps.

It computes what the op `lstm_cell` computes step by step, with the same operations on the same numbers in the same
order, so that results and gradients agree to the last bit. What can be done for several steps at once is.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype
from engine.dispatch import apply
from engine.dnn import cell as fast
from engine.dnn.loop import sum_rows
from engine.errors import Shape, ShapeClash, shape_text
from engine.grad_mode import state
from engine.op import op
from engine.ops.linear import LARGE, LINEAR, linear, linear_vjp, mapped, product, turns
from engine.ops.nested import on_arrays
from engine.ops.recurrent import _recorded, activate, flat, lstm_cell, pieces, rows_of, slopes
from engine.pending import gathered
from engine.pool import pool, times
from engine.shapes import sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.tensor import Tensor

INPUT, H, C, WEIGHT_IH, WEIGHT_HH, BIAS = range(6)
# Steps whose slopes are computed together hold about this many numbers: a share of the cache.
TOGETHER = 1 << 16


def sequence_shape(gates: int, states: int) -> Any:
    """The shape rule of a sequence [steps, batch, features] with `states` states and `gates` gates."""

    def rule(input: Any, *rest: Any, **_: Any) -> list[Shape]:
        x = sizes(input)
        weight_ih, weight_hh = (sizes(w) for w in rest[states : states + 2])
        if len(weight_hh) != 2 or weight_hh[0] != gates * weight_hh[1]:
            raise ShapeClash([f"{gates} hidden", "hidden"], states + 2, [], f"{{{states + 2}}} maps the state to {gates} gates of its size.")  # fmt: skip
        hidden = weight_hh[1]
        if len(weight_ih) != 2 or weight_ih[0] != gates * hidden:
            raise ShapeClash([gates * hidden, "features"], states + 1, [(states + 1, 0), (states + 2, 0)], f"{{{states + 1}}} has to give the {gates * hidden} gates that {{{states + 2}}} gives.")  # fmt: skip
        if len(x) != 3 or x[2] != weight_ih[1]:
            raise ShapeClash(["steps", "batch", weight_ih[1]], 0, [(0, 2), (states + 1, 1)] if len(x) == 3 else [], f"{{0}} has to be [steps, batch, {weight_ih[1]}].")  # fmt: skip
        for at, given in enumerate(rest[:states], 1):
            if sizes(given) != (x[1], hidden):
                raise ShapeClash([x[1], hidden], at, [], f"{{{at}}} is {shape_text(sizes(given))}, but has to be {shape_text((x[1], hidden))}.")  # fmt: skip
        return [(x[0], x[1], hidden)] + [(x[1], hidden)] * states

    return rule


def sequence_origin(states: int) -> Any:
    """Where the dimensions of the results come from."""

    def rule(
        found: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
    ) -> list[tuple[int, int]]:
        if dim == len(out) - 1:
            return [(states + 2, 1)]
        return [(0, dim if len(out) == 3 else dim + 1)]

    return rule


def room(xp: Any, shape: Shape, kind: Any) -> Any:
    """An array of undefined content, from parked memory where it is large."""
    return pool.empty(shape, kind) if xp is np else xp.empty(shape, kind)


def _vjp(
    xp: Any, g: Any, out: Any, input: Any, h: Any, c: Any, weight_ih: Any, weight_hh: Any, bias: Any,
    *, backwards: bool, inward: bool, states: Any, cells: Any, bare: Any,
) -> Any:  # fmt: skip
    if not on_arrays(xp):
        return _recorded_vjp(xp, g, input, h, c, weight_ih, weight_hh, bias, backwards)
    to_out, to_h, to_c = g
    if to_out is not None and backwards:
        to_out = to_out[::-1]
    _, batch, width = bare.shape
    into = room(xp, bare.shape, bare.dtype)
    to_cell = xp.zeros((batch, width // 4), bare.dtype) if to_c is None else to_c.copy()
    to_state = xp.zeros_like(to_cell) if to_h is None else to_h.copy()
    if xp is np:
        done = fast.backward(bare, cells, weight_hh, to_out, into, to_state, to_cell)
    else:
        from engine.gpu import recurrent as gpu

        done = gpu.backward(bare, cells, weight_hh, to_out, into, to_state, to_cell)
    if not done:
        _back_through(xp, to_out, to_state, to_cell, into, weight_hh, cells, bare)
    to_hh = gathered(xp, into, states[:-1])
    ordered = xp.ascontiguousarray(into[::-1]) if backwards else into
    to_input, to_ih, _ = linear_vjp(xp, ordered, None, input, weight_ih if inward else None, None)
    to_bias = None if bias is None else sum_rows(flat(ordered))
    return to_input, to_state, to_cell, to_ih, to_hh, to_bias


def _back_through(
    xp: Any, to_out: Any, to_state: Any, to_cell: Any, into: Any, weight_hh: Any, cells: Any, bare: Any
) -> None:
    """The gradients of the gates in `into`, and those of the first h and c in `to_state` and `to_cell`, step by step."""
    steps, batch, width = bare.shape
    by_gate = (-1, batch, 4, width // 4)
    through = xp.empty_like(to_cell)
    spread = through[:, None]
    back = times(into[0], weight_hh) if xp is np and bare.dtype.char in "fd" else partial(product, xp)
    together = max(1, TOGETHER // (batch * width))
    for end in range(steps, 0, -together):
        first = max(end - together, 0)
        chunk = slice(first, end)
        rates, onwards, keeps = slopes(xp, bare[chunk], cells[chunk], cells[first + 1 : end + 1])
        rates, mine = rates.reshape(by_gate), into[chunk].reshape(by_gate)
        three = zip(mine[::-1, :, :3], rates[::-1, :, :3], strict=True)
        fourth = zip(mine[::-1, :, 3], rates[::-1, :, 3], strict=True)
        for t, (to_ifg, by_ifg), (to_o, by_o), onward, keep in zip(
            range(end - 1, first - 1, -1), three, fourth, onwards[::-1], keeps[::-1], strict=True
        ):
            if to_out is not None:
                to_state += to_out[t]
            xp.multiply(onward, to_state, out=through)
            through += to_cell
            xp.multiply(spread, by_ifg, out=to_ifg)
            xp.multiply(to_state, by_o, out=to_o)
            xp.multiply(through, keep, out=to_cell)
            back(into[t], weight_hh, to_state)


def _recorded_vjp(
    xp: Any, g: Any, input: Any, h: Any, c: Any, weight_ih: Any, weight_hh: Any, bias: Any, backwards: bool
) -> Any:
    """The gradients step by step, in ops that can be differentiated again."""
    to_out, to_h, to_c = g
    rows = linear(input, weight_ih, bias)
    order = range(input.shape[0])[::-1] if backwards else range(input.shape[0])
    befores = []
    for t in order:
        befores.append((t, h, c))
        h, c = lstm_cell(rows[t], h, c, None, weight_hh)
    intos: dict[int, Any] = {}
    to_hh = None
    for t, before, cell in reversed(befores):
        if to_out is not None:
            to_h = to_out[t] if to_h is None else to_h + to_out[t]
        if to_h is None:
            to_h = xp.zeros_like(before)
        into, to_c = _recorded(xp, to_h, to_c, linear(before, weight_hh) + rows[t], cell)
        intos[t] = into
        part = xp.swapaxes(into, 0, 1) @ before
        to_hh = part if to_hh is None else to_hh + part
        to_h = into @ weight_hh
    into = xp.stack([intos[t] for t in range(len(intos))], axis=0)
    to_input, to_ih, _ = linear_vjp(xp, into, None, input, weight_ih, None)
    to_bias = None if bias is None else xp.sum(flat(into), axis=0)
    return to_input, to_h, to_c, to_ih, to_hh, to_bias


@op(
    "lstm",
    family="linear",
    shape=sequence_shape(4, 2),
    dtype=dtype.promoted,
    outputs=3,
    origin=sequence_origin(2),
    formula="h_t, c_t = lstm_cell(x_t, h_t-1, c_t-1) for every t",
    vjp=_vjp,
    saves=("input", "h", "c", "weight_ih", "weight_hh", "bias"),
    extras=("states", "cells", "bare"),
    source="Hochreiter and Schmidhuber 1997, with forget gates",
)
def LSTM(
    xp: Any, input: Any, h: Any, c: Any, weight_ih: Any, weight_hh: Any, bias: Any,
    *, backwards: bool, inward: bool,
) -> Any:  # fmt: skip
    """All h [steps, batch, hidden], and the last h and c, of `input` [steps, batch, features].

    `backwards`: from the last step to the first. `inward`: whether the input takes a gradient.
    """
    wrong = input.ndim != 3 or h.shape != (input.shape[1], weight_hh.shape[-1]) or c.shape != h.shape
    if wrong or weight_ih.shape != (weight_hh.shape[0], input.shape[2]):
        LSTM.shape(*(getattr(a, "shape", a) for a in (input, h, c, weight_ih, weight_hh, bias)))
    # Where the steps are C they add the bias on their way, which saves a pass over memory.
    later = bias if fast.adds(xp, input, h, c, weight_ih, weight_hh, bias) else None
    bare = LINEAR.on(xp)(input, weight_ih, None if later is not None else bias)
    kind = xp.result_type(bare, h, c, weight_hh)
    bare = bare.astype(kind, copy=False)
    steps, (batch, hidden) = len(bare), h.shape
    states, cells = (room(xp, (steps + 1, batch, hidden), kind) for _ in range(2))
    states[0], cells[0] = h, c
    if backwards:
        bare = xp.ascontiguousarray(bare[::-1])
    turned = weight_hh.size >= LARGE and xp is np and turns(states[0], weight_hh)
    if xp is np:
        done = fast.forward(bare, states, cells, weight_hh, turned, later)
        if not done and later is not None:
            bare += later
    else:
        from engine.gpu import recurrent as gpu

        done = gpu.forward(bare, states, cells, weight_hh)
    if not done:
        _forth_through(xp, bare, states, cells, weight_hh)
    ordered = states[:0:-1] if backwards else states[1:]
    return (ordered.copy(), states[-1].copy(), cells[-1].copy()), states, cells, bare


def _forth_through(xp: Any, bare: Any, states: Any, cells: Any, weight_hh: Any) -> None:
    """Every h and c from the first in `states` and `cells`, and tanh of the gates in `bare`, step by step."""
    _, batch, width = bare.shape
    rows = rows_of(xp, width // 4, bare.dtype)
    gates, full = (xp.empty((batch, width), bare.dtype) for _ in range(2))
    parts, forth = pieces(full), mapped(xp, states[0], weight_hh)
    for row, before, cell, after, c_after in zip(
        bare, states[:-1], cells[:-1], states[1:], cells[1:], strict=True
    ):
        row += forth(before, gates)
        activate(xp, row, cell, rows, full, parts, c_after, after)


def lstm(
    input: Any, h: Any, c: Any, weight_ih: Any, weight_hh: Any, bias: Any = None, backwards: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """All states of a long short-term memory over `input` [steps, batch, features], and the last h and c.

    `h` and `c` [batch, hidden] are those to start with, `bias` [4 hidden] the sum of the two that a cell has;
    `backwards` goes from the last step to the first. Raises `ShapeMismatchError` where sizes do not fit.
    """
    inward = state.grad and bool(getattr(input, "requires_grad", False))
    attrs = {"backwards": backwards, "inward": inward}
    return apply(LSTM, (input, h, c, weight_ih, weight_hh, bias), attrs)  # type: ignore[no-any-return]
