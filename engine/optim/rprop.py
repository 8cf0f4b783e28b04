"""Rprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.backend import namespace
from engine.located import located
from engine.optim.optimizer import Optimizer, at_least_zero, known_hints, leaned, update_op

RPROP_OP = update_op(
    "rprop",
    "s = s η⁺ where g keeps its sign, s η⁻ (and g = 0) where it changes, within bounds;  p = p - s sign(g)",
    "Riedmiller and Braun 1993, A direct adaptive method for faster backpropagation learning",
)


class Rprop(Optimizer):
    """Steps by the sign of the gradient alone, each element with a step of its own; options are PyTorch's."""

    op = RPROP_OP

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50), *, maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        known_hints(hints)
        options = at_least_zero(lr=lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise located(ValueError(f"etas has to be one below 1 and one above, got {etas}"))
        super().__init__(params, {**options, "etas": etas, "step_sizes": step_sizes, "maximize": maximize})

    def update(self, parameter: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of one parameter."""
        xp = namespace(parameter)
        gradient = leaned(parameter, gradient, group)
        if not state:
            state["step"] = 0
            state["prev"] = xp.zeros_like(parameter)
            state["step_size"] = xp.full_like(parameter, group["lr"])
        state["step"] += 1
        less, more = group["etas"]
        agreed = gradient * state["prev"]
        size = state["step_size"]
        size *= xp.where(agreed > 0, more, xp.where(agreed < 0, less, 1.0)).astype(size.dtype)
        xp.clip(size, *group["step_sizes"], out=size)
        gradient = xp.where(agreed < 0, xp.zeros_like(gradient), gradient)
        parameter -= xp.sign(gradient) * size
        state["prev"][...] = gradient
