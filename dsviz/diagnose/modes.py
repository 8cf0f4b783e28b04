"""Training and evaluation mixed up, and graphs that are kept from turn to turn."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from dsviz.diagnose import origin
from dsviz.diagnose.finding import Finding, Place, at_each
from dsviz.diagnose.record import Record


def evaluation(record: Record) -> Iterator[Finding]:
    """Dropout that drops, or batch statistics that are taken, while no gradient is recorded."""
    trained = any(steps.count for steps in record.optimizers)
    loud = {(f["op"], f["module"]) for f in record.modes.values() if f["loud"]}
    for place, facts in record.modes.items():
        if facts["quiet"] and ((facts["op"], facts["module"]) in loud or not trained):
            where = facts.get("call", place)
            yield Finding(
                "training mode in evaluation", "error", where[0], where[1],
                f"{facts['op']}{' in ' + facts['module'] if facts['module'] else ''} works as in training although no gradient "
                f"is recorded ({facts['quiet']} calls): what is measured here is not the network that was trained.",
                [Place(where[0], where[1], "evaluated here"), Place(*place, facts["op"])], {"calls": facts["quiet"]},
                "Call model.eval() before evaluating, and model.train() before training on.", 0.8,
            )  # fmt: skip


def growth(record: Record) -> Iterator[Finding]:
    """Nodes of earlier turns that are still held, more of them with every turn."""
    held = record.alive[2:]
    if len(held) < 5:
        return
    counts = [n for _, n in held[-12:]]
    rises = sum(later > earlier for earlier, later in itertools.pairwise(counts))
    third = max(1, len(counts) // 3)
    if rises < 0.8 * (len(counts) - 1) or counts[-1] < 8 or min(counts[-third:]) <= max(counts[:third]):
        return  # what comes and goes, task by task, does not grow
    places = sorted(record.old_inputs, key=lambda place: -record.old_inputs[place])
    called: list[Place] = []
    if places:
        where, what = places[0], "takes a value of an earlier turn with its graph"
        called = [Place(*p, "called here") for p in record.callers.get(where, []) if p[0] == where[0]][:1]
    else:
        loss = record.losses[-1] if record.losses else None
        root = record.find(loss.node) if loss is not None else None
        if root is None:
            return
        where, what = root.place, "makes a value that is kept with its graph"
    kept = [] if places else _keepers(record, where)
    ways = [*kept, Place(*where, what), *called]
    first, more = ways[0], ways[1:]
    yield from at_each(Finding(
        "graph grows over turns", "error", first.file, first.line,
        f"{counts[-1]} nodes of earlier turns are still held, {counts[-1] / max(held[-1][0], 1):.0f} more with every turn: "
        f"line {where[1]} {what}.",
        [*kept, Place(*where, what)], {"nodes held": counts[-1], "turns": held[-1][0]},
        "Keep numbers, not tensors: loss.item(), or detach() what is carried on.", 0.8,
    ), more)  # fmt: skip


def _keepers(record: Record, where: tuple[str, int]) -> list[Place]:
    """The lines that put values of each turn into a list or dict that still holds them."""
    files = {where[0], *(loss.place[0] for loss in record.losses[-1:])}
    return [
        Place(*place, "keeps a tensor with its graph here")
        for file in files
        for place in origin.appends(file, set(record.held_by))
    ][:2]


def stuck(record: Record) -> Iterator[Finding]:
    """A model that was put into evaluation and then trained on."""
    if not any(steps.count >= 2 for steps in record.optimizers):
        return
    for facts in record.evaluated.values():
        trained = [n for n in facts["calls"] if n < len(record.losses)]
        file, line = facts["place"]
        if len(trained) >= 2:
            yield Finding(
                "evaluation mode in training", "error", file, line,
                f"The model is put into evaluation here and trained on after: {', '.join(facts['kind'])} does nothing in {len(trained)} calls.",
                [Place(file, line, "eval")], {"calls": len(trained)}, "Call model.train() before training goes on.", 0.75,
            )  # fmt: skip
