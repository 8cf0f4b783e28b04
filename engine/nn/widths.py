"""Sizes of a layer that can be assigned: what fits of its parameters and running statistics stays, the rest starts as at first."""

from __future__ import annotations

from functools import partial
from typing import Any

from engine.located import located
from engine.restructure import fitted, resize, whole


def width(name: str) -> Any:
    """An attribute that is a size. The class says with `resized(**{name: value})` what a fresh layer of that size is.

    Whatever that refuses is refused before anything has changed.
    """
    own = f"_{name}"

    def get(self: Any) -> int:
        return self.__dict__[own]  # type: ignore[no-any-return]

    def set(self: Any, value: int) -> None:
        if own not in self.__dict__:  # in __init__
            self.__dict__[own] = value
        elif value != self.__dict__[own] or isinstance(value, bool):
            _adopt(self, self.resized(**{name: whole(type(self).__name__, name, value)}))
            self.__dict__[own] = value

    return property(get, set)


def fixed(name: str) -> Any:
    """An attribute that is a size which cannot change in place; assigning another one says what to do instead."""
    own = f"_{name}"

    def get(self: Any) -> int:
        return self.__dict__[own]  # type: ignore[no-any-return]

    def set(self: Any, value: int) -> None:
        if own in self.__dict__ and value != self.__dict__[own]:
            kind = type(self).__name__
            raise located(
                ValueError(
                    f"{kind}.{name} cannot be changed in place, from {self.__dict__[own]} to {value!r}; assign a new "
                    f"{kind} instead of this one; nothing was changed"
                )
            )
        self.__dict__[own] = value

    return property(get, set)


def _itself(array: Any) -> Any:
    return array


def _adopt(module: Any, fresh: Any) -> None:
    """Give the parameters and buffers of `module` the sizes that those of `fresh` have."""
    for name, parameter in module._parameters.items():
        if parameter is not None:
            start = fresh._parameters[name].array
            resize(parameter, start.shape, partial(_itself, start))
    for name, buffer in module._buffers.items():
        other = fresh._buffers.get(name)
        if buffer is not None and other is not None and buffer.shape != other.shape:
            other = other.to(device=buffer.device, dtype=buffer.dtype)
            fitted(buffer.array, other.shape, other.array)
            module._buffers[name] = other
