"""Steps recorded by `ds.cuda.graphed`: what a recording is told anew at each launch, and what it leaves to cuBLAS.

With CuPy and a GPU they are recorded there; without, by the stand-in for CuPy, which computes nothing while it records
(`cuda_as_cpp.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cuda_as_cpp
import numpy as np
import pytest

import dsviz as ds
from dsviz import nn
from engine import backend
from engine.jit.plan import plans

pytestmark = cuda_as_cpp.needed


@pytest.fixture(scope="module", autouse=True)
def device_library() -> Iterator[None]:
    """CuPy, or the stand-in that compiles."""
    with cuda_as_cpp.available():
        yield


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def value(tensor: Any) -> Any:
    return tensor.detach().cpu().numpy().copy()


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda given: ds.optim.SGD(given, lr=0.1, momentum=0.9, weight_decay=0.1),
    "Adam": lambda given: ds.optim.Adam(given, lr=0.1, weight_decay=0.1, amsgrad=True),
    "AdamW": lambda given: ds.optim.AdamW(given, lr=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizers_recorded_step_counts_and_follows_its_schedule(name: str) -> None:
    found = []
    for wrap in (lambda step: step, ds.cuda.graphed):
        parameters = [ds.Parameter(ds.tensor(numbers(*shape), device="cuda")) for shape in ((3, 5), (7,))]
        for p in parameters:
            p.grad = ds.tensor(numbers(*p.shape, seed=1), device="cuda")
        optimizer = OPTIMIZERS[name](parameters)
        schedule = ds.optim.lr_scheduler.ExponentialLR(optimizer, 0.7)
        step = wrap(lambda optimizer=optimizer: optimizer.step() or 0)
        seen = []
        for _ in range(7):
            step()
            seen.append([value(p) for p in parameters])
            schedule.step()
        counts = [state.get("step") for state in optimizer.state.values()]
        assert counts == [None if name == "SGD" else 7] * 2
        found.append(seen)
    for plain, recorded in zip(*found, strict=True):
        for a, b in zip(plain, recorded, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_recorded_dropout_draws_what_the_step_itself_draws() -> None:
    x = ds.tensor(numbers(5, 9), device="cuda")
    found = []
    for wrap in (lambda step: step, ds.cuda.graphed):
        ds.manual_seed(3)
        step = wrap(lambda x: (nn.functional.dropout(x, 0.4), nn.functional.dropout(x, 0.1)))
        found.append([[value(part) for part in step(x)] for _ in range(6)])
    for plain, recorded in zip(*found, strict=True):
        for a, b in zip(plain, recorded, strict=True):
            np.testing.assert_array_equal(a, b)
    assert (found[0][4][0] != found[0][5][0]).any()


def test_a_dropout_on_a_gpu_keeps_what_it_keeps_on_the_cpu() -> None:
    query = numbers(2, 3, 5, 4)
    found = []
    for device in ("cpu", "cuda"):
        ds.manual_seed(3)
        x = ds.tensor(query, device=device, requires_grad=True)
        out = nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=0.4) + nn.functional.dropout(
            x, 0.3
        )
        out.sum().backward()
        found.append([value(out), value(x.grad)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize(("most", "factor"), [(0.5, 1.0), (1e6, 1.0), (0.5, float("nan"))])
def test_a_norm_is_held_without_waiting_for_it(most: float, factor: float, kind: str) -> None:
    found = []
    for wrap, device in ((None, "cpu"), (ds.cuda.graphed, "cuda")):
        given = [numbers(3, 5), numbers(5000, seed=1) * np.float32(factor)]
        parameters = [ds.Parameter(ds.tensor(g.astype(kind), device=device)) for g in given]

        def clip(parameters: Any = parameters) -> Any:
            return nn.utils.clip_grad_norm_(parameters, most)

        step = clip if wrap is None else wrap(clip)
        seen = []
        for turn in range(4):
            for p, g in zip(parameters, given, strict=True):
                if turn == 0:
                    p.grad = ds.tensor(g.astype(kind), device=device)
                p.grad.copy_(ds.tensor((g * (turn + 1)).astype(kind), device=device))
            norm = step()
            assert norm.device.type == device
            seen += [value(norm), *[value(p.grad) for p in parameters]]
        found.append(seen)
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-8)
    for norm_type in (1, 3, float("inf")):
        p = ds.Parameter(ds.tensor(numbers(4, 4), device="cuda"))
        p.grad = ds.tensor(numbers(4, 4), device="cuda")
        size = np.linalg.norm(numbers(4, 4).ravel(), norm_type)
        assert nn.utils.clip_grad_norm_([p], 0.5, norm_type).item() == pytest.approx(size, rel=1e-5)
        assert nn.utils.get_total_norm([p.grad], norm_type).item() == pytest.approx(0.5, rel=1e-3)
    p.grad = ds.tensor([[float("inf")] * 4] * 4, device="cuda")
    with pytest.raises(RuntimeError, match="norm of the gradients is inf"):
        nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)


def test_what_would_be_the_same_at_each_launch_is_refused() -> None:
    p = ds.Parameter(ds.tensor(numbers(4), device="cuda"))
    p.grad = ds.tensor(numbers(4), device="cuda")
    slow = ds.optim.NAdam([p])
    steps = {
        "a random number that no dropout drew": lambda: ds.rand(2),
        "NAdam's count of its steps": lambda: slow.step() or 0,
    }
    for words, run in steps.items():
        step = ds.cuda.graphed(run)
        step()
        step()
        with pytest.raises(RuntimeError, match=f"{words} cannot be recorded(.|\n)*test_gpu_recorded.py"):
            step()


def test_a_recording_that_fails_leaves_the_count_as_it_was() -> None:
    p = ds.Parameter(ds.tensor(numbers(4), device="cuda"))
    p.grad = ds.tensor(numbers(4), device="cuda")
    optimizer = ds.optim.Adam([p])

    def run() -> Any:
        optimizer.step()
        return ds.rand(2)

    step = ds.cuda.graphed(run)
    step()
    step()
    with pytest.raises(RuntimeError, match="random"):
        step()
    assert optimizer.state[p]["step"] == 2


def test_what_cupy_does_not_record_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch norm of vectors multiplies no matrices."""
    module = backend.require_cupy()

    def refused(*_: Any, **__: Any) -> Any:
        raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")

    for name in ("einsum", "matmul", "tensordot", "dot"):
        monkeypatch.setattr(module, name, refused)
    if not cuda_as_cpp.REAL:
        monkeypatch.setattr(module.ndarray, "__matmul__", refused)
    for shape in ((6, 4), (6, 4, 3)):
        layer = nn.BatchNorm1d(4).to("cuda")
        x = ds.tensor(numbers(*shape), device="cuda", requires_grad=True)
        (layer(x) ** 3).sum().backward()
        here = nn.BatchNorm1d(4)
        y = ds.tensor(numbers(*shape), requires_grad=True)
        (here(y) ** 3).sum().backward()
        for a, b in (
            (x.grad, y.grad),
            (layer.weight.grad, here.weight.grad),
            (layer.running_var, here.running_var),
        ):
            np.testing.assert_allclose(value(a), value(b), rtol=1e-4, atol=1e-5)


