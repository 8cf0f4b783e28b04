"""The functional programs in JAX, compiled as JAX compiles a step."""

from __future__ import annotations

import importlib
from typing import Any

from dsviz.bench.functional import program
from dsviz.bench.workloads import Step


class Functions:
    """What the programs are written against; images are [samples, height, width, channels]."""

    def __init__(self) -> None:
        jax: Any = importlib.import_module("jax")
        jnp: Any = importlib.import_module("jax.numpy")
        self.jax, self.jnp = jax, jnp
        self.transpose, self.reshape, self.stack, self.zeros = (
            jnp.transpose,
            jnp.reshape,
            jnp.stack,
            jnp.zeros,
        )
        self.tanh, self.sigmoid, self.relu, self.softmax = (
            jnp.tanh,
            jax.nn.sigmoid,
            jax.nn.relu,
            jax.nn.softmax,
        )
        self.sum, self.mean = jnp.sum, jnp.mean

    def cross_entropy(self, scores: Any, target: Any) -> Any:
        """Mean over the samples."""
        logs = self.jax.nn.log_softmax(scores)
        return -self.jnp.mean(self.jnp.take_along_axis(logs, target[:, None], axis=1))

    def layer_norm(self, x: Any, weight: Any, bias: Any) -> Any:
        """Over the last dimension."""
        mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) * self.jax.lax.rsqrt(var + 1e-5) * weight + bias

    def batch_norm(self, x: Any, weight: Any, bias: Any) -> Any:
        """Of the batch, as in training."""
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return (x - mean) * self.jax.lax.rsqrt(var + 1e-5) * weight + bias

    def conv(self, x: Any, weight: Any, stride: int, padding: int) -> Any:
        """`weight` is [height, width, in, out]."""
        return self.jax.lax.conv_general_dilated(
            x, weight, (stride, stride), [(padding, padding)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def max_pool(self, x: Any) -> Any:
        """3 by 3, stride 2, padding 1."""
        padding = [(0, 0), (1, 1), (1, 1), (0, 0)]
        return self.jax.lax.reduce_window(
            x, -self.jnp.inf, self.jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), padding
        )


def build(workload: str) -> Step:
    """The step of a workload."""
    F = Functions()
    jax, jnp = F.jax, F.jnp
    made = program(workload)
    parameters = {name: jnp.asarray(value) for name, value in made.parameters.items()}
    speeds = {name: jnp.zeros_like(value) for name, value in parameters.items()} if made.momentum else {}
    batch = [jnp.asarray(value) for value in made.batch]

    @jax.jit  # type: ignore[untyped-decorator]
    def update(p: Any, v: Any, batch: Any) -> Any:
        loss, g = jax.value_and_grad(lambda p: made.loss(F, p, *batch))(p)
        if made.momentum:
            g = v = {name: made.momentum * v[name] + g[name] for name in p}
        return loss, {name: p[name] - made.lr * g[name] for name in p}, v

    def step() -> float:
        nonlocal parameters, speeds
        loss, parameters, speeds = update(parameters, speeds, batch)
        return float(loss)

    return step
