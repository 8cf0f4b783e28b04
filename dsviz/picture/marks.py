"""What a picture is made of, whatever file it becomes: rectangles, ways and texts on a sheet."""

from __future__ import annotations

from dataclasses import dataclass, field

Point = tuple[float, float]
Curve = tuple[float, float, float, float, float, float]  # two handles and the end

FONT = 'Inter, "Segoe UI", "Helvetica Neue", Helvetica, "Liberation Sans", Arial, sans-serif'


@dataclass(slots=True)
class Rect:
    """A rectangle; `tip` is what it says when pointed at."""

    x: float
    y: float
    w: float
    h: float
    fill: str | None = None
    stroke: str | None = None
    width: float = 1.0
    radius: float = 0.0
    dashed: bool = False
    tip: str = ""


@dataclass(slots=True)
class Way:
    """A line from `start` through `curves`, with an arrow head at its end where `arrow`."""

    start: Point
    curves: list[Curve]
    stroke: str
    width: float = 1.2
    dashed: bool = False
    arrow: bool = True


@dataclass(slots=True)
class Area:
    """A filled polygon."""

    points: list[Point]
    fill: str


@dataclass(slots=True)
class Text:
    """One line of text; `y` is its baseline."""

    x: float
    y: float
    text: str
    fill: str
    size: float = 11.0
    bold: bool = False
    anchor: str = "start"  # or "middle", "end"


Mark = Rect | Way | Area | Text


@dataclass(slots=True)
class Sheet:
    """A picture: marks on a ground, in the order they are painted."""

    w: float
    h: float
    ground: str = "#ffffff"
    marks: list[Mark] = field(default_factory=list)
    title: str = ""


NARROW, WIDE = set("ijlI.,:;'|!()[]{}t f·′"), set("mwMW%@—")


def text_width(text: str, size: float = 11.0, bold: bool = False) -> float:
    """About how wide a text is, in the wider of the usual typefaces.

    >>> text_width("linear") < text_width("maxpool")
    True
    """
    units = 0.0
    for letter in text:
        units += 0.37 if letter in NARROW else 0.93 if letter in WIDE else 0.7 if letter.isupper() else 0.6
    return units * size * (1.06 if bold else 1.0)


def straight(*points: Point) -> list[Curve]:
    """The curves of a line through these points (without its start)."""
    return [(x, y, x, y, x, y) for x, y in points]
