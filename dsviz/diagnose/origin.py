"""Which lines gave a value that came from outside the graph: back through names, calls and returns of the source.

What is wrong is shown by the graph and its values, never by the text. But labels and inputs are often made by
NumPy before the first op sees them, so the line that a person has to edit lies before the graph's first node.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from engine.names import expression_at

# Calls that hand on the values they are given: a line of only these does not decide them.
WRAPPERS = {
    "Tensor", "array", "as_tensor", "asarray", "ascontiguousarray", "astype", "batch", "copy", "cpu", "cuda", "detach",
    "enumerate", "expand_dims", "flatten", "float", "from_numpy", "int", "int64", "float32", "iter", "len", "list", "long",
    "next", "numpy", "range", "reshape", "squeeze", "tensor", "to", "unsqueeze", "view", "zip",
}  # fmt: skip
ADDERS = {"add", "append", "appendleft", "extend", "insert", "setdefault"}
REACH = 24  # steps through the source
Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef


def _tree(file: str) -> ast.Module | None:
    return _parsed("".join(linecache.getlines(file)))


@lru_cache(maxsize=16)
def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def makers(node: Any, argument: int = -1, limit: int = 3) -> list[tuple[str, int]]:
    """The lines that computed what a leaf, or an argument of an op, was made of, nearest first.

    `node` is a `Node` or a `Seen`. Lines that only wrap or slice are passed over.
    """
    if node.code is None:
        return []
    wanted = expression_at(node.code, node.lasti)
    if argument >= 0 and isinstance(wanted, ast.Call) and argument < len(wanted.args):
        wanted = wanted.args[argument]
    elif argument == 1 and isinstance(wanted, ast.BinOp):
        wanted = wanted.right
    file, tree = node.code.co_filename, _tree(node.code.co_filename)
    if tree is None:
        return []
    own = [node.line] if wanted is not None and _computes(wanted, _local(tree)) else []
    start = None if wanted is None else [wanted]
    return [(file, n) for n in [*own, *_walk(file, node.line, start)]][:limit]


def numbers(
    file: str, line: int, name: str = "", position: int = -1, value: float | None = None
) -> list[tuple[str, int]]:
    """The lines that gave the plain numbers `line` uses: `lr = 0.1`, or the call that handed it in.

    With `name` only the keyword argument of that name is followed, or the argument at `position`; with `value`
    only numbers equal to it are told.
    """
    tree = _tree(file)
    statement, _ = (None, None) if tree is None else _at(tree, line)
    if statement is None:
        return []
    start = _expressions(statement)
    if name:
        calls = [c for e in start for c in ast.walk(e) if isinstance(c, ast.Call)]
        start = [k.value for c in calls for k in c.keywords if k.arg == name]
        if not start:
            start = [c.args[position] for c in calls if 0 <= position < len(c.args)][:1]
        if start and isinstance(start[0], (ast.Subscript, ast.Attribute)):
            found = _named(tree, _field(start[0])) if tree is not None else []
            if found:
                return [(file, n) for n in found if n != line]
    return [(file, n) for n in _walk(file, line, start, plain=True, number=value)]


def initial(node: Any) -> bool:
    """Whether a leaf was made as first values are: zeros, ones, random numbers."""
    made = expression_at(node.code, node.lasti) if node.code is not None else None
    name = _last(made.func) if isinstance(made, ast.Call) else ""
    return name in ("zeros", "ones", "randn", "rand", "full", "normal", "empty", "eye")


def _field(node: ast.expr) -> str:
    """`lr` of `config["lr"]` and of `args.lr`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    key = node.slice if isinstance(node, ast.Subscript) else None
    return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ""


