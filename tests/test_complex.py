"""Complex tensors: made, printed, kept, written to by their parts, and learned, as PyTorch does. Their ops: samples_complex.py."""

from __future__ import annotations

import io
import math
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import engine as ds
from engine import complexes, nn, shapes
from engine.dispatch import apply
from engine.dtype import first
from engine.op import OPS, VALUE, op
from engine.testing import assert_close, check_op, gradcheck, gradgradcheck

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")


def both(call: Any) -> tuple[Any, Any]:
    """What `call(library, its nn)` gives here and in PyTorch."""
    return call(ds), call(torch)


def same(call: Any, **near: float) -> None:
    ours, theirs = both(call)
    assert str(theirs.dtype) == f"torch.{ours.dtype}"
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), **near)


Z = np.array([[1 + 2j, -0.5j, 3.0], [0.25 - 1j, 0, -2 + 0.125j]], np.complex64)


@pytest.mark.parametrize(
    "make",
    [
        lambda lib: lib.tensor(1 + 2j),
        lambda lib: lib.tensor([1, 2.5, 1j]),
        lambda lib: lib.tensor([1j], dtype=lib.cdouble),
        lambda lib: lib.zeros(2, dtype=lib.cfloat),
        lambda lib: lib.full((2,), 1j),
        lambda lib: lib.full_like(lib.ones(2, dtype=lib.complex64), 2j),
        lambda lib: lib.eye(2, dtype=lib.complex128),
        lambda lib: lib.ones(2).to(lib.complex64),
        lambda lib: lib.arange(3).cfloat() if lib is ds else lib.arange(3).to(lib.cfloat),
        lambda lib: lib.tensor([1, 2]) * 1j,
        lambda lib: lib.tensor([1.0, 2.0], dtype=lib.float64) + 1j,
        lambda lib: lib.tensor([True]) * 2j,
        lambda lib: lib.tensor(Z).real,
        lambda lib: lib.tensor(Z).imag,
        lambda lib: lib.tensor(Z).abs(),
        lambda lib: lib.tensor(Z.astype(np.complex128)).angle(),
        lambda lib: lib.tensor(Z).mean(),
        lambda lib: lib.tensor(Z).new_zeros(3),
        lambda lib: lib.sgn(lib.tensor(Z)),
        lambda lib: lib.isreal(lib.tensor(Z)),
        lambda lib: lib.real(lib.ones(2)),
        lambda lib: lib.conj(lib.ones(2)),
        lambda lib: lib.angle(lib.tensor([-1.0, 2.0, float("nan")])),
        lambda lib: lib.angle(lib.tensor([-1, 2])),
        lambda lib: lib.linalg.norm(lib.tensor(Z)),
        lambda lib: lib.as_tensor(Z),
        lambda lib: lib.from_numpy(Z.copy()),
        lambda lib: lib.complex(lib.ones(2, dtype=lib.float64), lib.zeros(2, dtype=lib.float64)),
    ],
)
def test_values_and_types_are_pytorchs(make: Any) -> None:
    same(make, rtol=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        [1 + 2j, 3.5 - 1j], [1 + 2j, -3 - 1j], [0.123456 + 1j * 1e5], 1.5 + 0.25j, [1e10 + 1j], [-0.5, 10.25 + 3j],
        [[1e-6 + 1j, 2.5], [float("nan"), 1j * float("inf")]], [complex(0.0, -0.0), 1e-9j],
    ],
)  # fmt: skip
def test_they_print_as_pytorchs_do(values: Any) -> None:
    ours, theirs = both(lambda lib: repr(lib.tensor(values)))
    assert ours == theirs
    ours, theirs = both(lambda lib: repr(lib.tensor(values, dtype=lib.complex128)))
    assert ours.split() == theirs.replace("torch.", "").split()


def test_random_ones_have_the_variance_one_together() -> None:
    ds.manual_seed(0)
    z = ds.randn(20000, dtype=ds.cfloat)
    assert z.is_leaf
    assert z.var().item() == pytest.approx(1, abs=0.05)
    assert z.real.var().item() == pytest.approx(0.5, abs=0.03)
    u = ds.rand(100, dtype=ds.cdouble, requires_grad=True)
    assert u.requires_grad
    assert u.dtype == ds.complex128
    assert u.is_leaf
    assert all(0 <= part < 1 for value in u.tolist() for part in (value.real, value.imag))
    assert ds.rand_like(z).dtype == ds.randn_like(z).dtype == ds.complex64


