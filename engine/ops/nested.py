"""Ops used inside the gradient of another op."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.dispatch import apply
from engine.op import Op


def on_arrays(xp: Any) -> bool:
    """Whether a gradient runs on raw arrays: `xp` is numpy or cupy, not the engine's namespace of Tensors."""
    return xp is np or xp.__name__ == "cupy"


def on_gpu(xp: Any) -> bool:
    """Whether `xp` is cupy. What is done there is imported there: a program on the CPU does not wait for it."""
    return bool(xp.__name__ == "cupy")


def nested(xp: Any, op: Op, *args: Any, **attrs: Any) -> Any:
    """`op` on raw arrays, at once, or on Tensors, recorded so that it can be differentiated again."""
    if on_arrays(xp):
        out = op.on(xp)(*args, **attrs)
        return out[0] if op.extras else out
    return apply(op, args, attrs)
