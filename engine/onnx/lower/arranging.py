"""Ops that move, join and pick elements, as ONNX has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.onnx.lower.table import lowers, one_of
from engine.onnx.symbol import Size
from engine.onnx.writer import Unsupported, Writer
from engine.program import Call


@lowers("reshape", "expand")
def _reshape(w: Writer, call: Call) -> Any:
    shape = list(call.kwargs["shape"])
    if call.op == "reshape":
        return w.add("Reshape", [w.arg(call.args[0]), w.ints(shape)], allowzero=1 if 0 in shape else None)
    # To ONNX's Expand, 1 says what -1 says to us: as it is.
    return w.add("Expand", [w.arg(call.args[0]), w.ints([1 if size == -1 else size for size in shape])])


@lowers("permute", "transpose")
def _permute(w: Writer, call: Call) -> Any:
    rank = len(w.shape_of(call.args[0]))
    perm = list(range(rank))
    if call.op == "permute":
        perm = [d % rank for d in call.kwargs["dims"]]
    elif rank:
        a, b = call.kwargs["dim0"] % rank, call.kwargs["dim1"] % rank
        perm[a], perm[b] = perm[b], perm[a]
    return w.add("Transpose", [w.arg(call.args[0])], perm=perm)


@lowers("cat", "stack")
def _cat(w: Writer, call: Call) -> Any:
    names, dim = w.same(call.args), int(call.kwargs["dim"])
    if call.op == "stack":
        names = [w.add("Unsqueeze", [name, w.ints([dim])]) for name in names]
    return w.add("Concat", names, axis=dim)


@lowers("split", "unbind")
def _split(w: Writer, call: Call) -> Any:
    x, dim = w.arg(call.args[0]), int(call.kwargs["dim"])
    if call.op == "split":
        sizes = call.kwargs["sizes"]
        made = w.add("Split", [x, w.ints(sizes)], outputs=len(sizes), axis=dim)
        return [made] if isinstance(made, str) else made
    w.fixed(call.args[0], dim)
    count = w.shape_of(call.args[0])[dim]
    made = w.add("Split", [x], outputs=count, axis=dim, num_outputs=count)
    made = [made] if isinstance(made, str) else made
    return [w.add("Squeeze", [name, w.ints([dim])]) for name in made]


@lowers("pad")
def _pad(w: Writer, call: Call) -> Any:
    x, kind = one_of(w, call)
    pads = call.kwargs["pad"]
    mode = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[
        call.kwargs["mode"]
    ]
    axes = list(range(-len(pads), 0))
    sizes = w.ints([*(before for before, _ in pads), *(after for _, after in pads)])
    rank = len(w.shape_of(call.args[0]))
    where = w.constant(np.asarray([a + rank for a in axes], np.int64))
    value = w.constant(call.kwargs["value"], kind) if mode == "constant" else ""
    return w.add("Pad", [x, sizes, value, where], mode=mode)


@lowers("flip")
def _flip(w: Writer, call: Call) -> Any:
    dims = [d % len(w.shape_of(call.args[0])) for d in call.kwargs["dims"]]
    least = np.iinfo(np.int64).min
    return w.add(
        "Slice", [w.arg(call.args[0]), w.ints([-1] * len(dims)), w.ints([least] * len(dims)), w.ints(dims), w.ints([-1] * len(dims))]
    )  # fmt: skip


@lowers("tril", "triu")
def _trilu(w: Writer, call: Call) -> Any:
    inputs = [w.arg(call.args[0]), w.constant(np.int64(call.kwargs["diagonal"]))]
    return w.add("Trilu", inputs, upper=int(call.op == "triu"))


@lowers("pixel_shuffle")
def _shuffle(w: Writer, call: Call) -> Any:
    return w.add(
        "DepthToSpace", [w.arg(call.args[0])], blocksize=int(call.kwargs["upscale_factor"]), mode="CRD"
    )


@lowers("pixel_unshuffle")
def _unshuffle(w: Writer, call: Call) -> Any:
    shape, r = w.shape_of(call.args[0]), int(call.kwargs["downscale_factor"])
    if len(shape) != 4:
        raise Unsupported("ONNX wants a batch dimension here")
    w.fixed(call.args[0], 1, 2, 3)
    _, c, high, wide = shape
    parts = w.add("Reshape", [w.arg(call.args[0]), w.ints([-1, c, high // r, r, wide // r, r])])
    turned = w.add("Transpose", [parts], perm=[0, 1, 3, 5, 2, 4])
    return w.add("Reshape", [turned, w.ints([-1, c * r * r, high // r, wide // r])])


@lowers("roll")
def _roll(w: Writer, call: Call) -> Any:
    x, shape = w.arg(call.args[0]), w.shape_of(call.args[0])
    dims, shifts, whole = call.kwargs["dims"], call.kwargs["shifts"], ""
    far = np.iinfo(np.int64).max
    if dims is None:
        whole = w.add("Shape", [x])
        x, dims = w.add("Reshape", [x, w.ints([-1])]), (0,)
    for shift, dim in zip(shifts, dims, strict=True):
        if isinstance(shift, Size) or (not whole and abs(shift) > shape[dim]):
            w.fixed(call.args[0], dim)
            shift %= max(shape[dim], 1)
        if not shift:
            continue
        tail = w.add("Slice", [x, w.ints([-shift]), w.ints([far]), w.ints([dim])])
        head = w.add("Slice", [x, w.ints([0]), w.ints([-shift]), w.ints([dim])])
        x = w.add("Concat", [tail, head], axis=dim)
    return w.add("Reshape", [x, whole]) if whole else x


@lowers("repeat_interleave")
def _repeat(w: Writer, call: Call) -> Any:
    dim, repeats = int(call.kwargs["dim"]), call.kwargs["repeats"]
    w.fixed(call.args[0], dim)
    index = np.repeat(np.arange(w.shape_of(call.args[0])[dim]), np.asarray(repeats))
    return w.add("Gather", [w.arg(call.args[0]), w.constant(index, np.int64)], axis=dim)


@lowers("scatter", "scatter_add")
def _scatter(w: Writer, call: Call) -> Any:
    data, index, source = call.args
    a, b = w.same([data, source], w.kind_of(data))
    if w.shape_of(source) == ():
        b = w.add("Expand", [b, w.add("Shape", [w.arg(index)])])
    elif w.shape_of(source) != w.shape_of(index):
        raise Unsupported("index and src have to be of one shape")
    return w.add(
        "ScatterElements", [a, w.arg(index), b], axis=int(call.kwargs["dim"]),
        reduction="add" if call.op == "scatter_add" else None,
    )  # fmt: skip


@lowers("gather")
def _gather(w: Writer, call: Call) -> Any:
    return w.add("GatherElements", [w.arg(a) for a in call.args], axis=int(call.kwargs["dim"]))


@lowers("diagonal")
def _diagonal(w: Writer, call: Call) -> Any:
    shape = w.shape_of(call.args[0])
    rank, offset = len(shape), int(call.kwargs["offset"])
    one, two = call.kwargs["dim1"] % rank, call.kwargs["dim2"] % rank
    w.fixed(call.args[0], one, two)
    rest = [d for d in range(rank) if d not in (one, two)]
    x = w.add("Transpose", [w.arg(call.args[0])], perm=[*rest, one, two])
    flat = w.add("Reshape", [x, w.ints([*[0] * len(rest), -1])])
    places = np.diagonal(np.arange(shape[one] * shape[two]).reshape(shape[one], shape[two]), offset)
    return w.add("Gather", [flat, w.constant(places.copy(), np.int64)], axis=-1)
