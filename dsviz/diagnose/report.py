"""All detectors over a record, and the report in words."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from dsviz.diagnose import calls, crash, learning, losses, modes, paths, structure, values, weights
from dsviz.diagnose.finding import Finding, ranked
from dsviz.diagnose.record import Record
from engine.names import source_line

DETECTORS: tuple[Callable[[Record], Iterator[Finding]], ...] = (
    crash.crash, values.not_finite, values.masked_rows, values.masks, values.dead_units, values.inputs,
    losses.broadcast, losses.double_softmax, losses.wrong_dim, losses.targets, learning.optimizers, learning.diverging,
    learning.anew, learning.idle, paths.no_gradient, paths.remade, weights.flow, weights.symmetric, weights.zeros,
    modes.evaluation, modes.growth,
    modes.stuck, structure.attention, structure.reshapes, structure.squeezed, structure.probabilities,
    structure.folded, structure.drowned, losses.sign, losses.order,
    losses.shares, losses.divergence, learning.wasted, learning.unmoved, learning.decayed, learning.bottomless,
    calls.clipped, calls.schedules, calls.begun_anew, values.wrapped, structure.switched,
)  # fmt: skip


def findings(record: Record) -> list[Finding]:
    """What all detectors tell, gravest first."""
    found = [finding for detector in DETECTORS for finding in detector(record) if finding.file]
    # A step that is too large explains the nan it ends in, and what follows from that.
    if any(f.kind == "diverging step size" for f in found):
        found = [f for f in found if f.kind not in ("exploding gradient", "dead units", "saturated units")]
    if any(f.kind == "dead units" and f.severity == "error" for f in found):
        found = [f for f in found if f.kind not in ("vanishing gradient",)]
    # The loss is made with another network: that this one gets no gradient follows from it.
    if any(f.evidence.get("other parameters") for f in found):
        found = [f for f in found if f.kind != "gradient path cut" or f.evidence.get("recorded", True)]
    return ranked(found)


def _unseen(libraries: list[str]) -> str:
    """Why a program that ran to its end had no op in it."""
    others = [library for library in libraries if library != "dsviz"]
    if "dsviz" in libraries:
        return (
            "The program imports dsviz and ended without running an op: "
            "call the model, or the function that trains it, when the script is run as a program."
        )
    instead = f"It imports {' and '.join(others)}, not dsviz" if others else "It does not import dsviz"
    return (
        f"The program ended without running an op of dsviz. {instead}: "
        "only what is computed with `import dsviz as ds` is seen."
    )


def text(found: list[Finding], script: str, seen: dict[str, Any] | None = None) -> str:
    """The report as a person reads it. `seen` is what there was to look at."""
    name = os.path.basename(script)
    if not found and seen and not seen["nodes"]:
        return f"{name}: nothing to look at. {_unseen(seen['libraries'])}"
    if not found:
        return f"{name}: nothing found. The program ran once, with every detector watching."
    lines = [f"{name}: {len(found)} finding{'s' * (len(found) != 1)}"]
    for number, finding in enumerate(found, 1):
        where = f"{_short(finding.file)}:{finding.line}"
        lines += ["", f"{number}. {finding.kind}  ({finding.severity})  {where}"]
        shown = source_line(finding.file, finding.line)
        if shown:
            lines.append(f"     > {shown}")
        lines.append(f"     {finding.message}")
        for place in finding.chain[:6]:
            lines.append(f"       {_short(place.file)}:{place.line}  {place.note}")
        if finding.suggestion:
            lines.append(f"     Try: {finding.suggestion}")
    return "\n".join(lines)


def _short(file: str) -> str:
    near = os.path.relpath(file)
    return file if near.startswith("..") else near
