"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.located import located
from engine.optim.optimizer import Optimizer, update_op

SGD_OP = update_op(
    "sgd",
    "v = momentum v + (1 - dampening) g;  p = p - lr v",
    "Sutskever et al. 2013, On the importance of initialization and momentum in deep learning",
)


class SGD(Optimizer):
    """p - lr g, with momentum, dampening, Nesterov's form and weight decay as in PyTorch."""

    op = SGD_OP

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        if lr < 0:
            raise located(ValueError(f"lr has to be 0 or more, got {lr}"))
        if momentum < 0:
            raise located(ValueError(f"momentum has to be 0 or more, got {momentum}"))
        if weight_decay < 0:
            raise located(ValueError(f"weight_decay has to be 0 or more, got {weight_decay}"))
        if nesterov and (momentum <= 0 or dampening != 0):
            raise located(ValueError("nesterov needs a momentum above 0 and no dampening"))
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def update(self, parameter: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of one parameter."""
        if group["maximize"]:
            gradient = -gradient
        if group["weight_decay"]:
            gradient = gradient + parameter * group["weight_decay"]
        if group["momentum"]:
            velocity = state.get("momentum_buffer")
            if velocity is None:
                velocity = state["momentum_buffer"] = gradient.copy()
            else:
                velocity *= group["momentum"]
                velocity += gradient if not group["dampening"] else gradient * (1 - group["dampening"])
            gradient = gradient + velocity * group["momentum"] if group["nesterov"] else velocity
        parameter -= gradient * group["lr"]
