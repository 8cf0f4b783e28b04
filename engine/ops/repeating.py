"""Elements repeated, rolled round, and moved between channels and space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype, shapes
from engine.dispatch import apply
from engine.errors import ArgumentProblem, Shape, ShapeClash
from engine.located import located
from engine.op import LINEAR, op
from engine.ops.add_at import add_at
from engine.ops.nested import nested
from engine.shapes import check_dim, sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor


# --- repeat_interleave ------------------------------------------------------------------------------------


def times(repeats: Any, size: int) -> Any:
    """How often each of `size` elements comes, as an array."""
    each = np.asarray(repeats, np.int64)
    if each.size not in (1, size) or each.ndim > 1:
        raise ArgumentProblem(ValueError, f"repeats has to be one number or {size}, got {each.size}")
    if each.size and each.min() < 0:
        raise ArgumentProblem(ValueError, "repeats cannot be negative")
    return np.broadcast_to(each, (size,))


def _interleave_shape(x: Any, *, repeats: Any, dim: int) -> Shape:
    shape = list(sizes(x))
    d = check_dim(dim, len(shape))
    shape[d] = int(times(repeats, shape[d]).sum())
    return tuple(shape)


def _each_origin(
    shapes: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    return [(0, dim)]


def _interleave_vjp(xp: Any, g: Any, out: Any, input: Any, *, repeats: Any, dim: int) -> Any:
    d = dim % g.ndim
    if isinstance(repeats, int):
        size = input.shape[d]
        return xp.sum(xp.reshape(g, (*g.shape[:d], size, repeats, *g.shape[d + 1 :])), axis=d + 1)
    return nested(xp, DEINTERLEAVE, g, repeats=repeats, dim=d)


@op(
    "repeat_interleave",
    complex=LINEAR,
    family="shape",
    shape=_interleave_shape,
    dtype=dtype.first,
    origin=_each_origin,
    vjp=_interleave_vjp,
    check=True,
    formula="each element along dim `repeats` times",
)
def REPEAT_INTERLEAVE(xp: Any, input: Any, *, repeats: Any, dim: int) -> Any:
    """Each element along `dim` several times in a row."""
    if isinstance(repeats, int):
        return xp.repeat(input, repeats, axis=dim)
    where = np.repeat(np.arange(input.shape[dim]), times(repeats, input.shape[dim]))
    return xp.take(input, xp.asarray(where), axis=dim)


def _back_shape(x: Any, *, repeats: Any, dim: int) -> Shape:
    shape = list(sizes(x))
    shape[dim] = len(repeats)
    return tuple(shape)


def _back_vjp(xp: Any, g: Any, out: Any, input: Any, *, repeats: Any, dim: int) -> Any:
    return nested(xp, REPEAT_INTERLEAVE, g, repeats=repeats, dim=dim)


@op(
    "deinterleave",
    complex=LINEAR,
    family="shape",
    shape=_back_shape,
    dtype=dtype.first,
    vjp=_back_vjp,
    formula="the sum of each run of repeats",
)
def DEINTERLEAVE(xp: Any, input: Any, *, repeats: Any, dim: int) -> Any:
    """The transpose of `repeat_interleave`: each run of repeats summed."""
    where = np.repeat(np.arange(len(repeats)), repeats)
    moved = xp.moveaxis(input, dim, 0)
    out = xp.zeros((len(repeats), *moved.shape[1:]), input.dtype)
    add_at(out, xp.asarray(where), moved)
    return xp.ascontiguousarray(xp.moveaxis(out, 0, dim))


def repeat_interleave(
    input: Any, repeats: Any, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element along `dim` `repeats` times in a row; `repeats` is a number, or one for each element.

    Without `dim` the input is flattened first.
    """
    if dim is None:
        from engine.ops.layout import reshape

        input, dim = reshape(input, -1), 0
    raw = getattr(repeats, "array", repeats)
    if not isinstance(raw, int):
        listed = np.asarray(raw.tolist() if hasattr(raw, "tolist") else raw)
        raw = int(listed.reshape(-1)[0]) if listed.size == 1 else tuple(int(n) for n in listed)
    return apply(REPEAT_INTERLEAVE, (input,), {"repeats": raw, "dim": dim})  # type: ignore[no-any-return]


# --- roll -------------------------------------------------------------------------------------------------


def _roll_shape(x: Any, *, shifts: Any, dims: Any) -> Shape:
    shape = sizes(x)
    if dims is not None:
        for d in dims:
            check_dim(d, len(shape))
    return shape


def _roll_vjp(xp: Any, g: Any, out: Any, input: Any, *, shifts: Any, dims: Any) -> Any:
    return nested(xp, ROLL, g, shifts=tuple(-s for s in shifts), dims=dims)


@op(
    "roll",
    complex=LINEAR,
    family="shape",
    shape=_roll_shape,
    dtype=dtype.first,
    origin=shapes.same_origin,
    vjp=_roll_vjp,
    check=True,
    formula="out[(i + shift) mod n] = input[i]",
)
def ROLL(xp: Any, input: Any, *, shifts: Any, dims: Any) -> Any:
    """Elements moved along, what falls off one end coming in at the other."""
    return xp.roll(input, shifts if dims is not None else shifts[0], axis=dims)


