"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.backend import namespace
from engine.optim.optimizer import Optimizer, at_least_zero, known_hints, leaned, update_op

ADAGRAD_OP = update_op(
    "adagrad",
    "s = s + g²;  p = p - lr / (1 + (t-1) lr_decay) g / (√s + eps)",
    "Duchi, Hazan and Singer 2011, Adaptive subgradient methods, JMLR 12",
)


class Adagrad(Optimizer):
    """The gradient divided by the root of the sum of all its squares so far."""

    op = ADAGRAD_OP
    counted = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        **hints: Any,
    ) -> None:
        known_hints(hints)
        options = at_least_zero(
            lr=lr,
            lr_decay=lr_decay,
            eps=eps,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
        )
        super().__init__(params, {**options, "maximize": maximize})

    def update(self, parameter: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of one parameter."""
        xp = namespace(parameter)
        gradient = leaned(parameter, gradient, group)
        if not state:
            state["step"] = 0
            state["sum"] = xp.full_like(parameter, group["initial_accumulator_value"])
        rate = group["lr"] / (1 + state["step"] * group["lr_decay"])
        state["step"] += 1
        total = state["sum"]
        total += gradient * gradient
        parameter -= rate * gradient / (xp.sqrt(total) + group["eps"])
