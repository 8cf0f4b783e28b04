"""Values that are wrong: the first nan, units that are dead or saturated, inputs that are too large or say nothing."""

from __future__ import annotations

from collections.abc import Iterator

from dsviz.diagnose import origin
from dsviz.diagnose.finding import Finding, Place, at, at_each
from dsviz.diagnose.record import ParameterFacts, Record, Seen, label_of

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
    bad = next(iter(record.bad_data.items()), None)
    if bad is not None and not any(seen.id < bad[1].id for seen, _ in record.not_finite):
        (file, line), leaf = bad
        comes = Place(file, line, "it comes in here")
        places = [*(Place(*p, "its values are made here") for p in origin.makers(leaf)[:2]), comes]
        yield from at_each(Finding(
            "nan in the data", "error", places[0].file, places[0].line, "This value holds nan before the first op sees it.",
            places, {"shape": list(leaf.shape or ())}, "Clean or fill the data first.", 0.92,
        ), places[1:])  # fmt: skip
        return
    for seen, facts in record.not_finite[:1]:
        backward = seen.phase == 1
        if seen.op in ("softmax", "log_softmax") and not backward:
            continue  # a row that is masked whole; told by its own detector
        what = "The gradient of " + seen.op if backward else seen.op
        here = Place(*seen.place, f"{seen.op} makes it")
        more = [] if backward else [*_outside(record, seen, facts), *_divisor(seen, facts)]
        first = bool(more) and more[0].note.startswith((*BARE, ZERO))
        where, *more = [*more, here] if first else [here, *more]
        yield from at_each(Finding(
            "nan in gradient" if backward else "nan or infinity", "error", where.file, where.line,
            f"{what}{' in ' + seen.module if seen.module else ''} made a value that is not finite from finite ones.",
            chain_of(record, seen), {"node": seen.id, "turn": seen.iteration, **facts}, _try(seen, backward), 0.9,
        ), more)  # fmt: skip


ZERO = "the divisor is 0"
BARE = ("linear", "conv", "matmul")  # what these give has no bounds: an activation is missing after them
DOMAIN = {
    "log": 0.0,
    "log2": 0.0,
    "log10": 0.0,
    "sqrt": 0.0,
    "rsqrt": 0.0,
    "log1p": -1.0,
}  # what they take from


def _outside(record: Record, seen: Seen, facts: dict[str, object]) -> list[Place]:
    """Where an argument that is far outside what the op takes was made: there something is missing, a sigmoid say."""
    given = facts.get("argument 0")
    low = DOMAIN.get(seen.op)
    if low is None or not isinstance(given, dict) or given["min"] >= low:
        return []
    made = record.find(seen.inputs[0]) if seen.inputs else None
    while made is not None and (
        made.op in COPIES or (made.op in ("sub", "rsub", "neg", "add") and made.place == seen.place)
    ):
        made = next((m for n in made.inputs if n and (m := record.find(n)) is not None), None)
    if made is None or not made.op:
        return []
    places = [Place(*made.place, f"{made.op} makes values below {low:g}")]
    for number in made.inputs:
        leaf = record.find(number)
        if leaf is not None and leaf.role == "parameter":
            return [*places, Place(*leaf.place, "its layer is made here")]
    return places


def _divisor(seen: Seen, facts: dict[str, object]) -> list[Place]:
    """Where a plain number was computed that is divided by, and is 0."""
    divisor = facts.get("argument 1")
    if isinstance(divisor, dict) and not divisor["shape"]:
        divisor = divisor["min"]
    if seen.op != "div" or divisor != 0 or (len(seen.inputs) > 1 and seen.inputs[1]):
        return []
    return [Place(*p, ZERO) for p in origin.makers(seen, 1, 1)]


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


