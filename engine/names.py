"""What the person calls things: the variable a module is in, the expressions an op was given."""

from __future__ import annotations

import ast
import linecache
import sys
from types import CodeType, FrameType, ModuleType
from typing import Any

from engine.location import line_of


def variable_of(value: Any, frame: FrameType | None) -> str:
    """The name of a variable that holds `value` in the frame, its globals or a caller's locals; "" if none does."""
    while frame is not None:
        for names in (frame.f_locals, frame.f_globals):
            for name, held in list(names.items()):
                if held is value and not name.startswith("_") and name != "self":
                    return name
        frame = frame.f_back
    return ""


def source_line(filename: str, line: int) -> str:
    """The text of a line, without its indentation; "" when the source is not there."""
    return linecache.getline(filename, line).strip()


def _positions(code: CodeType, lasti: int) -> tuple[int, int, int, int] | None:
    """Where in the source the instruction stands: first line, last line, first column, last column (bytes)."""
    if sys.version_info < (3, 11):
        return None
    for i, found in enumerate(code.co_positions()):
        if i == lasti // 2:
            line, end_line, column, end_column = found
            if line is None or end_line is None or column is None or end_column is None:
                return None
            return line, end_line, column, end_column
    return None


def expression_at(code: CodeType, lasti: int) -> ast.expr | None:
    """The call or operation in the source that this instruction performs, where the source can be read."""
    where = _positions(code, lasti)
    line = where[0] if where else line_of(code, lasti)
    lines = linecache.getlines(code.co_filename)
    if not lines or line > len(lines):
        return None
    if where is not None:
        first, last, start, stop = where
        piece = [text.encode() for text in lines[first - 1 : last]]
        piece[-1] = piece[-1][:stop]
        piece[0] = piece[0][start:]
        text = b"".join(piece).decode(errors="replace")
        try:
            return ast.parse("(" + text + ")", mode="eval").body
        except SyntaxError:
            return None
    return _first_operation(lines, line)


def _first_operation(lines: list[str], line: int) -> ast.expr | None:
    """The outermost call or operation of the statement that starts on `line`."""
    for count in range(1, 12):
        text = "".join(lines[line - 1 : line - 1 + count]).strip()
        if text.endswith(":"):
            text += " pass"
        try:
            tree = ast.parse(text)
        except SyntaxError:
            continue
        for found in ast.walk(tree):
            if isinstance(found, (ast.Call, ast.BinOp)):
                return found
        return None
    return None


def argument_texts(frame: FrameType, lasti: int, methods: Any) -> list[str]:
    """The source text of each argument of the operation at `lasti`, the receiver of a method first.

    `methods` is the class whose methods take their receiver as first argument.
    """
    expression = expression_at(frame.f_code, lasti)
    if isinstance(expression, ast.BinOp):
        return [ast.unparse(expression.left), ast.unparse(expression.right)]
    if isinstance(expression, ast.UnaryOp):
        return [ast.unparse(expression.operand)]
    if isinstance(expression, ast.Subscript):
        return [ast.unparse(expression.value)]
    if not isinstance(expression, ast.Call):
        return []
    texts: list[str] = []
    for argument in expression.args:
        if isinstance(argument, (ast.List, ast.Tuple)):
            texts.extend(ast.unparse(element) for element in argument.elts)
        else:
            texts.append(ast.unparse(argument))
    function = expression.func
    if (
        isinstance(function, ast.Attribute)
        and hasattr(methods, function.attr)
        and not _is_module(function.value, frame)
    ):
        texts.insert(0, ast.unparse(function.value))
    return texts


def _is_module(value: ast.expr, frame: FrameType) -> bool:
    """Whether the expression names a Python module (`ds`, `ds.nn.functional`) and not a tensor."""
    while isinstance(value, ast.Attribute):
        value = value.value
    if not isinstance(value, ast.Name):
        return False
    held = frame.f_locals.get(value.id, frame.f_globals.get(value.id))
    return isinstance(held, ModuleType)
