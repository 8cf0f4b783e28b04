"""Regions on a GPU: what is compiled for it equals what is computed op by op, and whatever it declines runs as ever.

With CuPy and a GPU the kernels run there; without, the same text is compiled as C++ (`cuda_as_cpp.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import cuda_as_cpp
import numpy as np
import pytest

import dsviz as ds
from dsviz.query import jit as shown
from engine import backend
from engine.gpu import generated, launch
from engine.jit.cuda import program
from engine.jit.passes import Traits
from engine.jit.plan import plans
from engine.jit.symbol import Tape

pytestmark = cuda_as_cpp.needed


@pytest.fixture(scope="module", autouse=True)
def device_library() -> Iterator[None]:
    """CuPy, or the stand-in that compiles."""
    with cuda_as_cpp.available():
        assert launch.compiled("f")  # the ops' own kernels, which are not what is tested here
        yield


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    plans.wait()
    plans.forget()
    with ds.graph_config(jit_threshold=None):
        yield
    plans.wait()
    plans.forget()


def leaf(*shape: int, seed: int = 0, kind: str = "float32", device: str = "cuda") -> Any:
    array = np.random.default_rng(seed).standard_normal(shape).astype(kind)
    return ds.tensor(array, device=device, requires_grad=True)


def value(tensor: Any) -> Any:
    return tensor.detach().cpu().numpy()


def trained(function: Callable[..., Any], *args: Any) -> list[Any]:
    """The result and the gradients of its squares."""
    out = function(*args)
    found = ds.autograd.grad((out * out).sum(), args)
    return [value(t) for t in (out, *found)]


def compiled(function: Callable[..., Any], *args: Any) -> list[Any]:
    """The same by the region's kernel."""
    wrapped = ds.jit(function)
    for _ in range(3):
        trained(wrapped, *args)
        plans.wait()
    before = ds.jit_report()["hits"]
    found = trained(wrapped, *args)
    regions = ds.jit_report()["regions"]
    assert ds.jit_report()["hits"] > before, [(r["state"], r["error"]) for r in regions]
    assert {r["device"] for r in regions} == {"cuda"}
    return found


def gelu(x: Any) -> Any:
    return 0.5 * x * (1 + ds.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))


def normalised(x: Any, weight: Any, bias: Any) -> Any:
    away = x - x.mean(-1, keepdim=True)
    return away / ((away * away).mean(-1, keepdim=True) + 1e-5).sqrt() * weight + bias


REGIONS: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "elements": (gelu, [(6, 70)]),
    "softmax by warps": (lambda x: ds.softmax(x * 2.0, -1) * x, [(11, 70)]),
    "softmax by blocks": (lambda x: ds.softmax(x * 2.0, -1) * x, [(3, 600)]),
    "normalisation by warps": (normalised, [(9, 70), (70,), (70,)]),
    "normalisation by blocks": (normalised, [(5, 150), (150,), (150,)]),
    "layer norm": (lambda x, w, b: ds.nn.functional.layer_norm(x * 1.5, (40,), w, b) * 2.0, [(9, 40), (40,), (40,)]),
    "a bias": (lambda x, b: ds.tanh(x + b) * 2.0, [(40, 33), (33,)]),
    "a bias of few rows": (lambda x, b: ds.tanh(x + b) * 2.0, [(2, 3000), (3000,)]),
    "a number a row": (lambda x, r: ds.tanh(x * r) * x, [(12, 40), (12, 1)]),
    "another order in memory": (lambda x, y: ds.tanh(x + y.transpose(0, 1)) * x, [(12, 40), (40, 12)]),
    "extremes": (lambda x: (x - x.amax(-1, keepdim=True)).exp() + x.amin(-1, keepdim=True), [(7, 50)]),
    "one number a row": (lambda x: (x * x + 1.0).sum(-1), [(7, 50)]),
}  # fmt: skip
# How far from what is computed op by op, in which half precision is rounded at each op.
NEAR = {"float32": 4e-6, "float64": 1e-14, "float16": 4e-3}
EVERY = [(name, "float32") for name in REGIONS] + [
    (name, kind)
    for name in ("elements", "softmax by warps", "normalisation by blocks")
    for kind in ("float64", "float16")
]


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_a_region_gives_what_its_ops_give(name: str, kind: str) -> None:
    function, shapes = REGIONS[name]
    args = [leaf(*shape, seed=i, kind=kind) for i, shape in enumerate(shapes)]
    with ds.no_jit():
        expected = trained(function, *args)
    for got, plain in zip(compiled(function, *args), expected, strict=True):
        assert got.dtype == plain.dtype
        assert got.shape == plain.shape
        scale = float(np.abs(plain.astype(np.float64)).max())
        np.testing.assert_allclose(got, plain, rtol=0, atol=NEAR[kind] * scale)


