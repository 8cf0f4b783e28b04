"""What is wrong with the steps: none are made, they use nothing, they are too large, too small, or forget."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from dsviz.diagnose import origin
from dsviz.diagnose.finding import Finding, Place, at, at_each
from dsviz.diagnose.record import Record, Seen, Steps
from dsviz.diagnose.values import chain_of

LOST = 2e-6  # what all steps together have to move the parameters by, for their size, to count as any


def optimizers(record: Record) -> Iterator[Finding]:
    """No step, a step without gradients, a rate of 0, a gradient that was not zeroed."""
    for steps in record.optimizers:
        place, backward = (steps.file, steps.line), len(record.losses) - steps.since
        if backward >= 2 and not steps.count and record.exception is None:
            yield from at_each(Finding(
                "optimizer never steps", "error", *record.losses[-1].place,
                f"{backward} backward passes ran, but step() of {steps.name} was never called: their gradients are never used.",
                [Place(*place, f"{steps.name} made here")], {"backward passes": backward},
                "Call optimizer.step() after backward().", 0.9,
            ), [Place(*place, f"{steps.name} is made here")])  # fmt: skip
        elif (
            steps.count
            and steps.empty == steps.count
            and any(id(p.node) in record.parameters for p in steps.params)
        ):
            yield from _empty(record, steps)
        elif steps.count > 1 and steps.empty >= 1 and steps.empty == 1 and backward:
            yield Finding(
                "step before backward", "warning", *steps.step_place,
                f"The first step of {steps.name} came before any gradient was there.",
                [Place(*place, "made here")], {"steps": steps.count}, "Call backward() first, then step().", 0.5,
            )  # fmt: skip
        if steps.count >= 2 and steps.lr == 0 and not any(steps.rates):
            yield from at_each(Finding(
                "learning rate is 0", "error", *place, f"{steps.name} steps with a learning rate of 0: nothing is learned.",
                [], {"lr": 0.0, "steps": steps.count}, "Give a learning rate above 0.", 0.9,
            ), [Place(*steps.schedule, "its schedule is made here"), *_rate(steps)])  # fmt: skip
        if steps.stale >= 2:
            yield Finding(
                "gradient not zeroed", "error", *steps.stale_place,
                f"{steps.stale} backward passes added to gradients that {steps.name} had already used.",
                [Place(*steps.stale_place, "adds here"), Place(*steps.step_place, "used here")],
                {"passes": steps.stale, "steps": steps.count}, "Call optimizer.zero_grad() once before each backward().", 0.85,
            )  # fmt: skip


def wasted(record: Record) -> Iterator[Finding]:
    """Gradients that are put away again and again with no step between: most passes teach nothing."""
    for steps in record.optimizers:
        if steps.count and steps.zeroed >= 6 and steps.wasted >= 0.6 * steps.zeroed:
            step, zero = (
                Place(*steps.step_place, "steps here"),
                Place(*steps.zeroed_place, "puts gradients away here"),
            )
            yield from at_each(Finding(
                "gradients thrown away", "error", step.file, step.line,
                f"{steps.wasted} times the gradients were put away before {steps.name} had used them: it made {steps.count} steps only.",
                [step, zero], {"put away": steps.wasted, "steps": steps.count}, "Call step() after each backward(), before zero_grad().", 0.8,
            ), [zero])  # fmt: skip


def unmoved(record: Record) -> Iterator[Finding]:
    """Parameters that get gradients turn by turn and stay what they are: what the program computes of them is lost."""
    if any(steps.count for steps in record.optimizers):
        return
    still = [
        f for f in record.learners.values() if f.gradients >= 5 and f.used_recording >= 5 and not f.moved
    ]
    if not still or len(still) < len(record.learners):
        return
    learners = {seen.id for seen in record.nodes() if not seen.op and seen.requires}
    update = next(
        (
            s
            for s in record.nodes()
            if s.phase == 0 and s.op in ("sub", "add") and s.inputs[0] in learners and s.muted[0]
        ),
        None,
    )
    made = [Place(f.file, f.line, "the parameter is made here") for f in still[:1]]
    where, *more = [*([] if update is None else [Place(*update.place, "the new value is lost here")]), *made]
    yield from at_each(Finding(
        "parameters never change", "error", where.file, where.line,
        f"Gradients of {still[0].gradients} backward passes arrived, but the parameters are what they were.",
        [where, *more], {"passes": still[0].gradients}, "Change them in place (p -= lr * p.grad under no_grad), or use an optimizer.", 0.88,
    ), more)  # fmt: skip


def _empty(record: Record, steps: Steps) -> Iterator[Finding]:
    """Steps that never had a gradient: there was no backward pass, or what it gave was put away first."""
    step = Place(*steps.step_place, "step() uses nothing")
    message = f"In all {steps.count} steps of {steps.name} no parameter had a gradient."
    tries = "Call backward() before step(), and zero_grad() before backward(), not between the two."
    where, more = step, [Place(steps.file, steps.line, f"{steps.name} is made here")]
    others = _others(record, steps) if record.losses and not steps.thrown[0] else None
    if steps.thrown[0] and record.losses:
        where, more = Place(*steps.thrown, "the gradients are put away here"), [step]
        message = f"The gradients are put away before step() uses them: {message}"
    elif others is not None:
        used, made = others
        where, more = Place(steps.file, steps.line, f"{steps.name} is made here"), [used, step]
        message = (
            f"{message} The loss is made with parameters that it does not have (made at line {made[1]})."
        )
        tries = "Give the optimizer the parameters of the network that the loss is made with, or make the loss with the other network."
    elif not record.losses:
        message = f"backward() was never called: {message}"
        loss = next(
            (s for s in reversed(list(record.nodes())) if s.requires and s.shape == () and s.phase == 0), None
        )
        if loss is not None:
            where, more = Place(*loss.place, "the loss is computed here, and its gradient never"), [step]
    yield from at_each(Finding(
        "step without gradients", "error", where.file, where.line, message, [where, *more], {"steps": steps.count, "other parameters": bool(others)}, tries, 0.88,
    ), more)  # fmt: skip


def _others(record: Record, steps: Steps) -> tuple[Place, tuple[str, int]] | None:
    """Where the last loss uses parameters that take gradients and that an optimizer does not have; where they were made."""
    mine = {p.node.id for p in steps.params}
    behind = list(record.back(record.losses[-1].node))
    learned = {s.id: s for s in behind if not s.op and s.requires}
    if not learned or mine & set(learned):
        return None
    user = next((s for s in reversed(behind) if s.op and set(s.inputs) & set(learned)), None)
    if user is None:
        return None
    made = next(learned[n] for n in user.inputs if n in learned)
    return Place(*user.place, "the loss is made with other parameters here"), made.place


def _rate(steps: Steps) -> list[Place]:
    """Where the learning rate was written down, if that is another line than the optimizer's."""
    found = origin.numbers(steps.file, steps.line, "lr", 1)
    return [Place(file, line, "the learning rate is chosen here") for file, line in found[:1]]


