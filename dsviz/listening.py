"""`ds.listen()`: a program that can be attached to while it runs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from dsviz import doors
from engine import pausing

if TYPE_CHECKING:
    from dsviz.debuggee.door import Door

_door: Door | None = None


class Listening:
    """What `ds.listen()` gives: where the program listens, and the way to listen no more."""

    def __init__(self, door: Door | None) -> None:
        self._door = door

    @property
    def address(self) -> str:
        """What `dsviz attach` takes beside the process number; "" where the program runs under a debugger already."""
        return "" if self._door is None else self._door.address

    @property
    def attached(self) -> bool:
        """Whether somebody is attached now."""
        return self._door is not None and self._door.attached

    def close(self) -> None:
        """Listen no more; whoever is attached is sent away, and the program runs on."""
        if self._door is not None:
            self._door.close()

    def __repr__(self) -> str:
        if self._door is None:
            return "<not listening: a debugger started this program>"
        return f"<{'closed' if self._door.closed else 'listening'} at {self._door.address}>"


def listen(address: int | str | os.PathLike[str] | None = None, wait: bool = False) -> Listening:
    """From here on `dsviz attach` can come to this program; until it does, nothing is traced and nothing is paid.

    `address` is a port of this machine (5678, "127.0.0.1:5678", 0: any) or the path of a socket; without one a
    private socket is made, and the process number is all one needs to know. Only the same user of the same
    machine can attach. `wait` waits until somebody has, and then pauses before the next node.

    Calling it again gives what there is. In a program that `dsviz run` started it does nothing. Raises
    `ValueError` with a sentence for an address that is none, or that cannot be listened at.
    """
    door = open_door(address, waiting=wait)
    if door is None:
        return Listening(None)
    if wait:
        door.waiting = True
        try:
            door.came.clear()  # before the look: who comes in between is seen by the one or the other
            if not door.attached:
                _say(f"waiting for a debugger: dsviz attach {os.getpid()}")
                door.came.wait()
        finally:
            door.waiting = False
    return Listening(door)


def open_door(address: Any = None, announce: bool = True, waiting: bool = False) -> Door | None:
    """This process's door, made where there is none; None where a session started this process."""
    global _door
    wanted = None if address is None else doors.address_of(address)
    if _door is not None and not _door.closed:
        if wanted not in (None, _door.address) and not str(wanted).endswith(":0"):
            raise doors.NoDoorError(
                f"This program listens at {_door.address} already; close that before it listens at {address!r}."
            )
        return _door
    if pausing.debugger is not None:
        return None
    from dsviz.debuggee.door import Door

    script, interactive = _script()
    _door = Door(wanted, script, interactive, waiting)
    if announce and not interactive and not waiting:
        _say(f"listening; attach with: dsviz attach {os.getpid()}")
    return _door


def _script() -> tuple[str, bool]:
    """The script that runs, and whether a person types the program instead."""
    main = sys.modules.get("__main__")
    interactive = (
        bool(getattr(sys, "ps1", None)) or bool(sys.flags.interactive) or hasattr(main, "get_ipython")
    )
    path = getattr(main, "__file__", None)
    if interactive or not path:
        return "", interactive
    return os.path.abspath(path), False


def _say(sentence: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"dsviz: {sentence}\n")
        sys.stderr.flush()
