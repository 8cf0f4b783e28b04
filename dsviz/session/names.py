"""Names a person gave that nothing is called so far, with the nearest ones that are."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection
from types import CodeType

from dsviz import events
from dsviz.debuggee.breakpoints import LINE, MODULE, OP, Breakpoint
from dsviz.store import GraphStore

UNSEEN = "So far there is no "


def unseen(breakpoint: Breakpoint, store: GraphStore) -> str:
    """A sentence where the op or module of `breakpoint` is unknown, or its line runs nothing, else "".

    A program may still define it: so a breakpoint on it is set all the same.
    """
    if breakpoint.kind == OP:
        from engine.op import OPS

        name = breakpoint.name.removesuffix("'")
        with store.lock:
            seen = {store.text(node.op) for node in store.nodes.values() if isinstance(node, events.Op)}
        return "" if name in OPS or name in seen else _sentence("op", name, {*OPS, *seen})
    if breakpoint.kind == LINE:
        return _empty_line(breakpoint.file, breakpoint.line)
    if breakpoint.kind == MODULE:
        with store.lock:
            paths = {store.text(call.path) for call in store.calls.values()}
        # Before anything ran every name is as good as another.
        return "" if not paths or breakpoint.name in paths else _sentence("module", breakpoint.name, paths)
    return ""


def _empty_line(path: str, line: int) -> str:
    try:
        with open(path, "rb") as file:
            codes = [compile(file.read(), path, "exec", dont_inherit=True)]
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ""  # what is not there, or no Python, is said elsewhere
    lines: set[int] = set()
    for code in codes:
        lines.update(number for _, _, number in code.co_lines() if number)
        codes.extend(each for each in code.co_consts if isinstance(each, CodeType))
    if line in lines:
        return ""
    after = min((number for number in lines if number > line), default=0)
    hint = f" The next line that does is {after}." if after else ""
    return f"{UNSEEN}code in line {line} of {os.path.basename(path)}: it runs nothing.{hint}"


def _sentence(what: str, name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), 3, 0.6)
    hint = f"; near are {', '.join(near)}" if near else ""
    return f"{UNSEEN}{what} {name!r}{hint}. The breakpoint counts once the program has it."
