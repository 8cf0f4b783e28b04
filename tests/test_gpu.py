"""The same sample table on CuPy: every op gives on a GPU what it gives on NumPy, value and gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sample_row import Row
from samples import SAMPLES

from engine import Tensor, grad
from engine.backend import cupy

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(cupy() is None, reason="needs CuPy and a CUDA device: pip install 'dsviz[cuda12]'"),
]


def run(row: Row, device: str) -> tuple[list[Any], list[Any]]:
    inputs = [Tensor(a).to(device=device) for a in row.arrays()]
    for t in inputs:
        t.requires_grad = t.dtype.kind == "f"
    made = row.ours(*inputs)
    outs = list(made) if isinstance(made, tuple) else [made]
    flowing = [o for o in outs if o.requires_grad]
    found: list[Any] = []
    if flowing:
        wanted = [t for t in inputs if t.requires_grad]
        found = list(grad(flowing, wanted, allow_unused=True))
    return [o.detach().cpu().numpy() for o in outs], [None if g is None else g.cpu().numpy() for g in found]


@pytest.mark.parametrize("row", SAMPLES, ids=[f"{i}-{row}" for i, row in enumerate(SAMPLES)])
def test_a_gpu_gives_what_numpy_gives(row: Row) -> None:
    for here, there in zip(run(row, "cpu"), run(row, "cuda"), strict=True):
        for a, b in zip(here, there, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                assert a.dtype == b.dtype
                np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-8)
