"""The functional programs in TensorFlow, traced as `tf.function` traces a step."""

from __future__ import annotations

import importlib
from typing import Any

from dsviz.bench.functional import program
from dsviz.bench.workloads import Step


class Functions:
    """What the programs are written against; images are [samples, height, width, channels]."""

    def __init__(self) -> None:
        tf: Any = importlib.import_module("tensorflow")
        self.tf = tf
        self.transpose, self.reshape, self.stack, self.zeros = tf.transpose, tf.reshape, tf.stack, tf.zeros
        self.tanh, self.sigmoid, self.relu, self.softmax = tf.tanh, tf.sigmoid, tf.nn.relu, tf.nn.softmax
        self.sum, self.mean = tf.reduce_sum, tf.reduce_mean

    def cross_entropy(self, scores: Any, target: Any) -> Any:
        """Mean over the samples."""
        return self.mean(self.tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=scores))

    def layer_norm(self, x: Any, weight: Any, bias: Any) -> Any:
        """Over the last dimension."""
        mean, var = self.tf.nn.moments(x, [-1], keepdims=True)
        return self.tf.nn.batch_normalization(x, mean, var, bias, weight, 1e-5)

    def batch_norm(self, x: Any, weight: Any, bias: Any) -> Any:
        """Of the batch, as in training."""
        return self.tf.compat.v1.nn.fused_batch_norm(x, weight, bias, epsilon=1e-5)[0]

    def conv(self, x: Any, weight: Any, stride: int, padding: int) -> Any:
        """`weight` is [height, width, in, out]."""
        around = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
        return self.tf.nn.conv2d(x, weight, stride, around)

    def max_pool(self, x: Any) -> Any:
        """3 by 3, stride 2, padding 1."""
        return self.tf.nn.max_pool2d(x, 3, 2, [[0, 0], [1, 1], [1, 1], [0, 0]])


def build(workload: str) -> Step:
    """The step of a workload."""
    F = Functions()
    tf = F.tf
    made = program(workload)
    parameters = {name: tf.Variable(value) for name, value in made.parameters.items()}
    speeds = {name: tf.Variable(tf.zeros_like(value)) for name, value in parameters.items()} if made.momentum else {}  # fmt: skip
    batch = [tf.constant(value) for value in made.batch]

    @tf.function  # type: ignore[untyped-decorator]
    def update() -> Any:
        with tf.GradientTape() as tape:
            loss = made.loss(F, {name: tf.convert_to_tensor(p) for name, p in parameters.items()}, *batch)
        for (name, p), g in zip(
            parameters.items(), tape.gradient(loss, list(parameters.values())), strict=True
        ):
            if made.momentum:
                g = speeds[name].assign(made.momentum * speeds[name] + g)
            p.assign_sub(made.lr * g)
        return loss

    def step() -> float:
        return float(update())

    return step
