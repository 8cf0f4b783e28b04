"""What the tests of ops that are computed together share: the same with every op by itself, and equality to the bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine import foreseen


def apart(monkeypatch: pytest.MonkeyPatch, run: Callable[[], list[Any]]) -> list[Any]:
    """What `run` gives with every op computed by itself."""
    with monkeypatch.context() as patch:
        patch.setattr(foreseen, "ENOUGH", 1 << 60)
        return run()


def equal(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert np.array_equal(a, b, equal_nan=True)
