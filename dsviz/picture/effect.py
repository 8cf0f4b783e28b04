"""What the memory optimisation does to a program: live bytes with it and without, one above the other on the same scales."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dsviz.events import CATEGORIES
from dsviz.picture.marks import Area, Mark, Rect, Sheet, Text, Way, straight, text_width
from dsviz.terminal import bytes_text

if TYPE_CHECKING:
    from dsviz.store import GraphStore
    from engine.memory import Change

# Bottom to top, in the light memory colours of assets/tokens.css.
COLOURS = {
    "parameters": "#3f82d6", "optimizer": "#a3dcf0", "gradients": "#70437d", "saved": "#e0a04a",
    "activations": "#2f6341", "inputs": "#c5b8e8", "workspace": "#8f959b",
}  # fmt: skip
TITLES = {"saved": "saved for backward", "workspace": "parked for reuse"}
INK, INK3, LINE = "#1a1f28", "#626c7b", "#e4e7ec"
LEFT, TOP, PLOT, HEIGHT, BETWEEN = 74.0, 62.0, 760.0, 170.0, 62.0
POINTS = 600
LARGE = 1 << 17  # buffers from this size are parked; smaller ones stay with the allocator


@dataclass
class Course:
    """Live bytes over one run: nanoseconds since its start, and bytes of each category at each of them.

    `asked` counts how often the allocator was asked for a large buffer, `reused` how often a parked one served.
    """

    time: list[int] = field(default_factory=list)
    bytes: list[dict[str, int]] = field(default_factory=list)
    asked: int = 0
    reused: int = 0

    @property
    def peak(self) -> int:
        """The most bytes alive at once, parked ones not counted."""
        return max((sum(now.values()) - now.get("workspace", 0) for now in self.bytes), default=0)


def course_of(step: Callable[[], object], rounds: int) -> Course:
    """What `rounds` calls of `step` do to the memory of this process."""
    from engine.bus import bus
    from engine.memory import memory
    from engine.memory_report import found
    from engine.pool import pool

    course, alive = Course(), {}
    pool.clear()
    now = dict.fromkeys(CATEGORIES, 0)
    memory.flush()
    for array, category in found():
        buffer = memory.expect(array, category)
        alive[buffer.id] = (buffer.nbytes, category)
        now[category] += buffer.nbytes

    def see(kind: str, changes: list[Change]) -> None:
        for what, buffer, time in changes:
            known = alive.pop(buffer.id, None)
            if known is not None:
                now[known[1]] -= known[0]
            if what != "released":
                alive[buffer.id] = (buffer.nbytes, buffer.category)
                now[buffer.category] += buffer.nbytes
            course.asked += what == "allocated" and buffer.nbytes >= LARGE
            course.reused += what == "reused"
            course.time.append(time)
            course.bytes.append({**now, "workspace": pool.counts().parked})

    handle = bus.subscribe(see, "buffer")
    try:
        for _ in range(rounds):
            step()
        memory.flush()
    finally:
        handle.close()
    begin = course.time[0] if course.time else 0
    course.time = [time - begin for time in course.time]
    return course


def course_in(store: GraphStore) -> Course:
    """The course of a run that was traced in a process of its own."""
    log = store.memory
    every = np.arange(len(log.time))
    courses = [log.course(every, index).tolist() if len(every) else [] for index in range(len(CATEGORIES))]
    begin = log.time[0] if len(log.time) else 0
    course = Course([int(time) - begin for time in log.time])
    course.bytes = [dict(zip(CATEGORIES, row, strict=True)) for row in zip(*courses, strict=True)]
    large = sum(delta >= LARGE for delta in log.delta)
    course.reused = log.reused
    course.asked = max(0, large - log.reused)
    return course


def effect(with_it: Course, without: Course, title: str) -> Sheet:
    """The figure of both courses."""
    most = max((sum(now.values()) for course in (with_it, without) for now in course.bytes), default=0) or 1
    last = max((course.time[-1] for course in (with_it, without) if course.time), default=0) or 1
    sheet = Sheet(LEFT + PLOT + 24, TOP + 2 * HEIGHT + BETWEEN + 70, title=title)
    sheet.marks.append(Text(20, 28, title, INK, 14, bold=True))
    shown = [name for name in COLOURS if any(now.get(name) for c in (with_it, without) for now in c.bytes)]
    for number, (course, said) in enumerate(((with_it, "true"), (without, "false"))):
        top = TOP + number * (HEIGHT + BETWEEN)
        sheet.marks += _panel(course, f"memory_optimization: {said}", top, most, last, shown)
    x = LEFT
    for name in shown:
        label = TITLES.get(name, name)
        sheet.marks += [Rect(x, sheet.h - 26, 10, 10, COLOURS[name], radius=2), Text(x + 15, sheet.h - 17, label, INK3, 10.5)]  # fmt: skip
        x += 28 + text_width(label, 10.5)
    return sheet


def _panel(course: Course, title: str, top: float, most: int, last: int, shown: list[str]) -> list[Mark]:
    bottom = top + HEIGHT
    marks: list[Mark] = [Text(LEFT, top - 8, title, INK, 11.5, bold=True)]
    facts = f"peak {bytes_text(course.peak)}; large buffers: the allocator asked {course.asked:,} times, used again {course.reused:,} times"
    marks.append(Text(LEFT + PLOT, top - 8, facts, INK3, 10.5, anchor="end"))
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * HEIGHT
        marks.append(Way((LEFT, y), straight((LEFT + PLOT, y)), LINE, 1, arrow=False))
        marks.append(Text(LEFT - 8, y + 3.5, bytes_text(share * most), INK3, 9.5, anchor="end"))
    marks.append(Text(LEFT, bottom + 15, "0", INK3, 9.5))
    marks.append(Text(LEFT + PLOT, bottom + 15, f"{last / 1e6:.3g} ms", INK3, 9.5, anchor="end"))
    kept = _kept(course)
    if not kept:
        return marks
    below = [0.0] * len(kept)
    for name in shown:
        above = [base + course.bytes[i].get(name, 0) for base, i in zip(below, kept, strict=True)]
        if any(a != b for a, b in zip(above, below, strict=True)):
            upper, lower = (_steps(course, kept, values, last, most, bottom) for values in (above, below))
            marks.append(Area([*upper, *reversed(lower)], COLOURS[name]))
        below = above
    return marks


def _kept(course: Course) -> list[int]:
    """Of every stretch of the course its highest and lowest instant, so that no spike is lost."""
    count = len(course.bytes)
    if count <= POINTS:
        return list(range(count))
    totals = [sum(now.values()) for now in course.bytes]
    chosen = {0, count - 1}
    for number in range(POINTS // 2):
        stretch = range(number * count // (POINTS // 2), (number + 1) * count // (POINTS // 2))
        chosen |= {max(stretch, key=totals.__getitem__), min(stretch, key=totals.__getitem__)}
    return sorted(chosen)


def _steps(
    course: Course, kept: list[int], values: list[float], last: int, most: int, bottom: float
) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = []
    for value, i in zip(values, kept, strict=True):
        x, y = LEFT + PLOT * course.time[i] / last, bottom - HEIGHT * value / most
        if points:
            points.append((x, points[-1][1]))
        points.append((x, y))
    return points


def facts(with_it: Course, without: Course) -> dict[str, Any]:
    """The figure in numbers."""
    return {
        name: {"peak": course.peak, "asked": course.asked, "reused": course.reused}
        for name, course in (("with", with_it), ("without", without))
    }
