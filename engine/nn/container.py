"""Modules that hold modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.located import located
from engine.module import Module
from engine.restructure import structure


class _Numbered(Module):
    """Submodules under the names "0", "1", ..."""

    def _items(self) -> list[Module]:
        return [m for m in self._modules.values() if m is not None]

    def _renumber(self, modules: Iterable[Module]) -> None:
        fresh = list(modules)
        self._modules.clear()
        structure.version += 1
        for i, module in enumerate(fresh):
            self.add_module(str(i), module)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._items())

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(self._items()[index])  # type: ignore[call-arg]
        return self._items()[index]

    def __setitem__(self, index: int, module: Module) -> None:
        self._modules[list(self._modules)[index]] = module
        structure.version += 1

    def __delitem__(self, index: int | slice) -> None:
        modules = self._items()
        del modules[index]
        self._renumber(modules)

    def append(self, module: Module) -> Any:
        """Add at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add all at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Add before the one at `index`."""
        modules = self._items()
        modules.insert(index, module)
        self._renumber(modules)
        return self

    def pop(self, index: int = -1) -> Module:
        """Take the module at `index` out."""
        modules = self._items()
        try:
            taken = modules.pop(index)
        except IndexError:
            raise located(
                IndexError(
                    f"{type(self).__name__}: index {index} is out of range, there are {len(modules)} modules"
                )
            ) from None
        self._renumber(modules)
        return taken

    def __iadd__(self, modules: Iterable[Module]) -> Any:
        return self.extend(modules)


class Sequential(_Numbered):
    """Modules called one after the other: `Sequential(a, b)` or `Sequential({"a": a, "b": b})`."""

    def __init__(self, *args: Any) -> None:
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
            return
        if len(args) == 1 and isinstance(args[0], list):
            args = tuple(args[0])
        for i, module in enumerate(args):
            if not callable(module):
                raise located(
                    TypeError(f"Sequential takes modules; argument {i} is a {type(module).__name__}")
                )
            self.add_module(str(i), module)

    def forward(self, input: Any) -> Any:
        """What the last module gives."""
        for module in self:
            input = module(input)
        return input

    def __add__(self, other: Iterable[Module]) -> Sequential:
        return Sequential(*self, *other)


class ModuleList(_Numbered):
    """A list whose modules are registered."""

    _gathers = True

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        self.extend(modules or ())

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])


class ModuleDict(Module):
    """A dict whose modules are registered."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module]) -> None:
        """Add or replace."""
        for name, module in modules.items():
            self.add_module(name, module)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]
        structure.version += 1

    def pop(self, key: str) -> Module:
        """Take the module of a name out. Raises `KeyError` where there is none."""
        taken: Any = self[key]
        del self[key]
        return taken  # type: ignore[no-any-return]

    def clear(self) -> None:
        """Take all out."""
        self._modules.clear()
        structure.version += 1

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def keys(self) -> Any:
        """The names."""
        return self._modules.keys()

    def values(self) -> Any:
        """The modules."""
        return self._modules.values()

    def items(self) -> Any:
        """Names and modules."""
        return self._modules.items()
