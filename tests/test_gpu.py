"""What runs on a GPU gives what it gives on NumPy: every op of the sample table, layers, optimizers, the debugger.

With CuPy and a GPU they run there; without, on a stand-in that keeps CuPy's rules (`strict_cupy.py`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import strict_cupy
from sample_row import Row
from samples import SAMPLES

import dsviz as ds
from dsviz import nn
from engine import backend

REAL = backend.cupy() is not None
# Sums are taken in another order on a GPU.
NEAR: dict[str, float] = {"rtol": 1e-6, "atol": 1e-7} if REAL else {"rtol": 1e-7, "atol": 1e-8}


@pytest.fixture(scope="module", autouse=True)
def device_library() -> Iterator[None]:
    """CuPy, or the stand-in for it."""
    if REAL:
        yield
        return
    with strict_cupy.installed():
        yield


def run(row: Row, device: str) -> tuple[list[Any], list[Any]]:
    inputs = [ds.Tensor(a).to(device=device) for a in row.arrays()]
    for t in inputs:
        t.requires_grad = t.dtype.kind in "fc"
    ds.manual_seed(0)
    with ds.device(device):
        made = row.ours(*inputs)
    outs = list(made) if isinstance(made, tuple) else [made]
    flowing = [o for o in outs if o.requires_grad]
    found: list[Any] = []
    if flowing:
        wanted = [t for t in inputs if t.requires_grad]
        seeds = [ds.ones_like(o) for o in flowing]
        found = list(ds.autograd.grad(flowing, wanted, seeds, allow_unused=True))
    if inputs and row.op != "move":
        assert [o.device.type for o in outs] == [device] * len(outs)
    return [o.detach().cpu().numpy() for o in outs], [None if g is None else g.cpu().numpy() for g in found]


@pytest.mark.parametrize("row", SAMPLES, ids=[f"{i}-{row}" for i, row in enumerate(SAMPLES)])
def test_a_gpu_gives_what_numpy_gives(row: Row) -> None:
    for here, there in zip(run(row, "cpu"), run(row, "cuda"), strict=True):
        for a, b in zip(here, there, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                assert a.dtype == b.dtype
                np.testing.assert_allclose(a, b, **NEAR)


# --- training ------------------------------------------------------------------------------------------


def numbers(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def mean_square(out: Any) -> Any:
    return ((out[0] if isinstance(out, tuple) else out) ** 2).mean()


def trained(
    device: str, make: Callable[[], Any], inputs: list[Any], optimizer: Callable[[Any], Any]
) -> list[Any]:
    """Loss, parameters and buffers after three steps."""
    ds.manual_seed(0)
    model = make().to(device)
    learning = optimizer(model.parameters())
    given = [ds.tensor(a, device=device) for a in inputs]

    def closure() -> Any:
        learning.zero_grad()
        loss = mean_square(model(*given))
        loss.backward()
        return loss

    loss = None
    for _ in range(3):
        loss = learning.step(closure)
    return [t.detach().cpu().numpy() for t in (loss, *model.parameters(), *model.buffers())]


def alike(make: Callable[[], Any], inputs: list[Any], optimizer: Callable[[Any], Any]) -> None:
    here, there = (trained(device, make, inputs, optimizer) for device in ("cpu", "cuda"))
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    "SGD Adam AdamW RMSprop Adagrad Adadelta Adamax NAdam RAdam Rprop ASGD LBFGS".split(),  # noqa: SIM905
)
def test_an_optimizer_learns_the_same_on_a_gpu(name: str) -> None:
    def make() -> Any:
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

    alike(make, [numbers(5, 4)], getattr(ds.optim, name))


def momentum(parameters: Any) -> Any:
    return ds.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1)


IMAGES: tuple[Any, ...] = (
    nn.Conv2d, (3, 4, 3, 1, 1), nn.BatchNorm2d, (4,), nn.ReLU, (), nn.MaxPool2d, (2,), nn.Conv2d, (4, 4, 3, 2, 0, 1, 2),
    nn.AdaptiveAvgPool2d, (1,), nn.Flatten, (), nn.Linear, (4, 2),
)  # fmt: skip
LAYERS: dict[str, tuple[Callable[[], Any], list[Any]]] = {
    "lstm": (lambda: nn.LSTM(4, 5, 2, bidirectional=True), [numbers(6, 3, 4)]),
    "gru": (lambda: nn.GRU(4, 5, batch_first=True), [numbers(3, 6, 4)]),
    "rnn": (lambda: nn.RNN(4, 5), [numbers(6, 3, 4)]),
    "images": (
        lambda: nn.Sequential(*[layer(*given) for layer, given in zip(IMAGES[::2], IMAGES[1::2], strict=True)]),
        [numbers(2, 3, 8, 8)],
    ),
    "transposed": (lambda: nn.ConvTranspose2d(3, 4, 3, stride=2), [numbers(2, 3, 5, 5)]),
    "transformer": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), 2),
        [numbers(2, 5, 8)],
    ),
    "dropout": (lambda: nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5)), [numbers(5, 4)]),
    "attention": (lambda: nn.MultiheadAttention(8, 2), [numbers(5, 2, 8)] * 3),
    "norms": (
        lambda: nn.Sequential(nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 8), nn.Softmax(-1)),
        [numbers(5, 8)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_learns_the_same_on_a_gpu(name: str) -> None:
    alike(*LAYERS[name], momentum)


def test_classes_rows_and_half_precision_on_a_gpu() -> None:
    found = []
    for device in ("cpu", "cuda"):
        ds.manual_seed(0)
        table, head = nn.Embedding(10, 4).to(device), nn.Linear(4, 3).to(device)
        loss = nn.functional.cross_entropy(
            head(table(ds.tensor([1, 2, 2, 9], device=device))),
            ds.tensor([0, 1, 2, 1], device=device),
            label_smoothing=0.1,
        )
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 0.1)
        optimizer = ds.optim.SGD(head.parameters(), lr=0.1)
        scaler = ds.amp.GradScaler(device)
        with ds.autocast(device, dtype=ds.float16):
            half = (head(ds.tensor(numbers(5, 4), device=device)) ** 2).mean()
        optimizer.zero_grad()
        scaler.scale(half).backward()
        scaler.step(optimizer)
        scaler.update()
        found.append([t.detach().cpu().numpy() for t in (loss, table.weight.grad, half, *head.parameters())])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-5)


def test_bfloat16_on_a_gpu() -> None:
    """Products in bfloat16 with sums in float32, parameters and their gradients in float32; on the CPU it is refused."""
    pytest.importorskip(
        "ml_dtypes", reason="ml_dtypes is not installed: NumPy and CuPy have no bfloat16 of their own"
    )
    found = []
    for short in (False, True):
        ds.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.AdaptiveAvgPool2d(1),
            nn.Flatten(), nn.Linear(8, 4),
        ).to("cuda")  # fmt: skip
        with ds.autocast("cuda", dtype=ds.bfloat16, enabled=short):
            out = net(ds.tensor(numbers(4, 3, 8, 8), device="cuda"))
            loss = nn.functional.cross_entropy(out, ds.tensor([0, 1, 2, 3], device="cuda"))
        loss.backward()
        assert (out.dtype.name, loss.dtype.name) == ("bfloat16" if short else "float32", "float32")
        assert all(p.grad.dtype == np.float32 for p in net.parameters())
        found.append([loss.item(), *[p.grad.cpu().numpy() for p in net.parameters()]])
    for full, less in zip(*found, strict=True):
        np.testing.assert_allclose(full, less, rtol=0.05, atol=0.02)
    with pytest.raises(ValueError, match=r"bfloat16 for 'cpu'(.|\n)*test_gpu.py"):
        ds.autocast("cpu", dtype=ds.bfloat16)


def test_a_gradient_of_a_gradient_on_a_gpu() -> None:
    x = ds.tensor(numbers(4), device="cuda", requires_grad=True)
    (g,) = ds.autograd.grad((x**3).sum(), x, create_graph=True)
    (g**2).sum().backward()
    np.testing.assert_allclose(x.grad.cpu().numpy(), 36 * numbers(4) ** 3, rtol=1e-5)


# --- where tensors are ---------------------------------------------------------------------------------


def test_where_new_tensors_are_made() -> None:
    with ds.device("cuda"):
        made = [ds.zeros(2), ds.tensor([1.0]), ds.rand(2), ds.arange(3), nn.Linear(2, 2).weight, ds.eye(2)]
        assert {str(t.device) for t in made} == {"cuda:0"}
        with ds.device("cpu"):
            assert ds.ones(1).device == ds.device("cpu")
    assert ds.ones(1).device == ds.device("cpu")
    ds.set_default_device("cuda")
    try:
        assert ds.ones(1).device.type == ds.get_default_device().type == "cuda"
        assert ds.zeros_like(ds.ones(1, device="cpu")).device.type == "cpu"
    finally:
        ds.set_default_device(None)
    with pytest.raises(RuntimeError, match="no cuda:7"):
        ds.set_default_device("cuda:7")


def test_what_goes_along_to_a_gpu_and_what_is_refused() -> None:
    a = ds.ones(2, device="cuda")
    x = ds.tensor(3.0, requires_grad=True)
    (a * x).sum().backward()
    assert x.grad.device == x.device  # a number in main memory goes along, its gradient comes back
    assert float(x.grad) == 2
    assert (a * np.ones(2)).device == a.device  # an array of NumPy says nothing of a device
    with pytest.raises(ds.DeviceMismatchError, match=r"arguments on cpu and cuda:0(.|\n)*test_gpu.py"):
        a + ds.ones(2)
    with pytest.raises(RuntimeError, match="cpu and cuda"):
        nn.Linear(2, 2)(a)


def test_what_an_index_does_on_a_gpu() -> None:
    a = ds.arange(4, device="cuda", dtype=ds.float32)
    for index in ([1, 2], np.array([1, 2]), ds.tensor([1, 2]), ds.tensor([1, 2], device="cuda")):
        assert a[index].tolist() == [1, 2]
    a[[0, 1]] = 5.0
    a[a > 4] = ds.tensor([7.0, 8.0], device="cuda")
    assert a.tolist() == [7, 8, 2, 3]
    # CuPy would take it modulo the size.
    for call in (
        lambda: a[ds.tensor([4])],
        lambda: ds.gather(a, 0, ds.tensor([9], device="cuda")),
        lambda: nn.functional.embedding(ds.tensor([4], device="cuda"), a.reshape(4, 1)),
        lambda: nn.functional.cross_entropy(a.reshape(2, 2), ds.tensor([0, 2], device="cuda")),
    ):
        with pytest.raises(IndexError, match=r"(4|9|2)(.|\n)*test_gpu.py"):
            call()


def test_what_is_written_copied_saved_and_shown() -> None:
    a = ds.zeros(2, device="cuda")
    a += 1
    a.fill_(3).mul_(2)
    a.copy_(ds.tensor([1.0, 2.0]))  # from main memory
    assert a.tolist() == [1, 2]
    assert repr(a) == "tensor([1., 2.], device='cuda:0')"
    layer, other = nn.Linear(2, 2, device="cuda"), nn.Linear(2, 2)
    file = io.BytesIO()
    ds.save(layer.state_dict(), file)
    file.seek(0)
    other.load_state_dict(ds.load(file, map_location="cpu"))
    assert other.weight.device.type == "cpu"
    np.testing.assert_array_equal(other.weight.detach().numpy(), layer.weight.detach().cpu().numpy())
    assert layer(np.ones((1, 2), np.float32)).device == layer.weight.device


def test_a_trace_of_what_runs_on_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    layer = nn.Linear(4, 3).to("cuda")
    with ds.trace() as graph:
        mean_square(layer(ds.ones(2, 4, device="cuda"))).backward()
    ds.debug.print_graph(graph)
    shown = capsys.readouterr().out
    assert "linear" in shown
    assert "2×3" in shown
    with ds.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="NaN"):
        (ds.zeros(1, device="cuda", requires_grad=True) / 0.0 * 0.0).sum().backward()
    with pytest.raises(ds.ShapeMismatchError, match=r"Expected \[batch, 4\], got \[5, 3\]"):
        layer(ds.ones(5, 3, device="cuda"))
