"""Matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype, pool, shapes
from engine.dispatch import apply, binary
from engine.dnn import product as fast
from engine.dnn.library import library
from engine.dnn.loop import sum_rows
from engine.errors import ArgumentError, shape_text
from engine.located import located
from engine.op import HOLOMORPHIC, op
from engine.pending import put_off

if TYPE_CHECKING:
    from engine.tensor import Tensor


def product(xp: Any, a: Any, b: Any, out: Any = None) -> Any:
    """`a @ b`, into `out` where it is given and fits.

    NumPy has no fast product of float16 or bfloat16, and its sums would lose digits: float32 serves.
    """
    if xp is not np:
        if xp.__name__ == "cupy":
            from engine.gpu import product as gpu

            if (fast := gpu.product(a, b, out)) is not None:
                return fast
        return a @ b if out is None else xp.matmul(a, b, out=out)
    if a.dtype.char in "eE" and a.dtype == b.dtype:  # E: bfloat16, as ml_dtypes has it
        made = np.matmul(a.astype(np.float32), b.astype(np.float32)).astype(a.dtype)
        if out is None:
            return made
        out[...] = made
        return out
    return pool.matmul(a, b, out) if b.ndim == 2 else pool.stacked(a, b)


# Rows and elements of a weight between which the transposed product is faster (measured on OpenBLAS 0.3).
FEW, LARGE = 32, 1 << 16


def _swap(x: Any) -> Any:
    return x.swapaxes(-1, -2)


def _times(xp: Any, a: Any, b: Any) -> Any:
    return product(xp, a, b) if xp.__name__ == "cupy" else a @ b


def _matmul_vjp(xp: Any, g: Any, out: Any, input: Any, other: Any) -> Any:
    # A vector is a matrix of one row (left) or one column (right); the engine sums over broadcast dimensions.
    # Which of the two are vectors shows in the ranks, but only one of them may have been saved.
    to_input = to_other = None
    if other is not None:
        if other.ndim == 1:
            to_input = g[..., None] * other
        elif g.ndim < other.ndim:  # the input was a vector
            to_input = xp.sum(
                _times(xp, g[..., None, :], _swap(other))[..., 0, :], axis=tuple(range(other.ndim - 2))
            )
        else:
            to_input = product(xp, g, _swap(other))
    if input is not None:
        if input.ndim == 1:
            to_other = g * input if g.ndim == 0 else input[:, None] * g[..., None, :]
        elif g.ndim < input.ndim:  # the other was a vector
            to_other = xp.sum(_times(xp, _swap(input), g[..., :, None]), axis=tuple(range(input.ndim - 2)))[
                ..., 0
            ]
        else:
            to_other = put_off(xp, input, g) if input.ndim == g.ndim == 2 else None
            if xp is np and other is not None and other.ndim == 2 < input.ndim:
                # One product of many rows instead of many that are summed.
                rows = input.reshape(-1, input.shape[-1])
                to_other = product(xp, rows.T, g.reshape(-1, g.shape[-1]))
            if to_other is None:
                to_other = product(xp, _swap(input), g)
    return to_input, to_other


@op(
    "matmul",
    complex=HOLOMORPHIC,
    family="linear",
    shape=shapes.matmul,
    dtype=dtype.promoted,
    origin=shapes.matmul_origin,
    broadcasts=True,
    ufunc="matmul",
    onnx="MatMul",
    formula="input @ other",
    vjp=_matmul_vjp,
    saves=("input", "other"),
    saved_for={"input": ("other",), "other": ("input",)},
)
def MATMUL(xp: Any, input: Any, other: Any) -> Any:
    """Matrix product, batched over leading dimensions."""
    if xp is not np:
        from engine.gpu import product as gpu

        if (fast := gpu.product(input, other)) is not None:
            return fast
    return xp.matmul(input, other)


MATMUL.on_numpy = fast.plain


def linear_vjp(xp: Any, g: Any, out: Any, input: Any, weight: Any, bias: Any) -> Any:
    """The gradients of input, weight and bias; None for those that are not needed."""
    to_input = None if weight is None else product(xp, g, weight)
    rows = g if g.ndim == 2 else g.reshape(-1, g.shape[-1])
    to_weight = to_bias = None
    if input is not None:
        inputs = input if input.ndim == 2 else input.reshape(-1, input.shape[-1])
        to_weight = put_off(xp, rows, inputs)
        if to_weight is None:
            to_weight = product(xp, rows.T, inputs)
    if bias is not None and bias.requires:
        to_bias = rows[0] if rows.shape[0] == 1 else sum_rows(rows)
    return to_input, to_weight, to_bias


@op(
    "linear",
    complex=HOLOMORPHIC,
    family="linear",
    shape=shapes.linear,
    dtype=dtype.promoted,
    origin=shapes.linear_origin,
    onnx="Gemm",
    formula="input @ weight.T + bias",
    vjp=linear_vjp,
    saves=("input", "weight"),
    saved_for={"input": ("weight",), "weight": ("input",)},
)
def LINEAR(xp: Any, input: Any, weight: Any, bias: Any) -> Any:
    """Each row of `in` features becomes a row of `out` features."""
    if bias is not None and bias.shape != weight.shape[:1]:
        shapes.linear(input.shape, weight.shape, bias.shape)
    if weight.size >= LARGE and xp is np and turns(input, weight):
        turned = fast.plain(weight, input.T).T
        return np.ascontiguousarray(turned) if bias is None else np.add(turned, bias, order="C")
    out = product(xp, input, weight.T)
    if bias is None:
        return out
    if out.ndim and out.dtype == bias.dtype:
        if xp is not np:
            from engine.gpu import elementwise as gpu

            if gpu.add_bias(out, bias):
                return out
        out += bias
        return out
    return out + bias


def mapped(xp: Any, input: Any, weight: Any) -> Any:
    """A function `f(input, out)` that gives `input @ weight.T` for inputs like this one.

    Possibly in `out`, possibly the other way round in memory.
    """
    turned = weight.T
    if weight.size >= LARGE and xp is np and turns(input, weight):
        return lambda x, out: fast.plain(weight, x.T).T
    if xp is np and input.dtype.char in "fd":
        multiply = pool.times(input, turned)
        return lambda x, out: (multiply(x, turned, out), out)[1]
    return lambda x, out: product(xp, x, turned, out)


def turns(input: Any, weight: Any) -> bool:
    """Whether the transposed product is faster: with few rows and a large weight it copies the rows, not the weight."""
    return bool(
        input.ndim == 2
        and 2 <= input.shape[0] <= FEW
        and weight.dtype == input.dtype
        and input.dtype.char != "e"
        and not (fast.worth(input, weight.T) and library())
    )


def matmul(input: Any, other: Any) -> Tensor:
    """Matrix product: [..., n, k] @ [..., k, m] gives [..., n, m], leading dimensions broadcast.

    A vector on the left is a row, on the right a column, and the dimension disappears.
    Raises `ShapeMismatchError` where the inner sizes differ.
    """
    return binary(MATMUL, input, other)


def rmatmul(input: Any, other: Any) -> Tensor:
    """`other @ input`."""
    return apply(MATMUL, (other, input))  # type: ignore[no-any-return]


def _ranks(name: str, rank: int, input: Any, mat2: Any) -> None:
    if len(input.shape) != rank or len(mat2.shape) != rank:
        raise located(
            ArgumentError(
                f"{name} needs two tensors of {rank} dimensions, got {shape_text(input.shape)} and "
                f"{shape_text(mat2.shape)}; matmul takes any"
            )
        )


def mm(input: Any, mat2: Any) -> Tensor:
    """Product of two matrices. Raises `ValueError` for tensors of other ranks."""
    _ranks("mm", 2, input, mat2)
    return binary(MATMUL, input, mat2)


def bmm(input: Any, mat2: Any) -> Tensor:
    """Product of two batches of matrices, [batch, n, k] and [batch, k, m].

    Raises `ValueError` for tensors of other ranks, or batches of two sizes.
    """
    _ranks("bmm", 3, input, mat2)
    if input.shape[0] != mat2.shape[0]:
        raise located(
            ValueError(
                f"bmm needs batches of one size, got {shape_text(input.shape)} and {shape_text(mat2.shape)}"
            )
        )
    return binary(MATMUL, input, mat2)


def linear(input: Any, weight: Any, bias: Any = None) -> Tensor:
    """`input @ weight.T + bias`: [..., in] with `weight` [out, in] and `bias` [out] gives [..., out].

    One row of weights [in] gives [...].
    """
    if len(weight.shape) == 1:
        made = matmul(input, weight)
        return made if bias is None else made + bias
    return apply(LINEAR, (input, weight, bias))  # type: ignore[no-any-return]
