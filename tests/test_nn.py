"""Modules against PyTorch's: the same state either way, the same outputs and gradients."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import engine as ds
from engine import nn

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")

# (module, its arguments, its options, shapes of the inputs)
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[tuple[int, ...], ...]]] = [
    ("Linear", (4, 3), {}, ((2, 5, 4),)),
    ("Linear", (4, 3), {"bias": False}, ((4,),)),
    ("Conv1d", (4, 6, 3), {"padding": 1, "groups": 2}, ((2, 4, 7),)),
    ("Conv1d", (4, 6, 3), {"padding": "same", "padding_mode": "reflect", "dilation": 2}, ((2, 4, 7),)),
    ("Conv2d", (3, 5, (2, 3)), {"stride": 2, "padding": (1, 0)}, ((2, 3, 6, 7),)),
    ("Conv2d", (3, 5, 3), {"padding": 1, "padding_mode": "circular", "bias": False}, ((2, 3, 6, 7),)),
    ("Conv2d", (3, 5, 3), {"padding": 2, "padding_mode": "replicate"}, ((3, 6, 7),)),
    ("Conv3d", (2, 3, 2), {"dilation": 2}, ((2, 2, 4, 5, 4),)),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "output_padding": 1, "groups": 2}, ((2, 4, 5),)),
    ("ConvTranspose2d", (3, 5, 3), {"stride": 2, "padding": 1}, ((2, 3, 4, 5),)),
    ("ConvTranspose3d", (2, 3, 2), {"stride": 2}, ((1, 2, 3, 2, 3),)),
    ("MaxPool1d", (2,), {}, ((2, 3, 7),)),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1}, ((2, 3, 7, 6),)),
    ("MaxPool3d", (2,), {}, ((2, 3, 4, 5, 4),)),
    ("AvgPool1d", (2,), {"ceil_mode": True}, ((2, 3, 7),)),
    ("AvgPool2d", (3,), {"stride": 2, "padding": 1, "count_include_pad": False}, ((2, 3, 7, 6),)),
    ("AvgPool3d", (2,), {}, ((2, 3, 4, 5, 4),)),
    ("AdaptiveAvgPool1d", (3,), {}, ((2, 3, 7),)),
    ("AdaptiveAvgPool2d", ((3, None),), {}, ((2, 3, 7, 6),)),
    ("AdaptiveAvgPool3d", (2,), {}, ((2, 3, 4, 5, 4),)),
    ("AdaptiveMaxPool1d", (3,), {}, ((2, 3, 7),)),
    ("AdaptiveMaxPool2d", (3,), {}, ((2, 3, 7, 6),)),
    ("AdaptiveMaxPool3d", (2,), {}, ((2, 3, 4, 5, 4),)),
    ("Upsample", (), {"scale_factor": 2, "mode": "bilinear", "align_corners": True}, ((2, 3, 4, 5),)),
    ("PixelShuffle", (2,), {}, ((2, 8, 3, 4),)),
    ("BatchNorm1d", (3,), {}, ((5, 3),)),
    ("BatchNorm1d", (3,), {"momentum": None}, ((5, 3, 4),)),
    ("BatchNorm2d", (3,), {"eps": 1e-3, "momentum": 0.3}, ((4, 3, 5, 2),)),
    ("BatchNorm2d", (3,), {"affine": False, "track_running_stats": False}, ((4, 3, 5, 2),)),
    ("BatchNorm3d", (2,), {}, ((3, 2, 3, 2, 2),)),
    ("LayerNorm", ((3, 4),), {}, ((5, 3, 4),)),
    ("LayerNorm", (4,), {"bias": False}, ((5, 3, 4),)),
    ("GroupNorm", (2, 4), {}, ((3, 4, 5),)),
    ("InstanceNorm1d", (3,), {}, ((2, 3, 5),)),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, ((2, 3, 5, 4),)),
    ("InstanceNorm3d", (3,), {}, ((2, 3, 3, 2, 2),)),
    ("RMSNorm", (4,), {}, ((5, 3, 4),)),
    ("RNNCell", (4, 3), {}, ((2, 4), (2, 3))),
    ("RNNCell", (4, 3), {"nonlinearity": "relu"}, ((2, 4),)),
    ("GRUCell", (4, 3), {}, ((2, 4), (2, 3))),
    ("GRUCell", (4, 3), {"bias": False}, ((4,),)),
    ("LSTMCell", (4, 3), {}, ((2, 4),)),
    ("RNN", (4, 3), {}, ((5, 2, 4),)),
    ("RNN", (4, 3, 2), {"nonlinearity": "relu", "bidirectional": True}, ((5, 2, 4), (4, 2, 3))),
    ("LSTM", (4, 3), {"batch_first": True}, ((2, 5, 4),)),
    ("LSTM", (4, 3), {"num_layers": 2, "bidirectional": True, "bias": False}, ((5, 2, 4),)),
    ("LSTM", (4, 3), {}, ((5, 4),)),
    ("GRU", (4, 3), {"num_layers": 2}, ((5, 2, 4),)),
    ("GRU", (4, 3), {"bidirectional": True, "batch_first": True}, ((2, 5, 4),)),
    ("MultiheadAttention", (6, 2), {}, ((4, 2, 6), (5, 2, 6), (5, 2, 6))),
    ("MultiheadAttention", (6, 3), {"batch_first": True, "bias": False}, ((2, 4, 6), (2, 5, 6), (2, 5, 6))),
    ("MultiheadAttention", (6, 2), {"kdim": 3, "vdim": 5}, ((4, 2, 6), (5, 2, 3), (5, 2, 5))),
    ("MultiheadAttention", (6, 2), {}, ((4, 6), (5, 6), (5, 6))),
    ("TransformerEncoderLayer", (6, 2, 8), {"dropout": 0.0}, ((4, 2, 6),)),
    ("TransformerEncoderLayer", (6, 2, 8), {"dropout": 0.0, "norm_first": True, "activation": "gelu", "batch_first": True}, ((2, 4, 6),)),
    *((name, (), {}, ((3, 4),)) for name in ("ReLU", "ReLU6", "Sigmoid", "Tanh", "SiLU", "GELU", "ELU", "SELU", "CELU", "Mish", "Hardtanh", "Hardswish", "Hardsigmoid", "LeakyReLU", "Softplus", "Softsign", "LogSigmoid", "GLU", "PReLU", "Identity", "Flatten")),
    ("PReLU", (4,), {}, ((3, 4, 2),)),
    *((name, (), {"dim": 1}, ((3, 4),)) for name in ("Softmax", "LogSoftmax")),
    *((name, (), {}, ((3, 4), (3, 4))) for name in ("MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss", "CosineSimilarity")),
    ("HuberLoss", (), {"delta": 0.3, "reduction": "sum"}, ((3, 4), (3, 4))),
    ("SmoothL1Loss", (), {"beta": 0.3}, ((3, 4), (3, 4))),
    ("KLDivLoss", (), {"reduction": "batchmean", "log_target": True}, ((3, 4), (3, 4))),
]  # fmt: skip


def flat(value: Any) -> list[Any]:
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in flat(item)]
    return [] if value is None else [value]


def twins(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, Any]:
    """The module in both frameworks in float64, ours with PyTorch's values."""
    ours, theirs = (
        getattr(nn, name)(*args, **options).double(),
        getattr(torch.nn, name)(*args, **options).double(),
    )
    result = ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    assert not result.missing_keys
    assert not result.unexpected_keys
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    return ours, theirs


