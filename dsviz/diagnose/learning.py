"""What is wrong with how parameters get their gradients and their updates."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dsviz.diagnose.finding import Finding, Place
from dsviz.diagnose.record import ParameterFacts, Record, Seen

TINY, HUGE = 1e-7, 1e3


def _label(facts: ParameterFacts) -> str:
    return f"{facts.name or 'parameter'} {list(facts.shape)}"


def _owned(record: Record) -> set[int]:
    return {id(p.node) for steps in record.optimizers for p in steps.params}


def optimizers(record: Record) -> Iterator[Finding]:
    """No step, a step without gradients, a rate of 0, a gradient that was not zeroed."""
    backward = len(record.losses)
    for steps in record.optimizers:
        place = steps.file, steps.line
        if backward >= 2 and not steps.count:
            yield Finding(
                "optimizer never steps", "error", *place,
                f"{steps.name} is made here, and {backward} backward passes ran, but step() was never called.",
                [], {"backward passes": backward}, "Call optimizer.step() after backward().", 0.9,
            )  # fmt: skip
            yield Finding(
                "optimizer never steps", "error", *record.losses[-1].place, "The gradients that are computed here are never used.",
                [Place(*place, steps.name)], {"backward passes": backward}, "Call optimizer.step() after backward().", 0.89,
            )  # fmt: skip
        elif (
            steps.count
            and steps.empty == steps.count
            and any(id(p.node) in record.parameters for p in steps.params)
        ):
            yield Finding(
                "step without gradients", "error", *(steps.step_place if steps.step_place[0] else place),
                f"In all {steps.count} steps of {steps.name} no parameter had a gradient.",
                [Place(*place, "made here")], {"steps": steps.count},
                "Call backward() before step(), and zero_grad() before backward(), not between the two.", 0.9,
            )  # fmt: skip
        elif steps.count > 1 and steps.empty >= 1 and steps.empty == 1 and backward:
            yield Finding(
                "step before backward", "warning", *steps.step_place,
                f"The first step of {steps.name} came before any gradient was there.",
                [Place(*place, "made here")], {"steps": steps.count}, "Call backward() first, then step().", 0.5,
            )  # fmt: skip
        if steps.count >= 2 and steps.lr == 0:
            yield Finding(
                "learning rate is 0", "error", *place, f"{steps.name} steps with a learning rate of 0: nothing is learned.",
                [], {"lr": 0.0, "steps": steps.count}, "Give a learning rate above 0.", 0.9,
            )  # fmt: skip
        if steps.stale >= 2:
            yield Finding(
                "gradient not zeroed", "error", *steps.stale_place,
                f"{steps.stale} backward passes added to gradients that {steps.name} had already used.",
                [Place(*steps.stale_place, "adds here"), Place(*steps.step_place, "used here")],
                {"passes": steps.stale, "steps": steps.count}, "Call optimizer.zero_grad() once before each backward().", 0.85,
            )  # fmt: skip


def diverging(record: Record) -> Iterator[Finding]:
    """A step that is too large: the loss grows without bound while the parameters jump."""
    values = [loss.value for loss in record.losses if loss.value is not None]
    if len(values) < 3:
        return
    first, last = values[0], values[-1]
    largest = max((v for v in values if math.isfinite(v)), default=0.0)
    bounded = abs(first) + 1e-3
    broke = not math.isfinite(last) or record.not_finite
    grew = largest > 30 * bounded and (broke or last > 10 * bounded)
    for steps in record.optimizers:
        big = [r for r in steps.ratios if math.isfinite(r)]
        jumped = sum(r > 0.5 for r in big) >= max(2, len(big) // 4)
        if steps.count >= 2 and grew and jumped:
            yield Finding(
                "diverging step size", "error", steps.file, steps.line,
                f"The loss went from {first:.3g} to {last:.3g} and each step of {steps.name} moves the parameters by up to "
                f"{max(big):.3g} times their own size.",
                [Place(*steps.step_place, "steps here")], {"lr": steps.lr, "first loss": first, "last loss": last, "update": max(big)},
                f"Make the learning rate smaller (it is {steps.lr:g}), or clip the gradients.", 0.97,
            )  # fmt: skip


def no_gradient(record: Record) -> Iterator[Finding]:
    """Parameters that were used but never got a gradient, and those nobody updates or registers."""
    backward = len(record.losses)
    stepped = [steps for steps in record.optimizers if steps.count]
    if not backward and not stepped:
        return
    owned = _owned(record)
    groups: dict[tuple[str, str, int], list[ParameterFacts]] = {}
    for number, facts in record.parameters.items():
        kind = _kind(record, number, facts, owned, bool(stepped), backward)
        if kind:
            groups.setdefault((kind, facts.file, facts.line), []).append(facts)
    for (kind, file, line), many in groups.items():
        names = ", ".join(_label(f) for f in many[:3]) + (
            f" and {len(many) - 3} more" if len(many) > 3 else ""
        )
        if kind == "no gradient":
            cut = cut_of(record, many[0].consumer)
            where = cut.place if cut is not None else (file, line)
            yield Finding(
                "gradient path cut", "error", *where,
                f"{names} took part in {many[0].used} ops, but never got a gradient: nothing leads from there to the loss.",
                [Place(*where, "the path ends here"), Place(file, line, "the parameter")], {"used": many[0].used, "backward": backward},
                "Look for detach(), no_grad(), .data, .item() or a new tensor made of the values.", 0.9,
            )  # fmt: skip
        elif kind == "not optimised":
            home = stepped[0]
            yield Finding(
                "parameter not optimised", "error", home.file, home.line,
                f"{names} gets gradients, but no optimizer that steps has it.",
                [Place(home.file, home.line, home.name), Place(file, line, "the parameter")], {"gradients": many[0].gradients},
                "Give it to the optimizer, or freeze it with requires_grad_(False).", 0.7,
            )  # fmt: skip
        else:
            yield Finding(
                "parameter not registered", "error", file, line,
                f"{names} is used in the network, but is not among its parameters().",
                [Place(file, line, "the parameter")], {"used": many[0].used},
                "Assign it to an attribute of the module; put modules in a ModuleList or ModuleDict.", 0.85,
            )  # fmt: skip


def _kind(
    record: Record, number: int, facts: ParameterFacts, owned: set[int], stepped: bool, backward: int
) -> str:  # fmt: skip
    if (
        facts.used >= 2
        and not facts.frozen
        and not facts.used_recording
        and number in owned
        and backward >= 2
        and stepped
    ):
        return "no gradient"  # it is only ever used under no_grad
    if facts.used_recording < 2 or backward < 2 or facts.frozen:
        return ""
    if number in owned:
        return "no gradient" if facts.gradients == 0 else ""
    if facts.gradients == 0 or not stepped or facts.last_used < record.iterations - 3:
        return ""  # one that was used last long ago was replaced, or has another size now
    return "not optimised" if number in record.registered or not record.registered else "not registered"


def cut_of(record: Record, number: int) -> Seen | None:
    """Where the way from a node to the loss ends: what took its value without its graph, else the last node on it."""
    start = record.find(number)
    if start is None or not start.requires:
        return start  # it ran under no_grad itself
    users: dict[int, list[Seen]] = {}
    for seen in record.nodes():
        for parent in seen.inputs:
            if parent:
                users.setdefault(parent, []).append(seen)
    frontier, seen_ids, last = [start], {number}, start
    while frontier:
        nexts: list[Seen] = []
        for here in frontier:
            for user in users.get(here.id, []):
                if user.id in seen_ids or user.phase != 0:
                    continue
                seen_ids.add(user.id)
                if here.requires and not user.requires:
                    return user  # made under no_grad, of whole numbers, or by detach()
                nexts.append(user)
                last = user
        frontier = nexts
    # A new tensor made of its values has no tie to it: the next leaf of its shape is the likeliest.
    again = [
        s
        for s in record.turns.get(last.iteration, {}).values()
        if not s.op and s.id > last.id and s.shape == last.shape
    ]
    return min(again, key=lambda s: s.id) if again else last


def flow(record: Record) -> Iterator[Finding]:
    """Gradients that vanish on the way back, or grow without bound."""
    owned = _owned(record)
    norms = {
        n: [v for v in f.norms if math.isfinite(v)]
        for n, f in record.parameters.items()
        if n in owned and len(f.norms) >= 4
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
            yield Finding(
                "vanishing gradient", "warning", facts.file, facts.line,
                f"{_label(facts)} gets gradients of {middle[worst]:.1e}, {top / max(relative[worst], 1e-300):.0e} times smaller "
                "for its size than the largest.",
                [], {"norm": middle[worst], "largest": max(middle.values())},
                "Use an activation with a slope, normalise, scale the initial weights, or add a way around.", 0.5,
            )  # fmt: skip
    broken = {n for n in norms if n in owned and not all(map(math.isfinite, record.parameters[n].norms))}
    large = sorted(
        broken | {n for n in middle if middle[n] > HUGE * 1000}, key=lambda n: -middle.get(n, math.inf)
    )[:3]
    for n in large:  # which of them grows the others is not told by the gradients alone
        facts = record.parameters[n]
        yield Finding(
            "exploding gradient", "error", facts.file, facts.line, f"{_label(facts)} gets gradients as large, or not finite ones.",
            [], {"not finite": n in broken, "median": middle.get(n, 0.0)}, "Scale the initial values down.", 0.89 if record.not_finite else 0.74,
        )  # fmt: skip
    biggest = max(middle, key=lambda n: middle[n], default=0)
    if biggest and middle[biggest] > HUGE * 10:
        facts = record.parameters[biggest]
        late = norms[biggest]
        if late[-1] > 10 * late[0] or middle[biggest] > HUGE * 1000:
            yield Finding(
                "exploding gradient", "error", facts.file, facts.line,
                f"{_label(facts)} gets gradients of {middle[biggest]:.1e} at the median, {late[-1]:.1e} at the end.",
                [], {"median": middle[biggest], "last": late[-1]},
                "Clip the gradients (nn.utils.clip_grad_norm_), or scale the recurrent weights down.", 0.93 if record.not_finite else 0.75,
            )  # fmt: skip


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
                f"All {facts.shape[0]} rows of {_label(facts)} started as one and the same: they get the same gradient and stay alike.",
                [], {"rows": facts.shape[0]}, "Draw the initial weights at random.", 0.6,
            )  # fmt: skip
