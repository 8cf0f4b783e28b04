"""How a run ended: from the exit status, the last exception and, after a crash, the breadcrumb."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from dsviz import events
from dsviz.stop import FAILED, FINISHED, KILLED, STOPPED, Source, Stop, signal_name
from dsviz.wire.ring import Breadcrumb

STARVED = "Memory had run out: the system killed a process at that moment, most likely this one."


def ended(
    status: int,
    *,
    stopped: bool,
    uncaught: events.Uncaught | None,
    breadcrumb: Breadcrumb | None,
    store: Any,
    connected: bool,
    level: int,
    starved: bool = False,
) -> Stop:
    """The stop that says how the program ended and, where it was killed, in which op and line it was.

    `starved`: at that time the system has killed a process because memory had run out.
    """
    if stopped:
        return Stop("stopped", text="Stopped.", state=STOPPED, status=status)
    if status == 0:
        ran = bool(store.nodes)
        text = "The program finished." if ran or level == 0 else "The program finished before any node ran."
        if not connected:
            text = "The program finished. It was not followed; where it prints, it is said why."
        return Stop("finished", text=text, state=FINISHED, status=0)
    if status < 0 and uncaught is None:
        killed = _killed(status, breadcrumb, store, level)
        return replace(killed, text=f"{killed.text} {STARVED}") if starved and status == -9 else killed
    if uncaught is not None:
        source = _source(store, uncaught.frame)
        place = f" at {source}" if source else ""
        text = (
            f"{uncaught.error}{place}: {uncaught.message}" if uncaught.message else f"{uncaught.error}{place}"
        )
        file = _file(store, uncaught.frame)
        return Stop("failed", text=text, state=FAILED, status=status, source=source, file=file)
    if not connected:
        text = f"The program ended with exit status {status} before the debugger could start in it."
        return Stop("failed", text=text, state=FAILED, status=status)
    return Stop("failed", text=f"The program ended with exit status {status}.", state=FAILED, status=status)


def _killed(status: int, breadcrumb: Breadcrumb | None, store: Any, level: int) -> Stop:
    name = signal_name(-status)
    if breadcrumb is None or not breadcrumb.node:
        where = " Tracing was off, so the op it was in is not known." if level == 0 else " No op was running."
        return Stop("killed", text=f"Killed by {name}.{where}", state=KILLED, status=status)
    op = store.texts.get(breadcrumb.op, "")
    source = _source(store, breadcrumb.frame)
    running = breadcrumb.node not in store.nodes
    doing = "while it ran" if running else "after"
    place = f" at {source}" if source else ""
    return Stop(
        "killed",
        node=breadcrumb.node,
        source=source,
        op=op,
        text=f"Killed by {name} {doing} {op} (node {breadcrumb.node}){place}.",
        state=KILLED,
        status=status,
        file=_file(store, breadcrumb.frame),
    )


def memory_kills() -> int:
    """How many processes the system has killed so far because memory had run out; 0 where it does not say (not Linux)."""
    with contextlib.suppress(OSError, ValueError), open("/proc/vmstat", encoding="ascii") as facts:
        for line in facts:
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def _file(store: Any, frame: int) -> int:
    record = store.frames.get(frame)
    return record.file if record is not None else 0


def _source(store: Any, frame: int) -> Source | None:
    record = store.frames.get(frame)
    return Source(store.texts.get(record.file, ""), record.line) if record is not None else None
