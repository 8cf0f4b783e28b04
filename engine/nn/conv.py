"""Convolutions and transposed convolutions."""

from __future__ import annotations

import math
from typing import Any

from engine.creation import empty
from engine.errors import ArgumentProblem
from engine.located import located
from engine.module import Module
from engine.nn import init
from engine.nn.widths import width
from engine.ops import conv
from engine.ops.pad import pad
from engine.ops.window import each as each_size
from engine.tensor import Parameter, Tensor

MODES = ("zeros", "reflect", "replicate", "circular")


def each(value: Any, rank: int, what: str, least: int = 0) -> tuple[int, ...]:
    """`value` for each of `rank` dimensions. Raises `ValueError` or `TypeError` when it cannot be that."""
    try:
        return each_size(value, rank, what, least)
    except ArgumentProblem as problem:
        raise located(problem.error(problem.sentence)) from None


class _Conv(Module):
    """What the convolutions share: `weight`, `bias` and how they start. `in_channels` and `out_channels` can be assigned."""

    rank = 0
    transposed = False
    in_channels = width("in_channels")
    out_channels = width("out_channels")
    bias: Parameter | None

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
        groups: int, bias: bool, padding_mode: str, output_padding: Any, device: Any, dtype: Any,
    ) -> None:  # fmt: skip
        if groups <= 0 or in_channels % groups or out_channels % groups:
            raise located(
                ValueError(f"groups={groups} has to divide {in_channels} in and {out_channels} out channels")
            )
        if padding_mode not in MODES:
            raise located(ValueError(f"padding_mode is one of {', '.join(MODES)}, got {padding_mode!r}"))
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = each(kernel_size, self.rank, "kernel_size", 1)
        self.stride = each(stride, self.rank, "stride", 1)
        self.padding = padding if isinstance(padding, str) else each(padding, self.rank, "padding")
        self.dilation = each(dilation, self.rank, "dilation", 1)
        self.output_padding = each(output_padding, self.rank, "output_padding")
        self.padding_mode = padding_mode
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = Parameter(empty(first, second // groups, *self.kernel_size, device=device, dtype=dtype))
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        self.register_parameter("bias", None)
        if bias:
            self.bias = Parameter(empty(out_channels, device=device, dtype=dtype))
            inputs = init.fans(self.weight)[0]
            bound = 1 / math.sqrt(inputs) if inputs else 0.0
            init.uniform_(self.bias, -bound, bound)

    def resized(self, in_channels: int | None = None, out_channels: int | None = None) -> Any:
        """A fresh layer with these channels, and the rest as here."""
        kind: Any = type(self)
        return kind(
            in_channels or self.in_channels, out_channels or self.out_channels, self.kernel_size, groups=self.groups,
            bias=self.bias is not None, dtype=self.weight.dtype,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The sizes, and what is not as usual."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        ones = (1,) * self.rank
        none = (0,) * self.rank
        for name, usual in (("padding", none), ("dilation", ones), ("output_padding", none), ("groups", 1)):
            value = getattr(self, name)
            if value != usual:
                text += f", {name}={value}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


class _Plain(_Conv):
    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros",
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, 0,
            device, dtype,
        )  # fmt: skip

    def forward(self, input: Any) -> Tensor:
        """`input` [batch, in_channels, ...] or [in_channels, ...] to [..., out_channels, ...]."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input = pad(input, self._around(), self.padding_mode)
            padding = 0
        function = (conv.conv1d, conv.conv2d, conv.conv3d)[self.rank - 1]
        return function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _around(self) -> list[int]:
        """The padding as `pad` takes it: before and after, the last dimension first."""
        around: list[int] = []
        for i in reversed(range(self.rank)):
            if not isinstance(self.padding, str):
                around += [self.padding[i], self.padding[i]]
            elif self.padding == "same":
                total = self.dilation[i] * (self.kernel_size[i] - 1)
                around += [total // 2, total - total // 2]
            else:
                around += [0, 0]
        return around


class Conv1d(_Plain):
    """Convolution over [batch, channels, length], `weight` [out_channels, in_channels / groups, kernel]."""

    rank = 1


class Conv2d(_Plain):
    """Convolution over [batch, channels, height, width], `weight` [out_channels, in_channels / groups, kernel...]."""

    rank = 2


class Conv3d(_Plain):
    """Convolution over [batch, channels, depth, height, width]."""

    rank = 3


class _Transposed(_Conv):
    transposed = True

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
        output_padding: Any = 0, groups: int = 1, bias: bool = True, dilation: Any = 1,
        padding_mode: str = "zeros", device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        if padding_mode != "zeros":
            raise located(ValueError(f"a transposed convolution pads with zeros only, got {padding_mode!r}"))
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
            output_padding, device, dtype,
        )  # fmt: skip

    def forward(self, input: Any, output_size: Any = None) -> Tensor:
        """`input` [batch, in_channels, ...] to [batch, out_channels, ...].

        `output_size` chooses among the sizes that the stride leaves open.
        Raises `ValueError` for a size that is none of them.
        """
        extra = self.output_padding if output_size is None else self._extra(input, output_size)
        functions = (conv.conv_transpose1d, conv.conv_transpose2d, conv.conv_transpose3d)
        return functions[self.rank - 1](
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )

    def _extra(self, input: Any, output_size: Any) -> tuple[int, ...]:
        wanted = tuple(output_size)[-self.rank :]
        extra = []
        for i, (size, want) in enumerate(zip(input.shape[-self.rank :], wanted, strict=True)):
            least = (size - 1) * self.stride[i] - 2 * self.padding[i]
            least += self.dilation[i] * (self.kernel_size[i] - 1) + 1
            if not least <= want < least + self.stride[i]:
                raise located(
                    ValueError(
                        f"dimension {i} can become {least} to {least + self.stride[i] - 1}, not {want}"
                    )
                )
            extra.append(want - least)
        return tuple(extra)


class ConvTranspose1d(_Transposed):
    """Transposed convolution over [batch, channels, length], `weight` [in_channels, out_channels / groups, kernel]."""

    rank = 1


class ConvTranspose2d(_Transposed):
    """Transposed convolution over [batch, channels, height, width]."""

    rank = 2


class ConvTranspose3d(_Transposed):
    """Transposed convolution over [batch, channels, depth, height, width]."""

    rank = 3
