"""Discrete Fourier transforms: of complex numbers over several dimensions, of real ones over one, and back to real ones.

Each is linear, and its gradient is another of them: what scales one way scales the other way back.
(Frigo and Johnson 2005, The design and implementation of FFTW3, for the conventions.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine import complexes, shapes
from engine.dtype import complex_of, real_of
from engine.errors import ArgumentProblem, Shape
from engine.op import LINEAR, op
from engine.ops.nested import nested
from engine.shapes import check_dim, check_dims, sizes

# The norm of the transform that is the transpose of one.
TURNED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}

FOURIER: dict[str, Any] = {"family": "linear", "complex": LINEAR, "check": True}


def _complex_dtype(input: Any, **_: Any) -> Any:
    return complex_of(input)


def _not_empty(shape: Shape, dims: Sequence[int]) -> None:
    for d in dims:
        if shape[d] == 0:
            raise ArgumentProblem(
                ValueError, f"there is no transform of nothing: dimension {d} of {{0}} has size 0", 0
            )


def _fft_shape(input: Any, *, dims: tuple[int, ...], inverse: bool, norm: str) -> Shape:
    shape = sizes(input)
    _not_empty(shape, check_dims(dims, len(shape)))
    return shape


def _fft_vjp(
    xp: Any, g: Any, out: Any, input: Any, *, dims: tuple[int, ...], inverse: bool, norm: str
) -> Any:
    return nested(xp, FFT, g, dims=dims, inverse=not inverse, norm=TURNED[norm])


@op(
    "fft", **FOURIER, shape=_fft_shape, dtype=_complex_dtype, origin=shapes.same_origin, vjp=_fft_vjp,
    formula="out[k] = Σ input[t] e^(-2πi k t / n), with + for inverse",
)  # fmt: skip
def FFT(xp: Any, input: Any, *, dims: tuple[int, ...], inverse: bool, norm: str) -> Any:
    """Fourier transform over `dims`, or its inverse; `norm` says which of the two divides by the number of elements."""
    transform = xp.fft.ifftn if inverse else xp.fft.fftn
    # NumPy before 2 computes in float64 only.
    return transform(input, axes=dims, norm=norm).astype(complex_of(input.dtype), copy=False)


def _rfft_shape(input: Any, *, dim: int, norm: str) -> Shape:
    shape = sizes(input)
    d = check_dim(dim, len(shape))
    _not_empty(shape, (d,))
    return (*shape[:d], shape[d] // 2 + 1, *shape[d + 1 :])


def _folded(xp: Any, like: Any, dim: int, n: int, factor: float) -> Any:
    """`like` times `factor` where one number of a half spectrum stands for two of the whole: not at 0, nor in the middle."""
    half: Any = np.full(n // 2 + 1, factor)
    half[0] = 1
    if n % 2 == 0:
        half[-1] = 1
    shape = [1] * len(like.shape)
    shape[dim] = len(half)
    half = half.reshape(shape).astype(real_of(like.dtype))
    if hasattr(like, "node"):
        from engine.tensor import beside

        return like * beside(like, half)
    return like * xp.asarray(half)


def _rfft_vjp(xp: Any, g: Any, out: Any, input: Any, *, dim: int, norm: str) -> Any:
    n = input.shape[dim]
    return nested(xp, IRFFT, _folded(xp, g, dim, n, 0.5), n=n, dim=dim, norm=TURNED[norm])


@op(
    "rfft", **FOURIER, shape=_rfft_shape, dtype=_complex_dtype, vjp=_rfft_vjp,
    formula="out[k] = Σ input[t] e^(-2πi k t / n) for k from 0 to n/2",
)  # fmt: skip
def RFFT(xp: Any, input: Any, *, dim: int, norm: str) -> Any:
    """Fourier transform of real numbers along `dim`: the half of it that says all."""
    if input.dtype.kind == "c":
        raise ArgumentProblem(
            RuntimeError, f"rfft takes real numbers, {{0}} is {input.dtype}; fft takes both", 0
        )
    complexes.arm()
    return xp.fft.rfft(input, axis=dim, norm=norm).astype(complex_of(input.dtype), copy=False)


def _irfft_dtype(input: Any, **_: Any) -> Any:
    return real_of(input)


def _irfft_shape(input: Any, *, n: int, dim: int, norm: str) -> Shape:
    shape = sizes(input)
    d = check_dim(dim, len(shape))
    if n < 1:
        raise ArgumentProblem(ValueError, f"a transform back to real numbers needs n of 1 or more, got {n}")
    return (*shape[:d], n, *shape[d + 1 :])


def _irfft_vjp(xp: Any, g: Any, out: Any, input: Any, *, n: int, dim: int, norm: str) -> Any:
    return _folded(xp, nested(xp, RFFT, g, dim=dim, norm=TURNED[norm]), dim, n, 2.0)


@op(
    "irfft", **FOURIER, shape=_irfft_shape, dtype=_irfft_dtype, vjp=_irfft_vjp,
    formula="out[t] = Σ over the whole spectrum of input[k] e^(2πi k t / n) / n",
)  # fmt: skip
def IRFFT(xp: Any, input: Any, *, n: int, dim: int, norm: str) -> Any:
    """The `n` real numbers along `dim` that have this half spectrum of n // 2 + 1 numbers."""
    return xp.fft.irfft(input, n=n, axis=dim, norm=norm).astype(real_of(input.dtype), copy=False)
