"""The gradient of a weight that is used many times, put off until it is worth one matrix product.

A loop that multiplies by the same weight at each of its T steps gives T products of a few rows each, which
are slow, and T sums as large as the weight. The rows are kept instead and multiplied together.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.pool import matmul, pool

# Rows kept for a weight that was used more than once may take this much, or as much as the weight itself.
ROOM = 1 << 19


class Product:
    """`left.T @ right`, not computed yet: [rows, p] and [rows, q] for a weight of [p, q].

    Rows of later uses are added to it. It never keeps more than the weight takes, or `ROOM`, so that a gradient put
    off does not raise the peak.
    """

    __slots__ = ("_left", "_limit", "_right", "_seen", "_size", "_total", "dtype", "shape")

    def __init__(self, left: Any, right: Any) -> None:
        self.shape = (left.shape[1], right.shape[1])
        self.dtype = left.dtype
        self._left, self._right = [left], [right]
        self._size = left.size + right.size
        self._limit = max(left.shape[1] * right.shape[1], ROOM // left.itemsize)
        self._total: Any = None
        self._seen: Any = None  # what `look` computed, as long as it is the gradient

    @property
    def nbytes(self) -> int:
        """Bytes of the gradient, once it is computed."""
        return int(self.shape[0] * self.shape[1] * self.dtype.itemsize)

    def add(self, other: Any) -> None:
        """Add another product of the same shape, or an array."""
        self._seen = None
        if type(other) is not Product:
            self._total = self.value() + other if self._left else np.add(self._total, other, out=self._total)
            self._left, self._right, self._size = [], [], 0
            return
        self._left += other._left
        self._right += other._right
        self._size += other._size
        if self._size > self._limit:
            self._total = self.value()
            self._left, self._right, self._size = [], [], 0

    def value(self) -> Any:
        """The gradient as an array. Nobody else has it, and the product can go on being added to."""
        made = self._seen
        if made is not None:
            self._seen = None
            return made
        total = self._total
        if not self._left:
            return total
        # The backward pass meets the last step of a loop first: turned round they are in the order of time.
        left = self._left[0] if len(self._left) == 1 else np.concatenate(self._left[::-1])
        right = self._right[0] if len(self._right) == 1 else np.concatenate(self._right[::-1])
        made = multiplied(left, right)
        return made if total is None else np.add(total, made, out=total)

    def look(self) -> Any:
        """The gradient, for who looks before anything is added. Who takes it next is given this very array."""
        if self._seen is None:
            self._seen = self.value()
        return self._seen


class Masked:
    """A gradient of which only what belongs to positive elements of `out` passes; who takes it may leave that to a kernel.

    `passed(whole, out)` computes it.
    """

    __slots__ = ("_out", "_passed", "dtype", "nbytes", "shape", "whole")

    def __init__(self, whole: Any, out: Any, passed: Any) -> None:
        self.whole = whole
        self.shape, self.dtype, self.nbytes = whole.shape, whole.dtype, whole.nbytes
        self._out, self._passed = out, passed

    def value(self) -> Any:
        """The gradient as an array that nobody else has."""
        return self._passed(self.whole, self._out)


PUT_OFF = (Product, Masked)


class Remade:
    """A value that a gradient needs and that is computed again then: `make()` gives its bits.

    Where `array`, the value itself, is alive all the same because somebody holds it, it serves.
    """

    __slots__ = ("_alive", "_make")

    def __init__(self, array: Any, make: Callable[[], Any]) -> None:
        self._alive, self._make = weakref.ref(array), make

    def alive(self) -> Any:
        """The value itself, None where it is gone."""
        return self._alive()

    def value(self) -> Any:
        """The value, or one like it."""
        array = self._alive()
        return self._make() if array is None else array


def there(value: Any) -> Any:
    """A saved value, computed again where it was not kept."""
    return value.value() if type(value) is Remade else value


class Unwritten:
    """What stands for the value of a tensor that nobody has looked at."""

    __slots__ = ()

    def value(self) -> Any:
        """The value, computed now."""
        raise NotImplementedError


# Tensors whose value is computed when somebody looks (foreseen.py), by identity: tensors compare by their elements.
waiting: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


def settle() -> None:
    """Compute what waits to be looked at: what it is computed from may be about to change."""
    if waiting:
        for tensor in list(waiting.values()):
            tensor.array  # noqa: B018 - looking at it is what computes it


def seen(value: Any) -> Any:
    """`value`, or the array it stands for where it was put off."""
    return value.look() if type(value) is Product else value


def multiplied(left: Any, right: Any) -> Any:
    """`left.T @ right` of rows."""
    # A product over one row is left to the multiplication: the matrix routine takes thrice as long for it.
    if left.shape[0] == 1:
        return np.multiply(left.T, right, out=pool.empty((left.shape[1], right.shape[1]), left.dtype))
    return matmul(left.T, right)


def gathered(xp: Any, left: Any, right: Any) -> Any:
    """The gradient of a weight from all steps of a loop, [steps, rows, p] and [steps, rows, q] in the order of time.

    To the last bit what steps that come one by one would give.
    """
    steps, rows, p = left.shape
    q = right.shape[2]
    if xp is not np:
        return left.reshape(-1, p).T @ right.reshape(-1, q)
    size, together = rows * (p + q), 1
    if fits(left[0], right[0]):
        together = max(p * q, ROOM // left.itemsize) // size + 1
    total = None
    for end in range(steps, 0, -together):
        part = slice(max(end - together, 0), end)
        made = multiplied(left[part].reshape(-1, p), right[part].reshape(-1, q))
        total = made if total is None else np.add(total, made, out=total)
    return total


def fits(left: Any, right: Any) -> bool:
    """Whether rows to multiply take no more room than what they make."""
    return bool(
        left.size + right.size <= left.shape[1] * right.shape[1]
        and left.dtype == right.dtype
        and left.itemsize > 2
    )


def put_off(xp: Any, left: Any, right: Any) -> Product | None:
    """`left.T @ right` in a gradient rule, put off; None where the rows take more room than what they make."""
    if xp is np and type(left) is type(right) is np.ndarray and fits(left, right):
        return Product(left, right)
    return None
