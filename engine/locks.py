"""Locks that neither a finaliser, nor a signal's handler, nor a fork can jam.

The collector may run a finaliser in the middle of anything, and a program's signal handler runs between two instructions:
either may compute, and ask for the lock its own thread holds. So every lock here can be taken again by who holds it, and
who takes it has to bear that. A forked child has only the thread that forked: what another one held there nobody will let
go, so in a child all of them are free.

>>> lock = reentrant()
>>> with lock, lock:
...     lock._is_owned()
True
"""

from __future__ import annotations

import os
import threading
import weakref
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


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
