"""Batch normalisation of images with their channels last, its relu and the sum before that, and their gradients.

Two launches each. Computed together or apart, and each time, they give the same bits. None where this is not done.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from engine.backend import cupy
from engine.gpu import launch
from engine.gpu.launch import in_order, int32, int64
from engine.gpu.layout import ALIGNMENT, is_last, lie, room_for

# Strips of rows whose sums are put together by every block, the blocks that a GPU is filled with, and the rows that a
# block reads at once at least.
STRIPS, BLOCKS, LEAST = 128, 528, 4
NULL = int64(0)


class Shape(NamedTuple):
    """How a kernel's threads lie over rows and channels."""

    rows: int
    channels: int
    width: int  # channels that a thread takes at once
    block: tuple[int, int]
    columns: int  # blocks along the channels
    strips: int
    strip: int  # rows of a strip
    spans: int
    span: int  # rows that a block writes


_shapes: dict[tuple[int, int, int], Shape] = {}


def _shape(x: Any) -> Shape:
    channels, size = x.shape[1], x.itemsize
    rows = x.size // channels
    found = _shapes.get((rows, channels, size))
    if found is None:
        if len(_shapes) >= 1024:
            _shapes.clear()
        wide = 8 if size == 2 else 4  # 16 bytes at once
        width = wide if channels % wide == 0 else 4 if channels % 4 == 0 else 1
        groups = channels // width
        lanes = min(32, 1 << max(groups - 1, 0).bit_length())
        lines = launch.THREADS // lanes
        columns = -(-groups // lanes)

        def split(most: int) -> tuple[int, int]:
            each = max(-(-rows // max(most // columns, 1)), LEAST * lines)
            return -(-rows // each), each

        found = _shapes[rows, channels, size] = Shape(
            rows,
            channels,
            width,
            (lanes, lines),
            columns,
            *split(min(STRIPS * columns, BLOCKS // 2)),
            *split(BLOCKS),
        )
    return found


def serves(x: Any, *others: Any) -> bool:
    """Whether these are images that the kernels are there for, all with their channels last."""
    if x.ndim != 4 or x.dtype.char not in launch.KINDS or not x.size or not is_last(x):
        return False
    if x.data.ptr % ALIGNMENT:
        return False
    if any(o is not None and (o.shape != x.shape or o.dtype != x.dtype) for o in others):
        return False
    return x.shape[0] * x.shape[2] * x.shape[3] < 1 << 31 and launch.compiled(x.dtype.char, "images")


def _per_channel(x: Any, *vectors: Any) -> bool:
    """Whether what there is one of for each channel is of the type that sums are made in."""
    kind = "d" if x.dtype.char == "d" else "f"
    return all(v is None or (v.dtype.char == kind and in_order(v)) for v in vectors)


def _launch(name: str, x: Any, shape: Shape, lines: int, *arguments: Any) -> None:
    run = launch.kernel(f"{name}_{shape.width}", x.dtype.char, "images")
    run((shape.columns, lines), shape.block, tuple([NULL if a is None else a for a in arguments]))


def statistics(x: Any) -> Any:
    """Of each strip of rows mean and squared distances, which `finished` makes a result of."""
    shape = _shape(x)
    parts = cupy().empty((shape.strips, 2, shape.channels), "d" if x.dtype.char == "d" else "f")
    _launch(
        "norm_parts", x, shape, shape.strips, x, parts, int32(shape.rows), int32(shape.channels),
        int32(shape.strip),
    )  # fmt: skip
    return parts


def room(x: Any) -> Any:
    """Where the kernels keep, for each channel, mean, 1 / deviation, and bias and weight as they were."""
    return cupy().empty((4, x.shape[1]), "d" if x.dtype.char == "d" else "f")


def applied(
    x: Any, weight: Any, bias: Any, stats: Any, parts: Any = None, running_mean: Any = None,
    running_var: Any = None, momentum: float = 0.0, eps: float = 0.0, relu: bool = False, more: Any = None,
    written: bool = True,
) -> Any:  # fmt: skip
    """The result, None where it is not to be `written`; with `more` added to it, with `relu` the relu of that.

    The statistics are made of `parts`, and the running ones follow; without `parts` the running ones are they. Both
    times `stats` is written. With neither `stats` says all.
    """
    shape = _shape(x)
    out = room_for(x.shape, x.dtype, True) if written else None
    _launch(
        "norm_apply", x, shape, shape.spans if written else 1, x, more, out, weight, bias, parts, stats,
        running_mean, running_var, float(momentum), float(eps), int32(shape.rows), int32(shape.channels),
        int32(0 if parts is None else shape.strips), int32(shape.strip), int32(shape.span), int32(relu),
    )  # fmt: skip
    return out


def takes(x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any) -> bool:
    """Whether these are computed here."""
    return (
        serves(x)
        and _per_channel(x, weight, bias, running_mean, running_var)
        and (running_mean is None) == (running_var is None)
    )


def normalise(
    x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, momentum: float, eps: float,
    training: bool = True, relu: bool = False,
) -> Any:  # fmt: skip
    """(result, what `room` says) of images with their channels last; in training the running statistics follow."""
    if not takes(x, weight, bias, running_mean, running_var):
        return None
    parts, stats = statistics(x) if training else None, room(x)
    made = applied(x, weight, bias, stats, parts, running_mean, running_var, momentum, eps, relu)
    return made, stats


def gradients(g: Any, x: Any, weight: Any, stats: Any, training: bool = True, relu: bool = False) -> Any:
    """The gradients for the images, the weight and the bias; with `relu` from that of the relu of the result."""
    if not serves(x, g) or not _per_channel(x, weight, stats):
        return None
    g, module = lie(g, True), cupy()
    shape = _shape(x)
    parts = module.empty((shape.strips, 2, shape.channels), stats.dtype)
    to = room_for(x.shape, x.dtype, True)
    to_weight, to_bias = module.empty(shape.channels, stats.dtype), module.empty(shape.channels, stats.dtype)
    rows, channels = int32(shape.rows), int32(shape.channels)
    _launch(
        "norm_sums", x, shape, shape.strips, g, x, weight, stats, parts, rows, channels, int32(shape.strip),
        int32(relu),
    )  # fmt: skip
    _launch(
        "norm_gradient", x, shape, shape.spans, g, x, to, weight, stats, parts, to_weight, to_bias, rows,
        channels, int32(shape.strips), int32(shape.span), int32(relu), int32(not training),
    )  # fmt: skip
    return to, to_weight, to_bias