def inputs(shapes: tuple[tuple[int, ...], ...]) -> list[Any]:
    return [np.random.default_rng([i, *s]).standard_normal(s) for i, s in enumerate(shapes)]


def compare(ours: Any, theirs: Any, arrays: list[Any], **options: Any) -> None:
    """Outputs, and the gradients of inputs and parameters, are the same."""
    here = [ds.Tensor(a, requires_grad=True) for a in arrays]
    there = [torch.tensor(a, requires_grad=True) for a in arrays]
    made = flat(ours(*here, **{k: v[0] for k, v in options.items()}))
    expected = flat(theirs(*there, **{k: v[1] for k, v in options.items()}))
    assert len(made) == len(expected)
    total, aim = None, None
    for i, (a, b) in enumerate(zip(made, expected, strict=True)):
        np.testing.assert_allclose(a.array, b.detach().numpy(), rtol=1e-9, atol=1e-10)
        weight = np.random.default_rng(i).standard_normal(a.shape)
        total = (a * ds.Tensor(weight)).sum() if total is None else total + (a * ds.Tensor(weight)).sum()
        aim = (b * torch.tensor(weight)).sum() if aim is None else aim + (b * torch.tensor(weight)).sum()
    assert total is not None
    total.backward()
    aim.backward()
    pairs = [*zip(here, there, strict=True), *zip(ours.parameters(), theirs.parameters(), strict=True)]
    for mine, other in pairs:
        if other.grad is not None:
            assert mine.grad is not None
            np.testing.assert_allclose(mine.grad.array, other.grad.numpy(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
def test_outputs_and_gradients_are_pytorchs(case: Any) -> None:
    name, args, options, shapes = case
    ours, theirs = twins(name, args, options)
    for mode in (True, False):
        ours.train(mode)
        theirs.train(mode)
        ours.zero_grad()
        theirs.zero_grad()
        compare(ours, theirs, inputs(shapes))
        for (key, a), b in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
            np.testing.assert_allclose(a.array, b.numpy(), rtol=1e-9, atol=1e-12, err_msg=key)
    assert repr(ours).startswith(name)


def test_state_goes_to_pytorch_too() -> None:
    ours = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0), 2, nn.LayerNorm(6)
    ).double()
    layer = torch.nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0)
    theirs = torch.nn.TransformerEncoder(layer, 2, torch.nn.LayerNorm(6), enable_nested_tensor=False).double()
    theirs.load_state_dict({k: torch.tensor(v.array) for k, v in ours.state_dict().items()})
    compare(ours, theirs, inputs(((4, 3, 6),)))


