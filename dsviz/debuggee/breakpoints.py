"""Breakpoints: which there are, and a table that asks each op only what some breakpoint wants to know."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import msgspec

SHAPE_MISMATCH, EXCEPTION, NAN = "shape mismatch", "exception", "nan"
LINE, OP, MODULE, NODE = "line", "op", "module", "node"
KINDS = (SHAPE_MISMATCH, EXCEPTION, NAN, LINE, OP, MODULE, NODE)


class Breakpoint(msgspec.Struct):
    """One breakpoint. What `name` and `line` mean depends on the kind; see `label`."""

    id: int
    kind: str
    enabled: bool = True
    hits: int = 0
    file: str = ""  # "line": absolute path
    line: int = 0
    name: str = ""  # "op": the op's name (with ' for its backward); "module": its path
    node: int = 0  # "node": its number
    condition: str = ""  # Python, evaluated in the paused frame; empty: always

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
        }[self.kind]
        return f"{label} if {self.condition}" if self.condition else label


def checked(id: int, kind: str, fields: dict[str, Any]) -> Breakpoint:
    """A breakpoint from what a person asked for. Raises ValueError with a sentence."""
    if kind not in KINDS:
        raise ValueError(f"There is no breakpoint kind {kind!r}; there are: {', '.join(KINDS)}.")
    wanted = {LINE: ("file", "line"), OP: ("name",), MODULE: ("name",), NODE: ("node",)}.get(kind, ())
    known = {"file", "line", "name", "node", "condition", "enabled"}
    given = {key: value for key, value in fields.items() if value is not None and value != ""}
    if unknown := sorted(set(given) - known):
        raise ValueError(f"A breakpoint has no {unknown[0]!r}.")
    for key in wanted:
        if not given.get(key):
            raise ValueError(f"A breakpoint of kind {kind!r} needs {key!r}.")
    if kind == LINE:
        given["file"] = os.path.realpath(given["file"])
    if condition := given.get("condition"):
        try:
            compile(condition, "<condition>", "eval")
        except (SyntaxError, ValueError) as error:
            raise ValueError(f"The condition {condition!r} is no Python expression: {error}.") from None
    try:
        return msgspec.convert({"id": id, "kind": kind, **given}, Breakpoint)
    except msgspec.ValidationError as error:
        raise ValueError(f"A breakpoint of kind {kind!r} cannot be set: {error}.") from None


class Table:
    """The enabled breakpoints, sorted by what must be known to decide them."""

    def __init__(self, items: Sequence[Breakpoint] = ()) -> None:
        enabled = [item for item in items if item.enabled]
        self.ops = _by(enabled, OP, "name")
        self.modules = _by(enabled, MODULE, "name")
        self.nodes = _by(enabled, NODE, "node")
        self.lines: dict[tuple[str, int], list[Breakpoint]] = {}
        for item in enabled:
            if item.kind == LINE:
                self.lines.setdefault((item.file, item.line), []).append(item)
        self.shape = [item for item in enabled if item.kind == SHAPE_MISMATCH]
        self.exception = [item for item in enabled if item.kind == EXCEPTION]
        self.nan = [item for item in enabled if item.kind == NAN]

    @property
    def wants_nodes(self) -> bool:
        """Whether every op must be looked at before it runs."""
        return bool(self.ops or self.nodes or self.lines)

    @property
    def wants_modules(self) -> bool:
        """Whether every module's entry must be looked at."""
        return bool(self.modules or self.lines)


def _by(items: Sequence[Breakpoint], kind: str, key: str) -> dict[Any, list[Breakpoint]]:
    found: dict[Any, list[Breakpoint]] = {}
    for item in items:
        if item.kind == kind:
            found.setdefault(getattr(item, key), []).append(item)
    return found
