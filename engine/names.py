"""What the person calls things: the variable a module is in, the expressions an op was given."""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
from collections.abc import Callable, Sequence
from types import CodeType, FrameType, ModuleType
from typing import Any

from engine.location import is_engine_code, line_of, locals_of


def variable_of(value: Any, frame: FrameType | None) -> str:
    """The name of a variable that holds `value` in the frame, its globals or a caller's locals; "" if none does."""
    while frame is not None:
        for names in (locals_of(frame), frame.f_globals):
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


def operand_texts(
    frame: FrameType, lasti: int, methods: Any, arg_names: Sequence[str], attr_names: Sequence[str],
    operands: Sequence[Any],
) -> list[str]:  # fmt: skip
    """The source text of each operand of an op, "" where it is not known.

    A call of one of the engine's functions is paired with the op through the function's signature, because a
    `dim`, a shape or an equation may stand between the tensors; other calls and operators by position.
    """
    expression = expression_at(frame.f_code, lasti)
    found: list[ast.expr | None]
    if isinstance(expression, ast.Call):
        given, function = _called(expression, frame, methods)
        paired = None if function is None else _paired(function, given, arg_names, attr_names, len(operands))
        found = list(given) if paired is None else paired
    elif isinstance(expression, ast.BinOp):
        found = [expression.left, expression.right]
        # A reflected operator has its operands the other way round.
        if (len(operands) == 2 and _held(found[0], frame) is operands[1] and operands[1] is not None) or (
            isinstance(found[0], ast.Constant) and hasattr(operands[0], "node")
        ):
            found.reverse()
    elif isinstance(expression, ast.UnaryOp):
        found = [expression.operand]
    elif isinstance(expression, ast.Subscript):
        found = [expression.value]
    else:
        found = []
    texts = []
    for i, operand in enumerate(operands):
        node = found[i] if i < len(found) else None
        held = None if node is None else _held(node, frame)
        # A variable that holds another tensor is not this operand: the function made something of it first.
        other = hasattr(held, "node") and held is not operand
        texts.append("" if node is None or other else ast.unparse(node))
    return texts


def _called(
    call: ast.Call, frame: FrameType, methods: Any
) -> tuple[list[ast.expr], Callable[..., Any] | None]:
    """The positional arguments of a call, receiver first, and the engine's function it calls, if it is one."""
    given = list(call.args)
    function = call.func
    target = _held(function, frame)
    if target is None and isinstance(function, ast.Attribute) and not _is_module(function.value, frame):
        target = getattr(methods, function.attr, None)
        if target is not None:
            given.insert(0, function.value)
    if inspect.isfunction(target) and is_engine_code(target.__code__):
        return [*given, *(_Keyword(k.arg, k.value) for k in call.keywords if k.arg)], target
    return given, None


class _Keyword(ast.expr):
    """A keyword argument on its way to `_paired`."""

    def __init__(self, name: str, value: ast.expr) -> None:
        super().__init__()
        self.name, self.value = name, value


def _paired(
    function: Callable[..., Any], given: Sequence[ast.expr], arg_names: Sequence[str],
    attr_names: Sequence[str], count: int,
) -> list[ast.expr | None] | None:  # fmt: skip
    """For each of `count` operands of an op the expression that `function` was given for it; None: cannot tell."""
    if any(isinstance(g, ast.Starred) for g in given):
        return None
    plain = [g for g in given if not isinstance(g, _Keyword)]
    named = {g.name: g.value for g in given if isinstance(g, _Keyword)}
    signature = inspect.signature(function)
    try:
        bound = signature.bind_partial(*plain, **named).arguments
    except TypeError:
        return None
    if len(arg_names) == 1 and count > 1:  # all operands under one name, as of `cat` and `einsum`
        for value in bound.values():
            parts = value.elts if isinstance(value, (ast.List, ast.Tuple)) else value
            if isinstance(parts, (list, tuple)) and len(parts) == count:
                return list(parts)
        return [None] * count
    # What the op knows under another name than the function: in order.
    rest = [
        v for k, v in bound.items() if k not in arg_names and k not in attr_names and isinstance(v, ast.expr)
    ]
    found: list[ast.expr | None] = []
    for name in arg_names[:count]:
        value = bound.get(name)
        if isinstance(value, tuple):  # one operand under a name that takes any number
            value = value[0] if value else None
        if value is None and name not in signature.parameters and rest:
            value = rest.pop(0)
        found.append(value)
    return found


def _held(expression: ast.expr | None, frame: FrameType) -> Any:
    """What a variable, or a chain of modules and a name, holds; None for anything else. Runs no code."""
    if isinstance(expression, ast.Name):
        name = expression.id
        return locals_of(frame).get(name, frame.f_globals.get(name))
    if isinstance(expression, ast.Attribute):
        outer = _held(expression.value, frame)
        if isinstance(outer, ModuleType):
            return getattr(outer, expression.attr, None)
    return None


def _is_module(value: ast.expr, frame: FrameType) -> bool:
    """Whether the expression names a Python module (`ds`, `ds.nn.functional`) and not a tensor."""
    while isinstance(value, ast.Attribute):
        value = value.value
    if not isinstance(value, ast.Name):
        return False
    held = locals_of(frame).get(value.id, frame.f_globals.get(value.id))
    return isinstance(held, ModuleType)
