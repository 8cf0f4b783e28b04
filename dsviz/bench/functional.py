"""The same programs for frameworks whose models are functions of their parameters: JAX and TensorFlow.

Each is written once against the few functions `F` that `in_jax` and `in_tensorflow` give; weights and batches are
those of `workloads`, by the names that the modules have there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import dsviz
from dsviz.bench import resnet, workloads


class Program(NamedTuple):
    """`loss(F, parameters, *batch)` is what is trained by SGD on `parameters` (NumPy arrays by name)."""

    loss: Callable[..., Any]
    parameters: dict[str, Any]
    batch: tuple[Any, ...]
    lr: float = 0.01
    momentum: float = 0.0


def program(name: str) -> Program:
    """The program of a workload."""
    if name == "chain":
        return Program(_chain, {"x": _batch(8)}, (), lr=0.0)
    if name == "mlp":
        return Program(_mlp, _weights(workloads.mlp_model), (_batch(32, 784), _classes(10, 32)))
    if name in ("lstm-1", "lstm-32"):
        x = _batch(workloads.STEPS, int(name[5:]), workloads.HIDDEN)
        return Program(_lstm, _weights(workloads.lstm_model), (x,))
    if name == "transformer":
        return Program(_transformer, _weights(workloads.transformer_model), (_batch(8, 128, 256),))
    if workloads.plain_name(name) == "resnet50":
        size = workloads.found(name).parts
        images = np.ascontiguousarray(_batch(size, 3, 224, 224).transpose(0, 2, 3, 1))
        return Program(_resnet, _weights(workloads.resnet50_model), (images, _classes(1000, size)), 0.001, 0.9)  # fmt: skip
    raise ValueError(f"there is no functional program {name!r}")


def _weights(model: Callable[[Any], Any]) -> dict[str, Any]:
    return {name: p.numpy(force=True) for name, p in model(dsviz).named_parameters()}


def _batch(*shape: int) -> Any:
    return workloads.batch(dsviz, *shape).numpy()


def _classes(count: int, *shape: int) -> Any:
    return workloads.classes(dsviz, count, *shape).numpy()


def _linear(F: Any, p: Any, name: str, x: Any) -> Any:
    return x @ F.transpose(p[name + "weight"], (1, 0)) + p[name + "bias"]


def _chain(F: Any, p: Any) -> Any:
    y = x = p["x"]
    for _ in range(workloads.CHAIN):
        y = y * 0.999 + x
    return F.sum(y)


def _mlp(F: Any, p: Any, x: Any, y: Any) -> Any:
    return F.cross_entropy(_linear(F, p, "2.", F.relu(_linear(F, p, "0.", x))), y)


def _lstm(F: Any, p: Any, x: Any) -> Any:
    mapped = x @ F.transpose(p["weight_ih_l0"], (1, 0)) + (p["bias_ih_l0"] + p["bias_hh_l0"])
    back = F.transpose(p["weight_hh_l0"], (1, 0))
    size = workloads.HIDDEN
    h = c = F.zeros((x.shape[1], size))
    out = []
    for t in range(x.shape[0]):
        gates = mapped[t] + h @ back
        i, f, g, o = (gates[:, k * size : (k + 1) * size] for k in range(4))
        c = F.sigmoid(f) * c + F.sigmoid(i) * F.tanh(g)
        h = F.sigmoid(o) * F.tanh(c)
        out.append(h)
    every = F.stack(out)
    return F.mean(every * every)


def _transformer(F: Any, p: Any, x: Any) -> Any:
    batch, tokens, width = x.shape
    heads = workloads.HEADS
    for layer in ("layers.0.", "layers.1."):
        mapped = (
            x @ F.transpose(p[layer + "self_attn.in_proj_weight"], (1, 0))
            + p[layer + "self_attn.in_proj_bias"]
        )
        parts = F.transpose(F.reshape(mapped, (batch, tokens, 3, heads, width // heads)), (2, 0, 3, 1, 4))
        scores = parts[0] @ F.transpose(parts[1], (0, 1, 3, 2)) * (width // heads) ** -0.5
        seen = F.transpose(F.softmax(scores) @ parts[2], (0, 2, 1, 3))
        x = x + _linear(F, p, layer + "self_attn.out_proj.", F.reshape(seen, (batch, tokens, width)))
        x = F.layer_norm(x, p[layer + "norm1.weight"], p[layer + "norm1.bias"])
        x = x + _linear(F, p, layer + "linear2.", F.relu(_linear(F, p, layer + "linear1.", x)))
        x = F.layer_norm(x, p[layer + "norm2.weight"], p[layer + "norm2.bias"])
    return F.mean(x * x)


def _normed(F: Any, p: Any, conv: str, norm: str, x: Any, stride: int = 1, padding: int = 0) -> Any:
    out = F.conv(x, F.transpose(p[conv + "weight"], (2, 3, 1, 0)), stride, padding)
    return F.batch_norm(out, p[norm + "weight"], p[norm + "bias"])


def _resnet(F: Any, p: Any, x: Any, y: Any) -> Any:
    x = F.max_pool(F.relu(_normed(F, p, "0.", "1.", x, 2, 3)))
    number = 4
    for stage, (_, count) in enumerate(resnet.STAGES):
        for block in range(count):
            at, stride = f"{number}.", 2 if stage and not block else 1
            out = F.relu(_normed(F, p, at + "conv1.", at + "bn1.", x))
            out = F.relu(_normed(F, p, at + "conv2.", at + "bn2.", out, stride, 1))
            out = _normed(F, p, at + "conv3.", at + "bn3.", out)
            if at + "downsample.0.weight" in p:
                x = _normed(F, p, at + "downsample.0.", at + "downsample.1.", x, stride)
            x = F.relu(out + x)
            number += 1
    return F.cross_entropy(_linear(F, p, f"{number + 2}.", F.mean(x, (1, 2))), y)
