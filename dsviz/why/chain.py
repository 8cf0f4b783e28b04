"""An answer: a sentence, and the chain of nodes that leads to it, each with its line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.names import source_line
from engine.node import Node


@dataclass
class Step:
    """A node on the way, nearest first. `kind` says what it is: op, parameter, data, reshape, cut..."""

    op: str
    file: str
    line: int
    note: str
    kind: str = "op"
    node: int = 0

    @property
    def text(self) -> str:
        """The source line."""
        return source_line(self.file, self.line) if self.file else ""

    def as_json(self) -> dict[str, Any]:
        """The step as JSON."""
        return {
            "node": self.node, "op": self.op, "file": self.file, "line": self.line, "text": self.text, "note": self.note,
        }  # fmt: skip


@dataclass
class Answer:
    """`sentence` is the answer, `steps` the way to it, `decided` the step that is the answer where there is one."""

    question: str
    sentence: str
    steps: list[Step] = field(default_factory=list)
    decided: Step | None = None

    def as_json(self) -> dict[str, Any]:
        """The answer as JSON."""
        decided = self.decided.as_json() if self.decided is not None else None
        return {
            "question": self.question, "sentence": self.sentence, "decided": decided,
            "chain": [s.as_json() for s in self.steps],
        }  # fmt: skip

    def __str__(self) -> str:
        rows = [self.sentence]
        rows += [f"  {s.op:14} {s.file}:{s.line}  {s.text}  ({s.note})" for s in self.steps]
        return "\n".join(rows)


def of(node: Node, note: str, kind: str = "op") -> Step:
    """A node as a step."""
    return Step(node.label, node.filename, node.line, note, kind, node.id)


def node_of(value: Any, argument: str) -> Node:
    """The node of a tensor or the node itself. Raises `TypeError` for anything else."""
    node = getattr(value, "node", value)
    if not isinstance(node, Node):
        raise TypeError(f"{argument} has to be a tensor or a node of a graph, got {type(value).__name__}")
    return node
