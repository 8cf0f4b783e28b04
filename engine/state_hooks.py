"""What a module says and hears when its state is taken out and put back: hooks, and state that is no tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.gradient_hooks import RemovableHandle
from engine.located import located

if TYPE_CHECKING:
    from engine.module import Module

EXTRA = "_extra_state"


class StateHooks:
    """The hooks of one module's state, in the order they were registered. Made when the first one is."""

    __slots__ = ("after_loading", "after_saving", "before_loading", "before_saving")

    def __init__(self) -> None:
        self.before_saving: dict[int, Any] = {}
        self.after_saving: dict[int, Any] = {}
        self.before_loading: dict[int, Any] = {}
        self.after_loading: dict[int, Any] = {}


class Stateful:
    """What `Module` inherits: the registration of these hooks, and `get_extra_state` for subclasses to give."""

    __slots__ = ()

    def _state_hooked(self) -> StateHooks:
        hooks: StateHooks = self.__dict__.setdefault("_state_hooks", StateHooks())
        return hooks

    @staticmethod
    def _kept(hooks: dict[int, Any], hook: Any) -> RemovableHandle:
        handle = RemovableHandle(hooks)
        hooks[handle.id] = hook
        return handle

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: list[str],
        unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        """A subclass may bring what an older version saved to today's names, and calls this one.

        It is called before anything is taken over, which `load_state_dict` does by itself.
        """

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict` looks at this module."""
        return self._kept(self._state_hooked().before_saving, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after this module's part of `state_dict`.

        It changes the dict in place.
        """
        return self._kept(self._state_hooked().after_saving, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook` before `load_state_dict` looks at this module: the place to rename keys of older checkpoints.

        As `hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)`; it
        changes the dict in place, a copy of what was given.
        """
        return self._kept(self._state_hooked().before_loading, (hook, True))

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        """The older name, whose hook is not given the module."""
        return self._kept(self._state_hooked().before_loading, (hook, with_module))

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """The older name of `register_state_dict_post_hook`."""
        return self.register_state_dict_post_hook(hook)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after `load_state_dict`; keys it takes out of the lists are forgiven."""
        return self._kept(self._state_hooked().after_loading, hook)

    def get_extra_state(self) -> Any:
        """What belongs to the state besides tensors; subclasses that have any give this and `set_extra_state`."""
        raise located(
            RuntimeError(
                f"{type(self).__name__} has no get_extra_state; a subclass with such a state gives one"
            )
        )

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave."""
        raise located(
            RuntimeError(
                f"{type(self).__name__} has no set_extra_state; a subclass with such a state gives one"
            )
        )


def has_extra(module: Module) -> bool:
    """Whether the class of a module gives a state besides tensors."""
    return type(module).get_extra_state is not Stateful.get_extra_state


def before_saving(module: Module, prefix: str, keep_vars: bool) -> None:
    """Call the hooks of a module for this moment."""
    hooks: StateHooks | None = module.__dict__.get("_state_hooks")
    if hooks is not None:
        for hook in list(hooks.before_saving.values()):
            hook(module, prefix, keep_vars)


def after_saving(module: Module, found: dict[str, Any], prefix: str) -> None:
    """Call the hooks of a module for this moment."""
    hooks: StateHooks | None = module.__dict__.get("_state_hooks")
    if hooks is not None:
        for hook in list(hooks.after_saving.values()):
            hook(module, found, prefix, {"version": 1})


def before_loading(module: Module, state: Any, strict: bool) -> tuple[Any, list[str]]:
    """`state` as the hooks of a module and of all inside leave it, and what they complain of."""
    errors: list[str] = []
    copied = False
    for path, inner in module.named_modules(remove_duplicate=False):
        hooks: StateHooks | None = inner.__dict__.get("_state_hooks")
        own = type(inner)._load_from_state_dict is not Stateful._load_from_state_dict
        if not own and (hooks is None or not hooks.before_loading):
            continue
        if not copied:
            state, copied = dict(state), True
        prefix = f"{path}." if path else ""
        if own:
            inner._load_from_state_dict(state, prefix, {}, strict, [], [], errors)
        for hook, with_module in list(hooks.before_loading.values() if hooks is not None else ()):
            more = (inner,) if with_module else ()
            hook(*more, state, prefix, {}, strict, [], [], errors)
    return state, errors


def after_loading(module: Module, result: Any) -> None:
    """Call the hooks of all modules for this moment, the innermost first."""
    for inner in reversed(list(module.modules())):
        hooks: StateHooks | None = inner.__dict__.get("_state_hooks")
        if hooks is not None:
            for hook in list(hooks.after_loading.values()):
                if hook(inner, result) is not None:
                    raise located(
                        RuntimeError(
                            "a load_state_dict post hook returns nothing; it changes the lists of keys in place"
                        )
                    )
