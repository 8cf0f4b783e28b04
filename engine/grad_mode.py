"""What is true of a thread: whether gradients are recorded, and which modules are being called."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from engine.module_call import ModuleCall
    from engine.node import Node

F = TypeVar("F", bound=Callable[..., Any])


class State(threading.local):
    """One thread's state."""

    def __init__(self) -> None:
        self.grad = True
        self.phase = 0
        self.stream: int | None = None  # where a stream's block began, in the order of nodes
        self.stepwise = False  # inside a checkpoint: it has to be the same ops when they run again
        self.silent = False  # inside a custom op: what it is made of is not told
        self.asked = False  # a debugger's question runs: it is no part of the program
        self.region: Any = None  # ops that are put off (engine.jit), to be computed when somebody looks
        self.asked_jit = 0  # inside functions that are to be compiled without waiting for them to be hot
        self.no_jit = 0  # inside blocks where nothing is put off
        self.twin: Node | None = None  # forward node whose gradient is being computed, under create_graph
        self.call: ModuleCall | None = None
        # Modules being called, outermost first; in a module's place its call, where that was made up for later.
        self.modules: list[Any] = []


state = State()


def is_grad_enabled() -> bool:
    """Whether ops record what a gradient needs, in this thread."""
    return state.grad


class _GradMode:
    """Sets the mode for a `with` block or, as a decorator, for each call of a function."""

    __slots__ = ("_mode", "_previous")

    def __init__(self, mode: bool) -> None:
        self._mode = mode
        self._previous: list[bool] = []

    def __enter__(self) -> None:
        self._previous.append(state.grad)
        state.grad = self._mode

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        state.grad = self._previous.pop()

    def __call__(self, function: F) -> F:
        mode = self._mode

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with _GradMode(mode):
                return function(*args, **kwargs)

        return run  # type: ignore[return-value]


class no_grad(_GradMode):  # noqa: N801 - PyTorch's name
    """No op in the block records a gradient: `with ds.no_grad(): ...` or `@ds.no_grad()`."""

    __slots__ = ()

    def __new__(cls, function: Any = None) -> Any:
        """`@ds.no_grad` without parentheses decorates as well."""
        made = super().__new__(cls)
        if function is not None:
            _GradMode.__init__(made, False)
            return made(function)
        return made

    def __init__(self, function: Any = None) -> None:
        super().__init__(False)


class enable_grad(_GradMode):  # noqa: N801 - PyTorch's name
    """Ops in the block record gradients again, inside `no_grad`."""

    __slots__ = ()

    def __new__(cls, function: Any = None) -> Any:
        """`@ds.enable_grad` without parentheses decorates as well."""
        made = super().__new__(cls)
        if function is not None:
            _GradMode.__init__(made, True)
            return made(function)
        return made

    def __init__(self, function: Any = None) -> None:
        super().__init__(True)


class inference_mode(_GradMode):  # noqa: N801 - PyTorch's name
    """As `no_grad` (with `mode` False it does nothing): `with ds.inference_mode():` or `@ds.inference_mode()`."""

    __slots__ = ()

    def __new__(cls, mode: Any = True) -> Any:
        """`@ds.inference_mode` without parentheses decorates as well."""
        made = super().__new__(cls)
        if callable(mode):
            _GradMode.__init__(made, False)
            return made(mode)
        return made

    def __init__(self, mode: Any = True) -> None:
        super().__init__(False if mode else state.grad)


class set_grad_enabled(_GradMode):  # noqa: N801 - PyTorch's name
    """Set the mode at once, and back at the end when used as a context manager."""

    __slots__ = ()

    def __init__(self, mode: bool) -> None:
        super().__init__(mode)
        self._previous.append(state.grad)
        state.grad = mode

    def __enter__(self) -> None:
        if len(self._previous) != 1:
            super().__enter__()

    def __call__(self, function: F) -> F:
        """Used as a decorator it leaves the present mode alone."""
        state.grad = self._previous.pop()
        return super().__call__(function)
