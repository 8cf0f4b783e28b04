"""Lists and dicts whose parameters are registered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.module import Module
from engine.module_text import tensors_text
from engine.restructure import structure
from engine.tensor import Parameter, Tensor

__all__ = ["ParameterDict", "ParameterList"]


def _parameter(value: Any) -> Any:
    """Tensors become parameters, as in PyTorch."""
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


class ParameterList(Module):
    """A list whose parameters are registered as "0", "1", ..."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        self.extend(values or ())

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._parameters.values()))

    def __getitem__(self, index: int | slice) -> Any:
        found = list(self._parameters.values())[index]
        return ParameterList(found) if isinstance(index, slice) else found

    def __setitem__(self, index: int, value: Any) -> None:
        self._parameters[list(self._parameters)[index]] = _parameter(value)
        structure.version += 1

    def append(self, value: Any) -> Any:
        """Add at the end."""
        self.register_parameter(str(len(self)), _parameter(value))
        return self

    def extend(self, values: Iterable[Any]) -> Any:
        """Add all at the end."""
        for value in values:
            self.append(value)
        return self

    def __iadd__(self, values: Iterable[Any]) -> Any:
        return self.extend(values)

    def extra_repr(self) -> str:
        """The parameters."""
        return tensors_text(self._parameters)


class ParameterDict(Module):
    """A dict whose parameters are registered."""

    def __init__(self, parameters: Any = None) -> None:
        self.update(parameters or {})

    def update(self, parameters: Any) -> None:
        """Add or replace, from a mapping or pairs; a plain dict's are put in alphabetical order, as PyTorch's."""
        pairs = parameters.items() if isinstance(parameters, (Mapping, ParameterDict)) else parameters
        if isinstance(parameters, Mapping) and not isinstance(parameters, OrderedDict):
            pairs = sorted(pairs, key=lambda pair: pair[0])
        for name, value in pairs:
            self[name] = value

    def __getitem__(self, key: str) -> Any:
        return self._parameters[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.register_parameter(key, _parameter(value))

    def __delitem__(self, key: str) -> None:
        del self._parameters[key]
        structure.version += 1

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __contains__(self, key: object) -> bool:
        return key in self._parameters

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter of a name, or `default`."""
        return self._parameters.get(key, default)

    def pop(self, key: str) -> Any:
        """Take a parameter out."""
        structure.version += 1
        return self._parameters.pop(key)

    def popitem(self) -> tuple[str, Any]:
        """Take the last parameter out, with its name."""
        structure.version += 1
        return self._parameters.popitem()

    def clear(self) -> None:
        """Take all out."""
        self._parameters.clear()
        structure.version += 1

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The parameter of a name; where there is none, `default` becomes it."""
        if key not in self:
            self[key] = default
        return self[key]

    def copy(self) -> ParameterDict:
        """Another one with the same parameters."""
        return ParameterDict(OrderedDict(self.items()))

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """Another one with these names, and `default` for each."""
        return ParameterDict(dict.fromkeys(keys, default))

    def __or__(self, other: Any) -> ParameterDict:
        made = self.copy()
        made.update(other)
        return made

    def __ior__(self, other: Any) -> ParameterDict:
        self.update(other)
        return self

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._parameters))

    def keys(self) -> Any:
        """The names."""
        return self._parameters.keys()

    def values(self) -> Any:
        """The parameters."""
        return self._parameters.values()

    def items(self) -> Any:
        """Names and parameters."""
        return self._parameters.items()

    def extra_repr(self) -> str:
        """The parameters."""
        return tensors_text(self._parameters)
