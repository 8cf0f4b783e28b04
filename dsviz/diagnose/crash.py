"""The program ended with an exception: which line is to blame for it."""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator
from typing import Any

from dsviz.diagnose.finding import Finding, Place
from dsviz.diagnose.learning import cut_of
from dsviz.diagnose.record import Record
from engine.errors import DtypeMismatchError, Origin, ShapeMismatchError
from engine.location import is_engine_code
from engine.writes import Changed


def crash(record: Record) -> Iterator[Finding]:
    """What the exception that ended the program is about."""
    error = record.exception
    if error is None or isinstance(error, (SystemExit, KeyboardInterrupt)):
        return
    if isinstance(error, ShapeMismatchError):
        yield from _mismatch(record, error)
    elif isinstance(error, Changed):
        if record.old_inputs and any(steps.count for steps in record.optimizers):
            carried = max(record.old_inputs, key=lambda place: record.old_inputs[place])
            stepping = {steps.step_place for steps in record.optimizers}
            if (error.filename, error.line) in stepping:
                yield _finding("graph grows over turns", error, *carried, "A value of an earlier turn is used with its graph, whose parameters a step has changed since.", (
                    "Carry values, not graphs, to the next turn: detach() them."
                ))  # fmt: skip
        yield _finding("in-place change", error, error.filename, error.line, _first_line(error), (
            "Use the op without the underscore, or clone() what is changed."
        ))  # fmt: skip
    else:
        file, line = _raised_at(error)
        if "no gradient flows" in str(error):
            for facts in record.parameters.values():
                cut = cut_of(record, facts.consumer)
                if cut is not None and not facts.frozen:
                    yield _finding(
                        "gradient path cut",
                        error,
                        *cut.place,
                        "No gradient leads from the loss through here to the parameters.",
                        "Look for detach(), no_grad(), .data, .item() or a new tensor made of the values.",
                    )
                    break
        again = "a second time" in str(error)
        kind = (
            "graph used twice"
            if again
            else "dtype mismatch"
            if isinstance(error, DtypeMismatchError)
            else "exception"
        )
        if again and record.old_inputs:
            # What was carried over from the turn before is where the graphs of two turns meet.
            file, line = max(record.old_inputs, key=lambda place: record.old_inputs[place])
        text = f"{type(error).__name__}: {_first_line(error)}"
        failed = (
            record.failure.node if record.failure is not None and record.failure.exception is error else None
        )
        for node in failed.inputs if failed is not None else ():
            if node is not None and node.filename and (node.filename, node.line) != (file, line):
                given = f"{_first_line(error)} An argument was made here."
                found = _finding(kind, error, node.filename, node.line, given, "")
                found.weight = 0.8
                yield found
        tries = "Carry values, not graphs, to the next turn: detach() them." if again else ""
        yield _finding(kind, error, file, line, text, tries)


def _finding(kind: str, error: BaseException, file: str, line: int, message: str, suggestion: str) -> Finding:
    chain = [Place(f.filename, f.lineno or 0, f.name) for f in _own_frames(error)]
    return Finding(
        kind, "error", file, line, message, chain, {"exception": type(error).__name__}, suggestion, 1.0
    )


