"""Elements by their place in memory, or in the flattened tensor; and differences along dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import backend
from engine.errors import shape_text
from engine.located import located
from engine.ops.arithmetic import add, div, mul, sub
from engine.ops.indexing import getitem
from engine.ops.layout import cat, reshape
from engine.ops.part import narrow
from engine.ops.placed import index_put
from engine.ops.split import chunk, split

if TYPE_CHECKING:
    from engine.tensor import Tensor

__all__ = [
    "as_strided", "gradient", "index_reduce", "is_same_size", "is_signed", "narrow_copy", "put", "split_with_sizes",
    "unsafe_chunk", "unsafe_split",
]  # fmt: skip


def as_strided(
    input: Any, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """The elements at `storage_offset + Σ index · stride` of the tensor's memory: a copy, with a gradient.

    Raises `RuntimeError` for places where the tensor has no element.

    >>> import engine as ds
    >>> ds.as_strided(ds.arange(5), (3, 2), (1, 1)).tolist()
    [[0, 1], [1, 2], [2, 3]]
    """
    shape, steps = tuple(int(n) for n in size), tuple(int(n) for n in stride)
    if len(shape) != len(steps):
        raise located(
            RuntimeError(
                f"as_strided: size {list(shape)} and stride {list(steps)} have to have the same length"
            )
        )
    start = 0 if storage_offset is None else int(storage_offset) - input.storage_offset()
    places = _places(shape, steps) + start
    if input.is_contiguous():
        have = int(np.prod(input.shape))
        missing = bool(places.size) and (places.min() < 0 or places.max() >= have)
    else:  # which of its elements lie there
        own = _places(input.shape, input.stride()).reshape(-1)
        have, order = own.size, np.argsort(own, kind="stable")
        found = np.minimum(np.searchsorted(own, places, sorter=order), max(have - 1, 0))
        missing = bool(places.size) and (have == 0 or bool((own[order[found]] != places).any()))
        places = places if missing else order[found]
    if missing:
        raise located(
            RuntimeError(
                f"as_strided: size {list(shape)}, stride {list(steps)} and storage_offset {start} reach from element "
                f"{places.min()} to {places.max()}, and input {shape_text(input.shape)} with the strides "
                f"{list(input.stride())} has none at some of them"
            )
        )
    return getitem(reshape(input, -1), places)


def _places(shape: Sequence[int], steps: Sequence[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How far from the first each element lies."""
    places = np.zeros(shape, np.int64)
    for d, step in enumerate(steps):
        places = places + np.arange(shape[d]).reshape(-1, *[1] * (len(shape) - d - 1)) * step
    return places


def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Tensor:
    """`input` with its elements at `index`, counted through the flattened tensor, replaced by `source`, or added to."""
    flat = reshape(input, -1)
    made = index_put(flat, (reshape(index, -1),), reshape(source, -1), accumulate)
    return reshape(made, *input.shape)


def index_reduce(
    input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`input` with the slices of `source` taken in along `dim` where `index` says: "prod", "mean", "amax" or "amin".

    Raises `ValueError` for another `reduce`.
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise located(ValueError(f'index_reduce: reduce is "prod", "mean", "amax" or "amin", got {reduce!r}'))
    d = dim % len(input.shape)
    shape = [1] * len(input.shape)
    shape[d] = -1
    places = reshape(index, *shape).expand(*source.shape)
    return input.scatter_reduce(d, places, source, reduce, include_self=include_self)  # type: ignore[no-any-return]


def narrow_copy(input: Any, dim: int, start: int, length: int) -> Tensor:
    """As `narrow`, in memory of its own."""
    return narrow(input, dim, start, length).clone()


unsafe_chunk = chunk
unsafe_split = split
split_with_sizes = split


def is_same_size(input: Any, other: Any) -> bool:
    """Whether both have the same shape."""
    return tuple(input.shape) == tuple(other.shape)


def is_signed(input: Any) -> bool:
    """Whether the dtype has negative numbers."""
    return bool(input.dtype.kind not in "ub")


def gradient(input: Any, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """The derivative along each of `dim` (all of them) by central differences; at the edges by those of `edge_order`.

    `spacing` is the distance of neighbours, one for each dimension, or a vector of places for each.
    Raises `RuntimeError` for a dimension with fewer than edge_order + 1 elements.

    >>> import engine as ds
    >>> ds.gradient(ds.tensor([1.0, 4.0, 9.0, 16.0]))[0].tolist()
    [3.0, 4.0, 6.0, 7.0]
    """
    rank = len(input.shape)
    if edge_order not in (1, 2):
        raise located(RuntimeError(f"gradient: edge_order is 1 or 2, got {edge_order!r}"))
    dims = [dim] if isinstance(dim, int) else list(range(rank)) if dim is None else list(dim)
    dims = [d % rank for d in dims]
    many = isinstance(spacing, (tuple, list))
    spaces = list(spacing) if many else [spacing] * len(dims)
    if len(spaces) != len(dims):
        raise located(
            RuntimeError(
                f"gradient: spacing has to be one for each of {len(dims)} dimensions, got {len(spaces)}"
            )
        )
    return tuple([_along(input, d, space, edge_order) for d, space in zip(dims, spaces, strict=True)])


def _along(input: Any, d: int, space: Any, edge_order: int) -> Tensor:
    n = input.shape[d]
    if n < edge_order + 1:
        raise located(
            RuntimeError(f"gradient: dimension {d} has to have {edge_order + 1} elements or more, has {n}")
        )

    def part(x: Any, start: int, stop: int, at: int) -> Any:
        return getitem(x, (*(slice(None),) * at, slice(start, stop)))

    def steps() -> Any:
        """The distances of neighbours, in the shape of a slice."""
        if hasattr(space, "shape") and len(space.shape):
            gaps = sub(part(space, 1, n, 0), part(space, 0, n - 1, 0))
            shape = [1] * len(input.shape)
            shape[d] = n - 1
            return reshape(gaps, *shape)
        return None

    gaps = steps()
    diff = sub(part(input, 1, n, d), part(input, 0, n - 1, d))
    slope = div(diff, space if gaps is None else gaps)
    before, after = part(slope, 0, n - 2, d), part(slope, 1, n - 1, d)
    if gaps is None:
        middle = mul(add(before, after), 0.5)
    else:
        left, right = part(gaps, 0, n - 2, d), part(gaps, 1, n - 1, d)
        middle = div(add(mul(before, right), mul(after, left)), add(left, right))
    first, last = part(slope, 0, 1, d), part(slope, n - 2, n - 1, d)
    if edge_order == 2:
        second, third = part(slope, 1, 2, d), part(slope, n - 3, n - 2, d)
        if gaps is None:
            first = sub(mul(first, 1.5), mul(second, 0.5))
            last = sub(mul(last, 1.5), mul(third, 0.5))
        else:
            a, b = part(gaps, 0, 1, d), part(gaps, 1, 2, d)
            first = add(first, mul(sub(first, second), div(a, add(a, b))))
            a, b = part(gaps, n - 2, n - 1, d), part(gaps, n - 3, n - 2, d)
            last = add(last, mul(sub(last, third), div(a, add(a, b))))
    return cat([first, middle, last], d)


def storage_offset(array: Any) -> int:
    """How many elements lie in memory before the first one of `array`."""
    base = array
    while getattr(base, "base", None) is not None and backend.is_array(base.base):
        base = base.base
    if not array.size:
        return 0

    def address(a: Any) -> int:
        return a.ctypes.data if isinstance(a, np.ndarray) else a.data.ptr

    return (address(array) - address(base)) // int(array.itemsize)
