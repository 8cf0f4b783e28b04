"""Exceptions that a signal handler of the program raises while the engine works.

`signal.alarm` with a handler that raises `TimeoutError` is how many programs bound a step. Python runs the handler
wherever it is, often in the middle of an op. What it raises says nothing of the op: it is not explained, not tried
again and no fault of whoever watches, but goes on to the program.
"""

from __future__ import annotations

from types import FrameType

from engine.location import is_engine_code, locals_of


def from_handler(error: BaseException | None) -> bool:
    """Whether a signal handler raised `error`: it was given the very frame it interrupted, as only handlers are."""
    trace = None if error is None else error.__traceback__
    before: FrameType | None = None
    while trace is not None:
        frame = trace.tb_frame
        if before is not None and not is_engine_code(frame.f_code):
            for value in locals_of(frame).values():
                if value is before or (type(value) is tuple and any(part is before for part in value)):
                    return True
        before, trace = frame, trace.tb_next
    return False


def passed_on(error: BaseException) -> None:
    """Raise `error` again where a signal handler raised it. The compiled core asks before it runs an op again."""
    if from_handler(error):
        raise error
