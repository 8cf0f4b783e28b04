"""Losses beyond the usual ones: margins, likelihoods, embeddings, and connectionist temporal classification."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.located import located
from engine.ops import reduction
from engine.ops.activation import softplus
from engine.ops.arithmetic import clamp, div, minimum, mul, square, sub
from engine.ops.comparison import where
from engine.ops.distance import cosine_similarity
from engine.ops.exponential import exp, log
from engine.ops.gates import logsigmoid
from engine.ops.gather import gather
from engine.ops.indexing import getitem
from engine.ops.loss import mean_or_sum
from engine.ops.statistics import pairwise_distance

if TYPE_CHECKING:
    from engine.tensor import Tensor

# What `reduction` may say is checked by `mean_or_sum`.
_take = mean_or_sum

__all__ = [
    "cosine_embedding_loss", "gaussian_nll_loss", "hinge_embedding_loss", "multi_margin_loss",
    "multilabel_margin_loss", "multilabel_soft_margin_loss", "poisson_nll_loss", "soft_margin_loss",
    "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """`1 - cos` where `target` is 1, `max(0, cos - margin)` where it is -1."""
    cos = cosine_similarity(input1, input2, -1)
    return _take(where(target > 0, 1 - cos, clamp(cos - margin, min=0.0)), reduction)  # type: ignore[no-any-return]


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """`input` where `target` is 1, `max(0, margin - input)` where it is -1."""
    return _take(where(target > 0, input, clamp(margin - input, min=0.0)), reduction)  # type: ignore[no-any-return]


def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """`log(1 + exp(-target · input))` with `target` 1 or -1."""
    return _take(softplus(-mul(target, input), threshold=1e9), reduction)  # type: ignore[no-any-return]


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Tensor:
    """By how much other classes come nearer than `margin` to the right one: scores [N, C], class numbers [N]."""
    right = gather(input, 1, target.unsqueeze(1))
    over = clamp(margin - right + input, min=0.0)
    over = over if p == 1 else square(over)
    if weight is not None:
        over = over * weight[target].unsqueeze(1)
    other = np.arange(input.shape[1]) != target.detach().cpu().array[:, None]
    return _take(reduction_sum(where(other, over, 0.0), 1) / input.shape[1], reduction)  # type: ignore[no-any-return]


def reduction_sum(x: Any, dim: Any) -> Any:
    """`sum`, where `reduction` is the name of an argument."""
    return reduction.sum(x, dim)


def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """As `multi_margin_loss` for several right classes: `target` [N, C] lists them, ended by -1."""
    single = len(input.shape) == 1
    x = input.unsqueeze(0) if single else input
    raw = np.atleast_2d(target.detach().cpu().array)
    # Of each row the classes before the first -1 count.
    listed = np.logical_and.accumulate(raw >= 0, axis=1)
    most = int(listed.sum(1).max(initial=0))
    listed, right = listed[:, :most], np.where(listed, raw, 0)[:, :most].astype(np.int64)
    rows = np.arange(len(raw))[:, None]
    wrong = np.ones(tuple(x.shape), bool)
    wrong[np.broadcast_to(rows, listed.shape)[listed], right[listed]] = False
    apart = 1 - (getitem(x, (rows, right)).unsqueeze(2) - x.unsqueeze(1))
    counted = listed[:, :, None] & wrong[:, None, :]
    made = reduction_sum(where(counted, clamp(apart, min=0.0), 0.0), (1, 2)) / x.shape[1]
    return _take(made.squeeze(0) if single else made, reduction)  # type: ignore[no-any-return]


def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Tensor:
    """The mean over classes of binary cross entropies of scores with 0 or 1."""
    loss = -(mul(target, logsigmoid(input)) + mul(1 - target, logsigmoid(-input)))
    if weight is not None:
        loss = loss * weight
    return _take(loss.mean(-1), reduction)  # type: ignore[no-any-return]


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Negative log likelihood of counts under Poisson rates, or their logarithms; `full` adds Stirling's term."""
    loss = exp(input) - mul(target, input) if log_input else sub(input, mul(target, log(input + eps)))
    if full:
        safe = where(target > 1, target, 1.0)
        stirling = safe * log(safe) - safe + 0.5 * log(2 * math.pi * safe)
        loss = loss + where(target > 1, stirling, 0.0)
    return _take(loss, reduction)  # type: ignore[no-any-return]


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """Negative log likelihood of `target` under normal distributions; the variance counts as `eps` at least.

    Raises `ValueError` for a negative variance.
    """
    from engine.tensor import beside

    if not hasattr(var, "node"):
        var = beside(input, np.full(input.shape, var, input.dtype))
    if bool((var.array < 0).any()):
        raise located(ValueError("var has to be 0 or more everywhere"))
    if var.shape != input.shape and var.shape == input.shape[:-1]:
        var = var.unsqueeze(-1)
    # As PyTorch: where the variance is held, it takes its gradient nevertheless.
    held = var + (clamp(var.detach(), min=eps) - var.detach())
    loss = (log(held) + div(square(sub(input, target)), held)) * 0.5
    return _take(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)  # type: ignore[no-any-return]


def triplet_margin_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2, eps: float = 1e-6,
    swap: bool = False, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`max(0, d(anchor, positive) - d(anchor, negative) + margin)` (Balntas et al. 2016)."""
    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=lambda a, b: pairwise_distance(a, b, p, eps),
        margin=margin, swap=swap, reduction=reduction,
    )  # fmt: skip


def triplet_margin_with_distance_loss(
    anchor: Any, positive: Any, negative: Any, *, distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0, swap: bool = False, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`triplet_margin_loss` with a distance of one's own."""
    distance = distance_function or pairwise_distance
    far = distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return _take(clamp(distance(anchor, positive) - far + margin, min=0.0), reduction)  # type: ignore[no-any-return]