def test_they_leave_and_come_back() -> None:
    z = ds.tensor(Z, requires_grad=True)
    assert z.is_complex()
    assert not z.is_floating_point()
    assert ds.is_complex(z)
    assert z[0, 0].item() == 1 + 2j == complex(z[0, 0])
    assert z.tolist() == Z.tolist()
    assert z.detach().numpy().dtype == np.complex64
    back = pickle.loads(pickle.dumps(z))
    assert back.requires_grad
    np.testing.assert_array_equal(back.detach().numpy(), Z)
    file = io.BytesIO()
    ds.save({"a": z, "wide": z.detach().to(ds.cdouble)}, file)
    file.seek(0)
    found = ds.load(file)
    assert (found["a"].dtype, found["wide"].dtype) == (ds.complex64, ds.complex128)
    np.testing.assert_array_equal(found["wide"].numpy(), Z)


def test_the_imaginary_part_is_not_lost_in_silence() -> None:
    z = ds.tensor(Z, requires_grad=True)
    with pytest.warns(UserWarning, match="discards the imaginary part"):
        out = z.float()
    (2 * out).sum().backward()
    assert z.grad is not None
    np.testing.assert_array_equal(z.grad.numpy(), np.full(Z.shape, 2 + 0j))
    real = ds.ones(2, 3)
    with pytest.raises(TypeError, match="complex numbers do not fit"):
        real[0] = z[0]
    with pytest.raises(TypeError, match="does not fit into float32"):
        real += z.detach()
    with pytest.raises(TypeError):
        float(z[0, 0])


def test_parts_are_views_and_gradients_know_what_is_written_to_them() -> None:
    def run(lib: Any) -> list[Any]:
        z = lib.tensor(Z, requires_grad=True)
        w = lib.tensor([2.0, 3.0, 4.0], requires_grad=True)
        a = z * 1
        a.real[0] = w
        a.imag.mul_(2.0)
        lib.view_as_real(a)[1, :, 1] += w
        b = lib.view_as_real(z) * 1.0
        lib.view_as_complex(b)[0] *= 1j
        out = (a * a).real.sum() + (b**3).sum()
        out.backward()
        return [a.detach(), b.detach(), z.grad, w.grad]

    for ours, theirs in zip(*both(run), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.resolve_conj().numpy(), rtol=1e-5)
    plain = ds.zeros(2, dtype=ds.cfloat)
    plain.real = ds.tensor([1.0, 2.0])
    plain.imag = 3
    assert plain.tolist() == [1 + 3j, 2 + 3j]


def test_only_a_real_loss_has_a_gradient() -> None:
    z = ds.tensor(Z, requires_grad=True)
    with pytest.raises(RuntimeError, match="only for real outputs, this one is complex64"):
        (z * z).sum().backward()
    with pytest.raises(RuntimeError, match="only for real outputs"):
        ds.grad((z * z).sum(), z)
    with pytest.raises(RuntimeError, match="gradient to start with is float32"):
        (z * z).backward(ds.ones(2, 3))
    (z * z).backward(ds.ones(2, 3, dtype=ds.cfloat) * 1j)
    assert z.grad is not None
    np.testing.assert_allclose(z.grad.numpy(), 2j * Z.conj())


def test_what_has_a_value_only_refuses_the_gradient() -> None:
    @op(
        "halved_for_this_test",
        family="other",
        shape=shapes.same,
        dtype=first,
        vjp=lambda xp, g, out, input: g,
        complex=VALUE,
        formula="input",
    )
    def halved(xp: Any, input: Any) -> Any:
        """As it is."""
        return input / 2

    try:
        z = apply(halved, (ds.tensor([1j], requires_grad=True),))
        with pytest.raises(
            RuntimeError, match='the gradient of "halved_for_this_test" is not there for complex numbers'
        ):
            z.abs().sum().backward()
    finally:
        del OPS["halved_for_this_test"]


