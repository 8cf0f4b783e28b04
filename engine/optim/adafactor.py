"""Adafactor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from engine.backend import namespace
from engine.located import located
from engine.optim.optimizer import Optimizer, at_least_zero, known_hints, update_op

ADAFACTOR_OP = update_op(
    "adafactor",
    "V = R Cᵀ / mean R of running means R, C of g²;  p = p - α g / √V / max(1, rms(g / √V) / d)",
    "Shazeer and Stern 2018, Adafactor, arXiv:1804.04235",
)


class Adafactor(Optimizer):
    """Adam's division by the root of the mean square, of a matrix only by rows and columns: little state.

    >>> import engine as ds
    >>> ds.optim.Adafactor(ds.nn.Linear(2, 2).parameters(), lr=0.01).step()
    """

    op = ADAFACTOR_OP
    by_element = False
    counted = True

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-2, beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3), d: float = 1.0, weight_decay: float = 0.0, *,
        maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        known_hints(hints)
        at_least_zero(lr=lr, weight_decay=weight_decay)
        if beta2_decay > 0:
            raise located(ValueError(f"beta2_decay has to be 0 or less, got {beta2_decay}"))
        if (eps[0] is not None and eps[0] < 0) or eps[1] < 0:
            raise located(
                ValueError(f"eps has to be two numbers, 0 or more, the first may be None, got {eps}")
            )
        if d < 1.0:
            raise located(ValueError(f"d has to be 1 or more, got {d}"))
        options = {
            "lr": lr, "beta2_decay": beta2_decay, "eps": tuple(eps), "d": d, "weight_decay": weight_decay,
        }  # fmt: skip
        super().__init__(params, {**options, "maximize": maximize})

    def update(self, parameter: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of one parameter."""
        xp = namespace(parameter)
        if group["maximize"]:
            gradient = -gradient
        matrix = gradient.ndim > 1
        if not state:
            state["step"] = 0
            if matrix:
                state["row_var"] = xp.zeros((*gradient.shape[:-1], 1), parameter.dtype)
                state["col_var"] = xp.zeros((*gradient.shape[:-2], 1, gradient.shape[-1]), parameter.dtype)
            else:
                state["variance"] = xp.zeros_like(parameter)
        state["step"] += 1
        step = float(state["step"])
        small, floor = group["eps"]
        if small is None:
            small = float(np.finfo(parameter.dtype).eps)
        fresh = step ** group["beta2_decay"]
        rate = min(group["lr"], 1 / math.sqrt(step))
        rate *= max(floor, _rms(xp, parameter))
        if group["weight_decay"]:
            parameter *= 1 - group["lr"] * group["weight_decay"]
        square = gradient * gradient
        if matrix:
            row, column = state["row_var"], state["col_var"]
            row += (square.mean(axis=-1, keepdims=True) - row) * fresh
            column += (square.mean(axis=-2, keepdims=True) - column) * fresh
            spread = (row @ column) / xp.maximum(row.mean(axis=-2, keepdims=True), small)
        else:
            kept = state["variance"]
            kept += (square - kept) * fresh
            spread = kept
        change = gradient / xp.sqrt(xp.maximum(spread, small * small))
        parameter -= (rate / max(1.0, _rms(xp, change) / group["d"])) * change


def _rms(xp: Any, x: Any) -> float:
    return float(xp.sqrt((x.astype(np.float64) ** 2).mean())) if x.size else 0.0
