"""What a region is made of: its ops, and how the arrays that come into it lie."""

from __future__ import annotations

from typing import Any, NamedTuple

from engine.jit.symbol import EACH, ROW, UNIFORM
from engine.op import Op


class Layout(NamedTuple):
    """How an input lies: `form` is "full", "last" (the same in each row), "row", "one" or "strided".

    `shape` and `strides` (in elements) are told for "strided" only; elsewhere the kernel serves any number of rows.
    `exact`: in the type that is computed in, not the one that arrays hold.
    """

    form: str
    truth: bool = False
    shape: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    exact: bool = False

    @property
    def level(self) -> int:
        """How often its value is another."""
        return {"one": UNIFORM, "row": ROW}.get(self.form, EACH)


class Step(NamedTuple):
    """One op of a region. An argument is ("step", number), ("input", number), ("argument", number) or ("constant", value)."""

    op: Op
    kwargs: tuple[tuple[str, Any], ...]
    args: tuple[tuple[str, Any], ...]
    shape: tuple[int, ...]
    requires: bool


class Input(NamedTuple):
    """An array that comes into a region."""

    layout: Layout
    shape: tuple[int, ...]
    requires: bool
