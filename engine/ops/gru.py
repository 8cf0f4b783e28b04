"""A gated recurrent unit: its step as one op, and a whole sequence as one op for when nobody watches its steps.

Both do the same operations on the same numbers in the same order, so that they agree to the last bit.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype
from engine.dispatch import apply
from engine.errors import Shape, ShapeClash, shape_text
from engine.grad_mode import state
from engine.op import op
from engine.ops.linear import LINEAR, linear, linear_vjp, mapped, product
from engine.ops.lstm import TOGETHER, room, sequence_origin, sequence_shape
from engine.ops.nested import on_arrays
from engine.ops.recurrent import flat
from engine.pending import gathered
from engine.pool import times
from engine.shapes import sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor


def thirds(x: Any) -> tuple[Any, Any, Any]:
    """The three gates [..., hidden] of [..., 3 hidden], as views."""
    size = x.shape[-1] // 3
    return x[..., :size], x[..., size : 2 * size], x[..., 2 * size :]


def activate(xp: Any, from_input: Any, from_state: Any, h: Any, gates: Any, after: Any) -> None:
    """A step from its two maps: fills `gates` with r, z, n, and `after` with the next h."""
    size = 2 * h.shape[-1]
    both = gates[..., :size]
    xp.add(from_input[..., :size], from_state[..., :size], out=both)
    both *= 0.5
    xp.tanh(both, out=both)
    both *= 0.5
    both += 0.5
    r, z, new = thirds(gates)
    xp.multiply(r, from_state[..., size:], out=new)
    new += from_input[..., size:]
    xp.tanh(new, out=new)
    xp.subtract(h, new, out=after)
    after *= z
    after += new


def slopes(xp: Any, gates: Any, from_state: Any, h: Any) -> tuple[Any, Any, Any]:
    """What the gradient of h' is multiplied by on its way to n and z, and that of n on its way to r; of their maps."""
    r, z, new = thirds(gates)
    to_new = 1 - new * new
    to_new *= 1 - z
    to_z = h - new
    to_z *= z
    to_z *= 1 - z
    to_r = 1 - r
    to_r *= r
    to_r *= thirds(from_state)[2]
    return to_new, to_z, to_r


def through(xp: Any, g: Any, rates: Any, gates: Any, to_input: Any, to_state: Any, onward: Any) -> None:
    """The gradients of both maps, and what goes on to h directly, each into the array given for it."""
    to_r, to_z, to_new = thirds(to_input)
    by_new, by_z, by_r = rates
    r, z, _ = thirds(gates)
    xp.multiply(g, by_new, out=to_new)
    xp.multiply(g, by_z, out=to_z)
    xp.multiply(to_new, by_r, out=to_r)
    size = 2 * z.shape[-1]
    to_state[..., :size] = to_input[..., :size]
    xp.multiply(to_new, r, out=to_state[..., size:])
    xp.multiply(g, z, out=onward)


def _recorded(xp: Any, g: Any, from_input: Any, from_state: Any, h: Any) -> tuple[Any, Any, Any]:
    """The same gradients in ops that can be differentiated again."""
    ir, iz, i_new = thirds(from_input)
    hr, hz, h_new = thirds(from_state)
    r, z = (xp.tanh(x * 0.5) * 0.5 + 0.5 for x in (ir + hr, iz + hz))
    new = xp.tanh(i_new + r * h_new)
    to_new = g * ((1 - z) * (1 - new * new))
    to_z = g * ((h - new) * z * (1 - z))
    to_r = to_new * h_new * r * (1 - r)
    parts = [to_r, to_z, to_new], [to_r, to_z, to_new * r]
    to_input, to_state = (xp.concatenate(part, axis=-1) for part in parts)
    return to_input, to_state, g * z


# --- one step --------------------------------------------------------------------------------------------


def _cell_shape(from_input: Any, from_state: Any, h: Any) -> Shape:
    x, s, before = sizes(from_input), sizes(from_state), sizes(h)
    wide = (*before[:-1], 3 * before[-1]) if before else ()
    for at, given in enumerate((x, s)):
        if given != wide or not before:
            clash = [(at, k) for k, (a, b) in enumerate(zip(given, wide, strict=False)) if a != b]
            raise ShapeClash(
                list(wide), at, clash + [(2, k) for _, k in clash],
                f"{{2}} is {shape_text(before)}, so {{{at}}} has to be {shape_text(wide)}: three gates of its size.",
            )  # fmt: skip
    return before


