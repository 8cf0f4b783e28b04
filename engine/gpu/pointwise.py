"""Convolutions whose window is one pixel: of images with their channels last they are one product of matrices by cuBLAS.

It is as fast as cuDNN where that uses tensor cores, and in full float32 several times as fast: on an H200 30 us where
cuDNN takes 40 to 800 for the layers of a ResNet50.
"""

from __future__ import annotations

from typing import Any

from engine.backend import cupy
from engine.gpu.blas import blas, check
from engine.gpu.layout import flat, lie, room_for, unflat
from engine.gpu.product import DEFAULT, KINDS, TF32, scales
from engine.ops.window import Window


def serves(kind: str, w: Window, exact: bool) -> bool:
    """Whether a product does it: every pixel, or in full float32 every few of them, is a window."""
    if any(k != 1 for k in w.kernel) or w.padded or len(w.kernel) != 2 or kind not in KINDS:
        return False
    return (all(s == 1 for s in w.stride) or (kind == "f" and exact)) and blas() is not None


def _multiply(
    turned: tuple[int, int], sizes: tuple[int, int, int], arrays: Any, lines: Any, exact: bool
) -> None:
    """cuBLAS counts down columns: rows of ours are columns of its. Sums are made in float32, of double in double."""
    kind = arrays[0].dtype.char
    what, sums = KINDS[kind]
    one, zero = scales(kind)
    library = blas()
    assert library is not None
    a, b, c = [array.data.ptr for array in arrays]
    check(
        library.product(
            library.handle(), *turned, *sizes, one, a, what, lines[0], b, what, lines[1], zero, c, what,
            lines[2], TF32 if kind == "f" and not exact else sums, DEFAULT,
        )
    )  # fmt: skip


def _pixels(x: Any, w: Window) -> Any:
    """The pixels that are windows, with their channels last."""
    rows, columns = w.stride
    if rows == columns == 1:
        return lie(x, True)
    return lie(x[:, :, ::rows, ::columns], True)


def correlate(x: Any, weight: Any, w: Window, shape: tuple[int, ...], exact: bool) -> Any:
    """The convolution, of `shape`."""
    x, weight, out = _pixels(x, w), lie(weight, False), room_for(shape, x.dtype, True)
    filters, channels = weight.shape[:2]
    rows = out.size // filters
    _multiply((1, 0), (filters, rows, channels), (weight, x, out), (channels, channels, filters), exact)
    return out


def spread(g: Any, weight: Any, w: Window, shape: tuple[int, ...], exact: bool) -> Any:
    """The gradient of `correlate` for its input of `shape`."""
    g, weight = lie(g, True), lie(weight, False)
    filters, channels = weight.shape[:2]
    rows, columns = w.stride
    whole = rows == columns == 1
    out = room_for(shape if whole else (shape[0], channels, *g.shape[2:]), g.dtype, True)
    size = (channels, g.size // filters, filters)
    _multiply((0, 0), size, (weight, g, out), (channels, filters, channels), exact)
    if whole:
        return out
    into = cupy().zeros((shape[0], *shape[2:], channels), g.dtype)
    into[:, ::rows, ::columns] = flat(out)
    return unflat(into)


def weigh(x: Any, g: Any, w: Window, shape: tuple[int, ...], exact: bool) -> Any:
    """The gradient of `correlate` for its weight of `shape`."""
    x, g, out = _pixels(x, w), lie(g, True), room_for(shape, g.dtype, False)
    filters, channels = shape[:2]
    size = (channels, filters, g.size // filters)
    _multiply((0, 1), size, (x, g, out), (channels, filters, channels), exact)
    return out
