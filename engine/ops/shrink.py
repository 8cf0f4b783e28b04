"""Activations with a threshold, and ones that draw random numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine import random
from engine.dispatch import apply
from engine.located import located
from engine.ops.activation import softmax, tanh
from engine.ops.arithmetic import abs, clamp, mul, neg, sub
from engine.ops.comparison import where
from engine.ops.exponential import log
from engine.ops.inplace import over
from engine.ops.noise import RAND

if TYPE_CHECKING:
    from engine.tensor import Tensor

__all__ = [
    "alpha_dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout", "gumbel_softmax", "hardshrink",
    "rrelu", "softmin", "softshrink", "tanhshrink", "threshold",
]  # fmt: skip


def softmin(input: Any, dim: int | None = None) -> Tensor:
    """`softmax(-input)`."""
    return softmax(neg(input), dim)


def tanhshrink(input: Any) -> Tensor:
    """`input - tanh(input)`."""
    return sub(input, tanh(input))


def hardshrink(input: Any, lambd: float = 0.5) -> Tensor:
    """`input` where it is more than `lambd` from 0, else 0."""
    return where(abs(input.detach()) > lambd, input, 0.0)  # type: ignore[no-any-return]


def softshrink(input: Any, lambd: float = 0.5) -> Tensor:
    """`input` moved towards 0 by `lambd`, 0 where it would pass it. Raises `ValueError` for a negative `lambd`."""
    if lambd < 0:
        raise located(ValueError(f"lambd has to be 0 or more, got {lambd}"))
    return sub(input, clamp(input, -lambd, lambd))


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """`input` where it is above `threshold`, else `value`."""
    return over(input, _above, threshold, value) if inplace else _above(input, threshold, value)


def _above(input: Any, limit: float, value: float) -> Any:
    return where(input > limit, input, float(value))


_above.__name__ = "threshold"  # as messages call it


def rrelu(
    input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """Leaky ReLU whose slope is drawn between `lower` and `upper` while `training`, else the mean of the two."""
    if inplace:
        return over(input, rrelu, lower, upper, training)
    slope: Any = (lower + upper) / 2
    if training:
        slope = _uniform(input.shape, input) * (upper - lower) + lower
    return where(input >= 0, input, mul(input, slope))  # type: ignore[no-any-return]


def _uniform(shape: Any, like: Any, generator: Any = None) -> Any:
    """Uniform numbers of the dtype and device of `like`, drawn as a node that can be drawn again."""
    size = int(np.prod(shape, dtype=np.int64))
    seed, counter = random.draw(size, generator)
    attrs = {"shape": tuple(shape), "dtype": like.dtype.name, "seed": seed, "counter": counter}
    return apply(RAND, (), attrs).to(device=like.device)


def gumbel_softmax(
    logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A random choice along `dim` that has a gradient (Jang et al. 2017); `hard` gives one-hot rows in the value.

    The smaller `tau`, the nearer to a choice.
    """
    drawn = _uniform(logits.shape, logits)
    noise = -log(-log(drawn.clamp(min=float(np.finfo(logits.dtype).tiny))).clamp(min=1e-7))
    soft = softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    chosen = soft.detach() == soft.detach().amax(dim, keepdim=True)
    return chosen.to(logits.dtype) - soft.detach() + soft


def _channels(input: Any, p: float, training: bool, rank: int, name: str) -> Tensor:
    if not 0 <= p <= 1:
        raise located(ValueError(f"p is a probability from 0 to 1, got {p}"))
    if len(input.shape) not in (rank + 1, rank + 2):
        raise located(
            ValueError(
                f"{name} needs {rank + 2} dimensions, or {rank + 1} for one sample, got {list(input.shape)}"
            )
        )
    if not training or p == 0:
        return input  # type: ignore[no-any-return]
    lead = input.shape[: len(input.shape) - rank]
    kept = (_uniform((*lead, *(1,) * rank), input) >= p).to(input.dtype)
    return mul(input, kept * (1 / (1 - p) if p < 1 else 0.0))


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Whole channels of [batch, channels, length] become 0 with probability `p`."""
    if inplace and training and p:
        return over(input, dropout1d, p, training)
    return _channels(input, p, training, 1, "dropout1d")


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Whole channels of [batch, channels, height, width] become 0 with probability `p`."""
    if inplace and training and p:
        return over(input, dropout2d, p, training)
    return _channels(input, p, training, 2, "dropout2d")


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Whole channels of [batch, channels, depth, height, width] become 0 with probability `p`."""
    if inplace and training and p:
        return over(input, dropout3d, p, training)
    return _channels(input, p, training, 3, "dropout3d")


def _self_normalising(input: Any, p: float, shape: Any) -> Tensor:
    """Dropped elements take selu's limit, and all are scaled so that mean 0 and variance 1 stay (Klambauer 2017)."""
    limit = -1.7580993408473766
    kept = _uniform(shape, input) >= p
    scale = ((1 - p) * (1 + p * limit**2)) ** -0.5 if p < 1 else 0.0
    return where(kept, input, limit) * scale - scale * p * limit  # type: ignore[no-any-return]


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that goes with `selu`: mean and variance stay."""
    if inplace and training and p:
        return over(input, alpha_dropout, p, training)
    if not 0 <= p <= 1:
        raise located(ValueError(f"p is a probability from 0 to 1, got {p}"))
    return _self_normalising(input, p, input.shape) if training and p else input


def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels."""
    if inplace and training and p:
        return over(input, feature_alpha_dropout, p, training)
    if not 0 <= p <= 1:
        raise located(ValueError(f"p is a probability from 0 to 1, got {p}"))
    shape = (*input.shape[:2], *(1,) * (len(input.shape) - 2))
    return _self_normalising(input, p, shape) if training and p else input
