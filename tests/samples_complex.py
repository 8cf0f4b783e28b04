"""Samples with complex numbers: what makes them, takes them apart, and each op that computes and differentiates with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sample_row import Row

import engine as ds
from engine.errors import ShapeMismatchError

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

rng = np.random.default_rng(11)


def drawn(*shape: int) -> Any:
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


Z, W, V = drawn(3, 4), drawn(3, 4), drawn(4)
A, B = drawn(2, 3, 4), drawn(2, 4, 3)
SQUARE = drawn(3, 3) + 2 * np.eye(3)
INSIDE = 0.4 * drawn(3, 2)
LINE = drawn(5)
REAL = rng.standard_normal((3, 4))
POSITIVE = rng.uniform(0.5, 2.0, (3, 4))
WITH_ZERO = np.array([0.0, 1.0 + 2.0j, -3.0j, -1.5])
INDEX = np.array([[0, 2, 1], [1, 1, 0]])
TRUTHS = REAL > 0


def row(op: str, call: Callable[..., Any], *inputs: Any, note: str = "complex", **more: Any) -> Row:
    """A row of `call(library, *inputs)`."""
    return Row(
        op,
        lambda *args: call(ds, *args),
        None if torch is None else lambda *args: call(torch, *args),
        inputs,
        note,
        **more,
    )


def unary(names: str, data: Any) -> list[Row]:
    return [row(name, lambda lib, a, name=name: getattr(lib, name)(a), data) for name in names.split()]


SAMPLES: list[Row] = [
    # --- made of real numbers, and taken apart ---
    row("complex", lambda lib, a, b: lib.complex(a, b), REAL, POSITIVE),
    row("complex", lambda lib, a, b: lib.complex(a, b), REAL[:, :1], POSITIVE, note="spread"),
    row("polar", lambda lib, a, b: lib.polar(a, b), POSITIVE, REAL),
    row("real", lambda lib, a: a.real, Z),
    row("imag", lambda lib, a: a.imag * 2, Z),
    row("conj", lambda lib, a: lib.conj(a) * a, Z),
    row("angle", lambda lib, a: lib.angle(a), Z),
    row("angle", lambda lib, a: lib.angle(a), WITH_ZERO, note="zero", exact=False),
    row("angle", lambda lib, a: lib.angle(a), REAL, note="real"),
    row("abs", lambda lib, a: lib.abs(a), Z),
    row("abs", lambda lib, a: lib.abs(a), WITH_ZERO, note="zero", exact=False),
    row("abs", lambda lib, a: lib.sgn(a), Z, note="sgn"),
    row("view_as_real", lambda lib, a: lib.view_as_real(a), Z),
    row("view_as_complex", lambda lib, a: lib.view_as_complex(a), (3, 4, 2)),
    row("cast", lambda lib, a: a.to(lib.complex128) * 1j, REAL, note="to-complex"),
    row("clone", lambda lib, a: a.clone(), Z),
    # --- element by element ---
    *(
        row(name, lambda lib, a, b, name=name: getattr(lib, name)(a, b), *pair, note=note)
        for name in ("add", "sub", "mul", "div", "pow")
        for note, pair in {"complex": (Z, W), "spread": (Z, V), "real-left": (POSITIVE, W), "real-right": (Z, REAL)}.items()
    ),
    row("mul", lambda lib, a: a * (2 - 3j) + 1j, Z, note="number"),
    row("mul", lambda lib, a: a * 2j, REAL, note="real-and-number"),
    row("div", lambda lib, a: (1 + 1j) / a, Z, note="number-left"),
    row("add", lambda lib, a, b: lib.add(a, b, alpha=1j), Z, W, note="alpha"),
    *(row("pow", lambda lib, a, p=p: a**p, Z, note=f"{p}") for p in (0, 1, 2, 3, -1, 0.5, 1 + 0.5j)),
    row("pow", lambda lib, a: (0.5 + 1j) ** a, Z, note="number-left"),
    row("pow", lambda lib, a: a**2, WITH_ZERO, note="zero"),
    *unary("neg square sqrt rsqrt reciprocal exp expm1 log log2 log10 log1p sin cos tan sinh cosh tanh sigmoid exp2", Z),
    *unary("asin acos atan asinh acosh atanh", INSIDE),
    *(row(name, lambda lib, a, b, name=name: getattr(lib, name)(a, b), Z, Z) for name in ("eq", "ne")),
    *(row(n, lambda lib, a, b, n=n: getattr(lib, n)(a, b), WITH_ZERO, LINE[:4]) for n in ("logical_and", "logical_or", "logical_xor")),
    row("logical_not", lambda lib, a: lib.logical_not(a), WITH_ZERO),
    *(row(n, lambda lib, a, n=n: getattr(lib, n)(a), np.array([1j, np.nan, 1j * np.inf])) for n in ("isnan", "isinf", "isfinite")),
    row("where", lambda lib, m, a, b: lib.where(m, a, b), TRUTHS, Z, V),
    row("where", lambda lib, m, a: lib.where(m, a, 0.0), TRUTHS, Z, note="complex-number"),
    row("masked_fill", lambda lib, a, m: a.masked_fill(m, 1 + 2j), Z, TRUTHS),
    # --- over dimensions ---
    *(row(n, lambda lib, a, n=n: getattr(lib, n)(a), A, note="complex-all") for n in ("sum", "mean", "prod", "any", "all")),
    *(row(n, lambda lib, a, n=n: getattr(lib, n)(a, 1), A) for n in ("sum", "mean", "prod", "cumsum", "cumprod")),
    row("cumprod", lambda lib, a: lib.cumprod(a, 0), WITH_ZERO, note="complex-zero"),
    row("cumprod", lambda lib, a: lib.cumprod(a, 0), drawn(80), note="complex-long"),
    *(row("norm", lambda lib, a, p=p: lib.linalg.vector_norm(a, p, 1), Z, note=f"complex-{p}") for p in (2, 1, 3, float("inf"))),
    row("var", lambda lib, a: lib.var(a, 1), Z),
    row("var", lambda lib, a: lib.std(a, 1), Z, note="complex-std"),
    # --- products ---
    *(
        row("matmul", lambda lib, a, b: a @ b, a, b, note=f"complex-{note}")
        for note, a, b in (
            ("matrices", Z, W.T), ("batch", A, B), ("spread", Z, B), ("vector", Z, V), ("vector-left", V, B),
            ("vectors", V, V), ("real", REAL, W.T.astype(complex)),
        )
        if note != "real"
    ),
    row("linear", lambda lib, x, w, b: lib.nn.functional.linear(x, w, b), A, drawn(5, 4), drawn(5)),
    row("einsum", lambda lib, x, w: lib.einsum("bixy,ioxy->boxy", x, w), drawn(2, 3, 2, 2), drawn(3, 2, 2, 2)),
    row("einsum", lambda lib, x: lib.einsum("ii->i", x), SQUARE, note="complex-diagonal"),
    row("einsum", lambda lib, a, b: lib.vdot(a, b), V, LINE[:4], note="complex-vdot"),
    row("einsum", lambda lib, a, b: lib.outer(a, b), V, LINE, note="complex-outer"),
    row("inv", lambda lib, a: lib.linalg.inv(a), SQUARE),
    row("solve", lambda lib, a, b: lib.linalg.solve(a, b), SQUARE, drawn(3, 2)),
    row("det", lambda lib, a: lib.linalg.det(a), SQUARE),
    row("slogdet", lambda lib, a: tuple(lib.linalg.slogdet(a)), SQUARE),
    row("slogdet", lambda lib, a: lib.logdet(a), SQUARE, note="complex-logdet"),
    row("conv1d", lambda lib, x, w, b: lib.nn.functional.conv1d(x, w, b, padding=1), drawn(2, 3, 5), drawn(4, 3, 3), drawn(4)),
    Row("conv1d", lambda x, w: ds.nn.functional.conv1d(x, w, stride=2), None, ((2, 3, 5), drawn(4, 3, 2)), "complex-weight"),
    row("conv_transpose2d", lambda lib, x, w: lib.nn.functional.conv_transpose2d(x, w), drawn(1, 2, 3, 3), drawn(2, 2, 2, 2)),
    row("matmul", lambda lib, a: lib.cov(a), Z, note="complex-cov"),
    row("log", lambda lib, a: lib.logsumexp(a, 1), Z, note="complex-logsumexp"),
    row("cholesky", lambda lib, a: lib.linalg.cholesky(a @ a.mH), SQUARE),
    row("eigh", lambda lib, a: lib.linalg.eigh(a + a.mH)[0], SQUARE),
    row("eigh", lambda lib, a: lib.linalg.eigh(a + a.mH)[1].abs() ** 2, SQUARE, note="complex-vectors"),
    row("eigh", lambda lib, a: lib.linalg.svdvals(a), Z, note="complex-svd"),
    row("cholesky", lambda lib, a: lib.linalg.pinv(a) @ a @ lib.linalg.qr(a.mH)[0].abs().to(a.dtype), Z[:, :3], note="complex-qr"),
    row("eig", lambda lib, a: lib.linalg.eigvals(a), SQUARE),
    row("eig", lambda lib, a: lib.linalg.eig(a)[1].abs(), SQUARE, note="complex-vectors"),
    row("eig", lambda lib, a: lib.linalg.eigvals(a).abs(), REAL[:, :3], note="real"),
    row("eig", lambda lib, a: lib.linalg.eig(a)[1].abs() + lib.linalg.eig(a)[0].imag, REAL[:, :3], note="real-vectors"),
    # --- arrangement ---
    row("reshape", lambda lib, a: a.reshape(2, 6), Z),
    row("permute", lambda lib, a: a.permute(2, 0, 1), A),
    row("transpose", lambda lib, a: a.mH @ a, A, note="complex-mH"),
    row("expand", lambda lib, a: a.expand(3, 4), V),
    row("flip", lambda lib, a: a.flip((0, 1)), Z),
    row("cat", lambda lib, a, b: lib.cat([a, b], 1), Z, W),
    row("cat", lambda lib, a, b: lib.cat([a, b]), Z, REAL, note="complex-and-real"),
    row("stack", lambda lib, a, b: lib.stack([a, b], 1), Z, W),
    row("split", lambda lib, a: lib.split(a, [1, 3], 1), Z),
    row("unbind", lambda lib, a: lib.unbind(a, 1), Z),
    row("getitem", lambda lib, a: a[1:, ::2] * a[None, 0, 1], Z),
    row("getitem", lambda lib, a, i: a[i], LINE, INDEX, note="complex-numbers"),
    row("gather", lambda lib, a, i: lib.gather(a, 1, i), Z, INDEX),
    row("scatter_add", lambda lib, a, i, s: a.scatter_add(1, i, s), Z, INDEX, drawn(2, 3)),
    row("scatter", lambda lib, a, i, s: a.scatter(1, i, s), Z, np.array([[0, 2, 1], [1, 3, 0]]), drawn(2, 3)),
    Row("embedding", lambda w, i: ds.nn.functional.embedding(i, w), None, (Z, INDEX), "complex"),
    row("pad", lambda lib, a: lib.nn.functional.pad(a, (1, 2)), Z),
    row("roll", lambda lib, a: lib.roll(a, 2, 1), Z),
    row("repeat_interleave", lambda lib, a: lib.repeat_interleave(a, 2, 1), Z),
    row("diagonal", lambda lib, a: lib.diagonal(a) * 1j, SQUARE),
    row("diagonal_zeros", lambda lib, a: lib.diag_embed(a), V),
    row("tril", lambda lib, a: lib.tril(a), SQUARE),
    row("triu", lambda lib, a: lib.triu(a, 1), SQUARE),
    # --- Fourier transforms ---
    *(row("fft", lambda lib, a, norm=norm: lib.fft.fft(a, dim=0, norm=norm), Z, note=f"{norm}") for norm in ("backward", "ortho", "forward")),
    row("fft", lambda lib, a: lib.fft.ifftn(a, (4, 3), (2, 0)), A, note="several"),
    row("fft", lambda lib, a: lib.fft.fft(a, 6).real, REAL, note="of-real"),
    *(row("rfft", lambda lib, a, n=n: lib.fft.rfft(a, n, norm="ortho"), REAL, note=f"{n}") for n in (4, 5)),
    *(row("irfft", lambda lib, a, n=n: lib.fft.irfft(a, n), Z, note=f"{n}") for n in (6, 7)),
    row("irfft", lambda lib, a: lib.fft.hfft(a, 5, 0, "forward"), Z, note="hfft"),
    row("rfft", lambda lib, a: lib.fft.ihfft(a), REAL, note="ihfft"),
    row(
        "irfft",
        lambda lib, x, w: lib.fft.irfft2(lib.einsum("bixy,ioxy->boxy", lib.fft.rfft2(x)[..., :2, :2], w), s=(4, 5)),
        (2, 3, 4, 5), drawn(3, 2, 2, 2), note="neural-operator",
    ),
    row("fft", lambda lib, x: lib.fft.fft(lib.fft.fft(x, dim=-1), dim=-2).real, (2, 3, 4), note="fnet"),
    row(
        "rfft",
        lambda lib, x: lib.stft(x, 8, 3, window=lib.hann_window(8, dtype=lib.float64), return_complex=True).abs(),
        rng.standard_normal(20), note="stft",
    ),
    row("irfft", lambda lib, s: lib.istft(s, 8, 3, window=lib.hamming_window(8, dtype=lib.float64)), drawn(5, 6), note="istft"),
    # --- programs ---
    row(
        "view_as_complex",
        lambda lib, x, t: lib.view_as_real(
            lib.view_as_complex(x.reshape(2, 3, 2, 2)) * lib.polar(lib.ones_like(t), t)
        ).flatten(2),
        (2, 3, 4), (3, 2), note="rotary",
    ),
    row(
        "exp",
        lambda lib, a, c: 2 * (c[:, None] * lib.exp(a[:, None] * lib.arange(6))).sum(0).real,
        INSIDE[:, 0], drawn(3), note="state-space",
    ),
]  # fmt: skip

ERRORS: list[tuple[str, Any, type[Exception], str]] = [
    ("relu", lambda: ds.relu(ds.tensor([1j])), RuntimeError, '"relu" not implemented for \'ComplexFloat\''),
    ("lt", lambda: ds.tensor([1j]) < ds.tensor([2j]), RuntimeError, '"lt" not implemented'),
    ("maximum", lambda: ds.maximum(ds.ones(1), ds.tensor([1j])), RuntimeError, "not implemented"),
    ("sort", lambda: ds.tensor([1j]).sort(), RuntimeError, '"sort" not implemented'),
    ("amax", lambda: ds.tensor([1j]).max(), RuntimeError, '"amax" not implemented'),
    ("complex", lambda: ds.complex(ds.ones(2), ds.arange(2)), RuntimeError, "real float32 and imag int64"),
    ("polar", lambda: ds.polar(ds.ones(2), 1.0), RuntimeError, "abs float32 and angle float"),
    ("view_as_complex", lambda: ds.view_as_complex(ds.ones(2, 3)), ShapeMismatchError, "Expected [2, 2], got [2, 3]"),
    ("view_as_complex", lambda: ds.view_as_complex(ds.arange(2)), RuntimeError, "is int64; cast it first"),
    ("view_as_real", lambda: ds.view_as_real(ds.ones(2)), RuntimeError, "only for complex tensors"),
    ("fft", lambda: ds.fft.fft(ds.ones(0)), ValueError, "fft: there is no transform of nothing"),
    ("fft", lambda: ds.fft.fft(ds.ones(3), norm="half"), ValueError, "got 'half'"),
    ("fft", lambda: ds.fft.fftn(ds.ones(3), (2, 2)), ValueError, "s names 2 sizes, input has 1 dimensions"),
    ("fft", lambda: ds.fft.fft2(ds.ones(3)), IndexError, "dim has to be from -1 to 0"),
    ("fft", lambda: ds.fft.fft([1.0]), TypeError, "input has to be a tensor, got list"),
    ("rfft", lambda: ds.fft.rfft(ds.ones(3) * 1j), RuntimeError, "rfft takes a real input, got complex64; fft takes both"),
    ("irfft", lambda: ds.fft.irfft(ds.ones(1)), ValueError, "n is 0 for an input of shape [1]"),
    ("rfft", lambda: ds.stft(ds.ones(20), 8), RuntimeError, "say return_complex"),
    ("rfft", lambda: ds.stft(ds.ones(3), 8, return_complex=True), ValueError, "needs more than that, got [3]"),
    ("rfft", lambda: ds.ones(9).stft(8, window=ds.ones(7), return_complex=True), ValueError, "window has to be of shape [8]"),
    ("irfft", lambda: ds.istft(ds.ones(4, 3) * 1j, 8), ValueError, "needs 5 frequencies, got 4"),
    ("irfft", lambda: ds.istft(ds.ones(5, 3) * 1j, 8, window=ds.zeros(8)), RuntimeError, "add up to 0"),
    ("imag", lambda: ds.ones(2).imag, RuntimeError, "imag is not implemented for tensors with non-complex dtypes"),
]  # fmt: skip
