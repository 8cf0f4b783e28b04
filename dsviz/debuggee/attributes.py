"""An op's arguments and attributes as values that fit in a record."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.node import Node

LONGEST_ATTR = 200  # characters of an attribute's text
NO_ATTRS: dict[str, Any] = {}


def message_of(exception: BaseException) -> str:
    """What an exception says; Python's own words where it cannot say it."""
    try:
        return str(exception)
    except Exception:  # noqa: BLE001 - a person's __str__ may raise anything
        return "<exception str() failed>"


def ids_of(inputs: tuple[Node | None, ...]) -> tuple[int, ...]:
    """Node numbers, 0 for an argument that is no tensor."""
    return tuple(0 if source is None else source.id for source in inputs)


def shape_of(array: Any) -> tuple[int, ...]:
    """An argument's shape; a plain number has none."""
    return tuple(int(size) for size in getattr(array, "shape", ()))


def clash_of(failure: Any) -> tuple[tuple[int, int], ...]:
    """The pairs (argument, dimension) that disagree."""
    return tuple((int(argument), int(dim)) for argument, dim in failure.clash or ())


def simple_attrs(attrs: dict[str, Any]) -> dict[str, Any]:
    """An op's attributes as values that fit in a record."""
    return {
        str(name): value if type(value) is float or type(value) is bool else simple(value)
        for name, value in attrs.items()
    }


def simple(value: Any) -> Any:
    """`value` itself where a record can hold it, else a short text."""
    kind = type(value)
    if kind is bool or kind is float or value is None:
        return value
    if kind is int:
        return value if -(1 << 63) <= value < 1 << 63 else str(value)[:LONGEST_ATTR]
    if kind is str:
        return value[:LONGEST_ATTR]
    if kind in (tuple, list) and len(value) <= 32:
        return [simple(item) for item in value]
    if isinstance(value, np.generic):
        return simple(value.item())
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{getattr(value, 'dtype', kind.__name__)} {list(shape)}"
    if isinstance(value, slice):
        parts = ("" if part is None else str(part) for part in (value.start, value.stop, value.step))
        return ":".join(parts).removesuffix(":")
    try:
        return repr(value)[:LONGEST_ATTR]
    except Exception:  # noqa: BLE001 - a person's __repr__ may raise anything
        return f"<{kind.__name__}>"
