"""The ops under NumPy's names: the `xp` that gradient rules are given to run on Tensors.

A rule written once against `xp` gives gradients of arrays with numpy or cupy, and gradients that can be
differentiated again with this module. Only what the rules use is here.
"""

from __future__ import annotations

from typing import Any

from engine.backend import namespace
from engine.ops import layout, reduction
from engine.ops.activation import relu, tanh
from engine.ops.arithmetic import abs, maximum, minimum, sign, sqrt, square
from engine.ops.arithmetic import abs as absolute
from engine.ops.arithmetic import floor_divide as floor_divide
from engine.ops.comparison import where
from engine.ops.complex import conj, imag, real
from engine.ops.exponential import erf, exp, expm1, log, log1p
from engine.ops.trigonometric import cos, cosh, sin, sinh
from engine.tensor import Tensor

nan = float("nan")

__all__ = [
    "abs", "absolute", "broadcast_to", "concatenate", "conj", "cos", "cosh", "cumsum", "erf", "exp", "expand_dims",
    "expm1", "flip", "floor_divide", "imag", "log", "log1p", "maximum", "mean", "minimum", "nan", "ones_like", "real",
    "relu", "reshape", "sign", "sin", "sinh", "sqrt", "square", "stack", "sum", "swapaxes", "tanh", "transpose", "where",
    "zeros", "zeros_like",
]  # fmt: skip


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Sum over `axis`; over no axes it is `x` itself."""
    return x if axis == () else reduction.sum(x, axis, keepdims)


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Mean over `axis`."""
    return reduction.mean(x, axis, keepdims)


def cumsum(x: Any, axis: int) -> Any:
    """Running sum along `axis`."""
    return reduction.cumsum(x, axis)


def flip(x: Any, axis: Any) -> Any:
    """Reverse order along `axis`."""
    return layout.flip(x, axis)


def reshape(x: Any, shape: Any) -> Any:
    """Another shape."""
    return layout.reshape(x, shape)


def broadcast_to(x: Any, shape: Any) -> Any:
    """Repeated to `shape`."""
    return layout.expand(x, *shape)


def transpose(x: Any, axes: Any) -> Any:
    """Dimensions in another order."""
    return layout.permute(x, axes)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Two dimensions exchanged."""
    return layout.transpose(x, axis1, axis2)


def expand_dims(x: Any, axis: int) -> Any:
    """A new dimension of size 1."""
    return layout.unsqueeze(x, axis)


def concatenate(arrays: Any, axis: int) -> Any:
    """Joined along a dimension they have."""
    return layout.cat(arrays, axis)


def stack(arrays: Any, axis: int) -> Any:
    """Joined along a new dimension."""
    return layout.stack(arrays, axis)


def zeros(shape: Any, dtype: Any) -> Any:
    """Zeros, a constant of the gradient."""
    import numpy as np

    return Tensor(np.zeros(shape, dtype), role="constant")


def zeros_like(x: Any) -> Any:
    """Zeros, a constant of the gradient."""
    raw = getattr(x, "array", x)
    return Tensor(namespace(raw).zeros_like(raw), role="constant")


def ones_like(x: Any) -> Any:
    """Ones, a constant of the gradient."""
    raw = getattr(x, "array", x)
    return Tensor(namespace(raw).ones_like(raw), role="constant")
