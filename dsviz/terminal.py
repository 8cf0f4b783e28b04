"""What the page shows, in the terminal: the graph as a tree, and a shape mismatch explained.

Both print from the page's own view models. On anything but a terminal the output is plain text.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from json import dumps
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from dsviz.events import Op
from dsviz.output import fitted
from dsviz.query.filters import filtered
from dsviz.query.node import plain

if TYPE_CHECKING:
    from dsviz.stop import Stop
    from dsviz.store import GraphStore

PLAIN_WIDTH = 110  # columns where the output is no terminal
LONGEST_LABEL = 60
QUIET = ("unreached", "nottaken")
COLOURS = {
    "linear": "blue", "activation": "green", "shape": "yellow", "reduce": "magenta", "random": "red", "other": "cyan",
}  # fmt: skip


def console(file: IO[str] | None = None) -> Console:
    """A console for `file` (stdout): coloured and as wide as the terminal, or plain."""
    out = fitted(sys.stdout if file is None else file)
    tty = bool(getattr(out, "isatty", lambda: False)())
    # NO_COLOR, FORCE_COLOR and TERM=dumb are rich's to heed.
    return _Console(file=out, width=None if tty else PLAIN_WIDTH, highlight=False, soft_wrap=False)


class _Console(Console):
    """Rich's, but a closed pipe is told as Python tells it, not by ending the program."""

    def on_broken_pipe(self) -> None:
        raise


def print_graph(store: GraphStore, file: IO[str] | None = None, *, json: bool = False, **only: Any) -> None:
    """Print the graph of `store`: modules as a tree, loops folded (`×64`), branches with what was decided.

    Each line has the op, the shape of what it made (dtype where it is not float32), bytes, and the time of
    the forward node and, after the prime, of its backward twin. `only` is what `query.filters.filtered` takes;
    `json` prints the view model itself.
    """
    view = filtered(store, **only)
    if json:
        text = dumps(plain(view), ensure_ascii=False, indent=1)
        print(text, file=fitted(sys.stdout if file is None else file))
        return
    out = console(file)
    rows = list(_rows(store, view["root"]["items"], ""))
    phases = ", ".join(
        f"{facts['nodes']:,} {name}" for name, facts in view["phases"].items() if facts["nodes"]
    )
    name = os.path.basename(view["script"]) or "this program"
    out.print(
        Text(f"Graph of {name}: {view['nodes']:,} nodes" + (f" ({phases})" if phases else ""), style="bold")
    )
    if view["filter"]:
        said = ", ".join(f"{name} {value}" for name, value in view["filter"].items() if name != "depth")
        if said:
            out.print(Text(f"Only {said}: {view['matching']:,} nodes", style="dim"))
    for line in _aligned(rows, out.width):
        out.print(line, no_wrap=True, overflow="ellipsis", crop=True)
    total = sum(facts["ns"] for facts in view["phases"].values())
    ends = [f"{total_text(total)} in ops"]
    if view["peak"]:
        ends.append(f"peak {bytes_text(view['peak'])}")
    if view["dropped"]:
        ends.append(f"the first {view['dropped']:,} nodes are no longer kept")
    out.print(Text(", ".join(ends), style="dim"))


Row = tuple[Text, str, str, str, str]  # tree and label, shape, bytes, time, place


def _rows(store: GraphStore, items: list[dict[str, Any]], indent: str) -> Iterator[Row]:
    shown = [item for item in items if item.get("role") not in ("parameter", "constant")]
    for index, item in enumerate(shown):
        last = index == len(shown) - 1
        branch, deeper = ("└─ ", "   ") if last else ("├─ ", "│  ")
        head = Text(indent + branch, style="dim")
        if "items" in item:
            yield _group_row(head, item)
            if item["kind"] != "optimizer":
                yield from _rows(store, item["items"], indent + deeper)
        else:
            yield _slot_row(store, head, item)


def _group_row(head: Text, group: dict[str, Any]) -> Row:
    label, note = cut(group["label"]), group["note"]
    if group["kind"] == "loop":
        head.append(label, style="bold")
        turns = group["turns"] or 1
        head.append(f"  ×{turns}", style="cyan")
        if turns > 1:
            head.append(f"  turn {group['turn']} shown", style="dim")
    elif group["kind"] == "branch":
        decided = {True: "taken", False: "not taken", None: ""}[group["taken"]]
        head.append(label + (": " if decided else ""))
        head.append(decided, style="green" if group["taken"] else "dim")
    elif group["kind"] == "optimizer":
        head.append(label, style="bold")
        updates = sum(item["kind"] != "leaf" for item in group["items"])  # beside them stand their parameters
        head.append(f"  {group.get('folded') or updates} updates", style="dim")
    else:
        head.append(label, style="bold")
        head.append(f"  {note}", style="dim")
    if group.get("folded") and group["kind"] != "optimizer":
        head.append(f"  {group['folded']} ops inside", style="dim")
    time = time_text(group["ns"], group["backward_ns"]) if group["ns"] else ""
    return head, "", "", time, group["place"]


