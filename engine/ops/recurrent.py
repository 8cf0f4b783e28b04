"""The step of a long short-term memory as one op: its gates are small, and a dozen ops would cost more than they compute."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype, shapes
from engine.dispatch import apply
from engine.dnn import cell as fast
from engine.dnn.loop import sum_rows
from engine.errors import Shape, ShapeClash, shape_text
from engine.grad_mode import state
from engine.op import op
from engine.ops.linear import LINEAR, linear, product
from engine.ops.nested import on_arrays
from engine.pending import put_off

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.tensor import Tensor

INPUT, H, C, WEIGHT_IH, WEIGHT_HH, BIAS_IH, BIAS_HH = range(7)


def _shape(
    input: Any, h: Any, c: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any = None, bias_hh: Any = None, **_: Any
) -> list[Shape]:  # fmt: skip
    x, before, cell, recurrent = (shapes.sizes(a) for a in (input, h, c, weight_hh))
    if len(recurrent) != 2 or recurrent[0] != 4 * recurrent[1]:
        raise ShapeClash(
            ["4 hidden", "hidden"], WEIGHT_HH, [], "{4} maps the state to four gates of its size."
        )
    hidden = recurrent[1]
    # Without a weight of its own the input is mapped already.
    features = 4 * hidden if weight_ih is None else shapes.sizes(weight_ih)[-1]
    if weight_ih is not None and shapes.sizes(weight_ih) != (4 * hidden, features):
        raise ShapeClash(
            [4 * hidden, features], WEIGHT_IH, [(WEIGHT_IH, 0), (WEIGHT_HH, 0)],
            f"{{3}} has to give the {4 * hidden} gates that {{4}} gives.",
        )  # fmt: skip
    if not x or x[-1] != features:
        raise ShapeClash(
            [*x[:-1], features], INPUT, [(INPUT, len(x) - 1), (WEIGHT_IH, 1)] if x and weight_ih is not None else [],
            f"{{module}} expects rows of {features}, but {{0}} has {f'rows of {x[-1]}' if x else 'no dimensions'}.",
        )  # fmt: skip
    for which, given in ((H, before), (C, cell)):
        if given != (*x[:-1], hidden):
            clash = [
                (which, k) for k, (a, b) in enumerate(zip(given, (*x[:-1], hidden), strict=False)) if a != b
            ]
            origin = [(WEIGHT_HH, 1) if k == len(x) - 1 else (INPUT, k) for _, k in clash]
            raise ShapeClash(
                [*x[:-1], hidden], which, clash + origin,
                f"{{{which}}} is {shape_text(given)}, but for {{0}} of {shape_text(x)} it has to be "
                f"{shape_text((*x[:-1], hidden))}.",
            )  # fmt: skip
    for which, bias in ((BIAS_IH, bias_ih), (BIAS_HH, bias_hh)):
        if bias is not None and shapes.sizes(bias) != (4 * hidden,):
            raise ShapeClash(
                [4 * hidden], which, [], f"{{{which}}} needs one number for each of the {4 * hidden} gates."
            )
    return [cell, cell]


def _origin(
    found: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    return [(WEIGHT_HH, 1)] if dim == len(out) - 1 else [(INPUT, dim)]


@functools.lru_cache(maxsize=64)
def rows_of(xp: Any, size: int, kind: Any) -> tuple[Any, Any, Any]:
    """What the gates are halved by, what is added to them, and a quarter for the slope; 1, 0 and 1 for g."""
    half = xp.full(4 * size, 0.5, kind)
    half[2 * size : 3 * size] = 1
    return half, 1 - half, half * half


def pieces(x: Any) -> tuple[Any, Any, Any, Any]:
    """The four gates [..., hidden] of [..., 4 hidden], as views."""
    size = x.shape[-1] // 4
    return x[..., :size], x[..., size : 2 * size], x[..., 2 * size : 3 * size], x[..., 3 * size :]


def flat(x: Any) -> Any:
    """As rows."""
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


def _vjp(
    xp: Any, g: Any, out: Any, input: Any, h: Any, c: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any,
    bias_hh: Any, *, inward: bool, bare: Any,
) -> Any:  # fmt: skip
    to_h, to_c = g
    back_h = None
    if not on_arrays(xp):
        gates = linear(h, weight_hh, bias_hh) + (
            input if weight_ih is None else linear(input, weight_ih, bias_ih)
        )
        into, back = _recorded(xp, to_h, to_c, gates, c)
    else:
        into, back, back_h = _through(xp, to_h, to_c, c, bare, weight_hh)
    rows = flat(into)
    to_bias = None
    if bias_ih is not None or bias_hh is not None:
        to_bias = rows[0] if rows.shape[0] == 1 else sum_rows(rows) if xp is np else xp.sum(rows, axis=0)
    before = flat(h)
    to_hh = put_off(xp, rows, before) if xp is np else None
    if to_hh is None:
        to_hh = product(xp, xp.swapaxes(rows, 0, 1), before)
    if back_h is None:
        back_h = product(xp, into, weight_hh)
    if weight_ih is None:
        return into, back_h, back, None, to_hh, None, to_bias
    inputs = flat(input)
    to_ih = put_off(xp, rows, inputs) if xp is np else None
    if to_ih is None:
        to_ih = product(xp, xp.swapaxes(rows, 0, 1), inputs)
    to_input = product(xp, into, weight_ih) if inward else None
    return to_input, back_h, back, to_ih, to_hh, to_bias, to_bias


def _through(xp: Any, to_h: Any, to_c: Any, c: Any, bare: Any, weight: Any) -> tuple[Any, Any, Any]:
    """The gradients of the gates before their activation, of c, and of h, None where that is still to be computed."""
    if xp is np:
        into, before, back_h = np.empty_like(bare), np.empty_like(c), np.empty_like(c)
        if fast.step_back(bare, c, to_h, to_c, into, before, weight, back_h):
            return into, before, back_h
    else:
        from engine.gpu import recurrent as gpu

        into, before = xp.empty_like(bare), xp.empty_like(c)
        if gpu.step_back(bare, c, to_h, to_c, into, before):
            return into, before, None
    slope, onward, f = slopes(xp, bare, c, None)
    into = xp.empty_like(slope)
    if to_h is None:
        through = to_c
        pieces(into)[3][...] = 0
    else:
        through = onward
        through *= to_h
        if to_c is not None:
            through += to_c
        xp.multiply(to_h, pieces(slope)[3], out=pieces(into)[3])
    for gate, rate in zip(pieces(into)[:3], pieces(slope), strict=False):
        xp.multiply(through, rate, out=gate)
    return into, through * f, None


def slopes(xp: Any, bare: Any, c: Any, after: Any) -> tuple[Any, Any, Any]:
    """What gradients are multiplied by on their way through a step, or through several steps at once.

    From c' to the gates i, f and g, and from h' to the gate o [..., 4 hidden]; from h' to c'; from c' to c.
    `after` is c' where it is known.
    """
    half, shift, quarter = rows_of(xp, bare.shape[-1] // 4, bare.dtype)
    full = bare * half
    full += shift
    i, f, new, o = pieces(full)
    # σ' = (1 - tanh²(x/2)) / 4, tanh' = 1 - tanh².
    slope = bare * bare
    slope = xp.subtract(1, slope, out=slope)
    slope *= quarter
    if after is None:
        t = f * c
        t += i * new
        xp.tanh(t, out=t)
    else:
        t = xp.tanh(after)
    for rate, factor in zip(pieces(slope), (new, c, i, t), strict=True):
        rate *= factor
    t *= t
    onward = xp.subtract(1, t, out=t)
    onward *= o
    return slope, onward, f


def activate(xp: Any, gates: Any, c: Any, rows: Any, full: Any, parts: Any, cell: Any, after: Any) -> None:
    """A step from its gates: makes tanh of them of `gates`, and writes c' to `cell` and h' to `after`.

    `full` is room for the gates and `parts` its pieces; `rows` is `rows_of`.
    """
    half, shift, _ = rows
    gates *= half
    xp.tanh(gates, out=gates)
    xp.multiply(gates, half, out=full)
    full += shift
    i, f, new, o = parts
    xp.multiply(f, c, out=cell)
    xp.multiply(i, new, out=after)
    cell += after
    xp.tanh(cell, out=after)
    after *= o


def _recorded(xp: Any, to_h: Any, to_c: Any, gates: Any, c: Any) -> Any:
    """The same in ops that can be differentiated again."""
    raw_i, raw_f, raw_new, raw_o = pieces(gates)
    i, f, o = (xp.tanh(raw * 0.5) * 0.5 + 0.5 for raw in (raw_i, raw_f, raw_o))
    new = xp.tanh(raw_new)
    t = xp.tanh(f * c + i * new)
    to_o = t * 0 if to_h is None else to_h * t
    through = to_c if to_h is None else to_h * o * (1 - t * t)
    if to_h is not None and to_c is not None:
        through = through + to_c
    parts = (
        through * new * i * (1 - i),
        through * c * f * (1 - f),
        through * i * (1 - new * new),
        to_o * o * (1 - o),
    )
    return xp.concatenate(parts, axis=-1), through * f


@op(
    "lstm_cell",
    family="linear",
    shape=_shape,
    dtype=dtype.promoted,
    outputs=2,
    origin=_origin,
    formula="i, f, g, o = W_ih x + b_ih + W_hh h + b_hh; c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c')",
    vjp=_vjp,
    saves=("input", "h", "c", "weight_ih", "weight_hh", "bias_ih", "bias_hh"),
    extras=("bare",),
    source="Hochreiter and Schmidhuber 1997, with forget gates",
)
def LSTM_CELL(
    xp: Any, input: Any, h: Any, c: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any,
    *, inward: bool,
) -> Any:  # fmt: skip
    """The next h and c. Without `weight_ih` the input is mapped to the gates already.

    Of the gates only tanh of them is kept. `inward`: whether the input takes a gradient.
    """
    rows, hidden = input.shape[:-1], weight_hh.shape[-1]
    if h.shape != (*rows, hidden) or c.shape != h.shape:
        _shape(*(getattr(a, "shape", a) for a in (input, h, c, weight_ih, weight_hh, bias_ih, bias_hh)))
    if xp is np:
        made = fast.whole(input, h, c, weight_ih, weight_hh, bias_ih, bias_hh)
        if made is not None:
            gates, cell, after = made
            return (after, cell), gates
    gates = LINEAR.on(xp)(h, weight_hh, bias_hh)
    gates += input if weight_ih is None else LINEAR.on(xp)(input, weight_ih, bias_ih)
    kind = gates.dtype if gates.dtype == c.dtype else xp.result_type(gates, c)
    cell, after = xp.empty(c.shape, kind), xp.empty(c.shape, kind)
    if xp is np:
        done = fast.step(gates, c, cell, after)
    else:
        from engine.gpu import recurrent as gpu

        done = gpu.step(gates, c, cell, after)
    if not done:
        full = xp.empty_like(gates)
        activate(xp, gates, c, rows_of(xp, hidden, gates.dtype), full, pieces(full), cell, after)
    return (after, cell), gates


def lstm_cell(
    input: Any, h: Any, c: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any = None, bias_hh: Any = None
) -> tuple[Tensor, Tensor]:
    """The next (h, c) of a long short-term memory: `input` [..., features], `h` and `c` [..., hidden].

    `weight_ih` [4 hidden, features] None: `input` is [..., 4 hidden], mapped already.
    Raises `ShapeMismatchError` where sizes do not fit.
    """
    inward = state.grad and bool(getattr(input, "requires_grad", False))
    return apply(  # type: ignore[no-any-return]
        LSTM_CELL, (input, h, c, weight_ih, weight_hh, bias_ih, bias_hh), {"inward": inward}
    )