LAYERS: dict[str, Callable[[], Any]] = {
    "layer norm": lambda: nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3)),
    "batch norm": lambda: nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)),
    "dropout": lambda: nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.3), nn.GELU(), nn.Linear(8, 3)),
    "images": lambda: nn.Sequential(
        nn.Unflatten(1, (2, 2, 2)), nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
    ),
    "attention": lambda: nn.Sequential(
        nn.Unflatten(1, (2, 4)), nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), nn.Flatten(), nn.Linear(8, 3)
    ),
    "einsum": lambda: Summed(),
}  # fmt: skip


class Summed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(ds.randn(3, 8))

    def forward(self, x: Any) -> Any:
        return ds.einsum("bi,oi->bo", x, self.weight) + (x @ self.weight[0])[:, None]


@pytest.mark.parametrize("layer", LAYERS)
def test_a_whole_recorded_step_gives_what_the_step_gives(layer: str) -> None:
    found = []
    for wrap in (lambda step: step, ds.cuda.graphed):
        ds.manual_seed(0)
        model = LAYERS[layer]().to("cuda")
        optimizer = ds.optim.AdamW(model.parameters(), lr=0.01)

        def step(x: Any, y: Any, model: Any = model, optimizer: Any = optimizer) -> Any:
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            return loss

        run = wrap(step)
        losses = []
        for turn, rows in enumerate((5, 5, 5, 5, 5, 7, 7, 7, 7)):  # another shape is recorded anew
            x, y = ds.tensor(numbers(rows, 8, seed=turn), device="cuda"), ds.arange(rows, device="cuda") % 3
            losses.append(run(x, y).item())
        found.append([np.array(losses), *[value(t) for t in (*model.parameters(), *model.buffers())]])
    for plain, recorded in zip(*found, strict=True):
        np.testing.assert_array_equal(plain, recorded)


def test_a_region_is_recorded_by_its_kernel() -> None:
    """What compiles when it is recorded is waited for once: it would be recorded op by op, and stay so."""
    plans.forget()
    function = ds.jit(lambda x: 0.5 * x * (1 + ds.tanh(0.8 * (x + 0.04 * x * x * x))))
    x = ds.tensor(numbers(8, 64), device="cuda")
    with ds.no_jit():
        expected = value(function(x))
    step = ds.cuda.graphed(lambda x: function(x))
    found = [value(step(x)) for _ in range(5)]
    for each in found:
        np.testing.assert_allclose(each, expected, rtol=1e-5, atol=1e-6)
    assert ds.jit_report()["hits"] >= 1
    runs = sum(region["runs"] for region in ds.jit_report()["regions"])
    assert runs <= 3  # the launches afterwards run no Python


def test_what_a_recorded_step_returns_is_the_callers() -> None:
    double = ds.cuda.graphed(lambda x: x * 2)
    made = [double(ds.full((2,), float(i), device="cuda")) for i in range(6)]
    assert [m.tolist() for m in made] == [[2.0 * i] * 2 for i in range(6)]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda x: x * 2 if x.sum().item() > 0 else x, "waits for a value"),
        (lambda x: x * ds.rand(4, device="cuda"), "random number that no dropout drew cannot be recorded"),
    ],
    ids=["value", "random"],
)
def test_what_cannot_be_recorded_is_told(step: Any, words: str) -> None:
    whole = ds.cuda.graphed(step)
    x = ds.ones(4, device="cuda")
    whole(x)
    whole(x)
    with pytest.raises(RuntimeError, match=words):
        whole(x)
    assert (x + 1).tolist() == [2, 2, 2, 2]  # the GPU goes on


def test_a_recorded_step_runs_as_written_where_somebody_looks() -> None:
    seen = []

    def step(x: Any) -> Any:
        seen.append(1)
        return x * 2

    whole = ds.cuda.graphed(step)
    with ds.trace():
        for _ in range(5):
            whole(ds.ones(2, device="cuda"))
    whole(ds.ones(2))
    assert len(seen) == 6
