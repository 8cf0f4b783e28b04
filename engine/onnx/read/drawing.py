"""Random numbers. With a `seed` of its own a node draws the same each time it runs; without one from the engine's generator."""

from __future__ import annotations

from typing import Any

import numpy as np

import engine as ds
from engine.onnx.read.step import Step, kind_of, plain, reads


def uniform(s: Step, shape: Any) -> Any:
    """Numbers between 0 and 1 in float64."""
    if "seed" in s.attributes:
        return np.random.RandomState(int(s.attributes["seed"])).uniform(size=tuple(shape))
    return ds.rand(*shape, dtype="float64").array


def _normal(s: Step, shape: Any) -> Any:
    if "seed" in s.attributes:
        return np.random.RandomState(int(s.attributes["seed"])).normal(size=tuple(shape))
    return ds.randn(*shape, dtype="float64").array


def _kind(s: Step, default: Any) -> Any:
    return kind_of(s.attributes["dtype"]) if s.attributes.get("dtype") else default


def _like(s: Step) -> tuple[Any, Any]:
    """The shape and type a node asks for: its own, or those of its input."""
    if s.inputs:
        return s.inputs[0].shape, _kind(s, s.inputs[0].dtype)
    return tuple(s.attributes["shape"]), _kind(s, np.dtype("float32"))


@reads("RandomUniform", "RandomUniformLike")
def _random_uniform(s: Step) -> Any:
    shape, kind = _like(s)
    low, high = s.attr("low", 0.0), s.attr("high", 1.0)
    return plain((low + (high - low) * uniform(s, shape)).astype(kind))


@reads("RandomNormal", "RandomNormalLike")
def _random_normal(s: Step) -> Any:
    shape, kind = _like(s)
    return plain((s.attr("mean", 0.0) + s.attr("scale", 1.0) * _normal(s, shape)).astype(kind))


@reads("Bernoulli")
def _bernoulli(s: Step) -> Any:
    share = s.inputs[0]
    return plain((uniform(s, share.shape) < share.array).astype(_kind(s, share.dtype)))


@reads("Multinomial")
def _multinomial(s: Step) -> Any:
    logs = s.inputs[0].array.astype(np.float64)
    shares = np.exp(logs - logs.max(-1, keepdims=True)).cumsum(-1)
    drawn = uniform(s, (logs.shape[0], int(s.attr("sample_size", 1)))) * shares[:, -1:]
    return plain((drawn[..., None] > shares[:, None, :]).sum(-1).astype(_kind(s, np.dtype("int32"))))


@reads("Dropout")
def _dropout(s: Step) -> Any:
    x, ratio, training = s.inputs[0], s.get(1), s.get(2)
    p = float(ratio.array) if ratio is not None else float(s.attr("ratio", 0.5))
    if training is None or not bool(training.array) or p == 0:
        return [x, plain(np.ones(x.shape, bool))]
    kept = uniform(s, x.shape) >= p
    return [x * plain((kept / (1 - p)).astype(x.dtype)), plain(kept)]
