"""The tracer's sinks of every op, compiled (`core.c`), in the place of those in Python where they can be had.

What is told is the same to the byte. Nobody waits for the compiler: a program that is there first is followed in
Python, and goes on with the compiled ones from an iteration on at which they are there.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import core
from engine.bus import Sink
from engine.native.extension import Extension

if TYPE_CHECKING:
    from dsviz.debuggee.tracer import Tracer

_HERE = os.path.dirname(os.path.abspath(__file__))
extension = Extension(
    "debuggee_core", os.path.join(_HERE, "core.c"), "core_objects.h", "core_records.h", "core_values.h"
)
KINDS = ("op_start", "op_finish")
_bound: list[Any] = []


def use(wait: bool = False, clock: Any = None) -> bool:
    """Put the compiled functions in place where they are there, the engine's and ours; whether they are.

    Unless it is to `wait`, a compiler is left running for those that are not. `clock` is asked for the time instead of
    the system's.
    """
    if not _bound:
        found = [one.build() if wait else one.ready() for one in (core.extension, extension)]
        if None in found:
            return False
        engines, ours = found
        ours.bind(_objects(), clock)  # type: ignore[union-attr]
        core.use(engines, clock)
        _bound.append(ours)
    return True


def used() -> bool:
    """Whether the compiled functions are in place."""
    return bool(_bound)


def leave() -> None:
    """Go on in Python."""
    _bound.clear()
    core.use(None)


def sink(tracer: Tracer, kind: str) -> Sink | None:
    """The compiled sink of `kind`, where there is one for what the tracer writes to."""
    if kind not in KINDS or not _bound or not tracer.lane().packs:
        return None
    return _bound[0].sinks(tracer)[KINDS.index(kind)]  # type: ignore[no-any-return]


def why() -> str:
    """Why ops are followed in Python; "" where they are not."""
    return "" if _bound else core.extension.why or extension.why


def _objects() -> dict[str, Any]:
    from dsviz.debuggee.frames import Walker  # all of them made of this
    from dsviz.debuggee.into_ring import RingOutlet
    from dsviz.debuggee.lanes import Lane, Like, Site, Spot
    from dsviz.debuggee.outlets import CATEGORY
    from dsviz.debuggee.probes import Loop, Pending
    from dsviz.debuggee.tracer import Tracer
    from dsviz.debuggee.values import SMALL, Told, Values
    from dsviz.wire.packed import FIXED, MOST_INPUTS, MOST_WORDS, SMALL_SIZE
    from dsviz.wire.ring import RingWriter
    from engine.dispatch import PART
    from engine.memory import Buffer
    from engine.module_call import ModuleCall
    from engine.node import Backward, Node, Watched
    from engine.op import Op
    from engine.writes import writes

    return {
        "Watched": Watched, "Backward": Backward, "Node": Node, "Buffer": Buffer, "ModuleCall": ModuleCall,
        "Tracer": Tracer, "Lane": Lane, "Spot": Spot, "Site": Site, "Like": Like, "RingWriter": RingWriter,
        "RingOutlet": RingOutlet, "Walker": Walker, "Pending": Pending, "Loop": Loop, "CATEGORY": CATEGORY,
        "SMALL_SIZE": SMALL_SIZE, "FIXED": FIXED, "MOST_INPUTS": MOST_INPUTS,
        "MOST_WORDS": MOST_WORDS, "getframe": sys._getframe, "Values": Values, "Told": Told, "Op": Op,
        "ndarray": np.ndarray, "writes": writes, "part": PART.name, "SMALL": SMALL,
    }  # fmt: skip
