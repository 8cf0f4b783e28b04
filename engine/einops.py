"""einops with modules for this engine: `from dsviz.einops import rearrange`, `from einops.layers.dsviz import Rearrange`.

The package `einops` (https://einops.rocks) has to be installed; its functions take our tensors by themselves.
"""

from __future__ import annotations

from typing import Any

try:
    from einops import einsum, pack, parse_shape, rearrange, reduce, repeat, unpack
    from einops.layers import RearrangeMixin, ReduceMixin
    from einops.layers._einmix import _EinmixMixin
except ImportError as missing:
    raise ImportError("dsviz.einops is made of the package einops: pip install einops") from missing

from engine import einsum as _einsum
from engine import zeros
from engine.module import Module
from engine.tensor import Parameter

__all__ = [
    "EinMix", "Rearrange", "Reduce", "einsum", "pack", "parse_shape", "rearrange", "reduce", "repeat", "unpack",
]  # fmt: skip


class Rearrange(RearrangeMixin, Module):  # type: ignore[misc]
    """`rearrange` as a module.

    >>> import engine as ds
    >>> Rearrange("b c h w -> b (c h w)")(ds.zeros(2, 3, 4, 4)).shape
    (2, 48)
    """

    def forward(self, input: Any) -> Any:
        """The input with its dimensions as the pattern says."""
        return self._apply_recipe(input)


class Reduce(ReduceMixin, Module):  # type: ignore[misc]
    """`reduce` as a module."""

    def forward(self, input: Any) -> Any:
        """The input with dimensions taken together as the pattern says."""
        return self._apply_recipe(input)


class EinMix(_EinmixMixin, Module):  # type: ignore[misc]
    """A linear layer over the dimensions that its pattern names."""

    def _create_parameters(
        self, weight_shape: Any, weight_bound: float, bias_shape: Any, bias_bound: float
    ) -> None:
        self.weight = Parameter(zeros(weight_shape).uniform_(-weight_bound, weight_bound))
        self.bias = (
            None if bias_shape is None else Parameter(zeros(bias_shape).uniform_(-bias_bound, bias_bound))
        )

    def _create_rearrange_layers(
        self,
        pre_reshape_pattern: Any,
        pre_reshape_lengths: Any,
        post_reshape_pattern: Any,
        post_reshape_lengths: Any,
    ) -> None:
        self.pre_rearrange = self.post_rearrange = None
        if pre_reshape_pattern is not None:
            self.pre_rearrange = Rearrange(pre_reshape_pattern, **pre_reshape_lengths)
        if post_reshape_pattern is not None:
            self.post_rearrange = Rearrange(post_reshape_pattern, **post_reshape_lengths)

    def forward(self, input: Any) -> Any:
        """The input times the weight, plus the bias."""
        if self.pre_rearrange is not None:
            input = self.pre_rearrange(input)
        found = _einsum(self.einsum_pattern, input, self.weight)
        if self.bias is not None:
            found = found + self.bias
        return found if self.post_rearrange is None else self.post_rearrange(found)
