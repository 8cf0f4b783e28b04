"""One tensor taken apart into several along a dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import shapes
from engine.dispatch import apply
from engine.errors import ArgumentError, ArgumentProblem, Shape
from engine.located import located
from engine.op import LINEAR, op
from engine.pool import pool

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _split_shape(input: Any, *, sizes: tuple[int, ...], dim: int) -> list[Shape]:
    shape = shapes.sizes(input)
    d = shapes.check_dim(dim, len(shape))
    if not shape or sum(sizes) != shape[d]:
        have = shape[d] if shape else "no"
        raise ArgumentProblem(
            ValueError, f"the pieces {list(sizes)} do not add up to the {have} of dimension {dim} of {{0}}", 0
        )
    return [(*shape[:d], size, *shape[d + 1 :]) for size in sizes]


def _split_dtype(input: Any, *, sizes: tuple[int, ...], dim: int) -> Any:
    return [input] * len(sizes)


def _split_vjp(xp: Any, g: Any, out: Any, input: Any, *, sizes: tuple[int, ...], dim: int) -> Any:
    d = dim % len(input.shape)
    if all(piece is not None for piece in g):
        if xp is np:
            return np.concatenate(g, axis=d, out=pool.empty(tuple(input.shape), g[0].dtype))
        return xp.concatenate(g, axis=d)
    present = next(piece for piece in g if piece is not None)
    pieces = []
    for size, piece in zip(sizes, g, strict=True):
        shape = (*input.shape[:d], size, *input.shape[d + 1 :])
        pieces.append(xp.zeros(shape, dtype=present.dtype) if piece is None else piece)
    return xp.concatenate(pieces, axis=d)


def _split_origin(
    found: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    return [] if dim == attrs["dim"] % len(out) else [(0, dim)]


@op(
    "split",
    complex=LINEAR,
    family="shape",
    shape=_split_shape,
    dtype=_split_dtype,
    outputs=None,
    origin=_split_origin,
    onnx="Split",
    formula="pieces of the given sizes",
    vjp=_split_vjp,
)
def SPLIT(xp: Any, input: Any, *, sizes: tuple[int, ...], dim: int) -> Any:
    """Pieces of the given sizes along `dim`, as views."""
    if not -input.ndim <= dim < input.ndim or sum(sizes) != input.shape[dim]:
        _split_shape(input.shape, sizes=sizes, dim=dim)
    d = dim % input.ndim
    pieces = []
    ahead = (slice(None),) * d
    start = 0
    for size in sizes:
        at = (*ahead, slice(start, start + size))
        pieces.append(input[at])
        start += size
    return tuple(pieces)


def _unbind_shape(input: Any, *, dim: int) -> list[Shape]:
    shape = shapes.sizes(input)
    d = shapes.check_dim(dim, len(shape))
    return [(*shape[:d], *shape[d + 1 :])] * shape[d]


def _unbind_dtype(input: Any, *, dim: int) -> Any:
    return input


def _unbind_vjp(xp: Any, g: Any, out: Any, input: Any, *, dim: int) -> Any:
    present = next(piece for piece in g if piece is not None)
    return xp.stack([xp.zeros_like(present) if piece is None else piece for piece in g], axis=dim)


def _unbind_origin(
    found: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    d = attrs["dim"] % (len(out) + 1)
    return [(0, dim if dim < d else dim + 1)]


@op(
    "unbind",
    complex=LINEAR,
    family="shape",
    shape=_unbind_shape,
    dtype=_unbind_dtype,
    outputs=None,
    origin=_unbind_origin,
    formula="slices along dim",
    vjp=_unbind_vjp,
)
def UNBIND(xp: Any, input: Any, *, dim: int) -> Any:
    """All slices along `dim`, as views."""
    shapes.check_dim(dim, input.ndim)
    return tuple(input[(slice(None),) * (dim % input.ndim) + (i,)] for i in range(input.shape[dim]))


def split(
    tensor: Any, split_size_or_sections: Any = None, dim: int = 0, *, split_size: Any = None
) -> tuple[Tensor, ...]:
    """Pieces along `dim`: each of one size (the last may be smaller), or of the sizes in a list."""
    if split_size_or_sections is None:  # PyTorch's method calls it so
        split_size_or_sections = split_size
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        total = tensor.shape[dim]
        if size <= 0:
            raise located(ArgumentError(f"the size of a piece has to be positive, got {size}"))
        sizes = tuple(min(size, total - start) for start in range(0, total, size)) or (0,)
    else:
        sizes = tuple(split_size_or_sections)
    return apply(SPLIT, (tensor,), {"sizes": sizes, "dim": dim})  # type: ignore[no-any-return]


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` equal pieces along `dim`; the last may be smaller."""
    if chunks <= 0:
        raise located(ArgumentError(f"chunks has to be positive, got {chunks}"))
    size = input.shape[dim]
    return split(input, [0] * chunks if size == 0 else -(-size // chunks), dim)


def unbind(input: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """All slices along `dim`."""
    return apply(UNBIND, (input,), {"dim": dim})  # type: ignore[no-any-return]
