"""oneDNN's kernels give what NumPy's give, take over only where they can, and are never needed."""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import SAMPLES

import dsviz as ds
from dsviz import nn
from engine import dispatch, pool
from engine.dnn import convolution, elementwise, library, normalisation, product
from engine.pool import matmul

F = nn.functional
present = library._opened() is not None
needs_it = pytest.mark.skipif(not present, reason='needs oneDNN: pip install "dsviz[cpu-fast]"')


def both(run: Any) -> tuple[list[Any], list[Any]]:
    """What `run` gives with oneDNN and with NumPy."""
    with ds.graph_config(cpu_fast=True):
        fast = [a.numpy(force=True) for a in run()]
    with ds.graph_config(cpu_fast=False):
        return fast, [a.numpy(force=True) for a in run()]


def close(fast: list[Any], plain: list[Any]) -> None:
    for a, b in zip(fast, plain, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4 * max(1.0, float(np.abs(b).max(initial=0))))


def normal(*shape: int, seed: int = 0) -> Any:
    return ds.tensor(
        np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32), requires_grad=True
    )


# (input, weight, stride, padding, dilation, groups, bias)
CONVOLUTIONS: dict[str, tuple[Any, ...]] = {
    "image": ((2, 3, 17, 19), (8, 3, 3, 3), 2, 1, 1, 1, True),
    "groups": ((1, 4, 9, 9), (6, 2, 3, 3), 1, 1, 1, 2, True),
    "depthwise": ((2, 8, 10, 10), (8, 1, 3, 3), 1, 1, 1, 8, False),
    "pointwise": ((2, 16, 8, 8), (32, 16, 1, 1), 1, 0, 1, 1, False),
    "pointwise-strided": ((2, 16, 9, 9), (32, 16, 1, 1), 2, 0, 1, 1, True),
    "dilated": ((2, 3, 20, 20), (4, 3, 5, 5), 3, 2, 2, 1, True),
    "one-window": ((3, 5, 7, 7), (2, 5, 7, 7), 1, 0, 1, 1, True),
    "rows-left-over": ((2, 3, 9, 8), (4, 3, 2, 2), 3, 0, 1, 1, False),
    "uneven": ((2, 3, 9, 8), (4, 3, 2, 4), 1, "same", 1, 1, False),
    "no-batch": ((3, 9, 8), (4, 3, 2, 2), 1, 1, 1, 1, True),
    "length": ((2, 3, 17), (8, 3, 3), 2, 1, 1, 1, True),
    "length-groups": ((2, 4, 40), (6, 2, 5), 1, "same", 3, 2, False),
    "length-depthwise": ((2, 8, 40), (8, 1, 3), 1, 1, 1, 8, True),
    "volume": ((2, 3, 7, 9, 8), (4, 3, 3, 3, 3), 1, 1, 1, 1, True),
    "volume-uneven": ((2, 4, 7, 10, 9), (6, 2, 2, 3, 1), (1, 2, 3), (0, 1, 2), (2, 1, 1), 2, False),
    "volume-no-batch": ((3, 5, 9, 8), (4, 3, 2, 2, 2), 2, 0, 1, 1, True),
}


@needs_it
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution_and_its_gradients(case: str) -> None:
    shape, kernel, stride, padding, dilation, groups, biased = CONVOLUTIONS[case]

    def run() -> list[Any]:
        x, w, b = normal(*shape), normal(*kernel), normal(kernel[0]) if biased else None
        y = getattr(F, f"conv{len(kernel) - 2}d")(x, w, b, stride, padding, dilation, groups)
        assert y.array.flags.c_contiguous or len(kernel) == 4
        (y * y).sum().backward()
        return [y, x.grad, w.grad, *([] if b is None else [b.grad])]

    before = len(convolution._cache)
    close(*both(run))
    assert len(convolution._cache) > before, "oneDNN did not do it"


