"""A part of an array, made small enough to look at: rows and columns, or a grid of maps.

`index` is what a person writes between brackets: `0, :, 2:8`. It is read here, never evaluated.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

SIDE = 64  # rows and columns of a picture
MAPS = 16  # maps of a grid, in one answer
MAP_SIDE = 32

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


def look(array: Any, text: str = "") -> dict[str, Any]:
    """The part of `array` that `text` names, for a picture of at most 64 x 64 numbers.

    Dimensions before the last two become maps, of which the first 16 are given. Where there are more rows or
    columns than fit, every n-th is taken; `every` says which.
    """
    part = array[parse(text, array.shape)] if text.strip() else array
    part = np.asarray(part if isinstance(part, np.ndarray) or not hasattr(part, "get") else part.get())
    answer: dict[str, Any] = {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "part": list(part.shape),
        "range": _range(part),
    }
    if part.ndim > 2:
        maps = part.reshape(-1, *part.shape[-2:])
        answer["maps"] = [_small(one, MAP_SIDE)[0] for one in maps[:MAPS]]
        answer["count"] = len(maps)
        part = maps[0] if len(maps) else np.zeros((0, 0), part.dtype)
    answer["rows"], answer["every"] = _small(part.reshape(1, -1) if part.ndim < 2 else part, SIDE)
    return answer


def _range(part: np.ndarray[Any, Any]) -> list[float | None]:
    """Least and largest finite number; None where there is none."""
    if not part.size or part.dtype.kind not in "fiub":
        return [None, None]
    with np.errstate(all="ignore"):
        finite = part[np.isfinite(part)]
    return [float(finite.min()), float(finite.max())] if finite.size else [None, None]


def _small(part: np.ndarray[Any, Any], side: int) -> tuple[list[list[Any]], list[int]]:
    every = [max(1, math.ceil(size / side)) for size in part.shape]
    chosen = part[:: every[0], :: every[1]]
    return [[_plain(value) for value in row] for row in chosen.tolist()], every


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else str(value)
    return value if isinstance(value, bool | int) else str(value)
