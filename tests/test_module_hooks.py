"""Hooks of state and of steps, containers, and layers with rarer options, beside PyTorch's."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import engine as ds
from engine import nn
from engine.state_dict import StateError

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")

RNG = np.random.default_rng(0)


class Counted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(2, 1)
        self.count = 0

    def get_extra_state(self) -> Any:
        return {"count": self.count}

    def set_extra_state(self, state: Any) -> None:
        self.count = state["count"]


def test_a_state_that_is_no_tensor_goes_out_and_comes_back() -> None:
    net = nn.Sequential(Counted(), nn.ReLU())
    net[0].count = 7
    state = net.state_dict()
    assert sorted(state) == ["0._extra_state", "0.lin.bias", "0.lin.weight"]
    other = nn.Sequential(Counted(), nn.ReLU())
    other.load_state_dict(state)
    assert other[0].count == 7
    del state["0._extra_state"]
    with pytest.raises(StateError, match=r"missing: 0\._extra_state"):
        other.load_state_dict(state)


def test_hooks_see_the_state_and_may_change_it() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    seen: list[Any] = []
    net.register_state_dict_pre_hook(lambda m, prefix, keep: seen.append((m is net, prefix, keep)))
    handle = net[0].register_state_dict_post_hook(
        lambda m, state, prefix, meta: state.update({prefix + "old": state.pop(prefix + "weight")})
    )
    state = net.state_dict()
    assert seen == [(True, "", False)]
    assert "0.old" in state
    assert "0.weight" not in state
    handle.remove()

    def rename(module: Any, given: Any, prefix: str, *rest: Any) -> None:
        given[prefix + "weight"] = given.pop(prefix + "old")

    fresh = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    fresh[0].register_load_state_dict_pre_hook(rename)
    assert not any(fresh.load_state_dict(state))
    np.testing.assert_array_equal(fresh[0].weight.numpy(force=True), net[0].weight.numpy(force=True))
    assert "0.old" in state, "the person's own dict is as it was"

    lax = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    lax.register_load_state_dict_post_hook(
        lambda m, keys: (keys.missing_keys.clear(), keys.unexpected_keys.clear())[0]
    )
    lax.load_state_dict(state)
    copy.deepcopy(lax).load_state_dict(state)


def test_hooks_of_a_step_and_of_an_optimizers_state() -> None:
    def run(lib: Any) -> list[Any]:
        p = lib.nn.Parameter(lib.tensor([1.0]))
        sgd = lib.optim.SGD([p], lr=0.5)
        said: list[Any] = []
        before = sgd.register_step_pre_hook(
            lambda o, args, kwargs: said.append(("before", o is sgd, p.item()))
        )
        sgd.register_step_post_hook(lambda o, args, kwargs: said.append(("after", o is sgd, p.item())))
        sgd.register_state_dict_post_hook(lambda o, state: {**state, "mine": 1})
        sgd.register_load_state_dict_pre_hook(lambda o, state: said.append(state["mine"]))
        sgd.register_load_state_dict_post_hook(lambda o: said.append("loaded"))
        sgd.register_state_dict_pre_hook(lambda o: said.append("saving"))
        p.grad = lib.tensor([1.0])
        sgd.step()
        sgd.load_state_dict(sgd.state_dict())
        before.remove()
        sgd.step()
        return said

    assert run(ds) == run(torch)


def test_a_copied_optimizer_steps_its_own_parameters() -> None:
    p = nn.Parameter(ds.tensor([1.0]))
    sgd = ds.optim.SGD([p], lr=0.5)
    sgd.register_step_post_hook(lambda o, args, kwargs: None)
    twin = copy.deepcopy(sgd)
    own = twin.param_groups[0]["params"][0]
    own.grad = ds.tensor([1.0])
    twin.step()
    assert (p.item(), own.item()) == (1.0, 0.5)


def test_containers_give_and_take() -> None:
    def run(lib: Any) -> list[Any]:
        n = lib.nn
        layers = n.ModuleList([n.ReLU(), n.Tanh(), n.Sigmoid()])
        said: list[Any] = [
            type(layers.pop(1)).__name__,
            len(layers),
            type(layers.pop(-1)).__name__,
            list(layers.state_dict()),
        ]
        layers += [n.Tanh()]
        said.append([type(m).__name__ for m in layers + n.ModuleList([n.ReLU()])])
        named = n.ModuleDict({"a": n.ReLU(), "b": n.Tanh()})
        said += [type(named.pop("a")).__name__, list(named)]
        named.clear()
        said.append(len(named))
        values = n.ParameterDict({"w": n.Parameter(lib.zeros(2)), "v": n.Parameter(lib.ones(1))})
        said += [
            values.setdefault("u", n.Parameter(lib.ones(3))).shape[0],
            list(values.copy()),
            values.popitem()[0],
        ]
        values |= {"z": n.Parameter(lib.ones(1))}
        said += [list(values), list(reversed(values))]
        twice = n.Sequential(*[n.ReLU()] * 2)
        return [*said, len(list(twice.modules())), len(list(twice.modules(remove_duplicate=False)))]

    assert run(ds) == run(torch)


X = RNG.standard_normal((2, 3, 9, 11))

LAYERS: dict[str, Any] = {
    "BatchNorm2d bias=False": lambda lib, x: lib.nn.BatchNorm2d(3, bias=False).double()(x),
    "InstanceNorm2d bias=False": lambda lib, x: lib.nn.InstanceNorm2d(3, affine=True, bias=False).double()(x),
    "GroupNorm bias=False": lambda lib, x: lib.nn.GroupNorm(3, 3, bias=False).double()(x),
    "SyncBatchNorm": lambda lib, x: lib.nn.SyncBatchNorm.convert_sync_batchnorm(
        lib.nn.Sequential(lib.nn.BatchNorm2d(3))
    ).double().eval()(x),
    "DataParallel": lambda lib, x: lib.nn.DataParallel(lib.nn.ReLU())(x),
    "antialias": lambda lib, x: lib.nn.functional.interpolate(x, size=(4, 3), mode="bilinear", antialias=True),
    "antialias of a factor": lambda lib, x: lib.nn.functional.interpolate(
        x, scale_factor=0.4, mode="bicubic", antialias=True
    ),
    "antialias up and down": lambda lib, x: lib.nn.functional.interpolate(
        x, size=(13, 5), mode="bicubic", antialias=True, align_corners=True
    ),
    "upsample_nearest": lambda lib, x: lib.nn.functional.upsample_nearest(x, scale_factor=2),
    "upsample_bilinear": lambda lib, x: lib.nn.functional.upsample_bilinear(x, size=(12, 12)),
    "pad_sequence left": lambda lib, x: lib.nn.utils.rnn.pad_sequence(
        [x[0, 0], x[0, 0, :4], x[0, 0, 2:]], True, -1.0, padding_side="left"
    ),
    "embedding_bag": lambda lib, x: lib.nn.functional.embedding_bag(
        lib.tensor([0, 2, 1, 1, 3]), x[0, 0] * 1, lib.tensor([0, 2, 5]), include_last_offset=True, mode="sum",
        per_sample_weights=x[0, 1, 0, :5],
    ),
    "EmbeddingBag": lambda lib, x: lib.nn.EmbeddingBag(
        9, 11, max_norm=1.0, norm_type=1.0, mode="mean", _weight=x[0, 0].detach().clone()
    )(lib.tensor([[1, 2], [3, 3]])) + x[0, 0, 0],
    "Hardtanh": lambda lib, x: lib.nn.Hardtanh(-0.5, 0.25)(x),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_rarer_options_are_pytorchs(name: str) -> None:
    import warnings

    def run(lib: Any) -> Any:
        x = lib.tensor(X, dtype=lib.float64, requires_grad=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's, of names of old
            out = LAYERS[name](lib, x)
        (out**2).sum().backward()
        return out.detach().numpy(), x.grad.numpy()

    for ours, theirs in zip(run(ds), run(torch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


def test_adaptive_softmax_is_pytorchs() -> None:
    given = RNG.standard_normal((6, 16))
    target = [0, 4, 5, 9, 19, 12]

    def run(lib: Any, state: Any = None) -> Any:
        layer = lib.nn.AdaptiveLogSoftmaxWithLoss(16, 20, [5, 10], div_value=2.0, head_bias=True).double()
        if state is not None:
            layer.load_state_dict({k: v.numpy() for k, v in state.items()})
        x = lib.tensor(given, requires_grad=True)
        out, loss = layer(x, lib.tensor(target))
        loss.backward()
        numbers = [out, loss, x.grad, layer.log_prob(x), layer.predict(x), layer.tail[1][0].weight.grad]
        return [v.detach().numpy() for v in numbers], layer.state_dict()

    theirs, state = run(torch)
    for a, b in zip(run(ds, state)[0], theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "close"),
    [
        (lambda o, p: o.Adafactor(p, lr=0.05, weight_decay=0.01), 1e-9),
        (
            lambda o, p: o.Adafactor(p, lr=0.05, beta2_decay=-0.5, d=1.5, eps=(1e-6, 1e-2), maximize=True),
            1e-9,
        ),
        (lambda o, p: o.Muon(p[:1], lr=0.05), 3e-3),
        (lambda o, p: o.Muon(p[:1], lr=0.05, nesterov=False, adjust_lr_fn="match_rms_adamw"), 6e-3),
    ],
)
def test_adafactor_and_muon_are_pytorchs(make: Any, close: float) -> None:
    start = [RNG.standard_normal((4, 6)), RNG.standard_normal(5)]
    grads = [[RNG.standard_normal(s.shape) for s in start] for _ in range(3)]

    def run(lib: Any) -> Any:
        params = [lib.nn.Parameter(lib.tensor(s)) for s in start]
        optimizer = make(lib.optim, params)
        for each in grads:
            for p, g in zip(params, each, strict=True):
                p.grad = lib.tensor(g)
            optimizer.step()
        return [p.detach().numpy() for p in params]

    for a, b in zip(run(ds), run(torch), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=close)  # PyTorch's Muon computes in bfloat16


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.ModuleList([nn.ReLU()]).pop(3), "index 3 is out of range, there are 1 modules"),
        (lambda: nn.Hardtanh(1.0, 0.0), "max_val 0.0 has to be above min_val 1.0"),
        (lambda: nn.DataParallel(nn.ReLU(), device_ids=[0, 1]), "one device is used"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 5, [3, 2]), "that rise from 1 to 4"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 5, [2])(ds.ones(1, 4), ds.tensor([5])), "from 0 to 4"),
        (lambda: ds.optim.Muon(nn.Linear(2, 2).parameters()), r"params\[1\] has shape \[2\]"),
        (lambda: ds.optim.Adafactor([nn.Parameter(ds.ones(1))], d=0.5), "d has to be 1 or more"),
        (lambda: nn.utils.rnn.pad_sequence([ds.ones(1)], padding_side="top"), "'left' or 'right'"),
        (lambda: nn.functional.interpolate(ds.ones(1, 1, 4), size=2, antialias=True), "bilinear and bicubic"),
        (lambda: nn.ReLU().get_extra_state(), "ReLU has no get_extra_state"),
        (lambda: nn.Sequential(nn.ReLU()).set_submodule("1", nn.ReLU(), strict=True), "no submodule '1'"),
        (
            lambda: nn.functional.embedding_bag(
                ds.tensor([0, 1]), ds.ones(2, 2), ds.tensor([0, 1]), include_last_offset=True
            ),
            "the last offset has to be 2",
        ),
    ],
)
def test_bad_input_is_told(call: Any, message: str) -> None:
    with pytest.raises((ValueError, RuntimeError, IndexError, AttributeError), match=message):
        call()


def test_gradcheck_takes_pytorchs_options() -> None:
    x = ds.tensor([0.5, 1.0], dtype=ds.float64, requires_grad=True)
    assert ds.autograd.gradcheck(lambda a: a.sin(), x, fast_mode=True, check_batched_grad=False)
    assert ds.autograd.gradgradcheck(lambda a: a.sin(), (x,), fast_mode=True)
    wrong = lambda a: a * a.detach()  # noqa: E731
    assert ds.autograd.gradcheck(func=wrong, inputs=(x,), raise_exception=False) is False
    with pytest.raises(RuntimeError, match=r"the gradient of inputs\[0\]"):
        ds.autograd.gradcheck(wrong, (x,))
    with pytest.raises(TypeError, match="no option 'fast'"):
        ds.autograd.gradcheck(wrong, (x,), fast=True)
