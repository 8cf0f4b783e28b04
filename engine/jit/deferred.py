"""Tensors whose value is computed when somebody looks, and tensors that lend theirs to such.

Both are what they seem: reading `array` settles what is put off and makes an ordinary tensor of them. Every way to a
value and to its memory leads over `array`, so nobody sees that it was computed later.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine import late
from engine.backend import CPU, Device, device_of
from engine.size import Size
from engine.tensor import Parameter, Tensor

_slot: Any = Tensor.__dict__["array"]
raw = _slot.__get__  # the array of a tensor that lends it
fill = _slot.__set__


class Lazy(Tensor):
    """A result of a region that is still open. `how` is the region and the number of the step."""

    __slots__ = ()

    @property
    def array(self) -> Any:
        """The array itself, computed by now."""
        settle_of(self)
        return raw(self)

    @array.setter
    def array(self, value: Any) -> None:
        settle_of(self)
        fill(self, value)
        self.__class__ = Tensor  # type: ignore[assignment]

    @property
    def shape(self) -> Size:
        """Size of each dimension."""
        return Size(self.node.shape)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.node.shape)

    @property
    def dtype(self) -> Any:
        """Element type."""
        return self.node.dtype

    @property
    def is_cuda(self) -> bool:
        """Whether the value lives on a GPU."""
        return self.device is not CPU

    @property
    def device(self) -> Device:
        """Where the value lives."""
        how = getattr(self, "how", None)
        if how is None:  # computed by another thread at this moment
            return device_of(self.array)
        return CPU if how[0].far is None else Device("cuda", how[0].far)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of dimension `dim`."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """Number of dimensions."""
        return len(self.node.shape)

    def __reduce_ex__(self, protocol: Any) -> Any:
        settle_of(self)
        return self.__reduce_ex__(protocol)


class Lent(Tensor):
    """A tensor whose array an open region reads."""

    __slots__ = ()

    @property
    def array(self) -> Any:
        """The array itself, computed by now."""
        take_back(self, Tensor)
        return raw(self)

    @array.setter
    def array(self, value: Any) -> None:
        take_back(self, Tensor)
        fill(self, value)

    @property
    def shape(self) -> Size:
        """Size of each dimension."""
        return Size(raw(self).shape)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return raw(self).ndim  # type: ignore[no-any-return]

    @property
    def dtype(self) -> Any:
        """Element type."""
        return raw(self).dtype

    @property
    def device(self) -> Device:
        """Where the value lives."""
        return device_of(raw(self))

    @property
    def is_cuda(self) -> bool:
        """Whether the value lives on a GPU."""
        return not isinstance(raw(self), np.ndarray)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of dimension `dim`."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """Number of dimensions."""
        return raw(self).ndim  # type: ignore[no-any-return]

    def __reduce_ex__(self, protocol: Any) -> Any:
        take_back(self, Tensor)
        return self.__reduce_ex__(protocol)


class LentParameter(Parameter):
    """A parameter whose array an open region reads."""

    __slots__ = ()

    @property
    def array(self) -> Any:
        """The array itself, computed by now."""
        take_back(self, Parameter)
        return raw(self)

    @array.setter
    def array(self, value: Any) -> None:
        take_back(self, Parameter)
        fill(self, value)

    shape = Lent.shape
    ndim = Lent.ndim
    dtype = Lent.dtype
    device = Lent.device
    is_cuda = Lent.is_cuda
    size = Lent.size
    dim = Lent.dim

    def __reduce_ex__(self, protocol: Any) -> Any:
        take_back(self, Parameter)
        return self.__reduce_ex__(protocol)


# To the person they are what they stand for.
for _kind, _name in ((Lazy, "Tensor"), (Lent, "Tensor"), (LentParameter, "Parameter")):
    _kind.__name__ = _kind.__qualname__ = _name

LENT: dict[type, type] = {Tensor: Lent, Parameter: LentParameter}
OWN: dict[type, type] = {Lent: Tensor, LentParameter: Parameter}


def settle_of(tensor: Tensor) -> None:
    """Compute the region that makes `tensor`."""
    how = getattr(tensor, "how", None)
    if how is not None:
        how[0].settle()


def take_back(tensor: Tensor, kind: type) -> None:
    """Compute what reads `tensor`, which is then of its own `kind` again."""
    late.settle()
    if type(tensor) is not kind:
        tensor.__class__ = kind
