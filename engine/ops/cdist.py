"""How far rows are from other rows, each from each, without an array of all their differences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype, shapes
from engine.dispatch import apply
from engine.errors import Shape
from engine.located import located
from engine.op import op
from engine.ops import length
from engine.ops.add_at import add_at
from engine.ops.indexing import put_back
from engine.shapes import sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor

__all__ = ["cdist", "pdist"]

# Distances computed at a time: what they need stays in cache.
BLOCK = 1 << 15
# Features, and work in all, from which Euclidean distances are made of one matrix product.
FEATURES, WORK = 16, 1 << 15
# Squared distances below this share of the squared lengths are too near for that, and computed again from differences.
NEAR = 1 / 8


def _shape(x1: Any, x2: Any, *, p: float) -> Shape:
    a, b = sizes(x1), sizes(x2)
    return (*shapes.broadcast(a[:-2], b[:-2]), a[-2], b[-2])


def _kind(*dtypes: Any, **_: Any) -> Any:
    return dtype.floating(dtype.promoted(*dtypes))


def _vjp(xp: Any, g: Any, out: Any, x1: Any, x2: Any, *, p: float) -> Any:
    from engine.backpropagation import sum_to

    if xp is np:
        found = _both(g, out, x1, x2, p)
    else:
        apart = x1[..., :, None, :] - x2[..., None, :, :]
        slope = _slope(xp, g, out, apart, p)
        found = xp.sum(slope, axis=-2), xp.sum(slope, axis=-3) * -1.0
    return tuple(sum_to(xp, f, x.shape) for f, x in zip(found, (x1, x2), strict=True))


def _slope(xp: Any, g: Any, out: Any, apart: Any, p: float) -> Any:
    """The gradient of lengths `out` by the vectors `apart`, times `g`; where several are largest, each counts."""
    if not math.isinf(p):
        return length.gradient(xp, g, out, apart, p=p, dim=-1, keepdim=False)
    largest = xp.abs(apart) == out[..., None]
    return g[..., None] * xp.sign(apart) * largest.astype(g.dtype)


@op(
    "cdist", family="other", shape=_shape, dtype=_kind, vjp=_vjp, saves=("x1", "x2", "out"),
    formula="out[i, j] = (Σ |x1[i] - x2[j]|^p)^(1/p)",
)  # fmt: skip
def CDIST(xp: Any, x1: Any, x2: Any, *, p: float) -> Any:
    """The p-norms of the differences of each row of `x1` [..., n, features] and each of `x2` [..., m, features]."""
    kind = dtype.floating(np.result_type(x1, x2))
    if xp is not np:
        apart = (x1[..., :, None, :] - x2[..., None, :, :]).astype(kind, copy=False)
        return length.NORM.on(xp)(apart, p=p, dim=-1, keepdim=False)
    a, b, lead = _alike(x1, x2)
    return _distances(a, b, p).reshape(*lead, a.shape[1], b.shape[1]).astype(kind, copy=False)


def _alike(x1: Any, x2: Any) -> tuple[Any, Any, Shape]:
    """Both as [batch, rows, features] in the type they are computed in, and the dimensions before."""
    kind = dtype.floating(np.result_type(x1, x2))
    work = np.dtype(np.float32) if kind.itemsize < 4 else kind
    lead = np.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    a, b = (
        np.broadcast_to(x, (*lead, *x.shape[-2:]))
        .reshape(math.prod(lead), *x.shape[-2:])
        .astype(work, copy=False)
        for x in (x1, x2)
    )
    return a, b, lead


def _pairs_shape(input: Any, *, p: float) -> Shape:
    n = sizes(input)[0]
    return (n * (n - 1) // 2,)


def _pairs_vjp(xp: Any, g: Any, out: Any, input: Any, *, p: float) -> Any:
    n = input.shape[0]
    if xp is not np:
        above = np.triu_indices(n, 1)
        slope = _slope(xp, g, out, input[above[0]] - input[above[1]], p)
        return put_back(xp, slope, input.shape, above[0]) - put_back(xp, slope, input.shape, above[1])
    whole, lengths = (np.zeros((n, n), a.dtype) for a in (g, out))
    for full, part in ((whole, g), (lengths, out)):
        full[_above(n)] = part
        full += full.T
    return _both(whole, lengths, input, input, p, False)[0]


def _above(n: int) -> Any:
    """Where the second number of a place is the larger one."""
    line = np.arange(n)
    return line[:, None] < line


@op(
    "pdist", family="other", shape=_pairs_shape, dtype=dtype.floating, vjp=_pairs_vjp, saves=("input", "out"),
    formula="(Σ |input[i] - input[j]|^p)^(1/p) of all i < j",
)  # fmt: skip
def PDIST(xp: Any, input: Any, *, p: float) -> Any:
    """The p-norms of the differences of all pairs of rows."""
    if xp is not np:
        above = np.triu_indices(input.shape[0], 1)
        return length.NORM.on(xp)(input[above[0]] - input[above[1]], p=p, dim=-1, keepdim=False)
    return CDIST.on(xp)(input, input, p=p)[_above(len(input))]


# --- by differences, feature after feature ---------------------------------------------------------------


def _blocks(batch: int, n: int, m: int) -> Iterator[tuple[slice, slice]]:
    """Which samples and rows are computed at a time."""
    rows = max(1, min(n, BLOCK // max(m, 1)))
    samples = max(1, BLOCK // max(n * m, 1)) if rows == n else 1
    for i in range(0, batch, samples):
        for j in range(0, n, rows):
            yield slice(i, i + samples), slice(j, j + rows)


def _distances(a: Any, b: Any, p: float) -> Any:
    (batch, n, features), m = a.shape, b.shape[1]
    if p == 2 and (made := _by_product(a, b)) is not None:
        return made
    out = np.zeros((batch, n, m), a.dtype)
    left, right = (np.ascontiguousarray(x.transpose(2, 0, 1)) for x in (a, b))
    with np.errstate(all="ignore"):
        for samples, rows in _blocks(batch, n, m):
            total = out[samples, rows]
            step = np.empty_like(total)
            for k in range(features):
                np.subtract(left[k, samples, rows, None], right[k, samples, None], out=step)
                if p == 2:
                    np.multiply(step, step, out=step)
                elif p == 0:
                    np.not_equal(step, 0, out=step)
                else:
                    np.abs(step, out=step)
                    if p != 1 and not math.isinf(p):
                        np.power(step, p, out=step)
                (np.maximum if math.isinf(p) else np.add)(total, step, out=total)
            if p == 2:
                np.sqrt(total, out=total)
            elif p not in (0, 1) and not math.isinf(p):
                np.power(total, 1 / p, out=total)
    return out


def _both(g: Any, out: Any, x1: Any, x2: Any, p: float, second: bool = True) -> tuple[Any, ...]:
    """The gradients for both, or for the first alone, before what was broadcast is summed."""
    a, b, lead = _alike(x1, x2)
    g, out = (
        np.asarray(x).reshape(len(a), a.shape[1], b.shape[1]).astype(a.dtype, copy=False) for x in (g, out)
    )
    kind = dtype.floating(np.result_type(x1, x2))
    made = _gradients(g, out, a, b, p, second)
    return tuple(m.reshape(*lead, *m.shape[1:]).astype(kind, copy=False) for m in made if m is not None)


def _gradients(g: Any, out: Any, a: Any, b: Any, p: float, second: bool) -> tuple[Any, Any]:
    # Rows that are not apart have no direction; PyTorch's choice, 0, is ours.
    with np.errstate(all="ignore"):
        scale = (
            g
            if p in (0, 1) or math.isinf(p)
            else np.where(out == 0, 0, g / (out if p == 2 else out ** (p - 1)))
        )
    if p == 2 and (made := _gradients_by_product(scale, out, a, b, second)) is not None:
        return made
    (batch, n, features), m = a.shape, b.shape[1]
    left, right = (np.ascontiguousarray(x.transpose(2, 0, 1)) for x in (a, b))
    one, other, ones = np.zeros_like(left), np.zeros_like(right), np.ones(max(n, m), a.dtype)
    if p == 0:
        return one.transpose(1, 2, 0), other.transpose(1, 2, 0)
    with np.errstate(all="ignore"):
        for samples, rows in _blocks(batch, n, m):
            weight, reach = scale[samples, rows], out[samples, rows]
            step = np.empty(weight.shape, a.dtype)
            for k in range(features):
                np.subtract(left[k, samples, rows, None], right[k, samples, None], out=step)
                if p != 2:
                    _turn(step, reach, p)
                np.multiply(step, weight, out=step)
                one[k, samples, rows] = np.matmul(step, ones[:m])
                if second:
                    other[k, samples] -= np.matmul(ones[: step.shape[1]], step)
    return one.transpose(1, 2, 0), other.transpose(1, 2, 0)


def _turn(step: Any, reach: Any, p: float) -> None:
    """`sign(step) |step|^(p - 1)` in place; for p infinite the sign where a step is as large as all `reach`."""
    if p == 1:
        np.sign(step, out=step)
    elif math.isinf(p):
        np.multiply(np.sign(step), np.abs(step) == reach, out=step)
    else:
        size = np.abs(step) ** (p - 1)
        np.multiply(np.sign(step), np.where(step == 0, 0, size), out=step)


# --- Euclidean distances by a matrix product ---------------------------------------------------------------


def _centred(a: Any, b: Any) -> tuple[Any, Any, Any] | None:
    """Both about the middle of `b`, where lengths are short and lose little, and the sums of their squared lengths.

    None where there is too little to do, or where a number is not finite: such a one would spread.
    """
    (batch, n, features), m = a.shape, b.shape[1]
    if features < FEATURES or batch * n * m * features < WORK or not batch * n * m:
        return None
    with np.errstate(all="ignore"):
        middle = b.mean(1, keepdims=True)
        a, b = a - middle, b - middle
        squares = np.einsum("bnk,bnk->bn", a, a)[:, :, None] + np.einsum("bmk,bmk->bm", b, b)[:, None]
        return (a, b, squares) if np.isfinite(squares.max()) else None


def _places(mask: Any) -> tuple[Any, ...]:
    """`np.nonzero`, which takes ten times as long where there are several dimensions."""
    return np.unravel_index(np.flatnonzero(mask), mask.shape)


def _by_product(a: Any, b: Any) -> Any:
    """|x - y|² = |x|² + |y|² - 2 xy, but where that would lose digits, between points near to each other."""
    found = _centred(a, b)
    if found is None:
        return None
    x, y, squares = found
    out = np.matmul(x, y.swapaxes(1, 2))
    out *= -2
    out += squares
    squares *= NEAR
    near = _places(out < squares)
    if near[0].size * 4 > out.size:
        return None
    apart = a[near[0], near[1]] - b[near[0], near[2]]
    out[near] = np.einsum("ik,ik->i", apart, apart)
    return np.sqrt(out, out=out)


def _gradients_by_product(scale: Any, out: Any, a: Any, b: Any, second: bool) -> tuple[Any, Any] | None:
    found = _centred(a, b)
    if found is None:
        return None
    x, y, squares = found
    squares *= NEAR
    near = _places((out * out < squares) & (scale != 0))
    if near[0].size * 4 > out.size:
        return None
    apart = (a[near[0], near[1]] - b[near[0], near[2]]) * scale[near][:, None]
    if near[0].size:
        scale = scale.copy()
        scale[near] = 0
    one = x * scale.sum(2)[..., None] - np.matmul(scale, y)
    if near[0].size:
        add_at(one, near[:2], apart)
    if not second:
        return one, None
    other = y * scale.sum(1)[..., None] - np.matmul(scale.swapaxes(1, 2), x)
    if near[0].size:
        add_at(other, (near[0], near[2]), -apart)
    return one, other


# --- what people call ------------------------------------------------------------------------------------


def cdist(
    x1: Any, x2: Any, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary"
) -> Tensor:
    """Distances [..., n, m] between the rows of `x1` [..., n, features] and of `x2` [..., m, features].

    `compute_mode` changes nothing: distances of near rows are exact in each.
    Raises `ValueError` where the features differ, or for a negative `p`.
    """
    for name, x in (("x1", x1), ("x2", x2)):
        if len(x.shape) < 2:
            raise located(ValueError(f"cdist needs {name} [..., rows, features], got {list(x.shape)}"))
    if x1.shape[-1] != x2.shape[-1]:
        raise located(
            ValueError(
                f"cdist needs rows of one size: x1 {list(x1.shape)} has {x1.shape[-1]} features, "
                f"x2 {list(x2.shape)} has {x2.shape[-1]}"
            )
        )
    _positive("cdist", p)
    return apply(CDIST, (x1, x2), {"p": float(p)})  # type: ignore[no-any-return]


def pdist(input: Any, p: float = 2.0) -> Tensor:
    """Distances between all pairs of rows, those of the upper triangle of `cdist(input, input)`.

    Raises `ValueError` for another rank than 2, or for a negative `p`.
    """
    if len(input.shape) != 2:
        raise located(ValueError(f"pdist needs [rows, features], got {list(input.shape)}"))
    _positive("pdist", p)
    return apply(PDIST, (input,), {"p": float(p)})  # type: ignore[no-any-return]


def _positive(name: str, p: Any) -> None:
    if not p >= 0:
        raise located(ValueError(f"{name} needs p of 0 or more, got {p!r}"))