def anew(record: Record) -> Iterator[Finding]:
    """A new optimizer for each step: what it would remember of earlier steps is lost."""
    made: dict[tuple[str, int], list[Steps]] = {}
    for steps in record.optimizers:
        if steps.stateful and steps.count:
            made.setdefault((steps.file, steps.line), []).append(steps)
    for place, many in made.items():
        same = {frozenset(map(id, steps.params)) for steps in many}
        if len(many) >= 4 and len(same) == 1 and all(steps.count == 1 for steps in many):
            yield Finding(
                "optimizer made anew", "error", *place,
                f"{len(many)} times a new {many[0].name} of the same parameters is made here, for one step each: "
                "its averages of earlier gradients are lost every time.",
                [Place(*many[0].step_place, "steps here")], {"made": len(many)}, "Make the optimizer once, before the loop.", 0.8,
            )  # fmt: skip


def diverging(record: Record) -> Iterator[Finding]:
    """A step that is too large: the loss grows without bound while the parameters jump."""
    values = [loss.value for loss in record.losses if loss.value is not None]
    if len(values) < 3:
        return
    first, last = values[0], values[-1]
    largest = max((v for v in values if math.isfinite(v)), default=0.0)
    bounded = abs(first) + 1e-3
    broke = not math.isfinite(last) or bool(record.not_finite)
    grew = largest > 30 * bounded and (broke or last > 0.8 * bounded)
    for steps in record.optimizers:
        big = [r for r in steps.ratios if math.isfinite(r)]
        jumped = sum(r > 0.5 for r in big) >= max(2, len(big) // 4) or max(big, default=0.0) > 5
        # Steps several times the parameters' own size that leave the loss worse than it began.
        wild = len(big) >= 4 and sorted(big)[len(big) // 2] > 0.5 and big[0] > 2 and last > bounded
        # One step of many times the parameters' own size, and the loss is no number any more.
        burst = bool(big) and big[0] > 20 and abs(first) < 1e6 and not all(map(math.isfinite, values[1:4]))
        if steps.count >= 2 and ((grew and jumped) or (wild and largest > 5 * bounded) or burst):
            chosen = _rate(steps)
            made = Place(steps.file, steps.line, f"{steps.name} is made here")
            where = chosen[0] if chosen else made
            yield from at_each(Finding(
                "diverging step size", "error", where.file, where.line,
                f"The loss went from {first:.3g} to {last:.3g} and each step of {steps.name} moves the parameters by up to "
                f"{max(big):.3g} times their own size.",
                [made, Place(*steps.step_place, "steps here")],
                {"lr": steps.lr, "first loss": first, "last loss": last, "update": max(big)},
                f"Make the learning rate smaller (it is {steps.lr:g}), or clip the gradients.", 0.97,
            ), [made, *_summed(record)])  # fmt: skip
    if (
        not any(steps.count for steps in record.optimizers)
        and largest > 100 * bounded
        and (broke or last > 100 * bounded)
    ):
        yield from _by_hand(record, first, last)


def _summed(record: Record) -> list[Place]:
    """Where a loss is a sum over many samples, whose gradient grows with their number."""
    root = record.find(record.losses[-1].node)
    terms = math.prod(root.shapes[0] or ()) if root is not None and root.op == "sum" and root.shapes else 0
    if root is None or terms < 32:
        return []
    note = (
        f"the loss is a sum over {terms} values here, and so is its gradient; a mean is {terms} times smaller"
    )
    return [at(p, note) for p in root.places]


def decayed(record: Record) -> Iterator[Finding]:
    """Weight decay that takes a large part of every weight in each step."""
    values = [loss.value for loss in record.losses if loss.value is not None]
    for steps in record.optimizers:
        if (
            steps.count < 5
            or steps.decay < 0.05
            or len(values) < 5
            or min(values[-3:]) < 0.5 * abs(values[0])
        ):
            continue
        chosen = origin.numbers(steps.file, steps.line, "weight_decay")[:1]
        made = Place(steps.file, steps.line, f"{steps.name} is made here")
        where, *more = [*(Place(*p, "the weight decay is chosen here") for p in chosen), made]
        yield from at_each(Finding(
            "weight decay too large", "error", where.file, where.line,
            f"Each step of {steps.name} takes {min(steps.decay, 1.0):.0%} off every weight (learning rate times weight decay): "
            f"they are drawn to 0, and the loss went from {values[0]:.3g} to {values[-1]:.3g}.",
            [where, *more], {"lr": steps.lr, "part": steps.decay}, "Make weight_decay smaller: 1e-5 to 1e-2 is usual.", 0.8,
        ), more)  # fmt: skip


def bottomless(record: Record) -> Iterator[Finding]:
    """A loss that falls and falls, below any bound: it has no least value."""
    values = [loss.value for loss in record.losses if loss.value is not None and math.isfinite(loss.value)]
    if len(values) < 12 or len({loss.place for loss in record.losses}) > 1:
        return
    falls = sum(later < earlier for earlier, later in itertools.pairwise(values))
    if falls < 0.9 * (len(values) - 1) or values[-1] > -100 * (abs(values[0]) + 1):
        return
    root = record.find(record.losses[-1].node)
    if root is not None:
        where, *more = [at(p, f"the loss, {root.op}") for p in root.places]
        yield from at_each(Finding(
            "loss without a bound", "warning", where.file, where.line,
            f"The loss went from {values[0]:.3g} to {values[-1]:.3g} and falls on: nothing holds it, so there is nothing to learn.",
            chain_of(record, root), {"first": values[0], "last": values[-1]}, "Look at its sign: what is to become large needs a minus.", 0.7,
        ), more)  # fmt: skip


def _by_hand(record: Record, first: float, last: float) -> Iterator[Finding]:
    """Steps that the program makes itself, too large."""
    learners = {seen.id: seen for seen in record.nodes() if not seen.op and seen.requires}
    update = next(
        (
            s for s in record.nodes()
            if s.phase == 0 and s.op in ("sub", "add", "mul", "sub_", "add_", "addcmul") and s.inputs and s.inputs[0] in learners
            and (s.muted[0] or not _used_in_backward(record, s))
        ),
        None,
    )  # fmt: skip
    if update is None:
        return
    places = [Place(*p, "the step size is chosen here") for p in origin.numbers(*update.place)[:1]]
    made = Place(*update.place, "the step is made here")
    where = places[0] if places else made
    yield from at_each(Finding(
        "diverging step size", "error", where.file, where.line,
        f"The loss went from {first:.3g} to {last:.3g}: each step overshoots.", [made], {"first loss": first, "last loss": last},
        "Make the step smaller, or normalise the inputs.", 0.97,
    ), [made])  # fmt: skip


def _used_in_backward(record: Record, seen: Seen) -> bool:
    return any(s.twin == seen.id for s in record.nodes() if s.phase == 1)


def _stands(record: Record) -> bool:
    """Whether the loss ends where it began."""
    values = [loss.value for loss in record.losses if loss.value is not None]
    return len(values) >= 8 and abs(values[-1] - values[0]) < 1e-3 * abs(values[0])


def idle(record: Record) -> Iterator[Finding]:
    """Steps so small that nothing is learned, from the start or because a schedule ends the training early."""
    for steps in record.optimizers:
        moved = [r for r in steps.ratios if math.isfinite(r)]
        if steps.count < 8 or len(moved) < 6:
            continue
        made = Place(steps.file, steps.line, f"{steps.name} is made here")
        top = max(steps.rates, default=0.0)
        low = sum(rate < 1e-5 * top for rate in steps.rates)
        total = sum(moved) * steps.count / len(moved)
        norms = [
            n for p in steps.params if (f := record.parameters.get(id(p.node))) is not None for n in f.norms
        ]
        if steps.schedule[0] and low > 0.5 * len(steps.rates):
            yield from at_each(Finding(
                "learning rate vanishes", "warning", *steps.schedule,
                f"The learning rate falls from {top:.3g} to {steps.rates[-1]:.3g}: in {low} of {steps.count} steps it is "
                "less than a hundred thousandth of what it was.",
                [made], {"first": top, "last": steps.rates[-1]}, "Let the schedule fall more slowly, or step it once an epoch.", 0.6,
            ), [Place(*steps.schedule_step, "the schedule steps here"), made])  # fmt: skip
        elif (0 < top <= 1e-5 and total < LOST and norms and max(norms) > 1e-4) or (
            0 < top <= 5e-7 and total < 1e-3 and norms and max(norms) > 1e-4 and _stands(record)
        ):
            chosen = _rate(steps)
            where = chosen[0] if chosen else made
            yield from at_each(Finding(
                "step size too small", "warning", where.file, where.line,
                f"All {steps.count} steps of {steps.name} together move the parameters by {total:.1e} of their size: nothing is learned.",
                [made], {"lr": top, "moved": total, "steps": steps.count}, f"Make the learning rate larger (it is {top:g}).", 0.6,
            ), [made])  # fmt: skip
