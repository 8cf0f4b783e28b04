"""A part of an array, made small enough to look at: rows and columns, or a grid of maps.

`index` is what a person writes between brackets: `0, :, 2:8`. It is read here, never evaluated.
"""

from __future__ import annotations

import base64
import math
import re
from typing import Any

import numpy as np

from dsviz.debuggee.summary import magnitudes

SIDE = 64  # rows and columns of a picture
MAPS = 16  # maps of a grid, in one answer
MAP_SIDE = 32
HEADS, HEAD_SIDE = 12, 48  # attention maps
IMAGE_SIDE = 128
BINS, SAMPLE = 32, 1 << 16

_PART = re.compile(r"\s*(?:(-?\d+)|(-?\d+)?\s*:\s*(-?\d+)?(?:\s*:\s*(-?\d+)?)?)\s*\Z")


class BadIndex(ValueError):  # noqa: N818 - an answer, not a fault
    """An index that cannot be read or does not fit; the text is the sentence for the person."""


def parse(text: str, shape: tuple[int, ...]) -> tuple[int | slice, ...]:
    """The index a person wrote, one entry a dimension. Raises BadIndex with a sentence.

    >>> parse("0, 2:8", (4, 10))
    (0, slice(2, 8, None))
    """
    parts = text.split(",") if text.strip() else []
    if len(parts) > len(shape):
        raise BadIndex(f"[{text}] has {len(parts)} entries, but the value has {len(shape)} dimensions.")
    index: list[int | slice] = []
    for dim, part in enumerate(parts):
        match = _PART.match(part)
        if match is None:
            raise BadIndex(f"[{text}]: {part.strip()!r} is no index; write a number or first:last.")
        if match[1]:
            number = int(match[1])
            if not -shape[dim] <= number < shape[dim]:
                raise BadIndex(f"[{text}]: dimension {dim} has {shape[dim]} entries, so {number} is outside.")
            index.append(number)
        else:
            bounds = [int(bound) if bound else None for bound in match.groups()[1:]]
            if bounds[2] == 0:
                raise BadIndex(f"[{text}]: a step of 0 leads nowhere.")
            index.append(slice(*bounds))
    return tuple(index)


def look(array: Any, text: str = "", kind: str = "") -> dict[str, Any]:
    """The part of `array` that `text` names, for a picture of at most 64 x 64 numbers.

    Dimensions before the last two become maps, of which the first 16 are given. Where there are more rows or
    columns than fit, every n-th is taken; `every` says which. `kinds` says what else the part can be seen as: an
    "image" (1, 3 or 4 channels, first or last) or an "attention" map (rows that add up to 1). `kind` "image" gives its
    `image`, "attention" finer maps. Of complex numbers all are the magnitudes, and `texts` has the numbers of `rows` as
    people write them.
    """
    part = array[parse(text, array.shape)] if text.strip() else array
    part = np.asarray(part if isinstance(part, np.ndarray) or not hasattr(part, "get") else part.get())
    whole = None
    if part.dtype.kind == "c":
        whole, part = part, magnitudes(part)
    answer: dict[str, Any] = {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "part": list(part.shape),
        "range": _range(part),
        "kinds": [name for name, fits in (("image", is_image), ("attention", is_attention)) if fits(part)]
        if array.ndim > 2
        else [],
        "histogram": _histogram(part),
    }
    if kind == "image" and "image" in answer["kinds"]:
        answer["image"] = image(part)
    if part.ndim > 2:
        maps = part.reshape(-1, *part.shape[-2:])
        most, side = (HEADS, HEAD_SIDE) if kind == "attention" else (MAPS, MAP_SIDE)
        answer["maps"] = [_small(one, side)[0] for one in maps[:most]]
        answer["count"] = len(maps)
        part = maps[0] if len(maps) else np.zeros((0, 0), part.dtype)
    matrix = part.reshape(1, -1) if part.ndim < 2 else part
    answer["rows"], answer["every"] = _small(matrix, SIDE)
    if whole is not None:
        matrix = whole.reshape(-1, *whole.shape[-2:])[0] if whole.ndim > 2 and whole.size else whole
        answer["texts"] = (
            [
                [written(value) for value in row]
                for row in _thinned(
                    matrix.reshape(1, -1) if matrix.ndim < 2 else matrix, answer["every"]
                ).tolist()
            ]
            if whole.size
            else []
        )
    return answer