def _slot_row(store: GraphStore, head: Text, slot: dict[str, Any]) -> Row:
    status = slot["status"]
    quiet = status in QUIET
    if slot["kind"] == "leaf":
        head.append(cut(slot["label"]), style="dim")
    else:
        head.append(cut(slot["label"]), style="dim" if quiet else COLOURS.get(slot["family"], ""))
    if status == "failed":
        head.append("  failed", style="bold red")
    elif status == "pending":
        head.append("  next", style="bold yellow")
    elif quiet:
        head.append("  not run in this turn", style="dim")
        return head, "", "", "", slot["place"]
    shape = "" if slot["shape"] is None else shape_text(slot["shape"], slot["dtype"])
    size = bytes_text(slot["nbytes"]) if slot["nbytes"] else ""
    backward = 0
    for partner in slot["backward"]:
        record = store.structure.slots[partner - 1].record
        backward += record.duration if isinstance(record, Op) else 0
    return head, shape, size, time_text(slot["ns"], backward) if slot["ns"] else "", slot["place"]


def _aligned(rows: list[Row], width: int) -> Iterator[Text]:
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(5)]
    tail = sum(widths[1:]) + 2 * 4
    label = max(20, min(widths[0], width - tail))
    for head, shape, size, time, place in rows:
        line = head.copy()
        if len(line) > label:
            line.truncate(label, overflow="ellipsis")
        line.pad_right(label - len(line))
        line.append(f"  {shape:<{widths[1]}}")
        line.append(f"  {size:>{widths[2]}}", style="dim")
        line.append(f"  {time:>{widths[3]}}", style="dim")
        line.append(f"  {place}", style="dim")
        line.rstrip()
        yield line


def print_stop(stop: Stop, file: IO[str] | None = None) -> None:
    """Print why the program stopped; for a shape mismatch the operands, and where each size came from."""
    out = console(file)
    where = f" in {stop.module}" if stop.module else ""
    error = stop.error or {}
    reason = stop.reason[:1].upper() + stop.reason[1:]
    title = f"{reason}, stopped before {stop.op}{where}" if stop.op else reason
    out.print(Text(title, style="bold red" if error else "bold"))
    out.print(Text(str(error.get("sentence") or error.get("message") or stop.text)))
    if stop.source is not None:
        out.print(Text(f"at {stop.source}", style="dim"))
    operands = [operand for operand in error.get("operands", ()) if operand.get("shape") is not None]
    clashing = [operand for operand in operands if operand.get("clash")]
    for operand in clashing or operands:
        out.print()
        for line in _operand(operand):
            out.print(line, no_wrap=True, overflow="ellipsis", crop=True)
    if error.get("hint"):
        out.print()
        out.print(Text(str(error["hint"])))


def _operand(operand: dict[str, Any]) -> Iterator[Text]:
    shape, clash = operand["shape"], set(operand.get("clash", ()))
    start = f"  {operand['name']}  ("
    line, marks = Text(start), " " * len(start)
    for dim, size in enumerate(shape):
        text = str(size)
        line.append(text, style="bold red" if dim in clash else "")
        marks += ("^" if dim in clash else " ") * len(text)
        if dim < len(shape) - 1:
            line.append(", ")
            marks += "  "
    line.append(",)" if len(shape) == 1 else ")")
    line.append(f"  {operand.get('dtype', '')}", style="dim")
    yield line
    if clash:
        yield Text(marks.rstrip(), style="red")
    for origin in operand.get("origins", ()):
        step = Text("    ")
        step.append(f"{origin['note']:<12}", style="bold")
        step.append(f"  {os.path.basename(origin.get('path', ''))}:{origin['line']}", style="blue")
        step.append(f"  {origin['text']}")
        yield step


def cut(label: str) -> str:
    """A label that fits a line, on one line."""
    label = " ".join(str(label).split())
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"


def shape_text(shape: list[int], dtype: str | None) -> str:
    """`32×128`, with the dtype where it is not float32.

    >>> shape_text([32, 128], "float32"), shape_text([], "int64")
    ('32×128', 'scalar int64')
    """
    sizes = "×".join(map(str, shape)) if shape else "scalar"
    return sizes if dtype == "float32" else f"{sizes} {dtype or ''}".rstrip()


def bytes_text(size: float) -> str:
    """Bytes with a unit.

    >>> bytes_text(512), bytes_text(25_600)
    ('512 B', '25 KB')
    """
    for limit, unit in ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")):
        if size >= limit:
            return f"{size / limit:.3g} {unit}"
    return f"{size:.0f} B"


def total_text(ns: float) -> str:
    """Nanoseconds with a unit.

    >>> total_text(1500), total_text(2_000_000)
    ('1.5 us', '2 ms')
    """
    for limit, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if ns >= limit:
            return f"{ns / limit:.3g} {unit}"
    return f"{ns:.0f} ns"


def time_text(forward: float, backward: float) -> str:
    """Time forward and, behind a prime, backward.

    >>> time_text(1500, 3000)
    "1.5 us ' 3 us"
    """
    return total_text(forward) + (f" ' {total_text(backward)}" if backward else "")
