"""A run as the trace JSON that Perfetto and Chrome open: modules around ops, one track a phase, and the bytes in use."""

from __future__ import annotations

from typing import Any

from dsviz import events as ev
from dsviz.store import GraphStore

TRACKS = {0: "forward", 1: "backward", 2: "optimizer"}


def trace(store: GraphStore, events: list[Any]) -> dict[str, Any]:
    """Chrome's trace event format (Google, Trace Event Format): times in microseconds, nested spans, counters."""
    made: list[dict[str, Any]] = [
        {"ph": "M", "pid": 1, "tid": tid, "name": "thread_name", "args": {"name": name}}
        for tid, name in TRACKS.items()
    ]
    opened: dict[int, tuple[str, int]] = {}
    live = 0
    sizes: dict[int, int] = {}
    for event in events:
        if isinstance(event, ev.ModuleEntered):
            opened[event.call] = (store.texts.get(event.path, ""), event.time)
        elif isinstance(event, ev.ModuleLeft) and event.call in opened:
            name, start = opened.pop(event.call)
            made.append(_span(name, 0, start, event.time - start, {}))
        elif isinstance(event, ev.Op):
            frame = store.frames.get(event.frame)
            args = {
                "node": event.node,
                "shape": list(event.shape),
                "bytes": event.nbytes,
                "iteration": event.iteration,
            }
            if frame is not None:
                args["line"] = f"{store.texts.get(frame.file, '')}:{frame.line}"
            name = store.texts.get(event.op, "") + "'" * (event.phase == 1)
            made.append(_span(name, event.phase, event.start, event.duration, args))
        elif isinstance(event, ev.Allocated):
            sizes[event.buffer] = event.nbytes
            live += event.nbytes
            made.append(_counter(live, event.time))
        elif isinstance(event, ev.Released):
            live -= sizes.pop(event.buffer, 0)
            made.append(_counter(live, event.time))
    for name, start in opened.values():  # still open where the recording ends
        made.append(_span(name, 0, start, max(store.time - start, 0), {}))
    return {"traceEvents": made, "displayTimeUnit": "ns"}


def _span(name: str, tid: int, start: int, duration: int, args: dict[str, Any]) -> dict[str, Any]:
    return {
        "ph": "X",
        "pid": 1,
        "tid": tid,
        "name": name,
        "ts": start / 1000,
        "dur": max(duration, 1) / 1000,
        "args": args,
    }


def _counter(live: int, time: int) -> dict[str, Any]:
    return {"ph": "C", "pid": 1, "name": "bytes in use", "ts": time / 1000, "args": {"bytes": live}}