def _named(tree: ast.Module, name: str) -> list[int]:
    """The lines that give a plain number to a field, key, keyword or command-line option of this name."""
    found: list[int] = []
    for node in ast.walk(tree) if name else ():
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            found += [
                v.lineno for k, v in pairs if isinstance(k, ast.Constant) and k.value == name and _number(v)
            ]
        elif isinstance(node, ast.Call):
            option = any(
                isinstance(a, ast.Constant) and str(a.value).lstrip("-").replace("-", "_") == name
                for a in node.args
            )
            found += [
                k.value.lineno
                for k in node.keywords
                if _number(k.value) and (k.arg == name or (option and k.arg == "default"))
            ]
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None and _number(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [node.lineno for t in targets if _field(t) == name or _last(t) == name]
    return sorted(set(found), reverse=True)


def assigned(file: str, line: int, name: str) -> list[tuple[str, int]]:
    """The lines that gave a variable its value before `line`, the last one first."""
    tree = _tree(file)
    _, scope = (None, None) if tree is None else _at(tree, line)
    if tree is None or scope is None:
        return []
    return [(file, at) for _, at, _ in _given(tree, scope, name, line)]


def appends(file: str, names: set[str]) -> list[tuple[str, int]]:
    """The lines that put something into a list, dict or attribute of one of these names."""
    tree = _tree(file)
    if tree is None:
        return []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ADDERS and _last(node.func.value) in names:
                found.append((file, node.lineno))
        elif isinstance(node, (ast.Assign, ast.AugAssign)):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                part = isinstance(target, ast.Subscript) or isinstance(node, ast.AugAssign)
                if part and _last(target) in names:
                    found.append((file, node.lineno))
    return sorted(set(found), key=lambda place: place[1])


def _last(node: ast.expr) -> str:
    """`history` of `history`, `self.history` and `history[k]`."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _walk(
    file: str, line: int, start: list[ast.expr] | None, *, plain: bool = False, number: float | None = None
) -> Iterator[int]:
    """The lines that gave values to what `start` (else the statement on `line`) uses; `plain`: only plain numbers."""
    tree = _tree(file)
    statement, scope = (None, None) if tree is None else _at(tree, line)
    if tree is None or statement is None or scope is None:
        return
    local = _local(tree)
    if start is None:
        start = _expressions(statement)
    queue: list[tuple[ast.expr, Scope, int]] = [(e, scope, line) for e in start]
    told: set[int] = {line}
    seen: set[tuple[int, str]] = set()
    for _ in range(REACH):
        if not queue:
            return
        expression, scope, before = queue.pop(0)
        for name in _names(expression):
            if (id(scope), name) in seen:
                continue
            seen.add((id(scope), name))
            for value, at, where in _given(tree, scope, name, before):
                put = not plain and getattr(value, "put", False)
                if at not in told and (_number(value, number) if plain else put or _computes(value, local)):
                    told.add(at)
                    yield at
                queue.append((value, where, at))
        for call in ast.walk(expression):
            if isinstance(call, ast.Call):
                for value, at, where in _returns(tree, call):
                    if at not in told and not plain and _computes(value, local):
                        told.add(at)
                        yield at
                    queue.append((value, where, at))


def _local(tree: ast.Module) -> set[str]:
    """The names of the program's own functions."""
    return {f.name for f in tree.body if isinstance(f, ast.FunctionDef)}


def _at(tree: ast.Module, line: int) -> tuple[ast.stmt | None, Scope | None]:
    """The innermost statement on a line, and the function it is in."""
    found: tuple[ast.stmt | None, Scope | None] = (None, None)
    stack: list[tuple[ast.AST, Scope]] = [(tree, tree)]
    while stack:
        node, scope = stack.pop()
        for child in ast.iter_child_nodes(node):
            inner = child if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) else scope
            if isinstance(child, ast.stmt) and child.lineno <= line <= (child.end_lineno or child.lineno):
                best = found[0]
                if best is None or child.lineno >= best.lineno:
                    found = child, scope
            stack.append((child, inner))
    return found


