"""From cells with places to marks: forward at the left, the backward pass as its mirror at the right."""

from __future__ import annotations

from dsviz.picture.cells import LABEL, NOTE, Cell, Graph, failed
from dsviz.picture.layered import BACK, Layered, curves
from dsviz.picture.marks import Curve, Mark, Rect, Sheet, Text, Way, text_width

# The light colours of assets/tokens.css (a test compares the two).
KINDS = {
    "linear": "#3c71ab", "elementwise": "#696f75", "activation": "#073f2f", "shape": "#443a07",
    "reduce": "#650b5e", "random": "#9d5f0a", "other": "#475061",
}  # fmt: skip
INK, INK2, INK3, SUNK, RED, RED_SOFT = "#1a1f28", "#475061", "#626c7b", "#f8f9fb", "#b9231b", "#fdecea"
NODE, NODE_LINE, GROUP, GROUP_LINE, LINE = "#fff", "#cbd1da", "#e9edf3", "#d3d9e2", "#e4e7ec"
FORWARD, BACKWARD, BACKWARD_SOFT, UPDATE = "#8ea3c0", "#c49ad0", "#f6edf9", "#0a6e4c"
MARGIN, HEADING, LANES = 20.0, 54.0, 56.0
QUIET = ("unreached", "nottaken", "skipped")


def drawn(graph: Graph) -> Sheet:
    """The picture of a graph."""
    layout = Layered(graph.root, graph.forward)
    root = graph.root
    _move(root, MARGIN, HEADING)
    lane = any(cell.backward for cell in root.within())
    shift = root.w + LANES if lane else 0.0
    width = max(root.w + shift + 2 * MARGIN, text_width(graph.title, 14, True) + 2 * MARGIN, 420.0)
    sheet = Sheet(width, root.h + HEADING + MARGIN, SUNK, title=graph.title)
    sheet.marks.append(Text(MARGIN, 26, graph.title, INK, 14, bold=True))
    if graph.below:
        sheet.marks.append(Text(MARGIN, 43, graph.below, INK3, 10.5))
    if not root.cells:
        sheet.marks.append(Text(MARGIN, HEADING + 10, "Nothing has run yet.", INK3, 12))
        sheet.h += 20
        return sheet
    if lane:
        sheet.marks.append(
            Text(
                MARGIN + shift,
                HEADING + 4,
                "the backward pass, each node level with its forward node",
                INK3,
                10,
            )
        )
    for cell in root.within():
        if cell.box and cell is not root:
            sheet.marks += _box(cell)
            if any(inner.backward for inner in cell.within()):
                sheet.marks += _mirror(cell, shift)
    _ways(graph, layout, sheet)
    _back_ways(layout, sheet)
    _gradients(graph, layout, shift, sheet)
    for cell in root.within():
        if not cell.box:
            sheet.marks += _cell(cell)
            _beside(cell, shift, sheet)
    return sheet


def _move(root: Cell, dx: float, dy: float) -> None:
    for cell in root.within():
        cell.x += dx
        cell.y += dy


def _box(box: Cell) -> list[Mark]:
    off = box.taken is False
    marks: list[Mark] = []
    if box.kind == "loop":  # its turns are a pile of cards
        marks += [Rect(box.x + d, box.y + d, box.w, box.h, GROUP, GROUP_LINE, radius=7) for d in (6.0, 3.0)]
    fill = None if box.kind == "branch" else GROUP if box.kind in ("loop", "optimizer") else "#f1f3f7"
    marks.append(Rect(box.x, box.y, box.w, box.h, fill, FORWARD if box.kind == "branch" else GROUP_LINE, 1.2, 7, box.kind == "branch", box.tip))  # fmt: skip
    colour = INK3 if off else UPDATE if box.kind == "optimizer" else INK2
    marks.append(Text(box.x + 10, box.y + 15, box.label, colour, 10.5, bold=True))
    if box.note:
        marks.append(Text(box.x + box.w - 10, box.y + 15, box.note, INK3, 9.5, anchor="end"))
    return marks


def _mirror(box: Cell, shift: float) -> list[Mark]:
    dashed = box.kind == "branch"
    return [
        Rect(box.x + shift, box.y, box.w, box.h, None, BACKWARD if dashed else "#e6d5ec", 1.0, 7, dashed, box.tip)
    ]  # fmt: skip


