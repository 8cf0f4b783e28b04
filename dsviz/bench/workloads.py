"""The programs that are measured. Each is written once, against the names both frameworks share.

A workload is given the framework (`dsviz` or `torch`) and returns a function that trains one step and
gives the loss. Weights and batches come from one NumPy generator, so both frameworks start from the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from dsviz.bench import resnet

Step = Callable[[], float]


class Workload(NamedTuple):
    """`build(lib)` makes the step; a step's time is divided by `parts`, each of which is one `part`.

    What is aimed at, ours divided by the best of PyTorch's: `goal` of the time, `memory` of the peak above what the
    loaded library takes, `start` of the time from the start of the process to the end of the first step.
    """

    build: Callable[[Any], Step]
    what: str
    goal: float
    parts: int = 1
    part: str = "step"
    memory: float | None = None
    start: float | None = None


def fill(lib: Any, model: Any, scale: float = 0.05) -> Any:
    """Give `model` weights that are the same in every framework."""
    rng = np.random.default_rng(0)
    with lib.no_grad():
        for name, parameter in model.named_parameters():
            value = rng.standard_normal(tuple(parameter.shape)).astype(np.float32) * scale
            if (parameter.ndim == 1 and "norm" in name) or ".bn" in name:
                value = np.ones_like(value) if name.endswith("weight") else np.zeros_like(value)
            parameter.copy_(lib.tensor(value))
    return model


def dressed(lib: Any, model: Any) -> Any:
    """The model as the contestant wants it, such as compiled."""
    dress = getattr(lib, "dress", None)
    return model if dress is None else dress(model)


def forward(lib: Any) -> Any:
    """The block a loss is computed in: the contestant's, such as mixed precision, or none."""
    return getattr(lib, "mixed", nullcontext)()


def stepped(lib: Any, run: Callable[[], Any]) -> Step:
    """The step that trains by `run` and gives the loss as a number, as the contestant wants it: recorded, say."""
    changed = getattr(lib, "stepped", None)
    return (lambda: float(run().item())) if changed is None else changed(run)


def batch(lib: Any, *shape: int, seed: int = 1) -> Any:
    """Normally distributed input."""
    return lib.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def classes(lib: Any, count: int, *shape: int) -> Any:
    """Class numbers below `count`."""
    return lib.tensor(np.random.default_rng(2).integers(0, count, shape))


CHAIN = 500


def chain(lib: Any) -> Step:
    """A thousand multiplications and additions of eight numbers, one after another, and back."""
    x = batch(lib, 8)
    x.requires_grad_()

    def run() -> Any:
        with forward(lib):
            y = x
            for _ in range(CHAIN):
                y = y * 0.999 + x
            loss = y.sum()
        x.grad = None
        loss.backward()
        return loss

    return stepped(lib, run)


def trained(lib: Any, model: Any, loss: Callable[[], Any], **options: float) -> Step:
    """The step of a model by SGD, with these options, on what `loss` gives."""
    optimizer = lib.optim.SGD(model.parameters(), **options)

    def run() -> Any:
        with forward(lib):
            found = loss()
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
        return found

    return stepped(lib, run)


def mlp_model(lib: Any) -> Any:
    """784-128-10."""
    nn = lib.nn
    return fill(lib, nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)))


def mlp(lib: Any) -> Step:
    """784-128-10, batch 32, SGD."""
    nn = lib.nn
    model = dressed(lib, mlp_model(lib))
    x, y = batch(lib, 32, 784), classes(lib, 10, 32)
    return trained(lib, model, lambda: nn.functional.cross_entropy(model(x), y), lr=0.01)


STEPS, HIDDEN = 32, 128


def squares(lib: Any, model: Any, result: Callable[[], Any]) -> Step:
    """The step of a model whose loss is the mean square of what `result` gives."""

    def loss() -> Any:
        out = result()
        return (out * out).mean()

    return trained(lib, model, loss, lr=0.01)


