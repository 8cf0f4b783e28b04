"""Layers that learn the size of their input from the first one they see, and are ordinary layers from then on."""

from __future__ import annotations

import inspect
from typing import Any

from engine.located import located
from engine.module import Module
from engine.nn import conv, linear, norm
from engine.tensor import UninitializedParameter

__all__ = [
    "LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d", "LazyConv1d", "LazyConv2d", "LazyConv3d",
    "LazyConvTranspose1d", "LazyConvTranspose2d", "LazyConvTranspose3d", "LazyInstanceNorm1d",
    "LazyInstanceNorm2d", "LazyInstanceNorm3d", "LazyLinear", "UninitializedParameter",
]  # fmt: skip


class LazyLayer(Module):
    """What the lazy layers share: `made` is the class it becomes, made with the input's size before `given`."""

    made: type[Module] = Module
    size = ""  # what the missing size is called
    rank: int | None = (
        None  # spatial dimensions, where the batch may be missing; else the size is always dimension 1
    )
    held: tuple[str, ...] = ("weight",)  # parameters that wait

    def __init__(self, *given: Any, **options: Any) -> None:
        if self.size in options:
            raise located(TypeError(f"{type(self).__name__} finds {self.size} out by itself"))
        try:
            named = inspect.signature(type(self).made.__init__).bind(self, 0, *given, **options).arguments
        except TypeError as error:
            raise located(TypeError(f"{type(self).__name__}: {error}")) from None
        self.__dict__["_given"] = (given, options)
        self.__dict__["_groups"] = named.get("groups", 1)
        for name in self.held:
            self.register_parameter(name, UninitializedParameter())

    def become(self, size: int) -> None:
        """Be the ordinary layer for inputs of `size` from now on, in the same mode, with the same hooks."""
        given, options = self.__dict__.pop("_given")
        del self.__dict__["_groups"]
        training, hooks = self.training, self._hooks
        for name in self.held:
            self._parameters.pop(name, None)
        made: Any = type(self).made
        self.__class__ = made
        made.__init__(self, size, *given, **options)
        self.train(training)
        self.__dict__["_hooks"] = hooks

    def forward(self, input: Any) -> Any:
        """Take the size from `input`, and do what the ordinary layer does."""
        self.become(int(input.shape[self._where(len(input.shape))]))
        return self.forward(input)

    def _where(self, rank: int) -> int:
        """The dimension of an input of `rank` that decides."""
        return 1 if self.rank is None else rank - self.rank - 1

    def from_state(self, shape: tuple[int, ...]) -> None:
        """Take the size from the shape of a weight that is about to be loaded."""
        self.become(shape[0])

    def extra_repr(self) -> str:
        """What is known."""
        given, options = self.__dict__["_given"]
        words = [*map(str, given), *(f"{k}={v}" for k, v in options.items())]
        return f"{self.size}=not known yet" + "".join(f", {w}" for w in words)


class LazyLinear(LazyLayer):
    """`Linear` without `in_features`.

    >>> import engine as ds
    >>> layer = LazyLinear(3)
    >>> layer(ds.ones(2, 5)).shape
    (2, 3)
    >>> layer
    Linear(in_features=5, out_features=3, bias=True)
    """

    made = linear.Linear
    size = "in_features"

    def _where(self, rank: int) -> int:
        return -1

    def from_state(self, shape: tuple[int, ...]) -> None:
        """From [out_features, in_features]."""
        self.become(shape[1])


class _LazyConv(LazyLayer):
    size = "in_channels"

    def from_state(self, shape: tuple[int, ...]) -> None:
        """From [out_channels, in_channels / groups, ...], or the other way round where it is transposed."""
        transposed = issubclass(type(self).made, conv._Transposed)
        self.become(shape[0] if transposed else shape[1] * self.__dict__["_groups"])


class LazyConv1d(_LazyConv):
    """`Conv1d` without `in_channels`."""

    made, rank = conv.Conv1d, 1


class LazyConv2d(_LazyConv):
    """`Conv2d` without `in_channels`."""

    made, rank = conv.Conv2d, 2


class LazyConv3d(_LazyConv):
    """`Conv3d` without `in_channels`."""

    made, rank = conv.Conv3d, 3


class LazyConvTranspose1d(_LazyConv):
    """`ConvTranspose1d` without `in_channels`."""

    made, rank = conv.ConvTranspose1d, 1


class LazyConvTranspose2d(_LazyConv):
    """`ConvTranspose2d` without `in_channels`."""

    made, rank = conv.ConvTranspose2d, 2


class LazyConvTranspose3d(_LazyConv):
    """`ConvTranspose3d` without `in_channels`."""

    made, rank = conv.ConvTranspose3d, 3


class _LazyNorm(LazyLayer):
    size = "num_features"
    held = ("weight", "bias")


class LazyBatchNorm1d(_LazyNorm):
    """`BatchNorm1d` without `num_features`."""

    made = norm.BatchNorm1d


class LazyBatchNorm2d(_LazyNorm):
    """`BatchNorm2d` without `num_features`."""

    made = norm.BatchNorm2d


class LazyBatchNorm3d(_LazyNorm):
    """`BatchNorm3d` without `num_features`."""

    made = norm.BatchNorm3d


class _LazyInstanceNorm(LazyLayer):
    size = "num_features"
    held = ()


class LazyInstanceNorm1d(_LazyInstanceNorm):
    """`InstanceNorm1d` without `num_features`."""

    made, rank = norm.InstanceNorm1d, 1


class LazyInstanceNorm2d(_LazyInstanceNorm):
    """`InstanceNorm2d` without `num_features`."""

    made, rank = norm.InstanceNorm2d, 2


class LazyInstanceNorm3d(_LazyInstanceNorm):
    """`InstanceNorm3d` without `num_features`."""

    made, rank = norm.InstanceNorm3d, 3
