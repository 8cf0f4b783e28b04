"""The program ended with an exception: which line is to blame for it."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from typing import Any

from dsviz.debuggee.attributes import message_of
from dsviz.diagnose import origin
from dsviz.diagnose.finding import Finding, Place, at_each
from dsviz.diagnose.mismatch import mismatch
from dsviz.diagnose.paths import LOOK, cut_at, frozen
from dsviz.diagnose.record import Record
from engine.errors import DtypeMismatchError, ShapeMismatchError
from engine.location import is_engine_code
from engine.writes import Changed


def crash(record: Record) -> Iterator[Finding]:
    """What the exception that ended the program is about."""
    error = record.exception
    if error is None or isinstance(error, (SystemExit, KeyboardInterrupt)):
        return
    if isinstance(error, ShapeMismatchError):
        yield from mismatch(record, error)
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
        if "no gradient flows" in message_of(error):
            yield from _nothing_flows(record, error)
        again = "a second time" in message_of(error)
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
        if (
            isinstance(error, (AttributeError, TypeError))
            and record.taken
            and re.search(r"'(float|int|list)'|numpy", message_of(error))
        ):
            taken = record.taken[max(record.taken)]
            number = _finding(
                kind, error, *taken, f"{text}. Here a tensor becomes a plain number.", "Keep the tensor."
            )
            number.weight = 1.01
            yield number
        failed = (
            record.failure.node if record.failure is not None and record.failure.exception is error else None
        )
        if (
            failed is not None
            and isinstance(error, IndexError)
            and failed.op.name in ("cross_entropy", "nll_loss", "embedding")
        ):
            yield from _out_of_range(error, failed)
            return
        if failed is not None and failed.op.name == "binary_cross_entropy" and "nan" not in text:
            scores = failed.inputs[0]
            if scores is not None and scores.filename and scores.op is not None:
                tip = "Apply sigmoid to them, or use binary_cross_entropy_with_logits."
                given = "What is given to binary_cross_entropy are no probabilities: they are made here."
                found = _finding("scores for probabilities", error, scores.filename, scores.line, given, tip)
                found.weight = 1.01
                yield found
        for node in failed.inputs if failed is not None else ():
            if node is not None and node.filename and (node.filename, node.line) != (file, line):
                given = f"{_first_line(error)} An argument was made here."
                found = _finding(kind, error, node.filename, node.line, given, "")
                found.weight = 0.8
                yield found
        tries = "Carry values, not graphs, to the next turn: detach() them." if again else ""
        yield _finding(kind, error, file, line, text, tries)


def _out_of_range(error: BaseException, failed: Any) -> Iterator[Finding]:
    """A label or an index there is no class or row for: it is made wrong, or the layer is too small."""
    table = failed.op.name == "embedding"
    values, given = (failed.inputs[1], failed.inputs[0]) if len(failed.inputs) > 1 else (None, None)
    while given is not None and given.role != "parameter":
        given = next((i for i in given.inputs if i is not None and i.role == "parameter"), None) or next(
            (i for i in given.inputs if i is not None), None
        )
    held = (failed.arrays or ())[1:2]
    lowest = int(held[0].min()) if held and getattr(held[0], "size", 0) else 0
    makers: list[Place] = []
    if values is not None:
        inside = (values.code, values.lasti) == (failed.code, failed.lasti)
        makers = [Place(*p, "the values are made here") for p in origin.makers(values, 1 if inside else -1)]
        makers = makers or [Place(values.filename, values.line, "the values come from here")]
    layer = [] if given is None else [Place(given.filename, given.line, "the layer is made here")]
    if given is not None:
        name, position = ("num_embeddings", 0) if table else ("out_features", 1)
        counts = origin.numbers(given.filename, given.line, name, position)[:1]
        layer = [*(Place(*p, "the number of classes or rows is chosen here") for p in counts), *layer]
    here = [Place(*_raised_at(error), "used here")]
    # Labels that never are 0 start one too high; else the layer may be one too small.
    places = [*layer[:2], *makers[:1], *here] if table or lowest < 1 else [*makers[:1], *here, *layer]
    text = f"{_first_line(error)}."
    yield from at_each(
        _finding(
            "index out of range",
            error,
            places[0].file,
            places[0].line,
            text,
            "Count classes and rows from 0.",
        ),
        places[1:],
    )


def _nothing_flows(record: Record, error: BaseException) -> Iterator[Finding]:
    """A backward pass that reaches no parameter: they are frozen, the way is cut, or nothing takes a gradient."""
    places = frozen(record)
    if places:
        text = "Every parameter that is used here is frozen: there is nothing to learn."
        first = _finding(
            "everything is frozen",
            error,
            places[0].file,
            places[0].line,
            text,
            "Leave some requires_grad on.",
        )
        yield from at_each(first, places[1:])
        return
    yield from _data_alone(record, error)
    for facts in [*record.parameters.values(), *record.learners.values()]:
        places = [] if facts.frozen else cut_at(record, facts.consumer)
        if places:
            text = "No gradient leads from the loss through here to the parameters."
            first = _finding("gradient path cut", error, places[0].file, places[0].line, text, LOOK)
            yield from at_each(first, places[1:])
            return
    # No leaf takes a gradient at all: one of them is meant to. Data share the size of the batch, and are not made as zeros.
    leaves = {s.place: s for s in record.nodes() if not s.op and s.shape and not s.place[0].startswith("<")}
    sizes = [s.shape[0] for s in leaves.values()]
    likely = sorted(leaves.values(), key=lambda s: (sizes.count(s.shape[0]), not origin.initial(s)))
    likely.sort(
        key=lambda s: (
            not origin.initial(s) if sizes.count(s.shape[0]) < max(sizes.count(n) for n in sizes) else 2
        )
    )
    for s in likely[:2]:
        text = "No tensor that the loss is made of takes a gradient; this one may be meant to."
        yield _finding(
            "nothing takes a gradient",
            error,
            *s.place,
            text,
            "Make it with requires_grad=True, or as a Parameter.",
        )


def _data_alone(record: Record, error: BaseException) -> Iterator[Finding]:
    """A loss in which nothing is that any parameter had a part in, though a network ran beside it."""
    root = next((s for s in reversed(list(record.nodes())) if s.phase == 0 and s.op and s.shape == ()), None)
    learners = {s.id for s in record.nodes() if not s.op and (s.requires or s.role == "parameter")}
    if root is None or record.taken or not any(s.requires and s.op for s in record.nodes()):
        return
    if any(s.id in learners or not s.recording for s in record.back(root.id) if s.op or s.id in learners):
        return  # the way from the network to the loss is there, and cut
    yield _finding(
        "loss of data alone", error, *root.place, "The loss is made of data alone: nothing that the network gave is part of it.",
        "Compare the network's output with the targets.",
    )  # fmt: skip


def _finding(kind: str, error: BaseException, file: str, line: int, message: str, suggestion: str) -> Finding:
    chain = [Place(f.filename, f.lineno or 0, f.name) for f in _own_frames(error)]
    return Finding(
        kind, "error", file, line, message, chain, {"exception": type(error).__name__}, suggestion, 1.0
    )


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
    return (message_of(error).strip().splitlines() or [""])[0]
