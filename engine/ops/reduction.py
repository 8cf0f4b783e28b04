"""Sums, means, extremes and the like, over some dimensions or all."""

from __future__ import annotations

import builtins
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine import dtype as types
from engine import shapes
from engine.complexes import is_complex
from engine.dispatch import apply
from engine.errors import ArgumentProblem, NothingThereError
from engine.op import HOLOMORPHIC, LINEAR, op

if TYPE_CHECKING:
    from engine.tensor import Tensor

Dim = int | tuple[int, ...] | list[int] | None

REDUCE: dict[str, Any] = {
    "family": "reduce",
    "shape": shapes.reduced,
    "dtype": types.promoted,
    "origin": shapes.reduced_origin,
    "quiet": True,
}


def axes(dim: Any) -> Any:
    """`dim` as NumPy's `axis`."""
    if isinstance(dim, list):
        dim = tuple(dim)
    return None if dim == () else dim


def spread(xp: Any, g: Any, shape: Any, dim: Any, keepdim: bool) -> Any:
    """`g` broadcast back over the dimensions that were reduced."""
    if xp is np and not g.ndim:
        # As NumPy's broadcast_to, which takes ten times as long to find out what it is given.
        made = np.ndarray(shape, g.dtype, np.asarray(g), 0, (0,) * len(shape))
        made.flags.writeable = False
        return made
    if not keepdim:
        dims = shapes.check_dims(dim, len(shape))
        g = xp.reshape(g, tuple(1 if i in dims else size for i, size in enumerate(shape)))
    return xp.broadcast_to(g, shape)


def _sum_dtype(input: Any, **_: Any) -> Any:
    return types.int64 if input.kind in "biu" else np.add.reduce(np.zeros(1, input)).dtype


def _counted(input: Any) -> Any:
    """The type to sum in where NumPy would choose another one: it sums unsigned integers to unsigned ones."""
    return np.int64 if input.dtype.kind == "u" else None


def _sum_vjp(xp: Any, g: Any, out: Any, input: Any, *, dim: Any, keepdim: bool) -> Any:
    return spread(xp, g, input.shape, dim, keepdim)


@op(
    "sum",
    complex=LINEAR,
    **{**REDUCE, "dtype": _sum_dtype},
    onnx="ReduceSum",
    formula="Σ input",
    vjp=_sum_vjp,
)
def SUM(xp: Any, input: Any, *, dim: Any, keepdim: bool) -> Any:
    """Sum."""
    return input.sum(axis=axes(dim), dtype=_counted(input), keepdims=keepdim)


def _count(shape: Any, dim: Any) -> int:
    if dim is None:
        return math.prod(shape)
    total = 1
    for i in shapes.check_dims(dim, len(shape)):
        total *= shape[i]
    return total


def _mean_vjp(xp: Any, g: Any, out: Any, input: Any, *, dim: Any, keepdim: bool) -> Any:
    return spread(xp, g * (1 / builtins.max(_count(input.shape, dim), 1)), input.shape, dim, keepdim)


@op(
    "mean",
    complex=LINEAR,
    **{**REDUCE, "dtype": types.floating},
    onnx="ReduceMean",
    formula="Σ input / n",
    vjp=_mean_vjp,
)
def MEAN(xp: Any, input: Any, *, dim: Any, keepdim: bool) -> Any:
    """Mean; nan of nothing."""
    count = _count(input.shape, dim)
    return input.sum(axis=axes(dim), dtype=_counted(input), keepdims=keepdim) / (count or xp.nan)


def _prod_vjp(xp: Any, g: Any, out: Any, input: Any, *, dim: Any, keepdim: bool) -> Any:
    # The product of all the others, by products from the left and from the right: exact where there are zeros.
    rank = len(input.shape)
    if dim is None:
        flat = xp.reshape(input, (-1,))
        return xp.reshape(g * _others(xp, flat, 0), input.shape)
    d = shapes.check_dim(dim, rank)
    return spread(xp, g, input.shape, d, keepdim) * _others(xp, input, d)


