"""The shape of a tensor: a tuple that can be asked how many elements it stands for."""

from __future__ import annotations

import math


class Size(tuple[int, ...]):
    """Sizes of dimensions, a tuple.

    >>> Size([2, 3]).numel()
    6
    """

    __slots__ = ()

    def numel(self) -> int:
        """How many elements a tensor of this shape has."""
        return math.prod(self)
