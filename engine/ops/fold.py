"""Windows of an image as columns, and columns added back into an image (im2col and col2im)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtype
from engine.dispatch import apply
from engine.errors import ArgumentProblem, Shape
from engine.located import located
from engine.op import LINEAR, op
from engine.ops.indexing import getitem
from engine.ops.nested import nested
from engine.ops.pad import pad
from engine.ops.pooling import blocks
from engine.ops.window import Sizes, Window, each, frozen, window
from engine.pool import pool
from engine.shapes import sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor

__all__ = ["fold", "unfold"]


def _window(kernel: Any, dilation: Any, padding: Any, stride: Any) -> Window:
    try:
        return window(each(kernel, 2, "kernel_size", 1), frozen(stride), frozen(padding), frozen(dilation))
    except ArgumentProblem as problem:
        raise located(problem.error(problem.sentence)) from None


def _attributes(w: Window) -> dict[str, Any]:
    return {"kernel": w.kernel, "stride": w.stride, "dilation": w.dilation}


def _columns(input: Any, *, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Shape:
    n, c, *size = sizes(input)
    out = window(kernel, stride, 0, dilation).out(size)
    return (n, c * math.prod(kernel), math.prod(out))


def _unfold_vjp(
    xp: Any, g: Any, out: Any, input: Any, *, kernel: Sizes, stride: Sizes, dilation: Sizes
) -> Any:
    return nested(xp, FOLD, g, size=tuple(input.shape[2:]), kernel=kernel, stride=stride, dilation=dilation)


@op(
    "unfold", complex=LINEAR, family="shape", shape=_columns, dtype=dtype.first, vjp=_unfold_vjp,
    formula="the windows of input as columns",
)  # fmt: skip
def UNFOLD(xp: Any, input: Any, *, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Any:
    """Windows of [batch, channels, height, width] as columns [batch, channels · kh · kw, windows] (im2col)."""
    n, c, *size = input.shape
    w = window(kernel, stride, 0, dilation)
    out = w.out(size)
    taps = w.offsets()
    made = (pool if xp is np else xp).empty((n * c, len(taps), *out), input.dtype)
    flat = input.reshape(-1, *size)
    for part in blocks(xp, flat.shape, 2, input.itemsize * len(taps)):
        for k, offset in enumerate(taps):
            made[part, k] = flat[part][w.slices(offset, out)]
    return made.reshape(n, c * len(taps), math.prod(out))


def _image(input: Any, *, size: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Shape:
    n, rows, _ = sizes(input)
    return (n, rows // math.prod(kernel), *size)


def _fold_vjp(
    xp: Any, g: Any, out: Any, input: Any, *, size: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes
) -> Any:
    return nested(xp, UNFOLD, g, kernel=kernel, stride=stride, dilation=dilation)


@op(
    "fold", complex=LINEAR, family="shape", shape=_image, dtype=dtype.first, vjp=_fold_vjp,
    formula="columns added where their windows are",
)  # fmt: skip
def FOLD(xp: Any, input: Any, *, size: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Any:
    """Columns [batch, channels · kh · kw, windows] added into images of `size`: the transpose of `unfold` (col2im)."""
    w = window(kernel, stride, 0, dilation)
    out = w.out(size)
    taps = w.offsets()
    columns = input.reshape(-1, len(taps), *out)
    made = xp.zeros((len(columns), *size), input.dtype)
    for part in blocks(xp, made.shape, 2, input.itemsize * len(taps)):
        into, given = made[part], columns[part]
        for k, offset in enumerate(taps):
            into[w.slices(offset, out)] += given[:, k]
    return made.reshape(input.shape[0], -1, *size)


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
    return apply(UNFOLD, (input,), _attributes(w))  # type: ignore[no-any-return]


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
    padded = tuple(n + before + after for n, (before, after) in zip(size, w.padding, strict=True))
    whole = apply(FOLD, (input,), {"size": padded, **_attributes(w)})
    if not w.padded:
        return whole  # type: ignore[no-any-return]
    keep = tuple(slice(before, before + n) for n, (before, _) in zip(size, w.padding, strict=True))
    return getitem(whole, (slice(None), slice(None), *keep))
