"""RAdam."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from engine.backend import namespace
from engine.optim.optimizer import Optimizer, at_least_zero, betas_of, known_hints, leaned, update_op

RADAM_OP = update_op(
    "radam",
    "as adam with the step rectified by r(t) once the variance is known well (ρₜ > 5), p = p - lr m/(1-β₁ᵗ) before",
    "Liu et al. 2020, On the variance of the adaptive learning rate and beyond, algorithm 2",
)


class RAdam(Optimizer):
    """Adam that needs no warm-up; options are PyTorch's."""

    op = RADAM_OP
    counted = True

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, decoupled_weight_decay: bool = False, *, maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        known_hints(hints)
        options = at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
        more = {"decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize}
        super().__init__(params, {**options, "betas": betas_of(betas), **more})

    def update(self, parameter: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of one parameter."""
        xp = namespace(parameter)
        gradient = leaned(parameter, gradient, group)
        if not state:
            state["step"] = 0
            state["exp_avg"] = xp.zeros_like(parameter)
            state["exp_avg_sq"] = xp.zeros_like(parameter)
        beta1, beta2 = group["betas"]
        state["step"] += 1
        step = state["step"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean += (gradient - mean) * (1 - beta1)
        square *= beta2
        square += gradient * gradient * (1 - beta2)
        known = 1 - beta2**step
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * beta2**step / known
        change = mean / (1 - beta1**step) * group["lr"]
        if length > 5.0:
            rectified = math.sqrt(
                (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            )
            change = change * (math.sqrt(known) * rectified) / (xp.sqrt(square) + group["eps"])
        parameter -= change
