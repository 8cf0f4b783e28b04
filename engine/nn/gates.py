"""Activations made of other ops, as modules."""

from __future__ import annotations

from typing import Any

from engine.creation import full
from engine.located import located
from engine.module import Module
from engine.ops import gates
from engine.tensor import Parameter, Tensor


class Hardtanh(Module):
    """min(max(x, min_val), max_val)."""

    def __init__(
        self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False, min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:  # fmt: skip
        # min_value and max_value are the names of old.
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        if not self.max_val > self.min_val:
            raise located(
                ValueError(f"Hardtanh: max_val {self.max_val} has to be above min_val {self.min_val}")
            )
        self.inplace = inplace

    def forward(self, input: Any) -> Tensor:
        """Element by element."""
        return gates.hardtanh(input, self.min_val, self.max_val, inplace=self.inplace)


class ReLU6(Module):
    """min(max(x, 0), 6)."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, input: Any) -> Tensor:
        """Element by element."""
        return gates.relu6(input, inplace=self.inplace)


class Hardsigmoid(Module):
    """x / 6 + 1/2 between 0 and 1."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, input: Any) -> Tensor:
        """Element by element."""
        return gates.hardsigmoid(input, inplace=self.inplace)


class Hardswish(Module):
    """x hardsigmoid(x)."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, input: Any) -> Tensor:
        """Element by element."""
        return gates.hardswish(input, inplace=self.inplace)


class Mish(Module):
    """x tanh(softplus(x))."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, input: Any) -> Tensor:
        """Element by element."""
        return gates.mish(input, inplace=self.inplace)


class SELU(Module):
    """ELU scaled so that mean 0 and variance 1 stay."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, input: Any) -> Tensor:
        """Element by element."""
        return gates.selu(input, inplace=self.inplace)


class CELU(Module):
    """x where positive, `alpha` (exp(x / alpha) - 1) elsewhere."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Any) -> Tensor:
        """Element by element."""
        return gates.celu(input, self.alpha, inplace=self.inplace)


class Softsign(Module):
    """x / (1 + |x|)."""

    def forward(self, input: Any) -> Tensor:
        """Element by element."""
        return gates.softsign(input)


class LogSigmoid(Module):
    """log(sigmoid(x))."""

    def forward(self, input: Any) -> Tensor:
        """Element by element."""
        return gates.logsigmoid(input)


class GLU(Module):
    """The first half along `dim` times the sigmoid of the second."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, input: Any) -> Tensor:
        """Element by element."""
        return gates.glu(input, self.dim)


class PReLU(Module):
    """x where positive, `weight` x elsewhere; `weight` is learned, one number or one for each channel."""

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        self.num_parameters = num_parameters
        self.weight = Parameter(full((num_parameters,), init, device=device, dtype=dtype))

    def forward(self, input: Any) -> Tensor:
        """Element by element; channels are dimension 1."""
        return gates.prelu(input, self.weight)
