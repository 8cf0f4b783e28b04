"""Which branches and loops stand around a line of the program."""

from __future__ import annotations

import ast
from collections.abc import Callable

from dsviz.events import Site
from dsviz.query.constructs import FUNCTIONS, Construct, constructs

LOOPS = ("for", "while", "comprehension")
INNER = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")

Around = tuple[tuple[Site, bool | None], ...]


class Sites:
    """The sites of every file: those the traced program announced, else those its text shows.

    `read(path)` gives the text of a file of the program or None. A site read from the text has a
    negative number: nobody will announce its turns and decisions, they are inferred.
    """

    def __init__(self, read: Callable[[str], str | None]) -> None:
        self.read = read
        self.by_id: dict[int, Site] = {}
        self._files: dict[int, list[Site]] = {}
        self._chained: set[int] = set()
        self._around: dict[tuple[int, int, str], tuple[Around, tuple[int, ...]]] = {}

    def add(self, site: Site) -> None:
        """The program announced a site."""
        known = self._files.get(site.file, [])
        if known and known[0].id < 0:
            known = []
        self._files[site.file] = sorted([*known, site], key=_outermost_first)
        self.by_id[site.id] = site
        self._around.clear()
        self._mark_chains(site.file)

    def announced(self, file: int) -> bool:
        """Whether the turns and decisions of this file's sites are reported by the program."""
        known = self._files.get(file, [])
        return bool(known) and known[0].id > 0

    def open(self, file: int, path: str) -> None:
        """Make sure that the sites of a file are known, reading its text where nobody announced them."""
        if file in self._files:
            return
        self._files[file] = found = []
        text = self.read(path)
        if text is None:
            return
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            return  # not Python that we can read: no branches or loops are known there
        for construct in with_scopes(tree):
            site = as_site(construct[0], -1 - len(self.by_id), file, construct[1])
            self.by_id[site.id] = site
            found.append(site)
        found.sort(key=_outermost_first)
        self._mark_chains(file)

    def around(self, file: int, line: int, function: str) -> tuple[Around, tuple[int, ...]]:
        """The sites around a line, outermost first, each with the arm of a branch (None for a loop).

        Second, the numbers of those whose line alone does not tell: a loop or branch written on one
        line governs the line only while it is active.
        """
        key = (file, line, function)
        found = self._around.get(key)
        if found is None:
            found = self._around[key] = self._find(file, line, function.rpartition(".")[2])
        return found

    def chained(self, site: int) -> bool:
        """Whether the other arm of this `if` is an `elif`, which is a branch of its own."""
        return site in self._chained

    def _find(self, file: int, line: int, function: str) -> tuple[Around, tuple[int, ...]]:
        around: list[tuple[Site, bool | None]] = []
        unsure: list[int] = []
        for site in self._files.get(file, ()):
            inner = function in INNER
            if inner and site.construct != "comprehension":
                continue
            if not inner and site.scope and site.scope != function:
                continue
            first, last = site.body
            if site.construct == "while":
                first = site.line
            if first <= line <= last:
                around.append((site, True if site.construct == "if" else None))
                if site.construct == "comprehension" or (site.construct != "while" and first == site.line):
                    unsure.append(site.id)
            elif (
                site.construct == "if"
                and site.orelse[0] <= line <= site.orelse[1]
                and site.id not in self._chained
            ):
                around.append((site, False))
        return tuple(around), tuple(unsure)

    def _mark_chains(self, file: int) -> None:
        # An `elif` is drawn beside its `if`, not inside the other arm.
        elifs = {site.line for site in self._files[file] if site.label.startswith("elif ")}
        self._chained |= {site.id for site in self._files[file] if site.orelse[0] in elifs}


def as_site(construct: Construct, id: int, file: int, scope: str) -> Site:
    """The record of a construct."""
    return Site(
        id, construct.kind, file, construct.line, construct.body, construct.orelse, construct.label, scope
    )


def with_scopes(tree: ast.AST) -> list[tuple[Construct, str]]:
    """Every construct of a text with the name of the function it stands in."""
    found: list[tuple[Construct, str]] = []
    owners: dict[int, str] = {}
    stack: list[tuple[ast.AST, str]] = [(tree, "<module>")]
    while stack:
        node, scope = stack.pop()
        owners[id(node)] = scope
        if isinstance(node, FUNCTIONS):
            scope = getattr(node, "name", "<lambda>")
        stack.extend((child, scope) for child in ast.iter_child_nodes(node))
    found.extend((construct, owners[id(construct.node)]) for construct in constructs(tree))
    return found


def _outermost_first(site: Site) -> tuple[int, int, int]:
    first = min(site.line, site.body[0])
    return first, -max(site.body[1], site.orelse[1]), abs(site.id)
