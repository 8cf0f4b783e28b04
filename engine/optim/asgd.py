"""ASGD."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from engine.backend import namespace
from engine.optim.optimizer import Optimizer, at_least_zero, known_hints, leaned, update_op

ASGD_OP = update_op(
    "asgd",
    "p = p (1 - λη) - η g;  ax = ax + μ (p - ax);  η = lr / (1 + λ lr t)^α;  μ = 1 / max(1, t - t0)",
    "Polyak and Juditsky 1992, Acceleration of stochastic approximation by averaging",
)


class ASGD(Optimizer):
    """Stochastic gradient descent that also keeps the average of its parameters, in its state as `ax`."""

    op = ASGD_OP
    counted = True

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-2, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6,
        weight_decay: float = 0, *, maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        known_hints(hints)
        options = at_least_zero(lr=lr, weight_decay=weight_decay)
        super().__init__(params, {**options, "lambd": lambd, "alpha": alpha, "t0": t0, "maximize": maximize})

    def update(self, parameter: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of one parameter."""
        gradient = leaned(parameter, gradient, group)
        lr, decay = group["lr"], group["lambd"]
        if not state:
            state.update(
                step=0, eta=float(np.float32(lr)), mu=1.0, ax=namespace(parameter).zeros_like(parameter)
            )
        state["step"] += 1
        parameter *= 1 - decay * state["eta"]
        parameter -= gradient * state["eta"]
        average = state["ax"]
        average += (parameter - average) * state["mu"]
        # Both are float32 in PyTorch, whose steps these are to the last digits.
        state["eta"] = float(np.float32(lr / (1 + decay * lr * state["step"]) ** group["alpha"]))
        state["mu"] = float(np.float32(1 / max(1, state["step"] - group["t0"])))
