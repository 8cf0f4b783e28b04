"""The table of samples: at least one row for every op, and the mistakes each op has to explain."""

from __future__ import annotations

from typing import Any

import samples_arrange
import samples_basic
import samples_complex
import samples_layout
import samples_more
import samples_normal
import samples_reduce
import samples_spatial
from sample_row import Row

PARTS = (
    samples_basic,
    samples_reduce,
    samples_layout,
    samples_spatial,
    samples_normal,
    samples_arrange,
    samples_more,
    samples_complex,
)

SAMPLES: list[Row] = [row for part in PARTS for row in part.SAMPLES]
ERRORS: list[tuple[str, Any, type[Exception], str]] = [case for part in PARTS for case in part.ERRORS]