def _cell_vjp(xp: Any, g: Any, out: Any, from_input: Any, from_state: Any, h: Any, *, gates: Any) -> Any:
    if not on_arrays(xp):
        return _recorded(xp, g, from_input, from_state, h)
    to_input, to_state = xp.empty_like(gates), xp.empty_like(gates)
    onward = xp.empty(h.shape, gates.dtype)
    through(xp, g, slopes(xp, gates, from_state, h), gates, to_input, to_state, onward)
    return to_input, to_state, onward


def _cell_origin(found: Any, attrs: dict[str, Any], out: Shape, dim: int) -> list[tuple[int, int]]:
    return [(2, dim)]


@op(
    "gru_cell",
    family="linear",
    shape=_cell_shape,
    dtype=dtype.promoted,
    origin=_cell_origin,
    formula="r, z = σ(first two gates of both maps); n = tanh(x_n + r s_n); h' = n + z (h - n)",
    vjp=_cell_vjp,
    saves=("from_input", "from_state", "h"),
    extras=("gates",),
    check=True,
    source="Cho et al. 2014, arXiv:1406.1078",
)
def GRU_CELL(xp: Any, from_input: Any, from_state: Any, h: Any) -> Any:
    """The next h from the maps of the input and of the state to three gates each."""
    kind = xp.result_type(from_input, from_state, h)
    gates, after = xp.empty(from_input.shape, kind), xp.empty(h.shape, kind)
    activate(xp, from_input, from_state, h, gates, after)
    return after, gates


def gru_cell(from_input: Any, from_state: Any, h: Any) -> Tensor:
    """The next state of a gated recurrent unit, from its two linear maps [..., 3 hidden] and `h` [..., hidden].

    Raises `ShapeMismatchError` where sizes do not fit.
    """
    return apply(GRU_CELL, (from_input, from_state, h))  # type: ignore[no-any-return]


# --- a sequence ------------------------------------------------------------------------------------------


