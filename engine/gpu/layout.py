"""How images lie in a GPU's memory: in order, or with their channels last, which is what it multiplies fastest.

The shape is the same; CuPy and the person see the strides. What is computed for each element may pass over the
memory in either order, as long as all arrays lie alike.
"""

from __future__ import annotations

import math
from typing import Any

from engine.backend import cupy
from engine.gpu import launch
from engine.gpu.launch import in_order, int32, int64

PLANES = 65535  # the most that a grid has in its third direction
FEW = 16  # rows or columns up to which a tile of 32 is no way to transpose a matrix
MOST = 1 << 32  # elements that a number of 32 bits counts
ALIGNMENT = 16  # of an address that a library or a kernel takes; what CuPy allocates has it


def is_last(array: Any) -> bool:
    """Whether an array of images has its channels last in memory; where that is in order as well, too."""
    strides = array.strides
    if len(strides) != 4:
        return False
    _, channels, height, width = array.shape
    if channels == 1 or height == width == 1:
        return in_order(array)
    size = strides[1]
    line = channels * size
    whole, _, row, pixel = strides
    return bool(
        size == array.itemsize and pixel == line and row == width * line and whole == height * width * line
    )


def turned(array: Any) -> bool:
    """Whether these are images with their channels last, and not in order as well."""
    return getattr(array, "ndim", 0) == 4 and not in_order(array) and is_last(array)


def room_for(shape: tuple[int, ...], dtype: Any, last: bool) -> Any:
    """An array of undefined content, with its channels last in memory or in order."""
    module: Any = cupy()
    if not last:
        return module.empty(shape, dtype)
    n, channels, height, width = shape
    return unflat(module.empty((n, height, width, channels), dtype))


def like(array: Any, last: bool | None = None) -> Any:
    """`room_for` an array of this shape and type, which lies as it does unless `last` says how."""
    return room_for(array.shape, array.dtype, is_last(array) if last is None else last)


def turnable(array: Any) -> bool:
    """Whether the kernel that turns layouts is there for this type."""
    return array.dtype.char in launch.KINDS and launch.compiled(array.dtype.char, "images")


def lie(array: Any, last: bool) -> Any:
    """The array with its channels last in memory or in order, from an address that any library takes: itself if it does."""
    fits = is_last(array) if last else in_order(array)
    if fits and not array.data.ptr % ALIGNMENT:
        return array
    made = room_for(array.shape, array.dtype, last)
    other = in_order(array) if last else is_last(array)
    if other and not fits and array.shape[0] <= PLANES and array.size and turnable(array):
        count, channels, *sizes = array.shape
        pixels = math.prod(sizes)
        turn(array, made, count, *((channels, pixels) if last else (pixels, channels)))
    elif last:
        flat(made)[...] = flat(array)
    else:
        made[...] = array
    return made


def turn(array: Any, made: Any, count: int, rows: int, columns: int) -> None:
    """Each of `count` matrices [rows, columns] of `array` transposed into `made`."""
    if min(rows, columns) < FEW and array.size < MOST:
        launch.each(
            "turn_few", array.dtype.char, array.size, array, made, int64(array.size), int32(rows), int32(columns),
            file="images",
        )  # fmt: skip
        return
    grid = (-(-columns // 32), -(-rows // 32), count)
    launch.kernel("turn", array.dtype.char, "images")(
        grid, (32, 8), (array, made, int32(rows), int32(columns))
    )


def flat(array: Any) -> Any:
    """Images with their channels last as an array in order of [images, height, width, channels]: the same memory."""
    return array.transpose(0, 2, 3, 1)


def unflat(array: Any) -> Any:
    """What `flat` was made of."""
    return array.transpose(0, 3, 1, 2)
