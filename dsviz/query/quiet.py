"""Lines that only talk: an arm that prints, raises or passes holds no op, and needs no room in the graph."""

from __future__ import annotations

import ast
import textwrap

CALLS = frozenset(
    {
        *("print", "len", "float", "int", "str", "repr", "format", "round", "range", "isinstance", "type", "id"),
        *("append", "write", "flush", "join", "item", "tolist", "debug", "info", "warning", "error", "log", "time"),
        *("perf_counter", "monotonic", "exit", "set_postfix", "set_description", "strftime", "Exception"),
    }
)  # fmt: skip
TALK = (ast.Expr, ast.Pass, ast.Break, ast.Continue, ast.Raise, ast.Return, ast.Assert, ast.Import)
PLAIN = (ast.Constant, ast.Name, ast.Attribute, ast.JoinedStr, ast.FormattedValue, ast.expr_context)


def quiet(lines: str) -> bool:
    """Whether none of these lines looks as if it ran an op. It is a guess: what runs there all the same is shown as ever.

    >>> quiet("    print(f'step {step}: {loss.item():.3f}')\\n"), quiet("    x = ds.tanh(x)\\n"), quiet("raise ValueError('no')")
    (True, False, True)
    """
    try:
        tree = ast.parse(textwrap.dedent(lines))
    except (SyntaxError, ValueError, RecursionError):
        return False
    return bool(tree.body) and all(_talks(node) for node in ast.walk(tree))


def _talks(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        name = str(getattr(node.func, "id", "") or getattr(node.func, "attr", ""))
        return name in CALLS or name.endswith(("Error", "Exit", "Warning"))
    if isinstance(node, ast.Assign):
        return all(isinstance(part, PLAIN) for part in ast.walk(node.value))
    if isinstance(node, ast.Expr | ast.Return):
        # Alone a call or a name; an expression of names may be an op.
        return node.value is None or isinstance(node.value, (ast.Call, *PLAIN))
    return not isinstance(node, ast.stmt) or isinstance(node, TALK)
