"""Breakpoints in a file beside the script: JSON, with the text of each line so that it is found when it moved."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from dsviz.debuggee.breakpoints import BRANCH, LINE, Breakpoint, checked, no_expression

VERSION = 1
_FIELDS = ("kind", "enabled", "line", "name", "node", "condition", "hit", "log", "limit")
LONGEST = 1 << 20  # bytes of such a file
LONGEST_SOURCE = 16 << 20  # bytes of a source whose lines are looked at


def save(path: str, items: list[Breakpoint], watches: Sequence[str] = ()) -> None:
    """Write `items` to `path`, whole or not at all. Files are named relative to the folder of `path`."""
    text = written(items, os.path.dirname(os.path.realpath(path)), watches)
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


def written(items: list[Breakpoint], folder: str, watches: Sequence[str] = ()) -> str:
    """`items` and the watch expressions as the text of such a file in `folder`."""
    records = []
    for item in items:
        record = {name: getattr(item, name) for name in _FIELDS if getattr(item, name) or name == "enabled"}
        if item.file:
            record["file"] = os.path.relpath(item.file, folder)
            lines = _lines(item.file)
            record["text"] = lines[item.line - 1] if 0 < item.line <= len(lines) else ""
        records.append(record)
    content: dict[str, Any] = {"dsviz breakpoints": VERSION, "breakpoints": records}
    if watches:
        content["watches"] = list(watches)
    return json.dumps(content, indent=1) + "\n"


def load(path: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The fields of each breakpoint in `path`, and the watch expressions. Raises ValueError with a sentence."""
    try:
        if os.path.getsize(path) > LONGEST:
            raise ValueError(f"{path} is larger than a file of breakpoints can be.")
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no file of breakpoints: it is not JSON.") from None
    return read(text, os.path.dirname(os.path.realpath(path)), path)


def read(text: str, folder: str, path: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The fields of each breakpoint and the watch expressions in the text of such a file in `folder`; `path` is what messages call it.

    Raises ValueError with a sentence.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):  # also a number of more digits than Python reads
        raise ValueError(f"{path} is no file of breakpoints: it is not JSON.") from None
    if not isinstance(content, dict) or content.get("dsviz breakpoints") != VERSION:
        raise ValueError(f"{path} is no file of breakpoints that this version can read.")
    records = content.get("breakpoints")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ValueError(f"{path}: 'breakpoints' is a list of records, and it is not.")
    watches = content.get("watches", [])
    if not isinstance(watches, list) or not all(isinstance(text, str) for text in watches):
        raise ValueError(f"{path}: 'watches' is a list of expressions, and it is not.")
    for text in watches:
        if (problem := no_expression(text)) is not None:
            raise ValueError(f"{path}: the watch {text[:200]!r} is no Python expression: {problem}.")
    return [_fields(dict(record), folder, path) for record in records], watches


def _fields(record: dict[str, Any], folder: str, path: str) -> dict[str, Any]:
    text = record.pop("text", "")
    kind = record.pop("kind", "")
    if kind in (LINE, BRANCH) and isinstance(record.get("file"), str) and isinstance(record.get("line"), int):
        record["file"] = os.path.realpath(os.path.join(folder, record["file"]))
        record["line"] = moved(_lines(record["file"]), record["line"], str(text))
    try:
        checked(0, str(kind), record)  # all are looked at before the first is set
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return {"kind": kind, **record}


def moved(lines: list[str], line: int, text: str) -> int:
    """Where the line that was `line` and read `text` is now: the nearest line that reads so, or `line`.

    >>> moved(["import x", "", "y = 1"], 2, "y = 1")
    3
    """
    wanted = text.strip()
    same = [number for number, each in enumerate(lines, 1) if wanted and each.strip() == wanted]
    return min(same, key=lambda number: abs(number - line), default=line)


def _lines(path: str) -> list[str]:
    # The name comes from a file that somebody else may have written: no device and no pipe is read.
    if not os.path.isfile(path):
        return []
    try:
        if os.path.getsize(path) > LONGEST_SOURCE:
            return []
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []
