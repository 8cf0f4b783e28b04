"""Values written into, or added to, places that an index names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine import dtype, shapes
from engine.dispatch import apply
from engine.errors import ArgumentProblem, OutOfRangeError, Shape, ShapeClash
from engine.located import located
from engine.op import LINEAR, op
from engine.ops.add_at import add_at
from engine.ops.bounds import outside
from engine.ops.gather import GATHER
from engine.ops.nested import nested
from engine.shapes import check_dim, sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _shape(input: Any, index: Any, src: Any, *, dim: int, **_: Any) -> Shape:
    a, b = sizes(input), sizes(index)
    d = check_dim(dim, len(a))
    if len(a) != len(b):
        raise ShapeClash(
            ["n"] * len(a),
            1,
            [],
            f"{{1}} has {len(b)} dimensions, {{0}} has {len(a)}; {{op}} needs equally many.",
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
    if isinstance(src, tuple):
        if len(src) != len(b):
            raise ShapeClash(
                ["n"] * len(b),
                2,
                [],
                f"{{2}} has {len(src)} dimensions, {{1}} has {len(b)}; they go together.",
            )
        for i, (have, want) in enumerate(zip(src, b, strict=True)):
            if want > have:
                least: list[Any] = list(src)
                least[i] = f"at least {want}"
                raise ShapeClash(
                    least,
                    2,
                    [(1, i), (2, i)],
                    f"{{1}} reaches to {want} in dimension {i}, where {{2}} has {have}.",
                )
    return a


def checked(xp: Any, index: Any, size: int, dim: int) -> Any:
    """`index` when it names places that are there."""
    if index.dtype.kind not in "iu":
        raise ArgumentProblem(TypeError, f"{{1}} has to hold integers, got {index.dtype}", 1)
    if (bad := outside(index, size)) is not None:
        raise ArgumentProblem(
            OutOfRangeError, f"{{1}} holds {bad}, but dimension {dim} of {{0}} has {size} elements", 1
        )
    return index


def places(xp: Any, index: Any, dim: int) -> tuple[Any, ...]:
    """What `index` means for every dimension."""
    rank = index.ndim
    found = [xp.arange(n).reshape((1,) * i + (n,) + (1,) * (rank - i - 1)) for i, n in enumerate(index.shape)]
    found[dim % rank] = index
    return tuple(found)


def within(src: Any, index: Any) -> Any:
    """The part of `src` that `index` has places for; a number serves all."""
    return (
        src[tuple(slice(0, n) for n in index.shape)]
        if hasattr(src, "shape") and src.shape != index.shape
        else src
    )


def to_source(xp: Any, g: Any, index: Any, src: Any, dim: int) -> Any:
    """The gradient of `src`, which may be larger than `index`."""
    if not hasattr(src, "shape") or not getattr(src, "requires", True):
        return None
    part = nested(xp, GATHER, g, index, dim=dim)
    if tuple(src.shape) == tuple(part.shape):
        return part
    from engine.ops.pad import PAD

    pairs = tuple((0, n - m) for n, m in zip(src.shape, part.shape, strict=True))
    return nested(xp, PAD, part, pad=pairs, mode="constant", value=0.0)


SCATTER_LIKE: dict[str, Any] = {
    "family": "shape",
    "shape": _shape,
    "dtype": dtype.first,
    "origin": shapes.same_origin,
    "saves": ("index",),
    "check": True,
    "onnx": "ScatterElements",
}


def _add_vjp(xp: Any, g: Any, out: Any, input: Any, index: Any, src: Any, *, dim: int) -> Any:
    return g, None, to_source(xp, g, index, src, dim)


@op("scatter_add", complex=LINEAR, **SCATTER_LIKE, vjp=_add_vjp, formula="out[..., index[...], ...] += src")
def SCATTER_ADD(xp: Any, input: Any, index: Any, src: Any, *, dim: int) -> Any:
    """`src` added where `index` points along `dim`; repeats add up."""
    out = input.copy()
    if not out.ndim:
        return out + src
    checked(xp, index, input.shape[dim], dim)
    add_at(out, places(xp, index, dim), within(src, index))
    return out


def _write_vjp(xp: Any, g: Any, out: Any, input: Any, index: Any, src: Any, *, dim: int) -> Any:
    return nested(xp, SCATTER, g, index, 0.0, dim=dim), None, to_source(xp, g, index, src, dim)


@op("scatter", complex=LINEAR, **SCATTER_LIKE, vjp=_write_vjp, formula="out[..., index[...], ...] = src")
def SCATTER(xp: Any, input: Any, index: Any, src: Any, *, dim: int) -> Any:
    """`src` written where `index` points along `dim`.

    Which of several writes to one place wins is not said.
    """
    out = input.copy()
    checked(xp, index, input.shape[dim], dim)
    out[places(xp, index, dim)] = within(src, index)
    return out


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Tensor:
    """`input` with `src` added where `index` points along `dim`; repeats of an index add up.

    Raises `ShapeMismatchError` where `index` is larger than `src`, or than `input` in another dimension, and
    `IndexError` for an index that is not there.
    """
    return apply(SCATTER_ADD, (input, index, src), {"dim": dim})  # type: ignore[no-any-return]


def scatter(
    input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """`input` with `src` (a tensor, or the number `value`) written where `index` points along `dim`.

    `reduce="add"` adds instead. Raises as `scatter_add`, and `ValueError` for another `reduce`.
    """
    given = value if src is None else src
    if given is None:
        raise located(ValueError("scatter needs src or value"))
    if reduce not in (None, "add"):
        raise located(ValueError(f'reduce is None or "add", got {reduce!r}'))
    return apply(SCATTER_ADD if reduce else SCATTER, (input, index, given), {"dim": dim})  # type: ignore[no-any-return]
