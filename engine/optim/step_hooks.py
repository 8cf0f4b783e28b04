"""Hooks of optimizers: called before and after a step, and when the state is taken out and put back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.gradient_hooks import RemovableHandle
from engine.located import located


class Hooked:
    """What `Optimizer` inherits. An optimizer without hooks has none of this in its way: `step` is its own."""

    def _hooks_for(self, moment: str) -> dict[int, Any]:
        kept: dict[str, dict[int, Any]] = self.__dict__.setdefault("_hooks", {})
        return kept.setdefault(moment, {})

    def _keep(self, moment: str, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        hooks = self._hooks_for(moment)
        handle = RemovableHandle(hooks)
        others = dict(hooks)
        hooks[handle.id] = hook
        if prepend:
            hooks.clear()
            hooks.update({handle.id: hook, **others})
        if moment.endswith("step"):
            self.__dict__["step"] = self._hooked_step
        return handle

    def _tell(self, moment: str, *about: Any) -> list[Any]:
        hooks = self.__dict__.get("_hooks", {}).get(moment, {})
        return [hook(self, *about) for hook in list(hooks.values())]

    def _hooked_step(self, *args: Any, **kwargs: Any) -> Any:
        for hook in list(self._hooks_for("before step").values()):
            changed = hook(self, args, kwargs)
            if changed is None:
                continue
            if not (isinstance(changed, tuple) and len(changed) == 2):
                raise located(
                    RuntimeError(
                        f"a step pre hook returns None or (args, kwargs), got {type(changed).__name__}"
                    )
                )
            args, kwargs = changed
        result = type(self).step(self, *args, **kwargs)  # type: ignore[attr-defined]
        self._tell("after step", args, kwargs)
        return result

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each `step`; what it returns, if anything, replaces both.

        >>> import engine as ds
        >>> sgd = ds.optim.SGD([ds.zeros(1, requires_grad=True)], lr=0.1)
        >>> handle = sgd.register_step_pre_hook(lambda optimizer, args, kwargs: print("a step"))
        >>> sgd.step()
        a step
        """
        return self._keep("before step", hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each `step`."""
        return self._keep("after step", hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict`."""
        return self._keep("before saving", hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` after `state_dict`; what it returns, if anything, is the state."""
        return self._keep("after saving", hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before `load_state_dict`; what it returns, if anything, is loaded."""
        return self._keep("before loading", hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` after `load_state_dict`."""
        return self._keep("after loading", hook, prepend)

    def _passed(self, moment: str, state: Any) -> Any:
        """`state` as the hooks of a moment leave it."""
        for hook in list(self.__dict__.get("_hooks", {}).get(moment, {}).values()):
            changed = hook(self, state)
            state = state if changed is None else changed
        return state