def lstm_ops(size: int) -> Callable[[Any], Step]:
    """An LSTM written from ops in a Python loop, as a person writes it from the paper."""

    def build(lib: Any) -> Step:
        nn = lib.nn

        class Cell(nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.wx = nn.Linear(HIDDEN, 4 * HIDDEN)
                self.wh = nn.Linear(HIDDEN, 4 * HIDDEN)

            def forward(self, x: Any, h: Any, c: Any) -> Any:
                i, f, g, o = (self.wx(x) + self.wh(h)).chunk(4, dim=-1)
                c = lib.sigmoid(f) * c + lib.sigmoid(i) * lib.tanh(g)
                return lib.sigmoid(o) * lib.tanh(c), c

        cell = dressed(lib, fill(lib, Cell()))
        x = batch(lib, STEPS, size, HIDDEN)

        def run() -> Any:
            h = c = lib.zeros(size, HIDDEN, device=x.device)
            for t in range(STEPS):
                h, c = cell(x[t], h, c)
            return h

        return squares(lib, cell, run)

    return build


def lstm_cell(size: int) -> Callable[[Any], Step]:
    """`nn.LSTMCell` in a Python loop."""

    def build(lib: Any) -> Step:
        cell = fill(lib, lib.nn.LSTMCell(HIDDEN, HIDDEN))
        x = batch(lib, STEPS, size, HIDDEN)

        def run() -> Any:
            h = c = lib.zeros(size, HIDDEN, device=x.device)
            for t in range(STEPS):
                h, c = cell(x[t], (h, c))
            return h

        return squares(lib, cell, run)

    return build


def lstm_model(lib: Any) -> Any:
    """One layer."""
    return fill(lib, lib.nn.LSTM(HIDDEN, HIDDEN))


def lstm(size: int) -> Callable[[Any], Step]:
    """`nn.LSTM`, the whole sequence at once."""

    def build(lib: Any) -> Step:
        layer = lstm_model(lib)
        x = batch(lib, STEPS, size, HIDDEN)
        return squares(lib, layer, lambda: layer(x)[0])

    return build


HEADS = 4


def transformer_model(lib: Any) -> Any:
    """Two encoder layers, d 256, feed-forward 1024."""
    layer = lib.nn.TransformerEncoderLayer(256, HEADS, dim_feedforward=1024, dropout=0.0, batch_first=True)
    return fill(lib, lib.nn.TransformerEncoder(layer, 2))


def transformer(lib: Any) -> Step:
    """Two encoder layers, d 256, 4 heads, feed-forward 1024, 128 tokens, batch 8."""
    model = dressed(lib, transformer_model(lib))
    x = batch(lib, 8, 128, 256)
    return squares(lib, model, lambda: model(x))


ROWS = 1024  # of as many numbers


def alone(apply: Callable[[Any, Any], Any]) -> Callable[[Any], Step]:
    """One operation on a million numbers and its gradient."""

    def build(lib: Any) -> Step:
        x, g = batch(lib, ROWS, ROWS), batch(lib, ROWS, ROWS, seed=3)
        x.requires_grad_()
        learned = [lib.ones(ROWS, requires_grad=True), lib.zeros(ROWS, requires_grad=True)]

        def run() -> Any:
            for tensor in (x, *learned):
                tensor.grad = None
            with forward(lib):
                y = apply(lib.nn.functional, (x, *learned))
            y.backward(g)
            return y[0, 0]

        return stepped(lib, run)

    return build


def resnet50_model(lib: Any) -> Any:
    """ResNet50 with weights as He et al. 2015 draw them, the same in every framework."""
    model = resnet.resnet50(lib)
    rng = np.random.default_rng(0)
    with lib.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.copy_(
                    lib.zeros(*parameter.shape) if name.endswith("bias") else lib.ones(*parameter.shape)
                )
            else:
                fan = float(np.prod(tuple(parameter.shape)[1:]))
                value = rng.standard_normal(tuple(parameter.shape)) * (2 / fan) ** 0.5
                parameter.copy_(lib.tensor(value.astype(np.float32)))
    return model


BATCH = 8


def resnet50(size: int) -> Callable[[Any], Step]:
    """ResNet50, 3x224x224, SGD with momentum."""

    def build(lib: Any) -> Step:
        nn = lib.nn
        model = resnet50_model(lib)
        x, y = batch(lib, size, 3, 224, 224), classes(lib, 1000, size)
        model, x = dressed(lib, model), getattr(lib, "images", lambda images: images)(x)
        return trained(lib, model, lambda: nn.functional.cross_entropy(model(x), y), lr=0.001, momentum=0.9)

    return build


def _resnet50(size: int) -> Workload:
    return Workload(resnet50(size), f"ResNet50, batch {size}, 224 x 224", 0.79, size, "image", 0.70, 0.71)


WORKLOADS = {
    "chain": Workload(chain, "chain of tiny ops with gradient", 0.8, 2 * CHAIN, "node"),
    "mlp": Workload(mlp, "MLP 784-128-10, batch 32", 0.8),
    "lstm-ops-1": Workload(lstm_ops(1), "LSTM from ops, T 32, H 128, batch 1", 0.6),
    "lstm-cell-1": Workload(lstm_cell(1), "nn.LSTMCell loop, T 32, H 128, batch 1", 0.6),
    "lstm-1": Workload(lstm(1), "nn.LSTM, T 32, H 128, batch 1", 0.3, memory=0.9, start=0.5),
    "lstm-ops-32": Workload(lstm_ops(32), "LSTM from ops, T 32, H 128, batch 32", 1.0),
    "lstm-cell-32": Workload(lstm_cell(32), "nn.LSTMCell loop, T 32, H 128, batch 32", 1.0),
    "lstm-32": Workload(lstm(32), "nn.LSTM, T 32, H 128, batch 32", 0.6, memory=0.9, start=0.5),
    "transformer": Workload(
        transformer, "2 encoder layers, d 256, T 128, batch 8", 0.8, memory=0.8, start=0.5
    ),
    "gelu": Workload(alone(lambda f, t: f.gelu(t[0])), "gelu of 1024 x 1024 with gradient", 1.0),
    "softmax": Workload(
        alone(lambda f, t: f.softmax(t[0], -1)), "softmax of 1024 rows of 1024 with gradient", 1.0
    ),
    "layer-norm": Workload(
        alone(lambda f, t: f.layer_norm(t[0], (ROWS,), t[1], t[2])),
        "layer norm of 1024 rows of 1024 with gradients",
        1.0,
    ),
    "resnet50": _resnet50(BATCH),
}
# The slow one is measured when it is asked for.
USUAL = tuple(name for name in WORKLOADS if name != "resnet50")


def plain_name(name: str) -> str:
    """The name in `WORKLOADS` of a workload that may have a batch of its own.

    >>> plain_name("resnet50-64"), plain_name("lstm-32")
    ('resnet50', 'lstm-32')
    """
    return "resnet50" if re.fullmatch(r"resnet50-[0-9]+", name) else name


def found(name: str) -> Workload:
    """A workload by its name; `resnet50-64` is ResNet50 with that batch. Raises `KeyError` for a name of none.

    >>> found("resnet50-64").what
    'ResNet50, batch 64, 224 x 224'
    """
    if name not in WORKLOADS and plain_name(name) == "resnet50":
        return _resnet50(int(name.partition("-")[2]))
    return WORKLOADS[name]
