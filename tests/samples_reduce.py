"""Samples of the reductions, products, losses and random ops."""

from __future__ import annotations

from typing import Any

import numpy as np
from sample_row import Row
from samples_arrange import both
from samples_spatial import F, inner, theirs, x

import engine as ds
from engine import Tensor, tensor
from engine.errors import ShapeMismatchError

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

SHAPE = (2, 3, 4)
WITH_ZERO = np.array([[2.0, 0.0, 3.0], [1.5, -0.5, 4.0], [0.0, 0.0, 1.0]])
TRUTHS = np.array([[True, True, False], [False, False, False]])
EMPTY = np.zeros((2, 0))


def reduced(name: str, *args: Any, note: str = "", data: Any = SHAPE, **kwargs: Any) -> Row:
    row = both(ds, name, (data,), *args, **kwargs)

    def numpy(array: Any) -> Any:
        dim = args[0] if args else kwargs.get("dim")
        options: dict[str, Any] = {"axis": tuple(dim) if isinstance(dim, list) else dim}
        if name in ("var", "std"):
            options["ddof"] = kwargs.get("correction", 1)
        return getattr(np, name)(array, keepdims=kwargs.get("keepdim", False), **options)

    return Row(name if name != "std" else "var", row.ours, row.theirs, row.inputs, row.note + note, numpy)


SAMPLES: list[Row] = []
for name in ("sum", "mean", "amax", "amin", "var", "std"):
    SAMPLES += [
        reduced(name, dim=(0, 2)),
        reduced(name, dim=-1),
        reduced(name, dim=1, keepdim=True),
        reduced(name, dim=(0, 1, 2), keepdim=True),
    ]
SAMPLES += [
    *(reduced(name) for name in ("sum", "mean", "prod", "var", "std")),
    reduced("var", dim=1, correction=0),
    reduced("sum", data=EMPTY, note="nothing"),
    reduced("sum", data=np.arange(6).reshape(2, 3), note="ints"),
    reduced("sum", data=TRUTHS, note="bools"),
    reduced("prod", dim=1),
    reduced("prod", dim=0, keepdim=True, data=WITH_ZERO, note="zeros"),
    reduced("prod", data=WITH_ZERO, note="zeros"),
    *(reduced(name, dim=d, data=TRUTHS) for name in ("any", "all") for d in (0, -1)),
    *(reduced(name, data=TRUTHS) for name in ("any", "all")),
    *(reduced(name, dim=d, keepdim=k) for name in ("argmax", "argmin") for d, k in ((0, False), (-1, True))),
    *(reduced(name) for name in ("argmax", "argmin")),
    *(both(ds, name, (SHAPE,), d, k) for name in ("max", "min") for d, k in ((1, False), (-1, True))),
    *(both(ds, name, (SHAPE,), op="a" + name) for name in ("max", "min")),
    both(ds, "logsumexp", (SHAPE,), dim=1),
    both(ds, "logsumexp", (SHAPE,), dim=(0, 2), keepdim=True),
    Row(
        "logsumexp",
        lambda a: ds.logsumexp(a * 1000, 0),
        None if torch is None else lambda a: torch.logsumexp(a * 1000, 0),
        ((4,),),
        "large",
    ),
    both(ds, "norm", (SHAPE,), op="norm"),
    both(ds, "norm", (SHAPE,), p=1, dim=1, op="norm"),
    both(ds, "norm", (SHAPE,), p=3, dim=(0, 2), keepdim=True, op="norm"),
    both(ds, "norm", (SHAPE,), p=float("inf"), dim=1, op="norm"),
    *(both(ds, "cumsum", (SHAPE,), dim=d) for d in (0, 1, -1)),
]

# Products.
for a, b in [
    ((2, 3), (3, 4)),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((5, 1, 2, 3), (4, 3, 2)),
    ((3,), (2, 3, 4)),
]:
    row = both(ds, "matmul", (a, b))
    SAMPLES.append(
        Row("matmul", row.ours, row.theirs, (a, b), "x".join(map(str, (len(a), len(b)))), np.matmul)
    )
