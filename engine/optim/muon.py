"""Muon."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from engine.backend import namespace
from engine.located import located
from engine.optim.optimizer import Optimizer, at_least_zero, update_op

MUON_OP = update_op(
    "muon",
    "b = μ b + (1 - μ) g;  p = p - lr λ p - lr' orthogonal(b), by Newton and Schulz's iteration",
    "Jordan et al. 2024, Muon: an optimizer for hidden layers in neural networks",
)


class Muon(Optimizer):
    """Momentum made orthogonal: an optimizer for the matrices of hidden layers. Raises `ValueError` for others.

    The iteration is computed in the parameter's own precision (PyTorch's runs in bfloat16).

    >>> import engine as ds
    >>> layer = ds.nn.Linear(4, 4, bias=False)
    >>> ds.optim.Muon(layer.parameters(), lr=0.02).step()
    """

    op = MUON_OP
    by_element = False

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95,
        nesterov: bool = True, ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7, ns_steps: int = 5, adjust_lr_fn: str | None = None,
    ) -> None:  # fmt: skip
        at_least_zero(lr=lr, momentum=momentum, weight_decay=weight_decay)
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise located(
                ValueError(f"adjust_lr_fn has to be 'original' or 'match_rms_adamw', got {adjust_lr_fn!r}")
            )
        if len(ns_coefficients) != 3:
            raise located(ValueError(f"ns_coefficients has to be three numbers, got {ns_coefficients}"))
        options = {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
            "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn,
        }  # fmt: skip
        super().__init__(params, options)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of matrices."""
        super().add_param_group(param_group)
        for i, parameter in enumerate(self.param_groups[-1]["params"]):
            if parameter.ndim != 2:
                self.param_groups.pop()
                self._sources.pop()
                raise located(
                    ValueError(
                        f"Muon is for matrices; params[{i}] has shape {list(parameter.shape)}: give it to another optimizer"
                    )
                )

    def update(self, parameter: Any, gradient: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of one matrix."""
        xp = namespace(parameter)
        if not state:
            state["momentum_buffer"] = xp.zeros_like(gradient)
        kept, momentum = state["momentum_buffer"], group["momentum"]
        kept += (gradient - kept) * (1 - momentum)
        change = gradient + (kept - gradient) * momentum if group["nesterov"] else kept
        change = orthogonal(xp, change, group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = parameter.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            rate = group["lr"] * 0.2 * math.sqrt(max(rows, columns))
        else:
            rate = group["lr"] * math.sqrt(max(1.0, rows / columns))
        parameter *= 1 - group["lr"] * group["weight_decay"]
        parameter -= rate * change


def orthogonal(xp: Any, x: Any, coefficients: tuple[float, float, float], steps: int, eps: float) -> Any:
    """A matrix whose singular values are near 1, with the singular vectors of `x`."""
    a, b, c = coefficients
    turned = x.shape[0] > x.shape[1]
    y = x.T if turned else x
    y = y / max(float(xp.sqrt((y * y).sum())), eps)
    for _ in range(steps):
        gram = y @ y.T
        y = a * y + (b * gram + c * (gram @ gram)) @ y
    return y.T if turned else y
