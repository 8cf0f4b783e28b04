"""What only the engine knows of itself: the configuration in force, mixed precision, reused results, partitions, compiled regions.

Asked for while the program is paused, in the paused thread, because a configuration belongs to its thread.
"""

from __future__ import annotations

from typing import Any

from dsviz.debuggee.expressions import Refusal
from engine.amp import autocast, report
from engine.config import KEYS, Config, ConfigError, configure, current
from engine.jit.report import report as compiled
from engine.partition import everywhere as alive
from engine.reuse import everywhere as silenced


def facts() -> dict[str, Any]:
    """All of it as plain data."""
    return {
        "config": config(),
        "amp": precision(),
        "reuse": reused(),
        "partitions": partitions(),
        "jit": compiled(),
    }


def config() -> list[dict[str, Any]]:
    """Each key: its value, what it is without a word, what it takes, and what it does."""
    now, usual = current(), Config()
    return [
        {
            "key": name,
            "value": getattr(now, name),
            "default": getattr(usual, name),
            "allowed": key.allowed,
            "doc": key.doc,
        }
        for name, key in KEYS.items()
    ]


def set_config(keys: dict[str, Any]) -> list[dict[str, Any]]:
    """Change keys from here on; the block of a running `with ds.graph_config(...)` ends as it would. Raises Refusal."""
    try:
        configure(**keys)
    except ConfigError as problem:
        raise Refusal(f"{problem}.") from None
    return config()


def precision() -> dict[str, Any]:
    """What mixed precision does now."""
    scaler = autocast.scaler()
    return {
        "on": current().amp,
        "dynamic": scaler is not None and scaler.dynamic,
        **report(),
    }


def reused() -> list[dict[str, Any]]:
    """The modules that are switched off, and what that saved."""
    rows = [
        {
            "path": silence.path,
            "reuse": silence.reuse,
            "hits": silence.hits,
            "misses": silence.misses,
            "bytes": silence.bytes_saved,
            "ns": silence.time_saved,
        }
        for silence in list(silenced)
    ]
    return sorted(rows, key=lambda row: str(row["path"]))


def partitions() -> list[dict[str, Any]]:
    """The partitions that are alive, oldest first: the part of each node, the cut, and overlap predicted and seen."""
    return [
        {
            "lanes": item.lanes,
            "lane_of": sorted(item.lane_of.items()),
            "seconds": item.costs,
            "cut": item.cut,
            "cut_bytes": item.cut_bytes,
            "predicted": item.predicted,
            "last": None
            if item.last is None
            else {"seconds": item.last.seconds, "overlap": item.last.overlap},
        }
        for item in sorted(alive, key=lambda item: min(item.lane_of, default=0))
    ]