def _cell(cell: Cell) -> list[Mark]:
    quiet = cell.status in QUIET
    colour = KINDS.get(cell.family, KINDS["other"])
    if cell.kind == "leaf":
        marks: list[Mark] = [
            Rect(cell.x, cell.y, cell.w, cell.h, "#eef1f5", NODE_LINE, 1, cell.h / 2, tip=cell.tip)
        ]
    else:
        bad = failed(cell)
        pile = (
            [Rect(cell.x + 3, cell.y + 3, cell.w, cell.h, NODE, NODE_LINE, radius=5)]
            if cell.kind == "fold"
            else []
        )
        body = Rect(cell.x, cell.y, cell.w, cell.h, RED_SOFT if bad else NODE, RED if bad else NODE_LINE, 1.6 if bad else 1, 5, quiet, cell.tip)  # fmt: skip
        marks = [
            *pile,
            body,
            Rect(cell.x + 4, cell.y + 5, 3, cell.h - 10, NODE_LINE if quiet else colour, radius=1.5),
        ]
    return marks + _words(cell, INK3 if quiet else INK)


def _words(cell: Cell, ink: str) -> list[Mark]:
    middle = cell.x + cell.w / 2 + (2 if cell.kind != "leaf" else 0)
    one = not cell.note
    marks: list[Mark] = [Text(middle, cell.y + 15.5, cell.label, ink, LABEL, cell.kind != "leaf", "middle")]
    if not one:
        marks.append(Text(middle, cell.y + 28.5, cell.note, INK3, NOTE, anchor="middle"))
    return marks


def _ways(graph: Graph, layout: Layered, sheet: Sheet) -> None:
    """The edges of the forward pass. Those of one source share their way through the sides of a box."""
    for a, b, _ in graph.forward:
        points = layout.way(a, b)
        if len(points) > 1:
            points[-1] = (points[-1][0], points[-1][1] - 1.5)
            sheet.marks.append(Way(points[0], curves(points), FORWARD))


def _back_ways(layout: Layered, sheet: Sheet) -> None:
    """What goes back to an earlier place, as a loop does from turn to turn: out at the left of the box around both."""
    for number, (a, b) in enumerate(layout.back):
        shared = next(box for box in a.above() if box in b.above())
        x = shared.x + 5 + number % 3 * 3.5
        y1, y2 = a.y + a.h / 2, b.y + b.h / 2
        r = min(8.0, abs(y1 - y2) / 2) * (1 if y2 > y1 else -1)
        left = min(x + BACK, a.x, b.x)
        way: list[Curve] = [
            (left, y1, left, y1, left, y1), (x, y1, x, y1, x, y1 + r), (x, y2 - r, x, y2 - r, x, y2 - r),
            (x, y2, x, y2, left, y2), (b.x - 1.5, y2, b.x - 1.5, y2, b.x - 1.5, y2),
        ]  # fmt: skip
        sheet.marks.append(Way((a.x, y1), way, FORWARD, dashed=True))


def _beside(cell: Cell, shift: float, sheet: Sheet) -> None:
    """The backward nodes of a cell, level with it in the other lane."""
    if not cell.backward:
        return
    each = (cell.w - 4 * (len(cell.backward) - 1)) / len(cell.backward)
    for number, back in enumerate(cell.backward):
        back.x, back.y, back.w, back.h = cell.x + shift + number * (each + 4), cell.y, each, cell.h
        bad = failed(back)
        sheet.marks.append(
            Rect(back.x, back.y, back.w, back.h, RED_SOFT if bad else BACKWARD_SOFT, RED if bad else BACKWARD, 1, 5, tip=back.tip)
        )  # fmt: skip
        sheet.marks += _words(back, RED if bad else "#85399a")


def _gradients(graph: Graph, layout: Layered, shift: float, sheet: Sheet) -> None:
    """A gradient takes the way of the value it is for, the other way round; where there is none, a curve."""
    forward = {(id(a), id(b)) for a, b, _ in graph.forward}
    for start, end in graph.backward:
        a, b = start.parent, end.parent  # the forward cells they stand beside
        if a is None or b is None or a is b:
            continue
        points = layout.way(b, a)[::-1] if (id(b), id(a)) in forward else []
        if len(points) > 1:
            points = [(x + shift, y) for x, y in points]
            points[-1] = (points[-1][0], points[-1][1] + 1.5)
            sheet.marks.append(Way(points[0], curves(points), BACKWARD))
            continue
        x1, y1 = a.x + shift + a.w / 2, a.y
        x2, y2 = b.x + shift + b.w / 2, b.y + b.h + 1.5
        if y1 > y2:
            bend = (y1 - y2) * 0.4
            sheet.marks.append(Way((x1, y1), [(x1, y1 - bend, x2, y2 + bend, x2, y2)], BACKWARD))
        else:
            x1, x2, side = a.x + shift + a.w, b.x + shift + b.w + 1.5, 26.0
            y1, y2 = a.y + a.h / 2, b.y + b.h / 2
            sheet.marks.append(
                Way((x1, y1), [(max(x1, x2) + side, y1, max(x1, x2) + side, y2, x2, y2)], BACKWARD)
            )
