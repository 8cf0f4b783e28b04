"""Fourier transforms beside PyTorch's: every function, with sizes, dimensions and norms; short-time ones."""

from __future__ import annotations

import itertools
from typing import Any

import dsviz.fft
import numpy as np
import pytest

import dsviz as ds

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: compare)")

rng = np.random.default_rng(3)
REAL = rng.standard_normal((3, 5, 6)).astype(np.float32)
COMPLEX = (REAL + 1j * rng.standard_normal(REAL.shape)).astype(np.complex64)
TRANSFORMS = [name for name in ds.fft.__all__ if "freq" not in name and "shift" not in name]


def outcome(lib: Any, data: Any, call: Any) -> Any:
    """Result and gradient; the kind of error where there is one."""
    x = lib.tensor(data, requires_grad=True)
    try:
        out = call(lib, x)
    except (RuntimeError, ValueError):
        return "refused"
    weights = lib.tensor(np.cos(np.arange(out.numel())).reshape(tuple(out.shape)).astype(np.float32))
    parts = [out.real, out.imag, out.abs()] if out.is_complex() else [out]
    (gradient,) = lib.autograd.grad(sum((p * weights).sum() for p in parts), x)
    if lib is torch:
        out, gradient = out.resolve_conj(), gradient.resolve_conj()
    return out.detach().numpy(), gradient.numpy()


def alike(data: Any, call: Any) -> None:
    ours, theirs = outcome(ds, data, call), outcome(torch, data, call)
    if isinstance(theirs, str):
        assert ours == theirs
        return
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_each_gives_pytorchs_numbers_and_gradients(name: str) -> None:
    lengths: tuple[Any, ...] = (None, 3, 9)
    dims: tuple[Any, ...] = (-1, 0)
    if name[-1] in "2n":
        lengths, dims = (None, (4, 7), (2, -1)), ((-2, -1), (0, 1))
    if name[-1] == "n":
        lengths, dims = (None, (4,), (7, 8)), (None, (0, 2), (-1,))
    norms = itertools.cycle(("backward", "ortho", "forward"))
    for n, dim, data in itertools.product(lengths, dims, (REAL, COMPLEX)):
        norm = next(norms)
        alike(data, lambda lib, x, n=n, dim=dim, norm=norm: getattr(lib.fft, name)(x, n, dim, norm))


@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
@pytest.mark.parametrize("name", ["fftn", "ifft2", "rfftn", "irfft", "hfft", "ihfftn"])
def test_each_norm_divides_where_pytorchs_does(name: str, norm: str | None) -> None:
    alike(REAL, lambda lib, x: getattr(lib.fft, name)(x, norm=norm))


@pytest.mark.parametrize("kind", ["float64", "int64", "float16"])
def test_the_result_is_as_exact_as_the_input(kind: str) -> None:
    x = ds.ones(4).to(kind)
    wide = kind == "float64"
    assert ds.fft.fft(x).dtype == ds.fft.rfft(x).dtype == (ds.complex128 if wide else ds.complex64)
    assert ds.fft.irfft(ds.fft.rfft(x)).dtype == (ds.float64 if wide else ds.float32)


def test_there_and_back() -> None:
    x = ds.tensor(REAL)
    for there, back in (("fft2", "ifft2"), ("rfftn", "irfftn"), ("ihfft", "hfft")):
        found = getattr(ds.fft, back)(getattr(ds.fft, there)(x))
        found = found.real if found.is_complex() else found
        np.testing.assert_allclose(found.numpy(), REAL, atol=1e-5)
    assert dsviz.fft is ds.fft


@pytest.mark.parametrize("n", [1, 4, 5])
def test_frequencies_and_their_order(n: int) -> None:
    for name in ("fftfreq", "rfftfreq"):
        ours, theirs = (getattr(lib.fft, name)(n, 0.5, dtype=lib.float64) for lib in (ds, torch))
        np.testing.assert_allclose(ours.numpy(), theirs.numpy())
        assert getattr(ds.fft, name)(n).dtype == ds.float32
    for name, dim in itertools.product(("fftshift", "ifftshift"), (None, 0, (1, 2), -1)):
        ours, theirs = (getattr(lib.fft, name)(lib.tensor(REAL[:, :n]), dim) for lib in (ds, torch))
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.filterwarnings(
    "ignore:stft with return_complex=False:UserWarning", "ignore:The length of signal:UserWarning"
)
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize(
    ("n_fft", "hop", "length", "mode", "normalized", "complex"),
    [
        (16, None, None, "reflect", False, False),
        (15, 5, 10, "constant", True, False),
        (16, 4, 10, "reflect", True, True),
        (16, 7, None, "replicate", False, True),
    ],
)
def test_short_time_transforms_and_their_inverse(
    center: bool, n_fft: int, hop: Any, length: Any, mode: str, normalized: bool, complex: bool
) -> None:
    signal = rng.standard_normal((2, 50)).astype(np.float32)
    weights = np.hanning((length or n_fft) + 2)[1:-1].astype(np.float32)

    def spectrum(lib: Any, x: Any) -> Any:
        window = lib.tensor(weights)
        return lib.stft(x, n_fft, hop, length, window, center, mode, normalized, return_complex=True)

    def back(lib: Any, x: Any) -> Any:
        window = lib.tensor(weights)
        s = spectrum(lib, x)
        return lib.istft(s, n_fft, hop, length, window, center, normalized, length=45, return_complex=complex)

    def parts(lib: Any, x: Any) -> Any:
        return lib.stft(
            x[0], n_fft, hop, center=center, pad_mode=mode, window=lib.ones(n_fft), return_complex=False
        )

    data = signal + 1j * signal[::-1] if complex else signal
    for call in (spectrum, back, parts):
        alike(data, call)
