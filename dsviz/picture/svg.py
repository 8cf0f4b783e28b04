"""A sheet as SVG. Everything that comes from a program is text, never markup."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from dsviz.picture.marks import FONT, Area, Mark, Rect, Sheet, Text, Way

FAMILY = quoteattr(FONT)


def svg(sheet: Sheet) -> str:
    """The SVG document of a sheet.

    >>> svg(Sheet(10, 10, title="a < b")).count("&lt;")
    1
    """
    size = f'viewBox="0 0 {_n(sheet.w)} {_n(sheet.h)}" width="{_n(sheet.w)}" height="{_n(sheet.h)}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family={FAMILY} role="img">',
        f"<title>{clean(sheet.title)}</title>",
        f'<rect width="100%" height="100%" fill="{sheet.ground}"/>',
        *(_mark(mark) for mark in sheet.marks),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def clean(text: str) -> str:
    """Text as XML takes it: escaped, and without the characters that XML has none for."""
    kept = "".join(c if (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff") or c in "\n\t" else "\ufffd" for c in text)  # fmt: skip
    return escape(kept)


def _n(x: float) -> str:
    return f"{x:.2f}".rstrip("0").rstrip(".")


def _mark(mark: Mark) -> str:
    if isinstance(mark, Rect):
        look = _paint(mark.fill, mark.stroke, mark.width, mark.dashed)
        place = f'x="{_n(mark.x)}" y="{_n(mark.y)}" width="{_n(mark.w)}" height="{_n(mark.h)}" rx="{_n(mark.radius)}"'
        tip = f"><title>{clean(mark.tip)}</title></rect>" if mark.tip else "/>"
        return f"<rect {place} {look}{tip}"
    if isinstance(mark, Text):
        bold = ' font-weight="600"' if mark.bold else ""
        anchor = "" if mark.anchor == "start" else f' text-anchor="{mark.anchor}"'
        place = f'x="{_n(mark.x)}" y="{_n(mark.y)}"'
        return f'<text {place} font-size="{_n(mark.size)}" fill="{mark.fill}"{bold}{anchor} xml:space="preserve">{clean(mark.text)}</text>'
    if isinstance(mark, Area):
        return f'<path d="M{"L".join(f"{_n(x)} {_n(y)}" for x, y in mark.points)}Z" fill="{mark.fill}"/>'
    return _way(mark)


def _way(way: Way) -> str:
    x, y = way.start
    d = f"M{_n(x)} {_n(y)}"
    for curve in way.curves:
        x1, y1, _x2, _y2, x3, y3 = curve
        flat = (x1, y1) in ((x, y), (x3, y3)) and (curve[2], curve[3]) == (x3, y3)
        d += f"L{_n(x3)} {_n(y3)}" if flat else "C" + " ".join(_n(value) for value in curve)
        x, y = x3, y3
    line = f'<path d="{d}" {_paint(None, way.stroke, way.width, way.dashed)}/>'
    if not way.arrow:
        return line
    points = " ".join(f"{_n(px)},{_n(py)}" for px, py in arrow(way))
    return f'{line}<polygon points="{points}" fill="{way.stroke}"/>'


def arrow(way: Way, size: float = 5.5) -> list[tuple[float, float]]:
    """The three corners of a way's arrow head."""
    x1, y1, x2, y2, x, y = way.curves[-1]
    before = (x2, y2) if (x2, y2) != (x, y) else (x1, y1) if (x1, y1) != (x, y) else _end_before(way)
    dx, dy = x - before[0], y - before[1]
    length = (dx * dx + dy * dy) ** 0.5 or 1.0
    dx, dy = dx / length * size, dy / length * size
    return [(x, y), (x - dx - dy * 0.5, y - dy + dx * 0.5), (x - dx + dy * 0.5, y - dy - dx * 0.5)]


def _end_before(way: Way) -> tuple[float, float]:
    return way.curves[-2][4:] if len(way.curves) > 1 else way.start


def _paint(fill: str | None, stroke: str | None, width: float, dashed: bool) -> str:
    line = f' stroke="{stroke}" stroke-width="{_n(width)}"' if stroke else ""
    return f'fill="{fill or "none"}"{line}' + (' stroke-dasharray="4 3"' if dashed and stroke else "")
