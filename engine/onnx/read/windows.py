"""Strides, dilations and padding as ONNX says them."""

from __future__ import annotations

from typing import Any

import engine as ds
from engine.onnx.read.step import Step


class Windows:
    """Strides, dilations and the padding on both sides of each spatial dimension."""

    def __init__(self, s: Step, kernel: list[int], shape: tuple[int, ...]) -> None:
        n = len(kernel)
        self.kernel = kernel
        self.strides = list(s.attr("strides") or [1] * n)
        self.dilations = list(s.attr("dilations") or [1] * n)
        pads = list(s.attr("pads") or [0] * (2 * n))
        auto = s.attr("auto_pad", "NOTSET")
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            pads = self._same(shape, auto == "SAME_UPPER")
        elif auto == "VALID":
            pads = [0] * (2 * n)
        self.before, self.after = pads[:n], pads[n:]

    def _same(self, shape: tuple[int, ...], upper: bool) -> list[int]:
        before, after = [], []
        for size, k, stride, dilation in zip(shape, self.kernel, self.strides, self.dilations, strict=True):
            total = max(0, (-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size)
            small = total // 2
            before.append(small if upper else total - small)
            after.append(total - small if upper else small)
        return [*before, *after]

    def padded(self, x: Any, value: float = 0.0) -> Any:
        """`x` with its padding, which need not be the same on both sides."""
        if not any((*self.before, *self.after)):
            return x
        flat = [n for b, a in reversed(list(zip(self.before, self.after, strict=True))) for n in (b, a)]
        return ds.pad(x, tuple(flat), "constant", value)
