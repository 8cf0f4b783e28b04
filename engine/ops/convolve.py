"""Convolution on raw arrays: three functions of two arrays each, linear in both, each the gradient of the
others.

`correlate(x, w)` is what networks call convolution, `spread(g, w)` its gradient for x (a transposed
convolution) and `weigh(x, g)` its gradient for w. Arrays are [samples, channels, spatial...], weights [out,
in / groups, kernel...].

Each lays windows out as the columns of a matrix, a block of samples at a time so that the matrix stays in
cache, and leaves the arithmetic to one matrix product a block.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.dnn import convolution
from engine.ops.linear import product
from engine.ops.nested import on_gpu
from engine.ops.window import Sizes, Strips, Window, pad_zeros

# Bytes of the matrix of a block: on a CPU about what the caches hold, on a GPU enough to fill it.
BUDGET = 1 << 22
GPU_BUDGET = 1 << 28


def budget(xp: Any) -> int:
    """Bytes a block's matrix may take."""
    return BUDGET if xp is np else GPU_BUDGET


def widened(xp: Any, a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Both arrays in the type they are multiplied in, and the type of the result.

    NumPy has no fast product of float16, and its sums would lose digits: float32 serves.
    """
    met = np.result_type(a.dtype, b.dtype)
    work = np.dtype("float32") if xp is np and met == np.float16 else met
    return a.astype(work, copy=False), b.astype(work, copy=False), met


def pointwise(w: Window) -> bool:
    """Whether each window is one element of the input and each element of the input one window."""
    return math.prod(w.kernel) == 1 and not w.padded and all(s == 1 for s in w.stride)


def trimmed(xp: Any, x: Any, w: Window) -> tuple[Any, Window]:
    """`x` with what negative padding takes away cut, and the window for the rest."""
    if all(before >= 0 and after >= 0 for before, after in w.padding):
        return x, w
    x = pad_zeros(xp, x, tuple((min(before, 0), min(after, 0)) for before, after in w.padding))
    return x, w._replace(padding=tuple((max(before, 0), max(after, 0)) for before, after in w.padding))


def times(xp: Any, a: Any, b: Any) -> Any:
    """`a @ b`; on a GPU by the engine's own call of cuBLAS, as CuPy's cannot be recorded."""
    return xp.matmul(a, b) if xp is np else product(xp, a, b)


def correlate(xp: Any, x: Any, weight: Any, bias: Any, w: Window, groups: int) -> Any:
    """`out[n, o] = bias[o] + sum over c, k of weight[o, c, k] x[n, c, window k]`."""
    if xp is np and (fast := convolution.correlate(x, weight, bias, w, groups)) is not None:
        return fast
    if on_gpu(xp):
        from engine.gpu import convolution as gpu

        if (made := gpu.correlate(x, weight, bias, w, groups)) is not None:
            return made
    x, weight, met = widened(xp, x, weight)
    x, w = trimmed(xp, x, w)
    samples, channels = x.shape[:2]
    filters = weight.shape[0]
    out_size = w.out(x.shape[2:])
    if not w.padded and math.prod(w.kernel) == 1 and not pointwise(w):
        x = x[w.slices((0,) * len(w.kernel), out_size)]
        w = w._replace(stride=(1,) * len(w.kernel))
    if channels == groups > 1 and not pointwise(w):
        out = depthwise(xp, x, weight, w, out_size)
    elif pointwise(w):
        rows = x.reshape(samples, groups, channels // groups, -1)
        out = times(xp, weight.reshape(groups, filters // groups, -1), rows).reshape(
            samples, filters, *out_size
        )
    else:
        out = xp.empty((samples, filters, *out_size), x.dtype)
        strips = Strips(xp, x.shape, w, x.dtype, budget(xp))
        rows = weight.reshape(groups, filters // groups, -1)
        keep = (..., slice(0, out_size[-1]))
        for start in range(0, samples, strips.block):
            columns = strips.fill(x, start)
            count = columns.shape[1 + len(w.kernel)]
            made = times(xp, rows, columns.reshape(groups, rows.shape[2], -1))
            made = made.reshape(filters, count, *strips.lead)[keep].swapaxes(0, 1)
            if bias is None:
                out[start : start + count] = made
            else:
                xp.add(made, along(bias, made.ndim), out=out[start : start + count])
        return out.astype(met, copy=False)
    if bias is not None:
        out += along(bias, out.ndim)
    return out.astype(met, copy=False)


def along(bias: Any, rank: int) -> Any:
    """`bias` to be added to channels."""
    return bias.reshape(-1, *(1,) * (rank - 2))


def depthwise(xp: Any, x: Any, weight: Any, w: Window, out_size: Sizes) -> Any:
    """`correlate` with a filter of its own for each channel: too little arithmetic for a matrix product."""
    samples, channels = x.shape[:2]
    each = weight.shape[0] // channels
    taps = weight.reshape(channels, each, -1)
    out = xp.zeros((samples, channels, each, *out_size), x.dtype)
    # A few samples at a time, so that the sums stay in cache.
    block = max(1, min(samples, budget(xp) // (8 * max(out[0].nbytes, 1))))
    term = xp.empty_like(out[:block])
    scale = (channels, each, *(1,) * len(out_size))
    offsets = w.offsets()
    for start in range(0, samples, block):
        part = pad_zeros(xp, x[start : start + block], w.padding)[:, :, None]
        total = out[start : start + block]
        product = term[: total.shape[0]]
        for k, offset in enumerate(offsets):
            xp.multiply(part[w.slices(offset, out_size)], taps[..., k].reshape(scale), out=product)
            total += product
    return out.reshape(samples, channels * each, *out_size)


def spread(xp: Any, g: Any, weight: Any, bias: Any, w: Window, groups: int, size: Sizes) -> Any:
    """`out[n, c, window k] += weight[o, c, k] g[n, o]`, an array of spatial `size`: the transpose of
    `correlate`.
    """
    if xp is np and bias is None and (fast := convolution.spread(g, weight, w, groups, size)) is not None:
        return fast
    if on_gpu(xp):
        from engine.gpu import convolution as gpu

        if (made := gpu.spread(g, weight, w, groups, size)) is not None:
            if bias is not None:
                made += along(bias, made.ndim)
            return made
    g, weight, met = widened(xp, g, weight)
    samples, filters = g.shape[:2]
    inner = weight.shape[1]
    channels = inner * groups
    rank = len(w.kernel)
    if all(s == 1 for s in w.stride):
        # Correlation with the weight turned round: no sums into overlapping places.
        turned = weight.reshape(groups, filters // groups, inner, *w.kernel)
        turned = (
            xp.flip(turned, tuple(range(3, 3 + rank)))
            .swapaxes(1, 2)
            .reshape(channels, filters // groups, *w.kernel)
        )
        pairs = tuple(
            (reach - before, n - o + before)
            for reach, (before, _), n, o in zip(w.reach, w.padding, size, g.shape[2:], strict=True)
        )
        return correlate(xp, g, turned, bias, w._replace(padding=pairs), groups).astype(met, copy=False)
    out_size = g.shape[2:]
    padded = [
        max(before + n, (o - 1) * s + reach + 1)
        for n, (before, _), o, s, reach in zip(size, w.padding, out_size, w.stride, w.reach, strict=True)
    ]
    into = xp.zeros((samples, channels, *padded), g.dtype)
    offsets = w.offsets()
    if channels == groups == filters and groups > 1:
        taps = weight.reshape(channels, -1)
        for k, offset in enumerate(offsets):
            into[w.slices(offset, out_size)] += g * along(taps[:, k], g.ndim)
    else:
        rows = weight.reshape(groups, filters // groups, -1).swapaxes(1, 2)
        per_sample = channels * len(offsets) * math.prod(out_size) * g.dtype.itemsize
        block = max(1, min(samples, budget(xp) // max(per_sample, 1)))
        for start in range(0, samples, block):
            part = g[start : start + block]
            count = part.shape[0]
            columns = times(xp, rows, part.swapaxes(0, 1).reshape(groups, filters // groups, -1))
            columns = columns.reshape(channels, len(offsets), count, *out_size)
            target = into[start : start + count]
            for k, offset in enumerate(offsets):
                target[w.slices(offset, out_size)] += columns[:, k].swapaxes(0, 1)
    inside = (..., *(slice(before, before + n) for n, (before, _) in zip(size, w.padding, strict=True)))
    out = into[inside]
    if bias is not None:
        out = out + along(bias, out.ndim)
    return xp.ascontiguousarray(out).astype(met, copy=False)


def weigh(xp: Any, x: Any, g: Any, w: Window, groups: int) -> Any:
    """`out[o, c, k] = sum over n and windows of g[n, o] x[n, c, window k]`."""
    if xp is np and (fast := convolution.weigh(x, g, w, groups)) is not None:
        return fast
    if on_gpu(xp):
        from engine.gpu import convolution as gpu

        if (made := gpu.weigh(x, g, w, groups)) is not None:
            return made
    x, g, met = widened(xp, x, g)
    x, w = trimmed(xp, x, w)
    samples, channels = x.shape[:2]
    filters = g.shape[1]
    inner = channels // groups
    out_size = g.shape[2:]
    if not w.padded and math.prod(w.kernel) == 1 and not pointwise(w):
        x = x[w.slices((0,) * len(w.kernel), out_size)]
        w = w._replace(stride=(1,) * len(w.kernel))
    if channels == groups > 1:
        padded = pad_zeros(xp, x, w.padding)
        left = g.reshape(samples, channels, filters // channels, -1)
        taps = [
            times(xp, left, padded[w.slices(offset, out_size)].reshape(samples, channels, -1, 1)).sum(axis=0)
            for offset in w.offsets()
        ]
        return xp.concatenate(taps, axis=-1).reshape(filters, 1, *w.kernel).astype(met, copy=False)
    if pointwise(w) and math.prod(out_size) >= 64:
        left = g.reshape(samples, groups, filters // groups, -1)
        right = x.reshape(samples, groups, inner, -1)
        total = times(xp, left[0], right[0].swapaxes(-1, -2))
        for n in range(1, samples):
            total += times(xp, left[n], right[n].swapaxes(-1, -2))
        return total.reshape(filters, inner, *w.kernel).astype(met, copy=False)
    strips = Strips(xp, x.shape, w, x.dtype, budget(xp))
    total = xp.zeros((groups, filters // groups, inner * math.prod(w.kernel)), x.dtype)
    block = xp.zeros((filters, strips.block, *strips.lead), x.dtype)
    for start in range(0, samples, strips.block):
        columns = strips.fill(x, start)
        count = columns.shape[1 + len(w.kernel)]
        block = block if count == block.shape[1] else xp.zeros((filters, count, *strips.lead), x.dtype)
        block[..., : out_size[-1]] = g[start : start + count].swapaxes(0, 1)
        right = columns.reshape(groups, total.shape[2], -1).swapaxes(1, 2)
        total += times(xp, block.reshape(groups, filters // groups, -1), right)
    return total.reshape(filters, inner, *w.kernel).astype(met, copy=False)
