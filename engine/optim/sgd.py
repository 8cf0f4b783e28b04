"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from engine import backend
from engine.dnn import loop
from engine.located import located
from engine.optim.optimizer import Optimizer, at_least_zero, known_hints, pieces, update_op

SGD_OP = update_op(
    "sgd",
    "v = momentum v + (1 - dampening) g;  p = p - lr v",
    "Sutskever et al. 2013, On the importance of initialization and momentum in deep learning",
)


class SGD(Optimizer):
    """p - lr g, with momentum, dampening, Nesterov's form and weight decay as in PyTorch."""

    op = SGD_OP
    at_once = True

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
        **hints: Any,
    ) -> None:
        known_hints(hints)
        at_least_zero(lr=lr, momentum=momentum, weight_decay=weight_decay)
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
        momentum = group["momentum"]
        velocity = state.get("momentum_buffer") if momentum else None
        first = bool(momentum) and velocity is None
        if first:
            velocity = state["momentum_buffer"] = backend.namespace(gradient).empty_like(gradient)
        if type(parameter) is not np.ndarray and _on_gpu([parameter], [gradient], [velocity], first, group):
            return
        if loop.sgd([parameter], [gradient], [velocity], first, group):
            return
        for p, g, v in pieces(parameter, gradient, velocity):
            if group["maximize"]:
                g = -g
            if group["weight_decay"]:
                g = g + p * group["weight_decay"]
            if v is not None:
                if first:
                    v[...] = g
                else:
                    v *= momentum
                    v += g if not group["dampening"] else g * (1 - group["dampening"])
                g = g + v * momentum if group["nesterov"] else v
            p -= g * group["lr"]

    def together(
        self, parameters: list[Any], gradients: list[Any], states: list[Any], group: dict[str, Any]
    ) -> bool:
        """A step of all parameters in one call of C, or on a GPU in one launch, where that can be done."""
        velocities: list[Any] = [None] * len(parameters)
        first = False
        if group["momentum"]:
            velocities = [state.get("momentum_buffer") for state in states]
            first = velocities[0] is None
            if any((v is None) != first for v in velocities):
                return False
            if first:
                velocities = [backend.namespace(g).empty_like(g) for g in gradients]
        run = loop.sgd if type(parameters[0]) is np.ndarray else _on_gpu
        if not run(parameters, gradients, velocities, first, group):
            return False
        if first:
            for state, velocity in zip(states, velocities, strict=True):
                state["momentum_buffer"] = velocity
        return True


def _on_gpu(
    parameters: list[Any], gradients: list[Any], velocities: list[Any], first: bool, group: dict[str, Any]
) -> bool:
    from engine.gpu import optim as gpu  # a program on the CPU does not wait for it

    if not gpu.serves([*parameters, *gradients, *[v for v in velocities if v is not None]]):
        return False

    def numbers() -> tuple[float, ...]:
        return group["lr"], group["momentum"], 1 - group["dampening"], group["weight_decay"]

    switches = (group["nesterov"], first, group["maximize"])
    gpu.step("sgd", (parameters, gradients, velocities), numbers(), switches, numbers)
    return True
