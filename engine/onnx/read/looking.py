"""ONNX's ops on images and boxes: sampling at places, regions, windows put together again, boxes that overlap."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import engine as ds
from engine.onnx.read.step import Step, Unreadable, plain, reads

# Keys' cubic convolution (1981), with the constant that images are usually sampled with.
CUBIC = -0.75


@reads("GridSample")
def _grid_sample(s: Step) -> Any:
    x, grid = s.inputs
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(s.attr("mode", "linear"), s.attr("mode", "linear"))
    padding, aligned = s.attr("padding_mode", "zeros"), bool(s.attr("align_corners", 0))
    n = x.ndim - 2
    if mode not in ("linear", "nearest", "cubic"):
        raise Unreadable(f"the mode {mode!r}")
    if mode == "cubic" and n != 2:
        raise Unreadable("cubic sampling of anything but images")
    if n == 2 and mode != "cubic":
        return ds.nn.functional.grid_sample(
            x, grid, "bilinear" if mode == "linear" else mode, padding, aligned
        )
    sizes = x.shape[2:]
    at = []  # in elements, one tensor a dimension; the last number of the grid is the last dimension
    for d in range(n):
        place = grid[..., n - 1 - d]
        at.append((place + 1) * ((sizes[d] - 1) / 2) if aligned else ((place + 1) * sizes[d] - 1) / 2)
    if mode != "cubic":
        at = [_held(a, size, padding, aligned) for a, size in zip(at, sizes, strict=True)]
    taps = [_taps(a, mode) for a in at]
    made: Any = None
    for chosen in itertools.product(*taps):
        index = [np.asarray(_folded_back(i, size, padding, aligned) if mode == "cubic" else i)
                 for (i, _), size in zip(chosen, sizes, strict=True)]  # fmt: skip
        part = _picked(x, index)
        for _, weight in chosen:
            if weight is not None:
                part = part * weight.unsqueeze(1)
        made = part if made is None else made + part
    return made


def _taps(at: Any, mode: str) -> list[tuple[Any, Any]]:
    """The elements of one dimension that count for each place, with their weights (None: 1)."""
    if mode == "nearest":
        return [(np.rint(at.array), None)]
    first = np.floor(at.array)
    share = at - plain(first)
    if mode == "linear":
        return [(first, 1 - share), (first + 1, share)]
    a = CUBIC

    def near(d: Any) -> Any:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Any) -> Any:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [(first - 1, far(share + 1)), (first, near(share)), (first + 1, near(1 - share)), (first + 2, far(2 - share))]  # fmt: skip


def _held(at: Any, size: int, padding: str, aligned: bool) -> Any:
    """Places outside moved to the border or reflected at it, as `padding` says."""
    if padding == "reflection":
        low, high = (0.0, size - 1.0) if aligned else (-0.5, size - 0.5)
        if high == low:
            return at * 0
        span = high - low
        away = ds.remainder(at - low, 2 * span)
        at = ds.where(away > span, 2 * span - away, away) + low
    return at if padding == "zeros" else ds.clamp(at, 0.0, size - 1.0)


def _folded_back(index: Any, size: int, padding: str, aligned: bool) -> Any:
    return np.rint(_held(plain(index), size, padding, aligned).array)


def _picked(x: Any, index: list[Any]) -> Any:
    """The elements `[batch, channels, *places]` at whole places `[batch, *places]`; 0 outside."""
    sizes = x.shape[2:]
    inside = np.ones(index[0].shape, bool)
    flat = np.zeros(index[0].shape, np.int64)
    for i, size in zip(index, sizes, strict=True):
        inside &= (i >= 0) & (i < size)
        flat = flat * size + np.clip(np.nan_to_num(i), 0, size - 1).astype(np.int64)
    batch, channels = x.shape[:2]
    places = np.broadcast_to(flat.reshape(batch, 1, -1), (batch, channels, flat[0].size))
    taken = ds.gather(x.reshape(batch, channels, -1), 2, plain(np.ascontiguousarray(places)))
    shown = taken.reshape(batch, channels, *index[0].shape[1:])
    return shown * plain(inside[:, None].astype(x.dtype))


@reads("RoiAlign")
def _roi_align(s: Step) -> Any:
    x, rois, batch = s.inputs
    high, wide = int(s.attr("output_height", 1)), int(s.attr("output_width", 1))
    ratio, scale = int(s.attr("sampling_ratio", 0)), float(s.attr("spatial_scale", 1.0))
    half = (
        s.attr("coordinate_transformation_mode", "half_pixel" if s.opset >= 16 else "output_half_pixel")
        == "half_pixel"
    )
    largest = s.attr("mode", "avg") == "max"
    made = []
    for box, which in zip(rois.array.astype(np.float64), batch.array, strict=True):
        x1, y1, x2, y2 = box * scale - (0.5 if half else 0.0)
        extent = [y2 - y1, x2 - x1] if half else [max(y2 - y1, 1.0), max(x2 - x1, 1.0)]
        bins = [extent[0] / high, extent[1] / wide]
        counts = [ratio or max(1, int(np.ceil(b))) for b in bins]
        ys, xs = (
            start + step * (np.arange(cells)[:, None] + (np.arange(count) + 0.5) / count).reshape(-1)
            for start, step, cells, count in ((y1, bins[0], high, counts[0]), (x1, bins[1], wide, counts[1]))
        )
        made.append(_region(x[int(which)], ys, xs, (high, counts[0], wide, counts[1]), largest))
    return ds.stack(made) if made else plain(np.zeros((0, x.shape[1], high, wide), x.dtype))


def _region(image: Any, ys: Any, xs: Any, cells: tuple[int, int, int, int], largest: bool) -> Any:
    """One region [channels, height, width] of an image: samples in each cell, averaged or the largest of all their parts."""
    h, w = image.shape[1:]
    seen = ((ys >= -1) & (ys <= h))[:, None] & ((xs >= -1) & (xs <= w))
    parts = []
    low = [np.clip(v, 0, None) for v in (ys, xs)]
    first = [np.minimum(np.floor(v).astype(np.int64), n - 1) for v, n in zip(low, (h, w), strict=True)]
    second = [np.minimum(f + 1, n - 1) for f, n in zip(first, (h, w), strict=True)]
    share = [np.where(f >= n - 1, 0.0, v - f) for v, f, n in zip(low, first, (h, w), strict=True)]
    for iy, wy in ((first[0], 1 - share[0]), (second[0], share[0])):
        for ix, wx in ((first[1], 1 - share[1]), (second[1], share[1])):
            weight = plain((wy[:, None] * wx * seen).astype(image.dtype))
            parts.append(image[:, iy[:, None], ix[None, :]] * weight)
    rows, a, columns, b = cells
    if largest:
        each = ds.stack(parts).reshape(4, -1, rows, a, columns, b)
        return ds.amax(each, (0, 3, 5))
    return ds.mean((parts[0] + parts[1] + parts[2] + parts[3]).reshape(-1, rows, a, columns, b), (2, 4))


@reads("NonMaxSuppression")
def _non_max_suppression(s: Step) -> Any:
    boxes, scores = (v.array.astype(np.float64) for v in s.inputs[:2])
    most, overlap, least = (None if s.get(i) is None else s.get(i).array.reshape(-1)[0] for i in (2, 3, 4))
    if s.attr("center_point_box", 0):
        middle, half = boxes[..., :2], boxes[..., 2:] / 2
        first, last = middle - half, middle + half
    else:
        first, last = np.minimum(boxes[..., :2], boxes[..., 2:]), np.maximum(boxes[..., :2], boxes[..., 2:])
    chosen: list[list[int]] = []
    for image, kind in np.ndindex(*scores.shape[:2]):
        order = np.argsort(-scores[image, kind], kind="stable")
        order = order if least is None else order[scores[image, kind][order] > least]
        kept: list[int] = []
        for i in order:
            if len(kept) >= int(most or 0):
                break
            if all(_overlap(first[image], last[image], i, j) <= float(overlap or 0) for j in kept):
                kept.append(int(i))
        chosen += [[image, kind, i] for i in kept]
    return plain(np.asarray(chosen, np.int64).reshape(-1, 3))


def _overlap(first: Any, last: Any, i: int, j: int) -> float:
    """What two boxes share of the area both cover."""
    shared = np.prod(np.clip(np.minimum(last[i], last[j]) - np.maximum(first[i], first[j]), 0, None))
    both = np.prod(last[i] - first[i]) + np.prod(last[j] - first[j]) - shared
    return float(shared / both) if both > 0 else 0.0


@reads("Col2Im")
def _col2im(s: Step) -> Any:
    x, sizes, block = s.inputs[0], s.ints(1) or [], s.ints(2) or []
    n = len(sizes)
    strides, dilations = list(s.attr("strides") or [1] * n), list(s.attr("dilations") or [1] * n)
    pads = list(s.attr("pads") or [0] * (2 * n))
    whole = [size + a + b for size, a, b in zip(sizes, pads[:n], pads[n:], strict=True)]
    steps = [
        (size - d * (k - 1) - 1) // st + 1
        for size, d, k, st in zip(whole, dilations, block, strides, strict=True)
    ]
    # The place in the padded image of each element of each window, as one number.
    flat = np.zeros((), np.int64)
    for d in range(n):
        line = np.arange(block[d])[:, None] * dilations[d] + np.arange(steps[d]) * strides[d]
        shape = [1] * (2 * n)
        shape[d], shape[n + d] = line.shape
        flat = flat * whole[d] + line.reshape(shape)
    batch, channels = x.shape[0], x.shape[1] // int(np.prod(block))
    columns = x.reshape(batch * channels, -1)
    index = np.broadcast_to(flat.reshape(1, -1), columns.shape)
    empty = plain(np.zeros((batch * channels, int(np.prod(whole))), x.dtype))
    image = ds.scatter_add(empty, 1, plain(np.ascontiguousarray(index)), columns).reshape(
        batch, channels, *whole
    )
    for d in range(n):
        image = ds.narrow(image, 2 + d, pads[d], sizes[d])
    return image


@reads("DeformConv")
def _deform_conv(s: Step) -> Any:
    x, weight, offset, bias, mask = (s.get(i) for i in range(5))
    n = x.ndim - 2
    if n != 2:
        raise Unreadable(f"a deformed convolution over {n} dimensions")
    kernel = list(s.attr("kernel_shape") or weight.shape[2:])
    strides, dilations = list(s.attr("strides") or [1] * n), list(s.attr("dilations") or [1] * n)
    pads, groups = list(s.attr("pads") or [0] * (2 * n)), int(s.attr("group", 1))
    shared = int(s.attr("offset_group", 1))
    batch, high, wide = x.shape[0], offset.shape[2], offset.shape[3]
    moved = offset.reshape(batch, shared, kernel[0] * kernel[1], 2, high, wide)
    rows, columns = (
        np.arange(size)[:, None] * st - pad + np.zeros((1, 1))
        for size, st, pad in ((high, strides[0], pads[0]), (wide, strides[1], pads[1]))
    )
    channels = x.shape[1] // shared
    taken = []
    for group in range(shared):
        image = ds.narrow(x, 1, group * channels, channels)
        for k in range(kernel[0] * kernel[1]):
            start = (k // kernel[1] * dilations[0], k % kernel[1] * dilations[1])
            y = moved[:, group, k, 0] + plain((rows + start[0]).astype(x.dtype))
            z = moved[:, group, k, 1] + plain((columns.T + start[1]).astype(x.dtype))
            sampled: Any = None
            for (iy, wy), (iz, wz) in itertools.product(_taps(y, "linear"), _taps(z, "linear")):
                part = _picked(image, [iy, iz]) * (wy * wz).unsqueeze(1)
                sampled = part if sampled is None else sampled + part
            if mask is not None:
                sampled = sampled * mask.reshape(batch, shared, -1, high, wide)[:, group, k].unsqueeze(1)
            taken.append(sampled)
    count = kernel[0] * kernel[1]
    parts = [ds.stack(taken[g * count : (g + 1) * count], 2) for g in range(shared)]
    windows = ds.cat(parts, 1)  # [batch, channels, places of the kernel, height, width]
    each = x.shape[1] // groups
    outs = weight.shape[0] // groups
    made = []
    for g in range(groups):
        flat = ds.narrow(windows, 1, g * each, each).reshape(batch, each * count, high * wide)
        made.append(ds.matmul(ds.narrow(weight, 0, g * outs, outs).reshape(outs, each * count), flat))
    out = ds.cat(made, 1).reshape(batch, weight.shape[0], high, wide)
    return out if bias is None else out + bias.reshape(1, -1, 1, 1)


@reads("ImageDecoder")
def _image_decoder(s: Step) -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise Unreadable("an image needs Pillow: pip install 'dsviz[pictures]'") from None
    import io

    wanted = s.attr("pixel_format", "RGB")
    try:
        picture = Image.open(io.BytesIO(s.inputs[0].array.tobytes()))
        made = np.asarray(picture.convert("L" if wanted == "Grayscale" else "RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise Unreadable(f"the bytes are no image that can be read: {error}") from None
    if wanted == "Grayscale":
        return plain(made[..., None])
    return plain(made[..., ::-1].copy() if wanted == "BGR" else made)
