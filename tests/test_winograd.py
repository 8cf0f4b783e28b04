"""Convolution by Winograd's algorithm: close to exact, off by a switch, the same way for all of a program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dsviz as ds
from engine.config import DEFAULT
from engine.dnn import library, winograd
from engine.native.compiler import compiler

F = ds.nn.functional
needs_both = pytest.mark.skipif(
    library._opened() is None or compiler() is None, reason="needs oneDNN and a C compiler"
)
CLOSE = 3e-5  # of the largest number


@pytest.fixture(scope="module")
def built() -> Any:
    found = winograd.winograd.build()
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def asked() -> Iterator[None]:
    with ds.graph_config(winograd=True):
        yield


@pytest.fixture
def small(built: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also small convolutions go this way."""
    monkeypatch.setattr(winograd, "ENOUGH", 0)
    monkeypatch.setattr(winograd, "FEW", 1 << 20)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `_takes` answered."""
    answers: list[Any] = []
    ask = winograd._takes
    monkeypatch.setattr(winograd, "_takes", lambda *args: answers.append(ask(*args)) or answers[-1])
    return answers


def normal(seed: int, *shape: int) -> Any:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def trained(x: Any, w: Any, b: Any, kind: Any = np.float32, **config: bool) -> list[Any]:
    """A convolution's result and gradients."""
    with ds.graph_config(**config):
        tensors = [None if a is None else ds.Tensor(a.astype(kind), requires_grad=True) for a in (x, w, b)]
        y = F.conv2d(*tensors, padding=1)
        y.backward(ds.Tensor(normal(9, *y.shape).astype(kind)))
        return [y.numpy(force=True), *(t.grad.numpy() for t in tensors if t is not None)]


# (samples, channels, filters, height, width): whole tiles and not, one tile, few channels of many
SHAPES = [(2, 64, 64, 8, 8), (1, 64, 128, 7, 10), (3, 128, 64, 5, 3), (1, 64, 64, 1, 2), (9, 64, 64, 21, 22)]


@needs_both
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("biased", [False, True])
def test_result_and_gradients_are_close(shape: tuple[int, ...], biased: bool, taken: list[Any]) -> None:
    n, c, k, height, width = shape
    x, w, b = normal(0, n, c, height, width), normal(1, k, c, 3, 3), normal(2, k) if biased else None
    found = trained(x, w, b)
    assert len(taken) == 3
    assert all(taken)
    with ds.graph_config(cpu_fast=False):
        exact = trained(x, w, b, np.float64)
    for a, e in zip(found, exact, strict=True):
        assert a.shape == e.shape
        assert np.abs(a - e).max() <= CLOSE * np.abs(e).max()
    for a, e in zip(found, trained(x, w, b), strict=True):
        assert np.array_equal(a, e)


@needs_both
@pytest.mark.usefixtures("small")
def test_threads_apart_or_together_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = normal(0, 4, 64, 20, 20), normal(1, 64, 64, 3, 3)
    apart = trained(x, w, None)
    monkeypatch.setattr(winograd, "CHUNK", 1 << 20)
    for a, e in zip(trained(x, w, None), apart, strict=True):
        assert np.array_equal(a, e)


@needs_both
@pytest.mark.usefixtures("small")
def test_second_gradients() -> None:
    def second(**config: bool) -> list[Any]:
        with ds.graph_config(**config):
            x = ds.Tensor(normal(0, 1, 64, 6, 6), requires_grad=True)
            w = ds.Tensor(normal(1, 64, 64, 3, 3) / 24, requires_grad=True)
            y = F.conv2d(x, w, None, 1, 1)
            (g,) = ds.grad((y * y).sum(), x, create_graph=True)
            (g * g).sum().backward()
            return [g.numpy(force=True), x.grad.numpy(), w.grad.numpy()]

    for a, e in zip(second(), second(winograd=False), strict=True):
        assert np.abs(a - e).max() <= 3 * CLOSE * np.abs(e).max()


@needs_both
def test_what_it_is_not_for_stays_direct(
    built: Any, monkeypatch: pytest.MonkeyPatch, taken: list[Any]
) -> None:
    x = ds.Tensor(normal(0, 1, 64, 9, 9))
    F.conv2d(x, ds.Tensor(normal(1, 64, 64, 3, 3)), None, 1, 1)  # too small to matter
    monkeypatch.setattr(winograd, "ENOUGH", 0)
    F.conv2d(x, ds.Tensor(normal(1, 64, 64, 3, 3)), None, 1, 1)  # few tiles of many channels
    monkeypatch.setattr(winograd, "FEW", 1 << 20)
    with ds.graph_config(winograd=False):
        F.conv2d(x, ds.Tensor(normal(1, 64, 64, 3, 3)), None, 1, 1)
    w = ds.Tensor(normal(1, 64, 64, 3, 3))
    for stride, padding, dilation in ((2, 1, 1), (1, 0, 1), (1, 2, 1), (1, 1, 2), (1, (1, 0), 1)):
        F.conv2d(x, w, None, stride, padding, dilation)
    F.conv2d(x, ds.Tensor(normal(1, 64, 64, 5, 5)), None, 1, 2)
    F.conv2d(x, ds.Tensor(normal(1, 48, 64, 3, 3)), None, 1, 1)
    F.conv2d(x, ds.Tensor(normal(1, 64, 1, 3, 3)), None, 1, 1, 1, 64)
    assert len(taken) == 11
    assert not any(taken)


@needs_both
def test_a_program_that_begins_without_it_goes_on_without_it(tmp_path: Path) -> None:
    """While the compiler runs for the next program, this one's numbers stay of one kind."""
    program = (
        "import numpy as np\n"
        "import dsviz as ds\n"
        "ds.configure(winograd=True)\n"
        "from engine.dnn import compiled, winograd\n"
        "winograd.ENOUGH, winograd.FEW = 0, 1 << 20\n"
        "x, w = (ds.Tensor(np.random.default_rng(0).standard_normal(s).astype('f')) for s in ((2,64,8,8), (64,64,3,3)))\n"
        "conv = lambda: ds.nn.functional.conv2d(x, w, None, 1, 1).numpy()\n"
        "first = conv()\n"
        "made = compiled.Compiled('winograd.c', winograd.winograd.flags[len(compiled.FLAGS):], {})\n"
        "assert made.build() is not None and made.name() == winograd.winograd.name()\n"
        "assert all(np.array_equal(conv(), first) for _ in range(2 * compiled.ASK))\n"
        "assert winograd.winograd.build() is not None and not np.array_equal(conv(), first)\n"
    )
    around = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=around, check=True)


def test_the_switch_is_a_key_and_off_unless_asked_for() -> None:
    assert not DEFAULT.winograd
    with ds.graph_config(winograd=False) as now:
        assert not now.winograd
    with pytest.raises(ValueError, match="winograd takes true or false, got 1"):
        ds.graph_config(winograd=1)
