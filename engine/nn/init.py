"""First values of parameters. Each function writes into the tensor it is given and returns it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine import late, random
from engine.backend import is_array, move
from engine.located import located
from engine.ops.special import erfinv
from engine.tensor import Tensor
from engine.writes import writes


def _put(tensor: Tensor, values: Any) -> Tensor:
    """Write without a node: first values are where a program starts, not something it computes."""
    late.settle()
    tensor.array[...] = move(values, tensor.device) if is_array(values) else values
    writes.note(tensor.array, "init")
    return tensor


def fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs and outputs one unit of a weight [out, in, ...] has.

    Raises `ValueError` for a tensor of fewer than two dimensions.
    """
    if tensor.ndim < 2:
        raise located(
            ValueError(
                f"fan in and fan out need a weight of two or more dimensions, got {list(tensor.shape)}"
            )
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
        raise located(
            ValueError(f"no gain is known for {nonlinearity!r}; there are {', '.join(gains)} and leaky_relu")
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


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> Tensor:
    """Normal, drawn again where it lies outside `a` to `b`; those bounds are values, not deviations."""
    if not a < b or std <= 0:
        raise located(
            ValueError(f"trunc_normal_ needs a below b and std above 0, got a={a}, b={b}, std={std}")
        )
    low, high = ((x - mean) / (std * math.sqrt(2)) for x in (a, b))
    if high < -5 or low > 5:
        raise located(
            ValueError(f"nearly nothing of a normal of mean {mean} and std {std} lies from {a} to {b}")
        )
    seed, counter = random.draw(tensor.numel())
    drawn = random.uniform(seed, counter, tensor.shape, "float64")
    # The inverse of the cumulative distribution between its values at a and b.
    share = math.erf(low) + drawn * (math.erf(high) - math.erf(low))
    values = erfinv(Tensor(share)).array * math.sqrt(2) * std + mean
    return _put(tensor, values.clip(a, b))


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """A (half) orthogonal matrix, of the first dimension against all others (Saxe et al. 2014)."""
    if tensor.ndim < 2:
        raise located(ValueError(f"orthogonal_ needs two or more dimensions, got {list(tensor.shape)}"))
    rows, columns = tensor.shape[0], tensor.numel() // max(tensor.shape[0], 1)
    seed, counter = random.draw(rows * columns)
    flat = random.normal(seed, counter, (max(rows, columns), min(rows, columns)), "float64")
    q, r = np.linalg.qr(flat)
    q *= np.sign(np.diag(r))  # makes the distribution uniform
    return _put(tensor, (q if rows >= columns else q.T).reshape(tensor.shape) * gain)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    if tensor.ndim != 2:
        raise located(ValueError(f"eye_ needs a matrix, got {list(tensor.shape)}"))
    return _put(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution [out, in, ...] that changes nothing, as far as there are channels."""
    if tensor.ndim not in (3, 4, 5) or tensor.shape[0] % groups:
        raise located(
            ValueError(
                f"dirac_ needs [out, in, 1 to 3 sizes], out divided by groups, got {list(tensor.shape)}"
            )
        )
    values = np.zeros(tensor.shape)
    size = tensor.shape[0] // groups
    middle = tuple(n // 2 for n in tensor.shape[2:])
    for group in range(groups):
        for channel in range(min(size, tensor.shape[1])):
            at = (group * size + channel, channel, *middle)
            values[at] = 1
    return _put(tensor, values)


# As they were called once, and what programs call that compute a bound of their own.
uniform, normal, constant, eye, dirac, orthogonal = uniform_, normal_, constant_, eye_, dirac_, orthogonal_
xavier_uniform, xavier_normal = xavier_uniform_, xavier_normal_
kaiming_uniform, kaiming_normal = kaiming_uniform_, kaiming_normal_
_calculate_fan_in_and_fan_out = fans