def written(value: complex) -> str:
    """A complex number as people write it.

    >>> written(0.5 - 2j), written(complex(0, float("nan")))
    ('0.5-2j', '0+nanj')
    """
    value += 0.0  # of -0 the sign says nothing here
    real, imaginary = f"{value.real:.4g}", f"{value.imag:.4g}"
    return f"{real}{'' if imaginary[0] == '-' else '+'}{imaginary}j"


def is_image(part: np.ndarray[Any, Any]) -> bool:
    """Whether the last dimensions are those of an image: 1, 3 or 4 channels first or last, and 8 x 8 or more."""
    if not part.size:
        return False
    if part.ndim == 2:
        return part.dtype.kind in "fu" and min(part.shape) >= 8
    if part.ndim < 3 or part.dtype.kind not in "fiub":
        return False
    channels, height, width = part.shape[-3:]
    return (channels in (1, 3, 4) and min(height, width) >= 8) or (
        width in (1, 3, 4) and min(channels, height) >= 8
    )


def is_attention(part: np.ndarray[Any, Any]) -> bool:
    """Whether the rows of the last two dimensions are shares that add up to 1."""
    if part.ndim < 2 or part.dtype.kind != "f" or part.shape[-1] < 2 or not part.size:
        return False
    rows = part.reshape(-1, part.shape[-1])[:SIDE].astype(np.float64)
    return bool((rows >= 0).all() and np.allclose(rows.sum(axis=1), 1.0, atol=1e-2))


def image(part: np.ndarray[Any, Any]) -> dict[str, Any]:
    """The first image of `part` as three bytes a pixel (base64), at most 128 on a side; values are stretched to 0 to 255."""
    while part.ndim > 3:
        part = part[0]
    if part.ndim == 2:
        part = part[None]
    elif not (part.shape[0] in (1, 3, 4) and min(part.shape[1:]) >= 8):
        part = part.transpose(2, 0, 1)
    every = max(1, math.ceil(max(part.shape[1:]) / IMAGE_SIDE))
    part = part[:3, ::every, ::every] if part.shape[0] >= 3 else np.repeat(part[:1, ::every, ::every], 3, 0)
    numbers = np.nan_to_num(part.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = (0.0, 255.0) if part.dtype == np.uint8 else (float(numbers.min()), float(numbers.max()))
    scaled = ((numbers - low) * (255.0 / ((high - low) or 1.0))).astype(np.uint8)
    data = base64.b64encode(np.ascontiguousarray(scaled.transpose(1, 2, 0)).tobytes()).decode()
    return {"width": scaled.shape[2], "height": scaled.shape[1], "data": data}


def _histogram(part: np.ndarray[Any, Any]) -> list[int]:
    """How many of at most 65,536 of the finite numbers lie in each 32nd of their range."""
    if not part.size or part.dtype.kind not in "fiub":
        return []
    flat = part.reshape(-1)
    flat = flat[:: max(1, math.ceil(flat.size / SAMPLE))].astype(np.float64)
    flat = flat[np.isfinite(flat)]
    if not flat.size:
        return []
    with np.errstate(all="ignore"):
        low, high = _range(part)
        if low is None or high is None or not math.isfinite(high - low):
            return []
        return [int(n) for n in np.histogram(flat, BINS, (low, high if high > low else low + 1))[0]]


def _range(part: np.ndarray[Any, Any]) -> list[float | None]:
    """Least and largest finite number; None where there is none."""
    if not part.size or part.dtype.kind not in "fiub":
        return [None, None]
    with np.errstate(all="ignore"):
        finite = part[np.isfinite(part)]
    return [float(finite.min()), float(finite.max())] if finite.size else [None, None]


def _small(part: np.ndarray[Any, Any], side: int) -> tuple[list[list[Any]], list[int]]:
    every = [max(1, math.ceil(size / side)) for size in part.shape]
    return [[_plain(value) for value in row] for row in _thinned(part, every).tolist()], every


def _thinned(part: np.ndarray[Any, Any], every: list[int]) -> np.ndarray[Any, Any]:
    return part[:: every[0], :: every[1]]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else str(value)
    return value if isinstance(value, bool | int) else str(value)
