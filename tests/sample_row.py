"""What a sample of an op is: how to call it here and in PyTorch, and on which inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Row:
    """`ours` and `theirs` take the inputs; an input is a shape, filled with normal numbers, or an array.

    `theirs` None: PyTorch has no such op, or is not installed. `numpy` is the same on plain arrays.
    Not `exact`: the gradient is not the derivative, on purpose.
    """

    op: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any] | None
    inputs: tuple[Any, ...]
    note: str = ""
    numpy: Callable[..., Any] | None = None
    exact: bool = True

    def __str__(self) -> str:
        return f"{self.op}-{self.note}" if self.note else self.op

    def arrays(self, dtype: str = "float64") -> list[np.ndarray[Any, Any]]:
        """The inputs, the same ones each time."""
        made = []
        for i, given in enumerate(self.inputs):
            if isinstance(given, tuple):
                rng = np.random.default_rng([i, *given])
                made.append(rng.standard_normal(given).astype(dtype))
            else:
                wide = {"f": dtype, "c": {"float32": "complex64"}.get(dtype, "complex128")}
                made.append(given.astype(wide.get(given.dtype.kind, given.dtype)))
        return made
