"""Adam."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from engine.backend import namespace
from engine.dnn import loop
from engine.optim.optimizer import Optimizer, at_least_zero, betas_of, known_hints, pieces, update_op

ADAM_OP = update_op(
    "adam",
    "m = β₁m + (1-β₁)g;  v = β₂v + (1-β₂)g²;  p = p - lr m/(1-β₁ᵗ) / (√(v/(1-β₂ᵗ)) + eps)",
    "Kingma and Ba 2015, Adam, algorithm 1",
)

ADAMW_OP = update_op(
    "adamw",
    "p = p (1 - lr weight_decay), then as adam",
    "Loshchilov and Hutter 2019, Decoupled weight decay regularization, algorithm 2",
)


STATE = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")


class Adam(Optimizer):
    """Adam with the options and defaults of PyTorch; `weight_decay` is added to the gradient."""

    op = ADAM_OP
    at_once = True
    decoupled = False  # whether weight decay shrinks the parameter itself instead of entering the gradient

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        **hints: Any,
    ) -> None:
        known_hints(hints)
        self.decoupled = self.decoupled or decoupled_weight_decay
        at_least_zero(lr=lr, eps=eps, weight_decay=weight_decay)
        betas_of(betas)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
            },
        )

    def update(self, parameter: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of one parameter."""
        xp = namespace(parameter)
        if not state:
            state["step"] = 0
            state["exp_avg"] = xp.zeros_like(parameter)
            state["exp_avg_sq"] = xp.zeros_like(parameter)
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = xp.zeros_like(parameter)
        state["step"] += 1
        small = type(parameter) is np.ndarray and parameter.size < loop.UPDATED
        if not small and self._at_once_on(parameter, [parameter], [gradient], [state], group):
            return
        most = state["max_exp_avg_sq"] if group["amsgrad"] else None
        for part in pieces(parameter, gradient, state["exp_avg"], state["exp_avg_sq"], most):
            self._part(xp, part, state["step"], group)

    def together(
        self, parameters: list[Any], gradients: list[Any], states: list[Any], group: dict[str, Any]
    ) -> bool:
        """A step of all parameters in one call of C, or on a GPU in one launch, where that can be done."""
        if type(parameters[0]) is np.ndarray and not loop.worth(parameters):
            return False
        counts = {state.get("step") for state in states}
        if len(counts) != 1 or None in counts:  # the first step is made one by one
            return False
        for state in states:
            state["step"] += 1
        if self._at_once_on(parameters[0], parameters, gradients, states, group):
            return True
        for state in states:
            state["step"] -= 1
        return False

    def _at_once_on(
        self,
        first: Any,
        parameters: list[Any],
        gradients: list[Any],
        states: list[Any],
        group: dict[str, Any],
    ) -> bool:
        """The step that `states` count already, of parameters where `first` is."""
        if type(first) is not np.ndarray:
            return self._on_gpu(parameters, gradients, states, group)
        means, squares = ([state[name] for state in states] for name in STATE[:2])
        most = [state[STATE[2]] if group["amsgrad"] else None for state in states]
        return loop.adam(
            parameters, gradients, means, squares, most, states[0]["step"], self.decoupled, group
        )

    def _on_gpu(
        self, parameters: list[Any], gradients: list[Any], states: list[Any], group: dict[str, Any]
    ) -> bool:
        from engine.gpu import capture
        from engine.gpu import optim as gpu  # a program on the CPU does not wait for it

        kept = [[state.get(name) for state in states] for name in STATE]
        if not gpu.serves(
            [*parameters, *gradients, *[a for column in kept for a in column if a is not None]]
        ):
            capture.refuse(
                "Adam's count of its steps, for parameters or gradients that are computed one by one,"
            )
            return False

        def numbers() -> tuple[float, ...]:
            (beta1, beta2), count = group["betas"], states[0]["step"]
            return (
                group["lr"], beta1, beta2, group["eps"], group["weight_decay"], group["lr"] / (1 - beta1**count),
                math.sqrt(1 - beta2**count),
            )  # fmt: skip

        def counted(steps: int) -> None:
            for state in states:
                state["step"] += steps

        def again() -> tuple[float, ...]:
            counted(1)
            return numbers()

        switches = (self.decoupled, group["maximize"])
        gpu.step(
            "adam", (parameters, gradients, *kept), numbers(), switches, again, functools.partial(counted, -1)
        )
        return True

    def _part(self, xp: Any, arrays: tuple[Any, ...], count: int, group: dict[str, Any]) -> None:
        parameter, gradient, mean, square, most = arrays
        if group["maximize"]:
            gradient = -gradient
        if group["weight_decay"]:
            if self.decoupled:
                parameter *= 1 - group["lr"] * group["weight_decay"]
            else:
                gradient = gradient + parameter * group["weight_decay"]
        beta1, beta2 = group["betas"]
        mean += (gradient - mean) * (1 - beta1)
        square *= beta2
        square += gradient * gradient * (1 - beta2)
        if most is not None:
            square = xp.maximum(most, square, out=most)
        step = group["lr"] / (1 - beta1**count)
        spread = xp.sqrt(square, out=xp.empty_like(square))  # without, NumPy makes a number of a scalar
        spread /= math.sqrt(1 - beta2**count)
        spread += group["eps"]
        xp.divide(mean, spread, out=spread)
        spread *= step
        parameter -= spread


class AdamW(Adam):
    """Adam whose `weight_decay` shrinks the parameters themselves, with the options and defaults of PyTorch."""

    op = ADAMW_OP
    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **hints: Any,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, **hints)
