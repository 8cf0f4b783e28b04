"""Where types meet: every pair of them, with and without dimensions, beside numbers, in every op that mixes; as in PyTorch."""

from __future__ import annotations

import contextlib
import itertools
import operator
from typing import Any

import numpy as np
import pytest

import engine as ds
from engine.bus import bus

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support:UserWarning")

NAMES = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
)
OPS: dict[str, Any] = {
    "add": lambda lib, a, b: a + b,
    "multiply": lambda lib, a, b: a * b,
    "divide": lambda lib, a, b: a / b,
    "floor_divide": lambda lib, a, b: a // b,
    "remainder": lambda lib, a, b: a % b,
    "maximum": lambda lib, a, b: lib.maximum(a, b),
    "where": lambda lib, a, b: lib.where(lib.tensor([True]), a, b),
    "cat": lambda lib, a, b: lib.cat([a, b]) if a.ndim and b.ndim else lib.stack([a + 0, b + 0]),
    "equal": lambda lib, a, b: a == b,
    "power": lambda lib, a, b: a**b,
    "atan2": lambda lib, a, b: lib.atan2(a, b),
}
UNARY = ("sqrt", "exp", "tanh", "sin", "log1p", "neg", "abs", "sign", "square", "rsqrt", "sigmoid", "relu")


def made(lib: Any, name: str, shape: tuple[int, ...]) -> Any:
    return lib.ones(shape).to(getattr(lib, name))


def kind(lib: Any, act: Any, *arguments: Any) -> str:
    """The type of the result; "refused" where there is none."""
    try:
        found = str(act(lib, *arguments).dtype).removeprefix("torch.")
        return found.replace("complex32", "complex64")  # NumPy has no complex numbers of two halves
    except (RuntimeError, TypeError):
        return "refused"


@pytest.mark.parametrize("op", OPS)
def test_two_tensors_meet_where_pytorchs_do(op: str) -> None:
    for x, y, dx, dy in itertools.product(NAMES, NAMES, ((), (1,)), ((), (1,))):
        if (op == "cat" and dx != dy) or (op == "power" and "bool" in (x, y)):
            continue  # to PyTorch 2 ** True is a truth
        theirs = kind(torch, OPS[op], made(torch, x, dx), made(torch, y, dy))
        ours = kind(ds, OPS[op], made(ds, x, dx), made(ds, y, dy))
        assert theirs in (ours, "refused"), (x, dx, y, dy, theirs, ours)


@pytest.mark.parametrize("op", [name for name in OPS if name not in ("maximum", "cat", "atan2")])
def test_plain_numbers_are_as_weak_as_pytorchs(op: str) -> None:
    for x, d, number, turned in itertools.product(NAMES, ((), (1,)), (2, 2.5, 2j), (False, True)):
        if op == "power" and x == "bool":
            continue
        pairs = [(made(lib, x, d), number)[:: -1 if turned else 1] for lib in (torch, ds)]
        theirs, ours = (kind(lib, OPS[op], *pair) for lib, pair in zip((torch, ds), pairs, strict=True))
        assert theirs in (ours, "refused"), (x, d, number, turned, theirs, ours)


@pytest.mark.parametrize("op", UNARY)
def test_functions_of_whole_numbers_give_the_default_type(op: str) -> None:
    for name in NAMES:
        if name == "bool" and op in ("sign", "square"):
            continue  # NumPy has no sign of a truth, and its square is an int8
        theirs, ours = (
            kind(lib, lambda lib, a: getattr(lib, op)(a), made(lib, name, (2,))) for lib in (torch, ds)
        )
        assert theirs in (ours, "refused"), (name, theirs, ours)


def test_the_types_by_themselves() -> None:
    for x, y in itertools.product(NAMES, NAMES):
        assert str(ds.promote_types(getattr(ds, x), getattr(ds, y))) == str(
            torch.promote_types(getattr(torch, x), getattr(torch, y))
        ).removeprefix("torch.")
    assert ds.result_type(ds.tensor(1), 1.0) == ds.float32
    assert ds.result_type(ds.ones(2), ds.tensor(1.0, dtype=ds.float64)) == ds.float32
    assert ds.result_type(1, 2.5) == ds.float32


def test_the_default_type_is_what_whole_numbers_become() -> None:
    ds.set_default_dtype(ds.float64)
    try:
        assert (
            (ds.arange(3) / 2).dtype == ds.arange(3).sqrt().dtype == (ds.arange(3) * 0.5).dtype == ds.float64
        )
    finally:
        ds.set_default_dtype(ds.float32)


@pytest.mark.parametrize("watched", [False, True])
def test_a_cast_stands_in_the_graph_and_the_gradient_has_its_own_type(watched: bool) -> None:
    heard: list[str] = []
    weight = ds.tensor(2.0, dtype=ds.float64, requires_grad=True)
    with contextlib.ExitStack() as stack:
        if watched:
            stack.enter_context(bus.subscribe(lambda kind, node: heard.append(node.op.name), "op_finish"))
        out = ds.arange(3) * ds.ones(3) * weight
    assert out.dtype == ds.float32
    assert heard == (["cast", "mul", "cast", "mul"] if watched else [])
    (first,) = ds.grad((out * out).sum(), weight, create_graph=True)
    assert (first.dtype, first.item()) == (ds.float64, 20.0)
    (second,) = ds.grad(first, weight)
    assert (second.dtype, second.item()) == (ds.float64, 10.0)


def test_truths_beside_others_are_not_cast() -> None:
    heard: list[str] = []
    mask = ds.tensor([True, False])
    with bus.subscribe(lambda kind, node: heard.append(node.op.name), "op_finish"):
        out = operator.mul(ds.ones(2), mask) + ds.where(mask, ds.ones(2), ds.zeros(2))
    assert heard == ["mul", "where", "add"]
    np.testing.assert_array_equal(out.numpy(), [2, 0])


def test_an_error_names_what_was_written_and_not_its_cast() -> None:
    places, row = ds.arange(3), ds.ones(4)
    with pytest.raises(ds.ShapeMismatchError) as told:
        places * row
    assert "mul: places has 3 where row has 4" in str(told.value)
    assert str(told.value).count("(makes 3)") == 1
    assert "keeps 3" not in str(told.value)
