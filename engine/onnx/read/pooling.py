"""How ONNX's pooling is done with the engine's own."""

from __future__ import annotations

from typing import Any

import numpy as np

import engine as ds
from engine.dtype import is_floating
from engine.onnx.read.step import READ, Step, plain, reads
from engine.onnx.read.windows import Windows


@reads("MaxPool")
def _max_pool(s: Step) -> Any:
    x, kernel = s.inputs[0], list(s.attributes["kernel_shape"])
    n = len(kernel)
    w = Windows(s, kernel, x.shape[2:])
    if not is_floating(x.dtype):
        made = _max_pool(s._replace(inputs=[x.to(dtype="float64")]))
        return [made[0].to(dtype=x.dtype), *made[1:]]
    low = -np.inf
    ceil = bool(s.attr("ceil_mode", 0))
    padding: Any = tuple(w.before)
    even = w.before == w.after and all(2 * p <= k for p, k in zip(w.before, kernel, strict=True))
    if not even or (s.outputs > 1 and any(w.before)):
        x, padding = w.padded(x, low), 0
    functional = ds.nn.functional
    pool = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[n - 1]
    made = pool(x, tuple(kernel), tuple(w.strides), padding, tuple(w.dilations), ceil, s.outputs > 1)
    if s.outputs == 1:
        return [made]
    values, places = made
    sizes = s.inputs[0].shape[2:]
    at = list(np.unravel_index(places.array, x.shape[2:]))
    if padding == 0:
        at = [a - b for a, b in zip(at, w.before, strict=True)]
    # ONNX counts through the whole tensor; column by column where it is asked to.
    flat = np.ravel_multi_index(at, sizes, order="F" if s.attr("storage_order", 0) else "C")
    planes = np.arange(x.shape[0] * x.shape[1]).reshape(x.shape[0], x.shape[1], *[1] * n) * int(
        np.prod(sizes)
    )
    return [values, plain((flat + planes).astype(np.int64))]


@reads("AveragePool")
def _average_pool(s: Step) -> Any:
    x, kernel = s.inputs[0], list(s.attributes["kernel_shape"])
    w = Windows(s, kernel, x.shape[2:])
    count, ceil = bool(s.attr("count_include_pad", 0)), bool(s.attr("ceil_mode", 0))
    n = len(kernel)
    pool = (ds.avg_pool1d, ds.avg_pool2d, ds.avg_pool3d)[n - 1]
    even = w.before == w.after and all(2 * p <= k for p, k in zip(w.before, kernel, strict=True))
    if any(d != 1 for d in w.dilations):
        return _dilated_average(x, w, count, ceil)
    if even:
        return pool(x, tuple(kernel), tuple(w.strides), tuple(w.before), ceil, count)
    if count:
        return pool(w.padded(x), tuple(kernel), tuple(w.strides), 0, ceil, True)
    ones = plain(np.ones((1, 1, *x.shape[2:]), x.dtype))
    total = pool(w.padded(x), tuple(kernel), tuple(w.strides), 0, ceil)
    return total / pool(w.padded(ones), tuple(kernel), tuple(w.strides), 0, ceil)


def _dilated_average(x: Any, w: Windows, count: bool, ceil: bool) -> Any:
    n, channels = len(w.kernel), x.shape[1]
    ones = w.padded(plain(np.ones((1, channels, *x.shape[2:]), x.dtype)), 1.0 if count else 0.0)
    values = w.padded(x)
    if ceil:  # what the last windows reach beyond the padding is no part of them
        beyond: list[int] = []
        for size, k, st, d in zip(values.shape[2:], w.kernel, w.strides, w.dilations, strict=True):
            left = (size - d * (k - 1) - 1) % st
            beyond = [0, st - left if left else 0, *beyond]
        values, ones = (ds.pad(v, tuple(beyond)) for v in (values, ones))
    convolve = (ds.conv1d, ds.conv2d, ds.conv3d)[n - 1]
    kernel = plain(np.ones((channels, 1, *w.kernel), x.dtype))
    total, seen = (
        convolve(v, kernel, None, tuple(w.strides), 0, tuple(w.dilations), channels) for v in (values, ones)
    )
    return total / seen


@reads("LpPool")
def _lp_pool(s: Step) -> Any:
    x, p = s.inputs[0], float(s.attr("p", 2))
    w = Windows(s, list(s.attributes["kernel_shape"]), x.shape[2:])
    n, channels = len(w.kernel), x.shape[1]
    convolve = (ds.conv1d, ds.conv2d, ds.conv3d)[n - 1]
    kernel = plain(np.ones((channels, 1, *w.kernel), x.dtype))
    powers = w.padded(ds.abs(x) ** p)
    return convolve(powers, kernel, None, tuple(w.strides), 0, tuple(w.dilations), channels) ** (1 / p)


def _spatial(x: Any) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


READ["GlobalAveragePool"] = lambda s: ds.mean(s.inputs[0], _spatial(s.inputs[0]), True)
READ["GlobalMaxPool"] = lambda s: ds.amax(s.inputs[0], _spatial(s.inputs[0]), True)


@reads("MaxUnpool")
def _max_unpool(s: Step) -> Any:
    x, places, wanted = s.inputs[0], s.inputs[1].array, s.ints(2)
    kernel = list(s.attributes["kernel_shape"])
    n = len(kernel)
    strides, pads = list(s.attr("strides") or [1] * n), list(s.attr("pads") or [0] * (2 * n))
    sizes = [
        st * (size - 1) + k - a - b
        for size, st, k, a, b in zip(x.shape[2:], strides, kernel, pads[:n], pads[n:], strict=True)
    ]
    shape = (*x.shape[:2], *sizes)
    empty = plain(np.zeros(int(np.prod(shape)), x.dtype))
    made = ds.scatter(empty, 0, plain(places.reshape(-1)), x.reshape(-1)).reshape(*shape)
    if not wanted or tuple(wanted) == shape:
        return made
    # The places count through the smaller result, whose elements then stand at the beginning of the larger one.
    flat = [v for size, old in zip(reversed(wanted), reversed(shape), strict=True) for v in (0, size - old)]
    return ds.pad(made, tuple(flat))


@reads("GlobalLpPool")
def _global_lp(s: Step) -> Any:
    x, p = s.inputs[0], float(s.attr("p", 2))
    return ds.sum(ds.abs(x) ** p, _spatial(x), True) ** (1 / p)


@reads("MaxRoiPool")
def _roi_pool(s: Step) -> Any:
    x, rois = s.inputs
    high, wide = s.attributes["pooled_shape"]
    made = []
    for which, *box in rois.array.astype(np.float64):
        x1, y1, x2, y2 = np.floor(np.asarray(box) * s.attr("spatial_scale", 1.0) + 0.5).astype(np.int64)
        rows, columns = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
        cells = []
        for i, j in np.ndindex(high, wide):
            top, left = y1 + i * rows // high, x1 + j * columns // wide
            down, right = y1 - (-(i + 1) * rows // high), x1 - (-(j + 1) * columns // wide)
            part = x[int(which), :, max(top, 0) : max(down, 0), max(left, 0) : max(right, 0)]
            cells.append(ds.amax(part, (1, 2)) if part.array.size else ds.zeros(x.shape[1], dtype=x.dtype))
        made.append(ds.stack(cells, 1).reshape(x.shape[1], high, wide))
    return ds.stack(made) if made else plain(np.zeros((0, x.shape[1], high, wide), x.dtype))
