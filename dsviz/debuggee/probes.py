"""Probes in the person's own code: which way each `if` went, and which turn each loop is in.

`instrument` rewrites a file's syntax tree before it is compiled. The rewritten program computes the same
values, raises the same exceptions from the same lines with no frame of ours between, and closes iterators
at the same moments; it only tells, on the way, what it chose:

    if test:                    if @branch(7, True if test else False):
    for x in xs:                for x in @map(@turns(8), xs):
    while test:                 _@while9 = @again(9)
                                while _@while9(True if test else False):

`map` is Python's own, so a loop over `xs` runs no frame of ours while `xs` is asked for its next item.
The names cannot be written in Python, so they clash with nothing. `_@while9` does appear in `locals()`;
functions that look at their own names (`locals`, `vars`, `eval`, `exec`, `dir`) keep their `while` as it is.
"""

from __future__ import annotations

import ast
import builtins
import copy
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from dsviz.events import Site
from dsviz.query.constructs import FUNCTIONS, Construct
from dsviz.query.sites import as_site, with_scopes

T = TypeVar("T")

INTROSPECTION = frozenset({"locals", "vars", "eval", "exec", "dir", "globals"})
# Decorators that keep a function plain Python. Others may compile its source or its bytecode.
KNOWN_DECORATORS = frozenset(
    {
        "property",
        "staticmethod",
        "classmethod",
        "setter",
        "getter",
        "deleter",
        "cached_property",
        "cache",
        "lru_cache",
        "wraps",
        "contextmanager",
        "asynccontextmanager",
        "abstractmethod",
        "override",
        "final",
        "overload",
        "singledispatch",
        "register",
        "dataclass",
        "no_grad",
        "enable_grad",
        "inference_mode",
        "total_ordering",
        "fixture",
        "parametrize",
    }
)
BRANCH, MAP, TURNS, AGAIN = "@branch", "@map", "@turns", "@again"


def ignore(*_: Any) -> None:
    """The sink while nobody listens."""


on_branch: Callable[[int, bool], object] = ignore
on_turn: Callable[[int, int], object] = ignore


on_open: Callable[[int], Loop] | None = None
on_left: Callable[[Loop], object] | None = None


def listen(
    branch: Callable[[int, bool], object],
    turn: Callable[[int, int], object],
    opened: Callable[[int], Loop] | None = None,
    left: Callable[[Loop], object] | None = None,
) -> None:
    """Send decisions `(site, taken)` and turns `(site, index)` there; index -1 tells that the loop was left.

    With `opened`, which gives a loop at its first turn, the turns are counted on what it gave instead, and `left` gets
    that: a turn calls nothing then. The sinks run in the thread and, two calls up, in the frame of the code that chose.
    """
    global on_branch, on_turn, on_open, on_left
    on_branch, on_turn, on_open, on_left = branch, turn, opened, left


def install() -> None:
    """Make the probes known to instrumented code."""
    for name, probe in ((BRANCH, branch), (MAP, map), (TURNS, turns), (AGAIN, again)):
        setattr(builtins, name, probe)


# -- what instrumented code calls ---------------------------------------------------------------------


def branch(site: int, taken: bool) -> bool:
    """The `if` at `site` was decided."""
    on_branch(site, taken)
    return taken


class Left:
    """Dies with the loop's iterator, which is the moment the loop is left, however that happens."""

    __slots__ = ("begun", "loop", "site")

    def __init__(self, site: int) -> None:
        self.site = site
        self.begun = False
        self.loop: Loop | None = None

    def tell(self) -> None:
        """The loop was left."""
        loop, self.loop, self.begun = self.loop, None, False
        if loop is None:
            on_turn(self.site, -1)
        elif on_left is not None:
            on_left(loop)

    def __del__(self) -> None:
        if self.begun and on_turn is not None:  # when Python ends, names go before their last users
            self.tell()


def turns(site: int) -> Callable[[T], T]:
    """A function that hands each item of a `for` on and tells of the turn it begins."""
    index = -1
    left = Left(site)
    loop: Loop | None = None

    def turn(item: T) -> T:
        nonlocal index, loop
        if loop is not None:
            loop.turn += 1
            loop.pending.moved = True
            return item
        index += 1
        left.begun = True
        if index == 0 and on_open is not None:
            loop = left.loop = on_open(site)
        else:
            on_turn(site, index)
        return item

    return turn


