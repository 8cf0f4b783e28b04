"""Batch normalisation in C: the numbers of the formula in float64, the same bits with any number of threads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import dsviz as ds
from engine.dnn import batch, compiled, library

pytestmark = pytest.mark.skipif(
    library._opened() is None, reason='needs oneDNN: pip install "dsviz[cpu-fast]"'
)
EPS = 1e-5


@pytest.fixture(autouse=True)
def _built() -> None:
    if batch.norms.build() is None:
        pytest.skip("no compiler")


@pytest.fixture
def threads() -> Iterator[Any]:
    """Sets the number of threads of the loops."""
    found = batch.norms.ready()
    before = found.omp_get_max_threads()
    yield found.omp_set_num_threads
    found.omp_set_num_threads(before)


def last(*shape: int, seed: int = 0, off: float = 0.0) -> Any:
    """Normal numbers, channels last in memory."""
    samples, channels, height, width = shape
    made = np.random.default_rng([seed, *shape]).standard_normal((samples, height, width, channels)) * 2 + off
    return made.astype(np.float32).transpose(0, 3, 1, 2)


def row(channels: int, seed: int) -> Any:
    return np.random.default_rng([seed, channels]).standard_normal(channels).astype(np.float32)


def both(x: Any, g: Any, weight: Any, bias: Any, relu: bool, more: Any = None) -> list[Any]:
    """Result, mean and variance, and the three gradients."""
    mean, variance = np.empty((2, x.shape[1]), np.float32)
    out = batch.forward(x, weight, bias, EPS, mean, variance, relu=relu, more=more)
    again = batch.forward(x, weight, bias, EPS, mean, variance, given=True, relu=relu, more=more)
    assert np.array_equal(out, again, equal_nan=True)
    found = batch.backward(g, x, weight, mean, 1 / np.sqrt(variance + EPS), relu, bias)
    assert found is not None
    return [out, mean, variance, *found]


def formula(x: Any, g: Any, weight: Any, bias: Any, relu: bool) -> list[Any]:
    """The same in float64, from Ioffe and Szegedy's equations."""
    x, g = x.astype(np.float64), g.astype(np.float64)
    across, over = (1, -1, 1, 1), (0, 2, 3)
    mean, variance = x.mean(over), x.var(over)
    rstd = 1 / np.sqrt(variance + EPS)
    hat = (x - mean.reshape(across)) * rstd.reshape(across)
    scale = np.ones(x.shape[1]) if weight is None else weight.astype(np.float64)
    out = hat * scale.reshape(across) + (0 if bias is None else bias.reshape(across))
    if relu:
        g, out = g * (out > 0), np.maximum(out, 0)
    to_weight, to_bias = (g * hat).sum(over), g.sum(over)
    count = x.size // x.shape[1]
    inner = g - (to_bias / count).reshape(across) - hat * (to_weight / count).reshape(across)
    return [
        out, mean, variance, inner * (rstd * scale).reshape(across), None if weight is None else to_weight, to_bias,
    ]  # fmt: skip


@pytest.mark.parametrize("relu", [False, True], ids=["alone", "relu"])
@pytest.mark.parametrize("affine", [False, True], ids=["bare", "affine"])
@pytest.mark.parametrize(
    ("shape", "off"), [((2, 64, 24, 24), 0), ((3, 70, 19, 17), 50), ((8, 2048, 2, 3), -3), ((2, 5, 100, 70), 0)]
)  # fmt: skip
def test_numbers(shape: Any, off: float, affine: bool, relu: bool) -> None:
    x, g = last(*shape, off=off), last(*shape, seed=1)
    weight, bias = (row(shape[1], 2), row(shape[1], 3)) if affine else (None, None)
    for mine, exact in zip(both(x, g, weight, bias, relu), formula(x, g, weight, bias, relu), strict=True):
        assert (mine is None) == (exact is None)
        if mine is not None:
            # A result as good as 0 may come out on the other side of it, and its gradient with it.
            wrong = ~np.isclose(mine, exact, rtol=1e-4, atol=1e-5 * max(1, np.abs(exact).max()))
            assert wrong.mean() < (1e-4 if relu and mine.ndim == 4 else 1e-9)


def test_bits_do_not_depend_on_threads(threads: Any) -> None:
    x, g, more = (last(3, 70, 33, 31, seed=s) for s in range(3))
    found = []
    for count in (1, 2, 5):
        threads(count)
        found.append(both(x, g, row(70, 3), row(70, 4), True, more))
    for made in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(made, found[0], strict=True))


def test_what_is_added_and_not_finite() -> None:
    x, more = last(2, 32, 40, 40), last(2, 32, 40, 40, seed=1)
    more[0, 0, 0, 0], more[0, 0, 0, 1] = np.nan, -np.inf
    mean, variance = np.empty((2, 32), np.float32)
    alone = batch.forward(x, row(32, 1), row(32, 2), EPS, mean, variance)
    made = batch.forward(x, row(32, 1), row(32, 2), EPS, mean, variance, relu=True, more=more)
    assert np.array_equal(made, np.maximum(alone + more, 0), equal_nan=True)
    x[0, 3, 0, 0] = np.nan
    made = batch.forward(x, None, None, EPS, mean, variance, relu=True)
    assert np.isnan(made[:, 3]).all()
    assert np.isfinite(made[:, 4]).all()


def test_what_it_does_not_take() -> None:
    mean, variance = np.empty((2, 32), np.float32)
    x = last(2, 32, 40, 40)
    assert batch.forward(x, None, None, EPS, mean, variance) is not None
    for other in (np.ascontiguousarray(x), x.astype(np.float64), x[:, :, :8], x[:, :, :, ::2], x[0]):
        assert batch.forward(other, None, None, EPS, mean, variance) is None
    with ds.graph_config(cpu_fast=False):
        assert batch.forward(x, None, None, EPS, mean, variance) is None


def test_the_first_program_waits_for_the_compiler(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that its numbers are those of the programs after it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    program = (
        "import dsviz as ds, hashlib\n"
        "ds.manual_seed(0)\n"
        "norm = ds.nn.BatchNorm2d(16)\n"
        "x = ds.randn(4, 3, 40, 40)\n"
        "out = norm(ds.nn.Conv2d(3, 16, 3, padding=1)(x))\n"
        "out.sigmoid().sum().backward()\n"
        "print(hashlib.sha256(out.numpy(force=True).tobytes() + norm.weight.grad.numpy().tobytes()).hexdigest())\n"
        "from engine.dnn import batch; assert batch.norms._found is not None\n"
    )
    first, second = (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert first == second != ""


def test_no_compiler_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.native import compiler

    asked: list[int] = []

    def none() -> None:
        asked.append(1)

    monkeypatch.setattr(compiler, "compiler", none)
    fresh = compiled.Compiled("norm.c", ("-DNOBODY",), {}, late=False, waited=True)
    assert fresh.ready() is None
    assert fresh.ready() is None
    assert len(asked) == 1


def test_where_no_compiler_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.native import compiler

    def refused(*given: Any, **more: Any) -> None:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(compiler, "leave", refused)
    fresh = compiled.Compiled("norm.c", ("-DREFUSED",), {}, late=False, waited=True)
    assert fresh.ready() is None
    assert fresh.ready() is None
