"""All parameters of a network as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.located import located
from engine.ops.layout import cat, reshape
from engine.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Any]) -> Tensor:
    """All elements of the parameters one after another."""
    return cat([reshape(p, -1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Any]) -> None:
    """Write the elements of `vec` into the parameters, in order.

    Raises `ValueError` unless there are as many as the parameters take.
    """
    given = list(parameters)
    wanted = sum(p.numel() for p in given)
    if vec.numel() != wanted:
        raise located(ValueError(f"the parameters take {wanted} elements, vec has {vec.numel()}"))
    start = 0
    for p in given:
        p.data.copy_(vec.detach()[start : start + p.numel()].reshape(p.shape))
        start += p.numel()
