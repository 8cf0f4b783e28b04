"""Sizes that depend on the input: found by tracing a model twice, at two sizes, and comparing every number.

A number that is the same in both traces is a constant. One that differs must follow from the sizes that were
changed: a multiple of a product of them, or one of them plus a constant.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np


class Axis(NamedTuple):
    """A dimension of an input that may have any size: its name, where it is read, and its size in the two traces."""

    name: str
    input: str
    dim: int
    first: int
    second: int


class Size(NamedTuple):
    """A number that depends on the input: `factor` times the product of `axes`, plus `offset`; 0 stands for `first`."""

    factor: int
    axes: tuple[Axis, ...]
    offset: int
    first: int  # its value in the first trace


class Unexplained(Exception):  # noqa: N818 - it never reaches the person as it is
    """Two values differ between the traces in a way that no input size explains."""


def merged(first: Any, second: Any, axes: list[Axis]) -> Any:
    """One value that stands for both: equal parts as they are, numbers that differ as `Size`."""
    if type(first) is type(second) and type(first) in (tuple, list) and len(first) == len(second):
        return tuple(merged(a, b, axes) for a, b in zip(first, second, strict=True))
    if isinstance(first, slice) and isinstance(second, slice):
        return slice(
            merged(first.start, second.start, axes),
            merged(first.stop, second.stop, axes),
            merged(first.step, second.step, axes),
        )
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        if np.array_equal(first, second):
            return first
        raise Unexplained
    if type(first) is type(second) and not isinstance(first, tuple) and first == second:
        return first
    if isinstance(first, tuple) and repr(first) == repr(
        second
    ):  # a record: it is one thing, or it has changed
        return first
    if isinstance(first, int) and isinstance(second, int) and not isinstance(first, bool):
        return explained(first, second, axes)
    raise Unexplained


def explained(first: int, second: int, axes: list[Axis]) -> Size:
    """The simplest dependence on the axes that gives both numbers."""
    for axis in axes:
        if first - axis.first == second - axis.second:
            return Size(1, (axis,), first - axis.first, first)
    for count in range(1, len(axes) + 2):
        for chosen in itertools.combinations_with_replacement(axes, count):
            a, b = 1, 1
            for axis in chosen:
                a, b = a * axis.first, b * axis.second
            if first % a == 0 and first // a and (first // a) * b == second:
                return Size(first // a, chosen, 0, first)
    raise Unexplained
