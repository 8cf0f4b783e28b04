"""Sizes that depend on the input: found by tracing a model twice, at two sizes, and comparing every number.

A number that is the same in both traces is a constant. One that differs must follow from the sizes that were
changed: a multiple of a product of them, one of them plus a constant, or a part of one of them; or it is made in the
same way of the sizes of the values the op is given.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from engine.onnx.made import known
from engine.program import Ref

PARTS = range(2, 9)  # what a size may be divided by
CONSIDERED = 12  # dimensions whose products are tried


class Axis(NamedTuple):
    """A dimension that may have any size: its name, the input or value it is read of, and its size in the two traces."""

    name: str
    input: str | Ref
    dim: int
    first: int
    second: int


class Size(NamedTuple):
    """A number that depends on the input: `factor` times the product of `axes`, `part` of it, plus `offset`.

    `part` is (added before, divisor): the product is divided and rounded down. `first` is its value in the first trace.
    """

    factor: int
    axes: tuple[Axis, ...]
    offset: int
    first: int
    part: tuple[int, int] = (0, 1)


class Unexplained(Exception):  # noqa: N818 - it never reaches the person as it is
    """Two values differ between the traces in a way that no input size explains."""


def merged(first: Any, second: Any, axes: list[Axis], nearby: list[Axis] = []) -> Any:  # noqa: B006 - only read
    """One value that stands for both: equal parts as they are, numbers that differ as `Size`.

    `nearby` are the dimensions of the values the op is given, asked where the inputs' own explain nothing.
    """
    if isinstance(first, Ref) and isinstance(second, Ref):
        return first
    if type(first) is type(second) and type(first) in (tuple, list) and len(first) == len(second):
        return tuple(merged(a, b, axes, nearby) for a, b in zip(first, second, strict=True))
    if isinstance(first, slice) and isinstance(second, slice):
        return slice(
            merged(first.start, second.start, axes, nearby),
            merged(first.stop, second.stop, axes, nearby),
            merged(first.step, second.step, axes, nearby),
        )
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        if np.array_equal(first, second):
            return first
        made = (
            known(
                first,
                second,
                merged(first.shape, second.shape, axes, nearby),
                lambda a, b: explained(a, b, axes, nearby),
            )
            if isinstance(first, np.ndarray) and isinstance(second, np.ndarray) and first.ndim == second.ndim
            else None
        )
        if made is None:
            raise Unexplained
        return made
    if type(first) is type(second) and not isinstance(first, tuple) and first == second:
        return first
    if isinstance(first, tuple) and repr(first) == repr(
        second
    ):  # a record: it is one thing, or it has changed
        return first
    if isinstance(first, int) and isinstance(second, int) and not isinstance(first, bool):
        return explained(first, second, axes, nearby)
    raise Unexplained


def explained(first: int, second: int, axes: list[Axis], nearby: list[Axis] = []) -> Size:  # noqa: B006 - only read
    """The simplest dependence on the axes that gives both numbers."""
    for own in (axes, nearby):
        for axis in own:
            if first - axis.first == second - axis.second and (own is axes or first == axis.first):
                return Size(1, (axis,), first - axis.first, first)
        for count in range(1, len(own) + 2 if own is axes else 3):
            for chosen in itertools.combinations_with_replacement(own[:CONSIDERED], count):
                a, b = 1, 1
                for axis in chosen:
                    a, b = a * axis.first, b * axis.second
                if first % a == 0 and first // a and (first // a) * b == second:
                    return Size(first // a, chosen, 0, first)
    parts = {
        (axis, added, by)
        for axis in axes
        for by in PARTS
        for added in (0, -1, 1)
        if ((axis.first + added) // by, (axis.second + added) // by) == (first, second)
    }
    if len({(added, by) for _, added, by in parts}) == 1:  # one way alone fits, so it is no accident
        axis, added, by = min(parts, key=lambda found: found[0].name)
        return Size(1, (axis,), 0, first, (added, by))
    raise Unexplained
