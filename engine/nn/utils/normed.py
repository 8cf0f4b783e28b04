"""Weights held to a norm: computed anew from other parameters before each call of their module."""

from __future__ import annotations

from typing import Any, TypeVar

from engine.located import located
from engine.module import Module
from engine.nn.conv import _Transposed
from engine.ops.length import norm
from engine.ops.products import mv
from engine.tensor import Parameter, Tensor

M = TypeVar("M", bound=Module)


def lengths(weight: Any, dim: int | None) -> Any:
    """The norm of each slice along `dim`, in a shape that broadcasts; of all without it."""
    if dim is None:
        return norm(weight)
    others = [i for i in range(weight.ndim) if i != dim % weight.ndim]
    return norm(weight, 2, others, True)


def unit(x: Any, eps: float) -> Any:
    """`x` at length 1, or shorter where it is shorter than `eps`."""
    return x / norm(x).clamp(min=eps)


def _hooks(module: Module) -> dict[str, Any]:
    return module.__dict__.setdefault("_weight_hooks", {})  # type: ignore[no-any-return]


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Learn a weight as a direction `NAME_v` and a length `NAME_g` (Salimans and Kingma 2016).

    Raises `AttributeError` where the module has no such parameter.
    """
    weight = module._parameters.get(name)
    if weight is None:
        raise AttributeError(f"{type(module).__name__} has no parameter {name!r}")
    del module._parameters[name]
    module.register_parameter(f"{name}_g", Parameter(lengths(weight.detach(), dim)))
    module.register_parameter(f"{name}_v", Parameter(weight.detach().clone()))

    def compute(module: Module, args: Any) -> None:
        v, g = getattr(module, f"{name}_v"), getattr(module, f"{name}_g")
        module.__dict__[name] = v * (g / lengths(v, dim))

    compute(module, ())
    _hooks(module)[name] = module.register_forward_pre_hook(compute)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Make the weight an ordinary parameter again."""
    return _plain(module, name, (f"{name}_g", f"{name}_v"), ())


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Divide a weight by its largest singular value, followed by power iterations (Miyato et al. 2018)."""
    from engine.creation import randn

    weight = module._parameters.get(name)
    if weight is None:
        raise AttributeError(f"{type(module).__name__} has no parameter {name!r}")
    if dim is None:
        dim = 1 if isinstance(module, _Transposed) else 0  # the outputs
    del module._parameters[name]
    module.register_parameter(f"{name}_orig", weight)
    rows = weight.shape[dim]

    module.register_buffer(f"{name}_u", unit(randn(rows, dtype=weight.dtype), eps).detach())
    module.register_buffer(
        f"{name}_v", unit(randn(weight.numel() // max(rows, 1), dtype=weight.dtype), eps).detach()
    )

    def compute(module: Module, args: Any) -> None:
        original = getattr(module, f"{name}_orig")
        matrix = original.movedim(dim, 0).reshape(original.shape[dim], -1)
        u, v = getattr(module, f"{name}_u"), getattr(module, f"{name}_v")
        if module.training:
            fixed = matrix.detach()
            for _ in range(n_power_iterations):
                v = unit(mv(fixed.T, u), eps).detach()
                u = unit(mv(fixed, v), eps).detach()
            module._buffers[f"{name}_u"], module._buffers[f"{name}_v"] = u, v
        module.__dict__[name] = original / (u * mv(matrix, v)).sum()

    compute(module, ())
    _hooks(module)[name] = module.register_forward_pre_hook(compute)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Make the weight an ordinary parameter again."""
    return _plain(module, name, (f"{name}_orig",), (f"{name}_u", f"{name}_v"))


def _plain(module: M, name: str, parameters: tuple[str, ...], buffers: tuple[str, ...]) -> M:
    hook = _hooks(module).pop(name, None)
    if hook is None:
        raise located(ValueError(f"{name!r} of {type(module).__name__} is not held to a norm"))
    hook.remove()
    value: Tensor = module.__dict__.pop(name)
    for other in parameters:
        del module._parameters[other]
    for other in buffers:
        del module._buffers[other]
    module.register_parameter(name, Parameter(value.detach().clone()))
    return module
