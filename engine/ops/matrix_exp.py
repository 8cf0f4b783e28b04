"""The exponential of a matrix, by scaling and squaring (Higham 2005, "The scaling and squaring method revisited")."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.located import located

if TYPE_CHECKING:
    from engine.tensor import Tensor

# Coefficients of the [13/13] Padé approximant: (26 - k)! 13! / (26! k! (13 - k)!), scaled to whole numbers.
PADE = [
    math.factorial(26 - k) * math.factorial(13) // (math.factorial(13) * math.factorial(k) * math.factorial(13 - k))
    for k in range(14)
]  # fmt: skip
REACH = 5.4  # the largest 1-norm for which the approximant is right to double precision


def matrix_exp(A: Any) -> Tensor:
    """e^A of square matrices [..., n, n]. Raises `ValueError` for others.

    >>> import engine as ds
    >>> ds.linalg.matrix_exp(ds.zeros(2, 2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    from engine.creation import eye
    from engine.linalg import solve

    shape = A.shape
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise located(ValueError(f"matrix_exp needs square matrices, got {list(shape)}"))
    raw = A.detach().cpu().array
    norm = float(np.abs(raw).sum(-2).max(initial=0.0))
    times = max(0, math.ceil(math.log2(norm / REACH))) if math.isfinite(norm) and norm > REACH else 0
    x = A * (1 / 2**times)
    one = eye(shape[-1], dtype=A.dtype, device=A.device)
    c = [value / PADE[0] for value in PADE]
    x2 = x @ x
    x4 = x2 @ x2
    x6 = x4 @ x2
    odd = x @ (x6 @ (x6 * c[13] + x4 * c[11] + x2 * c[9]) + x6 * c[7] + x4 * c[5] + x2 * c[3] + one * c[1])
    even = x6 @ (x6 * c[12] + x4 * c[10] + x2 * c[8]) + x6 * c[6] + x4 * c[4] + x2 * c[2] + one * c[0]
    result = solve(even - odd, even + odd)
    for _ in range(times):
        result = result @ result
    return result
