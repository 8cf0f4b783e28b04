"""What differs between two turns of a run, or of two runs: nodes, branches, shapes, dtypes, statistics."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dsviz import events as ev
from dsviz.query.paths import base

FAR = 0.5  # a mean or spread that changed by more than this share of itself is told


class Key(NamedTuple):
    """What makes two nodes the same one: the line's text counts, not its number, so that an edited file compares."""

    op: str
    phase: int
    module: str
    file: str  # its name without the folders
    text: str  # of the line


@dataclass
class Turn:
    """One iteration: its nodes and its decisions, by what they are and where."""

    nodes: dict[Key, list[dict[str, Any]]] = field(default_factory=dict)
    branches: dict[tuple[str, str], list[bool]] = field(default_factory=dict)  # (file, label)
    lines: dict[tuple[str, str], int] = field(default_factory=dict)


def turns_of(
    events: Iterable[ev.AnyEvent], wanted: Iterable[int], read: Callable[[str], str | None]
) -> tuple[dict[int, Turn], list[int]]:
    """The wanted iterations of a run, and the numbers of all it has. `read(path)` gives a file's text or None."""
    turns = {index: Turn() for index in wanted}
    known: dict[int, None] = {}
    texts: dict[int, str] = {}
    frames: dict[int, ev.Frame] = {}
    sites: dict[int, ev.Site] = {}
    modules: dict[int, int] = {}
    files: dict[str, list[str]] = {}
    records: dict[int, dict[str, Any]] = {}  # nodes of the wanted turns, for their statistics
    decided: list[ev.Branch] = []  # since the last forward node: they belong to the turn of the next one

    def place(frame: int) -> tuple[str, int, str]:
        at = frames.get(frame)
        path = "" if at is None else texts.get(at.file, "")
        if at is None or not path:
            return "", 0, ""
        if path not in files:
            files[path] = (read(path) or "").split("\n")
        lines = files[path]
        text = lines[at.line - 1].strip() if 0 < at.line <= len(lines) else ""
        return base(path), at.line, text or f"line {at.line}"

    for event in events:
        if isinstance(event, ev.Op):
            known[event.iteration] = None
            turn = turns.get(event.iteration)
            if turn is not None:
                file, line, text = place(event.frame)
                module = texts.get(modules.get(event.call, 0), "")
                key = Key(texts.get(event.op, ""), event.phase, module, file, text)
                node: dict[str, Any] = {
                    "shape": list(event.shape),
                    "dtype": texts.get(event.dtype, ""),
                    "line": line,
                }
                turn.nodes.setdefault(key, []).append(node)
                records[event.node] = node
                if event.phase == ev.FORWARD:
                    for branch in decided:
                        site = sites.get(branch.site)
                        if site is not None:
                            where = (base(texts.get(site.file, "")), site.label)
                            turn.branches.setdefault(where, []).append(branch.taken)
                            turn.lines[where] = site.line
            if event.phase == ev.FORWARD:
                decided.clear()
        elif isinstance(event, ev.Branch):
            decided.append(event)
        elif isinstance(event, ev.Summary):
            if event.node in records:
                bad = event.nans + event.infs
                records[event.node].update(mean=event.mean, std=event.std, bad=bad)
        elif isinstance(event, ev.Text):
            texts[event.id] = event.text
        elif isinstance(event, ev.Frame):
            frames[event.id] = event
        elif isinstance(event, ev.Site):
            sites[event.id] = event
        elif isinstance(event, ev.ModuleEntered):
            modules[event.call] = event.path
    return turns, list(known)


