"""Gradients held within bounds before an optimizer uses them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from engine import late
from engine.backend import namespace
from engine.dtype import real_of
from engine.located import located
from engine.tensor import Tensor
from engine.writes import writes


def _gradients(parameters: Any) -> list[Any]:
    late.settle()
    given: Iterable[Any] = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad.array for p in given if p.grad is not None]


def clip_grad_norm_(
    parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:  # fmt: skip
    """Scale all gradients so that their norm, taken together, is at most `max_norm`; gives the norm before.

    Raises `RuntimeError` for a norm that is not finite, if asked to.
    """
    found = _gradients(parameters)
    if not found:
        return Tensor(np.zeros((), np.float32), role="constant")
    total = _total(found, norm_type, error_if_nonfinite)
    # A norm of nan or inf is not hidden: it makes the gradients nan, as in PyTorch.
    scale = max_norm / (total + 1e-6)
    if not scale >= 1:
        for g in found:
            g *= scale
            writes.note(g, "clip_grad_norm_")
    return Tensor(np.asarray(total, real_of(found[0].dtype)), role="constant")


def get_total_norm(tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Tensor:
    """The norm of several tensors taken together."""
    found = [t.array for t in ([tensors] if isinstance(tensors, Tensor) else tensors)]
    if not found:
        return Tensor(np.zeros((), np.float32), role="constant")
    total = _total(found, norm_type, error_if_nonfinite)
    return Tensor(np.asarray(total, real_of(found[0].dtype)), role="constant")


def _total(found: list[Any], norm_type: float, error_if_nonfinite: bool) -> float:
    xp = namespace(found[0])
    total: float
    if norm_type == math.inf:
        total = max(float(xp.abs(g).max()) if g.size else 0.0 for g in found)
    else:
        total = sum(float((xp.abs(g) ** norm_type).sum()) for g in found) ** (1.0 / norm_type)
    if error_if_nonfinite and not math.isfinite(total):
        raise located(RuntimeError(f"the norm of the gradients is {total}, they cannot be scaled"))
    return total


def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Hold every element of the gradients between -`clip_value` and `clip_value`."""
    for g in _gradients(parameters):
        if g.dtype.kind == "c":
            raise located(
                RuntimeError(f"clip_grad_value_: {g.dtype} numbers have no order; clip_grad_norm_ takes them")
            )
        namespace(g).clip(g, -clip_value, clip_value, out=g)
        writes.note(g, "clip_grad_value_")
