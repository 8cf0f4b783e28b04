"""NAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from engine.backend import namespace
from engine.optim.optimizer import Optimizer, at_least_zero, betas_of, known_hints, leaned, update_op

NADAM_OP = update_op(
    "nadam",
    "as adam, with Nesterov's momentum: μₜ = β₁(1 - 0.96^(tψ)/2), and the step takes m of the next t",
    "Dozat 2016, Incorporating Nesterov momentum into Adam",
)


class NAdam(Optimizer):
    """Adam with Nesterov's momentum; options are PyTorch's."""

    op = NADAM_OP
    counted = True

    def __init__(
        self, params: Iterable[Any], lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False,
        *, maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        known_hints(hints)
        options = at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        more = {"decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize}
        super().__init__(params, {**options, "betas": betas_of(betas), **more})

    def update(self, parameter: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of one parameter."""
        xp = namespace(parameter)
        gradient = leaned(parameter, gradient, group)
        if not state:
            state["step"] = 0
            state["mu_product"] = 1.0
            state["exp_avg"] = xp.zeros_like(parameter)
            state["exp_avg_sq"] = xp.zeros_like(parameter)
        beta1, beta2 = group["betas"]
        state["step"] += 1
        step, decay, lr = state["step"], group["momentum_decay"], group["lr"]
        now = beta1 * (1.0 - 0.5 * 0.96 ** (step * decay))
        then = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * decay))
        state["mu_product"] = float(np.float32(state["mu_product"] * np.float32(now)))  # a float32 in PyTorch
        product = state["mu_product"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean += (gradient - mean) * (1 - beta1)
        square *= beta2
        square += gradient * gradient * (1 - beta2)
        spread = xp.sqrt(square / (1 - beta2**step)) + group["eps"]
        parameter -= gradient / spread * (lr * (1.0 - now) / (1.0 - product))
        parameter -= mean / spread * (lr * then / (1.0 - product * then))
