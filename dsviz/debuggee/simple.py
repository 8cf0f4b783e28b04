"""Conditions that only compare: `shape[0] == 3 and norm > 3`. They need no guard, and no more than the names they ask for.

Anything else may call what the person wrote, and so may run for ever; it is guarded, which takes ten times as long.
"""

from __future__ import annotations

import ast
import functools
import inspect
from types import CodeType, FrameType
from typing import Any, NamedTuple

from engine.location import locals_of

_PARTS = (
    ast.Expression, ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Not, ast.USub, ast.And, ast.Or, ast.cmpop,
    ast.Name, ast.Load, ast.Constant, ast.Tuple, ast.Subscript, ast.Slice,
)  # fmt: skip
_PLAIN = (int, float, bool, str, type(None))


class Comparison(NamedTuple):
    """An expression that only compares, and the names it asks for."""

    code: CodeType
    names: tuple[str, ...]


@functools.lru_cache(256)
def comparison(text: str) -> Comparison | None:
    """`text` as a comparison of names and constants; None where it is something else.

    >>> comparison("shape == (1, 2) and norm > 3").names
    ('shape', 'norm')
    >>> comparison("out.max() > 3") is None
    True
    """
    tree = ast.parse(text.strip(), "<breakpoint>", "eval")
    if not all(isinstance(part, _PARTS) for part in ast.walk(tree)):
        return None
    code = compile(tree, "<breakpoint>", "eval")
    return Comparison(code, code.co_names)


def decided(asked: Comparison, frame: FrameType | None, names: dict[str, Any]) -> bool | None:
    """Whether it holds where `frame`'s names come before `names`; None where that takes a closer look.

    That is so where a name has no value, or one whose comparing could run the person's code.
    """
    scope: dict[str, Any] = {"__builtins__": {}}
    local = {} if frame is None or not any(known(frame, name) for name in asked.names) else locals_of(frame)
    for name in asked.names:
        if name == "out":
            return None  # always the op's
        if name in local:
            value = local[name]
        elif name in names:
            value = names[name]
        elif frame is not None and name in frame.f_globals:
            value = frame.f_globals[name]
        else:
            return None
        if type(value) is not tuple:
            if type(value) not in _PLAIN:
                return None
        elif not all(type(item) in _PLAIN for item in value):
            return None
        scope[name] = value
    try:
        return bool(eval(asked.code, scope))
    except (TypeError, IndexError):
        return None  # the guarded way tells the person


def known(frame: FrameType, name: str) -> bool:
    """Whether `name` is a local name of `frame`; it may have no value yet."""
    code = frame.f_code
    if code.co_flags & inspect.CO_OPTIMIZED:
        return name in code.co_varnames or name in code.co_cellvars or name in code.co_freevars
    return name in frame.f_locals