def test_recurrent_networks_take_a_state() -> None:
    ours, theirs = twins("LSTM", (4, 3), {"num_layers": 2})
    x, h, c = inputs(((5, 2, 4), (2, 2, 3), (2, 2, 3)))
    out, (h1, c1) = ours(ds.Tensor(x), (ds.Tensor(h), ds.Tensor(c)))
    expected, (h2, c2) = theirs(torch.tensor(x), (torch.tensor(h), torch.tensor(c)))
    for a, b in ((out, expected), (h1, h2), (c1, c2)):
        np.testing.assert_allclose(a.detach().array, b.detach().numpy(), rtol=1e-9)
    with pytest.raises(ValueError, match="the state to start with has to be"):
        ours(ds.Tensor(x), (ds.Tensor(h[:1]), ds.Tensor(c)))


@pytest.mark.parametrize("weights", [True, False])
def test_attention_masks(weights: bool) -> None:
    ours, theirs = twins("MultiheadAttention", (6, 2), {"batch_first": True})
    hide = np.triu(np.ones((4, 4), bool), 1)
    pad = np.array([[False] * 4, [False, False, True, True]])
    both = {
        "attn_mask": (ds.Tensor(hide), torch.tensor(hide)),
        "key_padding_mask": (ds.Tensor(pad), torch.tensor(pad)),
        "need_weights": (weights, weights),
        "average_attn_weights": (False, False),
    }
    compare(ours, theirs, inputs(((2, 4, 6),) * 3), **both)


@pytest.mark.parametrize(
    ("name", "shape", "fits"),
    [
        ("attn_mask", (4, 3), "[4, 5] or [4, 4, 5]"),
        ("attn_mask", (3, 4, 5), "[4, 5] or [4, 4, 5]"),
        ("attn_mask", (5,), "[4, 5] or [4, 4, 5]"),
        ("key_padding_mask", (2, 4), "[2, 5]"),
        ("key_padding_mask", (5, 2), "[2, 5]"),
    ],
)
def test_attention_masks_of_a_wrong_shape_are_named(name: str, shape: tuple[int, ...], fits: str) -> None:
    layer = nn.MultiheadAttention(6, 2, batch_first=True)
    q, k = ds.zeros(2, 4, 6), ds.zeros(2, 5, 6)
    said = re.escape(f"{name} needs the shape {fits}, got {list(shape)}")
    for weights in (True, False):
        with pytest.raises(ValueError, match=said):
            layer(q, k, k, need_weights=weights, **{name: ds.zeros(*shape)})


