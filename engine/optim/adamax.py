"""Adamax."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.backend import namespace
from engine.optim.optimizer import Optimizer, at_least_zero, betas_of, known_hints, leaned, update_op

ADAMAX_OP = update_op(
    "adamax",
    "m = β₁m + (1-β₁)g;  u = max(β₂u, |g| + eps);  p = p - lr m / ((1-β₁ᵗ) u)",
    "Kingma and Ba 2015, Adam, algorithm 2",
)


class Adamax(Optimizer):
    """Adam with the largest gradient of the past in place of the root of the mean square; options are PyTorch's."""

    op = ADAMAX_OP
    counted = True

    def __init__(
        self, params: Iterable[Any], lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, *, maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        known_hints(hints)
        options = at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
        super().__init__(params, {**options, "betas": betas_of(betas), "maximize": maximize})

    def update(self, parameter: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of one parameter."""
        xp = namespace(parameter)
        gradient = leaned(parameter, gradient, group)
        if not state:
            state["step"] = 0
            state["exp_avg"] = xp.zeros_like(parameter)
            state["exp_inf"] = xp.zeros_like(parameter)
        beta1, beta2 = group["betas"]
        state["step"] += 1
        mean, largest = state["exp_avg"], state["exp_inf"]
        mean += (gradient - mean) * (1 - beta1)
        largest *= beta2
        xp.maximum(largest, xp.abs(gradient) + group["eps"], out=largest)
        parameter -= mean / largest * (group["lr"] / (1 - beta1 ** state["step"]))
