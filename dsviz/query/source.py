"""The program's files: text, colours, and what is known of each line."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from pygments.lexers import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, Token

from dsviz.events import Leaf, Op
from dsviz.query.display import Display
from dsviz.query.paths import base
from dsviz.query.rows import label

if TYPE_CHECKING:
    from dsviz.store import GraphStore

LONGEST = 2_000_000  # characters of a file that is shown
# The page's classes: keyword, string, number, comment, defined name, self.
CLASSES = (
    (Keyword, "k"),
    (Operator.Word, "k"),
    (String, "s"),
    (Number, "n"),
    (Comment, "c"),
    (Name.Function, "fn"),
    (Name.Class, "fn"),
    (Name.Decorator, "fn"),
    (Name.Builtin.Pseudo, "se"),
)


def files(store: GraphStore) -> list[dict[str, Any]]:
    """The program's own files: number, short name, path."""
    return [{"id": file, "name": base(store.text(file)), "path": store.text(file)} for file in store.files]


def source(store: GraphStore, file: int) -> dict[str, Any]:
    """A file's lines, its coloured pieces line by line as `[class, text]`, and a hash of its text.

    Where the text cannot be had, `error` says so and there are no lines.
    """
    path = store.text(file)
    answer: dict[str, Any] = {"file": file, "name": base(path), "path": path}
    text = store.read(path) if file in store.files else None
    if text is None:
        return {
            **answer,
            "lines": [],
            "tokens": [],
            "hash": "",
            "error": f"The text of {base(path) or 'this file'} cannot be read.",
        }
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    if len(text) > LONGEST:
        text = text[:LONGEST]
        answer["error"] = f"Only the first {LONGEST:,} characters of {answer['name']} are shown."
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return {**answer, "lines": [line.rstrip("\r") for line in lines], "tokens": tokens(text), "hash": digest}


def tokens(text: str) -> list[list[list[str]]]:
    """The pieces of each line, neighbours of one class joined.

    >>> tokens("x = 1  # one")
    [[['', 'x = '], ['n', '1'], ['', '  '], ['c', '# one']]]
    """
    lexer = PythonLexer(stripnl=False, ensurenl=False)
    lines: list[list[list[str]]] = [[]]
    for kind, piece in lexer.get_tokens(text):
        name = _class(kind, piece)
        for index, part in enumerate(piece.split("\n")):
            if index:
                lines.append([])
            if not part:
                continue
            if lines[-1] and lines[-1][-1][0] == name:
                lines[-1][-1][1] += part
            else:
                lines[-1].append([name, part])
    if lines and not lines[-1]:
        lines.pop()
    return lines


def _class(kind: Any, piece: str) -> str:
    for token, name in CLASSES:
        if kind in token:
            return name
    return "se" if kind in Token.Name and piece in ("self", "cls") else ""


def line_text(store: GraphStore, path: str, line: int) -> str:
    """One line of a file of the program, without its indentation; "" where it cannot be had."""
    text = store.read(path) if path and line > 0 else None
    if text is None:
        return ""
    lines = text.split("\n", line)
    return lines[line - 1].strip() if len(lines) >= line else ""


def lines(store: GraphStore, file: int) -> dict[str, Any]:
    """What is known of each line that ran: shapes made there, time and bytes, nodes, slots.

    Shapes and bytes are those of the turn shown, else of the newest; time is the sum over all nodes.
    Forward and optimizer count where they stand, backward for the line of the forward twin.
    """
    display = Display(store)
    found: dict[int, dict[str, Any]] = {}
    for slot in store.structure.slots:
        frame = store.structure.frames.get(slot.frame)
        record = store.nodes.get(display.node(slot), slot.record)
        if frame is None or frame.file != file or isinstance(record, Leaf):
            continue
        fact = found.setdefault(
            frame.line,
            {"shapes": [], "ops": [], "ns": 0, "bytes": 0, "nodes": 0, "slots": [], "backward_ns": 0},
        )
        fact["nodes"] += slot.count
        fact["slots"].append(slot.id)
        if slot.phase == 1:
            fact["backward_ns"] += slot.busy
            continue
        fact["ns"] += slot.busy
        fact["ops"].append(label(store.text(slot.op), slot))
        if isinstance(record, Op) and record.node != store.pending and record.node in store.nodes:
            fact["bytes"] += record.nbytes
            fact["shapes"] = _last_shapes(record)
    return {"file": file, "lines": found}


def _last_shapes(record: Op) -> list[list[int]]:
    if record.outputs:
        return [list(shape) for shape, _ in record.outputs]
    return [list(record.shape)]
