"""Rows brought to mean 0 and variance 1, on raw arrays: what all normalisations are once their input is laid
out.

The input is viewed as [rows, K, S]; mean and variance are over K and S of each row. `weight` and `bias`
broadcast to it: [rows, K or 1, 1] where they differ by row, [1, 1, S] where they do not. Batch normalisation
has the channels as rows, layer normalisation the samples, group normalisation each group of each sample.

Work goes a cacheful of rows at a time, in place within it; only mean and 1 / deviation of each row are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from engine.ops.nested import on_gpu

CACHE = 1 << 19


def blocks(xp: Any, x: Any) -> Iterator[slice]:
    """Slices over the rows, each about a cacheful on a CPU."""
    rows = x.shape[0]
    per_row = max(1, x.shape[1] * x.shape[2] * 4)
    step = max(1, CACHE // per_row) if xp is np else max(rows, 1)
    for start in range(0, rows, step):
        yield slice(start, start + step)


def working(x: Any) -> Any:
    """The type to compute in: float16 would lose its digits in the sums."""
    return np.dtype(np.float32) if x.dtype.itemsize == 2 else x.dtype


def column(values: Any) -> Any:
    """One number for each row, to broadcast over it."""
    return values[:, None, None]


def rowwise(weight: Any, at: slice) -> Any:
    """The part of `weight` for a block of rows."""
    return weight if weight is None or weight.shape[0] == 1 else weight[at]


def dots(xp: Any, a: Any, b: Any) -> Any:
    """The sum of a b over each row. On a GPU not by a matrix product, which CuPy does not record."""
    return (a * b).sum(axis=(1, 2)) if on_gpu(xp) else xp.einsum("rks,rks->r", a, b)


def totals(xp: Any, x: Any) -> Any:
    """The sum of each row. A product with ones runs at the speed of memory, where NumPy's sum does not."""
    if x.shape[1] == 1 and not on_gpu(xp):
        return x[:, 0, :] @ xp.ones(x.shape[2], x.dtype)
    return x.sum(axis=(1, 2))


def forward(
    xp: Any, x: Any, out: Any, weight: Any, bias: Any, eps: float, centre: bool = True
) -> tuple[Any, Any, Any]:
    """Fill `out`. Returns mean, variance (biased) and 1 / deviation of each row."""
    rows, k, s = x.shape
    kind = working(x)
    count = k * s
    mean = xp.zeros(rows, kind)
    var = xp.empty(rows, kind)
    rstd = xp.empty(rows, kind)
    for at in blocks(xp, x):
        part = x[at].astype(kind, copy=False)
        if centre:
            mean[at] = totals(xp, part) / count
            work = part - column(mean[at])
        else:
            work = part
        var[at] = dots(xp, work, work) / count
        rstd[at] = 1 / xp.sqrt(var[at] + eps)
        scale = column(rstd[at])
        w = rowwise(weight, at)
        if w is not None and (w.shape[0] != 1 or w.size == 1):
            scale, w = scale * w, None
        # The last of these steps writes the result: one pass less.
        last = out[at] if out.dtype == kind else None
        late, shift = w is not None, rowwise(bias, at)
        work = xp.multiply(work, scale, out=last if not late and shift is None else work if centre else None)
        if late:
            work = xp.multiply(work, w, out=last if shift is None else work)
        if shift is not None:
            work = xp.add(work, shift, out=work if last is None else last)
        if last is None:
            out[at] = work
    return mean, var, rstd


def scaled(xp: Any, x: Any, out: Any, weight: Any, bias: Any, mean: Any, rstd: Any) -> None:
    """Fill `out` by statistics that are given."""
    scale = column(rstd) if weight is None else column(rstd) * weight
    shift = -column(mean) * scale if bias is None else bias - column(mean) * scale
    for at in blocks(xp, x):
        work = x[at] * scale[at]
        work += shift[at]
        out[at] = work


def backward(
    xp: Any, g: Any, x: Any, into: Any, weight: Any, mean: Any, rstd: Any, wanted: bool, centre: bool = True,
    given: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """Fill `into` (unless None) with the gradient of x. Returns those of weight and bias as [rows, K, 1] or
    [1, 1, S].

    `wanted` False leaves out weight and bias. `given`: mean and rstd do not depend on x.
    """
    rows, k, s = x.shape
    kind = working(x)
    count = k * s
    shared = weight is not None and weight.shape[0] == 1
    to_weight: Any = None
    to_bias: Any = None
    if wanted:
        shape = (1, 1, s) if shared else (rows, k, 1)
        to_weight, to_bias = xp.zeros(shape, kind), xp.zeros(shape, kind)
    for at in blocks(xp, x):
        part, gp = x[at].astype(kind, copy=False), g[at].astype(kind, copy=False)
        centred = part - column(mean[at]) if centre else part
        r = column(rstd[at])
        if wanted and shared:
            flat = centred * r
            to_weight[0] += (gp * flat).sum(axis=0) if on_gpu(xp) else xp.einsum("rks,rks->ks", gp, flat)
            to_bias[0] += gp.sum(axis=0)
        elif wanted:
            along_rows = (gp * centred).sum(axis=2) if on_gpu(xp) else xp.einsum("rks,rks->rk", gp, centred)
            to_weight[at, :, 0] = along_rows
            to_weight[at] *= r
            to_bias[at, :, 0] = gp.sum(axis=2)
        if into is None:
            continue
        w = rowwise(weight, at)
        if given:
            into[at] = gp * (r if w is None else r * w)
            continue
        # A weight that is one number a row can be left to the end; others belong to the sums.
        late = w is not None and w.size == w.shape[0]
        gw = gp if w is None or late else gp * w
        along = dots(xp, gw, centred)
        work = xp.multiply(centred, column(along) * (r * r) * (-1 / count), out=centred if centre else None)
        work += gw
        if centre:
            work -= column(totals(xp, gw) / count)
        if into.dtype == kind:
            xp.multiply(work, r * w if late else r, out=into[at])
        else:
            into[at] = work * (r * w if late else r)
    return to_weight, to_bias
