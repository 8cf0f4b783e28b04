"""Samples of the normalisations and of attention."""

from __future__ import annotations

from typing import Any

import numpy as np
from sample_row import Row
from samples_spatial import F, both, theirs, x

from engine import tensor
from engine.errors import ShapeMismatchError
from engine.ops import attention, group_norm, norm

MEAN = np.array([0.3, -0.2, 0.5])
VAR = np.array([1.5, 0.7, 1.1])


def _batch(training: bool) -> tuple[Any, Any]:
    """batch_norm with running statistics of its own each time, for they change."""

    def here(x: Any, weight: Any = None, bias: Any = None) -> Any:
        mean, var = tensor(MEAN, dtype=x.dtype), tensor(VAR, dtype=x.dtype)
        return norm.batch_norm(x, mean, var, weight, bias, training)

    def there(x: Any, weight: Any = None, bias: Any = None) -> Any:
        import torch

        mean, var = torch.tensor(MEAN, dtype=x.dtype), torch.tensor(VAR, dtype=x.dtype)
        return F.batch_norm(x, mean, var, weight, bias, training)

    return here, None if F is None else there


SAMPLES: list[Row] = []
for shape in ((4, 3), (4, 3, 5), (4, 3, 5, 2)):
    for training in (True, False):
        note = f"{len(shape)}d-{'training' if training else 'eval'}"
        SAMPLES.append(Row("batch_norm", *_batch(training), (shape, (3,), (3,)), note))
        SAMPLES.append(Row("batch_norm", *_batch(training), (shape,), note + "-plain"))

SAMPLES += [
    Row(
        "layer_norm",
        lambda x, w, b: norm.layer_norm(x, (3, 5), w, b),
        None if F is None else lambda x, w, b: F.layer_norm(x, (3, 5), w, b),
        ((4, 2, 3, 5), (3, 5), (3, 5)),
    ),
    Row(
        "layer_norm",
        lambda x, w: norm.layer_norm(x, 5, w),
        None if F is None else lambda x, w: F.layer_norm(x, (5,), w),
        ((4, 5), (5,)),
        "no-bias",
    ),
    Row("layer_norm", lambda x: norm.layer_norm(x, 5), theirs("layer_norm", (5,)), ((4, 5),), "plain"),
    Row(
        "rms_norm",
        lambda x, w: norm.rms_norm(x, (5,), w),
        None if F is None else lambda x, w: F.rms_norm(x, (5,), w),
        ((4, 3, 5), (5,)),
    ),
    Row("rms_norm", lambda x: norm.rms_norm(x, 5), theirs("rms_norm", (5,)), ((4, 3, 5),), "plain"),
    Row(
        "group_norm",
        lambda x, w, b: group_norm.group_norm(x, 2, w, b),
        None if F is None else lambda x, w, b: F.group_norm(x, 2, w, b),
        ((3, 6, 4, 2), (6,), (6,)),
    ),
    both(group_norm, "group_norm", ((3, 6),), 3),
    Row(
        "instance_norm",
        lambda x, w, b: group_norm.instance_norm(x, weight=w, bias=b),
        None if F is None else lambda x, w, b: F.instance_norm(x, weight=w, bias=b),
        ((3, 4, 5, 2), (4,), (4,)),
    ),
    both(group_norm, "instance_norm", ((3, 4, 5),)),
]

ATTENTION = "scaled_dot_product_attention"
MASK = np.random.default_rng(0).random((5, 6)) > 0.3
MASK[:, 0] = True
MASK[3] = False  # a query that may look nowhere


def _masked(module: Any, wrap: Any) -> Any:
    return lambda q, k, v: getattr(module, ATTENTION)(q, k, v, attn_mask=wrap(MASK))


def _torch_tensor(array: Any) -> Any:
    import torch

    return torch.tensor(array)


QKV = ((2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 7))
SAMPLES += [
    both(attention, ATTENTION, QKV),
    both(attention, ATTENTION, ((2, 5, 4), (2, 5, 4), (2, 5, 3)), is_causal=True, scale=0.7),
    both(attention, ATTENTION, (*QKV, (3, 5, 6))),
    Row(ATTENTION, _masked(attention, tensor), None if F is None else _masked(F, _torch_tensor), QKV, "mask"),
    both(attention, ATTENTION, ((2, 4, 5, 4), (2, 2, 6, 4), (2, 2, 6, 3)), enable_gqa=True),
    Row(
        ATTENTION,
        lambda q, k, v: attention.scaled_dot_product_attention(q * 300, k, v),
        None if F is None else lambda q, k, v: F.scaled_dot_product_attention(q * 300, k, v),
        ((2, 3, 4), (2, 3, 4), (2, 3, 4)),
        "large",
    ),
]

ERRORS: list[tuple[str, Any, type[Exception], str]] = [
    (
        "batch_norm",
        lambda: norm.batch_norm(x(4, 3, 5), None, None, x(4), training=True),
        ShapeMismatchError,
        "3 channels",
    ),
    (
        "batch_norm",
        lambda: norm.batch_norm(x(1, 3), None, None, training=True),
        ValueError,
        "more than one value",
    ),
    ("batch_norm", lambda: norm.batch_norm(x(4, 3), None, None), ValueError, "running_mean and running_var"),
    ("layer_norm", lambda: norm.layer_norm(x(2, 5), 6), ShapeMismatchError, "normalises over [6]"),
    ("layer_norm", lambda: norm.layer_norm(x(2, 5), 5, x(4)), ShapeMismatchError, "Expected [5], got [4]"),
    ("rms_norm", lambda: norm.rms_norm(x(2, 5), (2, 6)), ShapeMismatchError, "normalises over [2, 6]"),
    (
        "group_norm",
        lambda: group_norm.group_norm(x(2, 6, 3), 4),
        ValueError,
        "does not divide the 6 channels",
    ),
    (
        "instance_norm",
        lambda: group_norm.instance_norm(x(2, 3, 1)),
        ValueError,
        "more than one spatial element",
    ),
    (
        ATTENTION,
        lambda: attention.scaled_dot_product_attention(x(2, 5, 4), x(2, 6, 3), x(2, 6, 4)),
        ShapeMismatchError,
        "they are multiplied",
    ),
    (
        ATTENTION,
        lambda: attention.scaled_dot_product_attention(x(2, 5, 4), x(2, 6, 4), x(2, 7, 4)),
        ShapeMismatchError,
        "each key has one value",
    ),
    (
        ATTENTION,
        lambda: attention.scaled_dot_product_attention(x(2, 5, 4), x(2, 6, 4), x(2, 6, 4), x(5, 5)),
        ShapeMismatchError,
        "queries by keys",
    ),
    (
        ATTENTION,
        lambda: attention.scaled_dot_product_attention(
            x(2, 5, 4), x(2, 5, 4), x(2, 5, 4), x(5, 5), 0.0, True
        ),
        ValueError,
        "either attn_mask or is_causal",
    ),
]
