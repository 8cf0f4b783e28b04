"""Tensors put together, taken apart and turned, by the names NumPy's users know too."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.located import located
from engine.ops.complex import conj
from engine.ops.diagonal import diag_embed, diagonal
from engine.ops.indexing import getitem
from engine.ops.layout import cat, expand, flip, repeat, reshape, stack, transpose
from engine.ops.reduction import sum
from engine.ops.split import split

if TYPE_CHECKING:
    from engine.tensor import Tensor

__all__ = [
    "adjoint", "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "broadcast_shapes", "broadcast_tensors",
    "cartesian_prod", "channel_shuffle", "column_stack", "combinations", "diagflat", "dsplit", "dstack", "fliplr",
    "flipud", "hsplit", "hstack", "kron", "meshgrid", "ravel", "rot90", "row_stack", "tensor_split", "tile",
    "tril_indices", "triu_indices", "vander", "vsplit", "vstack",
]  # fmt: skip


def _rank(input: Any, least: int, name: str) -> None:
    if len(input.shape) < least:
        raise located(ValueError(f"{name} needs at least {least} dimensions, got {list(input.shape)}"))


def _each(tensors: tuple[Any, ...], change: Any) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        return tuple(change(t) for t in tensors[0])
    return change(tensors[0]) if len(tensors) == 1 else tuple(change(t) for t in tensors)


def atleast_1d(*tensors: Any) -> Any:
    """Numbers become vectors of one element."""
    return _each(tensors, lambda t: reshape(t, 1) if not t.shape else t)


def atleast_2d(*tensors: Any) -> Any:
    """Vectors [n] become [1, n]."""
    return _each(tensors, lambda t: reshape(t, 1, -1) if len(t.shape) < 2 else t)


def atleast_3d(*tensors: Any) -> Any:
    """Vectors [n] become [1, n, 1], matrices [n, m] become [n, m, 1]."""

    def three(t: Any) -> Any:
        if len(t.shape) < 2:
            return reshape(t, 1, -1, 1)
        return t.unsqueeze(-1) if len(t.shape) == 2 else t

    return _each(tensors, three)


def hstack(tensors: Sequence[Any]) -> Tensor:
    """Joined along dimension 1; vectors along dimension 0."""
    given = [atleast_1d(t) for t in tensors]
    return cat(given, 0 if len(given[0].shape) == 1 else 1)


def vstack(tensors: Sequence[Any]) -> Tensor:
    """Joined along dimension 0, vectors as rows."""
    return cat([atleast_2d(t) for t in tensors], 0)


def dstack(tensors: Sequence[Any]) -> Tensor:
    """Joined along dimension 2."""
    return cat([atleast_3d(t) for t in tensors], 2)


def column_stack(tensors: Sequence[Any]) -> Tensor:
    """Joined along dimension 1, vectors as columns."""
    return cat([reshape(t, -1, 1) if len(t.shape) < 2 else t for t in tensors], 1)


row_stack = vstack


def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Split along `dim` into a number of nearly equal pieces, or before each of several indices."""
    size = input.shape[dim]
    if isinstance(indices_or_sections, int):
        sections = indices_or_sections
        if sections <= 0:
            raise located(ValueError(f"the number of sections has to be positive, got {sections}"))
        sizes = [size // sections + (i < size % sections) for i in range(sections)]
    else:
        cuts = [0, *(min(max(i + size if i < 0 else i, 0), size) for i in indices_or_sections), size]
        sizes = [max(0, b - a) for a, b in itertools.pairwise(cuts)]
    return split(input, sizes, dim)


def hsplit(input: Any, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` along dimension 1; of a vector along dimension 0."""
    _rank(input, 1, "hsplit")
    return tensor_split(input, indices_or_sections, 0 if len(input.shape) == 1 else 1)


def vsplit(input: Any, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` along dimension 0."""
    _rank(input, 2, "vsplit")
    return tensor_split(input, indices_or_sections, 0)


def dsplit(input: Any, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """`tensor_split` along dimension 2."""
    _rank(input, 3, "dsplit")
    return tensor_split(input, indices_or_sections, 2)


def tile(input: Any, *dims: Any) -> Tensor:
    """`input` repeated `dims` times; missing dimensions count from the front, as NumPy's."""
    given = list(dims[0]) if len(dims) == 1 and isinstance(dims[0], (list, tuple)) else list(dims)
    return repeat(input, *[1] * (len(input.shape) - len(given)), *given)


def ravel(input: Any) -> Tensor:
    """All elements as a vector."""
    return reshape(input, -1)


def fliplr(input: Any) -> Tensor:
    """Dimension 1 reversed."""
    _rank(input, 2, "fliplr")
    return flip(input, (1,))


def flipud(input: Any) -> Tensor:
    """Dimension 0 reversed."""
    _rank(input, 1, "flipud")
    return flip(input, (0,))


def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned `k` times by 90 degrees from dimension `dims[0]` towards `dims[1]`."""
    _rank(input, 2, "rot90")
    a, b = dims
    if a % input.ndim == b % input.ndim:
        raise located(ValueError(f"rot90 turns in the plane of two dimensions, got {tuple(dims)}"))
    if k % 4 == 0:
        return input.clone()  # type: ignore[no-any-return]
    if k % 4 == 2:
        return flip(input, (a, b))
    return flip(transpose(input, a, b), (a if k % 4 == 1 else b,))


def adjoint(input: Any) -> Tensor:
    """The last two dimensions exchanged, complex numbers conjugated."""
    return conj(transpose(input, -2, -1))


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Grids of coordinates: for vectors of n and m elements two tensors [n, m] ("ij") or [m, n] ("xy").

    Raises `ValueError` for another `indexing`.
    """
    if indexing not in ("ij", "xy"):
        raise located(ValueError(f'indexing is "ij" or "xy", got {indexing!r}'))
    given = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else list(tensors)
    given = [reshape(t, -1) for t in given]
    swapped = indexing == "xy" and len(given) > 1
    if swapped:
        given[:2] = given[1::-1]
    shape = tuple(t.shape[0] for t in given)
    grids = []
    for i, t in enumerate(given):
        at = [1] * len(given)
        at[i] = -1
        grids.append(expand(reshape(t, *at), *shape))
    if swapped:
        grids[:2] = grids[1::-1]
    return tuple(grids)


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that all `shapes` broadcast to. Raises `ValueError` where they do not."""
    return tuple(np.broadcast_shapes(*[(s,) if isinstance(s, int) else tuple(s) for s in shapes]))


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """All tensors expanded to the shape they broadcast to."""
    given = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else list(tensors)
    shape = broadcast_shapes(*[t.shape for t in given])
    return tuple(expand(t, *shape) for t in given)


def trace(input: Any) -> Tensor:
    """Sum of the diagonal of a matrix."""
    if len(input.shape) != 2:
        raise located(ValueError(f"trace needs a matrix, got {list(input.shape)}"))
    return sum(diagonal(input))


def diagflat(input: Any, offset: int = 0) -> Tensor:
    """A matrix with all elements of `input` on a diagonal."""
    return diag_embed(reshape(input, -1), offset)


def kron(input: Any, other: Any) -> Tensor:
    """Kronecker product: every element of `input` times all of `other`, laid out as blocks."""
    rank = max(len(input.shape), len(other.shape))
    a = reshape(input, *[1] * (rank - len(input.shape)), *input.shape)
    b = reshape(other, *[1] * (rank - len(other.shape)), *other.shape)
    left = reshape(a, *[n for size in a.shape for n in (size, 1)])
    right = reshape(b, *[n for size in b.shape for n in (1, size)])
    return reshape(left * right, *[n * m for n, m in zip(a.shape, b.shape, strict=True)])


def block_diag(*tensors: Any) -> Tensor:
    """Matrices along the diagonal of a larger one, zeros elsewhere."""
    from engine.ops.pad import pad

    given = [atleast_2d(t) for t in tensors]
    columns = int(np.sum([t.shape[1] for t in given]))
    rows, before = [], 0
    for t in given:
        rows.append(pad(t, (before, columns - before - t.shape[1])))
        before += t.shape[1]
    return cat(rows, 0)


def cartesian_prod(*tensors: Any) -> Tensor:
    """All combinations of one element of each vector, a row each."""
    if len(tensors) == 1:
        return tensors[0]  # type: ignore[no-any-return]
    return stack([reshape(grid, -1) for grid in meshgrid(*tensors)], 1)


def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of `r` elements of a vector in order, a row each."""
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(choose(range(input.shape[0]), r)), np.int64).reshape(-1, r)
    return getitem(input, rows)


def tril_indices(row: int, col: int, offset: int = 0) -> Tensor:
    """Row and column numbers [2, n] of the lower triangle of a matrix."""
    from engine.tensor import Tensor

    return Tensor(np.stack(np.tril_indices(row, offset, col)), role="constant")


def triu_indices(row: int, col: int, offset: int = 0) -> Tensor:
    """Row and column numbers [2, n] of the upper triangle of a matrix."""
    from engine.tensor import Tensor

    return Tensor(np.stack(np.triu_indices(row, offset, col)), role="constant")


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Tensor:
    """Powers of the elements of a vector, a column for each power."""
    powers = range(x.shape[0] if N is None else N)
    columns = [x**p for p in (powers if increasing else reversed(powers))]
    return stack(columns, -1)


def channel_shuffle(input: Any, groups: int) -> Tensor:
    """Channels of [batch, channels, ...] mixed between groups (Zhang et al. 2018, ShuffleNet).

    Raises `ValueError` when the groups do not divide the channels.
    """
    n, c, *rest = input.shape
    if c % groups:
        raise located(
            ValueError(f"groups={groups} does not divide the {c} channels of input {list(input.shape)}")
        )
    apart = reshape(input, n, groups, c // groups, *rest)
    return reshape(transpose(apart, 1, 2), n, c, *rest)
