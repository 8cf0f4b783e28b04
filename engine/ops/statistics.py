"""Medians, quantiles, running extremes, counts and distances."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine import backend, dtype, random, shapes
from engine.complexes import real_only
from engine.dispatch import apply
from engine.errors import ArgumentProblem, Shape, ShapeClash, shape_text
from engine.located import located
from engine.op import op
from engine.ops import reduction
from engine.ops.arithmetic import div, mul, sqrt, sub
from engine.ops.comparison import isnan, ne, where
from engine.ops.complex import conj, real
from engine.ops.gather import SCATTER_ZEROS, gather
from engine.ops.layout import cat, reshape, unsqueeze
from engine.ops.length import norm
from engine.ops.linear import matmul
from engine.ops.median import Pair, dimension
from engine.ops.nested import nested
from engine.ops.part import narrow
from engine.ops.sort import sort
from engine.shapes import check_dim, sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor

__all__ = [
    "aminmax", "argwhere", "bincount", "bucketize", "corrcoef", "count_nonzero", "cov", "cummax", "cummin",
    "cumulative_trapezoid", "diff", "dist", "histc", "histogram", "isin", "logcumsumexp",
    "mode", "msort", "multinomial", "nanmean", "nanquantile", "nansum", "pairwise_distance",
    "quantile", "renorm", "searchsorted", "std_mean", "trapezoid", "trapz", "unique", "unique_consecutive",
    "unravel_index", "var_mean",
]  # fmt: skip


# Elements up to which each is looked for by itself.
FEW = 16


class Histogram(NamedTuple):
    """How many elements are in each bin, and where the bins end."""

    hist: Any
    bin_edges: Any


class MinMax(NamedTuple):
    """The smallest and the largest."""

    min: Any
    max: Any


# --- running extremes ---------------------------------------------------------------------------------


def _two_shapes(input: Any, *, dim: int, **_: Any) -> Any:
    check_dim(dim, len(sizes(input)))
    return sizes(input), sizes(input)


def _two_dtypes(input: Any, **_: Any) -> Any:
    return input, dtype.int64


def _running_vjp(xp: Any, g: Any, out: Any, input: Any, *, dim: int, indices: Any, **_: Any) -> Any:
    if not input.shape:
        return g[0]
    return nested(xp, SCATTER_ZEROS, g[0], index=indices, shape=tuple(input.shape), dim=dim)


@op(
    "cummax", family="reduce", shape=_two_shapes, dtype=_two_dtypes, origin=shapes.same_origin, outputs=2,
    extras=("indices",), vjp=_running_vjp, check=True, formula="running max input, and where",
)  # fmt: skip
def CUMMAX(xp: Any, input: Any, *, dim: int, largest: bool) -> Any:
    """The largest (or smallest) element up to each along `dim`, and where it was; the last of equal ones."""
    if not input.ndim:
        where_ = xp.zeros((), np.int64)
        return (input.copy(), where_), where_
    raw = _cpu(input)
    extreme = (np.maximum if largest else np.minimum).accumulate(raw, axis=dim)
    place = np.arange(input.shape[dim]).reshape(
        [-1 if i == dim % input.ndim else 1 for i in range(input.ndim)]
    )
    hit = raw == extreme
    if raw.dtype.kind == "f":
        hit |= raw != raw
    found = np.multiply(hit, place)
    np.maximum.accumulate(found, axis=dim, out=found)
    extreme, found = xp.asarray(extreme), xp.asarray(found)
    return (extreme, found), found


def _cpu(array: Any) -> Any:
    return backend.move(array, "cpu")


def cummax(input: Any, dim: int) -> Pair:
    """(values, indices) of the largest element up to each along `dim`."""
    return Pair(*apply(CUMMAX, (input,), {"dim": dim, "largest": True}))


def cummin(input: Any, dim: int) -> Pair:
    """(values, indices) of the smallest element up to each along `dim`."""
    return Pair(*apply(CUMMAX, (input,), {"dim": dim, "largest": False}))


def logcumsumexp(input: Any, dim: int) -> Tensor:
    """`log(cumsum(exp(input)))` along `dim`, without overflow."""
    top = where(input.detach().isfinite(), input.detach(), 0.0).amax(dim, keepdim=True)
    return reduction.cumsum((input - top).exp(), dim).log() + top  # type: ignore[no-any-return]


def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """The smallest and the largest value, of all or along `dim`."""
    return MinMax(reduction.amin(input, dim, keepdim), reduction.amax(input, dim, keepdim))


# --- order statistics ---------------------------------------------------------------------------------


_INTERPOLATIONS = ("linear", "lower", "higher", "nearest", "midpoint")


def quantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The value below which the share `q` of the elements lies; a vector `q` gives a new first dimension.

    Raises `ValueError` for a share outside 0 to 1.
    """
    return _quantile(input, q, dim, keepdim, interpolation, skip=False)


def nanquantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`quantile` of what is not nan."""
    return _quantile(input, q, dim, keepdim, interpolation, skip=True)


def _quantile(input: Any, q: Any, dim: Any, keepdim: bool, how: str, skip: bool) -> Tensor:
    from engine.tensor import beside

    if how not in _INTERPOLATIONS:
        raise located(ValueError(f"interpolation is one of {', '.join(_INTERPOLATIONS)}, got {how!r}"))
    share = np.asarray(_cpu(q.array) if hasattr(q, "node") else q, np.float64)
    if share.ndim > 1 or not ((share >= 0) & (share <= 1)).all():
        raise located(ValueError(f"q has to be one number or a vector of numbers from 0 to 1, got {q!r}"))
    rank = len(input.shape)
    x = reshape(input, -1) if dim is None else input.movedim(dimension(dim, rank), -1)
    ordered = sort(x, -1).values
    missing = _cpu(isnan(x.detach()).array)
    count = (~missing).sum(-1, keepdims=True) if skip else np.full((*missing.shape[:-1], 1), x.shape[-1])
    at = share.reshape(-1) * (np.maximum(count, 1) - 1)
    if how == "nearest":
        low = high = np.round(at)
    else:
        low, high = np.floor(at), np.ceil(at)
        low, high = (low, low) if how == "lower" else (high, high) if how == "higher" else (low, high)
    weight = np.full(at.shape, 0.5) * (low != high) if how == "midpoint" else at - low
    below = gather(ordered, -1, beside(x, low.astype(np.int64)))
    above = gather(ordered, -1, beside(x, high.astype(np.int64)))
    value = below + (above - below) * beside(x, weight.astype(x.dtype))
    bad = missing.all(-1, keepdims=True) if skip else missing.any(-1, keepdims=True)
    if bad.any():
        value = where(beside(x, np.broadcast_to(bad, value.shape)), math.nan, value)
    value = value.movedim(-1, 0)
    if keepdim:
        value = (
            reshape(value, value.shape[0], *[1] * rank)
            if dim is None
            else value.unsqueeze(dimension(dim, rank) + 1)
        )
    return value if share.ndim else value.squeeze(0)


def _most_frequent(rows: Any) -> Any:
    """Where the most frequent element of each row is for the last time."""
    lead, size = rows.shape[:-1], rows.shape[-1]
    rows = rows.reshape(-1, size)
    ordered = np.sort(rows, axis=-1)
    fresh = np.ones(ordered.shape, bool)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=fresh[:, 1:])
    if rows.dtype.kind == "f":  # NaN is like NaN
        fresh[:, 1:] &= ordered[:, :-1] == ordered[:, :-1]
    place = np.arange(size)
    begun = np.maximum.accumulate(np.where(fresh, place, 0), axis=-1)
    # The first run to become as long as any is the one of the smallest element.
    longest = (place - begun).argmax(-1)
    chosen = ordered[np.arange(len(rows)), longest][:, None]
    alike = rows == chosen
    if rows.dtype.kind == "f":
        alike |= (rows != rows) & (chosen != chosen)
    return (size - 1 - alike[:, ::-1].argmax(-1)).reshape(lead)


def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Pair:
    """(value, index) of the most frequent element along `dim`, the smallest of several; its last index."""
    from engine.tensor import beside

    d = dimension(dim, len(input.shape))
    rows = np.moveaxis(_cpu(input.array), d, -1)
    where_ = _most_frequent(rows)
    index = beside(input, np.expand_dims(where_, d))
    values = gather(input, d, index)
    return Pair(values, index) if keepdim else Pair(values.squeeze(d), index.squeeze(d))


def msort(input: Any) -> Tensor:
    """In order along dimension 0."""
    return sort(input, 0).values  # type: ignore[no-any-return]


# --- sums and moments ---------------------------------------------------------------------------------


def count_nonzero(input: Any, dim: Any = None) -> Tensor:
    """How many elements are not 0."""
    return reduction.sum(ne(input, 0), dim)


def nansum(input: Any, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Sum of what is not nan."""
    return reduction.sum(where(isnan(input), 0.0, input), dim, keepdim)