def test_real_numbers_among_complex_ones_have_real_gradients_of_any_order() -> None:
    def run(lib: Any) -> list[Any]:
        t = lib.tensor([0.5, -1.0, 2.0], requires_grad=True)
        z = lib.exp(1j * t) * t + lib.tensor([1j, 2.0, -1 + 1j])
        loss = (z.abs() ** 3).sum() + (z * z.conj() * t).real.sum()
        (first,) = lib.autograd.grad(loss, t, create_graph=True)
        (second,) = lib.autograd.grad((first * first).sum(), t)
        return [first.detach(), second]

    for ours, theirs in zip(*both(run), strict=True):
        assert ours.dtype == ds.float32
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4)


OPTIMIZERS: dict[str, Any] = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1},
    "Adam": {"lr": 0.05, "amsgrad": True},
    "AdamW": {"lr": 0.05},
    "RMSprop": {"lr": 0.02},
    "Adagrad": {"lr": 0.1},
    "NAdam": {"lr": 0.05},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_complex_parameters_learn_as_pytorchs(name: str) -> None:
    def run(lib: Any) -> Any:
        weight = lib.nn.Parameter(lib.tensor(Z))
        scale = lib.nn.Parameter(lib.ones(3))
        learning = getattr(lib.optim, name)([weight, scale], **OPTIMIZERS[name])
        for _ in range(4):
            learning.zero_grad()
            ((weight * scale - 1j).abs() ** 2).sum().backward()
            lib.nn.utils.clip_grad_norm_([weight, scale], 2.0)
            learning.step()
        kept = learning.state_dict()["state"][0]
        kinds = sorted(
            str(getattr(v, "dtype", "")).removeprefix("torch.")
            for k, v in kept.items()
            if k != "step" and getattr(v, "ndim", 0)
        )
        return weight, kinds

    (ours, kinds), (theirs, other_kinds) = both(run)
    assert kinds == other_kinds
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_what_cannot_learn_complex_parameters_says_so() -> None:
    weight = nn.Parameter(ds.tensor(Z))
    with pytest.raises(
        RuntimeError, match=r"LBFGS does not support complex parameters, params\[0\] is complex64"
    ):
        ds.optim.LBFGS([weight])
    (weight.abs() ** 2).sum().backward()
    with pytest.raises(RuntimeError, match="have no order"):
        nn.utils.clip_grad_value_([weight], 1.0)


def test_a_module_keeps_them() -> None:
    class Mixing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(ds.tensor(Z))
            self.register_buffer("turn", ds.tensor([1j]))

    model = Mixing()
    other = Mixing()
    with ds.no_grad():
        other.weight.zero_()
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other.weight.detach().numpy(), Z)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.double()
    assert model.weight.dtype == ds.complex64


def test_a_function_of_ones_own_is_given_gradients_by_the_same_convention() -> None:
    def run(lib: Any) -> Any:
        class Cube(lib.autograd.Function):  # type: ignore[misc,name-defined]
            @staticmethod
            def forward(ctx: Any, z: Any) -> Any:
                ctx.save_for_backward(z)
                return z**3

            @staticmethod
            def backward(ctx: Any, grad: Any) -> Any:
                (z,) = ctx.saved_tensors
                return grad * (3 * z**2).conj()

        z = lib.tensor(Z, requires_grad=True)
        Cube.apply(z).imag.sum().backward()
        return z.grad

    same(run, rtol=1e-5)


def test_an_error_names_the_op_and_the_persons_line() -> None:
    with pytest.raises(RuntimeError) as told:
        nn.Sequential(nn.Linear(2, 2, dtype=ds.cfloat), nn.ReLU())(ds.ones(1, 2, dtype=ds.cfloat))
    assert "\"relu\" not implemented for 'ComplexFloat'" in str(told.value)
    assert __file__ in str(told.value)
    with pytest.raises(RuntimeError, match='"floor"'):
        ds.floor(ds.tensor(1j))


def test_norms_of_nothing_complex_stay_as_they_were() -> None:
    assert ds.tensor([3.0, 4.0]).norm().item() == 5
    assert ds.tensor([3j, 4.0]).norm().item() == pytest.approx(5)
    assert math.isclose(ds.linalg.vector_norm(ds.tensor([3j, 4.0]), 1).item(), 7)


