"""Elements a mask lets through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine import shapes
from engine.errors import ArgumentError, ShapeClash
from engine.located import located
from engine.ops.indexing import getitem
from engine.ops.layout import broadcast_to

if TYPE_CHECKING:
    from engine.tensor import Tensor


def masked_select(input: Any, mask: Any) -> Tensor:
    """The elements of `input` where `mask` is True, in order, as a vector. Both are broadcast first.

    Raises `TypeError` for a mask that is not bool, `ValueError` where the shapes do not broadcast.
    """
    if mask.dtype != np.bool_:
        raise located(TypeError(f"mask has to be bool, got {mask.dtype}"))
    try:
        shape = shapes.broadcast(tuple(input.shape), tuple(mask.shape))
    except ShapeClash as clash:
        raise located(
            ArgumentError("masked_select: " + clash.sentence.replace("{0}", "input").replace("{1}", "mask"))
        ) from None
    wide = input if tuple(input.shape) == shape else broadcast_to(input, shape)
    return getitem(wide, mask if tuple(mask.shape) == shape else broadcast_to(mask, shape))
