"""The step of a long short-term memory as one op: its gates are small, and a dozen ops would cost more than they compute."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from engine import dtype, shapes
from engine.dispatch import apply
from engine.errors import Shape, ShapeClash
from engine.op import op
from engine.ops.nested import on_arrays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.tensor import Tensor


def _shape(gates: Any, c: Any) -> list[Shape]:
    g, state = shapes.sizes(gates), shapes.sizes(c)
    if not g or not state or g[-1] != 4 * state[-1]:
        raise ShapeClash(
            [*state[:-1], 4 * state[-1]] if state else [],
            0,
            [(0, len(g) - 1), (1, len(state) - 1)] if g and state else [],
            f"{{0}} holds four gates of {state[-1]} each for {{1}}." if state else "{1} has no dimensions.",
        )
    if g[:-1] != state[:-1]:
        clash = [i for i, (a, b) in enumerate(zip(g[:-1], state[:-1], strict=False)) if a != b]
        raise ShapeClash(
            [*g[:-1], state[-1]],
            1,
            [(which, i) for i in clash for which in (0, 1)],
            f"{{0}} is for {shapes_text(g[:-1])} and {{1}} for {shapes_text(state[:-1])}.",
        )
    return [state, state]


def shapes_text(shape: Shape) -> str:
    """A batch in words of a message."""
    return str(list(shape)) if shape else "one sample"


def _origin(
    found: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    return [(1, dim)]


def activated(xp: Any, gates: Any) -> tuple[Any, Any]:
    """tanh of the halved gates, and the gates i, f, g, o themselves in one array: σ(x) = 1/2 + 1/2 tanh(x/2)."""
    half, shift, _ = rows(xp, gates.shape[-1] // 4, gates.dtype.name)
    bare = xp.multiply(gates, half)
    xp.tanh(bare, out=bare)
    full = xp.multiply(bare, half)
    full += shift
    return bare, full


@functools.lru_cache(maxsize=64)
def rows(xp: Any, size: int, kind: str) -> tuple[Any, Any, Any]:
    """What the gates are halved by, what is added to them, and a quarter for the slope; 1, 0 and 1 for g."""
    half = xp.full(4 * size, 0.5, kind)
    half[2 * size : 3 * size] = 1
    return half, 1 - half, half * half


def pieces(x: Any) -> tuple[Any, Any, Any, Any]:
    """The four gates [..., hidden] of [..., 4 hidden], as views."""
    size = x.shape[-1] // 4
    return x[..., :size], x[..., size : 2 * size], x[..., 2 * size : 3 * size], x[..., 3 * size :]


def _vjp(xp: Any, g: Any, out: Any, gates: Any, c: Any) -> Any:
    to_h, to_c = g
    if not on_arrays(xp):
        return _recorded(xp, to_h, to_c, gates, c)
    bare, full = activated(xp, gates)
    i, f, new, o = pieces(full)
    state = xp.multiply(f, c)
    state += i * new
    t = xp.tanh(state, out=state)
    into = xp.empty_like(full)
    to_i, to_f, to_new, to_o = pieces(into)
    if to_h is None:
        to_o[...] = 0
        through = to_c
    else:
        xp.multiply(to_h, t, out=to_o)
        t *= t
        through = xp.subtract(1, t, out=t)
        through *= o
        through *= to_h
        if to_c is not None:
            through += to_c
    xp.multiply(through, new, out=to_i)
    xp.multiply(through, c, out=to_f)
    xp.multiply(through, i, out=to_new)
    # σ' = (1 - tanh²(x/2)) / 4, tanh' = 1 - tanh².
    bare *= bare
    slope = xp.subtract(1, bare, out=bare)
    slope *= rows(xp, gates.shape[-1] // 4, gates.dtype.name)[2]
    into *= slope
    return into, through * f


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
    family="activation",
    shape=_shape,
    dtype=dtype.promoted,
    outputs=2,
    origin=_origin,
    formula="c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c')",
    vjp=_vjp,
    saves=("gates", "c"),
    source="Hochreiter and Schmidhuber 1997, with forget gates",
)
def LSTM_CELL(xp: Any, gates: Any, c: Any) -> Any:
    """The next h and c from the four gates i, f, g, o [..., 4 hidden], before their activation, and c [..., hidden]."""
    if gates.shape[-1:] != (4 * c.shape[-1],) or gates.shape[:-1] != c.shape[:-1]:
        _shape(gates.shape, c.shape)
    _, full = activated(xp, gates)
    i, f, new, o = pieces(full)
    state = xp.multiply(f, c)
    state += i * new
    h = xp.tanh(state)
    h *= o
    return h, state


def lstm_cell(gates: Any, c: Any) -> tuple[Tensor, Tensor]:
    """The next (h, c) of a long short-term memory from the sum of its linear maps [..., 4 hidden].

    Raises `ShapeMismatchError` where the gates are not four of the state's size.
    """
    return apply(LSTM_CELL, (gates, c))  # type: ignore[no-any-return]