def _others_at_once(x: Any, d: int) -> Any:
    """`_others` of an array of NumPy, by running products: the same ones in the same order."""
    left, right = np.ones_like(x), np.ones_like(x)

    def at(start: Any, stop: Any, step: int = 1) -> tuple[slice, ...]:
        return (*((slice(None),) * d), slice(start, stop, step))

    np.multiply.accumulate(x[at(None, -1)], axis=d, out=left[at(1, None)])
    turned = right[at(None, None, -1)]
    np.multiply.accumulate(x[at(None, 0, -1)], axis=d, out=turned[at(1, None)])
    return np.multiply(left, right, out=left)


def _others(xp: Any, x: Any, d: int) -> Any:
    n = x.shape[d]
    if xp is np and n > 2:
        return _others_at_once(x, d)
    before: list[Any] = []
    left: Any = None
    for i in range(n):
        before.append(left)
        item = x[(slice(None),) * d + (slice(i, i + 1),)]
        left = item if left is None else left * item
    right: Any = None
    result: list[Any] = [None] * n
    for i in range(n - 1, -1, -1):
        item = x[(slice(None),) * d + (slice(i, i + 1),)]
        here = before[i]
        if here is None:
            result[i] = xp.ones_like(item) if right is None else right
        else:
            result[i] = here if right is None else here * right
        right = item if right is None else right * item
    return xp.concatenate(result, axis=d) if n else x


@op(
    "prod",
    complex=HOLOMORPHIC,
    **{**REDUCE, "dtype": _sum_dtype},
    onnx="ReduceProd",
    formula="Π input",
    vjp=_prod_vjp,
    saves=("input",),
)
def PROD(xp: Any, input: Any, *, dim: Any, keepdim: bool) -> Any:
    """Product over one dimension, or all."""
    return input.prod(axis=axes(dim), dtype=_counted(input), keepdims=keepdim)


def _extreme_vjp(xp: Any, g: Any, out: Any, input: Any, *, dim: Any, keepdim: bool) -> Any:
    # Equal extremes share the gradient.
    shape = input.shape
    chosen = (input == spread(xp, out, shape, dim, keepdim)).astype(g.dtype)
    count = xp.sum(chosen, axis=axes(dim), keepdims=True)
    return spread(xp, g, shape, dim, keepdim) * (chosen / count)


@op("amax", **REDUCE, onnx="ReduceMax", formula="max input", vjp=_extreme_vjp, saves=("input", "out"))
def AMAX(xp: Any, input: Any, *, dim: Any, keepdim: bool) -> Any:
    """Largest value; equal ones share the gradient."""
    _not_empty(input, dim)
    return input.max(axis=axes(dim), keepdims=keepdim)


@op("amin", **REDUCE, onnx="ReduceMin", formula="min input", vjp=_extreme_vjp, saves=("input", "out"))
def AMIN(xp: Any, input: Any, *, dim: Any, keepdim: bool) -> Any:
    """Smallest value; equal ones share the gradient."""
    _not_empty(input, dim)
    return input.min(axis=axes(dim), keepdims=keepdim)


def _not_empty(input: Any, dim: Any) -> None:
    if _count(input.shape, dim) == 0:
        raise ArgumentProblem(
            NothingThereError, "there is no extreme of nothing: {0} has no elements there", 0
        )


def _one_dim(input: Any, *, dim: Any, keepdim: bool) -> Any:
    return shapes.reduced(input, dim=dim, keepdim=keepdim)


def _two_dtypes(input: Any, **_: Any) -> Any:
    return input, types.int64


def _two_shapes(input: Any, *, dim: Any, keepdim: bool) -> Any:
    shape = shapes.reduced(input, dim=dim, keepdim=keepdim)
    return shape, shape


def _pick_vjp(xp: Any, g: Any, out: Any, input: Any, *, dim: int, keepdim: bool, indices: Any) -> Any:
    value = g[0]
    if not keepdim:
        value = xp.expand_dims(value, dim)
        indices = indices.reshape(value.shape)
    return put_along(xp, value, indices, input.shape, dim)


def put_along(xp: Any, value: Any, indices: Any, shape: Any, dim: int) -> Any:
    """An array of zeros with `value` at `indices` along `dim`; on Tensors too."""
    if hasattr(value, "node"):
        from engine.ops.gather import scatter_zeros

        return scatter_zeros(value, indices, shape, dim)
    out = xp.zeros(shape, value.dtype)
    xp.put_along_axis(out, indices, value, axis=dim)
    return out