@pytest.mark.parametrize("target", [0.0, 1.0, 0.3])
def test_a_probability_that_is_certain_has_a_finite_gradient(target: float) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
    found = []
    for lib in (ds, torch):
        scores = lib.tensor([-200.0, -40.0, 0.5, 20.0, 200.0], requires_grad=True)
        loss = lib.nn.functional.binary_cross_entropy(
            scores.sigmoid(), lib.full((5,), target), reduction="sum"
        )
        loss.backward()
        found.append([loss.item(), *scores.grad.tolist()])
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy_with_logits"])
@pytest.mark.parametrize("shapes", [((4, 1), (4,)), ((4,), (4, 1)), ((3, 4), (4,)), ((), (1,))])
def test_a_binary_target_that_would_only_broadcast_is_a_mismatch(name: str, shapes: Any) -> None:
    chances, target = ds.full(shapes[0], 0.5), ds.ones(shapes[1])
    with pytest.raises(ds.ShapeMismatchError, match="target has to have the shape of chances"):
        getattr(ds.nn.functional, name)(chances, target)


def test_a_small_chance_keeps_its_digits() -> None:
    scores = ds.tensor([-17.0, -40.0, -80.0, -1000.0])
    np.testing.assert_allclose(ds.sigmoid(scores).tolist()[:3], np.exp([-17.0, -40.0, -80.0]), rtol=1e-6)
    assert ds.sigmoid(scores)[3].item() == 0


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_what_is_no_probability_is_told(value: float) -> None:
    with pytest.raises(RuntimeError, match="probabilities from 0 to 1, got"):
        ds.nn.functional.binary_cross_entropy(ds.tensor([value, 0.5]), ds.ones(2))


def test_weighted_losses() -> None:
    scores, weight = inputs(((4, 3), (3,)))
    weight = np.abs(weight)
    target = np.array([0, 2, 1, 1])
    for name in ("CrossEntropyLoss", "NLLLoss"):
        ours = getattr(nn, name)(weight=ds.Tensor(weight))
        theirs = getattr(torch.nn, name)(weight=torch.tensor(weight))
        a = ours(ds.Tensor(scores), ds.Tensor(target))
        assert a.item() == pytest.approx(theirs(torch.tensor(scores), torch.tensor(target)).item())
    chance = 1 / (1 + np.exp(-scores))
    goal = (scores > 0.3).astype(float)
    a = nn.BCELoss()(ds.Tensor(chance), ds.Tensor(goal))
    assert a.item() == pytest.approx(torch.nn.BCELoss()(torch.tensor(chance), torch.tensor(goal)).item())
    a = nn.BCEWithLogitsLoss(pos_weight=ds.Tensor(weight))(ds.Tensor(scores), ds.Tensor(goal))
    b = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(weight))(torch.tensor(scores), torch.tensor(goal))
    assert a.item() == pytest.approx(b.item())
    goals = np.array([[0.2, 0.0, 0.8]])
    logs = np.log(np.array([[0.3, 0.3, 0.4]]))
    a = nn.KLDivLoss("sum")(ds.Tensor(logs), ds.Tensor(goals))
    assert a.item() == pytest.approx(
        torch.nn.KLDivLoss(reduction="sum")(torch.tensor(logs), torch.tensor(goals)).item()
    )


def test_bfloat16_where_the_package_has_it(monkeypatch: Any) -> None:
    """With ml_dtypes a layer computes and learns in bfloat16; without it the message says what to install."""
    import sys

    pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed: NumPy has no bfloat16 of its own")
    layer = ds.Linear(4, 3).to(dtype=ds.bfloat16)
    x = ds.randn(5, 4).to(dtype=ds.bfloat16)
    out = ds.tanh(layer(x))
    assert out.dtype.name == "bfloat16"
    out.sum().backward()
    assert layer.weight.grad.dtype.name == "bfloat16"
    exact = ds.tanh(x.float() @ layer.weight.float().T + layer.bias.float())
    assert float(abs(out.float() - exact).max()) < 0.05
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(TypeError, match="Install the package ml_dtypes"):
        ds.ones(2).to(dtype="bfloat16")


IN_PLACE: dict[str, Any] = {
    "ReLU": (), "ReLU6": (), "LeakyReLU": (0.2,), "ELU": (), "SELU": (), "CELU": (0.5,), "SiLU": (), "Mish": (),
    "Hardswish": (), "Hardsigmoid": (), "Hardtanh": (-0.5, 0.5), "Threshold": (0.1, 20.0), "RReLU": (),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_PLACE)
