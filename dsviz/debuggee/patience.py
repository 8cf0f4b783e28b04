"""Time limits for what a person asks of the program: an expression that runs too long is interrupted.

    with limit(2.0):          # raises Overtime in this thread once 2 s have passed
        eval(...)

In the main thread an alarm strikes (SIGALRM, where the program has no use for it): it also wakes `time.sleep`, locks,
`input`, long integers and regular expressions, and is repeated until it is heard, also inside the `except:` of a helper
that catches everything. Elsewhere a thread looks four times a second whether something ran out of time; its blow
comes between two instructions of Python. A call that neither returns to Python nor looks for signals, such as
`sum(range(10**12))`, cannot be interrupted by anybody.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from _thread import get_ident
from collections.abc import Iterator
from types import FrameType
from typing import Any

from engine.location import is_engine_code
from engine.locks import reentrant

PATIENCE = 2.0  # seconds an expression may run
TICK = 0.25  # seconds between two looks
_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
IDLE = 40  # looks with nothing to look at, after which the watching thread ends


class Overtime(BaseException):
    """Raised in an expression that ran too long; a BaseException so that `except Exception` lets it pass."""


class _Asked:
    """One expression that runs now."""

    __slots__ = ("alarmed", "alarms", "deadline", "struck", "thread")

    def __init__(self, thread: int, deadline: float, alarmed: bool) -> None:
        self.thread, self.deadline, self.alarmed = thread, deadline, alarmed
        self.struck = False
        self.alarms = 0


class Watchdog:
    """Interrupts what runs over its time. It lives outside of `threading`'s books: it is not the program's."""

    def __init__(self) -> None:
        self._lock = reentrant()
        self._asked: list[_Asked] = []
        self._wake = _thread.allocate_lock()  # held while the thread shall go on
        self._alive = _thread.allocate_lock()  # held by the thread
        self._alarmed = 0.0  # when an alarm was last ours
        self._traced: tuple[Any, ...] = ()  # the program's own trace function, while ours is in its place

    @contextlib.contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Raise `Overtime` in this thread when the block runs longer than `seconds`.

        Whoever catches it calls `calm`: it may have come on the way out of the block.
        """
        asked = _Asked(get_ident(), time.monotonic() + seconds, self._can_alarm())
        with self._lock:
            self._asked.append(asked)
            if not asked.alarmed and not self._alive.locked():
                self._begin()
        try:
            if asked.alarmed:
                signal.setitimer(signal.ITIMER_REAL, seconds)
            yield
        finally:
            self._done(asked)

    def calm(self) -> None:
        """Nothing of this thread's is evaluated any more."""
        me = get_ident()
        for asked in [asked for asked in self._asked if asked.thread == me]:
            self._done(asked)

    def _done(self, asked: _Asked) -> None:
        # From here on nothing may strike the program itself: a blow that is on its way is caught here.
        interrupted: KeyboardInterrupt | None = None
        while True:
            try:
                if asked.alarmed:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    signal.pthread_sigmask(signal.SIG_BLOCK, ())  # takes in an alarm that has been given
                    self._alarmed = time.monotonic()
                    if self._traced:
                        sys.settrace(self._traced[0])
                        self._traced = ()
                with self._lock:
                    if asked in self._asked:
                        self._asked.remove(asked)
                if asked.struck:
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(asked.thread), None)
                break
            except Overtime:
                continue
            except KeyboardInterrupt as own:
                interrupted = own
        if interrupted is not None:
            raise interrupted

    # The alarm

    def _can_alarm(self) -> bool:
        if not hasattr(signal, "setitimer") or get_ident() != threading.main_thread().ident:
            return False
        if any(asked.alarmed for asked in self._asked) or signal.getitimer(signal.ITIMER_REAL)[0]:
            return False
        handler = signal.getsignal(signal.SIGALRM)
        if handler is signal.SIG_DFL:
            # It stays: were it taken away while an alarm is on its way, that would end the program.
            signal.signal(signal.SIGALRM, self._alarm)
            return True
        return handler == self._alarm

    def _alarm(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        for asked in self._asked:
            if asked.alarmed and now >= asked.deadline:
                asked.alarms += 1
                signal.setitimer(signal.ITIMER_REAL, TICK)  # not before this one has been heard
                if asked.alarms > 2:
                    self._strike_again_in_handlers(frame)
                raise Overtime
        if not self._asked and now > self._alarmed + 1.0:
            # The program's own alarm, which it has no handler for.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGALRM)

    def _strike_again_in_handlers(self, frame: FrameType | None) -> None:
        # Whoever catches this one comes to a line of its own next, and is struck there, outside of its `try`.
        def strike(frame: FrameType, event: str, argument: object) -> Any:
            if event == "line":
                raise Overtime
            return strike

        self._traced = self._traced or (sys.gettrace(),)
        while frame is not None and not frame.f_code.co_filename.startswith(_HERE):
            if not is_engine_code(frame.f_code):  # whose `finally` blocks keep it whole
                frame.f_trace = strike
            frame = frame.f_back
        sys.settrace(lambda frame, event, argument: None)  # what is called from there, to clean up, may do so

    # The watching thread

    def quiet(self) -> None:
        """End the thread until `again`, for fork(), which warns of threads that run."""
        with self._lock:
            if self._wake.locked():
                self._wake.release()
        self._alive.acquire()
        self._alive.release()

    def again(self) -> None:
        """After fork(): go on with what still runs."""
        with self._lock:
            if self._asked and not self._alive.locked():
                self._begin()

    def _begin(self) -> None:
        """Start the thread. Called with the lock held."""
        self._wake = _thread.allocate_lock()
        self._wake.acquire()
        self._alive.acquire()
        _thread.start_new_thread(self._watch, (self._wake,))

    def _watch(self, wake: _thread.LockType) -> None:
        idle = 0
        while not wake.acquire(timeout=TICK):
            with self._lock:
                idle = 0 if self._asked else idle + 1
                if idle > IDLE:
                    self._alive.release()
                    return
                now = time.monotonic()
                for asked in self._asked:
                    if not asked.alarmed and now >= asked.deadline:
                        asked.struck = True
                        asked.deadline = now + 2 * TICK  # not before this one has been heard
                        ctypes.pythonapi.PyThreadState_SetAsyncExc(
                            ctypes.c_ulong(asked.thread), ctypes.py_object(Overtime)
                        )
        self._alive.release()


watchdog = Watchdog()
limit, calm = watchdog.limit, watchdog.calm
