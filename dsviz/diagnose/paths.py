"""What is wrong with how gradients reach parameters: ways that are cut, parameters nobody registers or updates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dsviz.diagnose import origin
from dsviz.diagnose.finding import Finding, Place, at, at_each
from dsviz.diagnose.record import ParameterFacts, Record, Seen, label_of, owned

LOOK = "Look for detach(), no_grad(), .data, .item() or a new tensor made of the values."


def no_gradient(record: Record) -> Iterator[Finding]:
    """Parameters that were used but never got a gradient, and those nobody updates or registers."""
    backward = len(record.losses)
    stepped = [steps for steps in record.optimizers if steps.count]
    if not backward and not stepped:
        return
    has = owned(record)
    groups: dict[tuple[str, str, int], list[ParameterFacts]] = {}
    for number, facts in record.parameters.items():
        kind = _kind(record, number, facts, has, bool(stepped), backward)
        if kind:
            groups.setdefault((kind, facts.file, facts.line), []).append(facts)
    for number, facts in record.learners.items():
        # A plain tensor that takes gradients turn by turn, next to steps, and stays what it is.
        lasting = (
            facts.used_recording >= 3 and facts.gradients >= 3 and facts.last_used - facts.first_used >= 2
        )
        if (
            lasting
            and not facts.moved
            and any(s.count >= 3 for s in stepped)
            and number not in _numbers(record)
        ):
            groups.setdefault(("not registered", facts.file, facts.line), []).append(facts)
    yield from _as_numbers(record, has, bool(stepped), backward)
    for (kind, file, line), many in groups.items():
        names = ", ".join(label_of(f) for f in many[:3])
        names += f" and {len(many) - 3} more" if len(many) > 3 else ""
        made = Place(file, line, "the parameter")
        if kind == "no gradient":
            where, *more = cuts_of(record, many[0]) or [made]
            yield from at_each(Finding(
                "gradient path cut", "error", where.file, where.line,
                f"{names} took part in {many[0].used} ops, but never got a gradient: nothing leads from there to the loss.",
                [where, *more, made],
                {"used": many[0].used, "backward": backward, "recorded": many[0].used_recording > 0}, LOOK, 0.9,
            ), more)  # fmt: skip
        elif kind == "not optimised":
            first, *others = _homes(record)
            yield from at_each(Finding(
                "parameter not optimised", "error", first.file, first.line,
                f"{names} gets gradients, but no optimizer that steps has it.",
                [first, made], {"gradients": many[0].gradients},
                "Give it to the optimizer, or freeze it with requires_grad_(False).", 0.7,
            ), others)  # fmt: skip
        else:
            where = _listed(record, many) or made
            yield from at_each(Finding(
                "parameter not registered", "error", where.file, where.line,
                f"{names} is used in the network, but is not among its parameters().",
                [where, made], {"used": many[0].used},
                "Assign it to an attribute of the module; put modules in a ModuleList or ModuleDict.", 0.85,
            ), [made])  # fmt: skip


def _as_numbers(record: Record, has: set[int], stepped: bool, backward: int) -> Iterator[Finding]:
    """Parameters of an optimizer that are computed with as plain numbers only: item(), numpy()."""
    if not stepped or backward < 2:
        return
    for number, place in record.taken_parameters.items():
        facts = record.parameters.get(number)
        if number in has and (facts is None or not (facts.gradients or facts.used_recording)):
            yield Finding(
                "gradient path cut", "error", *place,
                "A parameter becomes a plain number here, and no op ever took it as it is: it gets no gradient.",
                [Place(*place, "its value leaves the graph here")], {"backward": backward}, "Compute with the parameter itself.", 0.89,
            )  # fmt: skip


def _kind(
    record: Record, number: int, facts: ParameterFacts, has: set[int], stepped: bool, backward: int
) -> str:  # fmt: skip
    if (
        facts.used >= 2
        and not facts.frozen
        and not facts.used_recording
        and number in has
        and backward >= 2
        and stepped
    ):
        return "no gradient"  # it is only ever used under no_grad
    if facts.used_recording < 2 or backward < 2 or facts.frozen:
        return ""
    if number in has:
        return "no gradient" if facts.gradients == 0 else ""
    if facts.gradients == 0 or not stepped or facts.last_used < record.iterations - 3:
        return ""  # one that was used last long ago was replaced, or has another size now
    return "not optimised" if number in record.registered or not record.registered else "not registered"


def _numbers(record: Record) -> set[int]:
    """The nodes' numbers of all that an optimizer has."""
    return {p.node.id for steps in record.optimizers for p in steps.params}


def _homes(record: Record) -> list[Place]:
    """The optimizers' lines; first those whose parameters another one has too, or that take no part at all."""
    stepped = [steps for steps in record.optimizers if steps.count]

    def odd(steps: Any) -> int:
        mine = {id(p.node) for p in steps.params}
        twice = any(mine & {id(p.node) for p in o.params} for o in stepped if o is not steps)
        idle = not any(n in record.parameters for n in mine)
        return -(2 * idle + twice)

    homes = [Place(s.file, s.line, f"{s.name} is made here") for s in sorted(stepped, key=odd)]
    if all(odd(s) <= -2 for s in stepped):  # none has anything that is used: the network was made again after
        for name, call in list(record.roots.items())[:2]:
            again = origin.assigned(call[0], call[1], name)[:1]
            homes[1:1] = [Place(*p, "the network is made again here") for p in again]
    return homes


