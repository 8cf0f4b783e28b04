"""Shape rules of the op records, and where the dimensions of a result come from.

A shape rule says what shape an op gives without computing it, or raises `ShapeClash` with words for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.errors import ArgumentProblem, Shape, ShapeClash, shape_text


def sizes(value: Any) -> Shape:
    """The shape of an argument; a plain number has none."""
    return value if isinstance(value, tuple) else ()


def steps(shape: Shape) -> list[int]:
    """How many elements lie between neighbours of each dimension, where all lie in order.

    >>> steps((2, 3, 4))
    [12, 4, 1]
    """
    found = [1]
    for n in reversed(shape[1:]):
        found.insert(0, found[0] * n)
    return found


def broadcast(*arguments: Any, **_: Any) -> Shape:
    """The shape all arguments broadcast to."""
    shapes = [sizes(a) for a in arguments]
    first = shapes[0]
    if all(s == first for s in shapes):
        return first
    rank = max(len(s) for s in shapes)
    result = [1] * rank
    decided = [0] * rank  # the argument that gave the size
    for a, shape in enumerate(shapes):
        for i, size in enumerate(shape):
            at = rank - len(shape) + i
            if size == 1 or size == result[at]:
                continue
            if result[at] == 1:
                result[at], decided[at] = size, a
                continue
            other = decided[at]
            other_dim = at - (rank - len(shapes[other]))
            expected = list(shape)
            expected[i] = result[at]
            raise ShapeClash(
                expected,
                a,
                [(other, other_dim), (a, i)],
                f"{{{other}}} has {result[at]} where {{{a}}} has {size}; sizes that meet must be equal or 1.",
            )
    return tuple(result)


def same(shape: Any, *_: Any, **__: Any) -> Shape:
    """The shape of the first argument."""
    return sizes(shape)


def matmul(a: Any, b: Any) -> Shape:
    """Matrix product, batched over leading dimensions; a vector is a row on the left, a column on the right."""
    a, b = sizes(a), sizes(b)
    if not a or not b:
        which = 0 if not a else 1
        raise ShapeClash(["n"], which, [], f"{{{which}}} has no dimensions; matmul needs at least one.")
    inner = len(b) - 2 if len(b) > 1 else 0
    if a[-1] != b[inner]:
        expected = ["batch", *list(a[1:-1]), b[inner]] if len(a) > 1 else [b[inner]]
        word = "rows" if len(a) > 1 else "a vector"
        raise ShapeClash(
            expected,
            0,
            [(0, len(a) - 1), (1, inner)],
            f"{{1}} expects {word} of {b[inner]}, but {{0}} has {word} of {a[-1]}.",
        )
    try:
        lead = broadcast(a[:-2], b[:-2])
    except ShapeClash as clash:
        expected = list(b[:-2]) + list(a[-2:])
        raise ShapeClash(expected, 0, clash.clash, clash.sentence) from None
    rows = (a[-2],) if len(a) > 1 else ()
    columns = (b[-1],) if len(b) > 1 else ()
    return lead + rows + columns


def matmul_origin(
    shapes: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    """Columns come from the right, rows from the left."""
    a, b = sizes(shapes[0]), sizes(shapes[1])
    if len(b) > 1 and dim == len(out) - 1:
        return [(1, len(b) - 1)]
    row = len(out) - (2 if len(b) > 1 else 1)
    if len(a) > 1 and dim == row:
        return [(0, len(a) - 2)]
    return broadcast_origin([a[:-2], b[:-2]], attrs, out[:row] if len(a) > 1 else out[: row + 1], dim)


def linear(x: Any, weight: Any, bias: Any = None) -> Shape:
    """Rows of `in` features to rows of `out` features; `weight` is [out, in]."""
    x, weight = sizes(x), sizes(weight)
    if not x or len(weight) != 2 or x[-1] != weight[-1]:
        features = weight[-1] if weight else "in"
        expected = ["batch", *x[1:-1], features] if len(x) != 1 else [features]
        got = f"rows of {x[-1]}" if x else "no dimensions"
        raise ShapeClash(
            expected,
            0,
            [(0, len(x) - 1), (1, len(weight) - 1)] if x else [],
            f"{{module}} expects rows of {features}, but {{0}} has {got}.",
        )
    if bias is not None and sizes(bias) != weight[:1]:
        raise ShapeClash(
            weight[:1],
            2,
            [(1, 0), (2, 0)] if sizes(bias) else [],
            f"{{2}} has to have one number for each of the {weight[0]} outputs, but is {shape_text(sizes(bias))}.",
        )
    return (*x[:-1], weight[0])


def linear_origin(
    shapes: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    """Features come from the weight, everything else from the input."""
    return [(1, 0)] if dim == len(out) - 1 else [(0, dim)]


def broadcast_origin(
    shapes: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    """The arguments that have this size at this place."""
    found = []
    for a, shape in enumerate(shapes):
        if shape is None or not isinstance(shape, tuple):
            continue
        at = dim - (len(out) - len(shape))
        if at >= 0 and shape[at] == out[dim]:
            found.append((a, at))
    return found


def same_origin(
    shapes: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    """Each dimension is that of the first argument."""
    return [(0, dim)] if shapes and shapes[0] is not None and len(shapes[0]) == len(out) else []


# --- dimensions given by the caller ------------------------------------------------------------------


def check_dim(dim: Any, rank: int, what: str = "dim") -> int:
    """`dim` counted from the front. Raises `IndexError` (through the explanation) when out of range."""
    if not isinstance(dim, int):
        try:
            dim = dim.__index__()
        except AttributeError:
            raise ArgumentProblem(TypeError, f"{what} has to be an int, got {dim!r}") from None
    span = max(rank, 1)
    if not -span <= dim < span:
        raise ArgumentProblem(
            IndexError,
            f"{what} has to be from {-span} to {span - 1} for a tensor of {rank} dimensions, got {dim}",
        )
    return int(dim) % span


def check_dims(dim: Any, rank: int) -> tuple[int, ...]:
    """Several dims, counted from the front; None is all of them."""
    if dim is None:
        return tuple(range(rank))
    if isinstance(dim, (tuple, list)):
        found = tuple(check_dim(d, rank) for d in dim)
        if len(set(found)) != len(found):
            raise ArgumentProblem(ValueError, f"dim names a dimension twice: {shape_text(dim)}")
        return found if found or rank == 0 else tuple(range(rank))
    return (check_dim(dim, rank),) if rank else (check_dim(dim, rank),)[:0]


def reduced(shape: Any, *, dim: Any = None, keepdim: bool = False, **_: Any) -> Shape:
    """The shape after reducing over `dim`."""
    shape = sizes(shape)
    dims = check_dims(dim, len(shape))
    if keepdim:
        return tuple(1 if i in dims else size for i, size in enumerate(shape))
    return tuple(size for i, size in enumerate(shape) if i not in dims)


def reduced_origin(
    shapes: Sequence[Shape | None], attrs: dict[str, Any], out: Shape, dim: int
) -> list[tuple[int, int]]:
    """A dimension that was not reduced is the input's."""
    shape = sizes(shapes[0])
    dims = check_dims(attrs.get("dim"), len(shape))
    if len(out) == len(shape):
        return [] if dim in dims else [(0, dim)]
    kept = [i for i in range(len(shape)) if i not in dims]
    return [(0, kept[dim])]
