"""A plain recurrent network over a whole sequence as one op, for when nobody watches its steps.

It does what the ops of its steps do, in the same order, so that both agree to the last bit.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype
from engine.dispatch import apply
from engine.grad_mode import state
from engine.op import op
from engine.ops.linear import LINEAR, linear, linear_vjp, mapped, product
from engine.ops.lstm import room, sequence_origin, sequence_shape
from engine.ops.nested import on_arrays
from engine.ops.recurrent import flat
from engine.pending import gathered
from engine.pool import times

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _slope(out: Any, nonlinearity: str) -> Any:
    """The slope of the activation by its result, on arrays or Tensors."""
    if nonlinearity == "relu":
        return (out > 0).astype(out.dtype) if hasattr(out, "astype") else (out > 0).to(out.dtype)
    return 1 - out * out


def _vjp(
    xp: Any, g: Any, out: Any, input: Any, h: Any, weight_ih: Any, weight_hh: Any, bias: Any,
    *, nonlinearity: str, backwards: bool, inward: bool, states: Any,
) -> Any:  # fmt: skip
    if not on_arrays(xp):
        return _recorded_vjp(xp, g, input, h, weight_ih, weight_hh, bias, nonlinearity, backwards)
    to_out, to_h = g
    if to_out is not None and backwards:
        to_out = to_out[::-1]
    after = states[1:]
    into = room(xp, after.shape, after.dtype)
    rates = _slope(after, nonlinearity)
    to_after = xp.zeros_like(after[0]) if to_h is None else to_h.copy()
    plain = xp is np and after.dtype.char in "fd"
    back = times(into[0], weight_hh) if plain else partial(product, xp)
    for t in range(len(after) - 1, -1, -1):
        if to_out is not None:
            to_after += to_out[t]
        xp.multiply(rates[t], to_after, out=into[t])
        back(into[t], weight_hh, to_after)
    to_hh = gathered(xp, into, states[:-1])
    ordered = xp.ascontiguousarray(into[::-1]) if backwards else into
    to_input, to_ih, _ = linear_vjp(xp, ordered, None, input, weight_ih if inward else None, None)
    return to_input, to_after, to_ih, to_hh, None if bias is None else flat(ordered).sum(0)


def _recorded_vjp(
    xp: Any, g: Any, input: Any, h: Any, weight_ih: Any, weight_hh: Any, bias: Any, nonlinearity: str, backwards: bool
) -> Any:  # fmt: skip
    """The gradients step by step, in ops that can be differentiated again."""
    to_out, to_h = g
    rows = linear(input, weight_ih, bias)
    order = range(input.shape[0])[::-1] if backwards else range(input.shape[0])
    befores = []
    for t in order:
        before = h
        made = rows[t] + linear(h, weight_hh)
        h = xp.tanh(made) if nonlinearity == "tanh" else xp.relu(made)
        befores.append((t, before, h))
    intos: dict[int, Any] = {}
    to_hh = None
    for t, before, after in reversed(befores):
        if to_out is not None:
            to_h = to_out[t] if to_h is None else to_h + to_out[t]
        intos[t] = to_h * _slope(after, nonlinearity)
        part = xp.swapaxes(intos[t], 0, 1) @ before
        to_hh = part if to_hh is None else to_hh + part
        to_h = intos[t] @ weight_hh
    into = xp.stack([intos[t] for t in range(len(intos))], axis=0)
    to_input, to_ih, _ = linear_vjp(xp, into, None, input, weight_ih, None)
    return to_input, to_h, to_ih, to_hh, None if bias is None else xp.sum(flat(into), axis=0)


@op(
    "rnn",
    family="linear",
    shape=sequence_shape(1, 1),
    dtype=dtype.promoted,
    outputs=2,
    origin=sequence_origin(1),
    formula="h_t = tanh(W_ih x_t + W_hh h_t-1 + b), or relu, for every t",
    vjp=_vjp,
    saves=("input", "h", "weight_ih", "weight_hh", "bias"),
    extras=("states",),
    source="Elman 1990, Finding structure in time",
)
def RNN(
    xp: Any, input: Any, h: Any, weight_ih: Any, weight_hh: Any, bias: Any,
    *, nonlinearity: str, backwards: bool, inward: bool,
) -> Any:  # fmt: skip
    """All h [steps, batch, hidden], and the last, of `input` [steps, batch, features].

    `backwards`: from the last step to the first. `inward`: whether the input takes a gradient.
    """
    wrong = input.ndim != 3 or h.shape != (input.shape[1], weight_hh.shape[-1])
    if wrong or weight_ih.shape != (weight_hh.shape[0], input.shape[2]):
        RNN.shape(*(getattr(a, "shape", a) for a in (input, h, weight_ih, weight_hh, bias)))
    rows = LINEAR.on(xp)(input, weight_ih, bias)
    kind = xp.result_type(rows, h, weight_hh)
    if backwards:
        rows = rows[::-1]
    states = room(xp, (len(rows) + 1, *h.shape), kind)
    states[0] = h
    forth, inner = mapped(xp, states[0], weight_hh), xp.empty(h.shape, kind)
    for row, before, after in zip(rows, states[:-1], states[1:], strict=True):
        xp.add(row, forth(before, inner), out=after)
        if nonlinearity == "tanh":
            xp.tanh(after, out=after)
        else:
            xp.maximum(after, 0, out=after)
    ordered = states[:0:-1] if backwards else states[1:]
    return (ordered.copy(), states[-1].copy()), states


def rnn(
    input: Any, h: Any, weight_ih: Any, weight_hh: Any, bias: Any = None, nonlinearity: str = "tanh",
    backwards: bool = False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """All states of a plain recurrent network over `input` [steps, batch, features], and the last.

    `h` [batch, hidden] is the one to start with, `bias` the sum of the two that a cell has; `backwards` goes from the
    last step to the first. Raises `ShapeMismatchError` where sizes do not fit.
    """
    inward = state.grad and bool(getattr(input, "requires_grad", False))
    attrs = {"nonlinearity": nonlinearity, "backwards": backwards, "inward": inward}
    return apply(RNN, (input, h, weight_ih, weight_hh, bias), attrs)  # type: ignore[no-any-return]
