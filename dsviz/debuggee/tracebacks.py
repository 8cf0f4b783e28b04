"""Tracebacks as they would be without the debugger: its own frames are taken out, and the engine's calls stand where they do alone.

While somebody watches, the engine goes another way in two places: a module's call runs `forward` further down, and an op
of one or two arguments is followed instead of applied. Both are put back to what Python alone would show.
"""

from __future__ import annotations

import dis
import functools
import os
import traceback
from operator import itemgetter
from types import CodeType, FrameType, TracebackType

from engine import dispatch
from engine.module import Module
from engine.watched import FOLLOWED

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_CALL = Module.__call__.__code__
_APPLIED = dispatch.CODES

Place = tuple[int, int]  # the offset of an instruction, its line


def strip(exception: BaseException) -> None:
    """Take the debugger's traces out of an exception's traceback, and of those that led to it."""
    seen: set[int] = set()
    chain: list[BaseException | None] = [exception]
    while chain:
        current = chain.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.__traceback__ = _without_ours(current.__traceback__)
        chain += [current.__cause__, current.__context__]


def text_of(exception: BaseException, limit: int = 64_000) -> str:
    """The traceback as Python prints it, cut in the middle where it is very long."""
    text = "".join(traceback.format_exception(type(exception), exception, exception.__traceback__))
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}\n[... {len(text) - limit} characters left out ...]\n{text[-limit // 2 :]}"


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    entries: list[TracebackType] = []
    while trace is not None:
        if not _ours(trace):
            entries.append(trace)
        trace = trace.tb_next
    codes = [entry.tb_frame.f_code for entry in entries]
    places: list[Place | None] = [(entry.tb_lasti, entry.tb_lineno) for entry in entries]
    frames = [entry.tb_frame for entry in entries]
    for at, entry in enumerate(entries):
        if codes[at] is _CALL:
            for name in ("forward", "_enclosed"):
                alone, watched = calls(_CALL, name)
                if entry.tb_lineno == watched[1]:
                    places[at] = alone
        elif codes[at] in _APPLIED:
            *_, watched, alone, _ = sorted(calls(codes[at], "apply"), key=itemgetter(1))
            if at + 1 < len(codes) and codes[at + 1] in FOLLOWED:
                places[at] = alone
                frames[at + 1], places[at + 1] = _applying(), _failing()
            elif entry.tb_lineno == watched[1]:
                places[at] = alone
    head: TracebackType | None = None
    for frame, place in zip(reversed(frames), reversed(places), strict=True):
        if place is not None:
            head = TracebackType(head, frame, *place)
    return head


@functools.cache
def _failing() -> Place:
    """Where `apply` has its errors explained: the last call of that line, as its arguments are calls too."""
    code = dispatch.apply.__code__
    _, line = calls(code, "fail")[-1]
    at, found = code.co_firstlineno, 0
    for instruction in dis.get_instructions(code):
        at = _line_of(instruction, at)
        if at == line and instruction.opname.startswith("CALL"):
            found = instruction.offset
    return found, line


@functools.cache
def _applying() -> FrameType:
    """A frame of `apply`, for a traceback that has none: only its name, file and line are read."""
    try:
        dispatch.apply(None, ())  # type: ignore[arg-type]
    except Exception as error:  # noqa: BLE001 - it cannot but fail
        trace = error.__traceback__
        assert trace is not None
        assert trace.tb_next is not None
        return trace.tb_next.tb_frame
    raise AssertionError("apply ran without an op")


def _ours(trace: TracebackType) -> bool:
    frame = trace.tb_frame
    return frame.f_code.co_filename.startswith(_HERE) or frame.f_globals.get("__dsviz_bootstrap__") is True


@functools.cache
def calls(code: CodeType, name: str) -> list[Place]:
    """Where `code` calls the function or the method `name`, in the order of its instructions: Python 3.13 puts handlers last.

    >>> def twice(x):
    ...     return round(round(x))
    >>> len(calls(twice.__code__, "round"))
    2
    """
    found: list[Place] = []
    wanted, line = 0, code.co_firstlineno
    for instruction in dis.get_instructions(code):
        line = _line_of(instruction, line)
        if instruction.opname.startswith("LOAD_") and instruction.argval == name:
            wanted += 1
        elif wanted and instruction.opname.startswith("CALL"):
            found.append((instruction.offset, line))
            wanted -= 1
    return found


def _line_of(instruction: dis.Instruction, before: int) -> int:
    positions = getattr(instruction, "positions", None)  # from 3.11 on
    if positions is not None:
        return positions.lineno or before
    return instruction.starts_line if isinstance(instruction.starts_line, int) else before
