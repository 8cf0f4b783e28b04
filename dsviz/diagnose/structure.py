"""What is wrong with how values are moved: softmax over one dimension and a sum over another, reshape for transpose."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from dsviz.diagnose.finding import Finding, Place, at, at_each
from dsviz.diagnose.record import Record, Seen

STILL = {"dropout", "cast", "clone"}
PATTERNS = {"tril", "triu", "lt", "gt", "le", "ge", "eq", "ne", "masked_fill", "where"}


def attention(record: Record) -> Iterator[Finding]:
    """Weights that add up to 1 over another dimension than the product then sums over."""
    for seen in record.nodes():
        if seen.phase != 0 or seen.op != "matmul" or len(seen.inputs) != 2:
            continue
        for argument in (0, 1):
            made = record.find(seen.inputs[argument])
            other = record.find(seen.inputs[1 - argument])
            while made is not None and made.op in STILL:
                made = record.find(made.inputs[0])
            if made is None or made.op != "softmax" or other is None or other.role == "parameter":
                continue
            n = len(made.shape)
            wanted = n - (1 if argument == 0 else 2)
            dim = made.kwargs.get("dim", -1) % max(n, 1)
            square = n >= 2 and made.shape[-1] == made.shape[-2]
            if n >= 2 and dim != wanted and (n >= 3 or square):
                yield Finding(
                    "softmax over the wrong dimension", "error", *made.place,
                    f"softmax adds up to 1 over dimension {dim} of {list(made.shape)}, but the product sums over dimension {wanted}.",
                    [Place(*made.place, f"over dimension {dim}"), Place(*seen.place, f"sums over dimension {wanted}")],
                    {"dim": dim, "summed": wanted}, f"softmax(..., dim={wanted - n}).", 0.92,
                )  # fmt: skip


def reshapes(record: Record) -> Iterator[Finding]:
    """A reshape that exchanges dimensions without moving the values, so that samples mix."""
    for seen in record.nodes():
        if seen.phase != 0 or seen.op != "reshape" or not seen.inputs:
            continue
        before = [s for s in (seen.shapes[0] or ()) if s != 1]
        after = [s for s in seen.shape if s != 1]
        if len(before) < 2 or before == after or len(after) < 2:
            continue
        swapped = sorted(before) == sorted(after)
        first = (
            len(before) >= 3
            and after[0] == before[1] != before[0]
            and math.prod(after[1:]) * before[1] == math.prod(before)
            and not whole(before, after)
        )
        if swapped or first or _torn(before, after):
            yield Finding(
                "reshape mixes samples", "error", *seen.place,
                f"reshape of {list(seen.shapes[0] or ())} to {list(seen.shape)} exchanges dimensions without moving the values.",
                [Place(*seen.place, "reshape")], {"from": list(seen.shapes[0] or ()), "to": list(seen.shape)},
                "Exchange dimensions with transpose or permute.", 0.7,
            )  # fmt: skip


def _torn(before: list[int], after: list[int]) -> bool:
    """Whether a dimension is cut across, and one of its size stands elsewhere: [2, 5, 12] as [2, 3, 5, 4].

    >>> _torn([2, 5, 12], [2, 3, 5, 4]), _torn([2, 5, 12], [2, 5, 3, 4]), _torn([60, 4], [20, 12])
    (True, False, False)
    """
    if len(before) < 3 or len(after) < 3 or whole(before, after):
        return False
    alike = next((i for i, (b, a) in enumerate(zip(before, after, strict=False)) if b != a), len(before))
    size = before[alike] if alike < len(before) - 1 else 0
    return alike >= 1 and size in after[alike + 1 :] and size not in before[alike + 1 :]


def whole(before: list[int], after: list[int]) -> bool:
    """Whether one shape becomes the other by splitting and merging whole dimensions.

    >>> whole([8, 3, 4], [8, 12]), whole([5, 3], [3, 5])
    (True, False)
    """
    marks = sorted({*itertools.accumulate(before, int.__mul__), *itertools.accumulate(after, int.__mul__)})
    return all(later % earlier == 0 for earlier, later in itertools.pairwise(marks))


def switched(record: Record) -> Iterator[Finding]:
    """Scores that are multiplied with a mask before a softmax: 0 is a score like any other."""
    for place, facts in record.switched.items():
        softmax, mask = record.find(facts["softmax"]), facts["mask"]
        after = {
            s.id
            for s in record.nodes()
            if softmax is not None and softmax.id in s.inputs and mask in s.inputs
        }
        if softmax is None or after:
            continue  # what is masked is put out again behind the softmax
        yield Finding(
            "mask does not mask", "error", *place,
            "Scores are multiplied with a mask of zeros and ones before the softmax: what is masked gets the score 0, "
            "and with it a share like the others.",
            [Place(*place, "multiplied with the mask"), at(facts["place"], "softmax")], {},
            "Use masked_fill(mask == 0, float('-inf')) before the softmax.", 0.85,
        )  # fmt: skip


def squeezed(record: Record) -> Iterator[Finding]:
    """An output whose last activation cannot give what the targets ask for."""
    for place, facts in record.outside.items():
        seen = record.find(facts["id"])
        if seen is None or facts["share"] < 0.1:
            continue
        users = [u.op for u in record.nodes() if seen.id in u.inputs and u.phase == 0]
        made = record.find(facts["made"])
        if made is not None and {"square", "abs", "pow"} & set(users):
            where, *more = [at(p, made.op) for p in made.places]
            yield from at_each(Finding(
                "wrong activation", "error", where.file, where.line,
                f"The output ends in {made.op}, but {facts['share']:.0%} of the targets lie outside what it can give.",
                [Place(*made.place, made.op), Place(*place, "compared with the targets")], {"share": facts["share"]},
                "Leave the last activation away, or scale the targets.", 0.75,
            ), more)  # fmt: skip
    for seen in record.nodes():
        if seen.phase == 0 and seen.op == "cross_entropy":
            made = record.find(seen.inputs[0])
            if made is not None and made.op in ("relu", "sigmoid") and made.requires:
                where, *more = [at(p, made.op) for p in made.places]
                yield from at_each(Finding(
                    "wrong activation", "error", where.file, where.line,
                    f"cross_entropy is given the result of {made.op}; it takes scores without an activation.",
                    [Place(*made.place, made.op), Place(*seen.place, "cross_entropy")], {}, f"Leave {made.op} away.", 0.75,
                ), more)  # fmt: skip


def probabilities(record: Record) -> Iterator[Finding]:
    """nll_loss of probabilities, and a softmax over one score."""
    for seen in record.nodes():
        if seen.phase != 0 or not seen.requires:
            continue
        if seen.op == "nll_loss":
            made = record.find(seen.inputs[0])
            if made is not None and made.op in ("softmax", "sigmoid", "linear", "relu"):
                where, *more = [at(p, made.op) for p in made.places]
                yield from at_each(Finding(
                    "no logarithm before nll_loss", "error", where.file, where.line,
                    f"nll_loss takes log probabilities, and is given the result of {made.op}.",
                    [Place(*made.place, made.op), Place(*seen.place, "nll_loss")], {}, "Use log_softmax, or cross_entropy of the scores.", 0.9,
                ), more)  # fmt: skip
        elif (
            seen.op in ("softmax", "log_softmax")
            and len(seen.shape) == 2
            and seen.shape[seen.kwargs.get("dim", -1)] == 1
            and seen.shape[0] > 1
        ):
            where, *more = [at(p, seen.op) for p in seen.places]
            yield from at_each(Finding(
                "softmax of one", "error", where.file, where.line, f"{seen.op} over a dimension of size 1 gives the same whatever the score.",
                [Place(*seen.place, str(list(seen.shape)))], {"shape": list(seen.shape)},
                "Use sigmoid for one score, or as many scores as classes.", 0.96,
            ), more)  # fmt: skip


def pattern(record: Record, number: int) -> list[Seen]:
    """The ops that decided which positions of a softmax are masked, nearest to the mask's making first."""
    found = [s for s in record.back(number) if s.op in PATTERNS]
    return sorted(
        found, key=lambda s: (s.op in ("masked_fill", "where"), s.op not in ("tril", "triu"), -s.id)
    )