@pytest.mark.parametrize("held", ["by nobody", "by a name", "by an array", "by a view", "by the graph"])
def test_in_place_changes_what_was_given_as_pytorchs(name: str, held: str) -> None:
    x = np.random.default_rng(0).standard_normal((3, 4)) * 3
    seen: list[list[Any]] = []
    for lib in (ds, torch):
        leaf = lib.tensor(x, requires_grad=True)
        layer = getattr(lib.nn, name)(*IN_PLACE[name], inplace=True).eval()
        y = leaf * 1.5
        other = y if held == "by a name" else y[1:] if held == "by a view" else None
        array = y.detach().numpy() if held == "by an array" else None
        if held == "by the graph":
            z = y.exp().sum()  # exp keeps its result, not y
        out = layer(y)
        assert out is y
        total = (out * out).sum() + (y.sum() if other is None else other.sum())
        if held == "by the graph":
            total = total + z
        total.backward()
        seen.append(
            [out.detach().numpy(), leaf.grad.numpy(), out.detach().numpy() if array is None else array]
        )
        if other is not None:
            seen[-1].append(other.detach().numpy())
    for ours, theirs in zip(*seen, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_in_place_refuses_what_pytorch_refuses() -> None:
    leaf = ds.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="on a leaf that requires a gradient"):
        ds.nn.functional.relu(leaf, inplace=True)
    y = leaf.exp()  # keeps its result for the gradient
    ds.nn.functional.leaky_relu_(y, 0.1)
    with pytest.raises(RuntimeError, match="leaky_relu_"):
        y.sum().backward()


def test_dropout_in_place_drops_from_what_was_given() -> None:
    for layer in (
        nn.Dropout(0.5, True),
        nn.Dropout2d(0.5, True),
        nn.AlphaDropout(0.5, True),
        nn.FeatureAlphaDropout(0.5, True),
    ):
        x = ds.ones(2, 8, 3, 3) * 1
        assert layer(x) is x
        assert not bool((x == 1).all())
        same = ds.ones(2, 8, 3, 3)
        assert layer.eval()(same) is same
        assert bool((same == 1).all())


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (2, 3, 4, 2)])
def test_softmax_without_a_dimension_takes_pytorchs(name: str, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape)
    with pytest.warns(UserWarning, match="Implicit dimension"):
        there = getattr(torch.nn.functional, name)(torch.tensor(x))
    if len(shape) > 2:
        with pytest.warns(UserWarning, match="without dim takes dimension"):
            here = getattr(nn.functional, name)(ds.tensor(x))
    else:
        here = getattr(nn.functional, name)(ds.tensor(x))
    np.testing.assert_allclose(here.numpy(), there.numpy())


def test_an_embedding_shortens_the_rows_it_uses() -> None:
    rows = np.random.default_rng(0).standard_normal((5, 3)) * 3
    seen = []
    for lib in (ds, torch):
        table = lib.nn.Embedding(5, 3, max_norm=1.0, norm_type=1.0, _weight=lib.tensor(rows.copy()))
        out = table(lib.tensor([0, 2, 2]))
        (out * out).sum().backward()
        seen.append([out.detach().numpy(), table.weight.detach().numpy(), table.weight.grad.numpy()])
    for ours, theirs in zip(*seen, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    with pytest.raises(ValueError, match="scale_grad_by_freq=True is not there"):
        nn.Embedding(5, 3, scale_grad_by_freq=True)(ds.tensor([1]))
    with pytest.raises(ValueError, match="padding_idx 7 has to be one of the 5 rows"):
        nn.Embedding(5, 3, padding_idx=7)


def test_buffers_are_registered_by_assignment() -> None:
    class Counted(nn.Module):
        def __init__(self) -> None:
            self.seen = nn.Buffer(ds.zeros(2))
            self.scratch = nn.Buffer([1.0], persistent=False)

    net = Counted()
    assert list(net.state_dict()) == ["seen"]
    assert [name for name, _ in net.named_buffers()] == ["seen", "scratch"]
    assert list(net.parameters()) == []


def test_shared_parts_are_named_once_or_with_all_their_paths() -> None:
    layer = nn.Linear(1, 1)
    net = nn.Sequential(layer, layer)
    assert [k for k, _ in net.named_parameters()] == ["0.weight", "0.bias"]
    every = [k for k, _ in net.named_parameters(remove_duplicate=False)]
    assert every == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert [k for k, _ in net.named_modules(remove_duplicate=False)] == ["", "0", "1"]
