"""Whether the numbers that pick elements name elements that are there. CuPy would take them modulo the size, silently."""

from __future__ import annotations

from typing import Any

import numpy as np


def outside(index: Any, size: int) -> int | None:
    """A number in `index` that is not from 0 to `size` - 1, None where all are; on a GPU this waits for it.

    >>> import numpy as np
    >>> outside(np.array([0, 3]), 3), outside(np.array([0, 2]), 3)
    (3, None)
    """
    if not index.size:
        return None
    ends = None
    if not isinstance(index, np.ndarray):
        from engine.gpu import capture
        from engine.gpu import elementwise as gpu  # a program on the CPU does not wait for it

        if capture.recording:  # nothing can be waited for; the calls before looked
            return None

        ends = gpu.bounds(index)
    least, most = ends or (int(index.min()), int(index.max()))
    return most if most >= size else least if least < 0 else None