def _listed(record: Record, many: list[ParameterFacts]) -> Place | None:
    """The plain list or dict of a module that holds the parameters."""
    wanted = {(f.file, f.line, f.shape) for f in many}
    for (_, name), (module, file, line) in record.lists.items():
        held = module.__dict__.get(name)
        for thing in _inside(held):
            parameters = list(thing.parameters()) if hasattr(thing, "parameters") else [thing]
            for parameter in parameters:
                node = getattr(parameter, "node", None)
                if node is not None and (node.filename, node.line, node.shape) in wanted:
                    kind = type(held).__name__
                    return Place(file, line, f"a plain {kind}, whose parts a module does not see")
    return None


def _inside(held: Any, depth: int = 3) -> Iterator[Any]:
    if isinstance(held, dict):
        held = list(held.values())
    if isinstance(held, (list, tuple)) and depth:
        for part in held[:64]:
            yield from _inside(part, depth - 1)
    elif held is not None:
        yield held


def cuts_of(record: Record, facts: ParameterFacts) -> list[Place]:
    """Where the way from a parameter to the loss ends, likeliest first."""
    for steps in record.optimizers:
        mine = any(record.parameters.get(id(p.node)) is facts for p in steps.params)
        if mine and steps.count and steps.empty == steps.count and steps.roots:
            found = _cut_below(record, steps.roots[-1], facts.consumer)
            if found is not None:
                return _places(found)
    return cut_at(record, facts.consumer)


def _places(cut: Seen) -> list[Place]:
    op = Place(*cut.place, "the path ends here")
    if cut.muted[0] and cut.op:
        return [Place(*cut.muted, "gradients are switched off here"), op]
    return [op]


def _cut_below(record: Record, root: int, consumer: int) -> Seen | None:
    """Of what a loss was made of, the node that carries no gradient though what it was given does."""
    for found in record.back(root):
        if found.requires:
            continue
        given = [record.find(n) for n in found.inputs if n]
        if any(g is not None and g.requires for g in given):
            behind = {s.id for s in record.back(found.id)}
            if consumer in behind:
                return found
    return None


def cut_at(record: Record, number: int) -> list[Place]:
    """Where the way from a node on ends: what took its value without its graph, else the last node on it."""
    start = record.find(number)
    if start is None:
        return []
    if not start.requires:
        return _places(start)  # it ran under no_grad itself
    users: dict[int, list[Seen]] = {}
    for seen in record.nodes():
        for parent in seen.inputs:
            if parent:
                users.setdefault(parent, []).append(seen)
    frontier, reached, last = [start], {number: start}, start
    while frontier:
        nexts: list[Seen] = []
        for here in frontier:
            for user in users.get(here.id, []):
                if user.id in reached or user.phase != 0:
                    continue
                reached[user.id] = user
                if here.requires and not user.requires:
                    return _places(user)  # made under no_grad, of whole numbers, or by detach()
                nexts.append(user)
                last = user
        frontier = nexts
    # Its value left the graph as plain numbers, or a new tensor made of them has no tie to it:
    # the next leaf of its shape is the likeliest.
    taken = [(n, record.taken[n]) for n in reached if n in record.taken]
    places = [
        Place(*place, "its value leaves the graph here") for _, place in sorted(taken, reverse=True)[:1]
    ]
    turn = record.turns.get(last.iteration, {}).values()
    again = [s for s in turn if not s.op and s.id > last.id and s.shape == last.shape]
    if again:
        leaf = min(again, key=lambda s: s.id)
        places.append(Place(*leaf.place, "a new tensor without its past"))
    if places:
        return places
    root = record.find(record.losses[-1].node) if record.losses else None
    loss = [] if root is None else [Place(*root.place, "the loss, which does not use it")]
    return [*loss, Place(*last.place, "the path ends here")]


def remade(record: Record) -> Iterator[Finding]:
    """A network that is made anew again and again, while the optimizer steps the one that was there first."""
    if not any(steps.count >= 3 for steps in record.optimizers):
        return
    has = owned(record)
    groups: dict[tuple[str, int, tuple[int, ...]], list[ParameterFacts]] = {}
    for number, facts in record.parameters.items():
        if number not in has and facts.gradients and not facts.frozen:
            groups.setdefault((facts.file, facts.line, facts.shape), []).append(facts)
    for (file, line, _), many in groups.items():
        if len({facts.first_used for facts in many}) < 3 or max(f.last_used - f.first_used for f in many) > 1:
            continue
        call = record.roots.get(many[-1].name.split(".")[0])
        made = [] if call is None else origin.assigned(call[0], call[1], many[-1].name.split(".")[0])
        places = [at(p, "the network is made here") for p in made]
        home = Place(file, line, "its parameters are made here")
        told = [*places[:1], home, *_homes(record)[:1]]
        where, more = told[0], told[1:]
        yield from at_each(Finding(
            "network made anew", "error", where.file, where.line,
            f"{len(many)} times new parameters {list(many[0].shape)} take the place of those before, and no optimizer has them.",
            [where, *more], {"made": len(many)}, "Make the network once, before the loop, and the optimizer after it.", 0.86,
        ), more)  # fmt: skip
        return


def frozen(record: Record) -> list[Place]:
    """Where every parameter that was used had its gradient switched off."""
    used = [(n, f) for n, f in record.parameters.items() if f.used]
    if not used or not all(f.frozen for _, f in used):
        return []
    places = [record.frozen[n] for n, _ in used if n in record.frozen]
    return [Place(*p, "the parameters are frozen here") for p in dict.fromkeys(reversed(places))]
