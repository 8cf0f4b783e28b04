"""How ONNX's ops that move, pick and join elements are done with the engine's own."""

from __future__ import annotations

from typing import Any

import numpy as np

import engine as ds
from engine.dtype import is_floating
from engine.onnx.read.step import Step, Unreadable, plain, reads


@reads("Reshape")
def _reshape(s: Step) -> Any:
    x, wanted = s.inputs[0], s.ints(1, "shape") or []
    if not s.attr("allowzero", 0):
        wanted = [x.shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    return ds.reshape(x, *wanted) if wanted else ds.reshape(x, ())


@reads("Flatten")
def _flatten(s: Step) -> Any:
    x, axis = s.inputs[0], int(s.attr("axis", 1))
    axis = axis % x.ndim if axis < 0 else axis
    return ds.reshape(x, int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:])))


@reads("Transpose")
def _transpose(s: Step) -> Any:
    x = s.inputs[0]
    return ds.permute(x, tuple(s.attr("perm") or range(x.ndim - 1, -1, -1)))


@reads("Squeeze")
def _squeeze(s: Step) -> Any:
    x, axes = s.inputs[0], s.ints(1, "axes")
    drop = {a % x.ndim for a in axes} if axes is not None else {i for i, n in enumerate(x.shape) if n == 1}
    return ds.reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in drop))


@reads("Unsqueeze")
def _unsqueeze(s: Step) -> Any:
    x, axes = s.inputs[0], s.ints(1, "axes") or []
    rank = x.ndim + len(axes)
    for axis in sorted(a % rank for a in axes):
        x = x.unsqueeze(axis)
    return x


@reads("Concat")
def _concat(s: Step) -> Any:
    return ds.cat(s.inputs, int(s.attributes["axis"]))


@reads("Split")
def _split(s: Step) -> Any:
    x, axis = s.inputs[0], int(s.attr("axis", 0))
    sizes = s.ints(1, "split")
    if sizes is None:
        count = s.attr("num_outputs", s.outputs)
        size = -(-x.shape[axis] // count)
        sizes = [min(size, max(0, x.shape[axis] - i * size)) for i in range(count)]
    return list(ds.split(x, sizes, axis))


@reads("Slice")
def _slice(s: Step) -> Any:
    x = s.inputs[0]
    starts, ends = s.ints(1, "starts") or [], s.ints(2, "ends") or []
    axes, steps = s.ints(3, "axes") or list(range(len(starts))), s.ints(4) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        n = x.shape[axis]
        if step > 0:
            x = (
                ds.narrow(x, axis, *_span(start, end, n))
                if step == 1
                else x[_at(axis % x.ndim, slice(start, end, step))]
            )
        else:
            index = np.arange(n)[slice(start, None if end < -n else end, step)]
            x = ds.index_select(x, axis, plain(index))
    return [x]


def _span(start: int, end: int, n: int) -> tuple[int, int]:
    begin, stop, _ = slice(start, end).indices(n)
    return begin, max(0, stop - begin)


def _at(axis: int, part: Any) -> tuple[Any, ...]:
    return (*[slice(None)] * axis, part)


@reads("Expand")
def _expand(s: Step) -> Any:
    x = s.inputs[0]
    return ds.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(s.ints(1) or ())))


@reads("Tile")
def _tile(s: Step) -> Any:
    return ds.repeat(s.inputs[0], *(s.ints(1) or []))


@reads("Gather")
def _gather(s: Step) -> Any:
    x, index = s.inputs
    axis = int(s.attr("axis", 0)) % x.ndim
    places = index.array.astype(np.int64)
    return x[_at(axis, np.where(places < 0, places + x.shape[axis], places))]


@reads("GatherElements")
def _gather_elements(s: Step) -> Any:
    x, index = s.inputs
    axis = int(s.attr("axis", 0))
    places = index.array.astype(np.int64)
    return ds.gather(x, axis, plain(np.where(places < 0, places + x.shape[axis], places)))


@reads("GatherND")
def _gather_nd(s: Step) -> Any:
    x, index = s.inputs
    batch = int(s.attr("batch_dims", 0))
    places = index.array
    lead: list[Any] = list(np.indices(places.shape[:-1])[:batch])
    return x[tuple(lead + [places[..., i] for i in range(places.shape[-1])])]


@reads("ScatterElements", "Scatter")
def _scatter_elements(s: Step) -> Any:
    x, index, updates = s.inputs
    axis, how = int(s.attr("axis", 0)), s.attr("reduction", "none")
    places = index.array.astype(np.int64)
    places = np.where(places < 0, places + x.shape[axis], places)
    if how == "none":
        return ds.scatter(x, axis, plain(places), updates)
    if how == "add":
        return ds.scatter_add(x, axis, plain(places), updates)
    at = list(np.indices(places.shape))
    at[axis] = places
    return _combined(x, tuple(at), updates, how)


@reads("ScatterND")
def _scatter_nd(s: Step) -> Any:
    x, index, updates = s.inputs
    at = tuple(index.array[..., i] for i in range(index.shape[-1]))
    return _combined(x, at, updates, s.attr("reduction", "none"))


