"""A variable of the program: where it was given its value, and the shapes and values it had over the run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dsviz.events import Leaf, Op
from dsviz.query.node import statistics

if TYPE_CHECKING:
    from dsviz.query.parts import Slot
    from dsviz.store import GraphStore

SHAPES = 8  # different shapes told
TURNS = 2_000  # turns looked through
LONGEST = 400_000  # characters of a file that is read for this

Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def variable(store: GraphStore, file: int, line: int, name: str) -> dict[str, Any]:
    """What is known of `name` (or `self.name`) as read on `line`: `lines` that set it, `shapes` it had, newest first.

    Each of `shapes` is `shape`, `dtype`, `times`, and the iterations `first` and `last`; `node` made the newest, and
    `statistics` are of it. `scope` are the lines of the function around, `argument` whether it is one of its arguments.
    """
    text = store.read(store.text(file))
    tree = _parsed(text) if text is not None and len(text) <= LONGEST else None
    answer: dict[str, Any] = {
        "name": name,
        "lines": [],
        "shapes": [],
        "node": None,
        "argument": False,
        "scope": None,
    }
    if tree is None:
        return answer
    scope = _around(tree, line)
    bound = list(_bindings(scope, name))
    if not bound and not _argument(scope, name) and scope is not tree and "." not in name:
        bound = list(_bindings(tree, name))
    if not bound and "." in name:
        bound = [
            found
            for one in ast.walk(tree)
            if isinstance(one, ast.FunctionDef)
            for found in _bindings(one, name)
        ]
    answer["argument"] = _argument(scope, name)
    if not isinstance(scope, ast.Module):
        answer["scope"] = [scope.lineno, scope.end_lineno]
    answer["lines"] = [statement.lineno for statement, _ in bound]
    earlier = [pair for pair in bound if pair[0].lineno <= line]
    for statement, index in [*reversed(earlier), *(pair for pair in bound if pair not in earlier)]:
        slot = _made_by(store, file, statement)
        if slot is not None:
            answer.update(_history(store, slot, index), line=statement.lineno)
            break
    return answer


@lru_cache(maxsize=32)
def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _around(tree: ast.Module, line: int) -> Scope:
    best: Scope = tree
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.lineno <= line <= (node.end_lineno or 0)
            and (isinstance(best, ast.Module) or node.lineno >= best.lineno)
        ):
            best = node
    return best


def _argument(scope: Scope, name: str) -> bool:
    if isinstance(scope, ast.Module):
        return False
    given = scope.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return any(arg is not None and arg.arg == name for arg in every)


def _bindings(scope: Scope, name: str) -> Iterator[tuple[ast.stmt, int | None]]:
    """The statements of `scope` itself that give `name` a value, and which part of a tuple it is."""
    stack: list[ast.AST] = list(ast.iter_child_nodes(scope))[::-1]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.Assign):
            for target in node.targets:
                found, index = _position(target, name)
                if found:
                    yield node, index
        elif isinstance(node, ast.AugAssign | ast.AnnAssign) and _position(node.target, name)[0]:
            yield node, None
        elif isinstance(node, ast.For | ast.AsyncFor):
            found, index = _position(node.target, name)
            if found:
                yield _head(node), index
        elif isinstance(node, ast.Expr | ast.If | ast.While | ast.Return) and any(
            isinstance(one, ast.NamedExpr) and one.target.id == name for one in ast.walk(node)
        ):
            yield _head(node), None
        stack.extend(list(ast.iter_child_nodes(node))[::-1])


def _head(node: Any) -> ast.stmt:
    """A compound statement by its first line only."""
    body = getattr(node, "body", None)
    if not isinstance(body, list) or not body:
        return node  # type: ignore[no-any-return]
    head = ast.Pass(lineno=node.lineno, col_offset=0)
    head.end_lineno = max(node.lineno, body[0].lineno - 1)
    return head


def _position(target: ast.expr, name: str) -> tuple[bool, int | None]:
    if isinstance(target, ast.Tuple | ast.List):
        for index, part in enumerate(target.elts):
            if _position(part, name)[0]:
                return True, index
        return False, None
    if isinstance(target, ast.Starred):
        return _position(target.value, name)
    return (isinstance(target, ast.Name | ast.Attribute) and ast.unparse(target) == name), None


def _made_by(store: GraphStore, file: int, statement: ast.stmt) -> Slot | None:
    """The place whose result the statement's value is: of the nodes that ran for it, the last."""
    first, last = statement.lineno, statement.end_lineno or statement.lineno
    best: Slot | None = None
    newest = 0
    for slot in store.structure.slots:
        if slot.phase or isinstance(slot.record, Leaf) or not slot.bindings:
            continue
        if not _within(store, slot.frame, file, first, last):
            continue
        node = next(reversed(slot.bindings.values()))
        if node > newest:
            best, newest = slot, node
    return best


def _within(store: GraphStore, frame: int, file: int, first: int, last: int) -> bool:
    for _ in range(100):
        record = store.structure.frames.get(frame)
        if record is None:
            return False
        if record.file == file and first <= record.line <= last:
            return True
        frame = record.parent
    return False


def _history(store: GraphStore, slot: Slot, index: int | None) -> dict[str, Any]:
    shapes: dict[tuple[Any, ...], dict[str, Any]] = {}
    newest = None
    for node in reversed(list(slot.bindings.values())[-TURNS:]):
        record = store.nodes.get(node)
        if not isinstance(record, Op) or node == store.pending:
            continue
        newest = newest or node
        shape, dtype = tuple(record.shape), record.dtype
        if index is not None and index < len(record.outputs):
            shape, dtype = tuple(record.outputs[index][0]), record.outputs[index][1]
        known = shapes.setdefault(
            (shape, dtype),
            {"shape": list(shape), "dtype": store.text(dtype), "times": 0, "last": record.iteration},
        )
        known["times"] += 1
        known["first"] = record.iteration
    return {
        "shapes": list(shapes.values())[:SHAPES],
        "more": max(0, len(shapes) - SHAPES),
        "node": newest,
        "statistics": statistics(store, newest) if newest else None,
    }
