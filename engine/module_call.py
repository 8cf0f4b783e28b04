"""One call of a module, as traces, errors and the debugger know it.

A call is made only while somebody listens. Whoever begins to listen while a program is inside its modules finds the
calls it is in all the same: they are made up for by the first that asks.
"""

from __future__ import annotations

import itertools
import weakref
from sys import _getframe
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from engine.bus import bus
from engine.grad_mode import state
from engine.location import INTERNAL, line_of
from engine.names import variable_of

if TYPE_CHECKING:
    from engine.module import Module

calls = itertools.count(1)


class ModuleCall:
    """One call of a module. `path` is "net.cell"; the outermost module is named for the caller's variable.

    `frame` is that of the caller, or of what the engine has in between.
    """

    __slots__ = ("cls", "code", "depth", "failed", "id", "lasti", "module", "out", "parent", "path")

    def __init__(self, module: Module, parent: ModuleCall | None, frame: FrameType) -> None:
        while INTERNAL[frame.f_code.co_filename]:
            caller = frame.f_back
            if caller is None:
                break
            frame = caller
        self.id = next(calls)
        self.module = module
        self.parent = parent
        self.cls = type(module).__name__
        self.code: CodeType = frame.f_code
        self.lasti = frame.f_lasti
        self.failed = False
        self.out: Any = None  # the result, only while the sinks of module_exit look
        if parent is None:
            self.depth = 0
            self.path = module._called or _variable(module, frame) or self.cls
        else:
            self.depth = parent.depth + 1
            outer = parent.module
            inside = _insides.get((id(outer), id(module)), "")
            if not inside or outer._modules.get(inside) is not module:
                inside = path_inside(outer, module)
                if len(_insides) >= _MOST_NAMES:
                    _insides.clear()
                _insides[id(outer), id(module)] = inside
            self.path = f"{parent.path}.{inside or module._called or self.cls}"

    @property
    def filename(self) -> str:
        """File of the call."""
        return self.code.co_filename

    @property
    def line(self) -> int:
        """Line of the call."""
        return line_of(self.code, self.lasti)

    def leave(self, out: Any, finished: bool) -> None:
        """The call ends, with its result where it `finished`: it is no longer the innermost, and that is told."""
        state.call = self.parent
        self.out, self.failed = out, not finished
        for sink in bus.module_exit:
            try:
                sink("module_exit", self)
            except Exception:  # noqa: BLE001 - a debugger's mistake is no mistake of the program
                bus.failed("module_exit", sink)
        self.out = None

    def __repr__(self) -> str:
        return f"<ModuleCall {self.id} {self.path} {self.cls}>"


def open_call() -> ModuleCall | None:
    """The innermost call that this thread is in; None outside of modules.

    >>> open_call() is None
    True
    """
    call = state.call
    if len(state.modules) == (0 if call is None else call.depth + 1):
        return call
    return made_up()


def made_up(skip: int = 0) -> ModuleCall | None:
    """The innermost call that this thread is in, `skip` further out, where some began while nobody listened: they are made now.

    Nobody is told of their beginning; of their end they tell as the others do.
    """
    from engine.module import Module  # made of calls

    stack = state.modules
    body = Module.__call__.__code__
    frames = []
    frame: FrameType | None = _getframe(1)
    while frame is not None:
        if frame.f_code is body:
            frames.append(frame)
        frame = frame.f_back
    if len(frames) != len(stack):
        return state.call  # a greenlet's: where its modules are called from is not to be seen here
    call = None
    for index in range(len(stack) - skip):
        frame = frames[-1 - index]
        module = stack[index]
        known = module if isinstance(module, ModuleCall) else frame.f_locals.get("call")
        if known is None:
            assert frame.f_back is not None
            known = stack[index] = ModuleCall(module, call, frame.f_back)
        call = known
    state.call = call
    return call


def module_of(entry: Module | ModuleCall) -> Module:
    """The module of an entry among those that are being called."""
    return entry.module if isinstance(entry, ModuleCall) else entry


# Where modules were found inside others the last time, and the variables they were called by: looking for either
# takes as long as the network, or the program, is large.
_insides: dict[tuple[int, int], str] = {}
_variables: dict[int, tuple[weakref.ref[Module], CodeType, int, str]] = {}
_MOST_NAMES = 10_000


def _variable(module: Module, frame: FrameType) -> str:
    """`variable_of`, remembered for the instruction that calls the module."""
    known = _variables.get(id(module))
    code, lasti = frame.f_code, frame.f_lasti
    if known is not None and known[1] is code and known[2] == lasti and known[0]() is module:
        return known[3]
    name = variable_of(module, frame)
    if len(_variables) >= _MOST_NAMES:
        _variables.clear()
    _variables[id(module)] = (weakref.ref(module), code, lasti, name)
    return name


def path_inside(outer: Module, inner: Module) -> str:
    """The path of `inner` below `outer`, such as "layers.0"; "" when it is not below it."""
    for name, child in outer._modules.items():
        if child is inner:
            return name
    for name, child in outer.named_modules():
        if child is inner:
            return name
    return ""
