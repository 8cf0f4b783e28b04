"""The functions of `engine.watched`, compiled (`core.c`), in the place of those in Python where they can be had.

Whoever watches asks for them with `use`; the graph, the numbers and what is told are the same either way.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

import numpy as np

from engine import config, watched
from engine.bus import bus
from engine.grad_mode import state
from engine.iteration import iteration
from engine.location import INTERNAL
from engine.memory import Buffer, memory
from engine.native.extension import Extension
from engine.node import NO_KWARGS, REACH, Backward, Node, Watched, ids, order, settle
from engine.op import Op
from engine.pending import Product
from engine.pool import LARGE, compute
from engine.switches import switches
from engine.writes import writes

_HERE = os.path.dirname(os.path.abspath(__file__))
extension = Extension("engine_core", os.path.join(_HERE, "core.c"), "core_memory.h")
# Who calls which of them, by its own name. An optimizer's module may not be loaded yet: it takes what `watched` has.
_CALLERS = {
    "engine.watched": ("begin", "finish", "followed", "begin_backward", "finish_backward"),
    "engine.dispatch": ("begin", "finish", "followed"),
    "engine.autograd": ("begin_backward", "finish_backward"),
    "engine.optim.optimizer": ("begin", "finish"),
}
_PYTHON = {name: getattr(watched, name) for name in _CALLERS["engine.watched"]}
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


def used() -> bool:
    """Whether the compiled functions are in place."""
    return bool(_bound)


def _objects() -> dict[str, Any]:
    return {
        **_PYTHON, "leaf": watched._leaf, "raised": watched.raised, "explained": watched.explained, "settle": settle,
        "compute": compute, "asarray": np.asarray, "getframe": sys._getframe, "LARGE": LARGE, "REACH": REACH,
        "NO_KWARGS": NO_KWARGS, "Watched": Watched, "Backward": Backward, "Node": Node, "Buffer": Buffer,
        "Product": Product, "Op": Op, "ndarray": np.ndarray, "bus": bus, "memory": memory, "iteration": iteration,
        "switches": switches, "writes": writes, "state": state, "config": config._current, "internal": INTERNAL,
        "ids": ids, "order": order,
    }  # fmt: skip
