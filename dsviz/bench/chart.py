"""The ratios of a comparison as a picture: a bar for each, and a line where the peer is."""

from __future__ import annotations

import math
from typing import Any

from dsviz.bench.contestants import CONTESTANTS
from dsviz.bench.report import columns as columns_of
from dsviz.picture.marks import Mark, Rect, Sheet, Text, Way, straight, text_width

INK, FAINT, RULE, AHEAD, BEHIND, GOAL = "#1f2328", "#656d76", "#d0d7de", "#1a7f64", "#b3541e", "#1f2328"
LEFT, PLOT, ROW, TOP, GAP = 300, 190, 17, 92, 24
LEAST, MOST = 0.125, 8.0  # what the scale spans, in powers of two


def place(value: float) -> float:
    """Where a ratio lies along the scale, 0 to 1.

    >>> place(1.0)
    0.5
    """
    low, high = math.log2(LEAST), math.log2(MOST)
    return (min(max(math.log2(value), low), high) - low) / (high - low)


def chart(all_figures: list[dict[str, Any]], where: str) -> Sheet:
    """The picture of several workloads' figures; `where` says on what machine, and when.

    Raises `ValueError` when nothing was compared.
    """
    rows = [figures for figures in all_figures if "ratio" in figures]
    if not rows:
        raise ValueError("there is nothing to draw: a picture compares with PyTorch, which was not measured")
    columns = list(columns_of(rows[0]).items())
    width = LEFT + len(columns) * (PLOT + GAP)
    bottom = TOP + len(rows) * ROW + 8
    sheet = Sheet(width, bottom + 66, title="dsviz beside PyTorch")
    sheet.marks += [
        Text(20, 28, "dsviz beside PyTorch: ours divided by theirs", INK, 14, bold=True),
        Text(20, 46, where, FAINT, 10.5),
    ]
    for number, (key, title) in enumerate(columns):
        sheet.marks += _column(rows, key, title, LEFT + number * (PLOT + GAP), bottom)
    for number, figures in enumerate(rows):
        text = figures["what"]
        while text_width(text, 10.5) > LEFT - 40:
            text = text[:-2].rstrip(" ,") + "…"
        sheet.marks.append(Text(LEFT - 14, TOP + number * ROW + 11.5, text, INK, 10.5, anchor="end"))
    x = 20.0
    for colour, words in ((AHEAD, "ahead of PyTorch"), (BEHIND, "behind PyTorch")):
        sheet.marks += [Rect(x, bottom + 40, 10, 10, colour, radius=2), Text(x + 15, bottom + 49, words, FAINT, 10.5)]  # fmt: skip
        x += 36 + text_width(words, 10.5)
    sheet.marks += [
        Rect(x + 3, bottom + 39, 2, 12, GOAL),
        Text(x + 15, bottom + 49, "what was aimed at", FAINT, 10.5),
    ]
    return sheet


def _column(rows: list[dict[str, Any]], key: str, title: str, left: float, bottom: float) -> list[Mark]:
    marks: list[Mark] = [Text(left, TOP - 14, title, INK, 11, bold=True)]
    for power in range(round(math.log2(LEAST)), round(math.log2(MOST)) + 1, 1):
        x = left + place(2.0**power) * PLOT
        one = power == 0
        marks.append(
            Way((x, TOP - 6), straight((x, bottom)), FAINT if one else RULE, 1.2 if one else 0.7, arrow=False)
        )
        if power % 2 or one:
            label = "1" if one else f"{2**power}" if power > 0 else f"1/{2**-power}"
            marks.append(Text(x, bottom + 14, label, FAINT, 9.5, anchor="middle"))
    middle = left + place(1.0) * PLOT
    for number, figures in enumerate(rows):
        value, goal = figures["ratio"][key], figures["goals"].get(key)
        if value is None:
            continue
        y, end = TOP + number * ROW, left + place(value) * PLOT
        tip = f"{figures['name']}: {value:.2f} times {CONTESTANTS[figures['beside']].title}"
        marks.append(Rect(min(end, middle), y + 3, max(abs(end - middle), 1), ROW - 7, AHEAD if value <= 1 else BEHIND, radius=1.5, tip=tip))  # fmt: skip
        label = f"{value:.2f}"
        marks.append(Text(end + (4 if value > 1 else -4), y + 11.5, label, INK, 9, anchor="start" if value > 1 else "end"))  # fmt: skip
        if goal is not None:
            marks.append(Rect(left + place(goal) * PLOT - 1, y + 1, 2, ROW - 3, GOAL, tip=f"goal {goal:g}"))
    return marks
