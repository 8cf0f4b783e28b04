"""What is wrong with how values are moved: softmax over one dimension and a sum over another, reshape for transpose."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from dsviz.diagnose.finding import Finding, Place
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
        if swapped or first:
            yield Finding(
                "reshape mixes samples", "error", *seen.place,
                f"reshape of {list(seen.shapes[0] or ())} to {list(seen.shape)} exchanges dimensions without moving the values.",
                [Place(*seen.place, "reshape")], {"from": list(seen.shapes[0] or ()), "to": list(seen.shape)},
                "Exchange dimensions with transpose or permute.", 0.7,
            )  # fmt: skip


def whole(before: list[int], after: list[int]) -> bool:
    """Whether one shape becomes the other by splitting and merging whole dimensions.

    >>> whole([8, 3, 4], [8, 12]), whole([5, 3], [3, 5])
    (True, False)
    """
    marks = sorted({*itertools.accumulate(before, int.__mul__), *itertools.accumulate(after, int.__mul__)})
    return all(later % earlier == 0 for earlier, later in itertools.pairwise(marks))


def squeezed(record: Record) -> Iterator[Finding]:
    """An output whose last activation cannot give what the targets ask for."""
    for place, facts in record.outside.items():
        seen = record.find(facts["id"])
        if seen is None or facts["share"] < 0.1:
            continue
        users = [u.op for u in record.nodes() if seen.id in u.inputs and u.phase == 0]
        made = record.find(facts["made"])
        if made is not None and {"square", "abs", "pow"} & set(users):
            yield Finding(
                "wrong activation", "error", *made.place,
                f"The output ends in {made.op}, but {facts['share']:.0%} of the targets lie outside what it can give.",
                [Place(*made.place, made.op), Place(*place, "compared with the targets")], {"share": facts["share"]},
                "Leave the last activation away, or scale the targets.", 0.75,
            )  # fmt: skip
    for seen in record.nodes():
        if seen.phase == 0 and seen.op == "cross_entropy":
            made = record.find(seen.inputs[0])
            if made is not None and made.op in ("relu", "sigmoid") and made.requires:
                yield Finding(
                    "wrong activation", "error", *made.place,
                    f"cross_entropy is given the result of {made.op}; it takes scores without an activation.",
                    [Place(*made.place, made.op), Place(*seen.place, "cross_entropy")], {}, f"Leave {made.op} away.", 0.75,
                )  # fmt: skip


def probabilities(record: Record) -> Iterator[Finding]:
    """nll_loss of probabilities, and a softmax over one score."""
    for seen in record.nodes():
        if seen.phase != 0 or not seen.requires:
            continue
        if seen.op == "nll_loss":
            made = record.find(seen.inputs[0])
            if made is not None and made.op in ("softmax", "sigmoid", "linear", "relu"):
                yield Finding(
                    "no logarithm before nll_loss", "error", *made.place,
                    f"nll_loss takes log probabilities, and is given the result of {made.op}.",
                    [Place(*made.place, made.op), Place(*seen.place, "nll_loss")], {}, "Use log_softmax, or cross_entropy of the scores.", 0.9,
                )  # fmt: skip
        elif (
            seen.op in ("softmax", "log_softmax")
            and len(seen.shape) == 2
            and seen.shape[seen.kwargs.get("dim", -1)] == 1
            and seen.shape[0] > 1
        ):
            yield Finding(
                "softmax of one", "error", *seen.place, f"{seen.op} over a dimension of size 1 gives the same whatever the score.",
                [Place(*seen.place, str(list(seen.shape)))], {"shape": list(seen.shape)},
                "Use sigmoid for one score, or as many scores as classes.", 0.96,
            )  # fmt: skip


def pattern(record: Record, number: int) -> list[Seen]:
    """The ops that decided which positions of a softmax are masked, nearest to the mask's making first."""
    found = [s for s in record.back(number) if s.op in PATTERNS]
    return sorted(found, key=lambda s: (s.op in ("masked_fill", "where"), -s.id))
