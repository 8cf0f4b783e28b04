"""A stand-in for cuBLAS: the one function that `engine.gpu` multiplies matrices with, computed with NumPy."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

KINDS = {0: np.float32, 1: np.float64, 2: np.float16}


class Blas:
    """What `engine.gpu.blas.Blas` has. `sums` is the type that was asked for sums, of each product."""

    def __init__(self) -> None:
        self.sums: list[int] = []

    def handle(self) -> int:
        """Of nothing."""
        return 1

    def product(
        self, handle: int, turn_a: int, turn_b: int, m: int, n: int, k: int, one: int, a: int, a_kind: int, a_line: int,
        b: int, b_kind: int, b_line: int, zero: int, c: int, c_kind: int, c_line: int, sums: int, how: int,
    ) -> int:  # fmt: skip
        """`c = a @ b` of matrices whose columns lie one after the other."""
        left = _columns(a, a_kind, (k, m) if turn_a else (m, k), a_line)
        right = _columns(b, b_kind, (n, k) if turn_b else (k, n), b_line)
        wide = np.float64 if a_kind == 1 else np.float32
        made = (left.T if turn_a else left).astype(wide) @ (right.T if turn_b else right).astype(wide)
        _columns(c, c_kind, (m, n), c_line)[...] = made
        self.sums.append(sums)
        return 0

    def products(
        self, handle: int, turn_a: int, turn_b: int, m: int, n: int, k: int, one: int, a: int, a_kind: int, a_line: int,
        a_step: int, b: int, b_kind: int, b_line: int, b_step: int, zero: int, c: int, c_kind: int, c_line: int, c_step: int,
        count: int, sums: int, how: int,
    ) -> int:  # fmt: skip
        """The same of `count` matrices each, `step` elements apart."""
        for i in range(count):
            at, by, to = (
                first + i * step * np.dtype(KINDS[kind]).itemsize
                for first, step, kind in ((a, a_step, a_kind), (b, b_step, b_kind), (c, c_step, c_kind))
            )
            self.product(
                handle, turn_a, turn_b, m, n, k, one, at, a_kind, a_line, by, b_kind, b_line, zero, to, c_kind, c_line, sums, how
            )  # fmt: skip
        return 0


def _columns(at: int, kind: int, shape: tuple[int, int], line: int) -> Any:
    item = np.dtype(KINDS[kind])
    rows, columns = shape
    assert line >= rows
    flat = np.frombuffer((ctypes.c_char * (line * columns * item.itemsize)).from_address(at), item)
    return flat.reshape(columns, line)[:, :rows].T
