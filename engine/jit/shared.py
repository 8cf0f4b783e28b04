"""Memory that the program can write to without an op: arrays it gave to a tensor or took from one.

What is computed later than it is written would see such a write. So nothing is put off that reads memory noted here,
as long as anybody but its tensor has it.
"""

from __future__ import annotations

import weakref
from sys import getrefcount
from typing import Any

import numpy as np

from engine.backend import is_array, owner


class Shared:
    """The memory, by the array that owns it."""

    def __init__(self) -> None:
        self._known: dict[int, weakref.ref[Any]] = {}

    def note(self, array: Any) -> None:
        """The program has `array`, or a view of it."""
        if not is_array(array):
            return
        memory = owner(array)
        key = id(memory)
        if key not in self._known:
            known = self._known
            known[key] = weakref.ref(memory, lambda _: known.pop(key, None))

    def has(self, array: Any) -> bool:
        """Whether somebody may write to `array`'s memory without an op."""
        if not self._known:
            return False
        memory = owner(array)
        key = id(memory)
        found = self._known.get(key)
        if found is None or found() is not memory:
            return False
        # Its tensor holds it; this function, its caller and getrefcount do for the moment.
        if memory is array and getrefcount(memory) <= HELD:
            del self._known[key]
            return False
        return True


shared = Shared()


class _Probe:
    __slots__ = ("array",)

    array: Any


def _count() -> int:
    """The references to an array that only a tensor has, seen from within `has`."""
    probe = _Probe()
    probe.array = np.empty(1)
    return _caller(probe)


def _caller(probe: Any) -> int:
    array = probe.array
    return _within(array)


def _within(array: Any) -> int:
    memory = owner(array)
    return getrefcount(memory)


HELD = _count()
