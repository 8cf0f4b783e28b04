"""Numbers for the places a program stands at: user stack frames, linked to their callers.

A frame's number says file, line and bytecode offset, and through its parents how it was reached: up to
the module call it stands in, then on from where that call was made. Two turns of a loop stand at the
same place and so share a number; the table grows with the program's text, not with its running time.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Protocol

from dsviz import events

USER, ENGINE, MODULE_CALL, OUTSIDE = range(4)
DEEPEST = 200  # frames of one recursion; what lies above is cut


class Definitions(Protocol):
    """Where Text and Frame records go."""

    def definition(self, event: events.Event) -> None:
        """Take one record."""


class Places:
    """The tables of one run, shared by its threads. Numbers start at 1."""

    def __init__(self, classify: Callable[[CodeType], int]) -> None:
        self._classify = classify
        self.kinds: dict[int, int] = {}  # of the codes met so far
        self.texts: dict[str, int] = {}
        self.frames: dict[tuple[int, int, int], int] = {}
        self.records: dict[int, events.Frame] = {}
        # Tables are keyed by id(code), which stays unique only while the code lives. (Code objects
        # hash their constants and instructions anew each time: far too slow for every op.)
        self._alive: list[CodeType] = []
        self._next_text = itertools.count(1)
        self.next_frame = itertools.count(1)

    def kind(self, code: CodeType) -> int:
        """Whose code it is: the person's, the engine's, a module's call, or what runs the script."""
        kind = self.kinds.get(id(code))
        if kind is None:
            kind = self.kinds[id(code)] = self._classify(code)
            self._alive.append(code)
        return kind

    def text(self, text: str) -> int:
        """The number of a text, new or known."""
        number = self.texts.get(text)
        if number is None:
            number = self.texts.setdefault(text, next(self._next_text))
        return number


class Walker:
    """Walks one thread's frames. Its `out` gets each definition before the first use in that thread."""

    __slots__ = ("_kinds", "_told_frames", "_told_texts", "calls", "out", "places")

    def __init__(self, places: Places, out: Definitions) -> None:
        self.places = places
        self.out = out
        self._told_texts: set[int] = set()
        self._told_frames: dict[tuple[int, int, int], int] = {}
        self.calls: dict[int, int] = {}  # open module call -> frame where it was called
        self._kinds = places.kinds

    def text(self, text: str) -> int:
        """The number of a text; defined in this thread's stream when new there."""
        number = self.places.texts.get(text)
        if number is None or number not in self._told_texts:
            number = self.places.text(text)
            self.out.definition(events.Text(number, text))
            self._told_texts.add(number)  # told first: a signal's handler may come between
        return number

    def frame(self, start: FrameType | None, call: int, skip: int = 0) -> int:
        """The number of the innermost user frame at or above `start`, inside module call `call` (0: none).

        `skip` module calls found on the way are passed by: a module is called from outside itself.
        """
        kinds = self._kinds
        frame = start
        chain: list[tuple[CodeType, int]] = []
        parent = 0
        inside = False
        while frame is not None:
            code = frame.f_code
            kind = kinds.get(id(code))
            if kind is None:
                kind = self.places.kind(code)
            if kind == USER:
                chain.append((code, frame.f_lasti))
                if len(chain) > DEEPEST:
                    break
            elif kind == MODULE_CALL and skip:
                skip -= 1
            elif kind == MODULE_CALL and call:
                parent = self.calls.get(call, 0)
                break
            elif kind == OUTSIDE and inside:
                break
            # We may be called from a sink of our own; further out, the same kind of frame is what runs the script.
            inside = inside or kind != OUTSIDE
            frame = frame.f_back
        told = self._told_frames
        for code, lasti in reversed(chain):
            key = (parent, id(code), lasti)
            number = told.get(key)
            parent = self._tell(key, code) if number is None else number
        return parent

    def at(self, parent: int, code: CodeType, lasti: int) -> int:
        """The number of the place `lasti` in `code`, reached from `parent`."""
        key = (parent, id(code), lasti)
        return self._told_frames.get(key) or self._tell(key, code)

    def _tell(self, key: tuple[int, int, int], code: CodeType) -> int:
        self.places.kind(code)  # keeps the code alive
        parent, _, lasti = key
        begin = begin_of(code, lasti)
        if begin != lasti:
            same = self._told_frames[key] = self.at(parent, code, begin)
            return same
        frames = self.places.frames
        number = frames.get(key)
        if number is None:
            number = frames.setdefault(key, next(self.places.next_frame))
        name = getattr(code, "co_qualname", code.co_name)
        record = events.Frame(
            number, parent, self.text(code.co_filename), line_of(code, lasti), self.text(name), lasti
        )
        self.places.records[number] = record
        self.out.definition(record)
        self._told_frames[key] = number
        return number


def begin_of(code: CodeType, lasti: int) -> int:
    """The offset at which the instruction at byte `lasti` begins.

    Once CPython (3.11 and later) has specialised a call, `f_lasti` points into the instruction's inline cache,
    which reads as opcode 0: the same call would seem to be at another place from its eighth turn on.
    """
    instructions = code.co_code
    while lasti > 0 and instructions[lasti] == 0:
        lasti -= 2
    return lasti


def line_of(code: CodeType, lasti: int) -> int:
    """The source line of the instruction at byte `lasti`."""
    line = None
    for start, end, found in code.co_lines():
        if start <= lasti < end:
            return found or code.co_firstlineno
        line = found or line
    return line or code.co_firstlineno


def first_user_frame(start: FrameType | None, places: Places) -> FrameType | None:
    """The innermost frame of the person's at or above `start`."""
    frame = start
    # Asked at each op of a program with a breakpoint: a call for each frame takes half the time.
    kinds = places.kinds
    while frame is not None and places.kind(frame.f_code) == OUTSIDE:
        frame = frame.f_back
    while frame is not None:
        code = frame.f_code
        kind = kinds.get(id(code))
        if kind is None:
            kind = places.kind(code)
        if kind == USER:
            return frame
        if kind == OUTSIDE:
            break
        frame = frame.f_back
    return None


def user_frames(start: FrameType | None, places: Places) -> list[FrameType]:
    """The person's frames at or above `start`, innermost first."""
    found = []
    frame = first_user_frame(start, places)
    while frame is not None:
        kind = places.kind(frame.f_code)
        if kind == USER:
            found.append(frame)
        elif kind == OUTSIDE:
            break
        frame = frame.f_back
    return found


def stack_of(thread: int, places: Places) -> list[dict[str, Any]]:
    """Where another thread is now, innermost first; `own` says which frames are the person's."""
    found: list[dict[str, Any]] = []
    frame = sys._current_frames().get(thread)
    while frame is not None and len(found) < DEEPEST:
        code = frame.f_code
        kind = places.kind(code)
        if kind == OUTSIDE:
            if any(each["own"] for each in found):
                break  # what runs the script
            frame = frame.f_back  # a probe in the person's code
            continue
        found.append(
            {
                "function": getattr(code, "co_qualname", code.co_name),
                "path": code.co_filename,
                "line": frame.f_lineno or 0,
                "own": kind == USER,
            }
        )
        frame = frame.f_back
    return found


def here(depth: int = 1) -> FrameType:
    """The caller's frame (`depth` 1), or one further out."""
    return sys._getframe(depth + 1)
