"""The places of a source text that choose: its branches and loops, with the lines each of them governs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

LABEL_WIDTH = 80
NOWHERE = (0, 0)

Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


@dataclass(slots=True)
class Construct:
    """One `if`, `for`, `while` or comprehension clause.

    `body` and `orelse` are first and last line, `(0, 0)` where there is none. `node` is the syntax node
    it was read from, and for a comprehension `clause` says which of its `for` parts it is.
    """

    kind: str
    line: int
    body: tuple[int, int]
    orelse: tuple[int, int]
    label: str
    node: ast.AST
    clause: int = 0


def constructs(tree: ast.AST) -> Iterator[Construct]:
    """The constructs of `tree`, each before those inside it.

    >>> [c.label for c in constructs(ast.parse("for x in xs:\\n    if x:\\n        pass\\n"))]
    ['for x in xs', 'if x']
    """
    for child in ast.iter_child_nodes(tree):
        yield from _of(child, in_else_of=tree)


def _of(node: ast.AST, in_else_of: ast.AST) -> Iterator[Construct]:
    if isinstance(node, ast.If) and not _settled(node.test):
        parent = in_else_of
        chained = isinstance(parent, ast.If) and parent.orelse == [node] and _is_elif(parent, node)
        word = "elif" if chained else "if"
        yield Construct(
            "if", node.lineno, _lines(node.body), _lines(node.orelse), _label(word, node.test), node
        )
    elif isinstance(node, ast.For):
        header = f"for {ast.unparse(node.target)} in {ast.unparse(node.iter)}"
        yield Construct("for", node.lineno, _lines(node.body), _lines(node.orelse), _cut(header), node)
    elif isinstance(node, ast.While) and not (isinstance(node.test, ast.Constant) and not node.test.value):
        label = _label("while", node.test)
        yield Construct("while", node.lineno, _lines(node.body), _lines(node.orelse), label, node)
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        for index, clause in enumerate(node.generators):
            if not clause.is_async:
                header = f"for {ast.unparse(clause.target)} in {ast.unparse(clause.iter)}"
                lines = (node.lineno, node.end_lineno or node.lineno)
                yield Construct(
                    "comprehension", clause.iter.lineno, lines, NOWHERE, _cut(header), node, index
                )
    for child in ast.iter_child_nodes(node):
        yield from _of(child, in_else_of=node)


def _settled(test: ast.expr) -> bool:
    """Whether a test chooses nothing while the program runs: a constant, or the idiom for scripts."""
    if isinstance(test, ast.Compare) and isinstance(test.left, ast.Name):
        return test.left.id == "__name__"
    return isinstance(test, ast.Constant) or (isinstance(test, ast.Name) and test.id == "__debug__")


def _is_elif(parent: ast.If, node: ast.If) -> bool:
    # An `elif` stands in its parent's column; `else:` followed by an `if` is further in.
    return node.col_offset == parent.col_offset


def _lines(body: list[ast.stmt]) -> tuple[int, int]:
    if not body:
        return NOWHERE
    first = min([body[0].lineno, *(d.lineno for d in getattr(body[0], "decorator_list", []))])
    return first, max(s.end_lineno or s.lineno for s in body)


def _label(word: str, test: ast.expr) -> str:
    return _cut(f"{word} {ast.unparse(test)}")


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LABEL_WIDTH else text[: LABEL_WIDTH - 1] + "…"
