"""How a breakpoint is written in the terminal: `b KIND WHAT [if CONDITION] [hit COUNT] [log TEXT]`."""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsviz.debuggee.breakpoints import Breakpoint
    from dsviz.session import Session

USAGE = """\
b FILE:LINE | b LINE           a line (without FILE: of the script)
b op NAME | b module PATH      an op (relu, relu' for its backward), a module's entry (net.head)
b node N                       node number N
b shape | b type               a shape, or a dtype or device, that does not fit
b nan | b exception            a NaN or Inf that is produced, an exception
b if CONDITION                 any op for which a Python condition holds: b if out.abs().max() > 5
b predicate CONDITION          any op whose result has such a shape: b predicate shape[-1] == 1
b branch [FILE:LINE]           an if that goes another way than in the iteration before
b gradient [NAME]              a gradient, with `if norm > 10` or `if zero`
b zero [NAME]                  a gradient that is zero everywhere
b missing [NAME]               a parameter with no gradient when its optimizer steps
b memory BYTES | b data NAME   more than so many bytes live (64M), the data of a tensor changed
each may go on with: if CONDITION, hit COUNT (3, >= 5, % 10), log TEXT ({expressions} are filled in)"""

_SHORT = {
    "shape": "shape mismatch", "type": "type mismatch", "dtype": "type mismatch", "device": "type mismatch",
    "inf": "nan", "grad": "gradient", "zero": "gradient zero", "missing": "gradient missing",
    "predicate": "shape predicate",
}  # fmt: skip
WORDS = (
    "shape", "type", "nan", "exception", "op", "module", "node", "line", "if", "predicate", "branch", "gradient",
    "zero", "missing", "memory", "data",
)  # fmt: skip
_LONG = ("shape mismatch", "type mismatch", "shape predicate", "gradient zero", "gradient missing")
_BARE = ("shape mismatch", "type mismatch", "exception", "nan")
_NAMED = ("op", "module", "data", "gradient", "gradient zero", "gradient missing")
_CONDITIONS = ("if", "shape predicate")
_MAY_BE_ANY = ("gradient", "gradient zero", "gradient missing", "branch")
_TAIL = re.compile(r"(.*?)(?:\s+if\s+(.*?))?(?:\s+hit\s+(.*?))?(?:\s+log\s+(.*))?\s*\Z", re.DOTALL)


def breakpoint_of(text: str, script: str) -> tuple[str, dict[str, Any]]:
    """The kind and the fields that `Session.add_breakpoint` takes. Raises ValueError with a sentence.

    >>> breakpoint_of("op relu if shape[0] > 4 hit >= 2", "/tmp/train.py")
    ('op', {'name': 'relu', 'condition': 'shape[0] > 4', 'hit': '>= 2'})
    """
    text = " ".join(text.split(None, 1)) if text.strip() else ""
    first, _, rest = text.partition(" ")
    kind = _SHORT.get(first, first)
    for long in _LONG:
        if text == long or text.startswith(long + " "):
            kind, rest = long, text[len(long) :]
    rest = " " + rest.strip()
    if kind in _CONDITIONS:
        rest = rest if kind != "if" and rest.startswith(" if ") else " if" + rest
    elif kind not in (*_BARE, *_NAMED, "line", "node", "memory", "branch"):
        if not re.search(r"(\A|:)\d+\Z", first):
            raise ValueError(_unknown(first))
        kind, rest = "line", f" {first}{rest}"
    match = _TAIL.match(rest)
    assert match is not None
    what = match[1].strip()
    fields = {key: part.strip() for key, part in zip(("condition", "hit", "log"), match.groups()[1:], strict=True) if part}  # fmt: skip
    if kind in (*_BARE, *_CONDITIONS):
        if what:
            raise ValueError(f"A breakpoint at {kind!r} takes no {what!r}. `help b` shows how it is written.")
        return kind, fields
    if not what:
        if kind in _MAY_BE_ANY:
            return kind, fields
        raise ValueError(f"b {first}: say which. `help b` shows how it is written.")
    if kind in _NAMED:
        return kind, {"name": what, **fields}
    if kind in ("line", "branch"):
        return kind, {**_line(what, script), **fields}
    if kind == "node":
        return kind, {"node": number(what, "a node's number"), **fields}
    return kind, {"limit": _bytes(what), **fields}


def added(session: Session, texts: Iterable[str]) -> list[Breakpoint]:
    """Add the breakpoints that `texts` write down to the session."""
    made = []
    for text in texts:
        kind, fields = breakpoint_of(text, session.script)
        made.append(session.add_breakpoint(kind, **fields))
    return made


def _unknown(word: str) -> str:
    near = difflib.get_close_matches(word, WORDS, 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"There is no breakpoint kind {word[:40]!r}.{hint} There are: {', '.join(WORDS)}."


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
