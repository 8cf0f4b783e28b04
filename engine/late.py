"""Ops that are put off (`engine.jit`), as far as those who write to memory need to know of them."""

from __future__ import annotations

import weakref
from typing import Any

# The regions of all threads that are not computed yet.
regions: weakref.WeakSet[Any] = weakref.WeakSet()


# Places of the program that called an op that is large enough.
_places: set[tuple[Any, int]] = set()
PLACES = 1 << 14


def again(frame: Any) -> bool:
    """Whether the place of `frame` has called such an op before. An op that runs once is never put off."""
    place = (frame.f_code, frame.f_lasti)
    if place in _places:
        return True
    if len(_places) >= PLACES:
        _places.clear()
    _places.add(place)
    return False


def settle() -> None:
    """Compute what is put off: memory it may read is about to be written to."""
    for region in list(regions):
        region.settle()