def _combined(x: Any, at: Any, updates: Any, how: str) -> Any:
    if how == "none":
        out = x.clone()
        out[at] = updates
        return out
    array = x.array.copy()
    {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[how].at(
        array, at, updates.array
    )
    return plain(array)


@reads("OneHot")
def _one_hot(s: Step) -> Any:
    index, depth, values = s.inputs
    n, axis = int(np.atleast_1d(depth.array)[0]), int(s.attr("axis", -1))
    axis = axis % (index.ndim + 1)
    raw = index.array.astype(np.int64)
    places = np.expand_dims(np.where(raw < 0, raw + n, raw), axis)
    line = np.arange(n).reshape([-1 if d == axis else 1 for d in range(index.ndim + 1)])
    return plain(np.where(places == line, values.array[1], values.array[0]))


@reads("Compress")
def _compress(s: Step) -> Any:
    x, keep = s.inputs
    axis = s.attr("axis")
    places = np.flatnonzero(keep.array)
    return ds.reshape(x, -1)[places] if axis is None else ds.index_select(x, axis, plain(places))


@reads("Trilu")
def _trilu(s: Step) -> Any:
    (k,) = s.ints(1) or [0]
    return (ds.triu if s.attr("upper", 1) else ds.tril)(s.inputs[0], k)


@reads("Pad")
def _pad(s: Step) -> Any:
    x, pads = s.inputs[0], s.ints(1, "pads") or []
    mode = {"edge": "replicate", "wrap": "circular"}.get(
        s.attr("mode", "constant"), s.attr("mode", "constant")
    )
    value = s.get(2)
    fill = (
        float(value.array.item()) if value is not None and value.array.size else float(s.attr("value", 0.0))
    )
    axes = [a % x.ndim for a in (s.ints(3) or range(x.ndim))]
    half = len(pads) // 2
    each = {axis: (pads[i], pads[half + i]) for i, axis in enumerate(axes)}
    if mode != "constant" or not is_floating(x.dtype):
        how = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
        widths = [each.get(d, (0, 0)) for d in range(x.ndim)]
        if min(map(min, widths), default=0) < 0:
            raise Unreadable(f"padding by less than nothing in mode {how}")
        more = {"constant_values": fill} if how == "constant" else {}
        return plain(np.pad(x.array, widths, how, **more))
    flat = [n for d in reversed(range(x.ndim)) for n in each.get(d, (0, 0))]
    return ds.pad(x, tuple(flat), "constant", fill)


@reads("DepthToSpace")
def _depth_to_space(s: Step) -> Any:
    x, b = s.inputs[0], s.attributes["blocksize"]
    n, c, h, w = x.shape
    if s.attr("mode", "DCR") == "CRD":
        return ds.pixel_shuffle(x, b)
    parts = ds.permute(ds.reshape(x, n, b, b, c // (b * b), h, w), (0, 3, 4, 1, 5, 2))
    return ds.reshape(parts, n, c // (b * b), h * b, w * b)


@reads("SpaceToDepth")
def _space_to_depth(s: Step) -> Any:
    x, b = s.inputs[0], s.attributes["blocksize"]
    n, c, h, w = x.shape
    order = (0, 1, 3, 5, 2, 4) if s.attr("mode", "DCR") == "CRD" else (0, 3, 5, 1, 2, 4)
    parts = ds.permute(ds.reshape(x, n, c, h // b, b, w // b, b), order)
    return ds.reshape(parts, n, c * b * b, h // b, w // b)


@reads("ReverseSequence")
def _reverse(s: Step) -> Any:
    x, lengths = s.inputs
    batch, time = int(s.attr("batch_axis", 1)), int(s.attr("time_axis", 0))
    t = np.arange(x.shape[time])[:, None]
    n = lengths.array[None, :]
    places = np.where(t < n, n - 1 - t, t)  # [time, batch]
    index = np.indices(x.shape)
    grid = list(index)
    grid[time] = places[index[time], index[batch]]
    return x[tuple(grid)]


@reads("Unique")
def _unique(s: Step) -> Any:
    x, axis = s.inputs[0].array, s.attr("axis")
    if axis is None:
        x, axis = x.reshape(-1), 0
    values, first, back, counts = np.unique(x, True, True, True, axis=axis)
    back = back.reshape(-1)
    if not s.attr("sorted", 1):
        order = np.argsort(first)
        rank = np.argsort(order)
        values, first, counts, back = np.take(values, order, axis), first[order], counts[order], rank[back]
    return [plain(values), *(plain(v.astype(np.int64)) for v in (first, back, counts))]


@reads("BitShift")
def _shift(s: Step) -> Any:
    a, b = s.inputs
    return plain((np.left_shift if s.attr("direction") == "LEFT" else np.right_shift)(a.array, b.array))


@reads("CumProd")
def _cumprod(s: Step) -> Any:
    x, (axis,) = s.inputs[0], s.ints(1) or [0]
    if s.attr("reverse", 0):
        x = ds.flip(x, (axis,))
    out = ds.cumprod(x, axis).to(dtype=x.dtype)
    if s.attr("exclusive", 0):
        out = ds.cat(
            [ds.ones_like(ds.narrow(out, axis, 0, 1)), ds.narrow(out, axis, 0, x.shape[axis] - 1)], axis
        )
    return ds.flip(out, (axis,)) if s.attr("reverse", 0) else [out]


@reads("TensorScatter")
def _tensor_scatter(s: Step) -> Any:
    cache, update, at = s.inputs[0], s.inputs[1], s.get(2)
    axis = int(s.attr("axis", -2)) % cache.ndim
    count, whole = update.shape[axis], cache.shape[axis]
    starts = np.zeros(cache.shape[0], np.int64) if at is None else at.array
    places = starts[:, None] + np.arange(count)
    if s.attr("mode", "linear") == "circular":
        places = places % whole
    elif places.size and (places.min() < 0 or places.max() >= whole):
        raise Unreadable(f"elements {places.min()} to {places.max()} of a cache of {whole}")
    shape = [cache.shape[0] if d == 0 else count if d == axis else 1 for d in range(cache.ndim)]
    index = np.ascontiguousarray(np.broadcast_to(places.reshape(shape), update.shape))
    return ds.scatter(cache, axis, plain(index), update)
