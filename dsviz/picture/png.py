"""A sheet as PNG, painted with Pillow at twice the size and brought down: no browser, no converter."""

from __future__ import annotations

import io
import itertools
from functools import lru_cache
from typing import Any

from dsviz.picture.marks import Area, Rect, Sheet, Text, Way
from dsviz.picture.svg import arrow

SCALE = 2  # pixels of the file for one unit of the sheet
FINER = 2  # painted so much finer, for smooth edges
MOST = 120_000_000  # pixels that are painted; a larger sheet gets fewer of them
STEPS = 14
FACES = {False: ("Arial.ttf", "LiberationSans-Regular.ttf", "DejaVuSans.ttf"), True: ("Arialbd.ttf", "LiberationSans-Bold.ttf", "DejaVuSans-Bold.ttf")}  # fmt: skip


class NoPillow(ImportError):  # noqa: N818 - the sentence is for the person
    """Pillow, which paints PNG, is not installed."""


def png(sheet: Sheet) -> bytes:
    """The PNG file of a sheet. Raises `NoPillow` with what to install where Pillow is missing."""
    try:
        from PIL import Image, ImageDraw
    except ImportError:
        raise NoPillow(
            'a PNG is painted with Pillow, which is not installed: pip install "dsviz[pictures]". '
            "The endings .svg, .html and .dot need nothing."
        ) from None
    finer = SCALE * FINER
    while finer > 1 and sheet.w * sheet.h * finer * finer > MOST:
        finer -= 1
    image = Image.new("RGB", (max(1, round(sheet.w * finer)), max(1, round(sheet.h * finer))), sheet.ground)
    draw = ImageDraw.Draw(image)
    for mark in sheet.marks:
        _paint(draw, mark, finer)
    small = max(1, finer // FINER) / finer
    if small < 1:
        image = image.resize((round(image.width * small), round(image.height * small)), Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _paint(draw: Any, mark: Rect | Way | Area | Text, k: float) -> None:
    if isinstance(mark, Rect):
        corners = (mark.x * k, mark.y * k, (mark.x + max(mark.w, 0)) * k, (mark.y + max(mark.h, 0)) * k)
        width = max(1, round(mark.width * k)) if mark.stroke else 0
        outline = None if mark.dashed else mark.stroke
        draw.rounded_rectangle(
            corners, min(mark.radius, mark.w / 2, mark.h / 2) * k, mark.fill, outline, width
        )
        if mark.dashed and mark.stroke:
            x0, y0, x1, y1 = corners
            _line(draw, [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], mark.stroke, width, k, True)
    elif isinstance(mark, Text):
        anchor = {"start": "ls", "middle": "ms", "end": "rs"}[mark.anchor]
        face = _face(round(mark.size * k), mark.bold)
        draw.text((mark.x * k, mark.y * k), mark.text, fill=mark.fill, font=face, anchor=anchor)
    elif isinstance(mark, Area):
        draw.polygon([(x * k, y * k) for x, y in mark.points], fill=mark.fill)
    else:
        points = [(x * k, y * k) for x, y in flat(mark)]
        _line(draw, points, mark.stroke, max(1, round(mark.width * k)), k, mark.dashed)
        if mark.arrow:
            draw.polygon([(x * k, y * k) for x, y in arrow(mark)], fill=mark.stroke)


def flat(way: Way) -> list[tuple[float, float]]:
    """The points of a way, its curves broken into short lines."""
    points = [way.start]
    for x1, y1, x2, y2, x3, y3 in way.curves:
        x0, y0 = points[-1]
        for step in range(1, STEPS + 1):
            t = step / STEPS
            a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            points.append((a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3))
    return points


def _line(
    draw: Any, points: list[tuple[float, float]], colour: str, width: int, k: float, dashed: bool
) -> None:
    if not dashed:
        draw.line(points, fill=colour, width=width, joint="curve")
        return
    on, off = 4 * k, 3 * k
    gone = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        at = 0.0
        while at < length:
            place = (gone + at) % (on + off)
            step = min(length - at, (on if place < on else on + off) - place or off)
            if place < on:
                a, b = at / length, (at + step) / length
                ends = [(x0 + (x1 - x0) * t, y0 + (y1 - y0) * t) for t in (a, b)]
                draw.line(ends, fill=colour, width=width)
            at += max(step, 0.01)
        gone += length


@lru_cache(maxsize=64)
def _face(size: int, bold: bool) -> Any:
    from PIL import ImageFont

    for name in FACES[bold]:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue  # not on this machine: the next one, and in the end the one that Pillow brings
    return ImageFont.load_default(size)