@pytest.mark.parametrize(
    ("call", "kinds"),
    [
        (lambda z: z.exp().abs(), "c"),
        (lambda z, x: ds.linalg.slogdet(z)[0] * x, "cf"),
        (lambda z, x: (z.conj() @ z * x).angle(), "cf"),
        (lambda x: ds.fft.rfft(x) ** 2, "f"),
    ],
)
def test_gradients_are_checked_by_differences_in_both_parts(call: Any, kinds: str) -> None:
    rng = np.random.default_rng(5)
    numbers = [
        rng.standard_normal((3, 3)) + (1j * rng.standard_normal((3, 3)) if kind == "c" else 0)
        for kind in kinds
    ]
    assert gradcheck(call, numbers)
    assert gradgradcheck(call, numbers)
    assert not gradcheck(lambda z: z * z.conj().detach(), [numbers[0] + 0j], raise_exception=False)


def test_a_custom_op_takes_them_at_its_word() -> None:
    @ds.custom_op
    def turned_for_this_test(input: Any) -> Any:
        return input * 1j

    try:
        ds.register_derivative(turned_for_this_test, grad_fn=lambda grad, input: grad * -1j)
        assert check_op(turned_for_this_test, [np.array([1 + 2j, 3j])], second=True) == 1
    finally:
        del OPS["turned_for_this_test"]


def test_they_are_compared_by_both_parts() -> None:
    a = ds.tensor([1 + 1j])
    assert_close(a, a + 1e-7j)
    with pytest.raises(AssertionError, match="1 of 1 elements differ"):
        assert_close(a, a + 0.1j)


def test_derivatives_of_functions_take_complex_arguments() -> None:
    z = ds.tensor([1 + 1j, 2j])
    np.testing.assert_allclose(
        ds.func.grad(lambda z: (z.abs() ** 2).sum())(z).numpy(), 2 * z.numpy(), rtol=1e-6
    )
    out, pull = ds.func.vjp(lambda z: z * 1j, z)
    np.testing.assert_allclose(pull(ds.ones_like(out))[0].numpy(), [-1j, -1j])


def test_mixed_precision_leaves_them_alone() -> None:
    x, w = ds.randn(3, 4), ds.randn(2, 4, dtype=ds.cfloat)
    with ds.autocast("cpu"):
        found = nn.functional.linear(x, w)
    np.testing.assert_allclose(found.numpy(), x.numpy() @ w.numpy().T, rtol=1e-5)


def test_a_recomputed_block_and_a_compiled_function_give_the_same() -> None:
    def f(z: Any) -> Any:
        return (ds.fft.fft(z) * z.conj()).abs().sqrt()

    z = ds.tensor(np.tile(Z, (40, 40)), requires_grad=True)
    plain = ds.grad(f(z).sum(), z)[0].numpy()
    again = ds.grad(ds.utils.checkpoint.checkpoint(f, z, use_reentrant=False).sum(), z)[0].numpy()
    np.testing.assert_array_equal(plain, again)
    compiled = ds.jit(f)
    for _ in range(3):
        np.testing.assert_allclose(ds.grad(compiled(z).sum(), z)[0].numpy(), plain, rtol=1e-6)


WAYS: dict[str, Any] = {
    "tensor": lambda t: ds.tensor(1j),
    "zeros": lambda t: ds.zeros(2, dtype=ds.cfloat),
    "randn": lambda t: ds.randn(2, dtype=ds.cfloat),
    "parameter": lambda t: nn.Parameter(np.ones(2, np.complex64)),
    "pickle": lambda t: pickle.loads(pickle.dumps(ds.tensor(1j))),
    "polar": lambda t: ds.polar(t, t),
    "complex": lambda t: ds.complex(t, t),
    "cast": lambda t: t.to(ds.cfloat),
    "view": lambda t: ds.view_as_complex(t.reshape(1, 2)),
    "number": lambda t: t * 1j,
    "number of NumPy": lambda t: t * np.complex64(1j),
    "array": lambda t: t + np.ones(2, np.complex64),
    "number left": lambda t: 1j - t,
    "power": lambda t: t ** (1 + 1j),
    "where": lambda t: ds.where(t > 0, 1j, t),
    "fft": lambda t: ds.fft.fft(t),
    "rfft": lambda t: ds.fft.rfft(t),
    "eig": lambda t: ds.linalg.eigvals(t * ds.eye(2)),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_first_complex_number_is_noticed_however_it_comes(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    monkeypatch.setattr(complexes, "arm", lambda: heard.append(1))
    t = ds.ones(2, requires_grad=True)
    assert not heard
    WAYS[way](t)
    assert heard
