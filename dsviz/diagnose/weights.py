"""What is wrong with weights: how they start, and how large the gradients are that they get."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dsviz.diagnose.finding import Finding, Place, at_each
from dsviz.diagnose.record import ParameterFacts, Record, label_of, owned

TINY, HUGE = 1e-7, 1e3


def flow(record: Record) -> Iterator[Finding]:
    """Gradients that vanish on the way back, or grow without bound."""
    has = owned(record)
    norms = {
        n: [v for v in f.norms if math.isfinite(v)]
        for n, f in record.parameters.items()
        if n in has and len(f.norms) >= 4
    }
    if len(norms) < 2:
        return
    middle = {n: sorted(v)[len(v) // 2] for n, v in norms.items() if v}
    relative = {
        n: m / (record.parameters[n].size + 1e-12)
        for n, m in middle.items()
        if len(record.parameters[n].shape) > 1
    }
    if len(relative) >= 2:
        top = max(relative.values())
        low = [n for n, r in relative.items() if r < TINY and r < 1e-6 * top]
        if low and top > 1e-4 and not any(_dead(record, n) for n in low):
            worst = min(low, key=lambda n: relative[n])
            facts = record.parameters[worst]
            made = Place(facts.file, facts.line, "the layer is made here")
            flat = _flat(record, facts.consumer)
            where, *more = [*flat, made]
            yield from at_each(Finding(
                "vanishing gradient", "warning", where.file, where.line,
                f"{label_of(facts)} gets gradients of {middle[worst]:.1e}, {top / max(relative[worst], 1e-300):.0e} times smaller "
                "for its size than the largest.",
                [where, *more], {"norm": middle[worst], "largest": max(middle.values())},
                "Use an activation with a slope, normalise, scale the initial weights, or add a way around.", 0.5,
            ), more)  # fmt: skip
    grown = _grown(record, norms)
    if grown is not None and (record.not_finite or max(middle.values(), default=0.0) > HUGE * 1000):
        start = grown.written if grown.written[0] else (grown.file, grown.line)
        yield from at_each(Finding(
            "exploding gradient", "error", *start,
            f"{label_of(grown)} starts with values that spread by {grown.spread:.3g}: each time something passes through, "
            "it is larger.",
            [Place(*start, "first values")], {"spread": grown.spread, "uses": grown.used},
            "Scale the recurrent weights down (orthogonal, or a spread of 1 / sqrt(width)), or clip the gradients.", 0.94,
        ), [Place(grown.file, grown.line, "the weight is made here")])  # fmt: skip
    broken = {n for n in norms if not all(map(math.isfinite, record.parameters[n].norms))}
    large = sorted(
        broken | {n for n in middle if middle[n] > HUGE * 1000}, key=lambda n: -middle.get(n, math.inf)
    )[:3]
    for n in large:  # which of them grows the others is not told by the gradients alone
        facts = record.parameters[n]
        yield Finding(
            "exploding gradient", "error", facts.file, facts.line, f"{label_of(facts)} gets gradients as large, or not finite ones.",
            [], {"not finite": n in broken, "median": middle.get(n, 0.0)}, "Scale the initial values down.", 0.89 if record.not_finite else 0.74,
        )  # fmt: skip
    biggest = max(middle, key=lambda n: middle[n], default=0)
    if biggest and middle[biggest] > HUGE * 10:
        facts = record.parameters[biggest]
        late = norms[biggest]
        if late[-1] > 10 * late[0] or middle[biggest] > HUGE * 1000:
            yield Finding(
                "exploding gradient", "error", facts.file, facts.line,
                f"{label_of(facts)} gets gradients of {middle[biggest]:.1e} at the median, {late[-1]:.1e} at the end.",
                [], {"median": middle[biggest], "last": late[-1]},
                "Clip the gradients (nn.utils.clip_grad_norm_), or scale the recurrent weights down.", 0.93 if record.not_finite else 0.75,
            )  # fmt: skip


def _grown(record: Record, norms: dict[int, list[float]]) -> ParameterFacts | None:
    """A weight that makes what passes through it larger: written so, or square and used many times a turn."""
    turns = max(record.iterations, 1)
    found = [
        f
        for f in (record.parameters[n] for n in norms)
        if len(f.shape) == 2 and f.shape[0] == f.shape[1] and f.used >= 4 * turns
    ]
    written = [
        f
        for f in record.parameters.values()
        if f.written[0] and len(f.shape) >= 2 and f.spread * f.shape[-1] ** 0.5 > 6
    ]
    if written:
        return max(written, key=lambda f: f.spread)
    wide = [f for f in found if f.spread * f.shape[0] ** 0.5 > 1.5]
    return max(wide, key=lambda f: f.spread * f.shape[0] ** 0.5, default=None)


def _flat(record: Record, number: int) -> list[Place]:
    """The activations behind a node whose slopes are below 1 wherever they are: many in a row leave nothing."""
    count: dict[tuple[str, int], int] = {}
    for seen in record.nodes():
        if (
            seen.phase == 0
            and seen.id > number
            and seen.op in ("sigmoid", "tanh", "softmax")
            and seen.requires
        ):
            count[seen.place] = count.get(seen.place, 0) + 1
    total = sum(count.values())
    return [
        Place(*p, "an activation whose slope is small")
        for p, n in count.items()
        if total >= 3 and n >= total / 2
    ][:1]


def _dead(record: Record, number: int) -> bool:
    return all(v == 0 for v in record.parameters[number].norms)


def symmetric(record: Record) -> Iterator[Finding]:
    """Weights that start with all rows alike stay alike: a layer of copies."""
    for facts in record.parameters.values():
        if facts.alike and facts.gradients:
            where = facts.written if facts.written[0] else (facts.file, facts.line)
            if facts.written[0]:
                yield Finding(
                    "symmetric initial weights", "error", facts.file, facts.line, "The layer with the equal rows is made here.",
                    [Place(*facts.written, "first values")], {"rows": facts.shape[0]}, "Draw the initial weights at random.", 0.59,
                )  # fmt: skip
            yield Finding(
                "symmetric initial weights", "error", *where,
                f"All {facts.shape[0]} rows of {label_of(facts)} started as one and the same: they get the same gradient and stay alike.",
                [], {"rows": facts.shape[0]}, "Draw the initial weights at random.", 0.6,
            )  # fmt: skip


def zeros(record: Record) -> Iterator[Finding]:
    """Weights that start at 0 and stay there: what they give is 0, and so is every gradient behind them."""
    still = [f for f in record.parameters.values() if f.zero and f.gradients >= 3 and not any(f.norms)]
    if not still:
        return
    facts = still[0]
    where = facts.written if facts.written[0] else (facts.file, facts.line)
    yield from at_each(Finding(
        "zero initial weights", "error", *where,
        f"{label_of(facts)} started as zeros, and its gradient was 0 in all {facts.gradients} backward passes: it stays what it is.",
        [Place(*where, "first values"), Place(facts.file, facts.line, "the parameter")],
        {"parameters": len(still), "passes": facts.gradients}, "Draw the initial weights at random; zeros are for biases.", 0.9,
    ), [Place(facts.file, facts.line, "the layer is made here")])  # fmt: skip
