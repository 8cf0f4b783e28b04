"""What differs between two turns of a run, or the same turn of two runs: nodes, branches, shapes, dtypes, statistics."""

from __future__ import annotations

from collections import Counter
from typing import Any

from dsviz.events import Op
from dsviz.store import GraphStore

FAR = 0.5  # a mean or spread that changed by more than this share of itself is told


def turn_of(store: GraphStore, index: int) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """The nodes of turn `index`, by what they are and where: op, phase, module and line."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for node in store.nodes.values():
        if not isinstance(node, Op) or node.iteration != index:
            continue
        frame = store.frames.get(node.frame)
        place = (store.texts.get(frame.file, ""), frame.line) if frame is not None else ("", 0)
        call = store.calls.get(node.call)
        module = store.texts.get(call.path, "") if call is not None else ""
        key = (store.texts.get(node.op, ""), node.phase, module, *place)
        summary = store.summaries.get(node.node)
        found.setdefault(key, []).append(
            {
                "shape": list(node.shape),
                "dtype": store.texts.get(node.dtype, ""),
                "mean": None if summary is None else summary.mean,
                "std": None if summary is None else summary.std,
            }
        )
    return found


def difference(
    a: dict[tuple[Any, ...], list[dict[str, Any]]], b: dict[tuple[Any, ...], list[dict[str, Any]]]
) -> dict[str, Any]:
    """What turn `b` has that `a` has not, the reverse, and what both have but otherwise.

    >>> key = ("relu", 0, "net", "train.py", 3)
    >>> node = {"shape": [2], "dtype": "float32", "mean": None, "std": None}
    >>> difference({key: [node]}, {})["removed"]
    [{'op': 'relu', 'phase': 0, 'module': 'net', 'file': 'train.py', 'line': 3, 'count': 1}]
    """
    counts_a, counts_b = ({key: len(nodes) for key, nodes in side.items()} for side in (a, b))
    gone, fresh = Counter(counts_a) - Counter(counts_b), Counter(counts_b) - Counter(counts_a)
    changed = []
    for key in a.keys() & b.keys():
        for first, second in zip(a[key], b[key], strict=False):
            what = {
                name: [first[name], second[name]]
                for name in ("shape", "dtype")
                if first[name] != second[name]
            } | {
                name: [first[name], second[name]]
                for name in ("mean", "std")
                if first[name] is not None
                and second[name] is not None
                and abs(first[name] - second[name]) > FAR * max(abs(first[name]), abs(second[name]), 1e-12)
            }
            if what:
                changed.append({**_item(key, 1), "changed": what})
                break
    return {
        "added": [_item(key, n) for key, n in sorted(fresh.items())],
        "removed": [_item(key, n) for key, n in sorted(gone.items())],
        "changed": sorted(changed, key=lambda item: (item["file"], item["line"], item["op"])),
        "same": sum((Counter(counts_a) & Counter(counts_b)).values()),
    }


def _item(key: tuple[Any, ...], count: int) -> dict[str, Any]:
    op, phase, module, file, line = key
    return {"op": op, "phase": phase, "module": module, "file": file, "line": line, "count": count}


def sentences(found: dict[str, Any]) -> list[str]:
    """The difference as lines for a person."""
    lines = []
    for sign, name in (("+", "added"), ("-", "removed")):
        for item in found[name]:
            lines.append(f"{sign} {_what(item)}{' x' + str(item['count']) if item['count'] > 1 else ''}")
    for item in found["changed"]:
        changes = ", ".join(f"{name} {_short(a)} to {_short(b)}" for name, (a, b) in item["changed"].items())
        lines.append(f"~ {_what(item)}: {changes}")
    lines.append(f"{found['same']} nodes are in both")
    return lines


def _what(item: dict[str, Any]) -> str:
    prime = "'" * (item["phase"] == 1)
    where = f"  {item['file'].rpartition('/')[2]}:{item['line']}" if item["line"] else ""
    return f"{item['op']}{prime}{' in ' + item['module'] if item['module'] else ''}{where}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
