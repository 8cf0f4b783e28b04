"""RNN, LSTM and GRU as one ONNX node each: their loop over time has no fixed length in a file.

While a model is traced for export, these modules run as one op whose forward is the module's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from engine.creation import zeros
from engine.custom import inside
from engine.dispatch import apply
from engine.nn.sequence import _Recurrent
from engine.onnx.lower import lowers
from engine.onnx.writer import Unsupported, Writer
from engine.op import Op
from engine.program import HIDDEN, Call, Ref
from engine.tensor import Tensor

# ONNX wants i, o, f, c of an LSTM's gates and z, r, h of a GRU's; ours are PyTorch's i, f, g, o and r, z, n.
ORDER = {"RNN": (0,), "LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}

_original = _Recurrent.forward


def _forward(xp: Any, input: Any, *rest: Any, module: Any) -> Any:
    states = [Tensor(s) for s in rest[: module.states]]
    with inside():
        out, state = _original(module, Tensor(input), states[0] if module.states == 1 else tuple(states))
    finals = [state] if module.states == 1 else list(state)
    return out.array, *(s.array for s in finals)


SEQUENCE = Op(
    "recurrent sequence",
    _forward,
    family="other",
    shape=lambda *_, **__: None,
    dtype=lambda *_, **__: None,
    vjp=None,
    arg_names=("input", "state"),
    outputs=None,
    doc="A recurrent module over a whole sequence, for export.",
)
HIDDEN[SEQUENCE.name] = SEQUENCE


@contextmanager
def whole_sequences() -> Iterator[None]:
    """Within this, recurrent modules are one op."""

    def forward(self: Any, input: Any, hx: Any = None) -> Any:
        batch = input.shape[0 if self.batch_first else 1] if len(input.shape) == 3 else 1
        layers = self.num_layers * self.directions
        if hx is None:
            hx = tuple(zeros(layers, batch, self.hidden_size, dtype=input.dtype) for _ in range(self.states))
        given = [hx] if isinstance(hx, Tensor) else list(hx)
        out, *states = apply(SEQUENCE, (input, *given, *self.parameters()), {"module": self})
        return out, states[0] if self.states == 1 else tuple(states)

    _Recurrent.forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        _Recurrent.forward = _original  # type: ignore[method-assign]


@lowers("recurrent sequence")
def _sequence(w: Writer, call: Call) -> Any:
    module = call.kwargs["module"]
    kind = type(module).__name__ if type(module).__name__ in ORDER else "RNN"
    input, *rest = call.args
    if len(w.shape_of(input)) != 3:
        raise Unsupported("a sequence without a batch dimension")
    states, weights = rest[: module.states], rest[module.states :]
    parameters = dict(zip([n for n, _ in module.named_parameters()], weights, strict=True))
    x = w.arg(input)
    if module.batch_first:
        x = w.add("Transpose", [x], perm=[1, 0, 2])
    finals: list[list[str]] = [[] for _ in range(module.states)]
    for layer in range(module.num_layers):
        suffixes = module._suffixes(layer)

        def joined(name: str, suffixes: list[str] = suffixes) -> str:
            return w.constant(np.stack([_ordered(w, parameters[name + s], kind) for s in suffixes]))

        bias = w.constant(
            np.stack(
                [
                    np.concatenate([_ordered(w, parameters[f"bias_{part}{s}"], kind) for part in ("ih", "hh")])
                    for s in suffixes
                ]
            )
        ) if module.bias else ""  # fmt: skip
        first = layer * module.directions
        begin = [
            w.add("Slice", [w.arg(s), w.ints([first]), w.ints([first + module.directions]), w.ints([0])])
            for s in states
        ]
        more: dict[str, Any] = {"linear_before_reset": 1} if kind == "GRU" else {}
        if kind == "RNN":
            more["activations"] = [module.nonlinearity.capitalize()] * module.directions
        made = w.add(
            kind, [x, joined("weight_ih"), joined("weight_hh"), bias, "", *begin], outputs=1 + module.states,
            hidden_size=module.hidden_size, direction="bidirectional" if module.bidirectional else "forward", **more,
        )  # fmt: skip
        # [steps, directions, batch, hidden] to [steps, batch, directions * hidden]
        turned = w.add("Transpose", [made[0]], perm=[0, 2, 1, 3])
        x = w.add("Reshape", [turned, w.ints([0, 0, -1])])
        for kept, name in zip(finals, made[1:], strict=True):
            kept.append(name)
    if module.batch_first:
        x = w.add("Transpose", [x], perm=[1, 0, 2])
    return [x, *(kept[0] if len(kept) == 1 else w.add("Concat", kept, axis=0) for kept in finals)]


def _ordered(w: Writer, ref: Ref, kind: str) -> Any:
    array = w.arrays[ref.number]
    parts = np.split(array, len(ORDER[kind]))
    return np.concatenate([parts[i] for i in ORDER[kind]])


@lowers("lstm_cell")
def _cell(w: Writer, call: Call) -> Any:
    input, h, c, weight_ih, weight_hh, bias_ih, bias_hh = call.args

    def mapped(x: Any, weight: Any, bias: Any) -> str:
        turned = w.add("Transpose", [w.arg(weight)], perm=[1, 0])
        made = str(w.add("MatMul", [w.arg(x), turned]))
        return made if bias is None else str(w.add("Add", [made, w.arg(bias)]))

    gates = w.add(
        "Add",
        [
            w.arg(input) if weight_ih is None else mapped(input, weight_ih, bias_ih),
            mapped(h, weight_hh, bias_hh),
        ],
    )
    i, f, g, o = w.add("Split", [gates], outputs=4, axis=-1, num_outputs=4)
    kept = w.add("Mul", [w.add("Sigmoid", [f]), w.arg(c)])
    new = w.add("Mul", [w.add("Sigmoid", [i]), w.add("Tanh", [g])])
    cell = w.add("Add", [kept, new])
    return [w.add("Mul", [w.add("Sigmoid", [o]), w.add("Tanh", [cell])]), cell]


@lowers("gru_cell")
def _gru_cell(w: Writer, call: Call) -> Any:
    from_input, from_state, h = (w.arg(part) for part in call.args)
    ir, iz, i_new = w.add("Split", [from_input], outputs=3, axis=-1, num_outputs=3)
    hr, hz, h_new = w.add("Split", [from_state], outputs=3, axis=-1, num_outputs=3)
    r, z = (w.add("Sigmoid", [w.add("Add", [a, b])]) for a, b in ((ir, hr), (iz, hz)))
    new = w.add("Tanh", [w.add("Add", [i_new, w.add("Mul", [r, h_new])])])
    return w.add("Add", [new, w.add("Mul", [z, w.add("Sub", [h, new])])])