def test_half_precision_sums_in_float() -> None:
    def spread(x: Any) -> Any:
        return (x * 1.0) / ((x * x).mean(-1, keepdim=True) + 1.0).sqrt()

    x = ds.tensor(np.full((4, 100), 200.0, np.float16), device="cuda", requires_grad=True)
    found = compiled(spread, x)
    np.testing.assert_allclose(
        found[0], 1.0, rtol=2e-3
    )  # the squares alone add up to more than a half can hold
    assert np.isfinite(found[1]).all()


def test_what_is_not_finite_goes_through() -> None:
    x = ds.tensor(np.array([[np.nan, 1, np.inf, -np.inf] * 20] * 8, np.float32), device="cuda")

    def function(x: Any) -> Any:
        return ds.maximum(x * 1.0, x) + x.amax(-1, keepdim=True)

    with ds.no_jit():
        expected = value(function(x))
    wrapped = ds.jit(function)
    for _ in range(3):
        got = value(wrapped(x))
        plans.wait()
    assert ds.jit_report()["hits"]
    np.testing.assert_array_equal(got, expected)


def test_python_counts_at_each_call() -> None:
    scale, x = 2.0, leaf(8, 64)
    squared = False

    @ds.jit
    def function(x: Any, shift: Any) -> Any:
        y = ds.tanh(x * scale + shift)
        return y * y if squared else y - x

    def check(shift: Any) -> None:
        first = function(x, shift)
        kept, second = value(first), function(x, shift)
        assert first.array.data.ptr != second.array.data.ptr
        with ds.no_jit():
            away = x * scale + shift
            np.testing.assert_allclose(
                kept, value(away.tanh() ** 2 if squared else away.tanh() - x), rtol=1e-5, atol=1e-6
            )

    for shift in (0.5, 3, -1.0, 2.5):
        check(shift)
        plans.wait()
    scale = 3.0
    check(0.5)
    squared = True
    check(0.5)
    assert ds.jit_report()["hits"]
    with ds.no_grad():
        before = function(x, 1.0)
        x.mul_(0.0)
        assert np.abs(value(before)).max() > 0
        np.testing.assert_allclose(value(function(x, 1.0)), np.tanh(1.0) ** 2, rtol=1e-5)


def test_a_region_knows_where_it_is() -> None:
    function = ds.jit(gelu)
    seen = []

    def look(x: Any) -> Any:
        y = x * 2.0
        seen.append((str(y.device), y.is_cuda, str(x.device), x.is_cuda))
        return gelu(y)

    for device in ("cpu", "cuda", "cpu", "cuda"):
        function(leaf(8, 64, device=device)).sum().backward()
        ds.jit(look)(leaf(8, 64, device=device))
        plans.wait()
    assert {("cpu", False, "cpu", False), ("cuda:0", True, "cuda:0", True)} == set(seen)
    told = ds.jit_report()
    assert {r["device"] for r in told["regions"]} == {"cpu", "cuda"}
    assert any("on a GPU now" in r["reason"] for r in told["regions"])
    assert any("on a GPU" in line for line in shown.sentences(told))
    with pytest.raises(ds.DeviceMismatchError):
        ds.jit(lambda x, y: x * 2.0 + y)(leaf(8, 64), leaf(8, 64, device="cpu"))


