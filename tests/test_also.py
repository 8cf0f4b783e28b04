"""Functions under the names PyTorch has at its top as well, beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import engine as ds
from engine import also

RNG = np.random.default_rng(0)
SQUARE = RNG.standard_normal((2, 3, 3))
POSITIVE = SQUARE @ SQUARE.swapaxes(-1, -2) + 3 * np.eye(3)

CALLS: dict[str, Any] = {
    "det": lambda t, a, p: t.det(a),
    "logdet": lambda t, a, p: t.logdet(p),
    "logdet of a negative": lambda t, a, p: t.logdet(-p),
    "inverse": lambda t, a, p: t.inverse(a),
    "cholesky": lambda t, a, p: t.linalg.cholesky(p),
    "matrix_power": lambda t, a, p: t.matrix_power(a, 5),
    "matrix_power -2": lambda t, a, p: t.matrix_power(a, -2),
    "matrix_exp": lambda t, a, p: t.matrix_exp(a),
    "matrix_exp of a large one": lambda t, a, p: t.matrix_exp(p),
    "svd": lambda t, a, p: t.svd(a).S,
    "svd again": lambda t, a, p: (lambda f: f.U @ t.diag_embed(f.S) @ f.V.mT)(t.svd(a)),
    "relu_": lambda t, a, p: t.relu_(a * 1),
    "exp_": lambda t, a, p: t.exp_(a * 1),
    "sigmoid_": lambda t, a, p: t.sigmoid_(a * 1),
}


@pytest.mark.parametrize("name", CALLS)
def test_values_and_gradients_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")

    def run(lib: Any) -> list[Any]:
        a, p = (lib.tensor(v.tolist(), dtype=lib.float64, requires_grad=True) for v in (SQUARE, POSITIVE))
        out = CALLS[name](lib, a, p)
        found = [out.detach().numpy()]
        if out.requires_grad:
            out.sum().backward()
            found += [np.zeros(3) if t.grad is None else t.grad.numpy() for t in (a, p)]
        return found

    for ours, theirs in zip(run(ds), run(torch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    "name", ["FloatTensor", "DoubleTensor", "LongTensor", "IntTensor", "BoolTensor", "ByteTensor"]
)
def test_the_old_constructors(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
    ours, theirs = getattr(ds, name), getattr(torch, name)
    assert ours([1, 0]).tolist() == theirs([1, 0]).tolist()
    assert str(ours([1, 0]).dtype) == str(theirs([1, 0]).dtype).replace("torch.", "")
    assert tuple(ours(2, 3).shape) == (2, 3)
    assert tuple(ours().shape) == (0,)


def test_in_place_functions_change_their_argument() -> None:
    given: dict[str, tuple[Any, ...]] = {
        **dict.fromkeys(("clamp_", "clip_", "clamp_max_", "clamp_min_", "fill_"), (0.1,)),
        "addmv_": (ds.ones(2, 2), ds.ones(2)),
        "index_put_": ((ds.tensor([0]),), ds.ones(1)),
        "ldexp_": (ds.tensor([1, 2]),),
        "resize_as_": (ds.ones(1, 2),),
        "threshold_": (0.3, 0.0),
        "xlogy_": (ds.ones(2),),
    }
    for name in (n for n in also.__all__ if n.endswith("_")):
        x = ds.tensor([2, 4]) if name in ("gcd_", "lcm_") else ds.tensor([0.5, 0.25])
        more = (ds.tensor([2, 3]),) if name in ("gcd_", "lcm_") else given.get(name, ())
        if "cosh" in name:
            x += 1
        assert getattr(ds, name)(x, *more) is x, name


MADE: dict[str, Any] = {
    "a list": lambda t: t.Tensor([1, 2, 3]),
    "nested": lambda t: t.Tensor([[1.0, 2.0], [3.0, 4.0]]),
    "a tensor": lambda t: t.Tensor(t.ones(2)),
    "nothing": lambda t: t.Tensor(),
    "one size": lambda t: t.zeros_like(t.Tensor(5)),
    "sizes": lambda t: t.zeros_like(t.Tensor(2, 3, 4, 5)),
    "old kinds": lambda t: t.CharTensor([1, -2]),
    "a variable": lambda t: t.autograd.Variable(t.ones(2) * 2),
}


@pytest.mark.parametrize("name", MADE)
def test_the_constructors_of_old_make_what_pytorchs_make(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
    ours, theirs = MADE[name](ds), MADE[name](torch)
    assert str(theirs.dtype).endswith(str(ours.dtype))
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_a_variable_takes_requires_grad_and_shares_memory() -> None:
    data = ds.ones(2)
    made = ds.autograd.Variable(data, requires_grad=True)
    data[0] = 5.0
    assert made.requires_grad
    assert not data.requires_grad
    assert made.tolist() == [5.0, 1.0]


@pytest.mark.parametrize("data", ["text", [[1], [1, 2]], {"a": 1}])
def test_what_holds_no_numbers_makes_no_tensor(data: Any) -> None:
    with pytest.raises(TypeError, match=r"Tensor: expected an array, nested lists of numbers, or sizes"):
        ds.Tensor(data)


def test_the_default_type_by_the_name_of_a_constructor() -> None:
    try:
        ds.set_default_tensor_type("torch.DoubleTensor")
        assert ds.zeros(1).dtype == ds.float64
        ds.set_default_tensor_type(ds.FloatTensor)
        assert ds.zeros(1).dtype == ds.float32
    finally:
        ds.set_default_dtype(ds.float32)
    with pytest.raises(TypeError, match="set_default_tensor_type: expected one like"):
        ds.set_default_tensor_type("float")


def test_random_numbers_drawn_in_a_fork_do_not_move_the_generator() -> None:
    ds.manual_seed(3)
    with ds.random.fork_rng():
        first = ds.rand(3)
    assert ds.equal(first, ds.rand(3))
    with ds.random.fork_rng(enabled=False):
        later = ds.rand(3)
    assert not ds.equal(later, ds.rand(3))


def test_there_is_no_accelerator_without_a_gpu_and_nobody_else_to_train_with() -> None:
    assert ds.accelerator.is_available() == ds.cuda.is_available()
    assert (ds.accelerator.current_accelerator() is not None) == ds.cuda.is_available()
    assert not ds.distributed.is_available()
    assert not ds.distributed.is_initialized()
    if not ds.cuda.is_available():
        for ask in (
            ds.cuda.Event,
            ds.cuda.get_device_properties,
            ds.cuda.mem_get_info,
            lambda: ds.cuda.FloatTensor(2),
        ):
            with pytest.raises(RuntimeError, match="no usable CUDA device"):
                ask()
    with pytest.raises(AttributeError, match="nonsense"):
        _ = ds.cuda.nonsense


# --- testing.assert_close -------------------------------------------------------------------------------

PAIRS: dict[str, Any] = {
    "near": lambda t: (t.tensor([1.0, 2.0]), t.tensor([1.0, 2.0 + 1e-6])),
    "far": lambda t: (t.tensor([1.0, 2.0]), t.tensor([1.0, 2.1])),
    "shapes": lambda t: (t.zeros(2), t.zeros(3)),
    "dtypes": lambda t: (t.zeros(2), t.zeros(2, dtype=t.float64)),
    "doubles": lambda t: (t.tensor(1.0, dtype=t.float64), t.tensor(1.0 + 1e-6, dtype=t.float64)),
    "whole": lambda t: (t.tensor([1, 2]), t.tensor([1, 3])),
    "nan": lambda t: (t.tensor([float("nan")]), t.tensor([float("nan")])),
    "lists": lambda t: ([t.ones(2), 1.0], [t.ones(2), 1.0]),
    "lists apart": lambda t: ([t.ones(2)], [t.ones(2) * 2]),
    "dicts": lambda t: ({"a": t.ones(2)}, {"a": t.ones(2)}),
    "keys": lambda t: ({"a": t.ones(2)}, {"b": t.ones(2)}),
}


@pytest.mark.parametrize("name", PAIRS)
def test_assert_close_holds_where_pytorchs_holds(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")

    def holds(lib: Any) -> bool:
        try:
            lib.testing.assert_close(*PAIRS[name](lib))
        except AssertionError:
            return False
        return True

    assert holds(ds) == holds(torch)


def test_assert_close_says_where_and_how_far() -> None:
    with pytest.raises(AssertionError, match=r"1 of 2 elements differ, most at \(1,\): 2\.0 and 2\.5"):
        ds.testing.assert_close(ds.tensor([1.0, 2.0]), ds.tensor([1.0, 2.5]))
    with pytest.raises(AssertionError, match=r"under 'w': the shapes are"):
        ds.testing.assert_close({"w": ds.zeros(1)}, {"w": ds.zeros(2)})
    with pytest.raises(ValueError, match="given together"):
        ds.testing.assert_close(ds.zeros(1), ds.zeros(1), rtol=0.1)
