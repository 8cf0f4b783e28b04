"""Normalisations as modules."""

from __future__ import annotations

from typing import Any

from engine.backend import namespace
from engine.creation import ones, zeros
from engine.located import located
from engine.module import Module
from engine.nn.widths import width
from engine.ops import group_norm as grouped
from engine.ops import norm
from engine.tensor import Parameter, Tensor


class _Running(Module):
    """What batch and instance normalisation share: scale, shift and running statistics."""

    ranks: tuple[int, ...] = ()
    num_features = width("num_features")
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self, num_features: int, eps: float, momentum: float | None, affine: bool, track_running_stats: bool,
        device: Any, dtype: Any, bias: bool = True,
    ) -> None:  # fmt: skip
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        kind = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(ones(num_features, **kind)) if affine else None)
        shifted = affine and bias
        self.register_parameter("bias", Parameter(zeros(num_features, **kind)) if shifted else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, **kind) if tracked else None)
        self.register_buffer("running_var", ones(num_features, **kind) if tracked else None)
        self.register_buffer(
            "num_batches_tracked", zeros((), dtype="int64", device=device) if tracked else None
        )

    def resized(self, num_features: int) -> Any:
        """A fresh layer with so many channels, and the rest as here."""
        return type(self)(  # type: ignore[call-arg]
            num_features,
            affine=self.affine,
            track_running_stats=self.track_running_stats,
            bias=self.bias is not None,
        )

    def check(self, input: Any) -> None:
        """Raise `ValueError` for an input of another rank."""
        if len(input.shape) not in self.ranks:
            ranks = " or ".join(str(r) for r in self.ranks)
            raise located(
                ValueError(f"{type(self).__name__} needs {ranks} dimensions, got {list(input.shape)}")
            )

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_Running):
    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, device: Any = None, dtype: Any = None, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Any) -> Tensor:
        """Of `input`'s shape. In training the running statistics move."""
        self.check(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            count = self.num_batches_tracked.array
            namespace(count).add(count, 1, out=count)
            if self.momentum is None:  # the plain mean of all batches so far
                momentum = 1.0 / float(self.num_batches_tracked.item())
        own = self.training or self.running_mean is None
        return norm.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, own, momentum, self.eps
        )


class BatchNorm1d(_BatchNorm):
    """Each channel of [batch, channels] or [batch, channels, length] normalised over the batch."""

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Each channel of [batch, channels, height, width] normalised over the batch."""

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Each channel of [batch, channels, depth, height, width] normalised over the batch."""

    ranks = (5,)


class _InstanceNorm(_Running):
    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = False,
        track_running_stats: bool = False, device: Any = None, dtype: Any = None, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Any) -> Tensor:
        """Of `input`'s shape."""
        self.check(input)
        own = self.training or not self.track_running_stats
        return grouped.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            own,
            self.momentum or 0.0,
            self.eps,
        )


class InstanceNorm1d(_InstanceNorm):
    """Each channel of each sample of [batch, channels, length] normalised."""

    ranks = (3,)


class InstanceNorm2d(_InstanceNorm):
    """Each channel of each sample of [batch, channels, height, width] normalised."""

    ranks = (4,)


class InstanceNorm3d(_InstanceNorm):
    """Each channel of each sample of [batch, channels, depth, height, width] normalised."""

    ranks = (5,)


class LayerNorm(Module):
    """Normalised over the last dimensions, which have `normalized_shape`; `weight` and `bias` have it too."""

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self, normalized_shape: Any, eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        kind = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(ones(*shape, **kind)) if elementwise_affine else None)
        shifted = elementwise_affine and bias
        self.register_parameter("bias", Parameter(zeros(*shape, **kind)) if shifted else None)

    def forward(self, input: Any) -> Tensor:
        """Of `input`'s shape."""
        return norm.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The options."""
        scaled, shifted = self.elementwise_affine, self.bias is not None
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={scaled}, bias={shifted}"


class RMSNorm(Module):
    """Divided by the root of the mean square over the last dimensions, which have `normalized_shape`."""

    weight: Parameter | None

    def __init__(
        self, normalized_shape: Any, eps: float | None = None, elementwise_affine: bool = True,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        made = Parameter(ones(*shape, device=device, dtype=dtype)) if elementwise_affine else None
        self.register_parameter("weight", made)

    def forward(self, input: Any) -> Tensor:
        """Of `input`'s shape."""
        return norm.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The options."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Each of `num_groups` groups of channels of each sample normalised; `weight` and `bias` [num_channels]."""

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, device: Any = None,
        dtype: Any = None, bias: bool = True,
    ) -> None:  # fmt: skip
        if num_groups <= 0 or num_channels % num_groups:
            raise located(ValueError(f"num_groups={num_groups} does not divide the {num_channels} channels"))
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        kind = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(ones(num_channels, **kind)) if affine else None)
        shifted = affine and bias
        self.register_parameter("bias", Parameter(zeros(num_channels, **kind)) if shifted else None)

    def forward(self, input: Any) -> Tensor:
        """Of `input`'s shape."""
        return grouped.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The options."""
        shifted = self.bias is not None
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={shifted}"