def test_the_program_never_waits_for_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    done, module = threading.Event(), backend.require_cupy()
    plain = module.RawModule

    def slow(**given: Any) -> Any:
        done.wait(60)
        return plain(**given)

    monkeypatch.setattr(module, "RawModule", slow)
    x, function = leaf(8, 64), ds.jit(gelu)
    with ds.no_jit():
        expected = value(gelu(x))
    for _ in range(3):
        np.testing.assert_array_equal(value(function(x)), expected)
    assert [r["state"] for r in ds.jit_report()["regions"]] == ["compiling"]
    done.set()
    plans.wait()
    np.testing.assert_allclose(value(function(x)), expected, rtol=1e-5, atol=1e-6)
    assert ds.jit_report()["hits"] == 1


def test_a_compiler_that_fails_is_told_and_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def broken(**given: Any) -> Any:
        asked.append(1)
        raise RuntimeError("no headers\nmore of it")

    monkeypatch.setattr(backend.require_cupy(), "RawModule", broken)
    for width in (64, 65, 66, 67, 68):
        x = leaf(8, width)
        for _ in range(3):
            trained(ds.jit(REGIONS["softmax by warps"][0]), x)
            plans.wait()
    assert len(asked) == 3
    assert "no headers" in ds.jit_report()["refused"]
    assert not plans.refused  # the CPU's is another


def test_few_long_rows_are_left_to_the_ops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated, "LONGEST", 100)
    function, x = REGIONS["softmax by warps"][0], leaf(3, 200)
    with ds.no_jit():
        expected = trained(function, x)
    for got, plain in zip(compiled(function, x), expected, strict=True):
        np.testing.assert_array_equal(got, plain)


def test_how_a_kernel_is_spread_over_the_gpu() -> None:
    """Every element has a thread, every row a team, and a block no more threads than there may be."""
    for traits in (
        Traits(True, False, ()),
        Traits(False, False, ()),
        Traits(False, True, ()),
        Traits(False, True, (1,)),
    ):
        for rows in (1, 7, 5000, 1 << 20):
            for row in (1, 16, 33, 513, 5000, 1 << 20):
                (x, y, z), (wide, high, deep) = generated.extent(traits, rows, row)
                assert z == deep == 1 <= min(x, y, wide, high)
                assert wide % 32 == 0
                assert wide * high <= 1024
                assert x < 1 << 31
                assert y <= 65535
                assert x <= -(-rows * (row if traits.flat else 1) // (wide if traits.flat else high))


def test_the_text_says_what_is_held_and_what_is_computed_in() -> None:
    assert "typedef __half E;\ntypedef float T;" in program([], Tape((4, 8), np.dtype("float16")))
    assert "typedef double E;\ntypedef double T;" in program([], Tape((4, 8), np.dtype("float64")))


@pytest.mark.parametrize("name", ["forward", "backward"])
def test_a_kernel_that_the_gpu_refuses_is_given_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, x = REGIONS["softmax by warps"][0], leaf(11, 70)
    with ds.no_jit():
        expected = trained(function, x)
    made, launch = generated.Kernel.__init__, generated.Kernel.__call__
    refused = set()

    def note(self: Any, module: Any, asked: str, *given: Any) -> None:
        made(self, module, asked, *given)
        if asked == name:
            refused.add(id(self))

    def refuse(self: Any, *given: Any) -> None:
        if id(self) in refused:
            raise RuntimeError("too many resources requested for launch")
        launch(self, *given)

    monkeypatch.setattr(generated.Kernel, "__init__", note)
    monkeypatch.setattr(generated.Kernel, "__call__", refuse)
    wrapped = ds.jit(function)
    for _ in range(2):
        trained(wrapped, x)
        plans.wait()
    for _ in range(3):
        for got, by_ops in zip(trained(wrapped, x), expected, strict=True):
            np.testing.assert_allclose(got, by_ops, rtol=1e-5, atol=1e-6)
    (region,) = ds.jit_report()["regions"]
    assert region["state"] == "plain"
    assert "too many resources" in region["error"]