def _expressions(statement: ast.stmt) -> list[ast.expr]:
    if isinstance(statement, (ast.For, ast.AsyncFor)):
        return [statement.iter]
    if isinstance(statement, (ast.If, ast.While)):
        return [statement.test]
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return []
    if isinstance(statement, (ast.With, ast.AsyncWith)):
        return [item.context_expr for item in statement.items]
    if isinstance(statement, ast.AugAssign):
        return [ast.Name(_last(statement.target), ast.Load()), statement.value]
    return [child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.expr)]


def _names(expression: ast.expr) -> list[str]:
    """The names and attributes of self an expression uses, without those that only say which part: `y` of `y[i]`."""
    found: list[str] = []
    stack: list[ast.AST] = [expression]
    while stack:
        node = stack.pop(0)
        if isinstance(node, ast.Subscript):
            stack.append(node.value)
            continue
        if isinstance(node, ast.Name):
            found.append(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            found.append("self." + node.attr)
        elif isinstance(node, ast.Call):
            stack += [*node.args, *(k.value for k in node.keywords)]
            if isinstance(node.func, ast.Attribute):
                stack.append(node.func.value)
            continue
        stack += list(ast.iter_child_nodes(node))
    return found


def _given(tree: ast.Module, scope: Scope, name: str, line: int) -> list[tuple[ast.expr, int, Scope]]:
    """What gave a name its value: (expression, line, scope). The last assignments before the line, or the calls."""
    if name.startswith("self."):
        return _attributes(tree, name[5:])
    found: list[tuple[ast.expr, int, Scope]] = []
    for statement in _statements(scope):
        for value in _value_for(statement, name):
            found.append((value, statement.lineno, scope))
    earlier = [f for f in found if f[1] < line] or found
    if earlier:
        return sorted(earlier, key=lambda f: -f[1])[:2]
    if isinstance(scope, ast.Module):
        return []
    handed = _handed_in(tree, scope, name)
    return handed if handed is not None else _given(tree, tree, name, 1 << 30)


def _statements(scope: Scope) -> Iterator[ast.stmt]:
    """All statements of a function or module, without those of functions and classes inside it."""
    stack: list[ast.AST] = list(scope.body)
    while stack:
        node = stack.pop(0)
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            stack += [c for c in ast.iter_child_nodes(node) if isinstance(c, (ast.stmt, ast.excepthandler))]


def _value_for(statement: ast.stmt, name: str) -> list[ast.expr]:
    """The expressions a statement gives to a name: of `x, y = a, b` the one in its place."""
    if isinstance(statement, ast.Assign):
        return [v for target in statement.targets for v in _in_place(target, statement.value, name)]
    if isinstance(statement, (ast.AnnAssign, ast.AugAssign)) and _last(statement.target) == name:
        if statement.value is None or not isinstance(statement.target, ast.Name):
            return []
        if isinstance(statement, ast.AugAssign):
            return [ast.BinOp(ast.Name(name, ast.Load()), statement.op, statement.value)]
        return [statement.value]
    if isinstance(statement, (ast.For, ast.AsyncFor)):
        return _in_place(statement.target, statement.iter, name)
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in ADDERS:
        return list(call.args) if isinstance(call.func.value, ast.Name) and call.func.value.id == name else []
    return []


def _in_place(target: ast.expr, value: ast.expr, name: str) -> list[ast.expr]:
    if isinstance(target, ast.Name):
        return [value] if target.id == name else []
    if isinstance(target, ast.Subscript):
        if _last(target) != name or not isinstance(target.value, ast.Name):
            return []
        value.put = True  # type: ignore[attr-defined]  # into a part of it: that decides values
        return [value]
    if isinstance(target, (ast.Tuple, ast.List)):
        for i, part in enumerate(target.elts):
            if isinstance(part, ast.Name) and part.id == name:
                if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts):
                    return [value.elts[i]]
                if isinstance(value, ast.Call):  # remembered for a function that returns as many
                    marked = ast.Call(value.func, value.args, value.keywords)
                    marked.place = (i, len(target.elts))  # type: ignore[attr-defined]
                    return [ast.copy_location(marked, value)]
                return [value]
    return []