PICK: dict[str, Any] = {
    **REDUCE,
    "shape": _two_shapes,
    "dtype": _two_dtypes,
    "outputs": 2,
    "extras": ("indices",),
    "vjp": _pick_vjp,
}


def _pick(xp: Any, input: Any, where: Any, dim: int, keepdim: bool) -> Any:
    along = xp.expand_dims(where, dim)
    values = xp.take_along_axis(input, along, axis=dim)
    if keepdim:
        return (values, along), along
    return (values.reshape(where.shape), where), along


@op("max", **PICK, formula="max input, and where")
def MAX(xp: Any, input: Any, *, dim: int, keepdim: bool) -> Any:
    """Largest value along `dim` and its index; the first of equal ones gets the gradient."""
    _not_empty(input, dim)
    return _pick(xp, input, xp.asarray(input.argmax(axis=dim)), dim, keepdim)


@op("min", **PICK, formula="min input, and where")
def MIN(xp: Any, input: Any, *, dim: int, keepdim: bool) -> Any:
    """Smallest value along `dim` and its index; the first of equal ones gets the gradient."""
    _not_empty(input, dim)
    return _pick(xp, input, xp.asarray(input.argmin(axis=dim)), dim, keepdim)


def _index_dtype(input: Any, **_: Any) -> Any:
    return types.int64


ARG: dict[str, Any] = {**REDUCE, "shape": _one_dim, "dtype": _index_dtype}


@op("argmax", **ARG, onnx="ArgMax", formula="where input is largest")
def ARGMAX(xp: Any, input: Any, *, dim: Any, keepdim: bool) -> Any:
    """Index of the largest value, the first of equal ones; without `dim` in the flattened input."""
    _not_empty(input, dim)
    return xp.argmax(input, axis=dim, keepdims=keepdim)


@op("argmin", **ARG, onnx="ArgMin", formula="where input is smallest")
def ARGMIN(xp: Any, input: Any, *, dim: Any, keepdim: bool) -> Any:
    """Index of the smallest value, the first of equal ones; without `dim` in the flattened input."""
    _not_empty(input, dim)
    return xp.argmin(input, axis=dim, keepdims=keepdim)


def _var_vjp(xp: Any, g: Any, out: Any, input: Any, *, dim: Any, keepdim: bool, correction: float) -> Any:
    count = _count(input.shape, dim)
    centred = input - xp.mean(input, axis=axes(dim), keepdims=True)
    scale = 2 / (count - correction) if count > correction else float("nan")
    return spread(xp, g, input.shape, dim, keepdim) * (centred * scale)


@op(
    "var",
    **{**REDUCE, "dtype": types.floating},
    formula="Σ (input - mean)² / (n - correction)",
    vjp=_var_vjp,
    saves=("input",),
)
def VAR(xp: Any, input: Any, *, dim: Any, keepdim: bool, correction: float) -> Any:
    """Variance."""
    count = _count(input.shape, dim)
    centred = input - input.mean(axis=axes(dim), keepdims=True)
    total = xp.square(centred).sum(axis=axes(dim), keepdims=keepdim)
    return total / (count - correction if count > correction else 0.0)


def _logsumexp_vjp(xp: Any, g: Any, out: Any, input: Any, *, dim: Any, keepdim: bool) -> Any:
    shape = input.shape
    return spread(xp, g, shape, dim, keepdim) * xp.exp(input - spread(xp, out, shape, dim, keepdim))


@op(
    "logsumexp",
    **{**REDUCE, "dtype": types.floating},
    onnx="ReduceLogSumExp",
    formula="ln Σ e^input",
    vjp=_logsumexp_vjp,
    saves=("input", "out"),
)
def LOGSUMEXP(xp: Any, input: Any, *, dim: Any, keepdim: bool) -> Any:
    """Logarithm of the sum of exponentials, without overflow."""
    # CuPy's maximum takes no first value, which only an empty input needs.
    top = input.max(axis=axes(dim), keepdims=True, **({} if input.size else {"initial": -xp.inf}))
    top = xp.where(xp.isfinite(top), top, 0)
    total = xp.log(xp.exp(input - top).sum(axis=axes(dim), keepdims=True)) + top
    return total if keepdim else xp.reshape(total, shapes.reduced(input.shape, dim=dim))


