"""Dimensions made longer (or shorter) at their ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype, shapes
from engine.dispatch import apply
from engine.errors import ArgumentError, ArgumentProblem, Shape, ShapeClash
from engine.located import located
from engine.op import LINEAR, op
from engine.ops.add_at import add_at
from engine.ops.nested import nested
from engine.ops.window import pad_zeros
from engine.shapes import sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor

MODES = ("constant", "reflect", "replicate", "circular")


def _shape(x: Any, *, pad: Any, mode: str, value: float) -> Shape:
    x = sizes(x)
    if len(pad) > len(x):
        raise ShapeClash(["n"] * len(pad), 0, [], f"pad names {len(pad)} dimensions, {{0}} has {len(x)}.")
    lead = len(x) - len(pad)
    out = list(x)
    for i, (before, after) in enumerate(pad):
        n = x[lead + i]
        most = {"reflect": n - 1, "circular": n}.get(mode)
        if most is not None and max(before, after) > most:
            expected: list[Any] = list(x)
            expected[lead + i] = f"at least {max(before, after) + (mode == 'reflect')}"
            raise ShapeClash(
                expected,
                0,
                [(0, lead + i)],
                f"mode={mode!r} cannot pad the {n} of dimension {lead + i} of {{0}} by {max(before, after)}.",
            )
        out[lead + i] = n + before + after
        if out[lead + i] < 0:
            raise ArgumentProblem(
                ValueError, f"pad={pad} takes more than the {n} of dimension {lead + i} of {{0}}", 0
            )
    return tuple(out)


def sources(size: int, before: int, after: int, mode: str) -> Any:
    """Which element each place of a padded dimension holds."""
    where = np.arange(-before, size + after)
    if mode == "replicate":
        return where.clip(0, size - 1)
    if mode == "circular":
        return where % size
    where = np.abs(where)
    return np.where(where >= size, 2 * (size - 1) - where, where)


def _vjp(xp: Any, g: Any, out: Any, input: Any, *, pad: Any, mode: str, value: float) -> Any:
    if mode == "constant":
        back = tuple((-before, -after) for before, after in pad)
        return nested(xp, PAD, g, pad=back, mode="constant", value=0.0)
    return nested(xp, PAD_BACK, g, pad=pad, mode=mode)


@op(
    "pad",
    complex=LINEAR,
    family="shape",
    shape=_shape,
    dtype=dtype.first,
    origin=shapes.same_origin,
    vjp=_vjp,
    check=True,
    onnx="Pad",
    formula="input with elements added before and after in its last dimensions",
)
def PAD(xp: Any, input: Any, *, pad: Any, mode: str, value: float) -> Any:
    """The last dimensions made longer by a constant, by reflection, by their border, or in a circle."""
    if mode == "constant":
        out = pad_zeros(xp, input, pad, value)
        cuts = all(before <= 0 and after <= 0 for before, after in pad)
        return out.copy() if cuts else out  # cutting alone gives a view, and a result is its own array
    for i, (before, after) in enumerate(pad):
        if before or after:
            axis = input.ndim - len(pad) + i
            input = xp.take(input, xp.asarray(sources(input.shape[axis], before, after, mode)), axis=axis)
    return input.copy() if not any(before or after for before, after in pad) else input


def _back_shape(x: Any, *, pad: Any, mode: str) -> Shape:
    x = sizes(x)
    lead = len(x) - len(pad)
    return (*x[:lead], *(n - before - after for n, (before, after) in zip(x[lead:], pad, strict=True)))


def _back_vjp(xp: Any, g: Any, out: Any, input: Any, *, pad: Any, mode: str) -> Any:
    return nested(xp, PAD, g, pad=pad, mode=mode, value=0.0)


@op(
    "pad_back",
    complex=LINEAR,
    family="shape",
    shape=_back_shape,
    dtype=dtype.first,
    vjp=_back_vjp,
    formula="out[source of i] += input[i]",
)
def PAD_BACK(xp: Any, input: Any, *, pad: Any, mode: str) -> Any:
    """The transpose of padding: what was added goes back to where it came from."""
    for i, (before, after) in enumerate(pad):
        axis = input.ndim - len(pad) + i
        if not (before or after):
            continue
        size = input.shape[axis] - before - after
        source = sources(size, before, after, mode)
        moved = xp.moveaxis(input, axis, 0)
        if before >= 0 and after >= 0 and before + after <= size:
            # What was not added stays, and few lines are added to it.
            kept = moved[before : before + size].copy(order="K")
            for k in (*range(before), *range(before + size, len(moved))):
                kept[int(source[k])] += moved[k]
            input = xp.moveaxis(kept, 0, axis)
            continue
        out = xp.zeros((size, *moved.shape[1:]), input.dtype)
        add_at(out, xp.asarray(source), moved)
        input = xp.moveaxis(out, 0, axis)
    return xp.ascontiguousarray(input)


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """`pad` is (before, after) of the last dimension, then of the one before it, and so on; negative numbers
    cut.

    `mode` is "constant" (filled with `value`), "reflect", "replicate" or "circular".
    Raises `ShapeMismatchError` where a dimension is too short to reflect, `ValueError` for an odd number of
    sizes.
    """
    if mode not in MODES:
        raise located(ValueError(f"mode is one of {', '.join(MODES)}, got {mode!r}"))
    if len(pad) % 2:
        raise located(ArgumentError(f"pad needs two sizes for each dimension, got {len(pad)}"))
    if mode != "constant" and value not in (None, 0):
        raise located(ValueError(f"value is for mode='constant', not for {mode!r}"))
    pairs = tuple((int(pad[i]), int(pad[i + 1])) for i in range(len(pad) - 2, -1, -2))
    if mode != "constant" and any(n < 0 for pair in pairs for n in pair):
        raise located(ValueError(f"mode={mode!r} cannot cut, got {tuple(pad)}"))
    attrs = {"pad": pairs, "mode": mode, "value": 0.0 if value is None else value}
    return apply(PAD, (input,), attrs)  # type: ignore[no-any-return]