def _vjp(
    xp: Any, g: Any, out: Any, input: Any, h: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any,
    *, backwards: bool, inward: bool, states: Any, gates: Any, maps: Any,
) -> Any:  # fmt: skip
    if not on_arrays(xp):
        return _recorded_vjp(xp, g, input, h, weight_ih, weight_hh, bias_ih, bias_hh, backwards)
    to_out, to_h = g
    if to_out is not None and backwards:
        to_out = to_out[::-1]
    steps, batch, width = gates.shape
    into, inner = room(xp, gates.shape, gates.dtype), room(xp, gates.shape, gates.dtype)
    to_after = xp.zeros((batch, width // 3), gates.dtype) if to_h is None else to_h.copy()
    onward, mapped_back = xp.empty_like(to_after), xp.empty_like(to_after)
    plain = xp is np and gates.dtype.char in "fd"
    back = times(inner[0], weight_hh) if plain else partial(product, xp)
    if to_out is not None:
        to_after += to_out[-1]
    together = max(1, TOGETHER // (batch * width))
    for end in range(steps, 0, -together):
        first = max(end - together, 0)
        rates = slopes(xp, gates[first:end], maps[first:end], states[first:end])
        for t in range(end - 1, first - 1, -1):
            here = tuple(rate[t - first] for rate in rates)
            through(xp, to_after, here, gates[t], into[t], inner[t], onward)
            back(inner[t], weight_hh, mapped_back)
            if to_out is not None and t:
                onward += to_out[t - 1]
            xp.add(onward, mapped_back, out=to_after)
    to_hh = gathered(xp, inner, states[:-1])
    ordered = xp.ascontiguousarray(into[::-1]) if backwards else into
    to_input, to_ih, _ = linear_vjp(xp, ordered, None, input, weight_ih if inward else None, None)
    to_bias = None if bias_ih is None else flat(ordered).sum(0)
    # Summed step by step from the last one on, as steps that come one by one are.
    to_inner = None if bias_hh is None else inner.sum(1)[::-1].sum(0)
    return to_input, to_after, to_ih, to_hh, to_bias, to_inner


def _recorded_vjp(
    xp: Any, g: Any, input: Any, h: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any, backwards: bool
) -> Any:  # fmt: skip
    """The gradients step by step, in ops that can be differentiated again."""
    to_out, to_h = g
    rows = linear(input, weight_ih, bias_ih)
    order = range(input.shape[0])[::-1] if backwards else range(input.shape[0])
    befores = []
    for t in order:
        inner = linear(h, weight_hh, bias_hh)
        befores.append((t, h, inner))
        h = gru_cell(rows[t], inner, h)
    intos: dict[int, Any] = {}
    to_hh = to_bias = None
    for t, before, inner in reversed(befores):
        if to_out is not None:
            to_h = to_out[t] if to_h is None else to_h + to_out[t]
        intos[t], to_inner, onward = _recorded(xp, to_h, rows[t], inner, before)
        part = xp.swapaxes(to_inner, 0, 1) @ before
        to_hh = part if to_hh is None else to_hh + part
        part = xp.sum(to_inner, axis=0)
        to_bias = part if to_bias is None else to_bias + part
        to_h = to_inner @ weight_hh + onward
    into = xp.stack([intos[t] for t in range(len(intos))], axis=0)
    to_input, to_ih, _ = linear_vjp(xp, into, None, input, weight_ih, None)
    if bias_ih is None:
        return to_input, to_h, to_ih, to_hh, None, None
    return to_input, to_h, to_ih, to_hh, xp.sum(flat(into), axis=0), to_bias


@op(
    "gru",
    family="linear",
    shape=sequence_shape(3, 1),
    dtype=dtype.promoted,
    outputs=2,
    origin=sequence_origin(1),
    formula="h_t = gru_cell(W_ih x_t + b_ih, W_hh h_t-1 + b_hh, h_t-1) for every t",
    vjp=_vjp,
    saves=("input", "h", "weight_ih", "weight_hh", "bias_ih", "bias_hh"),
    extras=("states", "gates", "maps"),
    source="Cho et al. 2014, arXiv:1406.1078",
)
def GRU(
    xp: Any, input: Any, h: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any,
    *, backwards: bool, inward: bool,
) -> Any:  # fmt: skip
    """All h [steps, batch, hidden], and the last, of `input` [steps, batch, features].

    `backwards`: from the last step to the first. `inward`: whether the input takes a gradient.
    """
    wrong = input.ndim != 3 or h.shape != (input.shape[1], weight_hh.shape[-1])
    if wrong or weight_ih.shape != (weight_hh.shape[0], input.shape[2]):
        GRU.shape(*(getattr(a, "shape", a) for a in (input, h, weight_ih, weight_hh, bias_ih, bias_hh)))
    rows = LINEAR.on(xp)(input, weight_ih, bias_ih)
    kind = xp.result_type(rows, h, weight_hh)
    rows = rows.astype(kind, copy=False)
    if backwards:
        rows = rows[::-1]
    steps, (batch, hidden) = len(rows), h.shape
    states = room(xp, (steps + 1, batch, hidden), kind)
    gates, maps = (room(xp, (steps, batch, 3 * hidden), kind) for _ in range(2))
    states[0] = h
    forth = mapped(xp, states[0], weight_hh)
    for row, before, after, inner, gate in zip(rows, states[:-1], states[1:], maps, gates, strict=True):
        made = forth(before, inner)
        if bias_hh is not None:
            xp.add(made, bias_hh, out=inner)
        elif made is not inner:
            inner[...] = made
        activate(xp, row, inner, before, gate, after)
    ordered = states[:0:-1] if backwards else states[1:]
    return (ordered.copy(), states[-1].copy()), states, gates, maps


def gru(
    input: Any, h: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any = None, bias_hh: Any = None,
    backwards: bool = False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """All states of a gated recurrent unit over `input` [steps, batch, features], and the last.

    `h` [batch, hidden] is the one to start with; `backwards` goes from the last step to the first.
    Raises `ShapeMismatchError` where sizes do not fit.
    """
    inward = state.grad and bool(getattr(input, "requires_grad", False))
    attrs = {"backwards": backwards, "inward": inward}
    return apply(GRU, (input, h, weight_ih, weight_hh, bias_ih, bias_hh), attrs)  # type: ignore[no-any-return]
