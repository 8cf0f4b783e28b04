"""Whether a value is what it was when it was looked at last, asked after every op and so in a hurry."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from engine.writes import writes


class Changes:
    """Keeps a copy of each value it is asked about, by a number.

    >>> changes, array = Changes(), np.zeros(3)
    >>> changes.look(1, array), changes.look(1, array)
    (False, False)
    >>> array[0] = 1
    >>> changes.look(1, array)
    True
    """

    def __init__(self) -> None:
        self._kept: dict[
            int, tuple[Any, int, Any]
        ] = {}  # number -> which array it was, writes until then, its copy

    def look(self, number: int, value: Any, backward: bool = False) -> bool:
        """Whether `value` is another than at the look before. False where there was none, or what it is has no bytes.

        After a `backward` op, an array the engine did not write to is taken to be the same: no line of the program ran.
        (What a hook writes by itself is seen at the next op that is none of the backward pass.)
        """
        array = getattr(value, "array", value)
        before = self._kept.get(number)
        if before is not None and backward and before[0]() is array and before[1] == writes.count:
            return False
        which = _reference(array)
        if hasattr(array, "get") and not isinstance(array, (np.ndarray, dict)):
            array = array.get()  # from the GPU
        try:
            array = np.asarray(array)
        except (TypeError, ValueError):
            return False
        if array.dtype.hasobject:
            array = np.frombuffer(repr(array.tolist()).encode(), np.uint8)
        stamp = writes.count
        if before is None or not _same(before[2], array):
            self._kept[number] = (which, stamp, array.copy())
            return before is not None
        self._kept[number] = (which, stamp, before[2])
        return False

    def untouched(self, number: int) -> bool:
        """Whether it was looked at, and the engine has not written to it since."""
        kept = self._kept.get(number)
        if kept is None:
            return False
        array = kept[0]()
        return isinstance(array, np.ndarray) and (
            kept[1] == writes.count or writes.since(array, kept[1]) is None
        )

    def forget(self, numbers: set[int]) -> None:
        """Keep no copies but those of `numbers`."""
        self._kept = {number: kept for number, kept in self._kept.items() if number in numbers}


def _reference(value: Any) -> Any:
    """A weak reference, so that looking at a value keeps it alive no longer; to nothing where there is none."""
    try:
        return weakref.ref(value)
    except TypeError:
        return _nothing


def _nothing() -> object:
    return _nothing


def _same(kept: Any, array: Any) -> bool:
    """Whether two arrays are the same to the bit (a NaN is itself)."""
    if kept.shape != array.shape or kept.dtype != array.dtype:
        return False
    if not array.flags.c_contiguous or not array.ndim or array.dtype.kind not in "biufc":
        return bool(kept.tobytes() == array.tobytes())
    word = np.uint64 if array.nbytes % 8 == 0 else np.uint8
    return bool((kept.reshape(-1).view(word) == array.reshape(-1).view(word)).all())
