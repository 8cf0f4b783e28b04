"""The way back from a maximum pooling: each value where its maximum lay, 0 elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.located import located
from engine.ops.scatter import scatter
from engine.ops.window import each

if TYPE_CHECKING:
    from engine.tensor import Tensor

__all__ = ["max_unpool1d", "max_unpool2d", "max_unpool3d"]


def _unpool(
    rank: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Tensor:
    from engine.creation import zeros

    if tuple(input.shape) != tuple(indices.shape):
        raise located(
            ValueError(
                f"indices has shape {list(indices.shape)}, expected {list(input.shape)}, that of input"
            )
        )
    kernel = each(kernel_size, rank, "kernel_size", 1)
    step = kernel if stride is None else each(stride, rank, "stride", 1)
    around = each(padding, rank, "padding")
    usual = tuple(
        (n - 1) * s - 2 * p + k for n, s, p, k in zip(input.shape[-rank:], step, around, kernel, strict=True)
    )
    size = usual if output_size is None else _chosen(tuple(output_size)[-rank:], usual, step)
    lead = tuple(input.shape[:-rank])
    flat = zeros(*lead, math.prod(size), dtype=input.dtype, device=input.device)
    return scatter(flat, -1, indices.reshape(*lead, -1), input.reshape(*lead, -1)).reshape(*lead, *size)


def _chosen(wanted: tuple[int, ...], usual: tuple[int, ...], step: Sequence[int]) -> tuple[int, ...]:
    for i, (want, n, s) in enumerate(zip(wanted, usual, step, strict=True)):
        if not n - s < want < n + s:
            raise located(
                ValueError(f"output_size dimension {i} can be {n - s + 1} to {n + s - 1}, got {want}")
            )
    return wanted


def max_unpool1d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """The values of `input` where `indices`, as `max_pool1d(..., return_indices=True)` gives them, point.

    `output_size` chooses among the sizes that were pooled to this one. Raises `ValueError` for none of them, or for
    indices of another shape.
    """
    return _unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """As `max_unpool1d` over the last two dimensions."""
    return _unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """As `max_unpool1d` over the last three dimensions."""
    return _unpool(3, input, indices, kernel_size, stride, padding, output_size)