def _cumsum_vjp(xp: Any, g: Any, out: Any, input: Any, *, dim: int) -> Any:
    return xp.flip(xp.cumsum(xp.flip(g, axis=dim), axis=dim), axis=dim) if g.shape else g


def _along(input: Any, *, dim: int) -> Any:
    shapes.check_dim(dim, len(shapes.sizes(input)))
    return shapes.sizes(input)


@op(
    "cumsum",
    complex=LINEAR,
    **{**REDUCE, "shape": _along, "dtype": _sum_dtype, "origin": shapes.same_origin},
    onnx="CumSum",
    formula="running Σ input",
    vjp=_cumsum_vjp,
)
def CUMSUM(xp: Any, input: Any, *, dim: int) -> Any:
    """Sum of all elements up to each, along `dim`."""
    made = input.cumsum(axis=dim, dtype=_counted(input))
    return made if input.ndim else made.reshape(())  # NumPy makes a vector of a number


def _truth_dtype(input: Any, **_: Any) -> Any:
    return types.bool


@op("any", complex=LINEAR, **{**REDUCE, "dtype": _truth_dtype}, formula="∃ input")
def ANY(xp: Any, input: Any, *, dim: Any, keepdim: bool) -> Any:
    """Whether any element is true (not 0)."""
    return xp.any(input, axis=axes(dim), keepdims=keepdim)


@op("all", complex=LINEAR, **{**REDUCE, "dtype": _truth_dtype}, formula="∀ input")
def ALL(xp: Any, input: Any, *, dim: Any, keepdim: bool) -> Any:
    """Whether all elements are true (not 0)."""
    return xp.all(input, axis=axes(dim), keepdims=keepdim)


# --- the functions people call: `axis` and `keepdims` are NumPy's names of `dim` and `keepdim` ---------


class Extreme(NamedTuple):
    """Values and their indices, as `max` and `min` over a dimension return them."""

    values: Any
    indices: Any


def _typed(input: Any, dtype: Any) -> Any:
    return input if dtype is None else input.to(dtype)


def sum(
    input: Any, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None, axis: Dim = None, keepdims: bool = False
) -> Tensor:  # fmt: skip
    """Sum over `dim` (one, several, or all). Integers and booleans sum to int64."""
    dim = axis if dim is None else dim
    return apply(SUM, (_typed(input, dtype),), {"dim": dim, "keepdim": keepdim or keepdims})  # type: ignore[no-any-return]


def mean(
    input: Any, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None, axis: Dim = None, keepdims: bool = False
) -> Tensor:  # fmt: skip
    """Mean over `dim` (one, several, or all)."""
    dim = axis if dim is None else dim
    return apply(MEAN, (_typed(input, dtype),), {"dim": dim, "keepdim": keepdim or keepdims})  # type: ignore[no-any-return]


def prod(
    input: Any, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None, axis: int | None = None, keepdims: bool = False
) -> Tensor:  # fmt: skip
    """Product over `dim`, or all."""
    dim = axis if dim is None else dim
    return apply(PROD, (_typed(input, dtype),), {"dim": dim, "keepdim": keepdim or keepdims})  # type: ignore[no-any-return]


def amax(
    input: Any, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool = False
) -> Tensor:  # fmt: skip
    """Largest value over `dim` (one, several, or all); equal ones share the gradient."""
    dim = axis if dim is None else dim
    return apply(AMAX, (input,), {"dim": dim, "keepdim": keepdim or keepdims})  # type: ignore[no-any-return]


def amin(
    input: Any, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool = False
) -> Tensor:  # fmt: skip
    """Smallest value over `dim` (one, several, or all); equal ones share the gradient."""
    dim = axis if dim is None else dim
    return apply(AMIN, (input,), {"dim": dim, "keepdim": keepdim or keepdims})  # type: ignore[no-any-return]


