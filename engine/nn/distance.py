"""Losses and likenesses made of `engine.ops.distance`, as modules."""

from __future__ import annotations

from typing import Any

from engine.module import Module
from engine.ops import distance
from engine.tensor import Tensor


class HuberLoss(Module):
    """Squared near 0, straight beyond `delta`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        self.reduction, self.delta = reduction, delta

    def forward(self, input: Any, target: Any) -> Tensor:
        """The loss, a scalar unless `reduction` is "none"."""
        return distance.huber_loss(input, target, self.reduction, delta=self.delta)


class SmoothL1Loss(Module):
    """`HuberLoss` divided by `beta`."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        self.reduction, self.beta = reduction, beta

    def forward(self, input: Any, target: Any) -> Tensor:
        """The loss, a scalar unless `reduction` is "none"."""
        return distance.smooth_l1_loss(input, target, self.reduction, self.beta)


class KLDivLoss(Module):
    """Kullback-Leibler divergence of probabilities from log probabilities."""

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        self.reduction, self.log_target = reduction, log_target

    def forward(self, input: Any, target: Any) -> Tensor:
        """The loss, a scalar unless `reduction` is "none"."""
        return distance.kl_div(input, target, self.reduction, self.log_target)


class MarginRankingLoss(Module):
    """max(0, -target (input1 - input2) + margin)."""

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        self.margin, self.reduction = margin, reduction

    def forward(self, input1: Any, input2: Any, target: Any) -> Tensor:
        """The loss, a scalar unless `reduction` is "none"."""
        return distance.margin_ranking_loss(input1, input2, target, self.margin, self.reduction)


class CosineSimilarity(Module):
    """The cosine of the angle along `dim`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim, self.eps = dim, eps

    def forward(self, x1: Any, x2: Any) -> Tensor:
        """The inputs' shape without `dim`."""
        return distance.cosine_similarity(x1, x2, self.dim, self.eps)
