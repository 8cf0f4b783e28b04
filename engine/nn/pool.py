"""Pooling, resizing and padding as modules."""

from __future__ import annotations

from typing import Any

from engine.module import Module
from engine.ops import adaptive, pool, unpool
from engine.ops.repeating import pixel_shuffle
from engine.ops.resize import interpolate
from engine.tensor import Tensor


def _window(module: Any, rank: int) -> str:
    """How a window prints; `rank`: a size a dimension, 0 as they were given."""
    given = (module.kernel_size, module.stride or module.kernel_size, module.padding)
    sizes = [(size,) * rank if rank and isinstance(size, int) else size for size in given]
    return ", ".join(f"{n}={s}" for n, s in zip(("kernel_size", "stride", "padding"), sizes, strict=True))


class _MaxPool(Module):
    rank = 0

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        return_indices: bool = False, ceil_mode: bool = False,
    ) -> None:  # fmt: skip
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation, self.return_indices, self.ceil_mode = dilation, return_indices, ceil_mode

    def forward(self, input: Any) -> Any:
        """The largest element of each window, and where it lies if `return_indices`."""
        function = (pool.max_pool1d, pool.max_pool2d, pool.max_pool3d)[self.rank - 1]
        return function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        """The window."""
        stride = self.stride or self.kernel_size
        return (
            f"kernel_size={self.kernel_size}, stride={stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest element of each window of [batch, channels, length]."""

    rank = 1


class MaxPool2d(_MaxPool):
    """The largest element of each window of [batch, channels, height, width]."""

    rank = 2


class MaxPool3d(_MaxPool):
    """The largest element of each window of [batch, channels, depth, height, width]."""

    rank = 3


class AvgPool1d(Module):
    """The mean of each window of [batch, channels, length]."""

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:  # fmt: skip
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Any) -> Tensor:
        """The means."""
        return pool.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )

    def extra_repr(self) -> str:
        """The window."""
        return _window(self, 1)


class AvgPool2d(Module):
    """The mean of each window of [batch, channels, height, width]."""

    rank = 2

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> None:  # fmt: skip
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Any) -> Tensor:
        """The means."""
        function = pool.avg_pool2d if self.rank == 2 else pool.avg_pool3d
        return function(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The window."""
        return _window(self, 0)


class AvgPool3d(AvgPool2d):
    """The mean of each window of [batch, channels, depth, height, width]."""

    rank = 3


class _Adaptive(Module):
    function: Any = None

    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size

    def forward(self, input: Any) -> Tensor:
        """[..., spatial] to [..., output_size]; None in `output_size` keeps a size."""
        return type(self).function(input, self.output_size)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """The size."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_Adaptive):
    """Means of windows chosen so that `output_size` of them cover the length."""

    function = staticmethod(adaptive.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_Adaptive):
    """Means of windows chosen so that `output_size` of them cover height and width."""

    function = staticmethod(adaptive.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_Adaptive):
    """Means of windows chosen so that `output_size` of them cover three dimensions."""

    function = staticmethod(adaptive.adaptive_avg_pool3d)


class _AdaptiveMax(_Adaptive):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Any) -> Any:
        """[..., spatial] to [..., output_size], and where the maxima lie if `return_indices`."""
        return type(self).function(input, self.output_size, self.return_indices)


class _MaxUnpool(Module):
    function: Any = None

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Tensor:
        """The values of `input` where `indices` point, 0 elsewhere."""
        return type(self).function(  # type: ignore[no-any-return]
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self) -> str:
        """The window."""
        return _window(self, int(type(self).__name__[-2]))


class MaxUnpool1d(_MaxUnpool):
    """The way back from `MaxPool1d(..., return_indices=True)`."""

    function = staticmethod(unpool.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    """The way back from `MaxPool2d(..., return_indices=True)`."""

    function = staticmethod(unpool.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """The way back from `MaxPool3d(..., return_indices=True)`."""

    function = staticmethod(unpool.max_unpool3d)


class AdaptiveMaxPool1d(_AdaptiveMax):
    """Largest elements of windows chosen so that `output_size` of them cover the length."""

    function = staticmethod(adaptive.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMax):
    """Largest elements of windows chosen so that `output_size` of them cover height and width."""

    function = staticmethod(adaptive.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMax):
    """Largest elements of windows chosen so that `output_size` of them cover three dimensions."""

    function = staticmethod(adaptive.adaptive_max_pool3d)


class Upsample(Module):
    """[batch, channels, spatial...] resampled to `size`, or to `scale_factor` times its size."""

    def __init__(
        self, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
        align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
    ) -> None:  # fmt: skip
        self.size, self.scale_factor, self.mode = size, scale_factor, mode
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor

    def forward(self, input: Any) -> Tensor:
        """The resampled input."""
        return interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        """The size or the factor, and the way."""
        factor = self.scale_factor
        factor = tuple(map(float, factor)) if isinstance(factor, (tuple, list)) else factor and float(factor)
        how = f"size={self.size}" if factor is None else f"scale_factor={factor}"
        return f"{how}, mode={self.mode!r}"


class PixelShuffle(Module):
    """Channels moved into space: [batch, C r², H, W] to [batch, C, H r, W r]."""

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = upscale_factor

    def forward(self, input: Any) -> Tensor:
        """Of `input`'s number of elements."""
        return pixel_shuffle(input, self.upscale_factor)