def max(
    input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None, axis: Any = None, keepdims: bool = False
) -> Any:  # fmt: skip
    """The largest value of all; over one `dim` a pair (values, indices); of two tensors the larger one."""
    if dim is None:
        dim = axis if other is None else other
    if hasattr(dim, "node") or isinstance(dim, np.ndarray):
        from engine.ops.arithmetic import maximum

        return maximum(input, dim)
    if dim is None:
        return amax(input)
    return Extreme(*apply(MAX, (input,), {"dim": dim, "keepdim": keepdim or keepdims}))


def min(
    input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None, axis: Any = None, keepdims: bool = False
) -> Any:  # fmt: skip
    """The smallest value of all; over one `dim` a pair (values, indices); of two tensors the smaller one."""
    if dim is None:
        dim = axis if other is None else other
    if hasattr(dim, "node") or isinstance(dim, np.ndarray):
        from engine.ops.arithmetic import minimum

        return minimum(input, dim)
    if dim is None:
        return amin(input)
    return Extreme(*apply(MIN, (input,), {"dim": dim, "keepdim": keepdim or keepdims}))


def argmax(
    input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
) -> Tensor:  # fmt: skip
    """Index of the largest value along `dim`, or in the flattened input."""
    dim = axis if dim is None else dim
    return apply(ARGMAX, (input,), {"dim": dim, "keepdim": keepdim or keepdims})  # type: ignore[no-any-return]


def argmin(
    input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
) -> Tensor:  # fmt: skip
    """Index of the smallest value along `dim`, or in the flattened input."""
    dim = axis if dim is None else dim
    return apply(ARGMIN, (input,), {"dim": dim, "keepdim": keepdim or keepdims})  # type: ignore[no-any-return]


def var(
    input: Any,
    dim: Dim = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    axis: Dim = None,
    keepdims: bool = False,
) -> Tensor:
    """Variance over `dim`, divided by n - 1 (`correction=0`: by n)."""
    by = (1 if unbiased else 0) if correction is None else correction
    dim = axis if dim is None else dim
    if is_complex(input):
        return var(input.real, dim, keepdim=keepdim or keepdims, correction=by) + var(
            input.imag, dim, keepdim=keepdim or keepdims, correction=by
        )
    return apply(VAR, (input,), {"dim": dim, "keepdim": keepdim or keepdims, "correction": by})  # type: ignore[no-any-return]


def std(
    input: Any,
    dim: Dim = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    axis: Dim = None,
    keepdims: bool = False,
) -> Tensor:
    """Standard deviation: the square root of `var`."""
    from engine.ops.arithmetic import root

    dim = axis if dim is None else dim
    return root(var(input, dim, unbiased, keepdim or keepdims, correction=correction))


def logsumexp(input: Any, dim: Dim, keepdim: bool = False) -> Tensor:
    """`log(sum(exp(input)))` over `dim`, without overflow."""
    if is_complex(input):
        from engine.ops.exponential import exp, log

        top = amax(input.real.detach(), dim, True)
        found = log(sum(exp(input - top), dim, True)) + top
        return found if keepdim else found.reshape(shapes.reduced(input.shape, dim=dim))
    return apply(LOGSUMEXP, (input,), {"dim": dim, "keepdim": keepdim})  # type: ignore[no-any-return]


def cumsum(input: Any, dim: int, *, dtype: Any = None) -> Tensor:
    """Sum of all elements up to each, along `dim`."""
    return apply(CUMSUM, (_typed(input, dtype),), {"dim": dim})  # type: ignore[no-any-return]


def any(
    input: Any, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool = False
) -> Tensor:  # fmt: skip
    """Whether any element is true (not 0)."""
    dim = axis if dim is None else dim
    return apply(ANY, (input,), {"dim": dim, "keepdim": keepdim or keepdims})  # type: ignore[no-any-return]


def all(
    input: Any, dim: Dim = None, keepdim: bool = False, *, axis: Dim = None, keepdims: bool = False
) -> Tensor:  # fmt: skip
    """Whether all elements are true (not 0)."""
    dim = axis if dim is None else dim
    return apply(ALL, (input,), {"dim": dim, "keepdim": keepdim or keepdims})  # type: ignore[no-any-return]
