"""Support vector machines (domain ai.onnx.ml): products with the support vectors, and the votes of each pair of classes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import engine as ds
from engine.onnx.read.learned import classified, labels_of, transformed
from engine.onnx.read.step import Step, Unreadable, plain, reads


def _kernel(s: Step, x: Any, vectors: Any) -> Any:
    """How near each row is to each vector."""
    gamma, shift, degree = (*s.attr("kernel_params", []), 0.0, 0.0, 0.0)[:3]
    kind = s.attr("kernel_type", "LINEAR")
    if kind == "RBF":
        away = x.unsqueeze(1) - vectors
        return ds.exp(-gamma * ds.sum(away * away, -1))
    products = ds.matmul(x, vectors.T)
    match kind:
        case "LINEAR":
            return products
        case "POLY":
            return (gamma * products + shift) ** degree
        case "SIGMOID":
            return ds.tanh(gamma * products + shift)
    raise Unreadable(f"the kernel {kind!r}")


def _array(s: Step, name: str) -> Any:
    return np.asarray(s.attributes.get(name, []), np.float32)


@reads("ai.onnx.ml.SVMRegressor")
def _regressor(s: Step) -> Any:
    x, count = s.inputs[0].to(dtype="float32"), int(s.attr("n_supports", 0))
    weights, rho = _array(s, "coefficients"), _array(s, "rho")
    near = _kernel(s, x, plain(_array(s, "support_vectors").reshape(count, -1))) if count else x
    made = ds.matmul(near, plain(weights.reshape(-1, 1))) + plain(rho[:1])
    if s.attr("one_class", 0):
        return plain(np.where(made.array > 0, 1, -1).astype(np.float32))
    return transformed(made, s.attr("post_transform", "NONE"))


@reads("ai.onnx.ml.SVMClassifier")
def _classifier(s: Step) -> Any:
    x, labels = s.inputs[0].to(dtype="float32"), labels_of(s)
    per_class = list(s.attr("vectors_per_class", []))
    weights, rho, how = _array(s, "coefficients"), _array(s, "rho"), s.attr("post_transform", "NONE")
    if not per_class:  # no support vectors: the coefficients are the classes' own
        made = _kernel(s, x, plain(weights.reshape(-1, x.shape[-1]))) + plain(rho[:1])
        return classified(made, labels, how)
    near = _kernel(s, x, plain(_array(s, "support_vectors").reshape(sum(per_class), -1)))
    table = weights.reshape(len(per_class) - 1, -1)
    starts = np.cumsum([0, *per_class])
    pairs = list(itertools.combinations(range(len(per_class)), 2))
    decisions = []
    for (i, j), shift in zip(pairs, rho, strict=True):
        first, second = slice(starts[i], starts[i + 1]), slice(starts[j], starts[j + 1])
        one = ds.matmul(near[:, first], plain(table[j - 1, first]))
        other = ds.matmul(near[:, second], plain(table[i, second]))
        decisions.append(one + other + float(shift))
    made = ds.stack(decisions, 1)
    first, second = _array(s, "prob_a"), _array(s, "prob_b")
    if first.size:
        shares = _coupled(
            1 / (1 + np.exp(made.array.astype(np.float64) * first + second)), pairs, len(per_class)
        )
        return [plain(labels[shares.argmax(1)]), plain(shares.astype(np.float32))]
    votes = np.zeros((x.shape[0], len(per_class)))
    for k, (i, j) in enumerate(pairs):
        won = made.array[:, k] > 0
        votes[:, i] += won
        votes[:, j] += ~won
    scores = transformed(made if len(pairs) > 1 else ds.cat([-made, made], 1), how)
    return [plain(labels[votes.argmax(1)]), scores]


def _coupled(pairwise: Any, pairs: list[tuple[int, int]], count: int) -> Any:
    """The probability of each class from those of each pair (Wu, Lin, Weng 2004, algorithm 2), all rows at once.

    It ends where libsvm, and with it scikit-learn and onnxruntime, end it: at an error of 0.005 divided by the classes.
    """
    r = np.zeros((len(pairwise), count, count))
    for k, (i, j) in enumerate(pairs):
        r[:, i, j] = np.clip(pairwise[:, k], 1e-7, 1 - 1e-7)
        r[:, j, i] = 1 - r[:, i, j]
    q = -(np.swapaxes(r, 1, 2) * r)
    at = np.arange(count)
    q[:, at, at] = (np.swapaxes(r, 1, 2) ** 2).sum(2)
    p = np.full((len(r), count), 1 / count)
    for _ in range(max(100, count)):
        slope = (q @ p[..., None])[..., 0]
        value = (p * slope).sum(1)
        going = np.abs(slope - value[:, None]).max(1, initial=0) >= 0.005 / count
        if not going.any():
            break
        for t in range(count):
            step = np.where(going, (value - slope[:, t]) / q[:, t, t], 0)
            value = (value + step * (step * q[:, t, t] + 2 * slope[:, t])) / (1 + step) ** 2
            slope = (slope + step[:, None] * q[:, t]) / (1 + step[:, None])
            p[:, t] += step
            p /= 1 + step[:, None]
    return p
