"""Recurrent networks over whole sequences, in several layers and directions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.bus import bus
from engine.creation import empty, zeros
from engine.errors import ArgumentError
from engine.grad_mode import state as thread
from engine.located import located
from engine.module import Module
from engine.nn import init
from engine.nn.widths import fixed
from engine.ops.activation import relu, tanh
from engine.ops.gru import gru, gru_cell
from engine.ops.layout import cat, stack, transpose
from engine.ops.linear import linear
from engine.ops.lstm import lstm
from engine.ops.noise import dropout
from engine.ops.recurrent import lstm_cell
from engine.ops.rnn import rnn
from engine.ops.split import split, unbind
from engine.tensor import Parameter, Tensor


class _Recurrent(Module):
    """What the three share: parameters `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, then the next
    layer, with `_reverse` for the second direction; layouts are PyTorch's."""

    gates = 1
    states = 1
    input_size = fixed("input_size")
    hidden_size = fixed("hidden_size")
    keeps_apart = False  # whether the two biases are added at different places
    on_gpu = False  # whether it is one op there
    single: Any = None  # the step that `sequence` does all at once

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        if num_layers < 1:
            raise located(ValueError(f"num_layers has to be at least 1, got {num_layers}"))
        if not 0 <= dropout <= 1:
            raise located(ValueError(f"dropout is a probability, 0 to 1, got {dropout}"))
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = (
            bias,
            batch_first,
            dropout,
            bidirectional,
        )
        self.directions = 2 if bidirectional else 1
        kind = {"device": device, "dtype": dtype}
        rows = self.gates * hidden_size
        for layer in range(num_layers):
            inputs = input_size if layer == 0 else hidden_size * self.directions
            for suffix in self._suffixes(layer):
                self.register_parameter(f"weight_ih{suffix}", Parameter(empty(rows, inputs, **kind)))
                self.register_parameter(f"weight_hh{suffix}", Parameter(empty(rows, hidden_size, **kind)))
                if bias:
                    self.register_parameter(f"bias_ih{suffix}", Parameter(empty(rows, **kind)))
                    self.register_parameter(f"bias_hh{suffix}", Parameter(empty(rows, **kind)))
        bound = 1 / math.sqrt(hidden_size) if hidden_size else 0.0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: self.directions]

    def forward(self, input: Any, hx: Any = None) -> Any:
        """`input` [steps, batch, input] ([batch, steps, input] with `batch_first`, [steps, input] for one sequence).

        Gives (output, state): output [steps, batch, directions · hidden] of the last layer, state
        [layers · directions, batch, hidden], for an LSTM the pair (h, c) of them; `hx` is the state to start with.
        A `PackedSequence` gives a `PackedSequence`, and the state after the last step of each sequence.
        Raises `ValueError` for an input of another rank.
        """
        if hasattr(input, "batch_sizes"):
            return self._packed(input, hx)
        if len(input.shape) not in (2, 3):
            raise located(
                ValueError(f"{type(self).__name__} needs 2 or 3 dimensions, got {list(input.shape)}")
            )
        single = len(input.shape) == 2
        if single:
            input = input.unsqueeze(1)
        elif self.batch_first:
            input = transpose(input, 0, 1)
        firsts = self._start(input, hx, single)
        finals: list[list[Any]] = [[] for _ in range(self.states)]
        for layer in range(self.num_layers):
            outputs = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                at = layer * self.directions + direction
                output, state = self._run(input, [first[at] for first in firsts], suffix, direction == 1)
                outputs.append(output)
                for kept, value in zip(finals, state, strict=True):
                    kept.append(value)
            input = outputs[0] if len(outputs) == 1 else cat(outputs, dim=-1)
            if self.dropout and layer + 1 < self.num_layers:
                input = dropout(input, self.dropout, self.training)
        states = [stack(kept, dim=0) for kept in finals]
        if single:
            input, states = input.squeeze(1), [s.squeeze(1) for s in states]
        elif self.batch_first:
            input = transpose(input, 0, 1)
        return input, states[0] if self.states == 1 else tuple(states)

    def _packed(self, packed: Any, hx: Any) -> Any:
        """Sequences of different length: each step is of those that still run."""
        sizes = [int(n) for n in packed.batch_sizes.tolist()]
        data, batch = packed.data, sizes[0]
        if hx is not None and packed.sorted_indices is not None:
            given = [hx] if self.states == 1 else list(hx)
            sorted_ = [h[:, packed.sorted_indices] for h in given]
            hx = sorted_[0] if self.states == 1 else tuple(sorted_)
        firsts = self._start(data[None, :1].expand(1, batch, data.shape[-1]), hx, False)
        finals: list[list[Any]] = [[] for _ in range(self.states)]
        for layer in range(self.num_layers):
            outputs = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                at = layer * self.directions + direction
                output, state = self._run_packed(data, sizes, [f[at] for f in firsts], suffix, direction == 1)
                outputs.append(output)
                for kept, value in zip(finals, state, strict=True):
                    kept.append(value)
            data = outputs[0] if len(outputs) == 1 else cat(outputs, dim=-1)
            if self.dropout and layer + 1 < self.num_layers:
                data = dropout(data, self.dropout, self.training)
        states = [stack(kept, dim=0) for kept in finals]
        if packed.unsorted_indices is not None:
            states = [s[:, packed.unsorted_indices] for s in states]
        return packed._replace(data=data), states[0] if self.states == 1 else tuple(states)

    def _run_packed(
        self, data: Any, sizes: list[int], state: list[Any], suffix: str, backwards: bool
    ) -> tuple[Any, list[Any]]:  # fmt: skip
        before, bias = self._biases(suffix)
        mapped = linear(data, getattr(self, "weight_ih" + suffix), before)
        weight = getattr(self, "weight_hh" + suffix)
        outputs: list[Any] = []
        steps = list(zip(split(mapped, sizes), sizes, strict=True))
        for step, n in reversed(steps) if backwards else steps:
            fresh = self.step(step, weight, bias, [s[:n] for s in state])
            outputs.append(fresh[0])
            # Who has ended keeps its last state; backwards, who has not begun its first.
            state = [f if n == s.shape[0] else cat([f, s[n:]]) for f, s in zip(fresh, state, strict=True)]
        return cat(outputs[::-1] if backwards else outputs), state

    def _start(self, input: Any, hx: Any, single: bool) -> list[Any]:
        """The h (and c) to start with, each one for every layer and direction."""
        if not input.shape[0]:
            raise located(
                ValueError(
                    f"{type(self).__name__} needs at least one step, got an input of {list(input.shape)} "
                    "(steps, batch, features)"
                )
            )
        shape = (self.num_layers * self.directions, input.shape[1], self.hidden_size)
        if hx is None:
            # No layer is cut out of zeros: they are the same for all.
            return [[zeros(*shape[1:], dtype=input.dtype, device=input.device)] * shape[0]] * self.states
        if self.states > 1 and not (isinstance(hx, (tuple, list)) and len(hx) == self.states):
            what = f"{len(hx)} of them" if isinstance(hx, (tuple, list)) else type(hx).__name__
            raise located(
                TypeError(f"{type(self).__name__} takes the state to start with as a pair (h, c), got {what}")
            )
        given = [hx] if self.states == 1 else list(hx)
        if single:
            given = [h.unsqueeze(1) for h in given]
        for h in given:
            if tuple(h.shape) != shape:
                raise located(
                    ArgumentError(
                        f"the state to start with has to be {list(shape)} (layers · directions, batch, hidden), "
                        f"got {list(h.shape)}"
                    )
                )
        return given

    def _run(self, input: Any, state: list[Any], suffix: str, backwards: bool) -> tuple[Any, list[Any]]:
        """One layer in one direction: as one op, or, for those who watch, step by step."""
        weight_ih, weight_hh = getattr(self, "weight_ih" + suffix), getattr(self, "weight_hh" + suffix)
        before, within = self._biases(suffix)
        weights = weight_ih, weight_hh, before, within
        if self.whole(input, state, *weights):
            output, *state = self.sequence(input, state, *weights, backwards=backwards)
            return output, state
        mapped = linear(input, weight_ih, before)
        steps = list(unbind(mapped, 0))
        outputs = []
        for step in reversed(steps) if backwards else steps:
            state = self.step(step, weight_hh, within, state)
            outputs.append(state[0])
        return stack(outputs[::-1] if backwards else outputs, dim=0), state

    def whole(self, input: Any, states: list[Any], *weights: Any) -> bool:
        """Whether the sequence runs as one op: nobody watches, and it is the plain case that the op was made for.

        In the others the steps run one by one; it is they who say what is wrong with an argument.
        """
        kind = type(self)
        far = type(getattr(input, "array", None)) is not np.ndarray and kind.on_gpu
        # On a GPU the steps of those that have kernels are one op for everybody: one by one they would round otherwise.
        if (
            ((bus.active or thread.stepwise) and not far)
            or kind.step is not kind.single
            or not all(input.shape)
        ):
            return False
        rows, hidden = self.gates * self.hidden_size, self.hidden_size
        shapes = [(rows, input.shape[2]), (rows, hidden), *((rows,) for w in weights[2:] if w is not None)]
        arrays: list[Any] = [getattr(t, "array", None) for t in (input, *states, *weights) if t is not None]
        return (
            [w.shape for w in weights if w is not None] == shapes
            and all((type(array) is np.ndarray) is not far for array in arrays)
            and len({array.dtype for array in arrays}) == 1
            and arrays[0].dtype.char in "fd"
        )

    def sequence(self, input: Any, states: list[Any], *weights: Any, backwards: bool) -> Any:
        """All steps as one op: the output of each, and the last states."""
        raise located(NotImplementedError(f"{type(self).__name__} has no sequence"))

    def _biases(self, suffix: str) -> tuple[Any, Any]:
        """What is added to the mapped input, for all steps at once, and in each step."""
        if not self.bias:
            return None, None
        from_input, from_state = getattr(self, "bias_ih" + suffix), getattr(self, "bias_hh" + suffix)
        return (from_input, from_state) if self.keeps_apart else (from_input + from_state, None)

    def step(self, from_input: Any, weight: Any, bias: Any, state: list[Any]) -> list[Any]:
        """The next state from the mapped input, and the map of the state."""
        raise located(NotImplementedError(f"{type(self).__name__} has no step"))

    def extra_repr(self) -> str:
        """The sizes, and what is not as usual."""
        text = f"{self.input_size}, {self.hidden_size}"
        for name, usual in (
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0.0),
            ("bidirectional", False),
        ):
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)}"
        return text


class RNN(_Recurrent):
    """A plain recurrent network: h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
        bias: bool = True, batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        if nonlinearity not in ("tanh", "relu"):
            raise located(ValueError(f'nonlinearity is "tanh" or "relu", got {nonlinearity!r}'))
        self.nonlinearity = nonlinearity
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype
        )

    def step(self, from_input: Any, weight: Any, bias: Any, state: list[Any]) -> list[Any]:
        """The next state from the mapped input, and the map of the state."""
        from_state = linear(state[0], weight, bias)
        return [(tanh if self.nonlinearity == "tanh" else relu)(from_input + from_state)]

    single = step

    def sequence(self, input: Any, states: list[Any], *weights: Any, backwards: bool) -> Any:
        """All steps as one op: the output of each, and the last state."""
        weight_ih, weight_hh, bias, _ = weights
        return rnn(input, states[0], weight_ih, weight_hh, bias, self.nonlinearity, backwards)


class LSTM(_Recurrent):
    """A long short-term memory (Hochreiter and Schmidhuber 1997, with forget gates); gates i, f, g, o."""

    gates, states = 4, 2
    on_gpu = True

    def step(self, from_input: Any, weight: Any, bias: Any, state: list[Any]) -> list[Any]:
        """The next state from the mapped input, and the map of the state."""
        return list(lstm_cell(from_input, state[0], state[1], None, weight, None, bias))

    single = step

    def sequence(self, input: Any, states: list[Any], *weights: Any, backwards: bool) -> Any:
        """All steps as one op: the output of each, and the last states."""
        h, c = states
        weight_ih, weight_hh, bias, _ = weights
        return lstm(input, h, c, weight_ih, weight_hh, bias, backwards)


class GRU(_Recurrent):
    """A gated recurrent unit (Cho et al. 2014); gates r, z, n."""

    gates = 3
    keeps_apart = True

    def step(self, from_input: Any, weight: Any, bias: Any, state: list[Any]) -> list[Any]:
        """The next state from the mapped input, and the map of the state."""
        return [gru_cell(from_input, linear(state[0], weight, bias), state[0])]

    single = step

    def sequence(self, input: Any, states: list[Any], *weights: Any, backwards: bool) -> Any:
        """All steps as one op: the output of each, and the last state."""
        weight_ih, weight_hh, before, within = weights
        return gru(input, states[0], weight_ih, weight_hh, before, within, backwards)


def pad_sequence(
    sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences [steps, ...] of different length in one tensor [steps, batch, ...], `padding_value` at the ends.

    With `padding_side="left"` it is at their starts. Raises `ValueError` for no sequences, and another side.
    """
    if padding_side not in ("left", "right"):
        raise located(
            ValueError(f"pad_sequence: padding_side has to be 'left' or 'right', got {padding_side!r}")
        )
    given = list(sequences)
    if not given:
        raise located(ValueError("pad_sequence needs at least one sequence"))
    longest = max(s.shape[0] for s in given)
    rows = []
    for s in given:
        missing = longest - s.shape[0]
        if missing:
            fill = zeros(missing, *s.shape[1:], dtype=s.dtype, device=s.device) + padding_value
            parts = [s, fill.to(s.dtype)]
            s = cat(parts if padding_side == "right" else parts[::-1], dim=0)
        rows.append(s)
    return stack(rows, dim=0 if batch_first else 1)
