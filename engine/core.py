"""The hot path of the engine, compiled (`core.c`), in the place of Python's where it can be had.

`use` is for whoever watches: the functions of `engine.watched`. `quicken` is for a program that nobody watches: `unary`
and `binary` of `engine.dispatch`. The graph, the numbers and what is told are the same either way.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

import numpy as np

from engine import config, dispatch, watched
from engine.bus import bus
from engine.grad_mode import state
from engine.interruption import passed_on
from engine.iteration import iteration
from engine.location import INTERNAL
from engine.memory import Buffer, memory
from engine.module_call import ModuleCall, made_up
from engine.native.extension import Extension
from engine.node import NO_KWARGS, REACH, Backward, Node, Watched, behind, ids, order, settle
from engine.op import Op
from engine.pending import Product
from engine.pool import LARGE
from engine.switches import switches
from engine.tensor import Parameter, Tensor
from engine.woven import computed
from engine.writes import writes

_HERE = os.path.dirname(os.path.abspath(__file__))
extension = Extension(
    "engine_core",
    os.path.join(_HERE, "core.c"),
    "core_objects.h",
    "core_memory.h",
    "core_backward.h",
    "core_dispatch.h",
)
# Who calls which of them, by its own name. An optimizer's module may not be loaded yet: it takes what `watched` has.
_CALLERS = {
    "engine.watched": ("begin", "finish", "followed", "begin_backward", "finish_backward"),
    "engine.dispatch": ("begin", "finish", "followed"),
    "engine.backpropagation": ("begin_backward", "finish_backward"),
    "engine.optim.optimizer": ("begin", "finish"),
}
_PYTHON = {name: getattr(watched, name) for name in _CALLERS["engine.watched"]}
_APPLY = {"unary": dispatch.unary, "binary": dispatch.binary}
_given: dict[str, list[Any]] = {"unary": [], "binary": []}  # compiled ones that stood in their place
_bound: list[ModuleType] = []


def use(module: ModuleType | None, clock: Any = None) -> None:
    """Have the functions of `module`, which `extension` gave, called from here on; those in Python where it is None.

    `clock` is asked for the time instead of the system's.
    """
    if module is not None:
        module.bind(_objects(), clock)
    for caller, names in _CALLERS.items():
        if caller in sys.modules:
            for name in names:
                setattr(sys.modules[caller], name, _PYTHON[name] if module is None else getattr(module, name))
    _bound[:] = [] if module is None else [module]


def quicken() -> bool:
    """Have ops of one and two arguments applied by the compiled core; False as long as there is none."""
    module = extension.ready()
    if module is None:
        return False
    apply_by(module)
    return True


def apply_by(module: ModuleType | None) -> None:
    """Have them applied by `module`, or by Python; every module of the engine that has the name calls the function there."""
    if module is not None and not _bound:
        module.bind(_objects(), None)
    for name, plain in _APPLY.items():
        quick = plain if module is None else getattr(module, name)
        for caller, holder in list(sys.modules.items()):
            if (
                caller.startswith("engine.")
                and caller != __name__
                and vars(holder).get(name) in (plain, *_given[name])
            ):
                setattr(holder, name, quick)
        if module is not None and quick not in _given[name]:
            _given[name].append(quick)


def used() -> bool:
    """Whether the compiled functions are in place."""
    return bool(_bound)


def _objects() -> dict[str, Any]:
    return {
        **_PYTHON, "leaf": watched._leaf, "made_up": made_up, "ModuleCall": ModuleCall, "raised": watched.raised, "explained": watched.explained, "settle": settle,
        "computed": computed, "asarray": np.asarray, "getframe": sys._getframe, "LARGE": LARGE, "REACH": REACH,
        "NO_KWARGS": NO_KWARGS, "Watched": Watched, "Backward": Backward, "Node": Node, "Buffer": Buffer,
        "Product": Product, "Op": Op, "ndarray": np.ndarray, "bus": bus, "memory": memory, "iteration": iteration,
        "switches": switches, "writes": writes, "state": state, "config": config._current, "internal": INTERNAL,
        "ids": ids, "order": order, "Tensor": Tensor, "Parameter": Parameter, "dispatch": vars(dispatch),
        "behind": behind, "floats": (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.float16)),
        "passed_on": passed_on, **_APPLY,
    }  # fmt: skip
