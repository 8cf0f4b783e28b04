"""How a breakpoint is written in the terminal: `b KIND WHAT [if CONDITION] [hit COUNT] [log TEXT]`."""

from __future__ import annotations

import argparse
import os
import re
from typing import Any

USAGE = """\
b FILE:LINE | b LINE           a line (without FILE: of the script)
b op NAME | b module PATH      an op (relu, relu' for its backward), a module's entry (net.head)
b node N                       node number N
b shape | b type               a shape, or a dtype or device, that does not fit
b nan | b exception            a NaN or Inf that is produced, an exception
b if CONDITION                 any op for which a Python condition holds: b if out.abs().max() > 5
b gradient [NAME]              a gradient, with `if norm > 10` or `if zero`
b memory BYTES | b data NAME   more than so many bytes live (64M), the data of a tensor changed
each may go on with: if CONDITION, hit COUNT (3, >= 5, % 10), log TEXT ({expressions} are filled in)"""

_SHORT = {
    "shape": "shape mismatch", "type": "type mismatch", "dtype": "type mismatch", "inf": "nan", "grad": "gradient",
}  # fmt: skip
_BARE = ("shape mismatch", "type mismatch", "exception", "nan")
_NAMED = ("op", "module", "data", "gradient")
_TAIL = re.compile(r"(.*?)(?:\s+if\s+(.*?))?(?:\s+hit\s+(.*?))?(?:\s+log\s+(.*))?\s*\Z", re.DOTALL)


def breakpoint_of(text: str, script: str) -> tuple[str, dict[str, Any]]:
    """The kind and the fields that `Session.add_breakpoint` takes. Raises ValueError with a sentence.

    >>> breakpoint_of("op relu if shape[0] > 4 hit >= 2", "/tmp/train.py")
    ('op', {'name': 'relu', 'condition': 'shape[0] > 4', 'hit': '>= 2'})
    """
    first, _, rest = text.strip().partition(" ")
    kind, rest = _SHORT.get(first, first), " " + rest.strip()
    if kind in ("shape mismatch", "type mismatch") and rest.split()[:1] == ["mismatch"]:
        rest = " " + rest.strip()[len("mismatch") :].strip()
    if kind == "if":
        rest = " if" + rest
    elif kind not in (*_BARE, *_NAMED, "line", "node", "memory"):
        if not re.search(r"(\A|:)\d+\Z", first):
            raise ValueError(f"There is no breakpoint kind {first!r}. `help b` lists them.")
        kind, rest = "line", f" {first}{rest}"
    match = _TAIL.match(rest)
    assert match is not None
    what = match[1].strip()
    fields = {key: part.strip() for key, part in zip(("condition", "hit", "log"), match.groups()[1:], strict=True) if part}  # fmt: skip
    if kind in (*_BARE, "if"):
        if what:
            raise ValueError(f"A breakpoint at {kind!r} takes no {what!r}. `help b` shows how it is written.")
        return kind, fields
    if not what and kind != "gradient":
        raise ValueError(f"b {first}: say which. `help b` shows how it is written.")
    if kind in _NAMED:
        return kind, {"name": what, **fields} if what else fields
    if kind == "line":
        return kind, {**_line(what, script), **fields}
    if kind == "node":
        return kind, {"node": number(what, "a node's number"), **fields}
    return kind, {"limit": _bytes(what), **fields}


def number(text: str, of: str) -> int:
    """A number from 1 as it was typed. Raises ValueError with a sentence."""
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text)):
        raise ValueError(f"Expected {of}, got {text!r}.")
    return int(text)


def _line(text: str, script: str) -> dict[str, Any]:
    name, _, line = text.rpartition(":")
    wanted = number(line, "a line as FILE:LINE or LINE")
    file = script
    if name:
        beside = os.path.join(os.path.dirname(script), name)
        file = next((path for path in (name, beside) if os.path.isfile(path)), "")
    if not file:
        raise ValueError(f"There is no file {name}, here or beside the script.")
    try:
        with open(file, "rb") as source:
            lines = sum(1 for _ in source)
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror}).") from None
    if wanted > lines:
        raise ValueError(f"{os.path.basename(file)} has {lines} lines, so there is no line {wanted}.")
    return {"file": os.path.abspath(file), "line": wanted}


def _bytes(text: str) -> int:
    from dsviz.commands.recordings import size

    try:
        return size(text)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"The memory limit: {error}.") from None