@needs_it
def test_second_gradients_and_transposed_convolution() -> None:
    def run() -> list[Any]:
        x, w = normal(2, 3, 8, 8), normal(4, 3, 3, 3)
        y = F.conv2d(x, w, None, 2, 1)
        (g,) = ds.grad((y * y).sum(), x, create_graph=True)
        (g * g).sum().backward()
        z = F.conv_transpose2d(normal(2, 4, 5, 5), w, None, 2, 1, 1)
        line = F.conv_transpose1d(normal(2, 4, 9), normal(4, 2, 3), None, 2, 1, 1, 2)
        volume = F.conv_transpose3d(normal(1, 4, 3, 4, 5), normal(4, 2, 2, 3, 1), None, (1, 2, 1))
        return [g, x.grad, w.grad, z, line, volume]

    close(*both(run))


@needs_it
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_batch_normalisation(affine: bool, last: bool) -> None:
    def run() -> list[Any]:
        layer = nn.BatchNorm2d(6, affine=affine)
        values = normal(4, 6, 5, 7).numpy(force=True) * 3 + 1
        values[:, 0] = 1.5  # a channel without variance
        if last:
            values = np.ascontiguousarray(values.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        x = ds.Tensor(values, requires_grad=True)
        y = layer(x)
        (y * normal(4, 6, 5, 7, seed=1).detach()).sum().backward()
        grads = [p.grad for p in layer.parameters()]
        return [y, x.grad[:, 1:], layer.running_mean, layer.running_var, *grads]

    before = len(normalisation._cache)
    close(*both(run))
    assert len(normalisation._cache) >= before


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.inner = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        x = F.max_pool2d(ds.relu(self.norm(self.stem(x))), 3, 2, 1)
        x = ds.relu(self.inner(x) + x)
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


def losses(turns: int = 4) -> list[float]:
    ds.manual_seed(0)
    net, found = Small(), []
    optimizer = ds.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    x, y = ds.randn(4, 3, 32, 32), ds.tensor([0, 1, 2, 3])
    for _ in range(turns):
        loss = F.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(float(loss.item()))
    return found


@needs_it
def test_training_goes_the_same_way_and_the_same_bits_each_time() -> None:
    fast = losses()
    assert fast == losses()
    with ds.graph_config(memory_optimization=False):
        assert fast == losses()
    with ds.graph_config(cpu_fast=False):
        np.testing.assert_allclose(fast, losses(), rtol=1e-4)


@needs_it
def test_watched_or_not_the_bits_are_the_same() -> None:
    alone = losses(2)
    seen: list[str] = []
    with ds.bus.subscribe(lambda kind, node: seen.append(node.label), "op_finish"):
        assert losses(2) == alone
    assert {"conv2d", "conv2d'", "batch_norm"} <= set(seen)


def test_numpy_serves_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library._opened.cache_clear()
    broken = tmp_path / "libdnnl.so.3"
    broken.write_bytes(b"not a library")
    monkeypatch.setattr(library, "_places", lambda: [str(broken)])
    try:
        assert library.library() is None
        assert len(losses(1)) == 1
    finally:
        library._opened.cache_clear()


@needs_it
def test_another_version_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "VERSION", (9, 9))
    library._opened.cache_clear()
    try:
        assert library.library() is None
    finally:
        library._opened.cache_clear()


@needs_it
def test_its_threads_follow_those_of_the_products() -> None:
    found, before = library.library(), ds.get_num_threads()
    assert found is not None
    most = found.lib.omp_get_max_threads()
    try:
        ds.set_num_threads(1)
        assert found.lib.omp_get_max_threads() == 1
    finally:
        ds.set_num_threads(before)
        found.lib.omp_set_num_threads(most)


@needs_it
def test_other_types_stay_with_numpy() -> None:
    before = len(convolution._cache)
    x, w = normal(1, 2, 5, 6), normal(3, 2, 2, 2)
    F.conv2d(x.double(), w.double())
    F.conv2d(x.half(), w.half())
    F.conv2d(ds.zeros(0, 2, 5, 6), w)
    assert len(convolution._cache) == before


@needs_it
def test_what_is_prepared_is_bounded() -> None:
    cache = library.Cache(3)
    for i in range(9):
        assert cache.get(i, lambda i=i: i) == i  # type: ignore[misc]
    assert len(cache) == 3
    assert cache.get(8, lambda: pytest.fail("made again")) == 8

    def refuse() -> Any:
        raise library.Refused(2)

    assert cache.get("no", refuse) is None