SAMPLES += [
    both(ds, "mm", ((2, 3), (3, 4)), op="matmul"),
    both(ds, "bmm", ((5, 2, 3), (5, 3, 4)), op="matmul"),
    Row("linear", ds.linear, theirs("linear"), ((2, 5, 3), (4, 3), (4,)), "", lambda a, w, b: a @ w.T + b),
    Row("linear", ds.linear, theirs("linear"), ((2, 3), (4, 3)), "no-bias", lambda a, w: a @ w.T),
    Row("linear", ds.linear, theirs("linear"), ((3,), (4, 3), (4,)), "vector", lambda a, w, b: a @ w.T + b),
]

# Losses. Class numbers are part of the sample, not an input: no gradient flows to them.
CLASSES, MAPS = np.array([1, 0, 2, 1]), np.array([[1, 0, 2], [2, -100, 1]])
WEIGHT = np.array([0.5, 2.0, 1.3])


def classed(
    name: str, shape: tuple[int, ...], classes: Any, note: str = "", op: str = "", **kwargs: Any
) -> Row:
    def here(a: Any) -> Any:
        own = {k: ds.tensor(v.astype(a.dtype)) if isinstance(v, np.ndarray) else v for k, v in kwargs.items()}
        return getattr(ds, name)(a, ds.tensor(classes), **own)

    def there(a: Any) -> Any:
        own = {
            k: torch.tensor(v, dtype=a.dtype) if isinstance(v, np.ndarray) else v for k, v in kwargs.items()
        }
        return getattr(F, name)(a, torch.tensor(classes), **own)

    return Row(op or name, here, None if F is None else there, (shape,), note)


for name in ("cross_entropy", "nll_loss"):
    for reduction in ("mean", "sum", "none"):
        SAMPLES += [
            classed(name, (4, 3), CLASSES, reduction, reduction=reduction),
            classed(
                name,
                (4, 3),
                CLASSES,
                reduction + "-weight",
                reduction=reduction,
                weight=WEIGHT,
                ignore_index=2,
            ),
            classed(name, (2, 3, 3), MAPS, reduction + "-maps", reduction=reduction),
        ]
SAMPLES += [
    classed("cross_entropy", (3,), np.array(2), "single"),
    *(
        classed(
            "cross_entropy", (4, 3), CLASSES, f"smooth-{how}", "nll_loss", label_smoothing=0.1, reduction=how
        )
        for how in ("mean", "sum", "none")
    ),
    classed(
        "cross_entropy", (4, 3), CLASSES, "smooth-weight", "nll_loss", label_smoothing=0.2, weight=WEIGHT
    ),
    classed("cross_entropy", (2, 3, 3), MAPS, "smooth-maps", "nll_loss", label_smoothing=0.2),
    Row(
        "log_softmax",
        lambda a, p: ds.cross_entropy(a, ds.softmax(p, 1)),
        None if F is None else lambda a, p: F.cross_entropy(a, torch.softmax(p, 1)),
        ((4, 3), (4, 3)),
        "soft-targets",
    ),
]
PROBABLE = np.random.default_rng(3).uniform(0.1, 0.9, (3, 4))
TARGET = PROBABLE[::-1].copy()
for how in ("mean", "sum", "none"):
    SAMPLES += [
        Row(
            "square",
            lambda a, b, h=how: ds.mse_loss(a, b, h),
            theirs("mse_loss", reduction=how),
            ((3, 4), (3, 4)),
            f"mse-{how}",
        ),  # type: ignore[misc]
        Row(
            "abs",
            lambda a, b, h=how: ds.l1_loss(a, b, h),
            theirs("l1_loss", reduction=how),
            ((3, 4), (3, 4)),
            f"l1-{how}",
        ),  # type: ignore[misc]
        Row(
            "softplus",
            lambda a, h=how: ds.binary_cross_entropy_with_logits(
                a, tensor(TARGET, dtype=a.dtype), reduction=h
            ),  # type: ignore[misc]
            None
            if F is None
            else lambda a, h=how: F.binary_cross_entropy_with_logits(
                a, torch.tensor(TARGET, dtype=a.dtype), reduction=h
            ),  # type: ignore[misc]
            ((3, 4),),
            f"bce-logits-{how}",
        ),
        Row(
            "held_log",
            lambda a, h=how: ds.binary_cross_entropy(a, tensor(TARGET, dtype=a.dtype), reduction=h),  # type: ignore[misc]
            None
            if F is None
            else lambda a, h=how: F.binary_cross_entropy(a, torch.tensor(TARGET, dtype=a.dtype), reduction=h),  # type: ignore[misc]
            (PROBABLE,),
            f"bce-{how}",
        ),
    ]

