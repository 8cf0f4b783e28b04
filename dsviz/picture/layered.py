"""Places for nested cells: each box is laid out in rows by who needs whom, from the inside out.

The classical layered drawing (Sugiyama, Tagawa and Toda 1981), once for every box. An edge that passes a row goes
through a narrow stand-in there, so it never crosses a cell; an edge that leaves or enters a box goes through a port on
its lower or upper side. Within a row the order is that of the neighbours' mean place, and the places are the
least-squares ones that keep the order (pool adjacent violators).
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field

from dsviz.picture.cells import Cell
from dsviz.picture.marks import Curve, Point, text_width

GAP = 14.0  # between neighbours in a row
ROW = 26.0  # between rows
PAD = 12.0
HEAD = 22.0
STAND_IN = 7.0
WIDEST = 1500.0  # a row that would be wider is continued below
BACK = 16.0  # at the left of a box, for what goes back to an earlier row
SWEEPS = 4


@dataclass(eq=False, slots=True)
class Part:
    """Something in a row: a cell, a stand-in for a passing edge, or a port (a stand-in in the first or last row)."""

    cell: Cell | None
    w: float
    row: int
    x: float = 0.0  # left side, in the box
    order: float = 0.0
    ins: list[tuple[Part, float, float]] = field(default_factory=list)  # (other, offset there, offset here)
    outs: list[tuple[Part, float, float]] = field(default_factory=list)


# A stretch of a way in one box: what it starts from and ends in (0: a port), and where the whole edge comes from.
Key = tuple[int, int, int]


@dataclass(slots=True)
class Inside:
    """How a box is laid out: where its ports are (by the source of the edge), and its edges' points, all from its left top corner."""

    ports_in: dict[int, float] = field(default_factory=dict)
    ports_out: dict[int, float] = field(default_factory=dict)
    ways: dict[Key, list[Point]] = field(default_factory=dict)


Edge = tuple[Cell, Cell]