def nanmean(input: Any, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Mean of what is not nan."""
    return div(nansum(input, dim, keepdim), reduction.sum(~isnan(input), dim, keepdim).to(input.dtype))


def var_mean(
    input: Any,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Variance and mean."""
    return reduction.var(input, dim, unbiased, keepdim, correction=correction), reduction.mean(
        input, dim, keepdim
    )


def std_mean(
    input: Any,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean."""
    return reduction.std(input, dim, unbiased, keepdim, correction=correction), reduction.mean(
        input, dim, keepdim
    )


def cov(input: Any, *, correction: int = 1) -> Tensor:
    """Covariances [n, n] of n variables, the rows of `input` [n, observations]."""
    x = reshape(input, 1, -1) if len(input.shape) < 2 else input
    centred = sub(x, reduction.mean(x, 1, True))
    found = div(matmul(centred, conj(centred.T)), x.shape[1] - correction)
    return found if len(input.shape) >= 2 else reshape(found, ())


def corrcoef(input: Any) -> Tensor:
    """Correlations [n, n] of n variables, the rows of `input`."""
    found = cov(input)
    if not found.shape:
        return div(found, found)
    spread = sqrt(real(found.diagonal()))
    return div(div(found, unsqueeze(spread, 0)), unsqueeze(spread, 1))


def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """Differences of neighbours along `dim`, `n` times."""
    ends = [t for t in (prepend, input, append) if t is not None]
    x = cat(ends, dim) if len(ends) > 1 else input
    for _ in range(n):
        size = x.shape[dim]
        x = sub(narrow(x, dim, 1, max(size - 1, 0)), narrow(x, dim, 0, max(size - 1, 0))) if size else x
    return x


def _trapezoids(y: Any, x: Any, dx: float, dim: int) -> Any:
    size = y.shape[dim]
    heights = (narrow(y, dim, 1, size - 1) + narrow(y, dim, 0, size - 1)) / 2
    if x is None:
        return heights * dx
    widths = diff(x, dim=dim if len(x.shape) > 1 else -1)
    if len(widths.shape) == 1:
        at = [1] * len(y.shape)
        at[dim] = -1
        widths = reshape(widths, *at)
    return heights * widths


def trapezoid(y: Any, x: Any = None, *, dx: float = 1.0, dim: int = -1) -> Tensor:
    """The integral of `y` along `dim` by the trapezoid rule, over the places `x` or steps of `dx`."""
    return reduction.sum(_trapezoids(y, x, dx, dim), dim)


trapz = trapezoid


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: float = 1.0, dim: int = -1) -> Tensor:
    """`trapezoid` up to each element but the first."""
    return reduction.cumsum(_trapezoids(y, x, dx, dim), dim)


# --- distances ----------------------------------------------------------------------------------------


def dist(input: Any, other: Any, p: float = 2) -> Tensor:
    """The p-norm of the difference."""
    return norm(sub(input, other), p)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of `x1 - x2 + eps` along the last dimension."""
    return norm(sub(x1, x2) + eps, p, -1, keepdim)


def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Tensor:
    """Each slice along `dim` scaled so that its p-norm is at most `maxnorm`."""
    d = dimension(dim, len(input.shape))
    others = [i for i in range(len(input.shape)) if i != d]
    lengths = norm(input, p, others, True)
    return mul(input, where(lengths > maxnorm, maxnorm / (lengths + 1e-7), 1.0))


# --- counting and searching: whole numbers, no gradient --------------------------------------------------


def _search_shape(sorted_sequence: Any, input: Any, *, right: bool) -> Shape:
    a, b = sizes(sorted_sequence), sizes(input)
    if len(a) > 1 and (len(a) != len(b) or a[:-1] != b[:-1]):
        raise ShapeClash(
            [*a[:-1], "n"], 1, [], f"{{0}} is {shape_text(a)}, so {{1}} needs the same sizes before the last."
        )
    return b


@op(
    "searchsorted", family="other", shape=_search_shape, dtype=dtype.index, check=True,
    formula="how many of sorted_sequence are below input",
)  # fmt: skip
def SEARCHSORTED(xp: Any, sorted_sequence: Any, input: Any, *, right: bool) -> Any:
    """Where each number would go in an ordered vector, the last dimension of the first argument."""
    side = "right" if right else "left"
    if sorted_sequence.ndim == 1:
        return xp.searchsorted(sorted_sequence, input, side=side)
    rows = sorted_sequence.reshape(-1, sorted_sequence.shape[-1])
    values = input.reshape(len(rows), -1)
    found = [xp.searchsorted(r, v, side=side) for r, v in zip(rows, values, strict=True)]
    return xp.stack(found).reshape(input.shape)


def searchsorted(
    sorted_sequence: Any, input: Any, *, out_int32: bool = False, right: bool = False, side: str | None = None
) -> Tensor:
    """Where each number of `input` would go in the ordered `sorted_sequence` (its last dimension)."""
    kind = bool(right or side == "right")
    values = input if hasattr(input, "shape") else np.asarray(input)
    found = apply(SEARCHSORTED, (sorted_sequence, values), {"right": kind})
    return found.to("int32") if out_int32 else found  # type: ignore[no-any-return]


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the interval between `boundaries` that each number lies in."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def _isin_shape(elements: Any, test_elements: Any) -> Shape:
    return sizes(elements)


@op(
    "isin", family="other", shape=_isin_shape, dtype=dtype.truth, origin=shapes.same_origin,
    formula="elements is in test_elements",
)  # fmt: skip
def ISIN(xp: Any, elements: Any, test_elements: Any) -> Any:
    """Whether each element is one of `test_elements`."""
    if test_elements.size > FEW or xp is not np:
        return xp.isin(elements, test_elements)
    return (elements[..., None] == test_elements.reshape(-1)).any(-1)


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element is one of `test_elements`; one of the two may be a number."""
    given = elements if hasattr(elements, "node") else test_elements
    both = [
        x if hasattr(x, "node") else np.asarray(getattr(x, "array", x)) for x in (elements, test_elements)
    ]
    if not hasattr(given, "node"):
        raise located(
            TypeError(
                f"isin needs a tensor, got {type(elements).__name__} and {type(test_elements).__name__}"
            )
        )
    found = apply(ISIN, tuple(both), {})
    return ~found if invert else found  # type: ignore[no-any-return]


def _plain(array: Any, like: Any) -> Any:
    """A result whose shape depends on values, as a tensor on the device of `like`."""
    from engine.tensor import Tensor

    return Tensor(
        backend.move(np.asarray(array) if isinstance(array, np.generic) else array, str(like.device))
    )


def argwhere(input: Any) -> Tensor:
    """Indices of the elements that are not 0, a row each."""
    from engine.ops.indexing import nonzero

    return nonzero(input)  # type: ignore[no-any-return]


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Tensor:
    """How often each whole number from 0 on occurs in a vector, or the sum of its weights."""
    raw = _cpu(input.array)
    if raw.ndim != 1 or raw.dtype.kind not in "iub" or (raw.size and raw.min() < 0):
        raise located(
            ValueError(
                f"bincount needs a vector of whole numbers, 0 or more, got {list(input.shape)} of {input.dtype}"
            )
        )
    given = None if weights is None else _cpu(weights.array)
    found = np.bincount(raw.astype(np.int64), given, minlength)
    return _plain(found if given is None else found.astype(given.dtype), input)  # type: ignore[no-any-return]


def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of `bins` equal intervals from `min` to `max` (of the data, if both are 0)."""
    real_only("histc", input)
    raw = _cpu(input.array).reshape(-1)
    if min == max == 0 and raw.size:
        min, max = float(raw.min()), float(raw.max())
    if min == max:
        min, max = min - 1, max + 1
    return _plain(np.histogram(raw, bins, (min, max))[0].astype(input.dtype), input)  # type: ignore[no-any-return]


def histogram(input: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False) -> Any:
    """(counts, edges) of a histogram; `bins` is a number or the edges."""
    real_only("histogram", input)
    edges = _cpu(bins.array) if hasattr(bins, "array") else bins
    given = None if weight is None else _cpu(weight.array).reshape(-1)
    counts, found = np.histogram(_cpu(input.array).reshape(-1), edges, range, density, given)
    return Histogram(_plain(counts.astype(input.dtype), input), _plain(found.astype(input.dtype), input))


def unique(
    input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The different elements (or slices along `dim`) in order; on request where each came from, and how often."""
    real_only("unique", input)
    raw = _cpu(input.array)
    values, inverse, counts = np.unique(raw, return_inverse=True, return_counts=True, axis=dim)
    inverse = inverse.reshape(raw.shape if dim is None else raw.shape[dim])
    return _chosen(input, values, inverse, counts, return_inverse, return_counts)


def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Each run of equal elements (or slices along `dim`) once; on request the run of each, and its length."""
    raw = _cpu(input.array)
    rows = raw.reshape(-1) if dim is None else np.moveaxis(raw, dim, 0)
    fresh = np.ones(len(rows), bool)
    if len(rows):
        fresh[1:] = (rows[1:] != rows[:-1]).reshape(len(rows) - 1, -1).any(-1)
    values = rows[fresh] if dim is None else np.moveaxis(rows[fresh], 0, dim)
    inverse = fresh.cumsum() - 1
    counts = np.bincount(inverse, minlength=int(fresh.sum())) if len(rows) else np.zeros(0, np.int64)
    return _chosen(
        input,
        values,
        inverse.reshape(raw.shape) if dim is None else inverse,
        counts,
        return_inverse,
        return_counts,
    )


def _chosen(input: Any, values: Any, inverse: Any, counts: Any, want_inverse: bool, want_counts: bool) -> Any:
    found = [values, *([inverse] if want_inverse else []), *([counts] if want_counts else [])]
    made = tuple(_plain(f, input) for f in found)
    return made if len(made) > 1 else made[0]


def unravel_index(indices: Any, shape: Any) -> tuple[Tensor, ...]:
    """Places in a flattened tensor as coordinates, a tensor for each dimension."""
    return tuple(_plain(c, indices) for c in np.unravel_index(_cpu(indices.array), tuple(shape)))


# --- chance -------------------------------------------------------------------------------------------


def _multinomial_shape(input: Any, *, num_samples: int, replacement: bool, seed: int, counter: int) -> Shape:
    shape = sizes(input)
    if len(shape) not in (1, 2):
        raise ShapeClash(
            ["batch", "n"], 0, [], f"{{0}} is {shape_text(shape)}; weights are a vector or rows."
        )
    if num_samples < 1 or (not replacement and num_samples > shape[-1]):
        raise ArgumentProblem(
            ValueError, f"num_samples has to be from 1 to the {shape[-1]} weights of {{0}}, got {num_samples}"
        )
    return (*shape[:-1], num_samples)


@op(
    "multinomial", family="random", shape=_multinomial_shape, dtype=dtype.index, check=True,
    formula="numbers drawn in proportion to input",
)  # fmt: skip
def MULTINOMIAL(xp: Any, input: Any, *, num_samples: int, replacement: bool, seed: int, counter: int) -> Any:
    """Places drawn with the probabilities that the weights say."""
    raw = np.asarray(_cpu(input), np.float64)
    if not np.isfinite(raw).all() or (raw < 0).any() or (raw.sum(-1) <= 0).any():
        raise ArgumentProblem(ValueError, "{0} has to hold finite weights, 0 or more, not all 0", 0)
    rows = raw.reshape(-1, raw.shape[-1])
    if replacement:
        drawn = random.uniform(seed, counter, (len(rows), num_samples), np.float64)
        edges = rows.cumsum(1) / rows.sum(1, keepdims=True)
        found = np.stack([np.searchsorted(e, d, side="right") for e, d in zip(edges, drawn, strict=True)])
        found = found.clip(0, raw.shape[-1] - 1)
    else:
        if ((rows > 0).sum(1) < num_samples).any():
            raise ArgumentProblem(ValueError, f"{{0}} has fewer than {num_samples} weights above 0", 0)
        # Efraimidis and Spirakis 2006: the largest of u ** (1 / w) are a weighted sample without replacement.
        drawn = random.uniform(seed, counter, rows.shape, np.float64)
        with np.errstate(divide="ignore"):
            keys = np.where(
                rows > 0, np.log(np.maximum(drawn, 1e-300)) / np.where(rows > 0, rows, 1), -np.inf
            )
        found = np.argsort(-keys, axis=1, kind="stable")[:, :num_samples]
    return xp.asarray(found.reshape(*raw.shape[:-1], num_samples).astype(np.int64))


def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
    """`num_samples` places of each row of weights, drawn in proportion to them; int64.

    Raises `ValueError` for weights that are negative, not finite or all 0.
    """
    seed, counter = random.draw(input.numel() * max(1, num_samples), generator)
    attrs = {"num_samples": num_samples, "replacement": replacement, "seed": seed, "counter": counter}
    return apply(MULTINOMIAL, (input,), attrs)  # type: ignore[no-any-return]