# Random ops: seed and counter are theirs, so that each run draws the same.
DRAW = {"seed": 11, "counter": 5}
SAMPLES += [
    Row("dropout", inner("dropout", p=0.4, **DRAW), None, ((3, 4),)),
    Row("dropout", inner("dropout", p=1.0, **DRAW), None, ((3, 4),), "all"),
    *(Row(n, inner(n, shape=(2, 3), dtype="float32", **DRAW), None, ()) for n in ("rand", "randn")),
    Row("randint", inner("randint", shape=(5,), dtype="int64", low=-2, high=3, **DRAW), None, ()),
    Row("randperm", inner("randperm", shape=(5,), dtype="int64", **DRAW), None, ()),
]

ERRORS: list[tuple[str, Any, type[Exception], str]] = [
    ("sum", lambda: ds.sum(x(2, 3), 2), IndexError, "dim has to be from -2 to 1"),
    ("mean", lambda: ds.mean(x(2, 3), (0, 0)), ValueError, "names a dimension twice"),
    ("amax", lambda: ds.amax(Tensor(EMPTY)), ValueError, "no extreme of nothing"),
    ("max", lambda: ds.max(Tensor(EMPTY), 1), ValueError, "no extreme of nothing"),
    ("cumsum", lambda: ds.cumsum(x(2), 1), IndexError, "dim has to be from -1 to 0"),
    ("matmul", lambda: x(2, 3) @ x(4, 5), ShapeMismatchError, "expects rows of 4"),
    ("mm", lambda: ds.mm(x(3), x(3, 4)), ValueError, "mm needs two tensors of 2"),
    ("bmm", lambda: ds.bmm(x(2, 3, 4), x(3, 4, 5)), ValueError, "batches of one size"),
    ("matmul", lambda: x(2, 3) @ tensor(2.0), ShapeMismatchError, "has no dimensions"),
    ("linear", lambda: ds.linear(x(2, 3), x(4, 5)), ShapeMismatchError, "expects rows of 5"),
    ("linear", lambda: ds.linear(x(2, 5), x(4, 5), x(3)), ShapeMismatchError, "Expected [4], got [3]"),
    (
        "cross_entropy",
        lambda: ds.cross_entropy(x(4, 3), tensor([0, 1])),
        ShapeMismatchError,
        "Expected [4], got [2]",
    ),
    ("cross_entropy", lambda: ds.cross_entropy(x(2, 3), tensor([0, 3])), IndexError, "classes 0 to 2"),
    ("cross_entropy", lambda: ds.cross_entropy(x(2, 3), x(2)), TypeError, "integers"),
    ("nll_loss", lambda: ds.nll_loss(x(4, 3), tensor([0, 1, 2, 0]), x(2)), ShapeMismatchError, "[3]"),
    ("mse_loss", lambda: ds.mse_loss(x(2), x(2), "median"), ValueError, "reduction is one of"),
    ("dropout", lambda: ds.dropout(x(2), 1.5), ValueError, "probability from 0 to 1"),
]
