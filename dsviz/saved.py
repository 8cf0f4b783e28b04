"""Breakpoints in a file beside the script: JSON, with the text of each line so that it is found when it moved."""

from __future__ import annotations

import json
import os
from typing import Any

from dsviz.debuggee.breakpoints import LINE, Breakpoint, checked

VERSION = 1
_FIELDS = ("kind", "enabled", "line", "name", "node", "condition", "hit", "log", "limit")
LONGEST = 1 << 20  # bytes of such a file


def save(path: str, items: list[Breakpoint]) -> None:
    """Write `items` to `path`, whole or not at all. Files are named relative to the folder of `path`."""
    text = written(items, os.path.dirname(os.path.realpath(path)))
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


def written(items: list[Breakpoint], folder: str) -> str:
    """`items` as the text of such a file in `folder`."""
    records = []
    for item in items:
        record = {name: getattr(item, name) for name in _FIELDS if getattr(item, name) or name == "enabled"}
        if item.kind == LINE:
            record["file"] = os.path.relpath(item.file, folder)
            lines = _lines(item.file)
            record["text"] = lines[item.line - 1] if 0 < item.line <= len(lines) else ""
        records.append(record)
    return json.dumps({"dsviz breakpoints": VERSION, "breakpoints": records}, indent=1) + "\n"


def load(path: str) -> list[dict[str, Any]]:
    """The fields of each breakpoint in `path`. Raises ValueError with a sentence."""
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


def read(text: str, folder: str, path: str) -> list[dict[str, Any]]:
    """The fields of each breakpoint in the text of such a file in `folder`; `path` is what messages call it.

    Raises ValueError with a sentence.
    """
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        raise ValueError(f"{path} is no file of breakpoints: it is not JSON.") from None
    if not isinstance(content, dict) or content.get("dsviz breakpoints") != VERSION:
        raise ValueError(f"{path} is no file of breakpoints that this version can read.")
    records = content.get("breakpoints")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ValueError(f"{path}: 'breakpoints' is a list of records, and it is not.")
    return [_fields(dict(record), folder, path) for record in records]


def _fields(record: dict[str, Any], folder: str, path: str) -> dict[str, Any]:
    text = record.pop("text", "")
    kind = record.pop("kind", "")
    if kind == LINE and isinstance(record.get("file"), str) and isinstance(record.get("line"), int):
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
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []
