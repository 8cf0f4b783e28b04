"""Models of many kinds as ONNX: at sizes and with values they were not traced with, onnxruntime and our own reader agree with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dsviz as ds
from dsviz import nn

pytest.importorskip("onnx", reason="onnx is not installed (extra: onnx)")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: onnx)")

from engine.onnx import ExportError, export, load  # noqa: E402
from engine.onnx.export import _flat  # noqa: E402

F = ds.nn.functional
BATCH = {0: "batch"}
BOTH = {0: "batch", 1: "length"}
SPACE = {0: "batch", 2: "height", 3: "width"}


class Gated(nn.Module):
    def __init__(self) -> None:
        self.gru = nn.GRU(5, 4, num_layers=2, bidirectional=True, batch_first=True, dropout=0.2)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        y, h = self.gru(x)
        return self.out(y[:, -1]), h, y.mean(1)


class Attending(nn.Module):
    def __init__(self) -> None:
        self.embed, self.place = nn.Embedding(20, 16, padding_idx=0), nn.Embedding(50, 16)
        self.attention, self.norm = nn.MultiheadAttention(16, 4, batch_first=True), nn.LayerNorm(16)

    def forward(self, tokens: Any, mask: Any) -> Any:
        h = self.embed(tokens) + self.place(ds.arange(tokens.shape[1]))
        y, weights = self.attention(h, h, h, key_padding_mask=~mask)
        kept = mask.unsqueeze(-1).float()
        return {"mean": (self.norm(h + y) * kept).sum(1) / kept.sum(1).clamp(min=1), "weights": weights}


class Causal(nn.Module):
    def __init__(self) -> None:
        self.embed, self.norm = nn.Embedding(20, 16), nn.RMSNorm(16)
        self.register_buffer("mask", ds.tril(ds.ones(32, 32)).bool())
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 20, bias=False)
        self.out.weight = self.embed.weight  # tied

    def forward(self, ids: Any) -> Any:
        x = self.norm(self.embed(ids))
        b, t, c = x.shape
        q, k, v = (part.reshape(b, t, 4, 4).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        shares = ((q @ k.transpose(-2, -1)) / 2).masked_fill(~self.mask[:t, :t], float("-inf")).softmax(-1)
        y = (shares @ v).transpose(1, 2).reshape(b, t, c)
        return self.out(x + y), F.scaled_dot_product_attention(q, k, v, is_causal=True)


class Upsampling(nn.Module):
    def __init__(self) -> None:
        self.conv = nn.Conv2d(6, 8, 3, stride=2, padding=1, padding_mode="reflect")
        self.norm, self.each, self.slope = nn.GroupNorm(4, 8), nn.InstanceNorm2d(8, affine=True), nn.PReLU(8)
        self.up = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)

    def forward(self, x: Any) -> Any:
        y = self.slope(self.each(F.silu(self.norm(self.conv(x)))))
        wide = self.up(y)
        again = F.interpolate(x, size=y.shape[2:], mode="nearest")
        return (
            wide,
            again,
            y.flatten(2),
            *(F.interpolate(y, scale_factor=2, mode=m) for m in ("bilinear", "bicubic")),
        )


class Patches(nn.Module):
    def __init__(self) -> None:
        self.cut, self.first = nn.Conv2d(3, 8, 4, 4), nn.Parameter(ds.zeros(1, 1, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 1)

    def forward(self, image: Any) -> Any:
        x = self.cut(image)
        x = x.reshape(x.shape[0], 8, x.shape[2] * x.shape[3]).transpose(1, 2)
        return self.encoder(ds.cat([self.first.expand(x.shape[0], -1, -1), x], 1))[:, 0]


class Dropping(nn.Module):
    def __init__(self) -> None:
        self.drop, self.other = nn.Dropout(0.5), nn.AlphaDropout(0.2)
        self.linear, self.norm = nn.Linear(6, 6), nn.BatchNorm1d(6)

    def forward(self, x: Any) -> Any:
        return self.norm(self.other(self.linear(self.drop(x))))


class Cells(nn.Module):
    def __init__(self) -> None:
        self.lstm, self.gru = nn.LSTMCell(3, 5), nn.GRUCell(5, 4)

    def forward(self, x: Any) -> Any:
        h = c = ds.zeros(x.shape[0], 5)
        g = ds.zeros(x.shape[0], 4)
        seen = []
        for t in range(x.shape[1]):
            h, c = self.lstm(x[:, t], (h, c))
            g = self.gru(h, g)
            seen.append(g)
        return ds.stack(seen, 1), (h, c)


class Translating(nn.Module):
    def __init__(self) -> None:
        self.model = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)

    def forward(self, source: Any, target: Any) -> Any:
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        return self.model(source, target, tgt_mask=mask)


def in_place(x: Any) -> Any:
    y = x * 1.5
    y += 1
    y[:, 0] = 0
    y[:, 1:, 2] += 5.0
    y[..., -1] = y[..., 0]
    y[y > 2] = 9.0
    return y, y.clone().clamp_(-1, 1).masked_fill_(y > 0.5, 3.0)


def slices(x: Any) -> Any:
    n, t, _ = x.shape
    last = ds.arange(n), ds.full((n,), t - 1).long()
    return (
        x[:, 1:-1], x[..., ::2], x.flip(1)[:, :2], x[:, None, ..., 3], x[:, t // 2], x.narrow(2, 1, 3), x[..., [0, 2, -1]],
        x[:, :-1] - x[:, 1:], x.unfold(2, 3, 2), x[last], x[:, [0, 1], [2, 3]],
    )  # fmt: skip


def choosing(x: Any, ids: Any) -> Any:
    values, places = x.topk(3, dim=1)
    ordered, order = x.sort(dim=1, descending=True)
    zeros = ds.zeros_like(x)
    return (
        values, places, ordered, x.gather(1, ids), zeros.scatter(1, ids, 1.0), zeros.scatter_add(1, ids, ds.ones_like(ids).float()),
        x.cumsum(1), x.median(dim=1)[0], ds.take_along_dim(x, order, 1), x[ds.arange(x.shape[0]), ids[:, 0]], x[:, ids[0]],
        F.one_hot(ids, 4), x[x[:, 0] > -9], ds.searchsorted(ds.tensor([-0.5, 0.5]), x),
    )  # fmt: skip


def numbers(x: Any) -> Any:
    whole = (x * 5).int()
    return (
        whole // 2, whole // -3, whole % 3, x // 0.5, ds.fmod(x, 2), ds.atan2(x, x.flip(1)), ds.hypot(x, x + 1), x.frac(), x.norm(dim=-1),
        x.norm(3, dim=1), ds.logaddexp(x, x.flip(1)), x.std(1), x.var(dim=(0, 1)), F.normalize(x, dim=-1), ds.cdist(x, x), x.roll(1, 1),
        x.roll(2), (x @ x.transpose(1, 2)).sum() / x.shape[0], F.hardshrink(x), F.glu(x), ds.where(x > 0, x, x * 0.1), ~(x > 0),
        ds.meshgrid(ds.arange(x.shape[0]), ds.arange(x.shape[1]), indexing="ij")[1], ds.eye(8) + x.mean(), x.detach() * 2,
        ds.einsum("bti,bsi->bts", x, x).softmax(-1), F.pad(x, (1, 1), mode="replicate"), F.pad(x, (-1, 2)), x.split([3, 5], -1)[1],
        F.kl_div(x.log_softmax(1), x.softmax(1), reduction="batchmean"), ds.diagonal(x[0, :4, :4]),
    )  # fmt: skip


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def real(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def whole(*shape: int, below: int = 20) -> Any:
    return np.random.default_rng(sum(shape)).integers(0, below, shape)


MODELS: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "gated": (Gated, {"x": BOTH}, lambda n, t: (real(n, t, 5),)),
    "attending": (Attending, {"tokens": BOTH, "mask": BOTH}, lambda n, t: (whole(n, t), np.arange(t)[None] < whole(n, 1, below=t) + 1)),
    "causal": (Causal, {"ids": BOTH}, lambda n, t: (whole(n, t),)),
    "upsampling": (Upsampling, {"x": SPACE}, lambda n, t: (real(n, 6, t + 2, t + 3),)),
    "patches": (Patches, {"image": SPACE}, lambda n, t: (real(n, 3, 4 * n, 4 * t),)),
    "dropping": (Dropping, {"x": BATCH}, lambda n, t: (real(n, 6),)),
    "cells": (Cells, {"x": BATCH}, lambda n, t: (real(n, 4, 3),)),
    "translating": (Translating, {"source": {0: "b", 1: "s"}, "target": {0: "b", 1: "t"}}, lambda n, t: (real(n, t, 8), real(n, t + 2, 8))),
    "in place": (lambda: Of(in_place), {"a": BATCH}, lambda n, t: (real(n, 3, 4),)),
    "slices": (lambda: Of(slices), {"a": BOTH}, lambda n, t: (real(n, t, 7),)),
    "choosing": (lambda: Of(choosing), {"a": BOTH, "b": BATCH}, lambda n, t: (real(n, t + 3), whole(n, 3, below=4))),
    "numbers": (lambda: Of(numbers), {"a": BOTH}, lambda n, t: (real(n, t, 8),)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_the_file_and_what_is_read_of_it_give_what_the_model_gives(name: str, tmp_path: Path) -> None:
    make, axes, data = MODELS[name]
    ds.manual_seed(0)
    model, path = make(), tmp_path / "m.onnx"
    names = {} if "a" not in axes else {"input_names": list("ab")[: len(data(4, 5))]}
    export(model, path, data(4, 5), dynamic_axes=axes, **names)
    model.eval()
    session, again = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]), load(path)
    for n, t in ((4, 5), (2, 6), (7, 9), (1, 4)):
        arrays = data(n, t)
        with ds.no_grad():
            expected = [v.numpy() for v in _flat(model(*[ds.tensor(a) for a in arrays]))]
            back = [v.numpy(force=True) for v in _flat(again(*arrays))]
        found = session.run(None, {i.name: a for i, a in zip(session.get_inputs(), arrays, strict=True)})
        for i, (a, b, c) in enumerate(zip(found, back, expected, strict=True)):
            for value in (a, b):
                assert (value.shape, value.dtype) == (c.shape, c.dtype), f"result {i} at {n}, {t}"
                np.testing.assert_allclose(value, c, rtol=1e-3, atol=1e-4, err_msg=f"result {i} at {n}, {t}")


def decides(x: Any) -> Any:
    return x * 2 if x.sum() > 0 else x.tanh()


def reads_a_number(x: Any) -> Any:
    return x / float(x.max())


def leaves_the_graph(x: Any) -> Any:
    return x * ds.tensor(np.sign(x.numpy()))


def mask_outside(x: Any) -> Any:
    return x + 1, ds.tensor(x.numpy() > 0)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (decides, r"the graph itself depends on the values of the inputs: 3 ops .*test_onnx_models.py:\d+.*choose with ds.where"),
        (reads_a_number, r"div at test_onnx_models.py:\d+ is given a number that depends on the values of the inputs, 2\.0; the file would always have"),
        (leaves_the_graph, r"a constant of shape \[2, 3\], for mul at test_onnx_models.py:\d+, is computed from the values of the inputs outside the graph"),
        (mask_outside, r"a constant of shape \[2, 3\], for a result at .*is computed from the values of the inputs outside the graph"),
    ],
)  # fmt: skip
def test_what_the_values_decide_outside_the_graph_is_refused(
    function: Any, says: str, tmp_path: Path
) -> None:
    x = np.array([[0.1, -1.5, 0.3], [1.25, -0.5, 2.0]], np.float32)
    for axes in (False, True):
        with pytest.raises(ExportError, match=says):
            export(Of(function), tmp_path / "no.onnx", (x,), dynamic_axes=axes)
    assert not (tmp_path / "no.onnx").exists()


def test_an_axis_the_model_fixes_is_told(tmp_path: Path) -> None:
    model = Of(lambda x: x + ds.ones(4, 6))
    with pytest.raises(
        ExportError,
        match=r"(?s)not with other sizes of its free axes \('x' dimension 1 of 6 and 9\).*Leave what is fixed out",
    ):
        export(model, tmp_path / "no.onnx", (real(4, 6),), dynamic_axes={"x": {1: "t"}}, input_names=["x"])


def test_every_op_without_a_form_is_told_at_once(tmp_path: Path) -> None:
    def odd(x: Any) -> Any:
        return (
            ds.cumprod(x, 1),
            ds.linalg.inv(x @ x.T),
            ds.special.gammaln(x.abs()) if hasattr(ds, "special") else x.lgamma(),
        )

    with pytest.raises(ExportError) as told:
        export(Of(odd), tmp_path / "no.onnx", (real(3, 3),), dynamic_axes=False)
    for op in ("cumprod", "inv", "lgamma"):
        assert f"  {op}: it has no ONNX form (test_onnx_models.py:" in str(told.value)
