"""Attention in C: NumPy's numbers but for their last digits, whatever the mask, the layout and what is not finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dsviz as ds
from engine.dnn import attention, library
from engine.native.compiler import compiler
from engine.ops.attention import ATTENTION

F = ds.nn.functional
pytestmark = [
    pytest.mark.skipif(
        library._opened() is None or compiler() is None, reason="needs oneDNN and a C compiler"
    ),
]


@pytest.fixture(scope="module")
def built() -> Any:
    found = attention.attention.build()
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def small(built: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also small ones go this way, a few queries at a time."""
    monkeypatch.setattr(attention, "ENOUGH", 0)
    monkeypatch.setattr(attention, "LEAST", 4)
    monkeypatch.setattr(attention, "CACHEFUL", 64)
    monkeypatch.setattr(attention, "HEADS", 1 << 20)  # on a machine of many cores too


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether it was done in C, for each attention and each gradient of one."""
    answers: list[bool] = []

    def noted(do: Any) -> Any:
        def asked(*args: Any) -> Any:
            made = do(*args)
            answers.append(made is not None)
            return made

        return asked

    for name in ("attend", "gradients"):
        monkeypatch.setattr(attention, name, noted(getattr(attention, name)))
    return answers


def normal(seed: int, *shape: int) -> Any:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def plain(x: Any) -> Any:
    return x


def beside(x: Any) -> Any:
    """With the heads beside the features in memory, as a model's are."""
    return np.ascontiguousarray(x.swapaxes(-2, -3)).swapaxes(-2, -3) if x.ndim > 2 else x


def among(x: Any) -> Any:
    """As a part of longer rows."""
    wide = np.zeros((*x.shape[:-1], x.shape[-1] + 7), x.dtype)
    wide[..., 3:-4] = x
    return wide[..., 3:-4]


def run(arrays: Any, mask: Any = None, fast: bool = True, config: Any = None, **options: Any) -> list[Any]:
    """The result and all gradients, of a mask of numbers too."""
    tensors = [ds.Tensor(a) for a in arrays]
    if mask is not None:
        mask = ds.Tensor(mask)
    learned = [t for t in (*tensors, mask) if t is not None and t.dtype == np.float32]
    for t in learned:
        t.requires_grad = True
    ds.manual_seed(5)
    with ds.graph_config(cpu_fast=fast, **(config or {})):
        out = F.scaled_dot_product_attention(*tensors, mask, **options)
        out.backward(ds.Tensor(normal(9, *out.shape)))
    return [out.numpy(force=True), *(t.grad.numpy() for t in learned)]


def near(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert np.array_equal(np.isnan(a), np.isnan(b))
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=3e-6)


def looks(*shape: int) -> Any:
    return np.random.default_rng(list(shape)).random(shape)


MASKS: dict[str, Any] = {
    "none": lambda lead, q, k: {},
    "causal": lambda lead, q, k: {"is_causal": True},
    "scale": lambda lead, q, k: {"scale": 0.7},
    "allowed": lambda lead, q, k: {"mask": looks(*lead, q, k) > 0.4},
    "rows that see nothing": lambda lead, q, k: {"mask": looks(q, 1) > 0.5},
    "added": lambda lead, q, k: {"mask": normal(4, q, k)},
    "padding": lambda lead, q, k: {"mask": np.where(looks(1, k) > 0.5, 0, -np.inf).astype("f")},
    "dropout": lambda lead, q, k: {"dropout_p": 0.3},
}


@pytest.mark.parametrize("laid", [plain, beside, among])
@pytest.mark.parametrize("name", MASKS)
def test_it_gives_numpys_numbers(name: str, laid: Any, taken: list[bool]) -> None:
    cases = [
        ((2, 3), 5, 7, 4, 6),
        ((3,), 9, 5, 8, 1),
        ((), 13, 30, 3, 5),
        ((1, 2), 21, 21, 16, 16),
        ((2, 1), 1, 3, 2, 2),
    ]
    for lead, q, k, d, v in cases:
        arrays = [laid(normal(i, *lead, n, m)) for i, (n, m) in enumerate(((q, d), (k, d), (k, v)))]
        options = MASKS[name](lead, q, k)
        near(run(arrays, **options), run(arrays, fast=False, **options))
    assert taken == [True, True, False, False] * len(cases)


