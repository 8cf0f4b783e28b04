"""Images with their channels last on a GPU: the kernels, run thread by thread on the CPU, and a network that trains with them.

cuDNN and cuBLAS are stand-ins that compute with NumPy what the engine describes to them.
"""

from __future__ import annotations

import types
from collections import Counter
from collections.abc import Iterator
from typing import Any

import cuda_as_cpp
import fake_cudnn
import numpy as np
import pytest
import strict_cupy

import dsviz as ds
from dsviz import nn
from engine import backend
from engine.gpu import (
    batch,
    convolution,
    images,
    launch,
    layout,
    library,
    normalisation,
)

pytestmark = [
    pytest.mark.skipif(
        not cuda_as_cpp.COMPILER, reason="the kernels are compiled as C++ here, and there is no compiler"
    ),
    pytest.mark.skipif(
        backend.cupy() is not None,
        reason="a GPU is here: test_gpu.py runs on it, and a stand-in beside it would not do",
    ),
    pytest.mark.xdist_group("images"),  # they are compiled once
]


@pytest.fixture(scope="module")
def gpu() -> Iterator[Any]:
    """The stand-in for CuPy, with kernels and libraries."""
    with cuda_as_cpp.installed() as cupy, pytest.MonkeyPatch.context() as patch:
        patch.setattr(cupy.cuda, "alloc", lambda size: types.SimpleNamespace(ptr=16), raising=False)
        yield cupy


