"""The gradient of a weight that is used many times, put off until it is worth one matrix product.

A loop that multiplies by the same weight at each of its T steps gives T products of a few rows each, which
are slow, and T sums as large as the weight. The rows are kept instead and multiplied together.
"""

from __future__ import annotations

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

    __slots__ = ("_left", "_limit", "_right", "_size", "_total", "dtype", "shape")

    def __init__(self, left: Any, right: Any) -> None:
        self.shape = (left.shape[1], right.shape[1])
        self.dtype = left.dtype
        self._left, self._right = [left], [right]
        self._size = left.size + right.size
        self._limit = max(left.shape[1] * right.shape[1], ROOM // left.itemsize)
        self._total: Any = None

    @property
    def nbytes(self) -> int:
        """Bytes of the gradient, once it is computed."""
        return int(self.shape[0] * self.shape[1] * self.dtype.itemsize)

    def add(self, other: Any) -> None:
        """Add another product of the same shape, or an array."""
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
        total = self._total
        if not self._left:
            return total
        left = self._left[0] if len(self._left) == 1 else np.concatenate(self._left)
        right = self._right[0] if len(self._right) == 1 else np.concatenate(self._right)
        # A product over one row is left to the multiplication: the matrix routine takes thrice as long for it.
        if left.shape[0] == 1:
            made = np.multiply(left.T, right, out=pool.empty(self.shape, self.dtype))
        else:
            made = matmul(left.T, right)
        return made if total is None else np.add(total, made, out=total)


def put_off(xp: Any, left: Any, right: Any) -> Product | None:
    """`left.T @ right` in a gradient rule, put off; None where the rows take more room than what they make."""
    if (
        xp is np
        and left.size + right.size <= left.shape[1] * right.shape[1]
        and left.dtype == right.dtype
        and left.itemsize > 2
        and type(left) is type(right) is np.ndarray
    ):
        return Product(left, right)
    return None