def _mismatch(record: Record, error: ShapeMismatchError) -> Iterator[Finding]:
    """The lines that chose the sizes that clash; the one that was not proven right before comes first."""
    failed = record.failure.node if record.failure is not None else None
    now = max(record.turns, default=0)
    proven = {seen.place for seen in record.nodes() if seen.phase == 0 and seen.iteration < now}
    proven |= {(f.file, f.line) for f in record.parameters.values() if f.used and f.last_used < now}
    sides = [way for way in error.origins if way]
    chain = [Place(error.filename, error.line, error.sentence)]
    for way in sides:
        chain += [Place(o.filename, o.line, o.note) for o in way]
    suspects: list[tuple[float, Origin]] = []
    for spoiler in _spoilers(failed, error):
        suspects.append((4.0, Origin(spoiler.filename, spoiler.line, "makes the wanted size disappear", "")))
    for side, way in enumerate(sides):
        for depth, origin in enumerate(way):
            decides = origin.note.startswith("makes")
            doubt = 2.0 if decides else 0.0
            if (origin.filename, origin.line) in proven:
                doubt -= 1.5  # it was there in an earlier turn, and was right
            if (origin.filename, origin.line) == (error.filename, error.line):
                doubt -= 0.25
            # The argument that came second (a weight, say) was chosen to fit the first.
            suspects.append((doubt + 0.5 * side - 0.1 * depth, origin))
    suspects.append((0.0, Origin(error.filename, error.line, "clashes here", "")))
    for node in failed.inputs if failed is not None else ():
        while node is not None and any(i is not None and i.role != "parameter" for i in node.inputs):
            node = next(i for i in node.inputs if i is not None and i.role != "parameter")
        if node is not None and node.op is None and node.role != "parameter" and node.filename:
            suspects.append((-1.0, Origin(node.filename, node.line, "the data come from here", "")))
    told: set[tuple[str, int]] = set()
    weight = 1.0
    for _, origin in sorted(suspects, key=lambda s: -s[0]):
        place = origin.filename, origin.line
        if place in told or not origin.filename:
            continue
        told.add(place)
        if len(told) > 3:
            break
        yield Finding(
            "shape mismatch", "error", *place,
            f"{error.op}{' in ' + error.module if error.module else ''}: {error.sentence} "
            f"This line {'decided one of the sizes' if origin.note.startswith('makes') else 'passes one on'} ({origin.note}).",
            chain, {"expected": [str(n) for n in error.expected], "got": list(error.got)},
            "Make the two sizes one: change the size that this line chooses, or what reaches it.", weight,
        )  # fmt: skip
        weight -= 0.05


MOVES = {"reshape", "cat", "stack", "transpose", "permute", "getitem", "split", "unbind", "expand", "part"}


def _spoilers(failed: Any, error: ShapeMismatchError) -> list[Any]:
    """Ops on the way that only move elements, and took in just the size that is wanted: a flatten that ate the batch."""
    if failed is None:
        return []
    sizes = {}
    for argument, dim in error.clash:
        node = failed.inputs[argument] if argument < len(failed.inputs) else None
        if node is not None and node.shape is not None and -len(node.shape) <= dim < len(node.shape):
            sizes[argument] = node.shape[dim]
    found = []
    for argument in sizes:
        wanted = {size for other, size in sizes.items() if other != argument}
        node = failed.inputs[argument]
        for _ in range(6):
            if node is None or node.op is None or node.op.name not in MOVES:
                break
            if node.code is not None and wanted & _offered(node):
                found.append(node)
            node = next((i for i in node.inputs if i is not None), None)
    return found


def _offered(node: Any) -> set[int]:
    """The sizes a moving op could have made of its inputs, had it been told otherwise."""
    shapes = [i.shape for i in node.inputs if i is not None and i.shape]
    made: set[int] = set()
    for shape in shapes:
        made |= {math.prod(shape[d:]) for d in range(len(shape))}
        if node.op.name in ("transpose", "permute"):
            made |= set(shape)
    if node.op.name == "cat":
        made |= {sum(shape[d] for shape in shapes) for d in range(min(map(len, shapes), default=0))}
    return made


def _own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The person's frames of the traceback, outermost first."""
    made = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not is_engine_code(code) and not code.co_filename.startswith("<frozen"):
            made.append(
                traceback.FrameSummary(code.co_filename, trace.tb_lineno, code.co_name, lookup_line=False)
            )
        trace = trace.tb_next
    return made


def _raised_at(error: BaseException) -> tuple[str, int]:
    frames = _own_frames(error)
    own = [
        f for f in frames if "site-packages" not in f.filename and "/lib/python" not in f.filename
    ] or frames
    if not own:
        return "", 0
    return own[-1].filename, own[-1].lineno or 0


def _first_line(error: Any) -> str:
    return (str(error).strip().splitlines() or [""])[0]