def wrapped(record: Record) -> Iterator[Finding]:
    """Whole numbers that went round the end of their type: 3 - 5 is 254 in uint8."""
    for place, facts in record.wrapped.items():
        seen = record.find(facts["id"])
        yield Finding(
            "whole numbers overflow", "error" if facts["dtype"] in ("uint8", "int8") else "warning", *place,
            f"{facts['op']} of {facts['dtype']} gives numbers that this type cannot hold: {facts['share']:.0%} of them went round its end.",
            [] if seen is None else chain_of(record, seen), {"dtype": facts["dtype"], "share": facts["share"], "calls": facts["calls"]},
            "Make them float32, or a wider type, before.", 0.8,
        )  # fmt: skip


def masked_rows(record: Record) -> Iterator[Finding]:
    """A softmax over a row that was masked whole: nan, or weights that mean nothing."""
    for place, facts in record.softmaxed.items():
        if facts["masked"]:
            made = [at(p, "the mask comes from here") for p in facts["made"][:2]]
            where, *more = [*made, Place(*place, f"{facts['op']} here")]
            yield from at_each(Finding(
                "all-masked row", "error", where.file, where.line,
                f"{facts['op']} over rows in which every element is masked: {facts['masked']} calls.",
                _back_from(record, facts), {"calls": facts["masked"]},
                "Leave one element of each row unmasked, or put 0 where a whole row is masked.", 0.95,
            ), more)  # fmt: skip


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
                used = [maker] if maker is not None and "masked_fill" in maker.note else []
                makers = [at(p, "the mask comes from here") for p in record.softmaxed[place]["made"][:2]]
                where, *more = [*makers[:1], *used, *makers[1:], Place(*place, "softmaxed here")]
                yield from at_each(Finding(
                    "information leak through a mask", "error", where.file, where.line,
                    f"In the attention softmaxed at line {place[1]} {words}.", chain, {"calls": facts[kind]},
                    "Mask what lies above the diagonal: triu(ones, diagonal=1) is True where a position may not look.", 0.8,
                ), more)  # fmt: skip


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
                wide = _wide(record)
                use = Place(file, line, f"{units.op} is at its ends here")
                where, *more = [*wide, use]
                yield from at_each(Finding(
                    "saturated units", "warning", where.file, where.line,
                    f"{middle:.0%} of what {units.op}{' in ' + module if module else ''} gives is at its ends: its slope there is almost 0.",
                    [use, *wide], {"saturated": middle, "calls": units.calls},
                    "Scale the inputs or the initial weights down, or normalise before the activation.", 0.6,
                ), more)  # fmt: skip


def _wide(record: Record) -> list[Place]:
    """Where first values were written that are far larger than those of a layer's own."""

    def large(facts: ParameterFacts) -> bool:
        return len(facts.shape) >= 2 and facts.spread * facts.shape[-1] ** 0.5 > 6

    return [
        Place(*f.written, f"the first values of {label_of(f)} spread by {f.spread:.3g}")
        for f in record.parameters.values() if large(f) and f.written[0]
    ][:1]  # fmt: skip


def inputs(record: Record) -> Iterator[Finding]:
    """Inputs that are far from the size a layer is made for, or the same for every sample."""
    trained = any(steps.count for steps in record.optimizers)
    for place, facts in record.inputs.items():
        if not trained or facts["calls"] < 2:
            continue
        if facts.get("many", 0) > 0.5 * facts["calls"]:
            made = [Place(*p, "its values are made here") for p in origin.makers(facts["leaf"])]
            enters = Place(*place, "it enters the network here")
            becomes = Place(facts["file"], facts["line"], "it becomes a tensor here")
            places = [*made[:1], enters, becomes]
            where, more = places[0], places[1:]
            yield from at_each(Finding(
                "inputs not normalised", "warning", where.file, where.line,
                f"What enters has a mean size of {facts['largest']:.3g}; layers are initialised for about 1.",
                [enters, *made], {"mean size": facts["largest"]},
                "Divide the inputs by their range or standard deviation first.", 0.62,
            ), more)  # fmt: skip
        elif facts["constant"] == facts["calls"] and facts["largest"] > 0:
            yield Finding(
                "constant input", "warning", *place, "Every sample that enters here is the same.",
                [Place(facts["file"], facts["line"], "comes from here")], {"calls": facts["calls"]},
                "Look at how the batch is made.", 0.4,
            )  # fmt: skip
