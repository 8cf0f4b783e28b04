"""Norms over neighbouring channels and over windows, and embeddings added up in bags."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.located import located
from engine.ops import reduction
from engine.ops.arithmetic import abs, div, mul, pow, sign
from engine.ops.indexing import embedding, getitem
from engine.ops.layout import reshape, stack
from engine.ops.pool import avg_pool1d, avg_pool2d, avg_pool3d

if TYPE_CHECKING:
    from engine.tensor import Tensor

__all__ = ["embedding_bag", "local_response_norm", "lp_pool1d", "lp_pool2d", "lp_pool3d"]


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """`input / (k + alpha · mean of the squares of size neighbouring channels) ** beta` (Krizhevsky et al. 2012)."""
    from engine.ops.pad import pad

    if len(input.shape) < 3:
        raise located(
            ValueError(f"local_response_norm needs [batch, channels, ...], got {list(input.shape)}")
        )
    n, c = input.shape[:2]
    flat = reshape(mul(input, input), n, 1, c, -1)
    around = pad(flat, (0, 0, size // 2, (size - 1) // 2))
    means = reshape(avg_pool2d(around, (size, 1), 1), *input.shape)
    return div(input, pow(means * alpha + k, beta))


def _lp(input: Any, norm_type: float, kernel: Any, stride: Any, ceil_mode: bool, rank: int) -> Tensor:
    function = (avg_pool1d, avg_pool2d, avg_pool3d)[rank - 1]
    count = int(np.prod(kernel)) if isinstance(kernel, (tuple, list)) else kernel**rank
    powers = pow(input, norm_type)
    total = function(powers, kernel, stride, 0, ceil_mode) * count
    return pow(mul(sign(total), abs(total)), 1.0 / norm_type)


def lp_pool1d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """`(Σ x^p)^(1/p)` of each window of [batch, channels, length]."""
    return _lp(input, norm_type, kernel_size, stride, ceil_mode, 1)


def lp_pool2d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """`(Σ x^p)^(1/p)` of each window of [batch, channels, height, width]."""
    return _lp(input, norm_type, kernel_size, stride, ceil_mode, 2)


def lp_pool3d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """`(Σ x^p)^(1/p)` of each window of [batch, channels, depth, height, width]."""
    return _lp(input, norm_type, kernel_size, stride, ceil_mode, 3)


def embedding_bag(
    input: Any, weight: Any, offsets: Any = None, max_norm: float | None = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, per_sample_weights: Any = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> Tensor:  # fmt: skip
    """The sum, mean or maximum of the rows that each bag of numbers names.

    `input` [bags, n], or all bags one after another with `offsets` saying where each begins.
    With `include_last_offset` the last one says where the last bag ends; rows longer than `max_norm` are shortened.
    Raises `ValueError` for another `mode`, or weights without "sum".
    """
    if mode not in ("sum", "mean", "max"):
        raise located(ValueError(f'mode is "sum", "mean" or "max", got {mode!r}'))
    if per_sample_weights is not None and mode != "sum":
        raise located(ValueError(f'per_sample_weights go with mode="sum", got mode={mode!r}'))
    if len(input.shape) == 2:
        numbers, edges = reshape(input, -1), np.arange(input.shape[0] + 1) * input.shape[1]
    elif offsets is None:
        raise located(
            ValueError(f"offsets are needed where input is a vector, got input {list(input.shape)}")
        )
    else:
        numbers = input
        edges = np.asarray(offsets.tolist(), np.int64)
        if not include_last_offset:
            edges = np.append(edges, input.shape[0])
        elif not edges.size or edges[-1] != input.shape[0]:
            raise located(
                ValueError(
                    f"include_last_offset: the last offset has to be {input.shape[0]}, the size of input, got "
                    f"{edges[-1] if edges.size else 'none'}"
                )
            )
    rows = embedding(numbers, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
    if per_sample_weights is not None:
        rows = mul(rows, reshape(per_sample_weights, -1, 1))
    raw = numbers.detach().cpu().array
    bags = []
    for start, end in itertools.pairwise(edges):
        keep = np.arange(start, end)
        if padding_idx is not None:
            keep = keep[raw[start:end] != padding_idx]
        part = getitem(rows, keep)
        if mode == "sum" or not keep.size:
            bags.append(reduction.sum(part, 0))
        else:
            bags.append(reduction.mean(part, 0) if mode == "mean" else reduction.amax(part, 0))
    return stack(bags)