def _attributes(tree: ast.Module, attribute: str) -> list[tuple[ast.expr, int, Scope]]:
    found: list[tuple[ast.expr, int, Scope]] = []
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for statement in _statements(function):
                if isinstance(statement, ast.Assign):
                    for target in statement.targets:
                        if (
                            isinstance(target, ast.Attribute)
                            and isinstance(target.value, ast.Name)
                            and (target.value.id, target.attr) == ("self", attribute)
                        ):
                            found.append((statement.value, statement.lineno, function))
    return found[:2]


def _handed_in(tree: ast.Module, scope: Scope, name: str) -> list[tuple[ast.expr, int, Scope]] | None:
    """The arguments that calls of a function give to its parameter, and its default; None where it is no parameter."""
    if isinstance(scope, ast.Module):
        return None
    arguments = scope.args
    ordered = [a.arg for a in [*arguments.posonlyargs, *arguments.args]]
    if name not in ordered and name not in [a.arg for a in arguments.kwonlyargs]:
        return None
    cls = next((c.name for c in ast.walk(tree) if isinstance(c, ast.ClassDef) and scope in c.body), "")
    wanted = {scope.name, cls} if scope.name == "__init__" else {scope.name}
    shift = 1 if cls and ordered[:1] in (["self"], ["cls"]) else 0
    found: list[tuple[ast.expr, int, Scope]] = []
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or _last(call.func) not in wanted - {""}:
            continue
        _, where = _at(tree, call.lineno)
        given = [k.value for k in call.keywords if k.arg == name]
        position = ordered.index(name) - shift if name in ordered else -1
        if not given and 0 <= position < len(call.args):
            given = [call.args[position]]
        if where is not None:
            found += [(value, call.lineno, where) for value in given]
    if not found and name in ordered:
        back = len(ordered) - ordered.index(name)
        if back <= len(arguments.defaults):
            found.append((arguments.defaults[-back], scope.lineno, scope))
    return found


def _returns(tree: ast.Module, call: ast.Call) -> list[tuple[ast.expr, int, Scope]]:
    """What the program's own function gives back where it is called; of several values the one that is taken."""
    if not isinstance(call.func, ast.Name):
        return []
    place = getattr(call, "place", None)
    found: list[tuple[ast.expr, int, Scope]] = []
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.name == call.func.id:
            for statement in _statements(function):
                value = getattr(statement, "value", None)
                if isinstance(statement, ast.Expr) and isinstance(value, ast.Yield):
                    value = value.value
                elif not isinstance(statement, ast.Return):
                    continue
                if place is not None and isinstance(value, ast.Tuple) and len(value.elts) == place[1]:
                    value = value.elts[place[0]]
                if isinstance(value, ast.expr):
                    found.append((value, statement.lineno, function))
    return found


def _computes(value: ast.expr, local: set[str]) -> bool:
    """Whether an expression makes values, where others hand on what there is: arithmetic, or a call that is no wrapper.

    A call of one of the program's own functions (`local`) does not: what that returns is looked at itself.
    """
    stack: list[ast.AST] = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.BinOp, ast.UnaryOp, ast.Compare)):
            return True
        if isinstance(node, ast.Call) and _last(node.func) not in WRAPPERS | local:
            return True
        if isinstance(node, (ast.List, ast.Tuple)) and node.elts and all(_number(e) for e in node.elts):
            return True
        if isinstance(node, ast.Subscript):
            stack.append(node.value)
            continue
        stack += list(ast.iter_child_nodes(node))
    return False


def _number(value: ast.AST, wanted: float | None = None) -> bool:
    if isinstance(value, ast.UnaryOp):
        value = value.operand
    if not isinstance(value, ast.Constant) or not isinstance(value.value, (int, float)):
        return False
    return wanted is None or value.value == wanted
