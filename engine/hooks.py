"""Hooks of modules: functions called before and after `forward`, and when gradients pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import is_array
from engine.dispatch import apply
from engine.gradient_hooks import RemovableHandle
from engine.located import located
from engine.op import Op
from engine.tensor import Tensor

if TYPE_CHECKING:
    from engine.module import Module


def _seam_vjp(xp: Any, g: Any, out: Any, *inputs: Any, hook: Callable[[list[Any]], list[Any]]) -> Any:
    raw = [is_array(p) or isinstance(p, np.generic) for p in g]
    changed = hook(
        [
            Tensor(np.asarray(p)) if r and isinstance(p, np.generic) else Tensor(p) if r else p
            for p, r in zip(g, raw, strict=True)
        ]
    )
    plain = any(raw)
    return tuple(p.array if plain and isinstance(p, Tensor) else p for p in changed)


# Not in OPS: values go through it unchanged. It is where all gradients of a module's inputs, or of its outputs,
# come together.
SEAM = Op(
    "seam",
    lambda xp, *inputs, hook: inputs,
    family="other",
    shape=lambda *shapes, hook: list(shapes),
    dtype=lambda *dtypes, hook: list(dtypes),
    vjp=_seam_vjp,
    arg_names=("input",),
    outputs=None,
    doc="Hooks of a module.",
)


class Hooks:
    """The hooks of one module, in the order they were registered. Made when the first one is."""

    __slots__ = ("after", "backward", "before", "before_backward")

    def __init__(self) -> None:
        self.before: dict[int, Any] = {}
        self.after: dict[int, Any] = {}
        self.backward: dict[int, Any] = {}
        self.before_backward: dict[int, Any] = {}

    @staticmethod
    def add(hooks: dict[int, Any], hook: Any, first: bool) -> RemovableHandle:
        """Register `hook` at the end, or as the first."""
        handle = RemovableHandle(hooks)
        hooks[handle.id] = hook
        if first:
            others = [(key, value) for key, value in hooks.items() if key != handle.id]
            hooks.clear()
            hooks.update([(handle.id, hook), *others])
        return handle

    def __deepcopy__(self, memo: dict[Any, Any]) -> Hooks:
        made = Hooks()
        for name in self.__slots__:
            getattr(made, name).update(getattr(self, name))
        return made

    def call(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`module.forward` with everything around it."""
        for hook, with_kwargs in list(self.before.values()):
            if with_kwargs:
                changed = hook(module, args, kwargs)
                if changed is not None:
                    if not isinstance(changed, tuple) or len(changed) != 2:
                        raise located(
                            TypeError(
                                f"a forward pre-hook with kwargs returns None or (args, kwargs), got {changed!r}"
                            )
                        )
                    args, kwargs = changed
            else:
                changed = hook(module, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        watch = _Gradients(self, module) if self.backward or self.before_backward else None
        if watch is not None:
            args = watch.enter(args)
        finished = False
        result: Any = None
        try:
            result = module._inner(args, kwargs)
            finished = True
        finally:
            if not finished:
                self._after(module, args, kwargs, None, True)
        result = self._after(module, args, kwargs, result, False)
        return result if watch is None else watch.leave(result)

    def _after(self, module: Module, args: Any, kwargs: Any, result: Any, failed: bool) -> Any:
        for hook, with_kwargs, always in list(self.after.values()):
            if failed and not always:
                continue
            changed = hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
            if changed is not None:
                result = changed
        return result


class _Gradients:
    """One call of a module whose gradients are watched."""

    def __init__(self, hooks: Hooks, module: Module) -> None:
        self.hooks, self.module = hooks, module
        self.of_outputs: tuple[Any, ...] = ()
        self.entered = False

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, the tensors among them gone through a seam."""
        at = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        if not any(args[i].requires_grad for i in at):
            return args
        self.entered = True
        made = apply(SEAM, tuple(args[i] for i in at), {"hook": self._inputs})
        changed = list(args)
        for i, t in zip(at, made, strict=True):
            changed[i] = t
        return tuple(changed)

    def leave(self, result: Any) -> Any:
        """The result, its tensors gone through a seam."""
        if isinstance(result, dict):
            keys = list(result)
            made = self.leave(tuple(result.values()))
            return dict(zip(keys, made, strict=True))
        single = not isinstance(result, (tuple, list))
        parts = [result] if single else list(result)
        at = [i for i, a in enumerate(parts) if isinstance(a, Tensor)]
        if not any(parts[i].requires_grad for i in at):
            return result
        made = apply(SEAM, tuple(parts[i] for i in at), {"hook": self._outputs})
        for i, t in zip(at, made, strict=True):
            parts[i] = t
        return (
            parts[0]
            if single
            else type(result)(parts)
            if not hasattr(result, "_fields")
            else type(result)(*parts)
        )

    def _outputs(self, g: list[Any]) -> list[Any]:
        for hook in list(self.hooks.before_backward.values()):
            changed = hook(self.module, tuple(g))
            if changed is not None:
                g = list(changed) if isinstance(changed, (tuple, list)) else [changed]
        self.of_outputs = tuple(g)
        if not self.entered:
            self._told([None])
        return g

    def _inputs(self, g: list[Any]) -> list[Any]:
        return self._told(g)

    def _told(self, g: list[Any]) -> list[Any]:
        for hook in list(self.hooks.backward.values()):
            changed = hook(self.module, tuple(g), self.of_outputs)
            if changed is not None:
                g = list(changed) if isinstance(changed, (tuple, list)) else [changed]
        return g