class Layered:
    """Places every cell of `root` (`x`, `y` absolute, `w`, `h` of the boxes) and gives the way of each edge."""

    def __init__(self, root: Cell, edges: list[tuple[Cell, Cell, bool]]) -> None:
        self.root = root
        self.inner: dict[int, list[tuple[Cell | None, Cell | None, Cell]]] = defaultdict(list)
        self.inside: dict[int, Inside] = {}
        self.back: list[Edge] = []
        self.turned: set[tuple[int, int]] = set()  # pairs of neighbours in a box whose edges go back
        self._sort(root, edges)
        for source, target, carried in edges:
            self._spread(source, target, carried)
        self._box(root)
        self._settle(root, 0.0, 0.0)

    def _sort(self, root: Cell, edges: list[tuple[Cell, Cell, bool]]) -> None:
        """Bring the cells of each box in an order in which each comes after what it needs; what is in the way goes back."""
        needs: dict[int, set[int]] = defaultdict(set)
        for source, target, carried in edges:
            shared = _shared(source, target)
            if shared is not None and not carried:
                needs[id(shared[2])].add(id(shared[1]))
        for box in root.within():
            waiting = list(box.cells)
            done: set[int] = set()
            here = {id(cell) for cell in waiting}
            ordered: list[Cell] = []
            while waiting:
                cell = next((c for c in waiting if not (needs[id(c)] & here) - done), waiting[0])
                self.turned |= {(source, id(cell)) for source in (needs[id(cell)] & here) - done}
                waiting.remove(cell)
                done.add(id(cell))
                ordered.append(cell)
            box.cells = ordered

    def _spread(self, source: Cell, target: Cell, carried: bool) -> None:
        """Tell each box on the way of an edge about its stretch of it."""
        found = _shared(source, target)
        if found is None:
            return
        shared, first, last = found
        if carried or (id(first), id(last)) in self.turned:
            self.back.append((source, target))
            return
        out, into = [source, *source.above()], [target, *target.above()]
        for index, cell in enumerate(out[: _at(out, shared) - 1]):
            self._stretch(out[index + 1], cell, None, source)
        self._stretch(shared, first, last, source)
        for index, cell in enumerate(into[: _at(into, shared) - 1]):
            self._stretch(into[index + 1], None, cell, source)

    def _stretch(self, box: Cell, a: Cell | None, b: Cell | None, source: Cell) -> None:
        known = self.inner[id(box)]
        if not any(x is a and y is b and z is source for x, y, z in known):
            known.append((a, b, source))

    # -- one box ---------------------------------------------------------------------------------

    def _box(self, box: Cell) -> None:
        for cell in box.cells:
            if cell.box:
                self._box(cell)
        stretches = self.inner[id(box)]
        row_of = self._rows(box, [(a, b) for a, b, _ in stretches if a is not None and b is not None])
        last = max(row_of.values(), default=0)
        parts = {id(cell): Part(cell, cell.w, row_of[id(cell)]) for cell in box.cells}
        rows: list[list[Part]] = [[] for _ in range(last + 3)]  # ports above and below
        for cell in box.cells:
            rows[row_of[id(cell)] + 1].append(parts[id(cell)])
        ports_in: dict[int, Part] = {}
        ports_out: dict[int, Part] = {}
        chains: list[tuple[Key, list[Part], float, float]] = []
        for a, b, source in stretches:
            if a is None:
                start, off_a = _port(ports_in, source, rows[0], -1), STAND_IN / 2
            else:
                start, off_a = parts[id(a)], self._leaves(a, source)
            if b is None:
                end, off_b = _port(ports_out, source, rows[-1], last + 1), STAND_IN / 2
            else:
                end, off_b = parts[id(b)], self._enters(b, source)
            chain = [start]
            for row in range(start.row + 1, end.row):
                chain.append(Part(None, STAND_IN, row))
                rows[row + 1].append(chain[-1])
            chain.append(end)
            for index in range(len(chain) - 1):
                u, v = chain[index], chain[index + 1]
                here = off_a if index == 0 else STAND_IN / 2
                there = off_b if index == len(chain) - 2 else STAND_IN / 2
                u.outs.append((v, there, here))
                v.ins.append((u, here, there))
            chains.append((_key(a, b, source), chain, off_a, off_b))
        _arrange(rows)
        self._measure(box, rows, chains, ports_in, ports_out)

    def _leaves(self, cell: Cell, source: Cell) -> float:
        return self.inside[id(cell)].ports_out[id(source)] if cell.box else cell.w / 2

    def _enters(self, cell: Cell, source: Cell) -> float:
        return self.inside[id(cell)].ports_in[id(source)] if cell.box else cell.w / 2

    def _rows(self, box: Cell, edges: list[Edge]) -> dict[int, int]:
        """A row for each cell: below all it needs, and below what is full."""
        needs = defaultdict(list)
        users = defaultdict(list)
        for a, b in edges:
            needs[id(b)].append(a)
            users[id(a)].append(b)
        row_of: dict[int, int] = {}
        widths: dict[int, float] = defaultdict(float)
        for cell in box.cells:
            if cell.kind == "leaf":
                continue
            row = max((row_of[id(a)] + 1 for a in needs[id(cell)] if id(a) in row_of), default=0)
            if cell.kind == "optimizer" or cell.family == "optimizer":
                row = max(row_of.values(), default=-1) + 1
            while widths[row] and widths[row] + cell.w > WIDEST:
                row += 1
            row_of[id(cell)] = row
            widths[row] += cell.w + GAP
        # An input stands right above the first that uses it; where that is the first row, all go down by one.
        leaves = [cell for cell in box.cells if cell.kind == "leaf"]
        above = [
            min((row_of[id(b)] for b in users[id(cell)] if id(b) in row_of), default=0) - 1 for cell in leaves
        ]
        if min(above, default=0) < 0:
            row_of = {key: row + 1 for key, row in row_of.items()}
            above = [row + 1 for row in above]
        for cell, row in zip(leaves, above, strict=True):
            row_of[id(cell)] = row
        return row_of

    def _measure(
        self, box: Cell, rows: list[list[Part]], chains: list[tuple[Key, list[Part], float, float]],
        ports_in: dict[int, Part], ports_out: dict[int, Part],
    ) -> None:  # fmt: skip
        """Heights of the rows, the size of the box, and the ways inside it."""
        went_back = any(box in a.above() and box in b.above() for a, b in self.back)
        left = PAD + (BACK if went_back else 0.0)
        everything = [part for row in rows for part in row]
        shift = left - min((part.x for part in everything), default=0.0)
        for part in everything:
            part.x += shift
        right = max((part.x + part.w for part in everything), default=0.0)
        head = text_width(box.label, 10.5, True) + text_width(box.note, 9.5) + 34
        box.w = max(right + PAD, head)
        y = HEAD if box.kind != "root" else 0.0
        spans: list[tuple[float, float]] = []
        for index, row in enumerate(rows):
            height = max((part.cell.h for part in row if part.cell is not None), default=0.0)
            spans.append((y, y + height))
            crowd = sum(len(part.outs) for part in row)
            y += height + (ROW + min(crowd, 12) * 1.2 if 0 < index < len(rows) - 2 else 0.0)
            if index == 0:
                spans[0] = (0.0, 0.0)
                y += 10.0
        box.h = y + 10.0
        spans[-1] = (box.h, box.h)
        for index, row in enumerate(rows):
            for part in row:
                if part.cell is not None:
                    part.cell.x, part.cell.y = part.x, spans[index][0]
        inside = self.inside[id(box)] = Inside()
        inside.ports_in = {key: part.x + STAND_IN / 2 for key, part in ports_in.items()}
        inside.ports_out = {key: part.x + STAND_IN / 2 for key, part in ports_out.items()}
        for key, chain, off_a, off_b in chains:
            points: list[Point] = []
            for index, part in enumerate(chain):
                top, bottom = spans[part.row + 1]
                if index == 0:
                    x = part.x + off_a
                    if part.cell is not None:
                        points.append((x, top + part.cell.h))
                    points.append((x, bottom) if part.cell is not None else (x, 0.0))
                    if part.cell is None and box.kind != "root":
                        points.append((x, HEAD - 6))  # not through the box's name
                elif index == len(chain) - 1:
                    points.append((part.x + off_b, top))
                else:
                    points += [(part.x + STAND_IN / 2, top), (part.x + STAND_IN / 2, bottom)]
            inside.ways[key] = points

    def _settle(self, box: Cell, x: float, y: float) -> None:
        """From places in the box to places on the sheet."""
        box.x, box.y = x, y
        for cell in box.cells:
            if cell.box:
                self._settle(cell, x + cell.x, y + cell.y)
            else:
                cell.x, cell.y = x + cell.x, y + cell.y

    def way(self, source: Cell, target: Cell) -> list[Point]:
        """The points on the sheet from a cell to another through all boxes between; empty where it goes back."""
        out, into = [source, *source.above()], [target, *target.above()]
        shared = next(box for box in out if any(box is other for other in into))
        up, down = _at(out, shared), _at(into, shared)
        stretches = [(out[i + 1], _key(out[i], None, source)) for i in range(up - 1)]
        stretches.append((shared, _key(out[up - 1], into[down - 1], source)))
        stretches += [(into[i + 1], _key(None, into[i], source)) for i in reversed(range(down - 1))]
        points: list[Point] = []
        for box, key in stretches:
            for x, y in self.inside[id(box)].ways.get(key, ()):
                if not points or abs(points[-1][0] - x - box.x) + abs(points[-1][1] - y - box.y) > 0.01:
                    points.append((x + box.x, y + box.y))
        return points


