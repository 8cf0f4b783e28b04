"""A step length along a direction that satisfies the strong Wolfe conditions.

Nocedal and Wright 2006, Numerical optimization, algorithms 3.5 (bracket) and 3.6 (zoom), with steps tried at the
minimum of the cubic through two points and their slopes (there, equation 3.59).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

DECREASE, CURVATURE = 1e-4, 0.9  # c1 and c2 there; of the quasi-Newton methods


class Point(NamedTuple):
    """A step length, and what the function is there."""

    t: float
    value: float
    gradient: Any
    slope: float  # along the direction


def cubic_minimum(a: Point, b: Point, low: float, high: float) -> float:
    """Where the cubic through `a` and `b` and their slopes is least, within bounds; the middle where it has none."""
    left, right = (a, b) if a.t <= b.t else (b, a)
    d1 = left.slope + right.slope - 3 * (left.value - right.value) / (left.t - right.t)
    square = d1 * d1 - left.slope * right.slope
    if not square >= 0 or not math.isfinite(square):
        return (low + high) / 2
    d2 = math.sqrt(square)
    span = right.slope - left.slope + 2 * d2
    if span == 0:
        return (low + high) / 2
    at = right.t - (right.t - left.t) * ((right.slope + d2 - d1) / span)
    return min(max(at, low), high)


def strong_wolfe(
    evaluate: Callable[[float], Point], start: Point, t: float, smallest: float, limit: int = 25
) -> tuple[Point, int]:
    """A point after `start` (at 0) that satisfies both conditions, or the best found, and how many were tried.

    `evaluate(t)` is the point at step `t`; `t` the first one tried; `smallest` the bracket to stop at.
    """

    def rises(point: Point) -> bool:
        return not point.value <= start.value + DECREASE * point.t * start.slope

    def flat(point: Point) -> bool:
        return abs(point.slope) <= -CURVATURE * start.slope

    before, point, tried = start, evaluate(t), 1
    low = high = point
    while tried <= limit:
        if rises(point) or (tried > 1 and point.value >= before.value):
            low, high = before, point
            break
        if flat(point):
            return point, tried
        if point.slope >= 0:
            low, high = point, before
            break
        if tried == limit:
            return (point if point.value < before.value else before), tried
        t = cubic_minimum(before, point, point.t + 0.01 * (point.t - before.t), point.t * 10)
        before, point = point, evaluate(t)
        tried += 1
    stuck = False
    while tried < limit:
        width = abs(high.t - low.t)
        if width * abs(start.slope) < smallest:
            break
        least, most = min(low.t, high.t), max(low.t, high.t)
        t = cubic_minimum(low, high, least, most)
        margin = 0.1 * width
        # Near an end the bracket hardly shrinks: the second time in a row, step a tenth inside it.
        if min(most - t, t - least) < margin:
            if stuck or t in (least, most):
                t = most - margin if abs(t - most) < abs(t - least) else least + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        point = evaluate(t)
        tried += 1
        if rises(point) or point.value >= low.value:
            high = point
            continue
        if flat(point):
            return point, tried
        if point.slope * (high.t - low.t) >= 0:
            high = low
        low = point
    return low, tried
