"""Adadelta."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.backend import namespace
from engine.located import located
from engine.optim.optimizer import Optimizer, at_least_zero, known_hints, leaned, update_op

ADADELTA_OP = update_op(
    "adadelta",
    "v = ρ v + (1-ρ) g²;  δ = g √(u + eps) / √(v + eps);  u = ρ u + (1-ρ) δ²;  p = p - lr δ",
    "Zeiler 2012, ADADELTA: an adaptive learning rate method, algorithm 1",
)


class Adadelta(Optimizer):
    """Steps of the size that earlier steps had, over the size that the gradients have; options are PyTorch's."""

    op = ADADELTA_OP

    def __init__(
        self, params: Iterable[Any], lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0,
        *, maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        known_hints(hints)
        options = at_least_zero(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)
        if rho > 1:
            raise located(ValueError(f"rho has to be from 0 to 1, got {rho}"))
        super().__init__(params, {**options, "maximize": maximize})

    def update(self, parameter: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of one parameter."""
        xp = namespace(parameter)
        gradient = leaned(parameter, gradient, group)
        if not state:
            state["step"] = 0
            state["square_avg"] = xp.zeros_like(parameter)
            state["acc_delta"] = xp.zeros_like(parameter)
        state["step"] += 1
        rho, eps = group["rho"], group["eps"]
        square, moved = state["square_avg"], state["acc_delta"]
        square *= rho
        square += gradient * gradient * (1 - rho)
        change = xp.sqrt(moved + eps) / xp.sqrt(square + eps) * gradient
        moved *= rho
        moved += change * change * (1 - rho)
        parameter -= change * group["lr"]