def _key(a: Cell | None, b: Cell | None, source: Cell) -> Key:
    return 0 if a is None else id(a), 0 if b is None else id(b), id(source)


def _shared(source: Cell, target: Cell) -> tuple[Cell, Cell, Cell] | None:
    """The innermost box around both, and the two of its cells that hold them; None where one holds the other."""
    out, into = [source, *source.above()], [target, *target.above()]
    shared = next((box for box in out if any(box is other for other in into)), None)
    if shared is None or shared is source or shared is target:
        return None
    return shared, out[_at(out, shared) - 1], into[_at(into, shared) - 1]


def _at(line: list[Cell], cell: Cell) -> int:
    return next(index for index, other in enumerate(line) if other is cell)


def _port(ports: dict[int, Part], source: Cell, row: list[Part], number: int) -> Part:
    found = ports.get(id(source))
    if found is None:
        found = ports[id(source)] = Part(None, STAND_IN, number)
        row.append(found)
    return found


def _arrange(rows: list[list[Part]]) -> None:
    """Order and place the parts of every row."""
    for row in rows:
        _spaced(row)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            for part in row:
                neighbours = (part.ins if down else part.outs) or part.ins or part.outs
                middle = part.x + part.w / 2
                part.order = (
                    sum(other.x + there - here for other, there, here in neighbours) / len(neighbours) + part.w / 2
                    if neighbours else middle
                )  # fmt: skip
            row.sort(key=lambda part: part.order)
            _spaced(row)


def _spaced(row: list[Part]) -> None:
    """Least-squares places near `order` that keep the order and the gaps."""
    blocks: list[list[float]] = []  # [sum of wanted places, parts]
    offset, offsets = 0.0, []
    for index, part in enumerate(row):
        if index:
            narrow = part.cell is None and row[index - 1].cell is None
            offset += row[index - 1].w + (2.0 if narrow else GAP)
        offsets.append(offset)
        wanted = part.order - part.w / 2 - offset
        blocks.append([wanted, 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            wanted, count = blocks.pop()
            blocks[-1][0] += wanted
            blocks[-1][1] += count
    index = 0
    for total, count in blocks:
        for _ in range(int(count)):
            row[index].x = total / count + offsets[index]
            index += 1


def curves(points: list[Point]) -> list[Curve]:
    """A smooth way down through points: straight where it goes straight down."""
    found: list[Curve] = []
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        bend = 0.0 if abs(x1 - x2) < 0.5 else (y2 - y1) * 0.5
        found.append((x1, y1 + bend, x2, y2 - bend, x2, y2))
    return found
