"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.backend import namespace
from engine.optim.optimizer import Optimizer, at_least_zero, known_hints, leaned, update_op

RMSPROP_OP = update_op(
    "rmsprop",
    "v = α v + (1-α) g²;  p = p - lr g / (√v + eps)",
    "Tieleman and Hinton 2012, Lecture 6.5, Coursera: Neural networks for machine learning",
)


class RMSprop(Optimizer):
    """The gradient divided by a running root of its mean square; `centered` subtracts the mean first."""

    op = RMSPROP_OP

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
        **hints: Any,
    ) -> None:
        known_hints(hints)
        options = at_least_zero(lr=lr, momentum=momentum, alpha=alpha, eps=eps, weight_decay=weight_decay)
        super().__init__(params, {**options, "centered": centered, "maximize": maximize})

    def update(self, parameter: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of one parameter."""
        xp = namespace(parameter)
        gradient = leaned(parameter, gradient, group)
        if not state:
            state["step"] = 0
            state["square_avg"] = xp.zeros_like(parameter)
        state["step"] += 1
        alpha = group["alpha"]
        square = state["square_avg"]
        square *= alpha
        square += gradient * gradient * (1 - alpha)
        spread = square
        if group["centered"]:
            mean = state.setdefault("grad_avg", xp.zeros_like(parameter))
            mean += (gradient - mean) * (1 - alpha)
            spread = square - mean * mean
        change = gradient / (xp.sqrt(spread) + group["eps"])
        if group["momentum"]:
            velocity = state.setdefault("momentum_buffer", xp.zeros_like(parameter))
            velocity *= group["momentum"]
            velocity += change
            change = velocity
        parameter -= change * group["lr"]
