"""Whether tensors agree, as plain answers: no node is made of them."""

from __future__ import annotations

from typing import Any

from engine.backend import namespace


def equal(input: Any, other: Any) -> bool:
    """Whether shape and all elements agree; nan agrees with nothing."""
    return input.shape == other.shape and bool((input.array == other.array).all())


def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements differ by at most `atol + rtol |other|`."""
    xp = namespace(input.array)
    return bool(xp.allclose(input.array, other.array, rtol=rtol, atol=atol, equal_nan=equal_nan))


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a tensor."""
    from engine.tensor import Tensor

    return isinstance(obj, Tensor)


def numel(input: Any) -> int:
    """Number of elements."""
    return int(input.array.size)
