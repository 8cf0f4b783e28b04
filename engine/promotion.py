"""Where arguments of different types meet: PyTorch's rules, by casts that stand in the graph.

A float wins over whole numbers, whatever its width, and a complex number over both; among the same kind the wider one wins; a tensor without dimensions
gives way to one that has some; a plain number is weak, and makes whole numbers the default floating type if it is a float.
(https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc) NumPy would make float64 of most of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.dtype import (
    complex_of,
    floating,
    get_default_dtype,
    is_floating,
    joined,
    promoted,
)

if TYPE_CHECKING:
    from engine.op import Op


_NUMBERS = "iufcV"  # V: bfloat16


def uneven(op: Op, arrays: Sequence[Any]) -> bool:
    """Whether `op` asks for one type and these arguments, arrays and plain numbers, have to be cast for it.

    Truths beside others are no reason: every type takes them as 0 and 1.
    """
    seen = truth = None
    fraction = op.fractions
    for array in arrays[op.meets :]:
        kind = getattr(array, "dtype", None)
        if kind is None:
            fraction = fraction or type(array) is float or type(array) is complex
        elif kind.kind == "b":
            truth = kind
        elif kind.kind not in _NUMBERS:
            return False  # texts and the like: the op says what it cannot do
        elif seen is None:
            seen = kind
        elif kind is not seen and kind != seen:
            return True
    seen = truth if seen is None else seen
    return fraction and seen is not None and seen.kind in "biu"


def common(arguments: Sequence[Any], fractions: bool = False) -> np.dtype[Any] | None:
    """The type that arrays, tensors and plain numbers meet in; with `fractions` a floating one. None without any of them."""
    shaped: np.dtype[Any] | None = None
    single: np.dtype[Any] | None = None
    numbers: list[Any] = []
    for value in arguments:
        kind = getattr(value, "dtype", None)
        if kind is None:
            if type(value) in (bool, int, float, complex):
                numbers.append(value)
        elif value.ndim:
            shaped = joined(shaped, kind)
        else:
            single = joined(single, kind)
    met = shaped if shaped is not None and not _lifts(single, shaped) else joined(shaped, single)
    if met is not None and met.kind == "c" and shaped is not None and is_floating(shaped):
        met = complex_of(
            shaped
        )  # a complex number without dimensions takes the width of floats that have some
    if met is None:
        if not numbers:
            return None
        met = promoted(*numbers)
        if met.kind == "c":
            return complex_of(get_default_dtype())
        return get_default_dtype() if fractions or is_floating(met) else met
    met = promoted(met, *numbers)
    return floating(met) if fractions else met


def _lifts(single: np.dtype[Any] | None, shaped: np.dtype[Any]) -> bool:
    """Whether a type without dimensions is of a higher kind than one with: truths, whole numbers, floats, complex ones."""
    return single is not None and _rank(single) > _rank(shaped)


def _rank(kind: np.dtype[Any]) -> int:
    if kind.kind == "c":
        return 3
    return 2 if is_floating(kind) else 0 if kind.kind == "b" else 1


def meet(op: Op, operands: Sequence[Any]) -> list[Any]:
    """The operands, tensors and plain numbers, with a cast of each that is not of the type they meet in."""
    from engine.ops.cast import cast  # an op itself

    target = common(operands[op.meets :], op.fractions)
    met = list(operands)
    kinds = [getattr(value, "dtype", None) for value in operands]
    others = any(kind is not None and kind.kind != "b" for kind in kinds[op.meets :])
    for i in range(op.meets or 0, len(met)):
        kind = kinds[i]
        if kind is not None and kind != target and not (kind.kind == "b" and others):
            met[i] = cast(met[i], dtype=target)
    return met