@pytest.fixture
def cudnn(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`cudnn(layouts)` is the library that computes in these layouts."""

    def install(*layouts: bool) -> fake_cudnn.Cudnn:
        made = fake_cudnn.Cudnn(layouts=layouts)
        loaded = library.Library(made)  # type: ignore[arg-type]
        monkeypatch.setattr(library, "library", lambda: loaded)
        monkeypatch.setattr(convolution, "_plans", {})
        monkeypatch.setattr(normalisation, "_kept", {})
        return made

    return install


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each kernel was launched."""
    count: Counter[str] = Counter()
    plain = launch.kernel

    def counting(name: str, kind: str, file: str = "kernels") -> Any:
        found = plain(name, kind, file)

        def run(*arguments: Any) -> None:
            count[name] += 1
            found(*arguments)

        return run

    monkeypatch.setattr(launch, "kernel", counting)
    return count


def last(cupy: Any, values: np.ndarray[Any, Any]) -> Any:
    """On the GPU, [images, height, width, channels] as images with their channels last."""
    return cupy.asarray(values).transpose(0, 3, 1, 2)


def host(array: Any) -> np.ndarray[Any, Any]:
    return np.asarray(array.get(), np.float64)


SHAPES = [(2, 5, 7, 8), (1, 6, 2, 132), (2, 9, 5, 3)]  # with channels that are read four at a time, and not


@pytest.mark.parametrize(
    ("shape", "kind"),
    [*((shape, "f") for shape in SHAPES), (SHAPES[0], "e")],
    ids=str,
)
def test_batch_normalisation(shape: tuple[int, ...], kind: str, gpu: Any) -> None:
    draw, channels = np.random.default_rng(0), shape[-1]
    x, g, more = (last(gpu, (draw.standard_normal(shape) * s + m).astype(kind)) for s, m in ((3, 5), (1, 0), (1, 0)))  # fmt: skip
    weight, bias, mean, var = (gpu.asarray(draw.random(channels).astype(np.float32)) for _ in range(4))
    before = host(mean), host(var)
    out, stats = batch.normalise(x, weight, bias, mean, var, 0.1, 1e-5)
    wide, axes = host(x), (0, 2, 3)
    centre, spread = wide.mean(axes), wide.var(axes)
    across = (1, channels, 1, 1)
    hat = (wide - centre.reshape(across)) / np.sqrt(spread.reshape(across) + 1e-5)
    near: dict[str, Any] = {"rtol": 1e-3, "atol": 3e-3} if kind == "e" else {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(host(out), hat * host(weight).reshape(across) + host(bias).reshape(across), **near)  # fmt: skip
    rows = wide.size // channels
    np.testing.assert_allclose(host(mean), 0.9 * before[0] + 0.1 * centre, rtol=1e-5)
    np.testing.assert_allclose(host(var), 0.9 * before[1] + 0.1 * spread * rows / (rows - 1), rtol=1e-5)

    to, to_weight, to_bias = batch.gradients(g, x, weight, stats[0])
    come = host(g) * host(weight).reshape(across)
    inner = come - come.mean(axes).reshape(across) - hat * (come * hat).mean(axes).reshape(across)
    np.testing.assert_allclose(host(to), inner / np.sqrt(spread.reshape(across) + 1e-5), **near)
    np.testing.assert_allclose(host(to_weight), (host(g) * hat).sum(axes), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(host(to_bias), host(g).sum(axes), rtol=1e-3, atol=1e-4)

    # Together with what follows they are to the same bits as apart.
    positive = images.relu(out)
    apart = batch.gradients(images.relu_vjp(g, positive, None), x, weight, stats[0])
    together = batch.gradients(g, x, weight, stats[0], relu=True)
    for a, b in zip(apart, together, strict=True):
        np.testing.assert_array_equal(a.get(), b.get())
    both = batch.applied(x, weight, bias, batch.room(x), batch.statistics(x), eps=1e-5, relu=True, more=more)
    np.testing.assert_array_equal(both.get(), images.relu(images.add(out, more)).get())


@pytest.mark.parametrize(("channels", "kernel"), [(3, "turn_few"), (35, "turn")])
def test_layouts_are_turned_both_ways(channels: int, kernel: str, gpu: Any, launched: Counter[str]) -> None:
    plain = gpu.asarray(np.arange(2 * channels * 7 * 9, dtype=np.float32).reshape(2, channels, 7, 9))
    turned = layout.lie(plain, True)
    assert layout.is_last(turned)
    assert not turned.flags.c_contiguous
    back = layout.lie(turned, False)
    assert back.flags.c_contiguous
    assert launched[kernel] == 2
    assert layout.lie(turned, True) is turned
    assert layout.lie(plain, False) is plain
    strided = layout.lie(plain[:, :, ::2, ::3], True)  # lies neither way
    assert layout.is_last(strided)
    np.testing.assert_array_equal(turned.get(), plain.get())
    np.testing.assert_array_equal(back.get(), plain.get())
    np.testing.assert_array_equal(strided.get(), plain.get()[:, :, ::2, ::3])


def pooled(x: Any, *window: int) -> list[np.ndarray[Any, Any]]:
    x.requires_grad = True
    made = nn.functional.max_pool2d(x, *window)
    mean = nn.functional.adaptive_avg_pool2d(made, 1)
    ((made * made).sum() + (mean * mean).sum()).backward()
    return [t.detach().cpu().numpy() for t in (made, mean, x.grad)]


@pytest.mark.parametrize("window", [(3, 2, 1), (2,), (3, 1, 1, 2), (4, 3, 2), (2, 3), (3, 2, 1, 3)], ids=str)
def test_pooling(window: tuple[int, ...], gpu: Any, launched: Counter[str]) -> None:
    values = np.random.default_rng(0).integers(-3, 4, (2, 9, 10, 5)).astype(np.float32)  # many are equal
    here = pooled(ds.tensor(values.transpose(0, 3, 1, 2).copy()), *window)
    there = pooled(ds.Tensor(last(gpu, values)), *window)
    for one, other in zip(here, there, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert {"max_pool_last", "max_pool_gradient_last", "mean_last", "spread_last"} <= set(launched)


class Block(nn.Module):
    """What a residual network has: windows of one pixel and of more, strides, sums, poolings."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 5, 2, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1))  # fmt: skip
        self.narrow, self.first = nn.Conv2d(8, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.wide, self.second = nn.Conv2d(4, 4, 3, 2, 1), nn.BatchNorm2d(4)
        self.out, self.third = nn.Conv2d(4, 16, 1, bias=False), nn.BatchNorm2d(16)
        self.past, self.fourth = nn.Conv2d(8, 16, 1, 2, bias=False), nn.BatchNorm2d(16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        made = ds.relu(self.first(self.narrow(x)))
        made = nn.functional.silu(self.second(self.wide(made)))
        made = ds.relu(self.third(self.out(made)) + self.fourth(self.past(x)))
        return self.head(ds.flatten(nn.functional.adaptive_avg_pool2d(made, 1), 1))


def trained(device: str, half: bool = False) -> list[np.ndarray[Any, Any]]:
    """Losses of two steps, parameters, buffers and an evaluation."""
    ds.manual_seed(0)
    net = Block().to(device)
    optimizer = ds.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    draw = np.random.default_rng(0)
    x = ds.tensor(draw.standard_normal((4, 3, 16, 16)).astype(np.float32), device=device)
    y = ds.tensor(np.arange(4), device=device)
    losses = []
    for _ in range(2):
        with ds.autocast(device, dtype=ds.float16, enabled=half):
            loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    net.eval()
    return [
        np.array(losses),
        *[t.detach().cpu().numpy() for t in (*net.parameters(), *net.buffers(), net(x))],
    ]


@pytest.fixture
def unaided(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy multiplies no matrices: it does so by cuBLAS, which refuses to be recorded that way."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")

    for name in ("matmul", "dot", "tensordot", "einsum"):
        monkeypatch.setattr(gpu, name, refuse, raising=False)
    for name in ("__matmul__", "__rmatmul__"):
        monkeypatch.setattr(strict_cupy.ndarray, name, refuse)


@pytest.mark.parametrize(
    ("layouts", "tf32"), [((False, True), False), ((False, True), True), ((False,), False)], ids=str
)
def test_a_network_trains_with_channels_last(
    layouts: tuple[bool, ...], tf32: bool, cudnn: Any, unaided: None, launched: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    library = cudnn(*layouts)
    monkeypatch.setattr(ds.backends.cudnn, "allow_tf32", tf32)
    for here, there in zip(trained("cpu"), trained("cuda"), strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-5)
    assert library.lasts
    if True in layouts:
        assert all(library.lasts[:4])
        assert launched["norm_parts_4"] == 10  # all five, in each of two steps
        assert launched["max_pool_last"] == 3


# --- computed together with what follows ---------------------------------------------------------------------


class Residual(nn.Module):
    """Both of what is foreseen: a normalisation and its relu, and one with a sum and the relu of that."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.first = nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.two, self.second = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)

    def forward(self, x: Any, look: bool = False, alone: bool = False) -> Any:
        past = self.first(self.one(x))
        if look:
            past.array.sum()  # somebody looks at what is between
        past = ds.relu(past)
        made = self.second(self.two(past))
        if alone:
            return made
        made = past + made
        if look:
            made.array.sum()
        return ds.relu(made)


def steps(half: bool, count: int = 3, **how: Any) -> tuple[list[np.ndarray[Any, Any]], Residual]:
    ds.manual_seed(0)
    net = Residual().to("cuda")
    optimizer = ds.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    x = ds.tensor(np.random.default_rng(0).standard_normal((2, 3, 6, 5)).astype(np.float32), device="cuda")
    x.requires_grad = True
    found = []
    for _ in range(count):
        with ds.autocast("cuda", dtype=ds.float16, enabled=half):
            loss = (net(x, **how) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(x.grad.cpu().numpy())
    return [*found, *[t.detach().cpu().numpy() for t in (*net.parameters(), *net.buffers())]], net


@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
def test_what_is_computed_together_has_the_bits_of_what_is_computed_apart(
    half: bool, cudnn: Any, launched: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cudnn(False, True)
    together, _ = steps(half)
    # From the second step on a relu has no launch of its own, and the sum none; its gradient has one.
    assert (launched["relu"], launched["rectified"]) == (2, 2 + 2)
    assert launched["norm_parts_4"] == launched["norm_sums_4"] == 6
    launched.clear()
    with monkeypatch.context() as patch:
        patch.setattr(images, "foresee", lambda source: None)
        apart, _ = steps(half)
    assert (launched["relu"], launched["rectified"]) == (6, 6)
    seen, _ = steps(half, look=True)
    for one, other, third in zip(together, apart, seen, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, third)


def test_a_relu_that_does_not_come(cudnn: Any) -> None:
    cudnn(False, True)
    _, net = steps(False, count=2)
    x = ds.tensor(np.random.default_rng(1).standard_normal((2, 3, 6, 5)).astype(np.float32), device="cuda")
    before = net.second.running_mean.cpu().numpy()
    made = net(x, alone=True)
    with ds.no_grad():
        net.second.weight.mul_(3)  # what was not written down has the parameters as they were
    assert (
        np.abs(net.second.running_mean.cpu().numpy() - before).max() > 0
    )  # the statistics followed all the same
    found = made.detach().cpu().numpy()
    np.testing.assert_allclose(found.std(axis=(0, 2, 3)), np.abs(net.second.weight.detach().cpu().numpy() / 3), rtol=1e-3)  # fmt: skip


def test_a_network_trains_in_float16(cudnn: Any, unaided: None) -> None:
    cudnn(False, True)
    losses, *_ = trained("cuda", half=True)
    np.testing.assert_allclose(losses, trained("cpu")[0], rtol=1e-2)
