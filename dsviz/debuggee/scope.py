"""The names of a paused frame: its variables in a few words each, and how an expression may go on."""

from __future__ import annotations

import builtins
import keyword
import re
import reprlib
from types import BuiltinFunctionType, FrameType, FunctionType, ModuleType
from typing import Any

import numpy as np

from engine.tensor import Tensor

PLAIN = (bool, int, float, complex, str, bytes, type(None), list, tuple, dict, set, frozenset, range, slice)
MOST = 200  # variables told of one frame
OFFERED = 80  # ways on that are offered
_CHAIN = re.compile(
    r"""((?:[^\W\d]\w*|\)|\])(?:\.[^\W\d]\w*|\[(?:-?\d+|'[^'"\\]*'|"[^'"\\]*")\])*\.)?([^\W\d]\w*)?\Z"""
)
_CALLED = (type, FunctionType, BuiltinFunctionType)
_BASE = re.compile(r"""[^\W\d]\w*(?:\.[^\W\d]\w*|\[(?:-?\d+|'[^'"\\]*'|"[^'"\\]*")\])*\Z""")


def variables(frame: FrameType) -> list[dict[str, Any]]:
    """The variables of `frame` in the order they were made, without modules, functions and classes.

    Each is `name`, `type` and `text`; of tensors and arrays also `shape` and `dtype`, of tensors `node`.
    Nothing of the person's runs for it: what is no plain value is told by its type only.
    """
    found = []
    for name, value in list(frame.f_locals.items()):
        if name.startswith("__") or isinstance(value, (ModuleType, FunctionType, type)):
            continue
        found.append({"name": name[:200], **describe(value)})
        if len(found) >= MOST:
            break
    return found


def describe(value: Any) -> dict[str, Any]:
    """A value in a few words.

    >>> describe([1, 2])
    {'type': 'list', 'text': '[1, 2]'}
    """
    kind = type(value).__name__
    array = value.array if isinstance(value, Tensor) else value
    if isinstance(value, (Tensor, np.ndarray)):
        told: dict[str, Any] = {
            "type": kind, "text": "", "shape": [int(n) for n in array.shape], "dtype": str(array.dtype),
        }  # fmt: skip
        if isinstance(value, Tensor):
            told["node"] = int(value.node.id or 0)
        if isinstance(array, np.ndarray) and array.size == 1 and array.dtype.kind in "fiubc":
            told["text"] = f"{array.reshape(-1)[0].item():.6g}"
        return told
    if type(value) in PLAIN or _number(value):
        return {"type": kind, "text": _plain.repr(value)}
    return {"type": kind, "text": ""}


def _number(value: Any) -> bool:
    """Whether it is one of NumPy's numbers."""
    return isinstance(value, np.generic) and value.dtype.kind in "fiubc"


class _Plain(reprlib.Repr):
    """Values in brackets are told without asking them: a person's `__repr__` is not run."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 120
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = 12
        self.maxlevel = 3

    def repr_instance(self, x: Any, level: int) -> str:
        """Of what is no plain value, the type; of what has a shape, that too."""
        if _number(x):
            return f"{x.item():.7g}" if isinstance(x, (np.float32, np.float16)) else repr(x.item())
        if isinstance(x, (float, complex, bool, type(None), range, slice, bytes)):
            return repr(x)
        shape = str(list(x.shape)) if isinstance(x, (Tensor, np.ndarray)) else ""
        return f"<{type(x).__name__}{shape and ' ' + shape}>"

    def repr_ndarray(self, x: Any, level: int) -> str:
        """An array's numbers are the inspector's."""
        return self.repr_instance(x, level)


_plain = _Plain()


def complete(text: str, frame: FrameType) -> dict[str, Any]:
    """How the expression `text`, up to the cursor, may go on: `start` of the last word, and `items` of (name, kind).

    Only names, attributes and plain subscripts are followed; nothing is called.
    """
    match = _CHAIN.search(text)
    base, word = (match[1] or "", match[2] or "") if match is not None else ("", "")
    start = len(text) - len(word)
    # In a text, and after a point behind something that was not followed, there is nothing to offer.
    if match is None or _in_string(text[: match.start()]) or (not base and text[:start].endswith(".")):
        return {"start": start, "items": []}
    if base:
        before = base[:-1]
        if not _BASE.match(before):
            return {"start": start, "items": []}
        try:
            value = eval(before, frame.f_globals, frame.f_locals)
            names = {name: _kind(value, name) for name in dir(value)}
        except Exception:  # noqa: BLE001 - a person's property may raise anything: then nothing is offered
            return {"start": start, "items": []}
    else:
        scope = {**vars(builtins), **frame.f_globals, **frame.f_locals}
        names = {
            name: "function" if isinstance(value, _CALLED) else "variable" for name, value in scope.items()
        }
        names.update(dict.fromkeys(keyword.kwlist, "keyword"))
    own = set(frame.f_locals)
    fitting = [n for n in names if isinstance(n, str) and n.lower().startswith(word.lower()) and (word.startswith("_") or not n.startswith("_"))]  # fmt: skip
    fitting.sort(key=lambda n: (not n.startswith(word), bool(not base) and n not in own, n.lower()))
    return {"start": start, "items": [[name[:200], names[name]] for name in fitting[:OFFERED]]}


def _kind(value: Any, name: str) -> str:
    known = getattr(type(value), name, None)
    if isinstance(known, property):
        return "attribute"
    return "function" if callable(known) else "attribute"


def _in_string(text: str) -> bool:
    quote = ""
    skip = False
    for letter in text:
        if skip:
            skip = False
        elif letter == "\\":
            skip = True
        elif quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
    return bool(quote)
