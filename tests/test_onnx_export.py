"""Models written as ONNX and run by onnxruntime: the same numbers, at sizes they were not traced with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_row import Row
from samples import SAMPLES

import engine as ds

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra: onnx)")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: onnx)")

from engine.onnx import ExportError, export  # noqa: E402
from engine.onnx.export import _flat  # noqa: E402


class Of(ds.Module):
    """A function as a module."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*[ds.tensor(a) if isinstance(a, np.ndarray) else a for a in args])


def agree(path: Path, model: Any, args: tuple[Any, ...], tolerance: float = 1e-4) -> None:
    """onnxruntime gives for the file what the model gives."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    arrays = [np.asarray(a.array if isinstance(a, ds.Tensor) else a) for a in args]
    found = session.run(None, dict(zip(names, arrays, strict=True)))
    model.eval()
    with ds.no_grad():
        expected = list(_flat(model(*args)))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b.array, rtol=tolerance, atol=tolerance / 10)


# Sample rows whose use of an op has no ONNX form, and say so.
NO_FORM = (
    "it has no ONNX form", "ONNX wants a batch dimension", "its windows differ", "index and src have to be", "a mask beside other",
    "rounds to whole numbers", "several index arrays", "Resize has no mode", "statistics of the batch", "a number alone", "in one vector only",
    "is computed from the values of the inputs outside", "holds a number that depends on the values", "is given a number that depends on the values",
    "the graph itself depends on the values",
)  # fmt: skip
# onnx's own shape inference, or onnxruntime, cannot do these.
ELSEWHERE = {"einsum", "scaled_dot_product_attention"}
ROWS = [row for row in SAMPLES if row.arrays("float32") and row.op not in ELSEWHERE]


@pytest.mark.parametrize("op", sorted({row.op for row in ROWS}))
def test_each_op_gives_the_same_or_says_why_not(op: str, tmp_path: Path) -> None:
    written = 0
    rows = [row for row in ROWS if row.op == op]
    for row in rows:
        written += exported(row, tmp_path / "op.onnx")
    record = ds.OPS[op]
    if (
        record.onnx
        and record.phase == 0
        and op not in ("dropout", "setitem", "cumprod")
        and "indices" not in op
    ):
        assert written, f"{op} names {record.onnx}, but no sample of it could be written"


def exported(row: Row, path: Path) -> bool:
    arrays = tuple(row.arrays("float32"))
    model = Of(row.ours)
    names = [f"i{k}" for k in range(len(arrays))]
    reason = ""
    try:
        export(model, path, arrays, dynamic_axes=False, input_names=names)
    except ExportError as error:
        reason = str(error)
    if not reason:
        try:
            agree(path, model, arrays)
        except ort.capi.onnxruntime_pybind11_state.NotImplemented:
            return False  # the file is valid, but onnxruntime has no kernel for it in float64
    elif not any(words in reason for words in NO_FORM):
        pytest.fail(reason)
    return not reason


class Language(ds.Module):
    def __init__(self, kind: Any, **options: Any) -> None:
        self.embed = ds.Embedding(20, 8)
        self.cell = kind(8, 6, **options)
        self.head = ds.Linear(12 if options.get("bidirectional") else 6, 20)

    def forward(self, ids: Any) -> Any:
        out, state = self.cell(self.embed(ids))
        return self.head(out), state


class Block(ds.Module):
    def __init__(self, inner: int, outer: int, stride: int = 1) -> None:
        self.conv1 = ds.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.bn1 = ds.BatchNorm2d(outer)
        self.conv2 = ds.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.bn2 = ds.BatchNorm2d(outer)
        self.down = ds.Sequential(ds.Conv2d(inner, outer, 1, stride, bias=False), ds.BatchNorm2d(outer))

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.conv2(ds.relu(self.bn1(self.conv1(x)))))
        return ds.relu(y + self.down(x))


def resnet18() -> Any:
    widths = [4, 4, 8, 8, 16, 16, 32, 32]
    blocks = [Block(a, b, 1 + (a != b)) for a, b in zip([4, *widths], widths, strict=False)]
    return ds.Sequential(
        ds.Conv2d(3, 4, 7, 2, 3), ds.BatchNorm2d(4), ds.ReLU(), ds.MaxPool2d(3, 2, 1), *blocks, ds.AdaptiveAvgPool2d(1),
        ds.Flatten(), ds.Linear(32, 10),
    )  # fmt: skip


class UNet(ds.Module):
    def __init__(self) -> None:
        self.down1, self.down2 = ds.Conv2d(1, 4, 3, padding=1), ds.Conv2d(4, 8, 3, padding=1)
        self.up = ds.ConvTranspose2d(8, 4, 2, stride=2)
        self.out = ds.Conv2d(8, 1, 1)

    def forward(self, x: Any) -> Any:
        fine = ds.relu(self.down1(x))
        coarse = ds.relu(self.down2(ds.nn.functional.max_pool2d(fine, 2)))
        return ds.sigmoid(self.out(ds.cat([fine, self.up(coarse)], 1)))


def ids(*shape: int) -> Any:
    return np.random.default_rng(0).integers(0, 20, shape)


SEQUENCE = {"ids": {0: "batch", 1: "length"}}
MODELS: dict[str, Any] = {
    "mlp": (lambda: ds.Sequential(ds.Linear(4, 8), ds.GELU(), ds.Linear(8, 3)), True, lambda n: (ds.randn(n, 4),)),
    "resnet18": (resnet18, True, lambda n: (ds.randn(n, 3, 33, 33),)),
    "unet": (
        UNet,
        {"x": {0: "batch", 2: "height", 3: "width"}},
        lambda n: (ds.randn(n, 1, 4 * n, 8 + 2 * n),),
    ),
    "lstm": (lambda: Language(ds.LSTM, num_layers=2, bidirectional=True, batch_first=True), SEQUENCE, lambda n: (ids(n, n + 2),)),
    "gru": (lambda: Language(ds.GRU, batch_first=True), SEQUENCE, lambda n: (ids(n, n + 2),)),
    "rnn": (lambda: Language(ds.RNN, nonlinearity="relu"), {"ids": {0: "length", 1: "batch"}}, lambda n: (ids(n, n + 1),)),
    "transformer": (
        lambda: ds.TransformerEncoder(ds.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2),
        {"src": {0: "batch", 1: "length"}},
        lambda n: (ds.randn(n, n + 3, 16),),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_models_take_any_size(name: str, tmp_path: Path) -> None:
    make, axes, data = MODELS[name]
    ds.manual_seed(0)
    model, path = make(), tmp_path / "model.onnx"
    written = export(model, path, data(3), dynamic_axes=axes)
    assert all(module.training for module in model.modules()), "the model stays in the mode it was in"
    for n in (3, 2, 5):
        agree(path, model, data(n))
    named = {tensor.name for tensor in written.graph.initializer}
    if name in ("mlp", "resnet18", "unet"):
        assert set(dict(model.named_parameters())) <= named
    dims = [d.dim_param for d in written.graph.input[0].type.tensor_type.shape.dim]
    assert "batch" in dims


def test_sizes_that_are_computed(tmp_path: Path) -> None:
    def function(x: Any) -> Any:
        n, t = x.shape
        grid = ds.arange(t) + ds.zeros(n, t)
        return (
            x.reshape(n * t),
            (x + grid)[:, 1:],
            x.reshape(-1, t, 1).mean(0),
            x[:, t - 1],
            ds.ones(n, 2) * x.sum(),
        )

    model, path = Of(function), tmp_path / "sizes.onnx"
    export(model, path, (ds.randn(4, 6),), dynamic_axes={"x": {0: "n", 1: "t"}}, input_names=["x"])
    for shape in ((4, 6), (2, 3), (10, 7)):
        agree(path, model, (ds.randn(*shape),))


def test_nodes_are_named_after_their_module_and_op(tmp_path: Path) -> None:
    made = export(
        ds.Sequential(ds.Linear(4, 4), ds.ReLU(), ds.Linear(4, 2)), tmp_path / "m.onnx", (ds.randn(2, 4),)
    )
    assert [n.name for n in made.graph.node] == [
        "Sequential.0/Gemm",
        "Sequential.1/Relu",
        "Sequential.2/Gemm",
        "output/Identity",
    ]


def test_a_trace_can_be_written(tmp_path: Path) -> None:
    x, w = ds.randn(3, 4), ds.Parameter(ds.randn(4, 2))
    with ds.trace(level=2) as trace:
        ds.tanh(x @ w)
    made = export(trace, tmp_path / "trace.onnx")
    (name,) = [i.name for i in made.graph.input] or [""]
    session = ort.InferenceSession(str(tmp_path / "trace.onnx"))
    (found,) = session.run(None, {name: x.array})
    np.testing.assert_allclose(found, np.tanh(x.array @ w.array), rtol=1e-5)


def test_a_custom_op_with_a_form_is_written(tmp_path: Path) -> None:
    @ds.custom_op(onnx="Softsign")
    def softsign(x: Any) -> Any:
        return x / (1 + abs(x))

    try:
        export(Of(softsign), tmp_path / "own.onnx", (ds.randn(3),))
        agree(tmp_path / "own.onnx", Of(softsign), (ds.randn(3),))
    finally:
        del ds.OPS["softsign"]


def refused(model: Any, path: Path, args: Any, says: str, **options: Any) -> None:
    with pytest.raises((ExportError, ValueError, TypeError), match=says):
        export(model, path, args, **options)
    assert not path.exists()


def test_what_cannot_be_written(tmp_path: Path) -> None:
    path, x = tmp_path / "no.onnx", ds.randn(3, 4)

    def two(x: Any) -> Any:
        return ds.cumprod(x, 1) + ds.diagonal(x).sum()

    refused(Of(two), path, (x,), r"(?s)cumprod: it has no ONNX form.*\n.*diagonal: .*test_onnx_export.py:\d+")
    loop = Of(lambda x: sum((row.sum() for row in x), start=ds.zeros(())))
    refused(loop, path, (x,), "a Python loop over a dynamic axis|A Python loop over a dynamic axis")
    made = Of(lambda x: x + ds.tensor(np.random.default_rng(0).random((x.shape[0], 1), np.float32)))
    refused(made, path, (x,), "a constant of shape .* changes with the size of the input")
    refused(ds.Linear(4, 2), path, (), "needs `args`")
    refused(ds.Linear(4, 2), path, ("text",), r"args\[0\] has to be a tensor or an array, got str")
    refused(ds.Linear(4, 2), path, (x,), "input_names has 2 names for 1 inputs", input_names=["a", "b"])
    refused(
        ds.Linear(4, 2), path, (x,), "names the input 'y'; there are: input", dynamic_axes={"y": {0: "n"}}
    )
    refused(ds.Linear(4, 2), path, (x,), "has no dimension 7", dynamic_axes={"input": {7: "n"}})
    for place, says in (
        ("-q", "path is '-q', which looks like an option"),
        (tmp_path, "a folder; name a file in it"),
        (tmp_path / "none" / "m.onnx", "there is no folder .*none for m.onnx"),
        (3, "path has to be the name of a file, got int"),
    ):
        with pytest.raises((OSError, ValueError, TypeError), match=says):
            export(ds.Linear(4, 2), place, (x,))  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
    refused("model", path, (x,), "export takes a module or a trace, got str")
    refused(ds.Linear(4, 2), path, (x,), "output_names has 2 names for 1 outputs", output_names=["a", "b"])
