"""How each ONNX op is done with the engine's own. `READ` is the table; each file here fills its part of it."""

from engine.onnx.read import (  # noqa: F401 - they fill the table
    arranging,
    casting,
    control,
    drawing,
    elements,
    learned,
    looking,
    normal,
    pooling,
    products,
    quantising,
    recurrence,
    reducing,
    resizing,
    sequences,
    signals,
    text,
    training,
    trees,
    values,
    vectors,
)
from engine.onnx.read.step import READ, Sequence, Step, Unreadable
from engine.onnx.read.values import dense

__all__ = ["READ", "Sequence", "Step", "Unreadable", "dense"]