def folded(record: Record) -> Iterator[Finding]:
    """Two layers in a row with nothing between them: together they are one, and learn no more than one."""
    losses = [loss.value for loss in record.losses if loss.value is not None]
    if not any(steps.count >= 3 for steps in record.optimizers) or len(losses) < 3:
        return
    third = losses[-len(losses) // 3 :]
    stands = (
        len(third) >= 6 and max(third) - min(third) < 0.02 * abs(losses[-1]) and losses[-1] > 0.05 * losses[0]
    )
    if min(losses[-3:]) < 0.2 * losses[0] and not stands:
        return  # one straight map may be all it takes
    layers = []
    for seen in record.back(record.losses[-1].node):
        weight = _weight(record, seen)
        if weight is not None:
            before = _straight(record, seen)
            if before is None:
                return
            layers.append((seen, weight, before))
    for seen, weight, before in layers:
        first = _weight(record, before)
        if first is None or first.id == weight.id or before.shapes[0] is None:
            continue
        middle, ends = before.shape[-1], (before.shapes[0][-1], seen.shape[-1])
        if middle < min(ends):
            continue  # a bottleneck is meant
        made = [
            Place(*first.place, "the layer is made here"),
            Place(*weight.place, "the layer after it is made here"),
        ]
        used = [Place(*before.place, "nothing between this layer and the next")]
        # In a Sequential both run at the line of one call, which is nobody's mistake.
        where, *more = [*made, *used] if before.place == seen.place else [*used, *made]
        yield from at_each(Finding(
            "missing activation", "warning", where.file, where.line,
            f"Layers follow each other ({ends[0]} to {middle} to {ends[1]}), and there is no activation anywhere: together they are "
            f"one straight map, and the loss went from {losses[0]:.3g} to {losses[-1]:.3g} only.",
            [where, *more], {"widths": [ends[0], middle, ends[1]]}, "Put a relu or tanh between them.", 0.45,
        ), more)  # fmt: skip
        return


def _straight(record: Record, seen: Seen) -> Seen | None:
    """What made a layer's input, through ops that keep it straight: a layer or a leaf. None where something bends it."""
    found = record.find(seen.inputs[0])
    while found is not None and found.op and _weight(record, found) is None:
        if found.op not in STILL | {"reshape", "transpose", "permute", "getitem"} and not _bias(
            record, found
        ):
            return None
        found = record.find(found.inputs[0])
    return found


def _weight(record: Record, seen: Seen) -> Seen | None:
    """The trained weight of a layer that is a straight map, else None."""
    if seen.phase != 0 or seen.op not in ("linear", "matmul") or len(seen.inputs) < 2:
        return None
    found = record.find(seen.inputs[1])
    return found if found is not None and found.requires and not found.op else None


def _bias(record: Record, seen: Seen) -> bool:
    added = record.find(seen.inputs[1]) if seen.op == "add" and len(seen.inputs) == 2 else None
    return added is not None and not added.op and added.requires and len(added.shape) <= 1


def drowned(record: Record) -> Iterator[Finding]:
    """Dropout that leaves next to nothing."""
    for seen in record.nodes():
        share = seen.kwargs.get("p", 0.0) if seen.op == "dropout" else 0.0
        if seen.phase == 0 and seen.recording and isinstance(share, (int, float)) and share >= 0.95:
            where, *more = [at(p, "dropout") for p in seen.places]
            yield from at_each(Finding(
                "dropout drops almost everything", "warning", where.file, where.line, f"Dropout with p = {share:g} leaves {1 - share:.0%} of the values.",
                [Place(*seen.place, "dropout")], {"p": share}, "p is the share that is dropped, not the share that stays.", 0.5,
            ), more)  # fmt: skip
            return
