"""What a model file brought over from PyTorch uses: its imports, writes in place, hooks, checkpoints, files, packing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine as ds
from engine import nn
from engine.nn.utils import rnn
from engine.state_dict import StateError
from engine.utils.checkpoint import checkpoint, checkpoint_sequential

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")


def test_the_import_statements_of_a_model_file_work() -> None:
    scope: dict[str, Any] = {}
    exec(
        "import dsviz as ds\n"
        "import dsviz.nn as nn1\nfrom dsviz import nn, optim\nimport dsviz.nn.functional as F\n"
        "from dsviz.nn.utils.rnn import pad_sequence\nfrom dsviz.utils.checkpoint import checkpoint\n"
        "from dsviz.optim.lr_scheduler import StepLR\nfrom dsviz.nn import init\nimport dsviz.optim as optim1\n"
        "from dsviz.autograd import grad\nfrom dsviz.func import functional_call, vmap\n",
        scope,
    )
    assert scope["nn"] is scope["nn1"] is nn
    assert scope["F"] is nn.functional
    assert scope["ds"].optim is scope["optim"] is scope["optim1"]
    assert scope["ds"].nn.Linear is nn.Linear


# --- writes in place, through views ---------------------------------------------------------------------


def rows(lib: Any, a: Any, w: Any) -> Any:
    out = lib.zeros(3, 4, dtype=a.dtype)
    for i in range(3):
        out[i] += a[i] * w
        out[i, 1:3] *= 2
    return out


def seen_before(lib: Any, a: Any, w: Any) -> Any:
    out = a * 1
    first, last = out[0], out[-1]
    first.mul_(w)
    out[2] = w
    return first * 3 + last + out.sum(0)


def through_layout(lib: Any, a: Any, w: Any) -> Any:
    x = a * 2
    x.view(4, 3).t()[1].add_(w[:1])
    x.transpose(0, 1)[0] = w[:3]
    x.reshape(-1)[5:7].zero_()
    return x * a


def methods(lib: Any, a: Any, w: Any) -> Any:
    x = ((a * 1).sigmoid_() * 1).add_(w, alpha=2).clamp_(min=0.2) * 1
    x.index_add_(0, lib.tensor([0, 0]), a[:2])
    x.masked_fill_(a > 1, 0.5).addcmul_(a, a, value=0.1)
    return x.unsqueeze_(0).squeeze_(0).lerp_(a, 0.3)


def under_no_grad(lib: Any, a: Any, w: Any) -> Any:
    x = a * w
    with lib.no_grad():
        x.mul_(2)
    return x + a


@pytest.mark.parametrize("program", [rows, seen_before, through_layout, methods, under_no_grad])
def test_writes_in_place_have_pytorchs_values_and_gradients(program: Any) -> None:
    rng = np.random.default_rng(0)
    a, w = rng.standard_normal((3, 4)), rng.standard_normal(4)
    ours = [ds.Tensor(a.copy(), requires_grad=True), ds.Tensor(w.copy(), requires_grad=True)]
    theirs = [torch.tensor(a, requires_grad=True), torch.tensor(w, requires_grad=True)]
    here, there = program(ds, *ours), program(torch, *theirs)
    np.testing.assert_allclose(here.detach().numpy(), there.detach().numpy(), rtol=1e-12)
    (here * here).sum().backward()
    (there * there).sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.grad is not None
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p: p.add_(1), "add_ on a leaf that requires a gradient"),
        (lambda p: p[0].add_(1), "add_ on a view of a leaf"),
        (lambda p: (p * 2).chunk(2)[0].add_(1), "one of the views that split made"),
        (lambda p: (p[:1] * 2).expand(4, 3).add_(1), "share memory"),
    ],
)
def test_writes_that_cannot_be_are_said(call: Any, words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        call(ds.ones(2, 3, requires_grad=True))


# --- hooks ----------------------------------------------------------------------------------------------


def hooked(lib: Any, net: Any, x: Any) -> list[Any]:
    told: list[Any] = []
    a = net[0].register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    b = net[0].register_forward_hook(lambda m, args, out: out + 1)
    net[1].register_full_backward_hook(
        lambda m, gi, go: told.append((gi[0].sum().item(), go[0].sum().item()))
    )
    net[1].register_full_backward_pre_hook(lambda m, go: (go[0] * 3,))
    net[0].register_full_backward_hook(lambda m, gi, go: (gi[0] * 0.5,))
    net(x).sum().backward()
    a.remove()
    b.remove()
    told.append(net(x).detach().numpy().tolist())
    return told


def test_hooks_of_modules_see_what_pytorchs_see() -> None:
    ds.manual_seed(0)
    ours, theirs = (
        nn.Sequential(nn.Linear(3, 2), nn.Tanh()),
        torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh()),
    )
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    x, y = ds.ones(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
    here, there = hooked(ds, ours, x), hooked(torch, theirs, y)
    np.testing.assert_allclose(here[0], there[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(here[1], there[1], rtol=1e-5, atol=1e-6)
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-5, atol=1e-6)


def test_a_hook_after_a_leaf_has_its_gradient_and_retain_grad_twice() -> None:
    w = ds.ones(3, requires_grad=True)
    seen: list[Any] = []
    w.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.tolist()))
    y = w * 2
    y.retain_grad()
    y.retain_grad()
    y.sum().backward()
    assert seen == [[2.0] * 3]
    assert y.grad is not None
    assert y.grad.tolist() == [1.0] * 3


# --- checkpoints ----------------------------------------------------------------------------------------


def test_a_checkpoint_gives_the_same_bits_with_dropout_and_of_second_order() -> None:
    net = nn.Sequential(
        nn.Linear(6, 8), nn.Tanh(), nn.Dropout(0.4), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 1)
    )
    found = []
    for kind in ("plain", "checkpoint", "nested", "sequential"):
        ds.manual_seed(5)
        x = ds.Tensor(np.random.default_rng(0).standard_normal((4, 6)).astype("f4"), requires_grad=True)
        if kind == "plain":
            out = net(x)
        elif kind == "checkpoint":
            out = checkpoint(net, x, use_reentrant=False)
        elif kind == "nested":
            out = checkpoint(lambda t: net[3:](checkpoint(net[:3], t)), x)
        else:
            out = checkpoint_sequential(net, 2, x)
        (g,) = ds.grad(out.sum(), x, create_graph=True)
        net.zero_grad()
        (out.sum() + (g * g).sum()).backward()
        found.append([out.detach().numpy(), x.grad.numpy(), *(p.grad.numpy() for p in net.parameters())])  # type: ignore[union-attr]
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_a_checkpoint_that_does_something_else_is_said() -> None:
    turns: list[int] = []

    def fickle(x: Any) -> Any:
        turns.append(1)
        return x.exp() if len(turns) == 1 else x.sin()

    out = checkpoint(fickle, ds.ones(2, requires_grad=True))
    with pytest.raises(RuntimeError, match="did something else the second time"):
        out.sum().backward()
    again = checkpoint(ds.exp, ds.ones(2, requires_grad=True)).sum()
    again.backward()
    with pytest.raises(RuntimeError, match="a second time"):
        again.backward()


# --- files ----------------------------------------------------------------------------------------------


def test_states_go_to_files_and_back(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    adam = ds.optim.Adam(net.parameters(), lr=0.1)
    net(ds.randn(5, 3)).sum().backward()
    adam.step()
    ds.save(net.state_dict(), tmp_path / "net.safetensors")
    ds.save({"epoch": 3, "optim": adam.state_dict(), "best": (0.5, None)}, tmp_path / "all")
    state = ds.load(tmp_path / "net.safetensors")
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    other.load_state_dict(state)
    assert all(
        np.array_equal(a.numpy(), b.numpy())
        for a, b in zip(net.state_dict().values(), state.values(), strict=True)
    )
    back = ds.load(tmp_path / "all")
    assert back["epoch"] == 3
    assert back["best"] == (0.5, None)
    fresh = ds.optim.Adam(net.parameters())
    fresh.load_state_dict(back["optim"])
    assert fresh.param_groups[0]["lr"] == 0.1
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []
    with pytest.raises(TypeError, match="a file holds tensors"):
        ds.save({"net": net}, tmp_path / "net.safetensors")
    assert list(ds.load(tmp_path / "net.safetensors")) == list(state)


def file_of(header: Any, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "its header would be 0 bytes long"),
        (b"\xff" * 20, "its header would be"),
        (b"PK\x03\x04" + b"\0" * 40, "torch.save"),
        (file_of(b"{not json"), "not JSON"),
        (file_of(b"[" * 100_000), "not JSON"),
        (file_of([]), "not a JSON object"),
        (file_of({"a": {**GOOD, "dtype": "P32"}}, b"\0" * 8), "the dtype 'P32'"),
        (file_of({"a": {**GOOD, "shape": [-2]}}, b"\0" * 8), "the shape"),
        (file_of({"a": {**GOOD, "shape": [1 << 60]}}, b"\0" * 8), "does not add up"),
        (file_of({"a": GOOD}), "does not add up"),
        (file_of({"a": GOOD, "b": GOOD}, b"\0" * 8), "'b' begins at byte 0"),
        (file_of({"a": GOOD}, b"\0" * 12), "take 8 bytes of the 12"),
        (file_of({"__metadata__": {"dsviz": '{"tensor": "gone"}'}}), "its description"),
    ],
)
def test_hostile_files_are_refused(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ds.FileFormatError, match=words):
        ds.load(path)


def test_a_state_that_does_not_fit_names_the_nearest_path() -> None:
    net = nn.Linear(2, 3)
    with pytest.raises(
        StateError, match=r"(?s)missing: weight \[3, 2\].*wieght \(did you mean weight\?\)"
    ) as caught:
        net.load_state_dict({"wieght": ds.ones(3, 2), "bias": ds.ones(4)})
    assert caught.value.mismatched == [("bias", (3,), (4,))]
    assert isinstance(caught.value, RuntimeError)


# --- modules --------------------------------------------------------------------------------------------


def test_packed_sequences_are_pytorchs() -> None:
    x = np.random.default_rng(0).standard_normal((3, 5, 2))
    lengths = [3, 5, 2]
    ours = rnn.pack_padded_sequence(ds.Tensor(x), lengths, batch_first=True, enforce_sorted=False)
    theirs = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x), lengths, True, False)
    assert np.array_equal(ours.data.numpy(), theirs.data.numpy())
    assert ours.batch_sizes.tolist() == theirs.batch_sizes.tolist()
    back, found = rnn.pad_packed_sequence(ours, batch_first=True, total_length=6)
    there, _ = torch.nn.utils.rnn.pad_packed_sequence(theirs, True, total_length=6)
    assert np.array_equal(back.numpy(), there.numpy())
    assert found.tolist() == lengths
    with pytest.raises(RuntimeError, match="lengths have to go down"):
        rnn.pack_padded_sequence(ds.Tensor(x), lengths, batch_first=True)


MODULES: list[tuple[str, Any, tuple[tuple[int, ...], ...]]] = [
    ("TransformerDecoderLayer", (8, 2, 16, 0.0), ((4, 3, 8), (5, 3, 8))),
    ("Transformer", (8, 2, 1, 1, 16, 0.0), ((5, 3, 8), (4, 3, 8))),
    ("Bilinear", (2, 3, 4), ((5, 2), (5, 3))),
    ("LocalResponseNorm", (3,), ((2, 5, 4),)),
    ("Unfold", (2,), ((1, 2, 3, 3),)),
    ("Fold", ((3, 3), 2), ((1, 8, 4),)),
    ("ReflectionPad2d", (1,), ((1, 2, 3, 3),)),
    ("ConstantPad1d", ((1, 2), 3.0), ((1, 2, 3),)),
    ("CircularPad1d", (1,), ((1, 2, 3),)),
    ("ReplicationPad3d", (1,), ((1, 1, 2, 2, 2),)),
    ("ZeroPad2d", (1,), ((1, 1, 2, 2),)),
    ("Softmin", (1,), ((2, 3),)),
    ("Softmax2d", (), ((2, 3, 2, 2),)),
    ("Hardshrink", (), ((2, 3),)),
    ("PixelUnshuffle", (2,), ((1, 2, 4, 4),)),
    ("UpsamplingBilinear2d", (None, 2), ((1, 2, 3, 3),)),
    ("TripletMarginLoss", (), ((4, 3), (4, 3), (4, 3))),
    ("LPPool2d", (2.0, 2), ((1, 2, 4, 4),)),
]


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize(("name", "args", "shapes"), MODULES, ids=[m[0] for m in MODULES])
def test_modules_give_what_pytorchs_give_with_the_same_state(name: str, args: Any, shapes: Any) -> None:
    ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    rng = np.random.default_rng(0)
    inputs = [np.abs(rng.standard_normal(s)).astype("f4") for s in shapes]
    there = theirs(*map(torch.tensor, inputs))
    np.testing.assert_allclose(
        ours(*map(ds.Tensor, inputs)).detach().numpy(), there.detach().numpy(), rtol=2e-4, atol=2e-5
    )


def test_weight_norm_and_spectral_norm_train_what_they_say() -> None:
    normed = nn.utils.weight_norm(nn.Linear(3, 2))
    theirs = torch.nn.Linear(3, 2)
    assert sorted(k for k, _ in normed.named_parameters()) == ["bias", "weight_g", "weight_v"]
    normed(ds.ones(1, 3)).sum().backward()
    assert normed.weight_g.grad is not None
    assert nn.utils.remove_weight_norm(normed).weight.shape == tuple(theirs.weight.shape)
    layer = nn.utils.spectral_norm(nn.Linear(4, 4), n_power_iterations=30)
    layer(ds.ones(1, 4))
    assert float(ds.linalg.svdvals(layer.weight)[0].detach()) == pytest.approx(1.0, abs=1e-2)


def test_parameter_containers_register() -> None:
    net = nn.Module()
    net.many = nn.ParameterList([ds.ones(2), nn.Parameter(ds.zeros(3))])
    net.named = nn.ParameterDict({"a": ds.ones(1)})
    assert [k for k, _ in net.named_parameters()] == ["many.0", "many.1", "named.a"]


def test_first_values_are_what_they_say() -> None:
    w = nn.init.orthogonal_(ds.empty(3, 5, dtype="float64"), 2.0).numpy()
    np.testing.assert_allclose(w @ w.T, 4 * np.eye(3), atol=1e-12)
    t = nn.init.trunc_normal_(ds.empty(4000), std=0.5, a=-0.6, b=0.4).numpy()
    assert t.min() >= -0.6
    assert t.max() <= 0.4
    assert 0.1 < t.std() < 0.3
    x = ds.randn(1, 3, 5)
    assert np.array_equal(
        nn.functional.conv1d(x, nn.init.dirac_(ds.empty(3, 3, 3)), padding=1).numpy(), x.numpy()
    )
    assert nn.init.eye_(ds.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]


def test_a_pretrained_table_is_frozen_and_arguments_stand_where_pytorchs_do() -> None:
    table = nn.Embedding.from_pretrained(ds.ones(4, 2))
    assert not table.weight.requires_grad
    assert table(ds.tensor([3])).tolist() == [[1.0, 1.0]]
    attention = nn.MultiheadAttention(4, 2, 0.0, True, False, False, 3, 5)
    assert (attention.kdim, attention.vdim) == (3, 5)
    with pytest.raises(ValueError, match="no add_bias_kv"):
        nn.MultiheadAttention(4, 2, add_bias_kv=True)


def test_compile_is_accepted_wherever_pytorchs_is() -> None:
    import dsviz

    net = nn.Sequential(nn.Linear(4, 4), nn.GELU())
    x = ds.randn(3, 4)
    expected = net(x).detach().numpy()
    assert dsviz.compile(net, mode="reduce-overhead", fullgraph=True) is net
    net.compile(dynamic=True)

    @dsviz.compile
    def twice(x: Any) -> Any:
        return net(x) * 2

    @dsviz.compile(disable=True)
    def plain(x: Any) -> Any:
        return net(x)

    np.testing.assert_allclose(twice(x).detach().numpy(), 2 * expected, rtol=1e-6)
    np.testing.assert_allclose(plain(x).detach().numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("how", ["mean", "sum", "none"])
@pytest.mark.parametrize("loss", ["mse_loss", "l1_loss", "huber_loss"])
def test_losses_take_pytorchs_weights(loss: str, how: str) -> None:
    a, b, w = (np.random.default_rng(i).random((3, 4), np.float32) * 3 for i in range(3))
    ours = getattr(nn.functional, loss)(ds.tensor(a), ds.tensor(b), reduction=how, weight=ds.tensor(w))
    theirs = getattr(torch.nn.functional, loss)(
        *map(torch.tensor, (a, b)), reduction=how, weight=torch.tensor(w)
    )
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5)
    with pytest.raises(
        ValueError, match=rf"weight of {loss} has to have the shape of input, \[3, 4\]; got \[4\]"
    ):
        getattr(nn.functional, loss)(ds.tensor(a), ds.tensor(b), weight=ds.tensor(w[0]))


@pytest.mark.parametrize("loss", ["mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss"])
def test_a_loss_that_broadcasts_warns_at_the_persons_line(loss: str) -> None:
    with pytest.warns(
        UserWarning, match=r"input of shape \[4, 1\] and a target of shape \[4\] compares \[4, 4\]"
    ) as seen:
        getattr(nn.functional, loss)(ds.ones(4, 1), ds.ones(4))
    assert seen[0].filename == __file__
    assert nn.functional.huber_loss(ds.zeros(2), ds.ones(2) * 3, "sum", 0.5).item() == 2.75


def test_gradients_of_named_inputs_only() -> None:
    a, b = (ds.ones(2, requires_grad=True) for _ in range(2))
    (a * b).sum().backward(inputs=[a])
    assert (a.grad.tolist(), b.grad) == ([1, 1], None)
    (found,) = ds.grad((a * b).sum(), a, ds.tensor(1.0), True, True, True, False)  # where PyTorch has them
    assert found.requires_grad


def test_what_load_state_dict_found_is_said() -> None:
    net = nn.Linear(2, 2)
    assert repr(net.load_state_dict(net.state_dict())) == "<All keys matched successfully>"
    found = net.load_state_dict({"weight": ds.ones(2, 2), "other": ds.ones(1)}, strict=False)
    assert repr(found) == "_IncompatibleKeys(missing_keys=['bias'], unexpected_keys=['other'])"


def test_old_names_of_types_empty_tensors_and_errors_are_pytorchs() -> None:
    assert ds.arange(3).type(ds.DoubleTensor).dtype == ds.float64
    assert str(ds.zeros(2, 0)) == str(torch.zeros(2, 0)) == "tensor([], size=(2, 0))"
    assert str(ds.zeros(0)) == str(torch.zeros(0)) == "tensor([])"
    with pytest.raises(RuntimeError, match="Expected"):
        ds.ones(2, 3) @ ds.ones(2, 3)


@pytest.mark.parametrize("lib", [ds, torch], ids=["ours", "theirs"])
def test_a_module_that_brings_an_old_state_to_its_names(lib: Any) -> None:
    class Renamed(lib.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.p = lib.nn.Parameter(lib.ones(2))

        def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
            if prefix + "old" in state:
                state[prefix + "p"] = state.pop(prefix + "old")
            super()._load_from_state_dict(state, prefix, *rest)

    net = lib.nn.Sequential(Renamed())
    given = {"0.old": lib.zeros(2)}
    net.load_state_dict(given)
    assert net[0].p.tolist() == [0.0, 0.0]
    assert list(given) == ["0.old"]


@pytest.mark.parametrize("lib", [ds, torch], ids=["ours", "theirs"])
def test_names_in_a_module_are_free_and_hold_what_they_say(lib: Any) -> None:
    net = lib.nn.Sequential(lib.nn.ReLU())
    for register, given, error in (
        (net.register_buffer, ("0", None), KeyError),
        (net.register_buffer, ("b", 3), TypeError),
        (net.register_parameter, ("p", lib.zeros(1)), TypeError),
        (net.register_parameter, ("p.q", None), KeyError),
        (net.add_module, ("", lib.nn.ReLU()), KeyError),
        (net.add_module, ("x.y", lib.nn.ReLU()), KeyError),
    ):
        with pytest.raises(error):
            register(*given)
    assert len(net) == 1


@pytest.mark.parametrize("lib", [ds, torch], ids=["ours", "theirs"])
def test_what_is_retained_is_what_the_hooks_leave_and_a_handle_ends_with_its_block(lib: Any) -> None:
    x = lib.ones(2, requires_grad=True)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    y.sum().backward()
    assert y.grad.tolist() == [10.0, 10.0]
    net, seen = lib.nn.ReLU(), []
    with net.register_forward_hook(lambda *_: seen.append(1)):
        net(x)
    net(x)
    assert seen == [1]


@pytest.mark.parametrize("lib", [ds, torch], ids=["ours", "theirs"])
def test_what_a_program_does_with_hooks_lists_and_states_of_modules(lib: Any) -> None:
    net = lib.nn.Sequential(lib.nn.ReLU()) + lib.nn.Sequential(lib.nn.Linear(1, 1))
    assert [type(m).__name__ for m in net] == ["ReLU", "Linear"]
    net.register_forward_hook(lambda *_: None)
    assert (len(net._forward_hooks), len(net._forward_pre_hooks)) == (1, 0)
    net._forward_hooks.clear()
    assert not net._forward_hooks
    assert type(net.state_dict()).__name__ == "OrderedDict"
