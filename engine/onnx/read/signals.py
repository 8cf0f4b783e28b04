"""Fourier transforms as products with matrices of cosines and sines, so that a gradient passes, and the mel scale."""

from __future__ import annotations

from typing import Any

import numpy as np

import engine as ds
from engine.onnx.read.step import Step, kind_of, plain, reads


def transform(x: Any, axis: int, length: int | None, inverse: bool, onesided: bool) -> Any:
    """The Fourier transform of `x` [..., 1 or 2] along `axis`; the last dimension holds real and imaginary part."""
    axis %= x.ndim
    n = x.shape[axis]
    if inverse and onesided:
        return _real_inverse(x, axis, length or 2 * (n - 1))
    size = length or n
    kept = size // 2 + 1 if onesided else size
    used = min(n, size)
    angle = 2 * np.pi * (np.arange(kept)[:, None] * np.arange(used)) / size
    sign, scale = (1.0, 1 / size) if inverse else (-1.0, 1.0)
    return _turned(ds.narrow(x, axis, 0, used), axis, np.cos(angle) * scale, sign * np.sin(angle) * scale)


def _turned(x: Any, axis: int, cosines: Any, sines: Any) -> Any:
    """`x` times the complex matrix [result, element] of cosines and sines, along `axis`."""
    moved = ds.movedim(x, axis, -1)  # [..., part, element]
    c, s = (plain(np.ascontiguousarray(m.T).astype(x.dtype)) for m in (cosines, sines))
    real = ds.narrow(moved, -2, 0, 1)
    if x.shape[-1] == 1:
        made = ds.cat([ds.matmul(real, c), ds.matmul(real, s)], -2)
    else:
        other = ds.narrow(moved, -2, 1, 1)
        made = ds.cat(
            [ds.matmul(real, c) - ds.matmul(other, s), ds.matmul(real, s) + ds.matmul(other, c)], -2
        )
    return ds.movedim(made, -1, axis)


def _real_inverse(x: Any, axis: int, size: int) -> Any:
    """A real signal from the half of its spectrum that is not the mirror of the other."""
    count = min(x.shape[axis], size // 2 + 1)
    at = np.arange(count)
    twice = np.where((at == 0) | ((size % 2 == 0) & (at == size // 2)), 1.0, 2.0) / size
    angle = 2 * np.pi * (np.arange(size)[:, None] * at) / size
    made = _turned(ds.narrow(x, axis, 0, count), axis, np.cos(angle) * twice, np.sin(angle) * twice)
    return ds.narrow(made, -1, 0, 1)


@reads("DFT")
def _dft(s: Step) -> Any:
    length = s.ints(1)
    if s.opset >= 20:
        (axis,) = s.ints(2) or [-2]
    else:
        axis = int(s.attr("axis", 1))
    inverse, onesided = bool(s.attr("inverse", 0)), bool(s.attr("onesided", 0))
    return transform(s.inputs[0], axis, length[0] if length else None, inverse, onesided)


@reads("STFT")
def _stft(s: Step) -> Any:
    signal, window = s.inputs[0], s.get(2)
    (step,), given = s.ints(1) or [1], s.ints(3)
    size = window.shape[0] if window is not None and not given else (given or [signal.shape[1]])[0]
    count = 1 + (signal.shape[1] - size) // step
    frames = signal.reshape(*signal.shape[:2], -1)[:, np.arange(count)[:, None] * step + np.arange(size)]
    if window is not None:
        frames = frames * window.reshape(1, 1, -1, 1)
    return transform(frames, 2, None, False, bool(s.attr("onesided", 1)))


@reads("MelWeightMatrix")
def _mel(s: Step) -> Any:
    bins, size, rate, low, high = (v.array.item() for v in s.inputs)
    spectrum = size // 2 + 1

    def mel(hertz: float) -> float:
        return float(2595 * np.log10(1 + hertz / 700))

    edges = mel(low) + np.arange(bins + 2) * (mel(high) - mel(low)) / (bins + 2)
    at = np.floor((size + 1) * 700 * (10 ** (edges / 2595) - 1) / rate).astype(np.int64)
    made = np.zeros((spectrum, bins))
    for i in range(bins):
        left, middle, right = at[i : i + 3]
        if left == middle:
            made[middle, i] = 1
        else:
            rise = np.arange(left, middle + 1)
            made[rise, i] = (rise - left) / (middle - left)
        fall = np.arange(middle, right)
        made[fall, i] = (right - fall) / max(right - middle, 1)
    return plain(made.astype(kind_of(s.attr("output_datatype", 1))))
