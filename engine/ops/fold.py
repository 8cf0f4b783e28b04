"""Windows of an image as columns, and columns added back into an image (im2col and col2im)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.dispatch import apply
from engine.errors import ArgumentProblem
from engine.located import located
from engine.ops.indexing import PUT_BACK, getitem
from engine.ops.layout import reshape
from engine.ops.pad import pad
from engine.ops.window import Window, each, frozen, window

if TYPE_CHECKING:
    from engine.tensor import Tensor

__all__ = ["fold", "unfold"]


def _window(kernel: Any, dilation: Any, padding: Any, stride: Any) -> Window:
    try:
        return window(each(kernel, 2, "kernel_size", 1), frozen(stride), frozen(padding), frozen(dilation))
    except ArgumentProblem as problem:
        raise located(problem.error(problem.sentence)) from None


def _places(w: Window, out: Any) -> tuple[Any, ...]:
    """Rows [kh, 1, oh, 1] and columns [1, kw, 1, ow] of the padded image that the windows cover."""
    index = []
    for i in range(2):
        at = np.arange(w.kernel[i])[:, None] * w.dilation[i] + np.arange(out[i]) * w.stride[i]
        shape = (w.kernel[0], 1, out[0], 1) if i == 0 else (1, w.kernel[1], 1, out[1])
        index.append(at.reshape(shape))
    return tuple(index)


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The windows of [batch, channels, height, width] as columns [batch, channels · kh · kw, windows].

    Raises `ValueError` for another rank, or a window larger than the padded image.
    """
    if len(input.shape) not in (3, 4):
        raise located(ValueError(f"unfold needs [batch, channels, height, width], got {list(input.shape)}"))
    if len(input.shape) == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    w = _window(kernel_size, dilation, padding, stride)
    out = w.out(input.shape[2:])
    if min(out) < 1:
        raise located(
            ValueError(
                f"a window of {list(w.kernel)} does not fit into input {list(input.shape)}, padded by {list(w.padding)}"
            )
        )
    if w.padded:
        input = pad(input, (*w.padding[1], *w.padding[0]))
    rows, columns = _places(w, out)
    taken = getitem(input, (slice(None), slice(None), rows, columns))
    return reshape(taken, input.shape[0], input.shape[1] * w.kernel[0] * w.kernel[1], out[0] * out[1])


def fold(
    input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """The reverse of `unfold`: columns [batch, channels · kh · kw, windows] added into an image of `output_size`.

    Raises `ValueError` where the columns are not those of such an image.
    """
    if len(input.shape) == 2:
        return fold(input.unsqueeze(0), output_size, kernel_size, dilation, padding, stride).squeeze(0)
    w = _window(kernel_size, dilation, padding, stride)
    size = each(frozen(output_size), 2, "output_size", 1)
    out = w.out(size)
    taps = w.kernel[0] * w.kernel[1]
    if len(input.shape) != 3 or input.shape[1] % taps or input.shape[2] != out[0] * out[1]:
        raise located(
            ValueError(
                f"fold needs [batch, channels · {taps}, {out[0] * out[1]}] for an image of {list(size)}, "
                f"got {list(input.shape)}"
            )
        )
    channels = input.shape[1] // taps
    apart = reshape(input, input.shape[0], channels, *w.kernel, *out)
    padded = tuple(n + before + after for n, (before, after) in zip(size, w.padding, strict=True))
    rows, columns = _places(w, out)
    index = (slice(None), slice(None), rows, columns)
    whole = apply(PUT_BACK, (apart,), {"shape": (input.shape[0], channels, *padded), "index": index})
    if not w.padded:
        return whole  # type: ignore[no-any-return]
    keep = tuple(slice(before, before + n) for n, (before, _) in zip(size, w.padding, strict=True))
    return getitem(whole, (slice(None), slice(None), *keep))
