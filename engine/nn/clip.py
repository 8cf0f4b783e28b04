"""Gradients held within bounds before an optimizer uses them."""

from __future__ import annotations

import functools
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
    if type(found[0]) is not np.ndarray:
        return Tensor(_held_on_gpu(found, max_norm, norm_type, error_if_nonfinite), role="constant")
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
    if type(found[0]) is not np.ndarray:
        norm = _norm_on_gpu(found, norm_type)
        _finite(norm, error_if_nonfinite)
        return Tensor(norm.astype(found[0].dtype), role="constant")
    total = _total(found, norm_type, error_if_nonfinite)
    return Tensor(np.asarray(total, real_of(found[0].dtype)), role="constant")


def _held_on_gpu(found: list[Any], max_norm: float, norm_type: float, error_if_nonfinite: bool) -> Any:
    """As on the CPU, but nothing waits for the norm unless it has to be looked at; the norm, on the GPU."""
    from engine.gpu import optim as gpu  # a program on the CPU does not wait for it

    made = None
    if norm_type == 2 and not error_if_nonfinite:
        made = gpu.clip(found, max_norm)
    if made is None:
        xp = namespace(found[0])
        total = _norm_on_gpu(found, norm_type)
        _finite(total, error_if_nonfinite)
        scale = max_norm / (total + 1e-6)
        scale = xp.where(scale >= 1, 1.0, scale)
        for g in found:
            g *= scale.astype(g.dtype)
        made = total.astype(found[0].dtype)
    for g in found:
        writes.note(g, "clip_grad_norm_")
    return made


def _norm_on_gpu(found: list[Any], norm_type: float) -> Any:
    """The norm of all together, as one number of float64 on the GPU."""
    xp = namespace(found[0])
    filled = [xp.abs(g) for g in found if g.size] or [xp.zeros(1)]
    if norm_type == math.inf:
        return functools.reduce(xp.maximum, [g.max().astype("float64") for g in filled])
    parts = [(g**norm_type).sum(dtype="float64") for g in filled]
    return functools.reduce(xp.add, parts) ** (1.0 / norm_type)


def _finite(total: Any, wanted: bool) -> None:
    if wanted and not math.isfinite(float(total)):
        raise located(RuntimeError(f"the norm of the gradients is {float(total)}, they cannot be scaled"))


def _total(found: list[Any], norm_type: float, error_if_nonfinite: bool) -> float:
    xp = namespace(found[0])
    total: float
    if norm_type == math.inf:
        total = max(float(xp.abs(g).max()) if g.size else 0.0 for g in found)
    else:
        total = sum(float((xp.abs(g) ** norm_type).sum()) for g in found) ** (1.0 / norm_type)
    _finite(total, error_if_nonfinite)
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
