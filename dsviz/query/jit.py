"""What the JIT compiled, how often it was used, and why it compiled again, as lines for a person."""

from __future__ import annotations

import os
from typing import Any


def sentences(told: dict[str, Any]) -> list[str]:
    """The compiler and the totals, then one line a region, the most used first."""
    if not told["regions"]:
        why = told["refused"] or "no op on large arrays has run twice at the same place"
        return [f"nothing is compiled: {why}; ops that are traced run one by one"]
    lines = [
        f"{told['compiled']} regions compiled by {told['compiler'] or 'nobody'}, {told['hits']} runs by their kernels, "
        f"{told['misses']} op by op"
    ]
    if told["refused"]:
        lines.append(f"no more is compiled: {told['refused']}")
    for region in reversed(told["regions"]):
        lines.append(
            f"{os.path.basename(region['file'])}:{region['line']} {ops(region)} {region['shape']} {region['dtype']}"
            f"{' on a GPU' if region['device'] == 'cuda' else ''}: {state(region)}"
        )
        if region["reason"]:
            lines.append(f"    another region here because {region['reason']}")
    return lines


def ops(region: dict[str, Any]) -> str:
    """The ops of a region, the first ones by name.

    >>> ops({"ops": ["mul", "add", "tanh"]})
    'mul add tanh'
    """
    names = region["ops"]
    return " ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def state(region: dict[str, Any]) -> str:
    """How far a region is.

    >>> state({"state": "compiled", "hits": 3, "misses": 2, "runs": 5, "cached": True, "error": ""})
    'compiled, found on disk: 3 hits, 2 misses'
    """
    if region["state"] == "plain":
        return f"stays op by op, {region['runs']} runs: {region['error']}"
    if region["state"] == "compiled":
        found = ", found on disk" if region["cached"] else ""
        return f"compiled{found}: {region['hits']} hits, {region['misses']} misses"
    return f"{region['state']}, {region['runs']} runs op by op"
