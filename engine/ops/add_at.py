"""Sums into places named by an index, where the same place may be named many times."""

from __future__ import annotations

from typing import Any

import numpy as np


def add_at(array: Any, index: Any, values: Any) -> None:
    """`array[index] += values`, each repeat of an index counting."""
    if isinstance(array, np.ndarray):
        np.add.at(array, index, values)
    else:
        import cupyx  # type: ignore[import-not-found]

        cupyx.scatter_add(array, index, values)
