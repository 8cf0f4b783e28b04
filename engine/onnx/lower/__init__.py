"""How each op is written in ONNX. Each file here fills its part of the table."""

from engine.onnx.lower import (  # noqa: F401 - they fill the table
    arranging,
    drawing,
    elements,
    indexing,
    normal,
    pooling,
    products,
    reducing,
    resizing,
)
from engine.onnx.lower.table import DIRECT, LOWER, lower, lowers

__all__ = ["DIRECT", "LOWER", "lower", "lowers"]
