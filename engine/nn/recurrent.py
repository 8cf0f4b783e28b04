"""Recurrent cells."""

from __future__ import annotations

import math
from typing import Any

from engine.creation import empty, zeros
from engine.located import located
from engine.module import Module
from engine.nn import init
from engine.ops.activation import relu, tanh
from engine.ops.gru import gru_cell
from engine.ops.linear import linear
from engine.ops.recurrent import lstm_cell
from engine.tensor import Parameter, Tensor


class RNNCellBase(Module):
    """What all recurrent cells are."""


class LSTMCell(RNNCellBase):
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
            h = c = zeros(*lead, self.hidden_size, dtype=self.weight_hh.dtype, device=self.weight_hh.device)
        else:
            h, c = hx
        return lstm_cell(input, h, c, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.input_size}, {self.hidden_size}"


class RNNCell(RNNCellBase):
    """One step of a plain recurrent network: h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu.

    `weight_ih` [hidden, input], `weight_hh` [hidden, hidden], as in PyTorch.
    """

    gates = 1
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh",
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        if nonlinearity not in ("tanh", "relu"):
            raise located(ValueError(f'nonlinearity is "tanh" or "relu", got {nonlinearity!r}'))
        self.input_size, self.hidden_size, self.nonlinearity = input_size, hidden_size, nonlinearity
        rows, kind = self.gates * hidden_size, {"device": device, "dtype": dtype}
        self.weight_ih = Parameter(empty(rows, input_size, **kind))
        self.weight_hh = Parameter(empty(rows, hidden_size, **kind))
        self.register_parameter("bias_ih", Parameter(empty(rows, **kind)) if bias else None)
        self.register_parameter("bias_hh", Parameter(empty(rows, **kind)) if bias else None)
        bound = 1 / math.sqrt(hidden_size) if hidden_size else 0.0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input: Any, hx: Any = None) -> Tensor:
        """`input` [batch, input] or [input], `hx` [batch, hidden]; gives the next h."""
        if hx is None:
            hx = zeros(
                *input.shape[:-1], self.hidden_size, dtype=self.weight_hh.dtype, device=self.weight_hh.device
            )
        act = tanh if self.nonlinearity == "tanh" else relu
        return act(linear(input, self.weight_ih, self.bias_ih) + linear(hx, self.weight_hh, self.bias_hh))

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.input_size}, {self.hidden_size}"


class GRUCell(RNNCell):
    """One step of a gated recurrent unit (Cho et al. 2014), gates in the order r, z, n, as in PyTorch:

    n = tanh(W_in x + b_in + r (W_hn h + b_hn)), h' = (1 - z) n + z h.
    """

    gates = 3

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device=device, dtype=dtype)

    def forward(self, input: Any, hx: Any = None) -> Tensor:
        """`input` [batch, input] or [input], `hx` [batch, hidden]; gives the next h."""
        if hx is None:
            hx = zeros(
                *input.shape[:-1], self.hidden_size, dtype=self.weight_hh.dtype, device=self.weight_hh.device
            )
        return gru_cell(
            linear(input, self.weight_ih, self.bias_ih), linear(hx, self.weight_hh, self.bias_hh), hx
        )