@needs_it
def test_threads_take_turns() -> None:
    x, w = normal(2, 3, 16, 16), normal(8, 3, 3, 3)
    expected = F.conv2d(x, w).numpy(force=True)
    wrong: list[int] = []

    def work() -> None:
        for _ in range(20):
            if not np.array_equal(F.conv2d(x, w).numpy(force=True), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@needs_it
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_computes_with_numpy() -> None:
    """Of a library's threads only the parent's are there."""
    expected = losses(1)
    child = os.fork()
    if child == 0:
        right = library.library() is None and abs(losses(1)[0] - expected[0]) < 1e-4
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert library.library() is not None


@needs_it
@pytest.mark.parametrize("layout", ["plain", "left turned", "right turned", "rows of a wider one"])
def test_products(layout: str) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((96, 160), np.float32), rng.standard_normal((160, 144), np.float32)
    if layout == "left turned":
        a = np.ascontiguousarray(a.T).T
    elif layout == "right turned":
        b = np.ascontiguousarray(b.T).T
    elif layout == "rows of a wider one":
        a = rng.standard_normal((96, 200), np.float32)[:, 20:180]
    out = np.empty((96, 144), np.float32)
    assert product.worth(a, b)
    assert product.multiply(a, b, out)
    np.testing.assert_allclose(out, a @ b, rtol=1e-4, atol=1e-4)
    assert not product.multiply(a[:, ::-1], b[::-1], out)
    np.testing.assert_allclose(matmul(a[:, ::-1], b[::-1], out), a @ b, rtol=1e-4, atol=1e-4)


@needs_it
@pytest.mark.parametrize("rounds_alike", [True, False])
def test_a_gradient_of_a_weight_has_the_same_bits_each_time(
    rounds_alike: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where sgemm takes over from the kernel that serves at first, which it does if it has its bits."""
    monkeypatch.setattr(product, "_counts", {})
    first, calls = product.multiply_all, []

    def serving(a: Any, b: Any, out: Any) -> bool:
        calls.append(a.shape)
        done = first(a, b, out)
        if not rounds_alike:
            out += np.float32(1e-3)
        return done

    monkeypatch.setattr(product, "multiply_all", serving)
    a, b = raw(32, 128).T, raw(32, 784)
    made = [np.empty((128, 784), np.float32) for _ in range(product.EARLY + 3)]
    for out in made:
        assert product.multiply(a, b, out)
        assert np.array_equal(out, made[0])
    np.testing.assert_allclose(made[0], a @ b, rtol=1e-4, atol=2e-3)
    taken_over = list(product._counts.values()) == [product.EARLY]
    assert len(calls) == (product.EARLY if taken_over else len(made))
    assert rounds_alike or not taken_over
    product.multiply(raw(300, 128).T, raw(300, 784), made[0])  # of many rows: sgemm from the start
    product.multiply(raw(128, 32), raw(32, 784), made[0])
    assert len(product._counts) == 1


STACKS: dict[str, tuple[tuple[int, ...], tuple[int, ...], bool]] = {
    "heads": ((2, 3, 40, 16), (2, 3, 16, 24), True),
    "batch": ((5, 9, 13), (5, 13, 11), True),
    "broadcast": ((2, 3, 40, 16), (2, 1, 16, 24), False),
    "rows of their own": ((5, 1, 25), (5, 25, 12), False),
}


def raw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


@needs_it
@pytest.mark.parametrize("laid", ["in order", "turned", "beside", "backwards"])
@pytest.mark.parametrize("name", STACKS)
def test_stacks_of_products(name: str, laid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "STACKED", 0)
    monkeypatch.setattr(pool, "LARGE", 0)
    monkeypatch.setattr(dispatch, "LARGE", 0)
    left, right, taken = STACKS[name]
    a, b = raw(*left), raw(*right, seed=1)
    if laid == "turned":
        a, b = (np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2) for x in (a, b))
    elif laid == "beside" and a.ndim == 4:
        a, b = (np.ascontiguousarray(x.swapaxes(1, 2)).swapaxes(1, 2) for x in (a, b))
    elif laid == "backwards":
        a, b, taken = a[..., ::-1], b[..., ::-1, :], False
    assert product.stackable(a, b) is taken
    assert not product.stackable(a.astype(np.float64), b.astype(np.float64))
    g = raw(*np.matmul(a, b).shape, seed=2)

    def run() -> Any:
        x, y = (ds.Tensor(v).requires_grad_() for v in (a, b))
        made = ds.matmul(x, y)
        made.backward(ds.Tensor(g))
        return made, x.grad, y.grad

    close(*both(run))


@needs_it
def test_rows_of_a_batch_by_a_matrix() -> None:
    a, b, g = raw(3, 5, 7, 11), raw(11, 13, seed=1), raw(3, 5, 7, 13, seed=2)

    def run() -> Any:
        x, y = (ds.Tensor(v).requires_grad_() for v in (a, b))
        made = x @ y
        made.backward(ds.Tensor(g))
        return made, x.grad, y.grad

    made = run()
    np.testing.assert_allclose(made[2].numpy(), np.einsum("abci,abcj->ij", a, g), rtol=1e-4, atol=1e-4)
    with ds.graph_config(memory_optimization=False):
        assert all(
            np.array_equal(p.numpy(force=True), q.numpy(force=True)) for p, q in zip(made, run(), strict=True)
        )


@needs_it
def test_what_is_not_finite_stays_so() -> None:
    a = np.ones((128, 128), np.float32)
    a[3, 5], a[7, 9] = np.nan, np.inf
    made = matmul(a, np.ones((128, 128), np.float32))
    assert np.isnan(made[3]).all()
    assert np.isinf(made[7]).all()
    assert np.isfinite(np.delete(made, [3, 7], axis=0)).all()
    image = ds.ones(1, 8, 16, 16)
    image.array[0, 2, 5, 5] = np.nan
    seen = F.conv2d(image, ds.ones(8, 8, 3, 3))
    assert np.isnan(seen.numpy()).sum() == 8 * 9


def applied(function: Any, *shape: int, special: bool = False, last: bool = False) -> Any:
    """`function` of numbers and its gradient, as a run for `both`."""

    def run() -> list[Any]:
        values = normal(*shape).numpy(force=True) * 4
        if special:
            flat = values.reshape(-1)
            flat[::997], flat[1::997], flat[2::997] = np.nan, np.inf, -np.inf
        if last:
            values = np.ascontiguousarray(values.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        x = ds.Tensor(values, requires_grad=True)
        y = function(x)
        y.backward(normal(*y.shape, seed=1).detach())
        return [y, x.grad]

    return run


OVER = {
    "gelu": F.gelu,
    "gelu-tanh": lambda x: F.gelu(x, approximate="tanh"),
    "softmax": lambda x: F.softmax(x, -1),
    "relu": F.relu,
    "layer norm": lambda x: F.layer_norm(x, x.shape[-1:], ds.ones(x.shape[-1]) * 2, ds.ones(x.shape[-1])),
}


@needs_it
@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("name", OVER)
def test_activations_and_rows(name: str, special: bool) -> None:
    before = len(elementwise._cache) + len(normalisation._cache)
    fast, plain = both(applied(OVER[name], 200, 4, 100, special=special))
    assert len(elementwise._cache) + len(normalisation._cache) >= before
    # What is not finite comes out the same.
    assert np.array_equal(np.isnan(fast[0]), np.isnan(plain[0]))
    assert np.array_equal(np.isinf(fast[0]), np.isinf(plain[0]))
    close([np.nan_to_num(a, posinf=0, neginf=0) for a in fast[: 1 if special else 2]],
          [np.nan_to_num(a, posinf=0, neginf=0) for a in plain[: 1 if special else 2]])  # fmt: skip


@needs_it
@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("window", [(3, 2, 1), (2, 2, 0), (5, 3, 2), (3, 4, 0)])
def test_largest_of_windows(window: tuple[int, int, int], special: bool) -> None:
    """The same element takes the gradient, also among equal ones."""

    def coarse(x: Any) -> Any:
        return F.max_pool2d(x.round() if not special else x, *window)

    fast, plain = both(applied(coarse, 3, 16, 21, 20, special=special, last=True))
    for a, b in zip(fast, plain, strict=True):
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
        np.testing.assert_allclose(np.nan_to_num(a), np.nan_to_num(b), rtol=1e-6)


@needs_it
def test_a_window_of_nothing_but_minus_infinity() -> None:
    values = np.full((2, 16, 20, 20), -np.inf, np.float32).transpose(0, 1, 2, 3)
    last = np.ascontiguousarray(values.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert np.isneginf(F.max_pool2d(ds.Tensor(last), 3, 2, 1).numpy()).all()


def test_erf_of_single_numbers() -> None:
    x = np.concatenate(
        [np.linspace(-6, 6, 4001), np.logspace(-38, 0, 400), [np.nan, np.inf, -np.inf, 0.0, -0.0]]
    )
    x = x.astype(np.float32)
    found = ds.erf(ds.tensor(x)).numpy()
    exact = np.array([math.erf(v) for v in x.tolist()])
    np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-45)
    assert np.abs(found[np.isfinite(found)]).max() == 1


IMAGES = [row for row in SAMPLES if any(a.ndim == 4 for a in row.arrays())]


@pytest.mark.parametrize("kind", ["float64", "float32"])
@pytest.mark.parametrize("row", IMAGES, ids=str)
def test_every_op_takes_channels_last(row: Any, kind: str) -> None:
    """Where the channels lie in memory changes no result and no gradient."""

    def outcome(last: bool) -> list[Any]:
        inputs = []
        for a in row.arrays(kind):
            if a.ndim == 4 and last:
                a = np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
            inputs.append(ds.Tensor(a, requires_grad=a.dtype.kind == "f"))
        ds.manual_seed(0)
        made = row.ours(*inputs)
        made = [made] if isinstance(made, ds.Tensor) else list(made)
        outs = [m for m in made if m.requires_grad]
        wanted = [t for t in inputs if t.requires_grad]
        found: Any = ()
        if outs and wanted:
            rng = np.random.default_rng(0)
            seeds = [ds.tensor(rng.standard_normal(o.shape).astype(o.dtype)) for o in outs]
            found = ds.grad(outs, wanted, seeds, allow_unused=True)
        return [m.numpy(force=True) for m in made] + [None if g is None else g.numpy() for g in found]

    exact = 1e-9 if kind == "float64" else 2e-3
    for a, b in zip(outcome(True), outcome(False), strict=True):
        if b is None:
            assert a is None
        else:
            np.testing.assert_allclose(a, b, rtol=exact, atol=exact)


def test_large_rows_of_channels_last() -> None:
    x = normal(2, 16, 64, 64).detach()
    last = ds.Tensor(np.ascontiguousarray(x.numpy().transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))
    for function in (
        lambda t: F.layer_norm(t, (64,)),
        lambda t: F.rms_norm(t, (64,)),
        F.relu,
        F.gelu,
        ds.tanh,
    ):
        np.testing.assert_allclose(function(last).numpy(), function(x).numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(200, 400), (3, 41, 700), (90_000,), (1, 70_000)])
def test_numpys_own_way_over_large_arrays(shape: tuple[int, ...]) -> None:
    """A cacheful at a time, which float64 tests of small arrays do not reach: against the formulas in float64."""
    x, g = (normal(*shape, seed=i).numpy(force=True) for i in (0, 1))
    wide = x.astype(np.float64)
    phi = np.exp(-wide * wide / 2) / math.sqrt(2 * math.pi)
    cumulative = np.vectorize(math.erf)(wide / math.sqrt(2)) / 2 + 0.5
    soft = np.exp(wide - wide.max(-1, keepdims=True))
    soft /= soft.sum(-1, keepdims=True)
    expected = {
        F.gelu: (wide * cumulative, g * (cumulative + wide * phi)),
        (lambda t: F.softmax(t, -1)): (soft, soft * (g - (g * soft).sum(-1, keepdims=True))),
    }
    with ds.graph_config(cpu_fast=False):
        for function, (value, slope) in expected.items():
            t = ds.tensor(x, requires_grad=True)
            y = function(t)
            y.backward(ds.tensor(g))
            np.testing.assert_allclose(y.numpy(force=True), value, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(t.grad.numpy(), slope, rtol=1e-4, atol=2e-6)
