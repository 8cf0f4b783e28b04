"""Activations made of other ops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.located import located
from engine.ops.activation import elu, sigmoid, softplus, tanh
from engine.ops.arithmetic import abs, clamp, div, mul, neg
from engine.ops.comparison import gt, where
from engine.ops.inplace import over
from engine.ops.split import chunk

if TYPE_CHECKING:
    from engine.tensor import Tensor

# Klambauer et al. 2017, Self-normalizing neural networks: mean 0 and variance 1 are a fixed point of these.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946
FAR = 1e9  # a threshold softplus never reaches, so that it is exact


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` held between `min_val` and `max_val`."""
    if inplace:
        return over(input, hardtanh, min_val, max_val)
    return clamp(input, min_val, max_val)


def relu6(input: Any, inplace: bool = False) -> Tensor:
    """`input` held between 0 and 6."""
    if inplace:
        return over(input, relu6)
    return clamp(input, 0.0, 6.0)


def hardsigmoid(input: Any, inplace: bool = False) -> Tensor:
    """`input / 6 + 1/2`, held between 0 and 1."""
    if inplace:
        return over(input, hardsigmoid)
    return clamp(div(input, 6.0) + 0.5, 0.0, 1.0)


def hardswish(input: Any, inplace: bool = False) -> Tensor:
    """`input · hardsigmoid(input)` (Howard et al. 2019)."""
    if inplace:
        return over(input, hardswish)
    return mul(input, hardsigmoid(input))


def mish(input: Any, inplace: bool = False) -> Tensor:
    """`input · tanh(softplus(input))` (Misra 2019)."""
    if inplace:
        return over(input, mish)
    return mul(input, tanh(softplus(input)))


def selu(input: Any, inplace: bool = False) -> Tensor:
    """`elu` scaled so that mean 0 and variance 1 stay."""
    if inplace:
        return over(input, selu)
    return mul(elu(input, SELU_ALPHA), SELU_SCALE)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` where positive, `alpha (exp(input / alpha) - 1)` elsewhere. Raises `ValueError` for `alpha` 0."""
    if inplace:
        return over(input, celu, alpha)
    if alpha == 0:
        raise located(ValueError("alpha divides, so it cannot be 0"))
    return mul(elu(div(input, alpha)), alpha)


def softsign(input: Any) -> Tensor:
    """`input / (1 + |input|)`."""
    return div(input, abs(input) + 1)


def logsigmoid(input: Any) -> Tensor:
    """`log(sigmoid(input))`, without overflow."""
    return neg(softplus(neg(input), threshold=FAR))


def prelu(input: Any, weight: Any) -> Tensor:
    """`input` where positive, `weight · input` elsewhere; `weight` has one number, or one for each channel.

    Channels are dimension 1 of `input`.
    """
    if weight.shape and weight.shape[0] > 1 and len(input.shape) > 1:
        weight = weight.reshape(-1, *(1,) * (len(input.shape) - 2))
    return where(gt(input, 0), input, mul(input, weight))  # type: ignore[no-any-return]


def glu(input: Any, dim: int = -1) -> Tensor:
    """The first half of `input` along `dim` times the sigmoid of the second (Dauphin et al. 2017).

    Raises `ValueError` for an odd size.
    """
    size = input.shape[dim]
    if size % 2:
        raise located(ValueError(f"glu halves dimension {dim}, but its size is {size}"))
    kept, gate = chunk(input, 2, dim)
    return mul(kept, sigmoid(gate))
