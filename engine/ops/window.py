"""Sliding windows: their geometry, and the views and strips convolution and pooling read them through.

Spatial dimensions are the last ones. A window has `kernel` elements, `dilation` apart, and moves by `stride`
over the input with `padding`, a (before, after) pair for each dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

from engine.errors import ArgumentProblem

Pairs = tuple[tuple[int, int], ...]
Sizes = tuple[int, ...]


class Window(NamedTuple):
    """The geometry of a sliding window, one entry for each spatial dimension."""

    kernel: Sizes
    stride: Sizes
    padding: Pairs
    dilation: Sizes

    @property
    def reach(self) -> Sizes:
        """Distance from the first to the last element of a window."""
        return tuple([(k - 1) * d for k, d in zip(self.kernel, self.dilation, strict=True)])

    def out(self, size: Sequence[int]) -> Sizes:
        """How many windows fit in an input of `size`; below 1 where none does."""
        return _out(self, tuple(size))

    def back(self, size: Sequence[int]) -> Sizes:
        """The smallest input that has `size` windows."""
        return tuple(
            (n - 1) * s - before - after + reach + 1
            for n, (before, after), reach, s in zip(size, self.padding, self.reach, self.stride, strict=True)
        )

    @property
    def padded(self) -> bool:
        """Whether there is any padding."""
        return any(before or after for before, after in self.padding)

    def offsets(self) -> list[Sizes]:
        """Where each element of a window lies in it."""
        return [
            tuple(i * d for i, d in zip(place, self.dilation, strict=True))
            for place in product(*[range(k) for k in self.kernel])
        ]

    def slices(self, offset: Sizes, out: Sizes) -> tuple[Any, ...]:
        """What the element at `offset` of all `out` windows is, as an index into the padded input."""
        return (
            ...,
            *[
                slice(o, o + (n - 1) * s + 1, s if n > 1 else 1)
                for o, s, n in zip(offset, self.stride, out, strict=True)
            ],
        )


@lru_cache(maxsize=4096)
def _out(w: Window, size: Sizes) -> Sizes:
    return tuple(
        [
            (n + before + after - reach - 1) // s + 1
            for n, (before, after), reach, s in zip(size, w.padding, w.reach, w.stride, strict=True)
        ]
    )


def each(value: Any, rank: int, what: str, least: int = 0) -> Sizes:
    """`value` for each of `rank` dimensions: one int serves all.

    Raises `ArgumentProblem` when it cannot be that.
    """
    sizes = tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank
    if len(sizes) == 1:
        sizes = sizes * rank
    if len(sizes) != rank:
        raise ArgumentProblem(
            ValueError,
            f"{what} has to be an int or {rank} ints, one for each spatial dimension, got {value!r}",
        )
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int):
            raise ArgumentProblem(TypeError, f"{what} has to be an int or {rank} ints, got {value!r}")
        if size < least:
            raise ArgumentProblem(ValueError, f"{what} has to be at least {least}, got {value!r}")
    return sizes


@lru_cache(maxsize=1024)
def window(kernel: Sizes, stride: Any, padding: Any, dilation: Any) -> Window:
    """The window people's arguments describe.

    `padding` is an int, one for each dimension, pairs, "same" or "valid".
    """
    rank = len(kernel)
    strides = each(stride, rank, "stride", 1)
    dilations = each(dilation, rank, "dilation", 1)
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ArgumentProblem(
                ValueError,
                f'padding is an int, one int for each dimension, "same" or "valid", got {padding!r}',
            )
        if padding == "same" and any(s != 1 for s in strides):
            raise ArgumentProblem(ValueError, f'padding="same" needs a stride of 1, got {stride!r}')
        total = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilations, kernel, strict=True)]
        pairs: Pairs = tuple((n // 2, n - n // 2) for n in total)
    elif isinstance(padding, tuple) and padding and isinstance(padding[0], tuple):
        pairs = padding
    else:
        pairs = tuple((n, n) for n in each(padding, rank, "padding"))
    return Window(kernel, strides, pairs, dilations)


def frozen(value: Any) -> Any:
    """Lists as tuples, so that an attribute can be looked up and cannot change."""
    return tuple([frozen(v) for v in value]) if isinstance(value, (list, tuple)) else value


def index_of(last: Sequence[Any]) -> tuple[Any, ...]:
    """An index of the last dimensions."""
    return (..., *last)


def pad_zeros(xp: Any, x: Any, pairs: Pairs, fill: float = 0) -> Any:
    """`x` with its last dimensions padded; a negative pad cuts."""
    lead = x.shape[: x.ndim - len(pairs)]
    size = x.shape[x.ndim - len(pairs) :]
    inner: list[slice] = []
    outer: list[slice] = []
    for n, (before, after) in zip(size, pairs, strict=True):
        inner.append(slice(max(before, 0), n + before + min(after, 0)))
        outer.append(slice(max(-before, 0), n - max(-after, 0)))
    source = x[index_of(outer)]
    if all(before <= 0 and after <= 0 for before, after in pairs):
        return source
    shape = (*lead, *[n + before + after for n, (before, after) in zip(size, pairs, strict=True)])
    padded = xp.full(shape, fill, x.dtype) if fill else xp.zeros(shape, x.dtype)
    padded[index_of(inner)] = source
    return padded


class Strips:
    """Windows of a block of samples as rows of a matrix, ready for one matrix product.

    With stride 1 a row runs over whole lines of the padded input, `spill` elements a line more than there are
    windows: that makes a row one long piece of memory, which copies several times faster than many short
    ones. The elements in the spill are rubbish and are cut (of results) or zero (in gradients).
    """

    __slots__ = (
        "block",
        "buffer",
        "columns",
        "lead",
        "line",
        "out",
        "samples",
        "shape",
        "spill",
        "w",
        "windows",
    )

    def __init__(self, xp: Any, shape: Sizes, w: Window, dtype: Any, budget: int) -> None:
        samples, channels, *size = shape
        self.w = w
        self.shape = shape
        self.out = w.out(size)
        padded = [n + before + after for n, (before, after) in zip(size, w.padding, strict=True)]
        flat = len(size) > 1 and all(s == 1 for s in w.stride[-2:])
        self.line = padded[-1] if flat else self.out[-1]
        self.spill = self.line - self.out[-1]
        self.lead = (*self.out[:-1], self.line)
        self.windows = 1
        for n in self.lead:
            self.windows *= n
        taps = 1
        for k in w.kernel:
            taps *= k
        itemsize = dtype.itemsize
        row = max(1, channels * taps * self.windows * itemsize)
        self.samples = samples
        self.block = max(1, min(samples, budget // row))
        slack = w.reach[-1] if flat else 0
        volume = 1
        for n in padded:
            volume *= n
        # A block's samples lie one after another within a channel: one product serves the whole block.
        self.buffer = xp.zeros((channels, self.block, volume + slack), dtype)
        step = itemsize
        steps = []
        for n in reversed(padded):
            steps.append(step)
            step *= n
        steps.reverse()
        kernel_steps = [s * d for s, d in zip(steps, w.dilation, strict=True)]
        moves = [s * m for s, m in zip(steps, w.stride, strict=True)]
        strides = (self.buffer.strides[0], *kernel_steps, self.buffer.strides[1], *moves)
        self.columns = xp.empty((channels, *w.kernel, self.block, *self.lead), dtype)
        as_strided = xp.lib.stride_tricks.as_strided
        source = as_strided(self.buffer, self.columns.shape, strides)
        inside = self.buffer[:, :, :volume].reshape(channels, self.block, *padded)
        for axis, (n, (before, _)) in enumerate(zip(size, w.padding, strict=True)):
            inside = inside[(slice(None),) * (axis + 2) + (slice(before, before + n),)]
        self.buffer = (inside, source)

    def fill(self, x: Any, start: int) -> Any:
        """The strips of the samples from `start`: [channels, kernel..., samples, windows...], to be used
        before the next.
        """
        inside, source = self.buffer
        count = min(self.block, self.samples - start)
        part = x[start : start + count].swapaxes(0, 1)
        at = (slice(None),) * (1 + len(self.w.kernel)) + (slice(0, count),)
        inside[:, :count] = part
        columns = self.columns if count == self.block else self.columns[at].copy()
        columns[...] = source if count == self.block else source[at]
        return columns