def again(site: int) -> Callable[[bool], bool]:
    """A function that is told each time whether a `while` goes on."""
    index = -1
    left = Left(site)

    def test(goes_on: bool) -> bool:
        nonlocal index
        if goes_on:
            loop = left.loop
            if loop is not None:
                loop.turn += 1
                loop.pending.moved = True
                return goes_on
            index += 1
            left.begun = True
            if index == 0 and on_open is not None:
                left.loop = on_open(site)
            else:
                on_turn(site, index)
        else:
            if left.begun:
                left.tell()
            index = -1
        return goes_on

    return test


class Loop:
    """A loop that is running: the turn it is in, and the one that was told last."""

    __slots__ = ("pending", "site", "told", "turn")

    def __init__(self, pending: Pending, site: int, turn: int) -> None:
        self.pending, self.site, self.turn, self.told = pending, site, turn, -1


class Pending:
    """Holds turns back until something happens in them: a loop in which no op runs is never told.

    `emit(site, index)` gets what `turn` was told, but only the newest turn of each loop at each `flush`.
    One object serves one thread.
    """

    __slots__ = ("_emit", "_left", "_open", "moved")

    def __init__(self, emit: Callable[[int, int], object]) -> None:
        self._emit = emit
        self._open: list[Loop] = []
        self._left: list[Loop] = []  # by another thread, to be told by this one
        self.moved = False  # whether flush has anything to tell

    def open(self, site: int, turn: int = 0) -> Loop:
        """The loop at `site` begins."""
        loop = Loop(self, site, turn)
        self._open.append(loop)
        self.moved = True
        return loop

    def left(self, loop: Loop) -> None:
        """`loop` was left."""
        for at in range(len(self._open) - 1, -1, -1):
            if self._open[at] is loop:
                del self._open[at]
                if loop.told >= 0:
                    self._emit(loop.site, -1)
                return

    def left_elsewhere(self, loop: Loop) -> None:
        """`loop` was left, as another thread found: the collector found it there."""
        self._left.append(loop)
        self.moved = True

    def turn(self, site: int, index: int) -> None:
        """The loop at `site` begins turn `index`, or was left (-1)."""
        if index:
            for loop in reversed(self._open):
                if loop.site == site:
                    if index < 0:
                        self.left(loop)
                    else:
                        loop.turn = index
                        self.moved = True
                    return
        if index >= 0:
            self.open(site, index)

    def flush(self) -> None:
        """Tell the turns that began since the last time. Call it before telling of anything in them."""
        self.moved = False
        while self._left:
            self.left(self._left.pop(0))
        for loop in self._open:
            if loop.turn != loop.told:
                # A turn that does not begin a new execution must not look like one.
                if loop.told < 0 and loop.turn > 0:
                    self._emit(loop.site, 0)
                loop.told = loop.turn
                self._emit(loop.site, loop.turn)


# -- the transform -------------------------------------------------------------------------------------


def instrument(tree: ast.Module, filename: str, first_site: int) -> tuple[ast.Module, list[Site]]:
    """`tree` with probes, and the sites they speak of, numbered from `first_site`.

    `tree` itself is left as it is. The sites' `file` is 0: the caller knows the number of `filename`.

    >>> tree, sites = instrument(ast.parse("for x in xs:\\n    f(x)\\n"), "a.py", 5)
    >>> sites[0].label, sites[0].id, ast.unparse(tree).splitlines()[0]
    ('for x in xs', 5, 'for x in @map(@turns(5), xs):')
    """
    tree = copy.deepcopy(tree)
    left_alone = _left_alone(tree)
    sites: list[Site] = []
    chosen: dict[tuple[int, int], tuple[Construct, int]] = {}
    for construct, scope in with_scopes(tree):
        if id(construct.node) in left_alone:
            continue
        site = as_site(construct, first_site + len(sites), 0, scope)
        sites.append(site)
        chosen[id(construct.node), construct.clause] = (construct, site.id)
    for construct, number in chosen.values():
        node = construct.node
        if isinstance(node, ast.If):
            node.test = _branch(node.test, number)
        elif isinstance(node, ast.For):
            node.iter = _turns(node.iter, number)
        elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            clause = node.generators[construct.clause]
            clause.iter = _turns(clause.iter, number)
    _rewrite_whiles(tree, {node: number for (node, _), (c, number) in chosen.items() if c.kind == "while"})
    return tree, sites


