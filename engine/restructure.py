"""A network that changes while it trains: what has changed, and parameters that change their size and stay themselves.

Every assignment of a parameter or a submodule counts one change. An optimizer made of `module.parameters()` looks
at the count before a step: parameters that are gone lose their state, new ones get a fresh one, and one that was
resized keeps the state of the part that stayed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from engine import backend
from engine.located import located
from engine.location import user_frame
from engine.node import leaf

if TYPE_CHECKING:
    from engine.module import Module
    from engine.tensor import Parameter


class Structure:
    """`version` counts the changes to any module's registers."""

    __slots__ = ("version",)

    def __init__(self) -> None:
        self.version = 0


structure = Structure()


class Parameters:
    """What `module.parameters()` gives: an iterator, as PyTorch's, that remembers what it goes over."""

    __slots__ = ("_iterator", "module", "recurse")

    def __init__(self, module: Module, recurse: bool) -> None:
        self.module = module
        self.recurse = recurse
        self._iterator = module.named_parameters(recurse=recurse)

    def __iter__(self) -> Iterator[Parameter]:
        return self

    def __next__(self) -> Parameter:
        return next(self._iterator)[1]

    def __reduce__(self) -> Any:
        return Parameters, (self.module, self.recurse)

    def again(self) -> list[Parameter]:
        """The parameters there are now."""
        return [parameter for _, parameter in self.module.named_parameters(recurse=self.recurse)]


def fitted(array: Any, shape: tuple[int, ...], fresh: Any) -> Any:
    """`fresh` (an array of `shape`) with the part that it and `array` share taken from `array`."""
    shared = tuple(slice(0, min(a, b)) for a, b in zip(array.shape, shape, strict=True))
    fresh[shared] = array[shared]
    return fresh


def resize(parameter: Parameter, shape: tuple[int, ...], fresh: Callable[[], Any]) -> None:
    """Give `parameter` another size in place: what fits stays, the rest is taken from `fresh()`, an array.

    It stays the same parameter for optimizers; its gradient is forgotten. Nothing happens where the shape is
    that already.
    """
    if parameter.shape == shape:
        return
    array = backend.move(fresh(), str(parameter.device)).astype(parameter.dtype, copy=True)
    parameter.array = fitted(parameter.array, shape, array)
    frame = user_frame(2)
    node = leaf(shape, parameter.dtype, "parameter", code=frame.f_code, lasti=frame.f_lasti)
    node.requires = parameter.node.requires
    node.name = parameter.node.name
    parameter.node = node
    structure.version += 1


def whole(owner: str, name: str, value: Any) -> int:
    """`value` as a size. Raises `ValueError` that names the attribute, before anything is altered."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise located(
            ValueError(f"{owner}.{name} takes a whole number, 1 or more, got {value!r}; nothing was changed")
        )
    return value
