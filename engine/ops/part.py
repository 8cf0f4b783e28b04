"""A part of a tensor, named by dimension and place; and dimensions moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine import shapes
from engine.errors import ArgumentProblem
from engine.located import located
from engine.ops.indexing import getitem
from engine.ops.layout import permute

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _dim(dim: Any, rank: int) -> int:
    try:
        return shapes.check_dim(dim, rank)
    except ArgumentProblem as problem:
        raise located(problem.error(problem.sentence)) from None


def select(input: Any, dim: int, index: int) -> Tensor:
    """Slice number `index` along `dim`, which disappears."""
    return getitem(input, (slice(None),) * _dim(dim, len(input.shape)) + (index,))


def narrow(input: Any, dim: int, start: int, length: int) -> Tensor:
    """`length` slices along `dim`, from `start` on.

    Raises `IndexError` where there are not that many.
    """
    d = _dim(dim, len(input.shape))
    size = input.shape[d]
    start = start + size if start < 0 else start
    if length < 0 or not 0 <= start <= size - length:
        raise located(IndexError(f"dimension {d} has {size} elements, not {length} from {start} on"))
    return getitem(input, (slice(None),) * d + (slice(start, start + length),))


def movedim(input: Any, source: Any, destination: Any) -> Tensor:
    """Dimensions at `source` moved to `destination`; the others keep their order.

    Raises `ValueError` when the two name different numbers of dimensions, or one twice.
    """
    rank = len(input.shape)
    came = [_dim(d, rank) for d in ((source,) if isinstance(source, int) else source)]
    goes = [_dim(d, rank) for d in ((destination,) if isinstance(destination, int) else destination)]
    if len(came) != len(goes) or len(set(came)) != len(came) or len(set(goes)) != len(goes):
        raise located(ValueError(f"source {source} and destination {destination} do not pair up"))
    order = [d for d in range(rank) if d not in came]
    for place, d in sorted(zip(goes, came, strict=True)):
        order.insert(place, d)
    return permute(input, order)