def difference(a: Turn, b: Turn) -> dict[str, Any]:
    """What turn `b` has that `a` has not, the reverse, and what both have but otherwise.

    >>> one = Turn(nodes={Key("relu", 0, "net", "train.py", "y = ds.relu(x)"): [{"shape": [2], "dtype": "float32", "line": 3}]})
    >>> difference(one, Turn())["removed"]
    [{'op': 'relu', 'phase': 0, 'module': 'net', 'file': 'train.py', 'line': 3, 'count': 1}]
    """
    counts_a, counts_b = ({key: len(nodes) for key, nodes in side.nodes.items()} for side in (a, b))
    gone, fresh = Counter(counts_a) - Counter(counts_b), Counter(counts_b) - Counter(counts_a)
    changed = []
    for key in a.nodes.keys() & b.nodes.keys():
        for first, second in zip(a.nodes[key], b.nodes[key], strict=False):
            what = _changes(first, second)
            if what:
                changed.append({**_item(key, second["line"], 1), "changed": what})
                break
    branches = []
    for file, label in sorted(a.branches.keys() | b.branches.keys()):
        here, there = a.branches.get((file, label), []), b.branches.get((file, label), [])
        if here != there:
            line = b.lines.get((file, label)) or a.lines.get((file, label), 0)
            branches.append({"label": label, "file": file, "line": line, "taken": [here, there]})
    return {
        "added": [_item(key, b.nodes[key][-1]["line"], n) for key, n in sorted(fresh.items())],
        "removed": [_item(key, a.nodes[key][-1]["line"], n) for key, n in sorted(gone.items())],
        "branches": branches,
        "changed": sorted(changed, key=lambda item: (item["file"], item["line"], item["phase"], item["op"])),
        "same": sum((Counter(counts_a) & Counter(counts_b)).values()),
    }


def _changes(first: dict[str, Any], second: dict[str, Any]) -> dict[str, list[Any]]:
    found = {name: [first[name], second[name]] for name in ("shape", "dtype") if first[name] != second[name]}
    for name in ("mean", "std"):
        x, y = first.get(name), second.get(name)
        if x is None or y is None or not (math.isfinite(x) and math.isfinite(y)):
            continue
        if abs(x - y) > FAR * max(abs(x), abs(y), 1e-12):
            found[name] = [x, y]
    if first.get("bad", 0) != second.get("bad", 0):
        found["not finite"] = [first.get("bad", 0), second.get("bad", 0)]
    return found


def _item(key: Key, line: int, count: int) -> dict[str, Any]:
    return {
        "op": key.op,
        "phase": key.phase,
        "module": key.module,
        "file": key.file,
        "line": line,
        "count": count,
    }


def differs(found: dict[str, Any]) -> bool:
    """Whether there is any difference."""
    return any(found[name] for name in ("added", "removed", "branches", "changed"))


def sentences(found: dict[str, Any]) -> list[str]:
    """The difference as lines for a person."""
    lines = []
    for sign, name in (("+", "added"), ("-", "removed")):
        for item in found[name]:
            lines.append(f"{sign} {_what(item)}{' x' + str(item['count']) if item['count'] > 1 else ''}")
    for item in found["branches"]:
        first, second = (_taken(side) for side in item["taken"])
        lines.append(f"! {item['label']}  {item['file']}:{item['line']}: {first}, then {second}")
    for item in found["changed"]:
        changes = ", ".join(f"{name} {_short(a)} to {_short(b)}" for name, (a, b) in item["changed"].items())
        lines.append(f"~ {_what(item)}: {changes}")
    lines.append(f"{found['same']} nodes are in both")
    return lines


def _taken(decisions: list[bool]) -> str:
    """
    >>> _taken([True]), _taken([]), _taken([True, False, True])
    ('taken', 'not reached', 'taken 2 of 3 times')
    """
    if not decisions:
        return "not reached"
    if all(decisions):
        return "taken"
    return f"taken {sum(decisions)} of {len(decisions)} times" if any(decisions) else "not taken"


def _what(item: dict[str, Any]) -> str:
    prime = "'" * (item["phase"] == 1)
    where = f"  {item['file']}:{item['line']}" if item["line"] else ""
    return f"{item['op']}{prime}{' in ' + item['module'] if item['module'] else ''}{where}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
