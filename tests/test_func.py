"""Functions of functions, beside PyTorch's `torch.func`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dsviz as ds
from engine.func.tree import flatten

A = np.array([0.3, -1.2, 2.0])
M = np.random.default_rng(0).standard_normal((4, 3))


def of(lib: Any, array: Any) -> Any:
    return lib.tensor(np.asarray(array, dtype=np.float64))


def linear(lib: Any, value: float = 0.3) -> Any:
    net = lib.nn.Sequential(lib.nn.Linear(3, 2).double(), lib.nn.Tanh())
    for p in net.parameters():
        p.data.copy_(of(lib, np.arange(p.numel()).reshape(tuple(p.shape)) * value))
    return net


def per_sample(lib: Any) -> Any:
    net = linear(lib)
    parameters = {k: v.detach() for k, v in net.named_parameters()}

    def loss(p: Any, x: Any, y: Any) -> Any:
        return ((lib.func.functional_call(net, p, (x,)) - y) ** 2).sum()

    return lib.func.vmap(lib.func.grad(loss), in_dims=(None, 0, 0))(parameters, of(lib, M), of(lib, M[:, :2]))


def learns_to_learn(lib: Any) -> Any:
    net = linear(lib)
    parameters = dict(net.named_parameters())

    def inner(p: Any) -> Any:
        return (lib.func.functional_call(net, p, of(lib, M)) ** 2).mean()

    g = lib.func.grad(inner)(parameters)
    new = {k: p - 0.1 * g[k] for k, p in parameters.items()}
    loss = (lib.func.functional_call(net, new, of(lib, M + 1)) ** 2).mean()
    loss.backward()
    return [g, loss, [p.grad for p in net.parameters()]]


def ensemble(lib: Any) -> Any:
    nets = [linear(lib, 0.1 * k) for k in range(3)]
    parameters, _ = lib.func.stack_module_state(nets)

    def one(p: Any, x: Any) -> Any:
        return lib.func.functional_call(nets[0], p, (x,))

    return lib.vmap(one, in_dims=(0, None))(parameters, of(lib, M))


def pulled(lib: Any) -> Any:
    out, pull = lib.func.vjp(lambda x, y: lib.tanh(x * y), of(lib, A), of(lib, M[0]))
    return out, pull(of(lib, M[1]))


CASES: dict[str, Callable[[Any], Any]] = {
    "grad": lambda lib: lib.func.grad(lambda x: (x**3).sum())(of(lib, A)),
    "grad and value": lambda lib: lib.func.grad_and_value(lambda x, y: (x * y).sum(), (0, 1))(of(lib, A), of(lib, M[0])),
    "grad with more": lambda lib: lib.func.grad(lambda x: ((x**2).sum(), {"twice": x * 2}), has_aux=True)(of(lib, A)),
    "second derivative of each": lambda lib: lib.vmap(lib.func.grad(lib.func.grad(lambda x: lib.sin(x) * x)))(of(lib, A)),
    "hessian": lambda lib: lib.func.hessian(lambda x: (x**3).sum() * x[0])(of(lib, A)),
    "jacobians": lambda lib: lib.func.jacrev(lambda x, y: {"a": x * y, "b": x @ y}, (0, 1))(of(lib, A), of(lib, M[0])),
    "jacobian of a gradient": lambda lib: lib.func.jacfwd(lib.func.grad(lambda x: lib.sin(x).prod()))(of(lib, A)),
    "jvp": lambda lib: lib.func.jvp(lambda x: (lib.exp(x), x.sum()), (of(lib, A),), (of(lib, M[0]),)),
    "vjp": pulled,
    "hessian times vector": lambda lib: lib.func.jvp(lib.func.grad(lambda x: (x**4).sum()), (of(lib, A),), (of(lib, M[0]),)),
    "dimensions": lambda lib: lib.vmap(lambda x, y: (x.sum() * y, x), in_dims=(1, None), out_dims=(0, 1))(of(lib, M), of(lib, A)),
    "nested dimensions": lambda lib: lib.vmap(lambda d: d["x"] + d["y"], in_dims=({"x": 0, "y": None},))({"x": of(lib, M), "y": of(lib, A)}),
    "vmap of vmap": lambda lib: lib.vmap(lib.vmap(lambda a, b: a * b, (None, 0)), (0, None))(of(lib, A), of(lib, M[0])),
    "gradients of each sample": per_sample,
    "learning to learn": learns_to_learn,
    "ensemble": ensemble,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # of PyTorch's own forward mode
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("name", CASES)
def test_it_is_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")
    ours, theirs = flatten(CASES[name](ds))[0], flatten(CASES[name](torch))[0]
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=1e-9, atol=1e-12)
        assert mine.requires_grad == other.requires_grad


def test_branches_may_go_either_way_in_a_map() -> None:
    out = ds.vmap(lambda x: x * 2 if x > 0 else -x)(ds.tensor([1.0, -3.0]))
    assert out.tolist() == [2.0, 3.0]


def test_random_numbers_in_a_map() -> None:
    def noisy(x: Any) -> Any:
        return x + ds.rand(())

    with pytest.raises(RuntimeError, match="random numbers were drawn"):
        ds.vmap(noisy)(ds.zeros(3))
    same = ds.vmap(noisy, randomness="same")(ds.zeros(3))
    assert len(set(same.tolist())) == 1
    assert len(set(ds.vmap(noisy, randomness="different")(ds.zeros(3)).tolist())) == 3


def test_a_call_with_other_weights_leaves_the_module_as_it_was() -> None:
    net = ds.nn.Sequential(ds.nn.Linear(2, 2), ds.nn.BatchNorm1d(2))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    given = {k: v.clone() + 1 for k, v in before.items() if v.is_floating_point()}
    old = {k: v.clone() for k, v in given.items()}
    ds.func.functional_call(net, given, ds.randn(5, 2))
    assert all(bool((v == before[k]).all()) for k, v in net.state_dict().items() if k in given)
    assert not bool((given["1.running_mean"] == old["1.running_mean"]).all()), (
        "the statistics move in what is given"
    )
    with pytest.raises(ds.ShapeMismatchError):
        ds.func.functional_call(net, given, ds.randn(5, 3))
    assert bool((net[0].weight == before["0.weight"]).all())


def test_tied_weights_are_replaced_together() -> None:
    class Tied(ds.nn.Module):
        def __init__(self) -> None:
            self.a = ds.nn.Linear(2, 2, bias=False)
            self.b = ds.nn.Linear(2, 2, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x: Any) -> Any:
            return self.b(self.a(x))

    net = Tied()
    twice = {"a.weight": ds.eye(2) * 2}
    assert ds.func.functional_call(net, twice, ds.ones(1, 2)).tolist() == [[4.0, 4.0]]
    alone = ds.func.functional_call(net, twice, ds.ones(1, 2), tie_weights=False)
    assert alone.tolist() == (net.b(ds.ones(1, 2)) * 2).tolist()


@pytest.mark.parametrize(
    ("wrong", "kind", "words"),
    [
        (lambda: ds.func.grad(lambda x: x)(ds.ones(2)), RuntimeError, r"one number, got shape \[2\]"),
        (lambda: ds.func.grad(lambda x: 1.0)(ds.ones(())), RuntimeError, "got float"),
        (lambda: ds.func.grad(lambda x: x.sum())(ds.arange(3)), TypeError, "has to be floating, got a int64 tensor"),
        (lambda: ds.func.grad(lambda x: x.sum(), 1)(ds.ones(3)), ValueError, "argnums has 1, and there are 1 arguments"),
        (lambda: ds.vmap(lambda a, b: a)(ds.ones(2), ds.ones(3)), ValueError, "argument 0 has 2, argument 1 has 3"),
        (lambda: ds.vmap(lambda a: a, 1)(ds.ones(2)), ValueError, "in_dims has 1 for argument 0, which has 1 dimensions"),
        (lambda: ds.vmap(lambda a, b: a)(ds.ones(2), 3), TypeError, "say None for it"),
        (lambda: ds.vmap(lambda a: a, None)(ds.ones(2)), ValueError, "at least one in_dims"),
        (lambda: ds.vmap(lambda a: 3)(ds.ones(2)), TypeError, "result 0 is a int"),
        (lambda: ds.vmap(lambda a: a)(ds.ones(0)), ValueError, "has size 0"),
        (lambda: ds.vmap(lambda a: a, (0, 0))(ds.ones(2)), ValueError, "not of the structure"),
        (lambda: ds.vmap(lambda a: a, randomness="no"), ValueError, "randomness is one of"),
        (lambda: ds.func.functional_call(ds.nn.Linear(1, 1), {"wieght": ds.ones(1)}, ds.ones(1)), KeyError, "no parameter or buffer 'wieght'"),
        (lambda: ds.func.functional_call(ds.nn.Linear(1, 1), {"bias": ds.ones(1)}, ds.ones(1), strict=True), KeyError, "nothing is given for weight"),
        (lambda: ds.func.stack_module_state([]), ValueError, "modules of one class"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(wrong: Callable[[], Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        wrong()