def roll(input: Any, shifts: Any, dims: Any = None) -> Tensor:
    """Elements moved by `shifts` along `dims`, round the end; without `dims` in the flattened input.

    Raises `ValueError` when there are not as many shifts as dims.
    """
    moves = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    along = None if dims is None or dims == () else (dims,) if isinstance(dims, int) else tuple(dims)
    if len(moves) != (1 if along is None else len(along)):
        raise located(ValueError(f"roll needs a shift for each dim, got shifts={shifts!r} and dims={dims!r}"))
    return apply(ROLL, (input,), {"shifts": moves, "dims": along})  # type: ignore[no-any-return]


# --- pixel_shuffle ------------------------------------------------------------------------------------------


def _shuffle_shape(x: Any, *, upscale_factor: int) -> Shape:
    shape = sizes(x)
    r = upscale_factor
    if len(shape) < 3 or shape[-3] % (r * r):
        raise ShapeClash(
            ["batch", f"n · {r * r}", "height", "width"],
            0,
            [(0, len(shape) - 3)] if len(shape) >= 3 else [],
            f"{{op}} needs channels divisible by {r * r}, {{0}} has "
            + (f"{shape[-3]}." if len(shape) >= 3 else f"{len(shape)} dimensions."),
        )
    return (*shape[:-3], shape[-3] // (r * r), shape[-2] * r, shape[-1] * r)


def _unshuffle_shape(x: Any, *, downscale_factor: int) -> Shape:
    shape = sizes(x)
    r = downscale_factor
    if len(shape) < 3 or shape[-2] % r or shape[-1] % r:
        raise ShapeClash(
            ["batch", "channels", f"n · {r}", f"m · {r}"],
            0,
            [(0, len(shape) - i) for i in (2, 1) if len(shape) >= 3 and shape[-i] % r],
            f"{{op}} needs a height and width divisible by {r}, {{0}} is {list(shape)}.",
        )
    return (*shape[:-3], shape[-3] * r * r, shape[-2] // r, shape[-1] // r)


def _shuffle_vjp(xp: Any, g: Any, out: Any, input: Any, *, upscale_factor: int) -> Any:
    return nested(xp, PIXEL_UNSHUFFLE, g, downscale_factor=upscale_factor)


def _unshuffle_vjp(xp: Any, g: Any, out: Any, input: Any, *, downscale_factor: int) -> Any:
    return nested(xp, PIXEL_SHUFFLE, g, upscale_factor=downscale_factor)


@op(
    "pixel_shuffle",
    complex=LINEAR,
    family="shape",
    shape=_shuffle_shape,
    dtype=dtype.first,
    origin=_each_origin,
    vjp=_shuffle_vjp,
    check=True,
    onnx="DepthToSpace",
    formula="out[c, r·h + i, r·w + j] = input[c·r² + r·i + j, h, w]",
    source="Shi et al. 2016, arXiv:1609.05158",
)
def PIXEL_SHUFFLE(xp: Any, input: Any, *, upscale_factor: int) -> Any:
    """Channels laid out as finer pixels."""
    r = upscale_factor
    *lead, c, h, w = input.shape
    n = len(lead)
    split = input.reshape(*lead, c // (r * r), r, r, h, w)
    moved = split.transpose(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return moved.reshape(*lead, c // (r * r), h * r, w * r)


@op(
    "pixel_unshuffle",
    complex=LINEAR,
    family="shape",
    shape=_unshuffle_shape,
    dtype=dtype.first,
    origin=_each_origin,
    vjp=_unshuffle_vjp,
    check=True,
    onnx="SpaceToDepth",
    formula="out[c·r² + r·i + j, h, w] = input[c, r·h + i, r·w + j]",
)
def PIXEL_UNSHUFFLE(xp: Any, input: Any, *, downscale_factor: int) -> Any:
    """Blocks of pixels laid out as channels."""
    r = downscale_factor
    *lead, c, h, w = input.shape
    n = len(lead)
    split = input.reshape(*lead, c, h // r, r, w // r, r)
    moved = split.transpose(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return moved.reshape(*lead, c * r * r, h // r, w // r)


def pixel_shuffle(input: Any, upscale_factor: int) -> Tensor:
    """[..., channels r², height, width] to [..., channels, height r, width r].

    Raises `ShapeMismatchError` where r² does not divide the channels.
    """
    return apply(PIXEL_SHUFFLE, (input,), {"upscale_factor": upscale_factor})  # type: ignore[no-any-return]


def pixel_unshuffle(input: Any, downscale_factor: int) -> Tensor:
    """[..., channels, height r, width r] to [..., channels r², height, width]."""
    return apply(PIXEL_UNSHUFFLE, (input,), {"downscale_factor": downscale_factor})  # type: ignore[no-any-return]
