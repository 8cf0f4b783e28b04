"""ONNX's Resize and Upsample: along one axis after the other, each result is a sum of a few elements, weighted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import engine as ds
from engine.onnx.read.step import Step, Unreadable, plain, reads

MODES = ("nearest", "linear", "cubic")


@reads("Resize", "Upsample")
def _resize(s: Step) -> Any:
    x = s.inputs[0]
    old = len(s.inputs) == 2 or "scales" in s.attributes  # Upsample, and Resize of opset 10
    roi, scales, sizes = (None, s.get(1), None) if old else (s.get(1), s.get(2), s.get(3))
    if s.attributes.get("scales"):
        scales = plain(np.asarray(s.attributes["scales"], np.float32))
    axes = [a % x.ndim for a in s.attr("axes") or range(x.ndim)]
    asked = [int(n) for n in sizes.array] if sizes is not None and sizes.array.size else None
    if asked is None and (scales is None or not scales.array.size):
        raise Unreadable("neither scales nor sizes are given")
    how = "asymmetric" if old else s.attr("coordinate_transformation_mode", "half_pixel")
    sampling = Sampling(
        mode=s.attr("mode", "nearest"),
        how=how,
        rounding="floor" if old else s.attr("nearest_mode", "round_prefer_floor"),
        cubic=float(s.attr("cubic_coeff_a", -0.75)),
        exclude=bool(s.attr("exclude_outside", 0)),
        antialias=bool(s.attr("antialias", 0)),
        outside=float(s.attr("extrapolation_value", 0.0)),
    )
    if asked is not None:
        old_sizes = [x.shape[a] for a in axes]
        factors = [n / o for n, o in zip(asked, old_sizes, strict=True)]
        policy = s.attr("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            one = min(factors) if policy == "not_larger" else max(factors)
            factors, asked = [one] * len(axes), [math.floor(one * o + 0.5) for o in old_sizes]
    else:
        factors = [float(f) for f in scales.array]
        asked = [math.floor(x.shape[a] * f) for a, f in zip(axes, factors, strict=True)]
    for i, axis in enumerate(axes):
        if asked[i] == x.shape[axis] and factors[i] == 1 and how != "tf_crop_and_resize":
            continue
        part = (0.0, 1.0)
        if how == "tf_crop_and_resize":
            if roi is None or not roi.array.size:
                raise Unreadable("tf_crop_and_resize needs the input roi")
            part = (float(roi.array[i]), float(roi.array[len(axes) + i]))
        x = sampling.along(x, axis, asked[i], factors[i], part)
    return [x]


class Sampling:
    """Where the elements of a result lie in the input, and what each is made of."""

    def __init__(self, mode: str, how: str, rounding: str, cubic: float, exclude: bool, antialias: bool, outside: float) -> None:  # fmt: skip
        if mode not in MODES:
            raise Unreadable(f"the mode {mode!r}")
        self.mode, self.how, self.rounding = mode, how, rounding
        self.cubic, self.exclude, self.antialias, self.outside = cubic, exclude, antialias, outside

    def along(self, x: Any, axis: int, size: int, factor: float, part: tuple[float, float]) -> Any:
        """`x` with `size` elements along `axis`."""
        n = x.shape[axis]
        at = self.places(n, size, factor, part)
        if self.mode == "nearest":
            index = np.clip(self.rounded(at), 0, n - 1).astype(np.int64)
            return self._outside(ds.index_select(x, axis, plain(index)), at, n, axis)
        first, weights = self.taps(at, n, factor)
        shape = [-1 if d == axis else 1 for d in range(x.ndim)]
        made: Any = None
        for k in range(weights.shape[1]):
            if not weights[:, k].any():
                continue
            index = np.clip(first + k, 0, n - 1)
            taken = ds.index_select(x, axis, plain(index)) * plain(
                weights[:, k].astype(x.dtype).reshape(shape)
            )
            made = taken if made is None else made + taken
        return self._outside(made, at, n, axis)

    def _outside(self, x: Any, at: Any, n: int, axis: int) -> Any:
        beyond = (at < 0) | (at > n - 1)
        if self.how != "tf_crop_and_resize" or not beyond.any():
            return x
        mask = beyond.reshape([-1 if d == axis else 1 for d in range(x.ndim)])
        return ds.masked_fill(x, plain(np.broadcast_to(mask, x.shape)), self.outside)

    def places(self, n: int, size: int, factor: float, part: tuple[float, float]) -> Any:
        """The place in the input, in elements, of each element of the result."""
        i = np.arange(size, dtype=np.float64)
        whole = factor * n  # the size the scale asks for, before it is rounded
        match self.how:
            case "asymmetric":
                return i / factor
            case "align_corners":
                return i * (n - 1) / (whole - 1) if whole != 1 else i * 0
            case "pytorch_half_pixel" if whole <= 1:
                return i * 0
            case "half_pixel_symmetric":
                return n / 2 * (1 - size / whole) + (i + 0.5) / factor - 0.5
            case "half_pixel" | "pytorch_half_pixel":
                return (i + 0.5) / factor - 0.5
            case "tf_half_pixel_for_nn":
                return (i + 0.5) / factor
            case "tf_crop_and_resize":
                start, end = part
                if size == 1:
                    return i + 0.5 * (start + end) * (n - 1)
                return start * (n - 1) + i * (end - start) * (n - 1) / (size - 1)
        raise Unreadable(f"the coordinates {self.how!r}")

    def rounded(self, at: Any) -> Any:
        """The nearest whole place, as `nearest_mode` says what is near."""
        match self.rounding:
            case "floor":
                return np.floor(at)
            case "ceil":
                return np.ceil(at)
            case "round_prefer_ceil":
                return np.floor(at + 0.5)
        return np.ceil(at - 0.5)

    def taps(self, at: Any, n: int, factor: float) -> tuple[Any, Any]:
        """For each place the first element that counts, and the weights [place, element] of it and the next ones."""
        shrink = min(1.0, factor) if self.antialias else 1.0
        reach = (1 if self.mode == "linear" else 2) / shrink
        first = np.floor(at - reach).astype(np.int64) + 1
        count = 2 * math.ceil(reach)
        elements = first[:, None] + np.arange(count)
        weights = self.kernel((at[:, None] - elements) * shrink)
        if self.exclude:
            weights = np.where((elements >= 0) & (elements < n), weights, 0)
        total = weights.sum(1, keepdims=True)
        return first, weights / np.where(total == 0, 1, total)

    def kernel(self, distance: Any) -> Any:
        """The weight of an element at a distance: a triangle, or Keys' cubic convolution (1981)."""
        d = np.abs(distance)
        if self.mode == "linear":
            return np.clip(1 - d, 0, None)
        a = self.cubic
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0))
