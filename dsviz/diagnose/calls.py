"""Calls that come in the wrong order, or too often: what they are for is lost, and nothing raises."""

from __future__ import annotations

from collections.abc import Iterator

from dsviz.diagnose.finding import Finding, Place, at_each
from dsviz.diagnose.record import ParameterFacts, Record


def clipped(record: Record) -> Iterator[Finding]:
    """Gradients that are clipped when there are none: before the backward pass that makes them."""
    if len(record.losses) < 2 or not any(any(facts.norms) for facts in _facts(record)):
        return  # gradients that are 0 whenever they are looked at have another cause
    for place, (calls, without) in record.clips.items():
        if calls >= 3 and without == calls:
            yield Finding(
                "clipping without gradients", "error", *place,
                f"Gradients are clipped here {calls} times, and each time there were none yet: what backward() makes after is not held.",
                [Place(*place, "clips nothing"), Place(*record.losses[-1].place, "the gradients are made here")],
                {"calls": calls}, "Clip between backward() and step().", 0.82,
            )  # fmt: skip


def _facts(record: Record) -> Iterator[ParameterFacts]:
    yield from record.parameters.values()
    yield from record.learners.values()


def schedules(record: Record) -> Iterator[Finding]:
    """A schedule that steps before its optimizer does: the first rate is never used."""
    for steps in record.optimizers:
        same = set(steps.early) & set(steps.later)
        if steps.count >= 2 and len(steps.early) == 1 and same:
            (place,) = same
            yield Finding(
                "schedule before step", "warning", *place,
                f"The schedule steps here before {steps.name} does: the first learning rate is never used, and each comes a step early.",
                [Place(*place, "the schedule steps"), Place(*steps.step_place, "the optimizer steps after it")],
                {"steps": steps.count}, "Call optimizer.step() first, then scheduler.step().", 0.55,
            )  # fmt: skip


def begun_anew(record: Record) -> Iterator[Finding]:
    """A loader that is begun anew for each batch and keeps the order of the data: each batch is the first one."""
    if not any(steps.count >= 3 for steps in record.optimizers):
        return
    for loader in record.loaders:
        if loader.ordered and loader.batches > 1 and loader.begun >= 4 and loader.given == loader.begun:
            made = Place(loader.file, loader.line, "the loader is made here, and does not shuffle")
            yield from at_each(Finding(
                "same batch every time", "error", *loader.place,
                f"The loader is begun {loader.begun} times here and gives one batch of its {loader.batches} each time: always the first.",
                [Place(*loader.place, "begun anew"), made], {"begun": loader.begun, "batches": loader.batches},
                "Go through the loader with for, or call next() on one iterator that is made before the loop.", 0.8,
            ), [made])  # fmt: skip


def unshuffled(record: Record) -> list[Place]:
    """The loaders that training goes through in the order of the data."""
    return [
        Place(loader.file, loader.line, "the loader is made here, and does not shuffle")
        for loader in record.loaders
        if loader.ordered and loader.begun
    ]
