"""What is wrong between the network's output and the loss."""

from __future__ import annotations

from collections.abc import Iterator

from dsviz.diagnose import origin
from dsviz.diagnose.calls import unshuffled
from dsviz.diagnose.finding import Finding, Place, at, at_each
from dsviz.diagnose.record import Record, Seen
from dsviz.diagnose.values import chain_of

PASSES = {
    "reshape",
    "permute",
    "transpose",
    "getitem",
    "cat",
    "stack",
    "clone",
    "cast",
    "expand",
    "part",
    "split",
    "squeeze",
}


def broadcast(record: Record) -> Iterator[Finding]:
    """[N, 1] against [N]: every prediction is compared with every target."""
    for place, facts in record.spread.items():
        seen = next((s for i in reversed(facts["ids"]) if (s := record.find(i)) is not None), None)
        if seen is None or not _reaches_loss(record, seen):
            continue
        a, b = (list(s) for s in facts["shapes"])
        yield Finding(
            "silent broadcasting in a loss", "error", *place,
            f"{facts['op']} of shapes {a} and {b} gives {list(facts['out'])}: every prediction is compared with every target.",
            chain_of(record, seen), {"shapes": [a, b], "result": list(facts["out"])},
            "Give both one shape: squeeze(-1) the prediction, or unsqueeze(-1) the target.", 0.95,
        )  # fmt: skip


def _reaches_loss(record: Record, seen: Seen) -> bool:
    """Whether a scalar that a backward pass started from was made of it."""
    roots = {loss.node for loss in record.losses[-6:]}
    return any(found.id == seen.id for root in roots for found in record.back(root))


def double_softmax(record: Record) -> Iterator[Finding]:
    """Probabilities where a loss takes scores: cross entropy after softmax, logits' loss after sigmoid."""
    told: set[tuple[str, int]] = set()
    for seen in record.nodes():
        if seen.phase != 0 or seen.op not in ("cross_entropy", "softplus", "log_softmax"):
            continue
        wanted = {"sigmoid"} if seen.op == "softplus" else {"softmax", "log_softmax"}
        source = _source(record, seen, wanted)
        if source is None or source.place in told or not source.requires:
            continue
        if seen.op == "softplus" and not _binary_loss(record, seen):
            continue
        told.add(source.place)
        loss = {"softplus": "the binary cross entropy of scores", "log_softmax": "log_softmax"}.get(
            seen.op, "cross_entropy"
        )
        where, *more = [at(p, f"{source.op} is applied here") for p in source.places]
        yield from at_each(Finding(
            "double softmax", "error", where.file, where.line,
            f"{source.op} is applied before {loss}, which applies it again: the gradient is flattened.",
            [Place(*seen.place, loss), Place(*source.place, source.op)], {"first": source.op, "second": seen.op},
            f"Give the loss the scores, without {source.op}.", 0.9,
        ), more)  # fmt: skip


def _source(record: Record, seen: Seen, wanted: set[str]) -> Seen | None:
    """The op in `wanted` that made the first argument, through ops that only move elements."""
    number = seen.inputs[0] if seen.inputs else 0
    for _ in range(12):
        found = record.find(number) if number else None
        if found is None:
            return None
        if found.op in wanted:
            return found
        if found.op not in (*PASSES, "neg") or not found.inputs:
            return None
        number = found.inputs[0]
    return None


def _binary_loss(record: Record, seen: Seen) -> bool:
    """Whether this softplus is one of the two that a binary cross entropy of scores is made of."""
    siblings = [
        s
        for s in record.turns.get(seen.iteration, {}).values()
        if s.op == "softplus" and s.place == seen.place
    ]
    return len(siblings) >= 2


def wrong_dim(record: Record) -> Iterator[Finding]:
    """A softmax over the samples of a batch, where the loss reads classes."""
    users: dict[int, list[Seen]] = {}
    for user in record.nodes():
        for parent in user.inputs:
            users.setdefault(parent, []).append(user)
    for place, facts in record.softmaxed.items():
        if facts["dim"] is None:
            continue
        for number in facts["ids"]:
            seen = record.find(number)
            if seen is None or len(seen.shape) != 2 or facts["dim"] % 2 != 0 or min(seen.shape) < 2:
                continue
            ends = _ends(users, number)
            if "nll_loss" in ends or (
                {"log", "held_log"} & ends and {"mean", "sum"} & ends and "matmul" not in ends
            ):
                yield Finding(
                    "softmax over the wrong dimension", "error", *place,
                    f"{facts['op']} over dimension 0 of {list(seen.shape)}: the shares of one class add up to 1 over the batch, "
                    "but the loss reads each row as the shares of its classes.",
                    chain_of(record, seen), {"dim": facts["dim"], "shape": list(seen.shape)}, "Use dim=1 (or -1).", 0.9,
                )  # fmt: skip
                break


def _ends(users: dict[int, list[Seen]], number: int, depth: int = 5) -> set[str]:
    found: set[str] = set()
    level = [number]
    for _ in range(depth):
        nexts = [user for n in level for user in users.get(n, []) if user.phase == 0]
        found |= {user.op for user in nexts}
        level = [user.id for user in nexts]
    return found


