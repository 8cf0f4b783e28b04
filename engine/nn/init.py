"""First values of parameters. Each function writes into the tensor it is given and returns it."""

from __future__ import annotations

import math
from typing import Any

from engine import random
from engine.tensor import Tensor
from engine.writes import writes


def _put(tensor: Tensor, values: Any) -> Tensor:
    """Write without a node: first values are where a program starts, not something it computes."""
    tensor.array[...] = values
    writes.note(tensor.array, "init")
    return tensor


def fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs and outputs one unit of a weight [out, in, ...] has.

    Raises `ValueError` for a tensor of fewer than two dimensions.
    """
    if tensor.ndim < 2:
        raise ValueError(
            f"fan in and fan out need a weight of two or more dimensions, got {list(tensor.shape)}"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Uniform between `a` and `b`."""
    seed, counter = random.draw(tensor.numel())
    return _put(tensor, random.uniform(seed, counter, tensor.shape, tensor.dtype) * (b - a) + a)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal with the given mean and standard deviation."""
    seed, counter = random.draw(tensor.numel())
    return _put(tensor, random.normal(seed, counter, tensor.shape, tensor.dtype) * std + mean)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """`val` everywhere."""
    return _put(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return constant_(tensor, 1.0)


def calculate_gain(nonlinearity: str, param: Any = None) -> float:
    """By how much an activation shrinks the deviation of what goes through it."""
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 0.75}
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in gains:
        raise ValueError(
            f"no gain is known for {nonlinearity!r}; there are {', '.join(gains)} and leaky_relu"
        )
    return gains[nonlinearity]


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Uniform with the bound of He et al. 2015, eq. 14."""
    fan = fans(tensor)[0 if mode == "fan_in" else 1]
    bound = math.sqrt(3.0) * calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Normal with the deviation of He et al. 2015, eq. 14."""
    fan = fans(tensor)[0 if mode == "fan_in" else 1]
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform with the bound of Glorot and Bengio 2010, eq. 16."""
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal with the deviation of Glorot and Bengio 2010, eq. 12."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))))
