"""Parameters that got no gradient by the time it is needed.

That is the step of the optimizer they belong to; for parameters no optimizer owns, the end of the backward pass.
"""

from __future__ import annotations

import weakref
from typing import Any

from engine.module import Module
from engine.module_call import ModuleCall
from engine.optim.optimizer import Optimizer, living


class Missing:
    """Remembers which networks ran, and finds those of their parameters that have no gradient."""

    def __init__(self) -> None:
        self._roots: weakref.WeakKeyDictionary[Module, str] = weakref.WeakKeyDictionary()
        self._ran: weakref.WeakSet[Module] = weakref.WeakSet()  # since the last backward pass

    def entered(self, call: ModuleCall) -> None:
        """A module is about to run."""
        if call.parent is None:
            self._roots[call.module] = call.path
            self._ran.add(call.module)

    def inside(self, call: ModuleCall | None) -> None:
        """The program goes on inside `call`, of whose entry nothing was heard."""
        while call is not None and call.parent is not None:
            call = call.parent
        if call is not None:
            self.entered(call)

    def at_step(self, optimizer: Optimizer) -> list[tuple[str, Any]]:
        """Parameters of `optimizer` without a gradient, as (name, tensor)."""
        names = self._names()
        return [
            (names.get(id(parameter)) or f"a parameter of shape {list(parameter.shape)}", parameter)
            for group in optimizer.param_groups
            for parameter in group["params"]
            if parameter.requires_grad and parameter.grad is None
        ]

    def after_backward(self) -> list[tuple[str, Any]]:
        """Parameters of the networks that ran, without a gradient, and without an optimizer to wait for."""
        owned = {
            id(p) for optimizer in list(living) for group in optimizer.param_groups for p in group["params"]
        }
        found = [
            (f"{self._roots[root]}.{name}", parameter)
            for root in list(self._ran)
            for name, parameter in root.named_parameters()
            if parameter.requires_grad and parameter.grad is None and id(parameter) not in owned
        ]
        self._ran.clear()
        return found

    def _names(self) -> dict[int, str]:
        return {
            id(parameter): f"{path}.{name}"
            for root, path in list(self._roots.items())
            for name, parameter in root.named_parameters()
        }