def test_what_is_not_finite_goes_where_numpy_lets_it_go() -> None:
    for what in (np.nan, np.inf, -np.inf, 1e30):
        for at in range(3):
            arrays = [normal(i, 2, 9, 6) for i in range(3)]
            arrays[at][0, 4, 1] = what
            for options in ({}, {"mask": np.tri(9, dtype=bool)}):
                fast, slow = run(arrays, **options), run(arrays, fast=False, **options)
                for a, b in zip(fast, slow, strict=True):
                    assert np.array_equal(np.isfinite(a), np.isfinite(b)), (what, at)


def test_all_ways_to_one_attention_give_the_same_bits() -> None:
    arrays = [normal(i, 2, 3, 40, 8) for i in range(3)]
    first = run(arrays, is_causal=True)
    others = [
        run([laid(a) for a in arrays], is_causal=True, config=config)
        for laid, config in (
            (plain, {"memory_optimization": False}),
            (plain, {"trace_level": 2}),
            (beside, {}),
        )
    ]
    with ds.trace():
        others.append(run(arrays, is_causal=True))
    for other in others:
        assert all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_gradients_of_its_gradients_are_those_of_numpys(taken: list[bool]) -> None:
    def twice(fast: bool) -> list[Any]:
        tensors = [ds.tensor(normal(i, 2, 6, 5), requires_grad=True) for i in range(3)]
        with ds.graph_config(cpu_fast=fast):
            out = F.scaled_dot_product_attention(*tensors)
            first = ds.autograd.grad((out * out).sum(), tensors, create_graph=True)
            second = ds.autograd.grad(sum((g * g).sum() for g in first), tensors)
        return [g.numpy(force=True) for g in (*first, *second)]

    near(twice(True), twice(False))
    assert taken == [True, True, False, False]  # the second pass meets the attention once more


def test_a_gradient_that_is_one_number_everywhere_is_taken(taken: list[bool]) -> None:
    tensors = [ds.tensor(normal(i, 2, 6, 5), requires_grad=True) for i in range(3)]
    F.scaled_dot_product_attention(*tensors).sum().backward()
    assert taken == [True, True]
    fast = [t.grad.numpy() for t in tensors]
    for t in tensors:
        t.grad = None
    with ds.graph_config(cpu_fast=False):
        F.scaled_dot_product_attention(*tensors).sum().backward()
    near(fast, [t.grad.numpy() for t in tensors])


def test_what_does_not_fit_is_left_to_numpy(taken: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    x = normal(0, 2, 3, 6, 4)
    others: list[Any] = [
        ([x.astype(np.float64)] * 3, {}),
        ([x, x[:, :1], x[:, :1]], {}),  # one head of keys for three of queries
        ([x[..., ::-1]] * 3, {}),
        ([x.swapaxes(-1, -2)] * 3, {}),
        ([x[None]] * 3, {}),
        ([x] * 3, {"mask": np.zeros((6, 6), np.float64)}),
        ([x] * 3, {"mask": np.asfortranarray(normal(1, 6, 6))}),
    ]
    for arrays, options in others:
        with ds.no_grad():
            given = [ds.Tensor(a) for a in arrays]
            found = F.scaled_dot_product_attention(*given, *(ds.Tensor(m) for m in options.values()))
        slow = ATTENTION.on_numpy(
            *arrays, options.get("mask"), dropout_p=0.0, is_causal=False, scale=arrays[0].shape[-1] ** -0.5, seed=0,
            counter=0,
        )[0]  # fmt: skip
        assert np.array_equal(found.numpy(), slow)
    for name, value in (("ENOUGH", 1 << 18), ("HEADS", 0)):
        with monkeypatch.context() as patch, ds.no_grad():
            patch.setattr(attention, name, value)
            F.scaled_dot_product_attention(*[ds.Tensor(x)] * 3)
    assert not any(taken)
