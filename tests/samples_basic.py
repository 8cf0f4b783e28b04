"""Samples of the elementwise ops, comparisons, activations and casts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sample_row import Row
from samples_arrange import both
from samples_spatial import F, inner, theirs, x

import engine as ds
from engine.errors import ShapeMismatchError
from engine.ops import activation, arithmetic, comparison, exponential, rounding

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

rng = np.random.default_rng(7)
POSITIVE = rng.uniform(0.3, 3.0, (3, 4))
INSIDE = rng.uniform(-0.8, 0.8, (3, 4))
ABOVE = rng.uniform(1.2, 3.0, (3, 4))
# Away from the kinks of abs, relu, clamp and the like, so that differences mean something.
AWAY = np.array([[-2.3, -0.7, 0.4], [1.6, 2.2, -1.4]])
DIVISORS = np.array([0.9, 1.05, -0.8])
HALVES = np.array([[-2.5, -1.5, -0.5, 0.5], [1.5, 2.5, 0.3, -0.7]])
SPECIAL = np.array([0.0, np.nan, np.inf, -np.inf, 2.0])
INTS = np.array([[6, -3, 0], [5, 2, -7]])
OTHER_INTS = np.array([[3, 2, 1], [-5, 4, 2]])
TRUTHS, OTHER_TRUTHS = INTS > 0, OTHER_INTS > 1


def erf(array: Any) -> Any:
    return np.vectorize(math.erf, otypes=[array.dtype])(array)


def one(name: str, data: Any, numpy: Any, note: str = "", **kwargs: Any) -> Row:
    """A row of an op of one argument that both have in the flat namespace."""
    row = both(ds, name, (data,), **kwargs)
    return Row(name, row.ours, row.theirs, (data,), note or row.note, numpy)


def two(name: str, inputs: tuple[Any, Any], numpy: Any, note: str = "") -> Row:
    row = both(ds if hasattr(ds, name) else comparison, name, inputs)
    return Row(name, row.ours, row.theirs, inputs, note, numpy)


SAMPLES: list[Row] = [
    *(two(name, ((3, 4), (3, 4)), numpy) for name, numpy in [("add", np.add), ("sub", np.subtract)]),
    *(
        two(name, ((2, 3, 4), (3, 1)), numpy, "spread")
        for name, numpy in [("add", np.add), ("mul", np.multiply)]
    ),
    two("mul", ((3, 4), ()), np.multiply, "scalar"),
    two("sub", ((4,), (3, 4)), np.subtract, "spread"),
    two("div", ((3, 4), POSITIVE), np.divide),
    two("div", ((2, 1, 4), POSITIVE), np.divide, "spread"),
    two("pow", (POSITIVE, (3, 4)), np.power),
    two("pow", (POSITIVE, (4,)), np.power, "spread"),
    two("maximum", ((3, 4), (3, 4)), np.maximum),
    two("minimum", ((3, 4), (4,)), np.minimum, "spread"),
    two("remainder", (AWAY, DIVISORS), np.mod),
    two("floor_divide", (AWAY, DIVISORS), np.floor_divide),
    two("atan2", ((3, 4), POSITIVE), np.arctan2),
    both(ds, "add", ((3, 4), (3, 4)), alpha=2),
    both(ds, "sub", ((3, 4), (3, 4)), alpha=0.5),
    both(ds, "div", (AWAY, DIVISORS), rounding_mode="floor", op="floor_divide"),
    both(ds, "div", (AWAY, DIVISORS), rounding_mode="trunc"),
    both(ds, "maximum", (INTS, OTHER_INTS)),
    Row("sub", lambda a: 2 - a, lambda a: 2 - a, ((3, 4),), "number-left", lambda a: 2 - a),
    Row("div", lambda a: 2 / a, lambda a: 2 / a, (POSITIVE,), "number-left", lambda a: 2 / a),
    Row("pow", lambda a: 2**a, lambda a: 2**a, ((3, 4),), "number-left", lambda a: 2**a),
    Row("pow", lambda a: a**3, lambda a: a**3, ((3, 4),), "cube", lambda a: a**3),
    Row("pow", lambda a: a**0.5, lambda a: a**0.5, (POSITIVE,), "root", np.sqrt),
    Row("pow", lambda a: a**2, lambda a: a**2, (np.array([0.0, 1.5, -2.0]),), "square-of-0", np.square),
    Row("remainder", lambda a: 5 % a, None, (ABOVE,), "number-left", lambda a: 5 % a),
    Row("floor_divide", lambda a: 5 // a, lambda a: 5 // a, (ABOVE,), "number-left", lambda a: 5 // a),
    one("neg", (3, 4), np.negative),
    one("square", (3, 4), np.square),
    one("sqrt", POSITIVE, np.sqrt),
    one("rsqrt", POSITIVE, lambda a: 1 / np.sqrt(a)),
    one("reciprocal", POSITIVE, np.reciprocal),
    one("abs", AWAY, np.abs),
    one("sign", AWAY, np.sign),
    both(ds, "clamp", (AWAY,), -1.0, 1.0),
    both(ds, "clamp", (AWAY,), min=0.5),
    both(ds, "clamp", (AWAY,), max=0.5),
    one("exp", (3, 4), np.exp),
    one("exp2", (3, 4), np.exp2),
    one("expm1", (3, 4), np.expm1),
    one("log", POSITIVE, np.log),
    Row(
        "held_log",
        lambda a: exponential.held_log(a),
        None if torch is None else lambda a: a.log().clamp(min=-100),
        (POSITIVE,),
    ),
    one("log2", POSITIVE, np.log2),
    one("log10", POSITIVE, np.log10),
    one("log1p", POSITIVE, np.log1p),
    one("erf", (3, 4), erf),
    one("sin", (3, 4), np.sin),
    one("cos", (3, 4), np.cos),
    one("tan", INSIDE, np.tan),
    one("asin", INSIDE, np.arcsin),
    one("acos", INSIDE, np.arccos),
    one("atan", (3, 4), np.arctan),
    one("sinh", (3, 4), np.sinh),
    one("cosh", (3, 4), np.cosh),
    one("asinh", (3, 4), np.arcsinh),
    one("acosh", ABOVE, np.arccosh),
    one("atanh", INSIDE, np.arctanh),
    one("floor", AWAY, np.floor),
    one("ceil", AWAY, np.ceil),
    one("trunc", AWAY, np.trunc),
    one("round", AWAY, np.round),
    one("round", AWAY, lambda a: np.round(a, 1), decimals=1),
    Row(
        "round",
        lambda a: rounding.round(a.detach()),
        lambda a: a.detach().round(),
        (HALVES,),
        "halves",
        np.round,
    ),
]

for name, numpy in [
    ("eq", np.equal),
    ("ne", np.not_equal),
    ("lt", np.less),
    ("le", np.less_equal),
    ("gt", np.greater),
    ("ge", np.greater_equal),
]:
    SAMPLES.append(two(name, ((3, 4), (4,)), numpy))
    SAMPLES.append(two(name, (INTS, INTS), numpy, "ties"))
for name, numpy in [
    ("logical_and", np.logical_and),
    ("logical_or", np.logical_or),
    ("logical_xor", np.logical_xor),
]:
    SAMPLES.append(two(name, (INTS, OTHER_INTS), numpy))
    SAMPLES.append(two(name, (TRUTHS, OTHER_TRUTHS), numpy, "bool"))
for name, numpy in [
    ("bitwise_and", np.bitwise_and),
    ("bitwise_or", np.bitwise_or),
    ("bitwise_xor", np.bitwise_xor),
]:
    SAMPLES.append(two(name, (INTS, OTHER_INTS), numpy))
    SAMPLES.append(two(name, (TRUTHS, OTHER_TRUTHS), numpy, "bool"))
SHIFTS = np.array([[1, 0, 3], [2, 1, 4]])
for name, numpy in [("bitwise_left_shift", np.left_shift), ("bitwise_right_shift", np.right_shift)]:
    SAMPLES.append(two(name, (np.array([[5, -3, 0], [7, 2, -9]]), SHIFTS), numpy))
SAMPLES += [
    one("logical_not", TRUTHS, np.logical_not),
    both(comparison, "bitwise_not", (INTS,)),
    one("isnan", SPECIAL, np.isnan),
    one("isinf", SPECIAL, np.isinf),
    one("isfinite", SPECIAL, np.isfinite),
    Row(
        "where", ds.where, None if torch is None else torch.where, (TRUTHS, (2, 3), (3,)), "spread", np.where
    ),
    Row(
        "where",
        lambda a: ds.where(a > 0, a, 0.0),
        None if torch is None else lambda a: torch.where(a > 0, a, 0.0),
        (AWAY,),
        "number",
        lambda a: np.where(a > 0, a, 0.0),
    ),
    Row(
        "masked_fill",
        lambda a, m: ds.masked_fill(a, m, -1.5),
        lambda a, m: a.masked_fill(m, -1.5),
        ((2, 3), TRUTHS),
        "",
        lambda a, m: np.where(m, -1.5, a),
    ),
    # Activations.
    *(
        Row(n, getattr(ds, n), theirs(n), (AWAY,))
        for n in ("relu", "silu", "leaky_relu", "elu", "softplus", "gelu")
    ),
    *(
        Row(n, getattr(ds, n), None if torch is None else getattr(torch, n), ((3, 4),))
        for n in ("sigmoid", "tanh")
    ),
    Row("sigmoid", ds.sigmoid, None if torch is None else torch.sigmoid, (np.array([-800.0, 800.0]),), "far"),
    Row("gelu", lambda a: ds.gelu(a, "tanh"), theirs("gelu", approximate="tanh"), ((3, 4),), "tanh"),
    Row("leaky_relu", lambda a: ds.leaky_relu(a, 0.3), theirs("leaky_relu", 0.3), (AWAY,), "0.3"),
    Row("elu", lambda a: ds.elu(a, 0.7), theirs("elu", 0.7), (AWAY,), "0.7"),
    Row("softplus", lambda a: ds.softplus(a, 2.0, 3.0), theirs("softplus", 2.0, 3.0), (AWAY,), "beta"),
    *(
        Row(n, lambda a, n=n, d=d: getattr(ds, n)(a, d), theirs(n, d), ((2, 3, 4),), f"{d}")  # type: ignore[misc]
        for n in ("softmax", "log_softmax")
        for d in (-1, 0, 1)
    ),
    Row(
        "softmax",
        lambda a: ds.softmax(a * 1000, 0),
        None if F is None else lambda a: F.softmax(a * 1000, 0),
        ((4,),),
        "large",
    ),
    # Copies.
    Row(
        "cast",
        lambda a: a.to("float32"),
        None if torch is None else lambda a: a.to(torch.float32),
        (INTS,),
        "int",
    ),
    Row("cast", inner("cast", dtype="float64"), None, (AWAY,)),
    Row("move", inner("move", device="cpu", source="cpu"), None, ((3, 4),)),
    Row(
        "arrange",
        lambda x: x.contiguous(ds.channels_last),
        lambda x: x.contiguous(memory_format=torch.channels_last),
        ((2, 3, 4, 5),),
        "",
        np.copy,
    ),
    Row(
        "arrange",
        lambda x: x.mT.contiguous(ds.contiguous_format),
        lambda x: x.mT.contiguous(),
        ((2, 3, 4),),
        "in order",
        lambda x: x.swapaxes(1, 2),
    ),
    Row("clone", ds.clone, None if torch is None else torch.clone, ((3, 4),), "", np.copy),
]

ERRORS: list[tuple[str, Any, type[Exception], str]] = [
    ("add", lambda: x(2, 3) + x(2, 4), ShapeMismatchError, "has 3 where"),
    ("pow", lambda: x(2, 3) ** x(4), ShapeMismatchError, "sizes that meet must be equal or 1"),
    ("where", lambda: ds.where(x(2) > 0, x(3), 0.0), ShapeMismatchError, "Expected [2], got [3]"),
    ("masked_fill", lambda: ds.masked_fill(x(2, 3), x(2) > 0, 0.0), ShapeMismatchError, "Expected"),
    ("clamp", lambda: ds.clamp(x(3)), ValueError, "clamp needs min or max"),
    ("softmax", lambda: ds.softmax(x(2, 3), 2), IndexError, "dim has to be from -2 to 1"),
    ("gelu", lambda: activation.gelu(x(2), "cubic"), ValueError, "approximate"),
    ("div", lambda: arithmetic.div(x(2), 2, rounding_mode="up"), ValueError, "rounding_mode is None"),
    ("bitwise_and", lambda: x(2) & x(2), TypeError, "cannot work with these element types"),
]
