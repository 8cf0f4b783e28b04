"""How far two tensors are from each other, and lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import namespace
from engine.located import located
from engine.ops import reduction as reducing
from engine.ops.arithmetic import abs, clamp, div, maximum, mul, sqrt, square, sub
from engine.ops.cast import cast
from engine.ops.comparison import eq, gt, where
from engine.ops.exponential import exp, log
from engine.ops.length import norm
from engine.ops.loss import mean_or_sum

if TYPE_CHECKING:
    from engine.tensor import Tensor


def huber_loss(
    input: Any, target: Any, reduction: str = "mean", weight: Any = None, delta: float = 1.0
) -> Tensor:
    """`d² / 2` where the difference d is at most `delta`, `delta (|d| - delta / 2)` beyond.

    Raises `ValueError` unless `delta` is positive.
    """
    if delta <= 0:
        raise located(ValueError(f"delta has to be positive, got {delta}"))
    size = abs(sub(input, target))
    near = clamp(size, max=delta)
    loss = mul(near, size - near * 0.5)
    return mean_or_sum(loss if weight is None else loss * weight, reduction)  # type: ignore[no-any-return]


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """`huber_loss` with `delta=beta`, divided by `beta`; for `beta` 0 the absolute difference."""
    if beta == 0:
        return mean_or_sum(abs(sub(input, target)), reduction)  # type: ignore[no-any-return]
    return div(huber_loss(input, target, reduction, delta=beta), beta)


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """`target (log(target) - input)`: `input` holds log probabilities, `target` probabilities or their logarithms.

    `reduction` "batchmean" divides the sum by the size of dimension 0: the Kullback-Leibler divergence itself.
    """
    if log_target:
        loss = mul(exp(target), sub(target, input))
    else:
        # Nothing is expected of what never happens: 0 log 0 is 0, in the value and in the gradient.
        here = gt(target, 0)
        safe = where(here, target, 1.0)
        loss = sub(where(here, mul(safe, log(safe)), 0.0), mul(target, input))
    if reduction == "batchmean":
        return div(reducing.sum(loss), max(1, input.shape[0]))
    return mean_or_sum(loss, reduction)  # type: ignore[no-any-return]


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between `x1` and `x2` along `dim`; each length counts as `eps` at least."""
    product = reducing.sum(mul(x1, x2), dim)
    lengths = [clamp(sqrt(reducing.sum(square(x), dim)), min=eps) for x in (x1, x2)]
    return div(product, mul(lengths[0], lengths[1]))


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """`input` divided by its `p`-norm along `dim`, or by `eps` where that is less."""
    return div(input, clamp(norm(input, p, dim, True), min=eps))


def one_hot(tensor: Any, num_classes: int = -1) -> Tensor:
    """Rows of zeros with a 1 at the place that each number names; int64.

    Raises `ValueError` for a number below 0, or too large for `num_classes`.
    """
    from engine.tensor import Tensor

    raw = tensor.array
    least, most = (int(raw.min()), int(raw.max())) if raw.size else (0, -1)
    classes = most + 1 if num_classes == -1 else num_classes
    if least < 0 or most >= classes:
        raise located(
            ValueError(f"the numbers go from {least} to {most}, but the classes are 0 to {classes - 1}")
        )
    places = Tensor(namespace(raw).arange(classes), role="constant")
    return cast(eq(tensor.unsqueeze(-1), places), dtype=np.int64)


def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """`max(0, -target (input1 - input2) + margin)`, with `target` 1 or -1."""
    return mean_or_sum(maximum(mul(sub(input2, input1), target) + margin, 0.0), reduction)  # type: ignore[no-any-return]
