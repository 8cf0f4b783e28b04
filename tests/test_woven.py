"""Rules of ops by NumPy's loops in pieces: the bits of the rules run by NumPy, whatever lies in the arrays and however."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dsviz as ds
from engine import woven
from engine.dnn import library, weave
from engine.native.compiler import compiler

pytestmark = pytest.mark.skipif(
    library._opened() is None or compiler() is None, reason="needs oneDNN and a C compiler"
)

F = ds.nn.functional
SHAPE = (65, 1031)  # more than a piece, and no whole number of anything
SPECIAL = [0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e-40, -1e-40, 3e38, -3e38, 88.8, -104.0, 20.0]

OPS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y, "div": lambda x, y: x / y,
    "number": lambda x, y: (x * 0.37 + 2) / 3 - 1, "swapped": lambda x, y: 2 / (1 - x), "neg": lambda x, y: -x,
    "pow": lambda x, y: x**3, "root": lambda x, y: x**0.5, "power": lambda x, y: x**2.5, "inverse": lambda x, y: x**-1, "exp": lambda x, y: x.exp(),
    "log": lambda x, y: x.log(), "tanh": lambda x, y: x.tanh(), "sigmoid": lambda x, y: x.sigmoid(),
    "sqrt": lambda x, y: x.sqrt(), "rsqrt": lambda x, y: x.rsqrt(), "sin": lambda x, y: x.sin(),
    "square": lambda x, y: x.square(), "abs": lambda x, y: x.abs(), "maximum": lambda x, y: ds.maximum(x, y),
    "clamp": lambda x, y: x.clamp(-1, 1), "positive": lambda x, y: x.clamp(min=0), "silu": lambda x, y: F.silu(x), "elu": lambda x, y: F.elu(x),
    "softplus": lambda x, y: F.softplus(x), "mish": lambda x, y: F.mish(x), "leaky": lambda x, y: F.leaky_relu(x),
    "hardswish": lambda x, y: F.hardswish(x), "logsigmoid": lambda x, y: F.logsigmoid(x),
    "atan2": lambda x, y: ds.atan2(x, y), "less": lambda x, y: (x < y) * x, "masked": lambda x, y: x * (y > 0),
}  # fmt: skip


@pytest.fixture(autouse=True)
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    if weave.woven.build() is None:
        pytest.skip("no compiler")
    monkeypatch.setattr(weave, "team", lambda: 3)
    monkeypatch.setattr(weave, "SHARE", 1)
    monkeypatch.setattr(woven, "_programs", {})
    monkeypatch.setattr(woven, "_frozen", {})


def array(*shape: int, seed: int = 0, special: bool = False, kind: str = "float32") -> Any:
    rng = np.random.default_rng([seed, *shape])
    made = rng.standard_normal(shape).astype(kind)
    if special:
        made.reshape(-1)[rng.integers(0, made.size, made.size // 4)] = rng.choice(SPECIAL, made.size // 4)
    return made


def both(function: Any, arrays: list[Any], g: Any = None) -> list[Any]:
    """What it gives and its gradients."""
    leaves = [ds.tensor(a, requires_grad=True) for a in arrays]
    out = function(*leaves)
    made = ds.autograd.grad([out], leaves, None if g is None else [g], allow_unused=True)
    return [out.detach().numpy(), *(m.numpy() for m in made if m is not None)]


def same(got: list[Any], expected: list[Any]) -> None:
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert (a.shape, a.dtype, a.strides) == (b.shape, b.dtype, b.strides)
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(np.signbit(a) & (a == a), np.signbit(b) & (b == b))


def served() -> list[Any]:
    return [p for p in woven._programs.values() if isinstance(p, woven.Woven) and p.program.checked]


def compared(function: Any, plain: list[Any], others: list[list[Any]], g: Any = None) -> None:
    """By programs that were found right on the `plain` arrays, and by NumPy alone, on these and on `others`."""
    with np.errstate(all="ignore"):
        both(function, plain, g)
        assert not any(
            p.program.checked is False for p in woven._programs.values() if isinstance(p, woven.Woven)
        )
        for arrays in [plain, *others]:
            got = both(function, arrays, g)
            with ds.graph_config(cpu_fast=False):
                same(got, both(function, arrays, g))


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("name", OPS)
def test_the_bits_are_numpys(name: str, kind: str) -> None:
    def arrays(seed: int, special: bool) -> list[Any]:
        return [array(*SHAPE, seed=seed + k, special=special, kind=kind) for k in range(2)]

    g = ds.tensor(array(*SHAPE, seed=9, kind=kind))
    compared(OPS[name], arrays(0, False), [arrays(2, True), arrays(4, True)], g)
    assert served() or name not in (
        "add",
        "sub",
        "mul",
        "div",
        "neg",
        "sqrt",
        "abs",
    )  # whose loops are everywhere


@pytest.mark.parametrize(
    "other", [(1031,), (65, 1), (1, 1031), (1,), (1, 1), ()], ids=lambda s: "x".join(map(str, s)) or "none"
)
def test_rows_columns_and_single_numbers_beside_elements(other: tuple[int, ...]) -> None:
    arrays = [array(*SHAPE), array(*other, seed=1)]
    compared(lambda x, y: x * y + y, arrays, [[array(*SHAPE, seed=2, special=True), arrays[1]]])
    compared(lambda x, y: y / x, arrays, [])
    assert served()


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(65, 1031), (3, 700, 64), (3, 33001)], ids=str)
def test_rows_are_reduced_as_numpy_does(shape: tuple[int, ...], kind: str) -> None:
    def arrays(seed: int, special: bool = False) -> list[Any]:
        return [array(*shape, seed=seed, special=special, kind=kind)]

    g = ds.tensor(array(*shape, seed=9, kind=kind))
    compared(lambda x: F.log_softmax(x, -1), arrays(0), [arrays(1, True)], g)
    assert any(isinstance(p, woven.Woven) and p.program.by_rows for p in woven._programs.values())


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_of_many_classes(reduction: str) -> None:
    target = ds.tensor(np.random.default_rng(1).integers(0, SHAPE[1], SHAPE[0]))

    def loss(x: Any) -> Any:
        return F.cross_entropy(x, target, reduction=reduction)

    g = ds.ones(SHAPE[0]) if reduction == "none" else None
    compared(loss, [array(*SHAPE)], [[array(*SHAPE, seed=3)], [array(*SHAPE, seed=4, special=True)]], g)
    assert len([p for p in woven._programs.values() if isinstance(p, woven.Woven)]) == 2


def test_a_rule_that_makes_a_number_of_a_shape_has_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    op = woven.OPS["exp"]
    rule = op.forward
    monkeypatch.setattr(op, "forward", lambda xp, x: rule(xp, x) * (x.shape[-1] / 1031))
    monkeypatch.setattr(op, "on_numpy", lambda x: op.forward(np, x))
    for shape in (SHAPE, (130, 1031), (64, 2062)):
        x = ds.tensor(array(*shape))
        for _ in range(2):
            np.testing.assert_array_equal(x.exp().numpy(), np.exp(x.numpy()) * np.float32(shape[-1] / 1031))


def test_channels_last_stay_so() -> None:
    images = [np.moveaxis(array(4, 37, 41, 13, seed=k), -1, 1) for k in range(2)]
    compared(lambda x, y: x - y, images, [])
    assert served()
    compared(lambda x, y: F.silu(x) * y, images, [])


@pytest.mark.parametrize(
    "view", [lambda a: a[:, ::2], lambda a: a.T, lambda a: a[1:, 1:]], ids=["steps", "turned", "cut"]
)
def test_views_are_left_to_numpy_or_right(view: Any) -> None:
    x = view(array(300, 700))
    compared(lambda x, y: (x * y).tanh(), [x, x], [])


def test_a_number_that_changes_is_no_new_program() -> None:
    x = ds.tensor(array(*SHAPE))
    for k in range(40):
        got = (x * (k + 0.5)).numpy()
        np.testing.assert_array_equal(got, x.numpy() * np.float32(k + 0.5))
    assert len(woven._programs) == 1
    for k in range(40):  # a rule that looks at it has a few
        np.testing.assert_array_equal(
            (abs(x) ** (k + 0.25)).numpy(), np.abs(x.numpy()) ** np.float32(k + 0.25)
        )
    assert len(woven._programs) < 30


def test_a_program_that_wants_floating_point_errors_gets_them() -> None:
    x = ds.tensor(array(*SHAPE) + np.float32(200))
    for _ in range(3):
        (x * 2).numpy()
    big = ds.full(SHAPE, 3e38)
    for _ in range(2):
        with np.errstate(over="raise"), pytest.raises(FloatingPointError):
            _ = big * 2
        with np.errstate(over="ignore"):
            assert (big * 2).isinf().all()


def test_a_rule_that_gives_other_bits_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    op = woven.OPS["mul"]
    monkeypatch.setattr(op, "forward", lambda xp, input, other: input * other + 1)
    x, y = ds.tensor(array(*SHAPE)), ds.tensor(array(*SHAPE, seed=1))
    for _ in range(3):
        np.testing.assert_array_equal((x * y).numpy(), x.numpy() * y.numpy())
    assert [p.program.checked for p in woven._programs.values()] == [False]


def test_results_are_fresh_and_arguments_are_left() -> None:
    x = ds.tensor(array(*SHAPE))
    before = x.numpy().copy()
    one, two = (x.sigmoid() for _ in range(2)), x.sigmoid()
    first = next(one)
    first.mul_(0)
    np.testing.assert_array_equal(x.numpy(), before)
    np.testing.assert_array_equal(two.numpy(), next(one).numpy())


def test_an_attribute_that_is_no_plain_value_has_no_program() -> None:
    x = array(*SHAPE)
    assert woven._program(None, "none", [x], {"sizes": [1, 2]}, x.dtype, 2) == (None, ())
