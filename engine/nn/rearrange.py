"""Windows as columns, channels moved about, sizes changed, and products of two inputs, as modules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from engine.creation import empty
from engine.located import located
from engine.module import Module
from engine.nn import init
from engine.nn.pool import Upsample
from engine.ops import fold as folding
from engine.ops import neighbours
from engine.ops.assemble import channel_shuffle
from engine.ops.blend import bilinear
from engine.ops.layout import unflatten
from engine.ops.repeating import pixel_unshuffle
from engine.tensor import Parameter, Tensor

__all__ = [
    "Bilinear", "ChannelShuffle", "EmbeddingBag", "Fold", "LPPool1d", "LPPool2d", "LPPool3d", "LocalResponseNorm",
    "PixelUnshuffle", "Unflatten", "Unfold", "UpsamplingBilinear2d", "UpsamplingNearest2d",
]  # fmt: skip


class Unfold(Module):
    """Windows of an image as columns."""

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Any) -> Tensor:
        """[batch, channels, height, width] to [batch, channels · kh · kw, windows]."""
        return folding.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(Module):
    """Columns added into an image."""

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, input: Any) -> Tensor:
        """[batch, channels · kh · kw, windows] to [batch, channels, *output_size]."""
        return folding.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )


class Unflatten(Module):
    """One dimension as several."""

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Any) -> Tensor:
        """`input` with dimension `dim` in the sizes given."""
        return unflatten(input, self.dim, self.unflattened_size)


class ChannelShuffle(Module):
    """Channels mixed between groups."""

    def __init__(self, groups: int) -> None:
        self.groups = groups

    def forward(self, input: Any) -> Tensor:
        """Of `input`'s shape."""
        return channel_shuffle(input, self.groups)


class PixelUnshuffle(Module):
    """Blocks of pixels as channels."""

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = downscale_factor

    def forward(self, input: Any) -> Tensor:
        """[batch, c, h r, w r] to [batch, c r², h, w]."""
        return pixel_unshuffle(input, self.downscale_factor)


class UpsamplingNearest2d(Upsample):
    """Images made larger by repeating pixels."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Images made larger by straight lines between pixels, corners on corners."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)


class LocalResponseNorm(Module):
    """Division by the size of neighbouring channels."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Any) -> Tensor:
        """Of `input`'s shape."""
        return neighbours.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The options."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class _LPPool(Module):
    rank = 1

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = (
            norm_type,
            kernel_size,
            stride,
            ceil_mode,
        )

    def forward(self, input: Any) -> Tensor:
        """The norms of the windows."""
        function = (neighbours.lp_pool1d, neighbours.lp_pool2d, neighbours.lp_pool3d)[self.rank - 1]
        return function(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        """The options."""
        names = ("norm_type", "kernel_size", "stride", "ceil_mode")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


class LPPool1d(_LPPool):
    """The p-norm of each window of [batch, channels, length]."""


class LPPool2d(_LPPool):
    """The p-norm of each window of [batch, channels, height, width]."""

    rank = 2


class LPPool3d(_LPPool):
    """The p-norm of each window of [batch, channels, depth, height, width]."""

    rank = 3


class Bilinear(Module):
    """x1ᵀ W x2 + b: `weight` [out, in1, in2]."""

    bias: Parameter | None

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        kind = {"device": device, "dtype": dtype}
        self.weight = Parameter(empty(out_features, in1_features, in2_features, **kind))
        self.register_parameter("bias", Parameter(empty(out_features, **kind)) if bias else None)
        bound = 1 / math.sqrt(in1_features)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input1: Any, input2: Any) -> Tensor:
        """[..., in1] and [..., in2] to [..., out]."""
        return bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        sizes = ", ".join(f"{n}={getattr(self, n)}" for n in ("in1_features", "in2_features", "out_features"))
        return f"{sizes}, bias={self.bias is not None}"


class EmbeddingBag(Module):
    """Sums, means or maxima of rows of a table."""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, max_norm: float | None = None, norm_type: float = 2.0,
        scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, _weight: Any = None,
        include_last_offset: bool = False, padding_idx: int | None = None, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse, self.include_last_offset = (
            scale_grad_by_freq,
            sparse,
            include_last_offset,
        )
        self.mode, self.padding_idx = mode, padding_idx
        if _weight is not None:
            if tuple(_weight.shape) != (num_embeddings, embedding_dim):
                raise located(
                    ValueError(
                        f"_weight has shape {list(_weight.shape)}, expected {[num_embeddings, embedding_dim]}"
                    )
                )
            self.weight = Parameter(_weight)
            return
        self.weight = Parameter(empty(num_embeddings, embedding_dim, device=device, dtype=dtype))
        init.normal_(self.weight)
        if padding_idx is not None:
            self.weight.array[padding_idx] = 0

    def forward(self, input: Any, offsets: Any = None, per_sample_weights: Any = None) -> Tensor:
        """Numbers [bags, n], or a vector with `offsets`, to [bags, embedding_dim]."""
        return neighbours.embedding_bag(
            input, self.weight, offsets, mode=self.mode, per_sample_weights=per_sample_weights,
            padding_idx=self.padding_idx, max_norm=self.max_norm, norm_type=self.norm_type,
            scale_grad_by_freq=self.scale_grad_by_freq, sparse=self.sparse,
            include_last_offset=self.include_last_offset,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The sizes, and what is not as usual."""
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        usual = {"max_norm": None, "norm_type": 2.0, "scale_grad_by_freq": False, "sparse": False}
        text += "".join(f", {n}={getattr(self, n)}" for n, u in usual.items() if getattr(self, n) != u)
        text += f", mode={self.mode!r}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"

    @classmethod
    def from_pretrained(
        cls, embeddings: Any, freeze: bool = True, max_norm: float | None = None, norm_type: float = 2.0,
        scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False,
        include_last_offset: bool = False, padding_idx: int | None = None,
    ) -> EmbeddingBag:  # fmt: skip
        """Bags of these rows [num_embeddings, embedding_dim]; `freeze`: they are not learned."""
        rows, features = embeddings.shape
        made = cls(
            rows, features, max_norm, norm_type, scale_grad_by_freq, mode, sparse, embeddings, include_last_offset,
            padding_idx,
        )  # fmt: skip
        made.weight.requires_grad = not freeze
        return made