def targets(record: Record) -> Iterator[Finding]:
    """Labels that are all one and the same although there are several classes."""
    for place, facts in record.targets.items():
        if (
            facts["calls"] >= 3
            and facts["classes"] > 1
            and len(facts["values"]) == 1
            and facts.get("items", 0) >= 24
        ):
            (value,) = facts["values"]
            made = [at(p, "the labels are made here") for p in facts["makers"][:1]]
            if facts["made"] != place:
                made.append(at(facts["made"], "the labels come from here"))
            where, *more = [*made, Place(*place, "the loss")]
            yield from at_each(Finding(
                "constant labels", "error", where.file, where.line,
                f"Every label of {facts['calls']} batches is {value}, although there are {facts['classes']} classes.",
                [where, *more], {"labels": facts["calls"], "value": value},
                "Look at how the labels are made: a division of whole numbers, or a wrong column.", 0.71,
            ), more)  # fmt: skip


def sign(record: Record) -> Iterator[Finding]:
    """A log likelihood that is made smaller: its sign is missing."""
    if not any(steps.count >= 3 for steps in record.optimizers):
        return
    for loss in record.losses[-1:]:
        if loss.value is None or loss.value >= 0:
            continue
        seen, turned = record.find(loss.node), False
        last = seen
        while seen is not None and seen.op in {*PASSES, "mean", "sum", "neg", "gather", "diagonal"}:
            turned ^= seen.op == "neg"
            seen = record.find(seen.inputs[0]) if seen.inputs else None
        made = record.find(seen.inputs[0]) if seen is not None and seen.op == "log" and seen.inputs else None
        likely = seen is not None and (
            seen.op == "log_softmax" or (made is not None and made.op in ("softmax", "sigmoid"))
        )
        if likely and last is not None and seen is not None and not turned:
            yield Finding(
                "loss with the wrong sign", "error", *last.place,
                f"The loss is a log likelihood ({loss.value:.3g}), and steps make it smaller: what is likely becomes unlikely.",
                chain_of(record, last), {"loss": loss.value}, "Put a minus before it, or use cross_entropy or nll_loss.", 0.85,
            )  # fmt: skip


def order(record: Record) -> Iterator[Finding]:
    """Batches that hold one class each, although there are several: the data are sorted."""
    for place, facts in record.targets.items():
        if (
            facts["calls"] >= 4
            and len(facts["values"]) > 1
            and facts.get("alone", 0) == facts["calls"]
            and facts["items"] >= 8 * facts["calls"]
        ):
            seen = record.find(facts["ids"][-1])
            made = (
                []
                if seen is None
                else [Place(*p, "the batch is made here") for p in origin.makers(seen, 1)[:2]]
            )
            if facts["made"] != place:
                made.append(at(facts["made"], "the labels of a batch come from here"))
            where, *more = [*unshuffled(record), *made[:2], *made[2:][-1:], Place(*place, "the loss")]
            yield from at_each(Finding(
                "batches of one class", "warning", where.file, where.line,
                f"Each of {facts['calls']} batches holds labels of one class only, though {len(facts['values'])} occur.",
                [where, *more], {"batches": facts["calls"]}, "Shuffle the data before they are cut into batches.", 0.5,
            ), more)  # fmt: skip


def shares(record: Record) -> Iterator[Finding]:
    """Targets of a binary cross entropy that lie outside 0 to 1."""
    for place, facts in record.odd_targets.items():
        leaf = facts["leaf"]
        places = [
            *(at(p, "the targets are made here") for p in origin.makers(leaf)[:1]),
            at(leaf.place, "the targets come from here"),
        ]
        where, more = places[0], [*places[1:], at(place, "the loss")]
        yield from at_each(Finding(
            "targets outside 0 to 1", "error", where.file, where.line,
            f"A binary cross entropy takes targets from 0 to 1; these go from {facts['low']:.3g} to {facts['high']:.3g}.",
            [where, *more], {"low": facts["low"], "high": facts["high"]}, "Make the two classes 0 and 1.", 0.88,
        ), more)  # fmt: skip


def divergence(record: Record) -> Iterator[Finding]:
    """A Kullback-Leibler divergence of probabilities, where it takes their logarithms."""
    for seen in record.nodes():
        if seen.phase != 0 or seen.op != "sub" or not seen.requires or len(seen.inputs) != 2:
            continue
        left, right = (record.find(n) for n in seen.inputs)
        # The engine's kl_div: 0 log 0 is put out by a where, all on one line of the person's.
        if (
            left is None
            or right is None
            or left.op != "where"
            or left.place != seen.place
            or right.place != seen.place
        ):
            continue
        given = (
            right
            if right.op in ("softmax", "sigmoid")
            else next(
                (
                    m
                    for n in right.inputs
                    if n
                    and (m := record.find(n)) is not None
                    and m.op in ("softmax", "sigmoid")
                    and m.requires
                ),
                None,
            )
        )
        if given is not None and given.requires:
            where, *more = [at(p, f"{given.op} is applied here") for p in given.places]
            yield from at_each(Finding(
                "probabilities where logarithms are taken", "error", where.file, where.line,
                f"kl_div takes logarithms of probabilities first, and is given the result of {given.op}.",
                [*more, at(seen.place, "kl_div")], {}, "Use log_softmax.", 0.88,
            ), more)  # fmt: skip
