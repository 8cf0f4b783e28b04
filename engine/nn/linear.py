"""Linear maps, and the modules that only rearrange."""

from __future__ import annotations

import math
from typing import Any

from engine.creation import empty
from engine.module import Module
from engine.nn import init
from engine.ops.layout import flatten
from engine.ops.linear import linear
from engine.restructure import resize, whole
from engine.tensor import Parameter, Tensor


def width(name: str) -> Any:
    """An attribute of a `Linear` that can be assigned: its width changes with it."""

    def get(self: Linear) -> int:
        return int(self.__dict__[f"_{name}"])

    def set(self: Linear, value: int) -> None:
        if "weight" in self._parameters:
            self.resize(**{name: whole("Linear", name, value)})
        else:
            self.__dict__[f"_{name}"] = value

    return property(get, set)


class Linear(Module):
    """y = x Wᵀ + b, with `weight` [out_features, in_features] and `bias` [out_features].

    Both start uniform within 1/√in_features, as in PyTorch. Assigning `in_features` or `out_features` changes the
    width in place: weights that fit stay, new ones start as at first.
    """

    in_features = width("in_features")
    out_features = width("out_features")

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(out_features, in_features, device=device, dtype=dtype))
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        self.bias: Parameter | None = None
        self.register_parameter("bias", None)
        if bias:
            self.bias = Parameter(empty(out_features, device=device, dtype=dtype))
            bound = 1 / math.sqrt(in_features) if in_features else 0.0
            init.uniform_(self.bias, -bound, bound)

    def resize(self, in_features: int | None = None, out_features: int | None = None) -> None:
        """Change the width in place. Raises `ValueError` for what is no size; then nothing has changed."""
        rows, columns = self.weight.shape
        rows = rows if out_features is None else whole("Linear", "out_features", out_features)
        columns = columns if in_features is None else whole("Linear", "in_features", in_features)
        if (rows, columns) == self.weight.shape:
            return
        fresh = Linear(columns, rows, bias=self.bias is not None)
        resize(self.weight, (rows, columns), lambda: fresh.weight.array)
        if self.bias is not None and fresh.bias is not None:
            start = fresh.bias.array
            resize(self.bias, (rows,), lambda: start)
        self.__dict__.update(_in_features=columns, _out_features=rows)

    def forward(self, input: Any) -> Tensor:
        """`input` [..., in_features] to [..., out_features]."""
        return linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )


class Identity(Module):
    """Gives back what it gets."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Any) -> Any:
        """`input` itself."""
        return input


class Flatten(Module):
    """Dimensions `start_dim` to `end_dim` made one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Tensor:
        """`input` with fewer dimensions."""
        return flatten(input, self.start_dim, self.end_dim)
