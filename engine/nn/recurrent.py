"""Recurrent cells."""

from __future__ import annotations

import math
from typing import Any

from engine.creation import empty, zeros
from engine.module import Module
from engine.nn import init
from engine.ops.activation import sigmoid, tanh
from engine.ops.linear import linear
from engine.ops.split import chunk
from engine.tensor import Parameter, Tensor


class LSTMCell(Module):
    """One step of a long short-term memory (Hochreiter and Schmidhuber 1997, with forget gates).

    `weight_ih` [4 hidden, input], `weight_hh` [4 hidden, hidden], gates in the order i, f, g, o, as in PyTorch:
    c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c').
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        self.input_size, self.hidden_size = input_size, hidden_size
        self.bias_ih: Parameter | None = None
        self.bias_hh: Parameter | None = None
        self.weight_ih = Parameter(empty(4 * hidden_size, input_size, device=device, dtype=dtype))
        self.weight_hh = Parameter(empty(4 * hidden_size, hidden_size, device=device, dtype=dtype))
        if bias:
            self.bias_ih = Parameter(empty(4 * hidden_size, device=device, dtype=dtype))
            self.bias_hh = Parameter(empty(4 * hidden_size, device=device, dtype=dtype))
        bound = 1 / math.sqrt(hidden_size) if hidden_size else 0.0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input: Any, hx: tuple[Any, Any] | None = None) -> tuple[Tensor, Tensor]:
        """`input` [batch, input] or [input], `hx` = (h, c) of [batch, hidden]; gives the next (h, c)."""
        if hx is None:
            lead = tuple(input.shape[:-1])
            h = c = zeros(*lead, self.hidden_size, dtype=self.weight_hh.dtype)
        else:
            h, c = hx
        gates = linear(input, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh, self.bias_hh)
        i, f, g, o = chunk(gates, 4, dim=-1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.input_size}, {self.hidden_size}"
