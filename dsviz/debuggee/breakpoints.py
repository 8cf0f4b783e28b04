"""Breakpoints: which there are, and a table that asks each op only what some breakpoint wants to know."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Sequence
from typing import Any

import msgspec

SHAPE_MISMATCH, EXCEPTION, NAN = "shape mismatch", "exception", "nan"
LINE, OP, MODULE, NODE = "line", "op", "module", "node"
TYPE_MISMATCH, ANY, GRADIENT, MEMORY, DATA = "type mismatch", "if", "gradient", "memory", "data"
SHAPE, BRANCH = "shape predicate", "branch"
GRADIENT_ZERO, GRADIENT_MISSING = "gradient zero", "gradient missing"
KINDS = (
    SHAPE_MISMATCH, TYPE_MISMATCH, EXCEPTION, NAN, LINE, OP, MODULE, NODE, ANY, SHAPE, BRANCH, GRADIENT,
    GRADIENT_ZERO, GRADIENT_MISSING, MEMORY, DATA,
)  # fmt: skip
_HIT = re.compile(r"\s*(>=|<=|==|!=|>|<|=|%)?\s*(\d{1,15})\s*\Z")


class Breakpoint(msgspec.Struct):
    """One breakpoint. What `name` and `line` mean depends on the kind; see `label`."""

    id: int
    kind: str
    enabled: bool = True
    hits: int = 0
    file: str = ""  # "line": absolute path; "branch": the same, or empty for any
    line: int = 0
    name: str = ""  # "op": the op's name (with ' for its backward); "module": its path; else an expression
    node: int = 0  # "node": its number
    condition: str = ""  # Python, evaluated in the paused frame; empty: always
    hit: str = ""  # which of the times it is reached count: ">= 5", "% 10", "3"; empty: each
    log: str = ""  # a logpoint: this is told, with {expressions} filled in, and nothing pauses
    limit: int = 0  # "memory": live bytes
    problem: str = ""  # what its condition raised, for the person

    @property
    def label(self) -> str:
        """What the person reads."""
        label = {
            SHAPE_MISMATCH: "Shape mismatch",
            EXCEPTION: "Exception",
            NAN: "NaN or Inf produced",
            LINE: f"{os.path.basename(self.file)}:{self.line}",
            OP: f"Op {self.name}",
            MODULE: f"Module {self.name}",
            NODE: f"Node {self.node}",
            TYPE_MISMATCH: "Dtype or device mismatch",
            ANY: "Any op",
            SHAPE: "Shape",
            BRANCH: "Branch that goes another way",
            GRADIENT: f"Gradient of {self.name}" if self.name else "Any gradient",
            GRADIENT_ZERO: f"Gradient of {self.name or 'a parameter'} is zero",
            GRADIENT_MISSING: f"Gradient of {self.name or 'a parameter'} is missing",
            MEMORY: f"More than {self.limit} bytes live",
            DATA: f"{self.name} changed",
        }[self.kind]
        label = (
            f"{label} at {os.path.basename(self.file)}:{self.line}"
            if self.kind == BRANCH and self.file
            else label
        )
        label = f"{label} if {self.condition}" if self.condition else label
        label = f"{label}, hit {self.hit}" if self.hit else label
        return f"{label}, log {self.log!r}" if self.log else label

    @property
    def after(self) -> bool:
        """Whether it asks for the op's result, and so is decided once the op ran."""
        return self.names("out")

    def names(self, name: str) -> bool:
        """Whether its condition or its log text speaks of `name`."""
        return name in _names(self.condition) or any(name in _names(e) for e in fields_of(self.log))


def checked(id: int, kind: str, fields: dict[str, Any]) -> Breakpoint:
    """A breakpoint from what a person asked for. Raises ValueError with a sentence."""
    if kind not in KINDS:
        raise ValueError(f"There is no breakpoint kind {kind!r}; there are: {', '.join(KINDS)}.")
    wanted = {
        LINE: ("file", "line"),
        OP: ("name",),
        MODULE: ("name",),
        NODE: ("node",),
        ANY: ("condition",),
        SHAPE: ("condition",),
        MEMORY: ("limit",),
        DATA: ("name",),
    }.get(kind, ())
    known = {"file", "line", "name", "node", "condition", "enabled", "hit", "log", "limit"}
    given = {key: value for key, value in fields.items() if value is not None and value != ""}
    if unknown := sorted(set(given) - known):
        raise ValueError(f"A breakpoint has no {unknown[0]!r}.")
    for key in wanted:
        if not given.get(key):
            raise ValueError(f"A breakpoint of kind {kind!r} needs {key!r}.")
    if kind == BRANCH and ("file" in given) != ("line" in given):
        raise ValueError(
            "A breakpoint of kind 'branch' is at 'file' and 'line', or at any branch without both."
        )
    if given.get("file") and kind in (LINE, BRANCH):
        given["file"] = os.path.realpath(given["file"])
    if condition := given.get("condition"):
        _expression(condition, "condition")
    if kind in (DATA, GRADIENT, GRADIENT_ZERO, GRADIENT_MISSING) and given.get("name"):
        _expression(expression_of(str(given["name"])), "name")
    if hit := given.get("hit"):
        found = _HIT.match(str(hit))
        if found is None or (found[1] == "%" and int(found[2]) == 0):
            raise ValueError(f"The hit count is a number such as '3', '>= 5' or '% 10', not {hit!r}.")
        given["hit"] = str(hit).strip()
    if log := given.get("log"):
        for expression in fields_of(str(log)):
            _expression(expression, "expression")
    if kind == MEMORY and isinstance(given["limit"], int) and given["limit"] < 0:
        raise ValueError(f"The memory limit is a number of bytes, not {given['limit']}.")
    try:
        return msgspec.convert({"id": id, "kind": kind, **given}, Breakpoint)
    except msgspec.ValidationError as error:
        raise ValueError(f"A breakpoint of kind {kind!r} cannot be set: {error}.") from None


