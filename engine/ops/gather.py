"""Elements picked by an index along one dimension, and put back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine import dtype, shapes
from engine.dispatch import apply
from engine.errors import ArgumentProblem, OutOfRangeError, Shape, ShapeClash
from engine.located import located
from engine.op import LINEAR, op
from engine.ops.add_at import add_at
from engine.ops.bounds import outside

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _gather_shape(input: Any, index: Any, *, dim: int) -> Shape:
    a, b = shapes.sizes(input), shapes.sizes(index)
    d = shapes.check_dim(dim, len(a))
    if len(a) != len(b):
        raise ShapeClash(
            ["n"] * len(a),
            1,
            [],
            f"{{1}} has {len(b)} dimensions, {{0}} has {len(a)}; gather needs equally many.",
        )
    for i, (have, want) in enumerate(zip(a, b, strict=True)):
        if i != d and want > have:
            expected = list(b)
            expected[i] = have
            raise ShapeClash(
                expected,
                1,
                [(0, i), (1, i)],
                f"{{1}} reaches to {want} in dimension {i}, where {{0}} has {have}.",
            )
    return b


def _window(index: Any, shape: Shape, dim: int) -> tuple[slice, ...]:
    return tuple(slice(None) if i == dim % len(shape) else slice(0, n) for i, n in enumerate(index.shape))


def _gather_vjp(xp: Any, g: Any, out: Any, input: Any, index: Any, *, dim: int) -> Any:
    raw = getattr(index, "array", index)
    return scatter_zeros(g, raw, input.shape, dim) if hasattr(g, "node") else scatter(
        xp, g, raw, input.shape, dim
    ), None


@op(
    "gather",
    complex=LINEAR,
    family="shape",
    shape=_gather_shape,
    dtype=dtype.first,
    onnx="GatherElements",
    formula="input[..., index[...], ...] along dim",
    vjp=_gather_vjp,
    saves=("index",),
    check=True,
)
def GATHER(xp: Any, input: Any, index: Any, *, dim: int) -> Any:
    """Along `dim`, the element each index names."""
    if index.dtype.kind not in "iu":
        raise ArgumentProblem(TypeError, f"{{1}} has to hold integers, got {index.dtype}", 1)
    size = input.shape[dim]
    if (bad := outside(index, size)) is not None:
        raise ArgumentProblem(
            OutOfRangeError, f"{{1}} holds {bad}, but dimension {dim} of {{0}} has {size} elements", 1
        )
    return xp.take_along_axis(input[_window(index, input.shape, dim)], index, axis=dim)


def scatter(xp: Any, g: Any, index: Any, shape: Shape, dim: int) -> Any:
    """Zeros of `shape` with `g` added along `dim` where `index` points; raw arrays."""
    out = xp.zeros(shape, g.dtype)
    places = [
        xp.arange(n).reshape((1,) * i + (n,) + (1,) * (len(shape) - i - 1)) for i, n in enumerate(index.shape)
    ]
    places[dim % len(shape)] = index
    add_at(out, tuple(places), g)
    return out


def _zeros_shape(input: Any, *, index: Any, shape: Shape, dim: int) -> Shape:
    return shape


def _zeros_vjp(xp: Any, g: Any, out: Any, input: Any, *, index: Any, shape: Shape, dim: int) -> Any:
    if hasattr(g, "node"):
        return gather(g, dim, index)
    return xp.take_along_axis(g[_window(index, shape, dim)], xp.asarray(index), axis=dim)


@op(
    "scatter_zeros",
    complex=LINEAR,
    family="shape",
    shape=_zeros_shape,
    dtype=dtype.first,
    formula="zeros of shape with input added at index along dim",
    vjp=_zeros_vjp,
)
def SCATTER_ZEROS(xp: Any, input: Any, *, index: Any, shape: Shape, dim: int) -> Any:
    """The transpose of gather."""
    return scatter(xp, input, xp.asarray(index), shape, dim)


def gather(input: Any, dim: int, index: Any) -> Tensor:
    """Along `dim`, the element of `input` that each entry of `index` names; the result has the shape of `index`."""
    return apply(GATHER, (input, index), {"dim": dim})  # type: ignore[no-any-return]


def scatter_zeros(input: Any, index: Any, shape: Shape, dim: int) -> Tensor:
    """Zeros of `shape` with `input` added along `dim` where `index` points."""
    raw = getattr(index, "array", index)
    return apply(SCATTER_ZEROS, (input,), {"index": raw, "shape": tuple(shape), "dim": dim})  # type: ignore[no-any-return]


def index_select(input: Any, dim: int, index: Any) -> Tensor:
    """The slices of `input` along `dim` that `index`, a vector of integers, names.

    Raises `IndexError` for a `dim` that is not there.
    """
    from engine.ops.indexing import getitem

    rank = len(input.shape)
    if not -rank <= dim < rank:
        raise located(IndexError(f"dim has to be from {-rank} to {rank - 1}, got {dim}"))
    at = index.reshape(-1) if hasattr(index, "reshape") and not index.shape else index
    return getitem(input, (slice(None),) * (dim % rank) + (at,))
