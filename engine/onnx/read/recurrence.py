"""ONNX's RNN, LSTM and GRU: one engine node for each step and gate."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import engine as ds
from engine.onnx.read.step import READ, Step, Unreadable, plain

# Each activation: what it does of (x, alpha, beta), and what these are where the file does not say (None: it has none).
ACTIVATIONS: dict[str, tuple[Callable[..., Any], float | None, float | None]] = {
    "sigmoid": (lambda x, a, b: ds.sigmoid(x), None, None),
    "tanh": (lambda x, a, b: ds.tanh(x), None, None),
    "relu": (lambda x, a, b: ds.relu(x), None, None),
    "softsign": (lambda x, a, b: ds.softsign(x), None, None),
    "softplus": (lambda x, a, b: ds.softplus(x), None, None),
    "elu": (lambda x, a, b: ds.elu(x, a), 1.0, None),
    "leakyrelu": (lambda x, a, b: ds.leaky_relu(x, a), 0.01, None),
    "thresholdedrelu": (lambda x, a, b: ds.where(x > a, x, ds.zeros_like(x)), 1.0, None),
    "affine": (lambda x, a, b: x * a + b, 1.0, 0.0),
    "scaledtanh": (lambda x, a, b: ds.tanh(x * b) * a, 1.0, 1.0),
    "hardsigmoid": (lambda x, a, b: ds.clamp(x * a + b, 0.0, 1.0), 0.2, 0.5),
}
USUAL = {"RNN": ["Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}
DIRECTIONS = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}


def _activations(s: Step, names: list[str]) -> list[Any]:
    """The functions of these names; alpha and beta go to those that have one, in order."""
    alphas, betas = iter(s.attr("activation_alpha") or ()), iter(s.attr("activation_beta") or ())
    made = []
    for name in names:
        if name.lower() not in ACTIVATIONS:
            raise Unreadable(f"the activation {name!r}")
        function, alpha, beta = ACTIVATIONS[name.lower()]
        a = alpha if alpha is None else next(alphas, alpha)
        b = beta if beta is None else next(betas, beta)
        made.append(_clipped(partial(function, a=a, b=b), s.attr("clip")))
    return made


def _clipped(function: Any, most: float | None) -> Any:
    return function if not most else lambda x: function(ds.clamp(x, -most, most))


def _sequence(kind: str) -> Any:
    def read(s: Step) -> Any:
        x, weight, loop, bias, lengths, h0 = (s.get(i) for i in range(6))
        turned = bool(s.attr("layout", 0))
        c0 = s.get(6) if kind == "LSTM" else None
        if turned:
            x = ds.transpose(x, 0, 1)
            h0, c0 = (None if v is None else ds.transpose(v, 0, 1) for v in (h0, c0))
        size, usual = loop.shape[-1], USUAL[kind]
        directions = DIRECTIONS[s.attr("direction", "forward")]
        names = [
            a.decode() if isinstance(a, bytes) else a
            for a in s.attr("activations") or usual * len(directions)
        ]
        functions = _activations(s, names)
        ended = None if lengths is None else np.arange(x.shape[0])[:, None, None] >= lengths.array[:, None]
        outs, finals, cells = [], [], []
        for d, backwards in enumerate(directions):
            own = functions[d * len(usual) : (d + 1) * len(usual)]
            zero = ds.zeros(x.shape[1], size, dtype=x.dtype)
            h, c = (zero if start is None else start[d] for start in (h0, c0))
            peep = s.get(7)[d] if kind == "LSTM" and s.get(7) is not None else None
            b = None if bias is None else bias[d]
            steps = []
            times = range(x.shape[0])
            for t in reversed(times) if backwards else times:
                new, cell = CELLS[kind](s, x[t], h, c, weight[d], loop[d], b, peep, own, size)
                if (
                    ended is not None and ended[t].any()
                ):  # a sequence that has ended keeps its state and gives 0
                    over = plain(ended[t])
                    steps.append(ds.where(over, zero, new))
                    new, cell = ds.where(over, h, new), ds.where(over, c, cell)
                else:
                    steps.append(new)
                h, c = new, cell
            outs.append(ds.stack(steps[::-1] if backwards else steps))
            finals.append(h)
            cells.append(c)
        y, y_h, y_c = ds.stack(outs, 1), ds.stack(finals), ds.stack(cells)
        if turned:
            y, y_h, y_c = ds.permute(y, (2, 0, 1, 3)), ds.transpose(y_h, 0, 1), ds.transpose(y_c, 0, 1)
        return [y, y_h, y_c]

    return read


def _rnn_cell(s: Step, x: Any, h: Any, c: Any, w: Any, r: Any, b: Any, peep: Any, f: Any, n: int) -> Any:
    first, second = (None, None) if b is None else (b[:n], b[n:])
    return f[0](ds.linear(x, w, first) + ds.linear(h, r, second)), c


def _lstm_cell(s: Step, x: Any, h: Any, c: Any, w: Any, r: Any, b: Any, peep: Any, f: Any, n: int) -> Any:
    first, second = (None, None) if b is None else (b[: 4 * n], b[4 * n :])
    gates = ds.linear(x, w, first) + ds.linear(h, r, second)
    i, o, forget, g = (gates[:, k * n : (k + 1) * n] for k in range(4))
    if peep is not None:
        i, forget = i + peep[:n] * c, forget + peep[2 * n :] * c
    taken = f[0](i)
    kept = 1 - taken if s.attr("input_forget", 0) else f[0](forget)
    c = kept * c + taken * f[1](g)
    if peep is not None:
        o = o + peep[n : 2 * n] * c
    return f[0](o) * f[2](c), c


def _gru_cell(s: Step, x: Any, h: Any, c: Any, w: Any, r: Any, b: Any, peep: Any, f: Any, n: int) -> Any:
    first, second = (None, None) if b is None else (b[: 3 * n], b[3 * n :])
    to, back = ds.linear(x, w, first), ds.linear(h, r[: 2 * n], None if second is None else second[: 2 * n])
    z, reset = f[0](to[:, :n] + back[:, :n]), f[0](to[:, n : 2 * n] + back[:, n:])
    last = None if second is None else second[2 * n :]
    if s.attr("linear_before_reset", 0):
        fresh = f[1](to[:, 2 * n :] + reset * ds.linear(h, r[2 * n :], last))
    else:
        fresh = f[1](to[:, 2 * n :] + ds.linear(reset * h, r[2 * n :], last))
    return (1 - z) * fresh + z * h, c


CELLS = {"RNN": _rnn_cell, "LSTM": _lstm_cell, "GRU": _gru_cell}
for _kind in CELLS:
    READ[_kind] = _sequence(_kind)
