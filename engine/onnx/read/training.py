"""The optimizer steps of the domain ai.onnx.preview.training: rate, count of steps, then parameters, gradients and states."""

from __future__ import annotations

from typing import Any

import engine as ds
from engine.onnx.read.step import Step, reads


def _groups(s: Step, states: int) -> list[tuple[Any, ...]]:
    """For each parameter it, its gradient and its states."""
    count = (len(s.inputs) - 2) // (2 + states)
    return [tuple(s.inputs[2 + k * count + i] for k in range(2 + states)) for i in range(count)]


def _by_kind(groups: list[tuple[Any, ...]]) -> list[Any]:
    return [value for kind in zip(*groups, strict=True) for value in kind]


@reads("ai.onnx.preview.training.Adagrad")
def _adagrad(s: Step) -> Any:
    rate, count = s.inputs[:2]
    rate = rate / (1 + count.to(dtype=rate.dtype) * s.attr("decay_factor", 0.0))
    made = []
    for x, g, squares in _groups(s, 1):
        g = g + x * s.attr("norm_coefficient", 0.0)
        squares = squares + g * g
        made.append((x - rate * g / (ds.sqrt(squares) + s.attr("epsilon", 0.0)), squares))
    return _by_kind(made)


@reads("ai.onnx.preview.training.Momentum")
def _momentum(s: Step) -> Any:
    rate, count = s.inputs[:2]
    alpha = s.attributes["alpha"]
    beta = s.attributes["beta"] if int(count.array) > 0 else 1.0
    made = []
    for x, g, speed in _groups(s, 1):
        g = g + x * s.attributes["norm_coefficient"]
        speed = speed * alpha + g * beta
        made.append((x - rate * (g + speed * alpha if s.attr("mode") == "nesterov" else speed), speed))
    return _by_kind(made)


@reads("ai.onnx.preview.training.Adam")
def _adam(s: Step) -> Any:
    rate, count = s.inputs[:2]
    alpha, beta, steps = s.attr("alpha", 0.9), s.attr("beta", 0.999), int(count.array)
    if steps > 0:
        rate = rate * ((1 - beta**steps) ** 0.5 / (1 - alpha**steps))
    made = []
    for x, g, mean, squares in _groups(s, 2):
        g = g + x * s.attr("norm_coefficient", 0.0)
        mean = mean * alpha + g * (1 - alpha)
        squares = squares * beta + g * g * (1 - beta)
        x = x - rate * mean / (ds.sqrt(squares) + s.attr("epsilon", 0.0))
        made.append((x * (1 - s.attr("norm_coefficient_post", 0.0)), mean, squares))
    return _by_kind(made)
