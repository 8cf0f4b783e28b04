"""Locks that neither a finaliser, nor a signal's handler, nor a fork can jam.

The collector may run a finaliser in the middle of anything, and a program's signal handler runs between two instructions:
either may compute, and ask for the lock its own thread holds. So every lock here can be taken again by who holds it, and
who takes it has to bear that. A forked child has only the thread that forked: what another one held there nobody will let
go, so in a child all of them are free.

A module that another thread is importing at a fork would stay half imported in the child, and whoever imports it there
would wait for ever. Much of the engine is imported late, in the middle of an op: so a fork waits until no other thread
imports a part of it, or something for it.

>>> lock = reentrant()
>>> with lock, lock:
...     lock._is_owned()
True
"""

from __future__ import annotations

import _imp
import os
import sys
import threading
import time
import weakref
from types import FrameType
from typing import Any

_made: weakref.WeakSet[Any] = weakref.WeakSet()


def reentrant() -> Any:
    """A lock like `threading.RLock`, free again in a forked child."""
    lock = threading.RLock()
    _made.add(lock)
    return lock


def _in_child() -> None:
    for lock in list(_made):
        if not lock._is_owned():  # what this thread holds it will let go itself
            lock._at_fork_reinit()


PATIENCE = 5.0  # seconds that a fork waits for imports: one may itself be waiting for the thread that forks
_NAP = 0.001
_IMPORTS = "<frozen importlib._bootstrap>"


def _ours(name: Any) -> bool:
    return str(name).partition(".")[0] in ("engine", "dsviz")


def _importing() -> bool:
    """Whether another thread is in the middle of an import of ours. (One of the program's own may take its whole run.)"""
    me = threading.get_ident()
    for thread, running in sys._current_frames().items():
        frame: FrameType | None = running
        while frame is not None and thread != me:
            outer, code = frame.f_back, frame.f_code
            if (
                code.co_name == "_find_and_load"
                and code.co_filename == _IMPORTS
                and (_ours(frame.f_locals.get("name")) or (outer and _ours(outer.f_globals.get("__name__"))))
            ):
                return True
            frame = outer
    return False


def _before_fork() -> None:
    until = time.monotonic() + PATIENCE
    # While we hold Python's lock of imports none begins; those that run need it, and so it is let go to wait for them.
    _imp.acquire_lock()
    while _importing() and time.monotonic() < until:
        _imp.release_lock()
        time.sleep(_NAP)
        _imp.acquire_lock()


# Registered first, and so the last before a fork: what others do then may need other threads to import.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_imp.release_lock, after_in_child=_imp.release_lock
    )
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
