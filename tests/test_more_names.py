"""Rarer functions and methods that programs brought over from PyTorch call, beside PyTorch's."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import engine as ds

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")

RNG = np.random.default_rng(3)
A = RNG.standard_normal((2, 3, 3)) + 2 * np.eye(3)
P = A @ A.swapaxes(-1, -2) + np.eye(3)
V = RNG.uniform(0.2, 3.0, (4, 6))

# Each of a library, square matrices, positive definite ones, and positive numbers [4, 6]; gradients of all are compared.
SMOOTH: dict[str, Any] = {
    "lu": lambda t, a, p, v: sum((x * x).sum() for x in t.linalg.lu(a)[1:]),
    "lu whole": lambda t, a, p, v: (lambda f: f.P @ f.L @ f.U)(t.linalg.lu(a)),
    "lu_factor": lambda t, a, p, v: t.linalg.lu_factor(a).LU,
    "lu_solve": lambda t, a, p, v: t.linalg.lu_solve(*t.linalg.lu_factor(a), p),
    "lu_unpack": lambda t, a, p, v: t.lu_unpack(*t.linalg.lu_factor(a))[2],
    "inv_ex": lambda t, a, p, v: t.linalg.inv_ex(a)[0],
    "cholesky_ex": lambda t, a, p, v: t.linalg.cholesky_ex(p)[0],
    "solve_ex": lambda t, a, p, v: t.linalg.solve_ex(a, p)[0],
    "cholesky_solve": lambda t, a, p, v: t.cholesky_solve(a, t.linalg.cholesky(p)),
    "cholesky_inverse": lambda t, a, p, v: t.linalg.cholesky(p).cholesky_inverse(),
    "tensorsolve": lambda t, a, p, v: t.linalg.tensorsolve(a[0].reshape(3, 3, 1), p[0, 0]),
    "tensorinv": lambda t, a, p, v: t.linalg.tensorinv(a[0].reshape(3, 1, 3), ind=1),
    "vander": lambda t, a, p, v: t.linalg.vander(v, N=5),
    "diagonal": lambda t, a, p, v: t.linalg.diagonal(a, offset=1),
    "methods of matrices": lambda t, a, p, v: p.logdet().sum() + p.slogdet()[1].sum() + a.matrix_exp().sum() + p.cholesky().sum(),
    "svd": lambda t, a, p, v: p.svd().S,
    "qr": lambda t, a, p, v: a.qr().R ** 2,
    "pinverse": lambda t, a, p, v: a[0].pinverse(),
    "polygamma": lambda t, a, p, v: v.polygamma(1),
    "mvlgamma": lambda t, a, p, v: (v + 2).mvlgamma(3),
    "prelu": lambda t, a, p, v: (v - 1).prelu(v[0, :1]),
    "frexp": lambda t, a, p, v: v.frexp().mantissa,
    "i0": lambda t, a, p, v: (v * 3 - 4).i0(),
    "put": lambda t, a, p, v: v.put(t.tensor([[3, 0], [9, 22]]), a[0, :2, :2]),
    "put added": lambda t, a, p, v: v.put(t.tensor([3, 3, 9, 22]), p[0].flatten()[:4], accumulate=True),
    "put_": lambda t, a, p, v: (v * 1).put_(t.tensor([3, 9]), a[0, 0, :2]),
    "index_reduce prod": lambda t, a, p, v: v.index_reduce(0, t.tensor([1, 0, 1]), p.reshape(3, 6), "prod"),
    "index_reduce amax": lambda t, a, p, v: v.index_reduce(0, t.tensor([1, 0, 1]), p.reshape(3, 6), "amax", include_self=False),
    "index_reduce mean": lambda t, a, p, v: (v * 1).index_reduce_(0, t.tensor([1, 0, 1]), p.reshape(3, 6), "mean"),
    "segment_reduce": lambda t, a, p, v: sum(
        t.segment_reduce(v, kind, lengths=t.tensor([3, 1])).exp().sum() + (t.segment_reduce(v, kind, offsets=t.tensor([0, 2, 2, 4]), initial=0.2) ** 2).sum()
        for kind in ("sum", "mean", "prod", "max", "min")
    ),
    "fake_quantize": lambda t, a, p, v: t.fake_quantize_per_tensor_affine(v, 0.25, 2, 0, 9) * v
    + t.fake_quantize_per_channel_affine(v.float(), t.tensor([0.1, 0.2, 0.3, 0.4]), t.zeros(4), 0, 0, 7),
    "segment_reduce of rows": lambda t, a, p, v: t.segment_reduce(p, "mean", lengths=t.tensor([[1, 2], [3, 0]]), axis=1)[:, 0],
    "narrow_copy": lambda t, a, p, v: v.narrow_copy(1, 2, 3),
    "unsafe_chunk": lambda t, a, p, v: v.unsafe_chunk(3, 1)[1] * v.unsafe_split(2, 1)[0],
    "as_strided": lambda t, a, p, v: v.as_strided((3, 4, 2), (6, 1, 1), 2),
    "gradient": lambda t, a, p, v: sum((g * g).sum() for g in t.gradient(v)),
    "gradient spaced": lambda t, a, p, v: t.gradient(v, spacing=0.5, dim=1, edge_order=2)[0],
    "gradient at places": lambda t, a, p, v: t.gradient(v, spacing=(t.tensor([0.0, 1.0, 3.0, 3.5], dtype=t.float64),), dim=0, edge_order=2)[0],
    "gradient at places 1": lambda t, a, p, v: t.gradient(v, spacing=(t.tensor([0.0, 1.0, 3.0, 3.5], dtype=t.float64), t.tensor([0.0, 1, 2, 4, 5, 6], dtype=t.float64)))[1],
    "real": lambda t, a, p, v: t.real(v) + v.real + v.conj(),
    "logit_": lambda t, a, p, v: t.logit_(v / 4) + t.xlogy_(v * 1, v) + t.clip_(v * 1, 0.5, 1.0),
    "activations in place": lambda t, a, p, v: t.selu_(v - 1) + t.celu_(v - 1) + t.threshold_(v * 1, 1.0, 0.5),
    "arccosh_": lambda t, a, p, v: t.arctan_(v * 1) + v.arcsinh() + t.negative_(v * 1) + t.sinc_(v * 1),
    "entr": lambda t, a, p, v: t.special.entr(v) + t.special.xlog1py(v, v) + t.special.expit(v),
    "ndtr": lambda t, a, p, v: t.special.ndtr(v) + t.special.ndtri(v / 4) + t.special.log_ndtr(v * -2),
    "log_ndtr far": lambda t, a, p, v: t.special.log_ndtr(v * -12),
    "gammaln": lambda t, a, p, v: t.special.gammaln(v) + t.special.psi(v) + t.special.multigammaln(v + 1, 2),
}  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH)
def test_values_and_gradients_are_pytorchs(name: str) -> None:
    def run(lib: Any) -> list[Any]:
        a, p, v = (lib.tensor(x.tolist(), dtype=lib.float64, requires_grad=True) for x in (A, P, V))
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore" if lib is torch else "error"
            )  # of names that are old, or may change
            out = SMOOTH[name](lib, a, p, v)
        (out * out).sum().backward()
        return [out.detach().numpy(), *(np.zeros(1) if x.grad is None else x.grad.numpy() for x in (a, p, v))]

    close = 1e-6 if name == "ndtr" else 1e-8
    for ours, theirs in zip(run(ds), run(torch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=close, atol=1e-9)


@pytest.mark.parametrize("name", ["lu", "lu_factor", "i0", "put added", "as_strided", "log_ndtr far"])
def test_second_gradients_are_those_of_differences(name: str) -> None:
    given = [ds.tensor(x.tolist(), dtype=ds.float64) for x in (A, P, V)]
    assert ds.testing.gradgradcheck(lambda a, p, v: SMOOTH[name](ds, a, p, v) * 1.0, given)


INTS = [[12, -8, 0], [7, 30, 45]]

# Of a library and whole numbers: lists and numbers to compare.
PLAIN: dict[str, Any] = {
    "gcd": lambda t, n: t.gcd(n, n.flip(1)).tolist(),
    "lcm": lambda t, n: n.lcm(t.tensor(6)).tolist(),
    "gcd_": lambda t, n: (n * 1).gcd_(t.tensor([4, 6, 9])).tolist(),
    "nextafter": lambda t, n: t.nextafter(t.tensor([1.0, 0.0]), t.tensor([2.0, -1.0])).tolist(),
    "frexp": lambda t, n: [x.tolist() for x in t.frexp(n.float())],
    "frexp smallest": lambda t, n: [x.tolist() for x in t.frexp(t.tensor([5e-324, 1e308, 0.0], dtype=t.float64))],
    "is_signed": lambda t, n: [n.is_signed(), t.is_signed(n.to(t.uint8)), n.bool().is_signed()],
    "is_same_size": lambda t, n: [n.is_same_size(n), t.is_same_size(n, n[0])],
    "storage_offset": lambda t, n: [n.storage_offset(), n[1].storage_offset(), n[1, 1:].storage_offset(), n.t().storage_offset()],
    "as_strided": lambda t, n: t.as_strided(n, (2, 2), (1, 2)).tolist(),
    "as_strided of rows that are columns": lambda t, n: n.t().as_strided((2, 2), (1, 2)).tolist(),
    "as_strided of one place": lambda t, n: n.t().as_strided((), ()).tolist(),
    "as_strided of a view": lambda t, n: n[1].as_strided((2,), (2,)).tolist(),
    "as_strided from memory's start": lambda t, n: n[1].as_strided((2,), (2,), 3).tolist(),
    "resize_as_": lambda t, n: (n * 1).resize_as_(t.zeros(3, 1)).tolist(),
    "resize_": lambda t, n: (n * 1).resize_(3, 2).tolist(),
    "apply_": lambda t, n: (n * 1).apply_(lambda x: x * 2 + 1).tolist(),
    "map_": lambda t, n: (n * 1).map_(n, lambda x, y: x * y).tolist(),
    "frombuffer": lambda t, n: t.frombuffer(bytearray([1, 0, 2, 0]), dtype=t.int16).tolist(),
    "from_dlpack": lambda t, n: t.from_dlpack(np.arange(3.0)).tolist(),
    "matrix_rank": lambda t, n: [t.linalg.matrix_rank(n.double()).item(), t.linalg.matrix_rank(t.eye(3), tol=2.0).item()],
    "matrix_rank hermitian": lambda t, n: t.linalg.matrix_rank(t.ones(2, 3, 3), hermitian=True).tolist(),
    "matrix_rank atol": lambda t, n: t.linalg.matrix_rank(t.diag(t.tensor([1.0, 0.1])), atol=0.5, rtol=0.0).item(),
    "lu pivots": lambda t, n: t.linalg.lu_factor(t.tensor(A, dtype=t.float64)).pivots.tolist(),
    "lu_factor_ex": lambda t, n: t.linalg.lu_factor_ex(t.zeros(2, 2))[2].item(),
    "inv_ex": lambda t, n: t.linalg.inv_ex(t.eye(2))[1].item(),
    "new": lambda t, n: [list(n.new(2, 3).shape), n.new([1, 2]).tolist()],
    "pinned": lambda t, n: [n.is_pinned(), n.is_sparse, n.is_quantized, n.is_meta, t.is_conj(n)],
    "hann": lambda t, n: t.hann_window(7).tolist(),
    "hamming": lambda t, n: t.hamming_window(6, periodic=False).tolist(),
    "blackman": lambda t, n: t.blackman_window(8, dtype=t.float64).tolist(),
    "bartlett": lambda t, n: [t.bartlett_window(7).tolist(), t.bartlett_window(1).tolist(), t.bartlett_window(0).tolist()],
    "kaiser": lambda t, n: t.kaiser_window(9, True, 5.0, dtype=t.float64).tolist(),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_what_has_no_gradient_is_pytorchs(name: str) -> None:
    ours, theirs = (PLAIN[name](lib, lib.tensor(INTS)) for lib in (ds, torch))
    np.testing.assert_allclose(_flat(ours), _flat(theirs), rtol=1e-6, atol=1e-7)


def _flat(value: Any) -> list[float]:
    return [x for v in value for x in _flat(v)] if isinstance(value, (list, tuple)) else [float(value)]


def test_memory_goes_to_and_from_other_libraries() -> None:
    x = ds.tensor([1.0, 2.0])
    assert torch.from_dlpack(x).tolist() == [1.0, 2.0]
    assert ds.from_dlpack(torch.tensor([3.0])).tolist() == [3.0]
    with pytest.raises(BufferError, match="detach"):
        torch.from_dlpack(x.requires_grad_())


def test_random_fills() -> None:
    ds.manual_seed(0)
    assert abs(ds.empty(4000).log_normal_(0.5, 0.25).log().mean().item() - 0.5) < 0.03
    assert abs(ds.empty(4001).cauchy_(2.0, 0.5).median().item() - 2.0) < 0.1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ds.gcd(ds.ones(2), 3), "gcd is of whole numbers, got float32"),
        (
            lambda: ds.as_strided(ds.ones(3), (4,), (1,)),
            r"reach from element 0 to 3, and input \[3\] with the strides \[1\] has none",
        ),
        (
            lambda: ds.as_strided(ds.ones(3, 4)[:, 1:3], (4,), (1,)),
            r"with the strides \[4, 1\] has none at some",
        ),
        (lambda: ds.linalg.lu(ds.ones(2, 3)), r"lu needs square matrices, got \[2, 3\]"),
        (lambda: ds.hann_window(-1), "0 or more, got -1"),
        (lambda: ds.hann_window(3, size=2), "no option 'size'"),
        (lambda: ds.gradient(ds.ones(1)), "has to have 2 elements or more, has 1"),
        (lambda: ds.imag(ds.ones(1)), "numbers are real here"),
        (lambda: ds.ones(1).imag, "numbers are real here"),
        (lambda: ds.frombuffer(b"abc", dtype=ds.int16), "frombuffer: "),
        (lambda: ds.from_dlpack([1]), "list has no __dlpack__"),
        (lambda: ds.linalg.tensorinv(ds.ones(2, 3), 1), r"\[2\] and \[3\]"),
        (lambda: ds.mvlgamma(ds.ones(1), 0), "p has to be 1 or more"),
        (lambda: ds.ones(2).index_reduce(0, ds.tensor([0]), ds.ones(1), "sum"), "index_reduce: reduce is"),
        (lambda: ds.linalg.inv_ex(ds.zeros(2, 2), check_errors=True), "has no inverse"),
        (lambda: ds.ones(2, requires_grad=True).resize_(3), "keeps its size"),
        (lambda: ds.ones(2, requires_grad=True).apply_(abs), "requires a gradient"),
    ],
)
def test_bad_input_is_told(call: Any, message: str) -> None:
    with pytest.raises((ValueError, RuntimeError, TypeError), match=message):
        call()