def counts(hit: str, reached: int) -> bool:
    """Whether the `reached`-th time is one that a hit count asks for.

    >>> [n for n in range(1, 8) if counts("% 3", n)]
    [3, 6]
    """
    found = _HIT.match(hit)
    if found is None:
        return True
    sign, number = found[1] or "==", int(found[2])
    if sign == "%":
        return number > 0 and reached % number == 0
    return {
        ">=": reached >= number,
        "<=": reached <= number,
        "==": reached == number,
        "=": reached == number,
        "!=": reached != number,
        ">": reached > number,
        "<": reached < number,
    }[sign]


def fields_of(log: str) -> list[str]:
    """The expressions between the braces of a log text. Raises ValueError where the braces do not match.

    >>> fields_of("loss {loss.item():.3f} at {{step}} {step}")
    ['loss.item()', 'step']
    """
    try:
        tree = ast.parse("f" + repr(log), mode="eval").body if log else None
        parts = tree.values if isinstance(tree, ast.JoinedStr) else []
        return [ast.unparse(part.value) for part in parts if isinstance(part, ast.FormattedValue)]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"The log text {log[:200]!r} cannot be filled in: {error}.") from None


def expression_of(name: str) -> str:
    """The Python for a name as the page and `named_parameters` write it, where a list's modules have numbers.

    >>> expression_of("net.blocks.0.weight"), expression_of("2.5 * x")
    ('net.blocks[0].weight', '2.5 * x')
    """
    return name if no_expression(name) is None else re.sub(r"\.(\d+)(?=[.\[]|$)", r"[\1]", name)


def _expression(text: Any, what: str) -> None:
    if (problem := no_expression(str(text))) is not None:
        raise ValueError(f"The {what} {text!r} is no Python expression: {problem}.")


def no_expression(text: str) -> str | None:
    """What Python has against `text` as an expression; None: nothing.

    >>> no_expression("loss.item()")
    """
    try:
        compile(text, "<expression>", "eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return str(error)
    return None


def _names(expression: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(expression)) if isinstance(node, ast.Name)}


class Table:
    """The enabled breakpoints, sorted by what must be known to decide them."""

    def __init__(self, items: Sequence[Breakpoint] = ()) -> None:
        enabled = [item for item in items if item.enabled]
        before = [item for item in enabled if not item.after]
        self.ops = _by(before, OP, "name")
        self.modules = _by(before, MODULE, "name")
        self.nodes = _by(before, NODE, "node")
        self.lines: dict[tuple[str, int], list[Breakpoint]] = {}
        for item in before:
            if item.kind == LINE:
                self.lines.setdefault((item.file, item.line), []).append(item)
        self.any = [item for item in before if item.kind == ANY]
        self.after = [item for item in enabled if item.after and item.kind in (OP, NODE, LINE, ANY)]
        self.after += [item for item in enabled if item.kind == SHAPE]
        self.left = _by([item for item in enabled if item.after], MODULE, "name")
        self.shape = [item for item in enabled if item.kind == SHAPE_MISMATCH]
        self.types = [item for item in enabled if item.kind == TYPE_MISMATCH]
        self.exception = [item for item in enabled if item.kind == EXCEPTION]
        self.nan = [item for item in enabled if item.kind == NAN]
        self.gradient = [item for item in enabled if item.kind in (GRADIENT, GRADIENT_ZERO)]
        self.missing = [item for item in enabled if item.kind == GRADIENT_MISSING]
        self.branch = [item for item in enabled if item.kind == BRANCH]
        self.memory = [item for item in enabled if item.kind == MEMORY]
        self.data = [item for item in enabled if item.kind == DATA]

    @property
    def wants_nodes(self) -> bool:
        """Whether every op must be looked at before it runs."""
        return bool(self.ops or self.nodes or self.lines or self.any)

    @property
    def wants_results(self) -> bool:
        """Whether every op must be looked at after it ran."""
        return bool(self.nan or self.after or self.memory or self.data)

    @property
    def wants_modules(self) -> bool:
        """Whether every module's entry must be looked at."""
        return bool(self.modules or self.lines or self.missing)


def _by(items: Sequence[Breakpoint], kind: str, key: str) -> dict[Any, list[Breakpoint]]:
    found: dict[Any, list[Breakpoint]] = {}
    for item in items:
        if item.kind == kind:
            found.setdefault(getattr(item, key), []).append(item)
    return found
