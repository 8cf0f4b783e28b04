"""Modules called with parameters that are not their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from engine.located import located
from engine.module import Module
from engine.tensor import Tensor


def functional_call(
    module: Module, parameter_and_buffer_dicts: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None, *,
    tie_weights: bool = True, strict: bool = False,
) -> Any:  # fmt: skip
    """Call `module` with the tensors of a dict (or of several) in the place of its parameters and buffers.

    What the dict does not name stays the module's own, unless `strict`. A tensor given for one of several paths of the
    same parameter counts for all, unless `tie_weights` is False. Gradients flow to the tensors given. Raises `KeyError`
    for a path the module does not have.

    >>> import engine as ds
    >>> net = ds.nn.Linear(2, 1, bias=False)
    >>> w = ds.tensor([[2.0, 3.0]], requires_grad=True)
    >>> functional_call(net, {"weight": w}, ds.tensor([1.0, 1.0])).tolist()
    [5.0]
    """
    dicts = (
        [parameter_and_buffer_dicts]
        if isinstance(parameter_and_buffer_dicts, Mapping)
        else list(parameter_and_buffer_dicts)
    )
    given: dict[str, Tensor] = {}
    for one in dicts:
        twice = sorted(set(one) & set(given))
        if twice:
            raise located(ValueError(f"{twice[0]!r} is in more than one of the dicts"))
        given.update(one)
    words = args if isinstance(args, tuple) else (args,)
    with _in_place(module, given, tie_weights, strict):
        return module(*words, **(kwargs or {}))


@contextmanager
def _in_place(module: Module, given: dict[str, Tensor], tie: bool, strict: bool) -> Iterator[None]:
    places: dict[str, tuple[dict[str, Any], str]] = {}
    for path, inner in module.named_modules(remove_duplicate=False):
        registers: list[dict[str, Any]] = [inner._parameters, inner._buffers]
        for register in registers:
            for name, value in register.items():
                if value is not None:
                    places[f"{path}.{name}" if path else name] = (register, name)
    for path, tensor in given.items():
        if path not in places:
            raise located(
                KeyError(
                    f"{type(module).__name__} has no parameter or buffer {path!r}; there are {', '.join(places)}"
                )
            )
        if not isinstance(tensor, Tensor):
            raise located(TypeError(f"{path!r} has to be a tensor, got {type(tensor).__name__}"))
    if strict and set(places) - set(given):
        missing = ", ".join(p for p in places if p not in given)
        raise located(KeyError(f"strict is True, and nothing is given for {missing}"))
    old = {path: register[name] for path, (register, name) in places.items()}
    named = {id(old[path]): path for path in given}
    put = {
        path: given[path] if path in given else given[named[id(value)]]
        for path, value in old.items()
        if path in given or (tie and id(value) in named)
    }
    try:
        for path, tensor in put.items():
            register, name = places[path]
            register[name] = tensor
        yield
    finally:
        for path in put:
            register, name = places[path]
            if path in given and register.get(name) is not given[path]:
                given[path] = register[name]  # a buffer that the call replaced
            register[name] = old[path]


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parameters and buffers of modules of one class, stacked along a new first dimension: an ensemble for `vmap`.

    Raises `ValueError` for no module, or modules of several classes.
    """
    from engine import stack  # made of everything else

    if not models or len({type(m) for m in models}) > 1:
        raise located(
            ValueError(
                f"stack_module_state needs modules of one class, got {sorted({type(m).__name__ for m in models})}"
            )
        )

    def stacked(each: list[dict[str, Any]]) -> dict[str, Tensor]:
        return {key: stack([one[key].detach() for one in each]) for key in each[0]}

    parameters = stacked([dict(m.named_parameters()) for m in models])
    for key, parameter in models[0].named_parameters():
        parameters[key].requires_grad_(parameter.requires_grad)
    return parameters, stacked([dict(m.named_buffers()) for m in models])