def _left_alone(tree: ast.AST) -> set[int]:
    """Ids of the nodes that keep their form: in functions that somebody else compiles, and some `while`."""
    found: set[int] = set()
    stack: list[tuple[ast.AST, bool, bool]] = [(tree, False, False)]
    while stack:
        node, foreign, no_while = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            foreign = foreign or not all(map(_plain, node.decorator_list))
            no_while = _looks_at_itself(node)
        elif isinstance(node, ast.ClassDef):
            foreign = foreign or not all(map(_plain, node.decorator_list))
            no_while = True  # a name made here would be an attribute of the class
        if foreign or (no_while and isinstance(node, ast.While)):
            found.add(id(node))
        stack.extend((child, foreign, no_while) for child in ast.iter_child_nodes(node))
    return found


def _plain(decorator: ast.expr) -> bool:
    if isinstance(decorator, ast.Call):
        decorator = decorator.func
    if isinstance(decorator, ast.Attribute):
        return decorator.attr in KNOWN_DECORATORS
    return isinstance(decorator, ast.Name) and decorator.id in KNOWN_DECORATORS


def _looks_at_itself(function: ast.AST) -> bool:
    return any(isinstance(node, ast.Name) and node.id in INTROSPECTION for node in ast.walk(function))


def _branch(test: ast.expr, site: int) -> ast.expr:
    return _call(_name(BRANCH, test), [_number(site, test), _truth(test)], test)


def _turns(iterable: ast.expr, site: int) -> ast.expr:
    probe = _call(_name(TURNS, iterable), [_number(site, iterable)], iterable)
    return _call(_name(MAP, iterable), [probe, iterable], iterable)


def _truth(test: ast.expr) -> ast.expr:
    # A conditional expression decides exactly as the statement would: each part is asked once.
    yes = ast.copy_location(ast.Constant(True), test)
    no = ast.copy_location(ast.Constant(False), test)
    return ast.copy_location(ast.IfExp(test, yes, no), test)


def _name(name: str, where: ast.AST) -> ast.Name:
    return ast.copy_location(ast.Name(name, ast.Load()), where)


def _number(value: int, where: ast.AST) -> ast.Constant:
    return ast.copy_location(ast.Constant(value), where)


def _call(function: ast.expr, arguments: list[ast.expr], where: ast.AST) -> ast.Call:
    return ast.copy_location(ast.Call(function, arguments, []), where)


def _rewrite_whiles(tree: ast.Module, sites: dict[int, int]) -> None:
    if not sites:
        return
    for node in list(ast.walk(tree)):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list) and any(id(s) in sites for s in statements):
                statements[:] = [made for s in statements for made in _while(s, sites)]


def _while(statement: ast.stmt, sites: dict[int, int]) -> Iterable[ast.stmt]:
    site = sites.get(id(statement))
    if site is None or not isinstance(statement, ast.While):
        return [statement]
    name = f"_@while{site}"
    test = statement.test
    target = ast.copy_location(ast.Name(name, ast.Store()), test)
    begin = ast.copy_location(
        ast.Assign([target], _call(_name(AGAIN, test), [_number(site, test)], test)), test
    )
    statement.test = _call(_name(name, test), [_truth(test)], test)
    _tell_breaks(statement.body, name)
    return [begin, statement]


def _tell_breaks(statements: list[ast.stmt], name: str) -> None:
    """Before each `break` of this loop, tell that it is left."""
    at = 0
    while at < len(statements):
        statement = statements[at]
        if isinstance(statement, ast.Break):
            false = ast.copy_location(ast.Constant(False), statement)
            call = _call(_name(name, statement), [false], statement)
            statements.insert(at, ast.copy_location(ast.Expr(call), statement))
            at += 1
        elif isinstance(statement, ast.For | ast.AsyncFor | ast.While):
            _tell_breaks(statement.orelse, name)  # its own breaks are its own; those in its else are ours
        elif not isinstance(statement, FUNCTIONS):
            for field in ("body", "orelse", "finalbody"):
                _tell_breaks(getattr(statement, field, []), name)
            for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
                _tell_breaks(part.body, name)
        at += 1
