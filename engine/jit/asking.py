"""`ds.jit` asks for compilation, `ds.no_jit` refuses it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from engine import dispatch
from engine.grad_mode import state
from engine.located import located
from engine.locks import reentrant
from engine.module import Module
from engine.pool import LARGE

F = TypeVar("F", bound=Callable[..., Any])

_lock = reentrant()
_asking = 0  # threads inside a function that asked


def jit(target: Any = None) -> Any:
    """Compile what `target`, a function or a module, runs, from its first call on and whatever the size of its parts.

    Python runs as written each time; the first calls compute op by op while the compiler works beside them: the system's
    for C, or CUDA's for what is on a GPU. Gives the function wrapped, or the same module (or class of modules) marked.
    `@ds.jit` and `@ds.jit()` both do.
    Raises `TypeError` for anything that cannot be called.

    >>> @jit
    ... def gelu(x):
    ...     return 0.5 * x * (1 + (0.7978845608 * (x + 0.044715 * x * x * x)).tanh())
    """
    if target is None:
        return jit
    if isinstance(target, Module):
        target.__dict__["_jit"] = True
        return target
    if isinstance(target, type) and issubclass(target, Module):
        target._jit = True
        return target
    if not callable(target):
        raise located(TypeError(f"jit takes a function or a module, got {type(target).__name__}"))

    @functools.wraps(target)
    def run(*args: Any, **kwargs: Any) -> Any:
        return asked(target, args, kwargs)

    return run


def compile(
    model: Any = None, *, fullgraph: bool = False, dynamic: bool | None = None, backend: Any = "inductor",
    mode: str | None = None, options: dict[str, Any] | None = None, disable: bool = False,
) -> Any:  # fmt: skip
    """PyTorch's name for `jit`: Python runs as written here, so whatever graph it makes is fine, and the options of how
    PyTorch compiles change nothing. `disable` leaves the model as it is.

    >>> import engine as ds
    >>> net = compile(ds.nn.Linear(2, 1), mode="max-autotune")
    >>> net(ds.ones(3, 2)).shape
    (3, 1)
    """
    if model is None:
        return functools.partial(compile, disable=disable)
    return model if disable else jit(model)


def asked(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`function(*args, **kwargs)`, what it runs compiled; nothing of it is put off beyond its end."""
    if state.asked_jit:
        return function(*args, **kwargs)
    if state.region is not None:
        state.region.settle()
    _count(1)
    state.asked_jit += 1
    try:
        result = function(*args, **kwargs)
    finally:
        state.asked_jit -= 1
        _count(-1)
    if state.region is not None:
        state.region.settle()
    return result


def _count(change: int) -> None:
    """While anybody asks, small arrays are looked at too."""
    global _asking
    with _lock:
        _asking += change
        dispatch.look_from(0 if _asking else LARGE)


class no_jit:  # noqa: N801 - written as a function, `with ds.no_jit():`
    """Nothing in the block, or in the decorated function, is put off or compiled, not even where `jit` asks.

    >>> with no_jit():
    ...     pass
    """

    __slots__ = ()

    def __new__(cls, function: Any = None) -> Any:
        """`@ds.no_jit` without parentheses decorates as well."""
        made = super().__new__(cls)
        return made if function is None else made(function)

    def __enter__(self) -> None:
        if state.region is not None:
            state.region.settle()
        state.no_jit += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        state.no_jit -= 1

    def __call__(self, function: F) -> F:
        """`function`, run in such a block."""
        if not callable(function):
            raise located(TypeError(f"no_jit takes a function, got {type(function).__name__}"))

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with no_jit():
                return function(*args, **kwargs)

        return run  # type: ignore[return-value]
