"""Where a program stopped, and why: what every stepping command returns."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Any, NamedTuple

STARTING, RUNNING, PAUSED = "starting", "running", "paused"
FINISHED, FAILED, KILLED, STOPPED, LOST = "finished", "failed", "killed", "stopped", "lost"
ENDS = (FINISHED, FAILED, KILLED, STOPPED, LOST)


class Source(NamedTuple):
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Stop:
    """The program stands still: paused at a position, or ended.

    `reason` is "entry", "step", "pause", "breakpoint", "shape mismatch", "exception" or "nan" while paused,
    and "finished", "failed", "killed", "stopped" or "lost" at the end. `node` is the node about to run (0: none,
    for example at a module's entry), `op` its op, `source` the person's line. `text` says
    all that in a sentence.
    """

    reason: str
    node: int = 0
    source: Source | None = None
    op: str = ""
    phase: int = 0
    module: str = ""
    text: str = ""
    state: str = PAUSED
    iteration: int = 0
    position: str = (
        "node"  # or "module": at a module's entry; "line": at a breakpoint(); "end": after the last line
    )
    status: int | None = None  # exit status of the ended program; negative: the signal that killed it
    pending: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    modules: tuple[dict[str, Any], ...] = ()
    frames: tuple[dict[str, Any], ...] = ()
    breakpoints: tuple[int, ...] = ()
    thread: str = ""
    file: int = 0  # the source file's number in this run
    number: int = 0  # counts the stops of a run; negative: moments in the past that were gone to
    past: bool = False  # this is how it was; the program itself has gone on from there

    @property
    def line(self) -> int:
        """The person's line, 0 where there is none."""
        return self.source.line if self.source else 0

    def as_dict(self) -> dict[str, Any]:
        """The stop as the page gets it: plain JSON values."""
        return {
            "reason": self.reason,
            "text": self.text,
            "node": self.node,
            "slot": None,
            "op": self.op,
            "phase": self.phase,
            "module": self.module,
            "position": self.position,
            "file": self.file,
            "path": self.source.file if self.source else "",
            "line": self.line,
            "iteration": self.iteration,
            "pending": self.pending,
            "error": self.error,
            "modules": list(self.modules),
            "frames": list(self.frames),
            "breakpoints": list(self.breakpoints),
            "thread": self.thread,
            "status": self.status,
            "number": self.number,
            "past": self.past,
        }


def paused(message: dict[str, Any]) -> Stop:
    """The stop that the traced program's "stop" message tells of."""
    path, line = message.get("path", ""), message.get("line", 0)
    return Stop(
        reason=message["reason"],
        node=message.get("node", 0),
        source=Source(path, line) if path else None,
        op=message.get("op", ""),
        phase=message.get("phase", 0),
        module=message.get("module", ""),
        text=message.get("text", ""),
        iteration=message.get("iteration", 0),
        position=message.get("position", "node"),
        pending=message.get("pending") or {},
        error=message.get("error"),
        modules=tuple(message.get("modules", ())),
        frames=tuple(message.get("frames", ())),
        breakpoints=tuple(message.get("breakpoints", ())),
        thread=message.get("thread", ""),
        file=message.get("file", 0),
        number=message.get("number", 0),
    )


def signal_name(number: int) -> str:
    """SIGKILL for 9, and so on."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
