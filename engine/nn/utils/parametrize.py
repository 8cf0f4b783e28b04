"""Parameters computed from others by modules of the person's: `layer.weight` is `parametrization(original)`.

The keys of the state are PyTorch's: `parametrizations.weight.original`, `parametrizations.weight.0.…`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from engine.located import located
from engine.module import Module
from engine.nn.container import ModuleDict, ModuleList
from engine.tensor import Parameter, Tensor

M = TypeVar("M", bound=Module)

__all__ = [
    "ParametrizationList", "cached", "is_parametrized", "register_parametrization", "remove_parametrizations",
]  # fmt: skip

_cache: dict[tuple[int, str], Tensor] | None = None


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, first to last, and what it is computed from (`original`, or several).

    Where the first one's `right_inverse` gives several tensors they are `original0`, `original1`...
    """

    original: Tensor
    is_tensor: bool
    ntensors: int

    def __init__(self, modules: list[Module], original: Tensor, unsafe: bool = False) -> None:
        super().__init__(modules)
        value: Any = original.detach()
        for module in reversed(modules):
            if hasattr(module, "right_inverse"):
                value = module.right_inverse(value)
        self.is_tensor = isinstance(value, Tensor)
        if self.is_tensor:
            self._keep("original", value, original)
        else:
            for i, part in enumerate(value):
                self._keep(f"original{i}", part, original)
            self.ntensors = len(value)
        if not unsafe:
            made = self()
            if made.shape != original.shape or made.dtype != original.dtype:
                raise located(
                    ValueError(
                        f"a parametrization has to keep shape and dtype, {list(original.shape)} {original.dtype}, it gave "
                        f"{list(made.shape)} {made.dtype}; unsafe=True allows it"
                    )
                )

    def _keep(self, name: str, value: Tensor, original: Tensor) -> None:
        if isinstance(original, Parameter):
            self.register_parameter(name, Parameter(value.detach(), original.requires_grad))
        else:
            self.register_buffer(name, value.detach())

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the tensor becomes `value`. Raises `RuntimeError` where that cannot be told."""
        back: Any = value.detach()
        for module in reversed(list(self)):
            if not hasattr(module, "right_inverse"):
                raise located(
                    RuntimeError(
                        f"{type(module).__name__} has no right_inverse: the tensor cannot be assigned"
                    )
                )
            back = module.right_inverse(back)
        for i, part in enumerate([back] if self.is_tensor else back):
            getattr(self, "original" if self.is_tensor else f"original{i}").data.copy_(part.detach())

    def forward(self) -> Tensor:
        """The tensor."""
        modules = list(self)
        if self.is_tensor:
            value = modules[0](self.original)
        else:
            value = modules[0](*[getattr(self, f"original{i}") for i in range(self.ntensors)])
        for module in modules[1:]:
            value = module(value)
        return value  # type: ignore[no-any-return]


def held(module: Module) -> Any:
    """The lists of a parametrized module, by the tensor's name."""
    return module._modules["parametrizations"]


def _property(name: str) -> property:
    def get(self: Module) -> Tensor:
        if _cache is None:
            return held(self)[name]()  # type: ignore[no-any-return]
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = held(self)[name]()
        return _cache[key]

    def put(self: Module, value: Tensor) -> None:
        held(self)[name].right_inverse(value)

    return property(get, put)


@contextmanager
def cached() -> Iterator[None]:
    """Inside, each parametrized tensor is computed once."""
    global _cache
    outer = _cache
    _cache = {} if outer is None else outer
    try:
        yield
    finally:
        _cache = outer


def register_parametrization(
    module: M, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> M:
    """Let `module.tensor_name` be `parametrization(...)` of what it was; a second one is applied to the first's result.

    `right_inverse(tensor)` of the parametrization, if it has one, says what the original starts as. Returns the module,
    whose class becomes one of its own. Raises `ValueError` where there is no such tensor, or its shape would change.

    >>> import engine as ds
    >>> class Symmetric(ds.nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).T
    >>> layer = register_parametrization(ds.nn.Linear(3, 3), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.T).all())
    True
    """
    if is_parametrized(module, tensor_name):
        many: Any = held(module)[tensor_name]
        before = getattr(module, tensor_name).detach()
        many.append(parametrization)
        if not unsafe and getattr(module, tensor_name).shape != before.shape:
            raise located(
                ValueError(
                    f"a parametrization has to keep the shape {list(before.shape)}; unsafe=True allows another"
                )
            )
        return module
    parameter = module._parameters.get(tensor_name)
    original = parameter if parameter is not None else module._buffers.get(tensor_name)
    if original is None:
        raise located(ValueError(f"{type(module).__name__} has no parameter or buffer {tensor_name!r}"))
    made = ParametrizationList([parametrization], original, unsafe)
    if not is_parametrized(module):
        kind = type(module)
        module.__class__ = type(f"Parametrized{kind.__name__}", (kind,), {"__module__": kind.__module__})
        module.add_module("parametrizations", ModuleDict())
    setattr(type(module), tensor_name, _property(tensor_name))
    delattr(module, tensor_name)
    held(module)[tensor_name] = made
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module has parametrized tensors, or this one is."""
    tensors = module._modules.get("parametrizations")
    if not isinstance(tensors, ModuleDict):
        return False
    return len(tensors) > 0 if tensor_name is None else tensor_name in tensors


def remove_parametrizations(module: M, tensor_name: str, leave_parametrized: bool = True) -> M:
    """Make the tensor an ordinary one again: as it is now, or with `leave_parametrized=False` the original.

    Raises `ValueError` where it is not parametrized, or has several originals of which none can be left.
    """
    if not is_parametrized(module, tensor_name):
        raise located(ValueError(f"{tensor_name!r} of {type(module).__name__} is not parametrized"))
    one: Any = held(module)[tensor_name]
    if not leave_parametrized and not one.is_tensor:
        raise located(ValueError(f"{tensor_name!r} has several originals: leave_parametrized has to be True"))
    value = getattr(module, tensor_name).detach() if leave_parametrized else one.original.detach()
    learned = list(one.parameters(recurse=False))
    del held(module)[tensor_name]
    delattr(type(module), tensor_name)
    if learned:
        module.register_parameter(tensor_name, Parameter(value, any(p.requires_grad for p in learned)))
    else:
        module.register_buffer(tensor_name, value)
    if not is_parametrized(module):
        del module._modules["parametrizations"]
        module.__class__ = type(module).__mro__[1]
    return module
