"""Values that are wrong: the first nan, units that are dead or saturated, inputs that are too large or say nothing."""

from __future__ import annotations

from collections.abc import Iterator

from dsviz.diagnose.finding import Finding, Place
from dsviz.diagnose.record import Record, Seen

COPIES = {
    "reshape",
    "permute",
    "transpose",
    "expand",
    "getitem",
    "cat",
    "stack",
    "clone",
    "split",
    "unbind",
    "cast",
}


def not_finite(record: Record) -> Iterator[Finding]:
    """The first op that made a nan or an infinity of finite values."""
    for seen, facts in record.not_finite[:1]:
        backward = seen.phase == 1
        if seen.op in ("softmax", "log_softmax") and not backward:
            continue  # a row that is masked whole; told by its own detector
        what = "The gradient of " + seen.op if backward else seen.op
        yield Finding(
            "nan in gradient" if backward else "nan or infinity", "error", seen.file, seen.line,
            f"{what}{' in ' + seen.module if seen.module else ''} made a value that is not finite from finite ones.",
            chain_of(record, seen), {"node": seen.id, "turn": seen.iteration, **facts}, _try(seen, backward), 0.9,
        )  # fmt: skip


def _try(seen: Seen, backward: bool) -> str:
    if backward:
        return "A function whose slope is infinite there (sqrt or pow at 0, log at 0, division): keep its argument away from it, before `where` chooses."
    return {
        "log": "Keep the argument above 0: log(x + eps), clamp, or log_softmax instead of log of softmax.",
        "div": "The divisor is 0 somewhere: add an eps, or clamp it.",
        "sqrt": "The argument is negative somewhere: clamp it at 0.",
        "exp": "The argument is too large: subtract the maximum first, or use logsumexp.",
        "pow": "A negative base with a broken exponent, or a result too large: clamp the base.",
    }.get(seen.op, "Look at the arguments at this node: one of them is at the edge of what the op takes.")


def chain_of(record: Record, seen: Seen, limit: int = 8) -> list[Place]:
    """The node and what its values came from, nearest first, each line once."""
    made: list[Place] = []
    for found in record.back(seen.id):
        if found.file and (not made or (made[-1].file, made[-1].line) != found.place):
            note = f"{found.op or found.role or 'value'} {list(found.shape or ())}"
            made.append(Place(found.file, found.line, note))
        if len(made) >= limit:
            break
    return made


def masked_rows(record: Record) -> Iterator[Finding]:
    """A softmax over a row that was masked whole: nan, or weights that mean nothing."""
    for place, facts in record.softmaxed.items():
        if facts["masked"]:
            yield Finding(
                "all-masked row", "error", *place,
                f"{facts['op']} over rows in which every element is masked: {facts['masked']} calls.",
                _back_from(record, facts), {"calls": facts["masked"]},
                "Leave one element of each row unmasked, or put 0 where a whole row is masked.", 0.95,
            )  # fmt: skip
            yield from _makers(facts["made"], "all-masked row", 0.948)


def masks(record: Record) -> Iterator[Finding]:
    """A causal mask that lets the future through."""
    for place, facts in record.masks.items():
        for kind, words in (
            ("inverted", "each position sees only what comes after it: the mask is the wrong way round"),
            ("leak", "each position sees the one after it: the mask's diagonal is off by one"),
        ):
            if facts[kind] and not facts["causal"]:
                seen = record.find(facts["id"])
                chain = chain_of(record, seen) if seen is not None else []
                maker = next((p for p in chain if (p.file, p.line) != place), None)
                where = (
                    (maker.file, maker.line) if maker is not None and "masked_fill" in maker.note else place
                )
                yield Finding(
                    "information leak through a mask", "error", *where,
                    f"In the attention softmaxed here {words}.", chain, {"calls": facts[kind]},
                    "Mask what lies above the diagonal: triu(ones, diagonal=1) is True where a position may not look.", 0.8,
                )  # fmt: skip
                yield from _makers(record.softmaxed[place]["made"], "information leak through a mask", 0.79)


def _makers(places: list[tuple[str, int]], kind: str, weight: float) -> Iterator[Finding]:
    """The lines that decided which positions are masked."""
    for n, place in enumerate(places[:2]):
        yield Finding(kind, "error", *place, "The mask comes from here.", [], {}, "", weight - 0.001 * n)


def _back_from(record: Record, facts: dict[str, object]) -> list[Place]:
    ids = facts.get("ids")
    seen = record.find(ids[-1]) if isinstance(ids, list) and ids else None
    return chain_of(record, seen) if seen is not None else []


def dead_units(record: Record) -> Iterator[Finding]:
    """A layer whose ReLUs never fire, or whose sigmoids stand at their ends."""
    for (file, line, _, module), units in record.units.items():
        if units.calls < 3 or not units.training:
            continue
        if units.alive is not None:
            written = next((f.written for f in record.parameters.values() if f.written[0]), None)
            if written is not None and units.alive.size >= 4 and not units.alive.any():
                yield Finding(
                    "dead units",
                    "error",
                    *written,
                    "These first values leave the units dead.",
                    [],
                    {},
                    "Begin with other values.",
                    0.91,
                )
            share = 1.0 - float(units.alive.mean())
            if units.alive.size >= 4 and share >= 0.9:
                yield Finding(
                    "dead units", "error" if share == 1.0 else "warning", file, line,
                    f"{share:.0%} of the {units.alive.size} ReLUs{' in ' + module if module else ''} gave 0 for every sample "
                    f"of all {units.calls} calls: they take no gradient and will not recover.",
                    [], {"dead": share, "units": int(units.alive.size), "calls": units.calls},
                    "Look at the bias and the scale of the layer before it, and at the learning rate; leaky_relu keeps a slope.",
                    0.7 + 0.2 * (share == 1.0),
                )  # fmt: skip
        elif units.saturated:
            middle = sorted(units.saturated)[len(units.saturated) // 2]
            late = units.saturated[-3:]
            if middle >= 0.95 and min(late) >= 0.9:
                yield Finding(
                    "saturated units", "warning", file, line,
                    f"{middle:.0%} of what {units.op}{' in ' + module if module else ''} gives is at its ends: its slope there is almost 0.",
                    [], {"saturated": middle, "calls": units.calls},
                    "Scale the inputs or the initial weights down, or normalise before the activation.", 0.6,
                )  # fmt: skip


def inputs(record: Record) -> Iterator[Finding]:
    """Inputs that are far from the size a layer is made for, or the same for every sample."""
    trained = any(steps.count for steps in record.optimizers)
    for place, facts in record.inputs.items():
        if not trained or facts["calls"] < 2:
            continue
        if facts.get("many", 0) > 0.5 * facts["calls"]:
            yield Finding(
                "inputs not normalised", "warning", *place,
                f"What enters here has a mean size of {facts['largest']:.3g}; layers are initialised for about 1.",
                [Place(facts["file"], facts["line"], "comes from here")], {"mean size": facts["largest"]},
                "Divide the inputs by their range or standard deviation first.", 0.4,
            )  # fmt: skip
        elif facts["constant"] == facts["calls"] and facts["largest"] > 0:
            yield Finding(
                "constant input", "warning", *place, "Every sample that enters here is the same.",
                [Place(facts["file"], facts["line"], "comes from here")], {"calls": facts["calls"]},
                "Look at how the batch is made.", 0.4,
            )  # fmt: skip
