"""Why a region is another than the one before it at the same place of the program, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.jit.plan import Plan
    from engine.jit.steps import Input, Step


def difference(before: Plan | None, now: Plan) -> str:
    """What changed; "" for the first region of its place."""
    if before is None:
        return ""
    if before.far != now.far:
        return f"the values are on {'a GPU' if now.far else 'the CPU'} now"
    if before.dtype != now.dtype:
        return f"the type is {now.dtype} instead of {before.dtype}"
    for a, b in zip(before.steps, now.steps, strict=False):
        said = _step(a, b)
        if said:
            return said
    if len(before.steps) != len(now.steps):
        return f"{len(now.steps)} ops instead of {len(before.steps)}"
    if before.domain != now.domain:
        return f"the shape is {list(now.domain)} instead of {list(before.domain)}"
    for k, (i, j) in enumerate(zip(before.inputs, now.inputs, strict=False)):
        said = _input(i, j)
        if said:
            return f"input {k} {said}"
    if before.live != now.live:
        return f"the values of other ops are needed: {_named(now)} instead of {_named(before)}"
    if len(before.inputs) != len(now.inputs):
        return f"{len(now.inputs)} inputs instead of {len(before.inputs)}"
    return "other values are shared"


def _step(a: Step, b: Step) -> str:
    if a.op is not b.op:
        return f"{b.op.name} instead of {a.op.name}"
    if a.kwargs != b.kwargs:
        was, now = dict(a.kwargs), dict(b.kwargs)
        name = next(n for n in {**was, **now} if was.get(n) != now.get(n))
        return f"{b.op.name} with {name}={now.get(name)!r} instead of {was.get(name)!r}"
    if a.requires != b.requires:
        return f"{b.op.name} takes {'a' if b.requires else 'no'} gradient now"
    for x, y in zip(a.args, b.args, strict=False):
        if x != y:
            if x[0] == y[0] == "constant":
                return f"{b.op.name} of {y[1]!r} instead of {x[1]!r}"
            return f"{b.op.name} is of other values: {_argument(y)} instead of {_argument(x)}"
    return ""


def _argument(argument: tuple[str, Any]) -> str:
    kind, value = argument
    return (
        f"result {value}"
        if kind == "step"
        else "a number"
        if kind in ("argument", "constant")
        else f"input {value}"
    )


def _input(a: Input, b: Input) -> str:
    if a.requires != b.requires:
        return f"takes {'a' if b.requires else 'no'} gradient now"
    if a.layout != b.layout:
        return f"lies otherwise in memory: {_layout(b)} instead of {_layout(a)}"
    return ""


def _layout(given: Input) -> str:
    words = {"full": "in order", "last": "one row for all", "row": "one number a row", "one": "one number"}
    form = words.get(given.layout.form)
    return form or f"shape {list(given.shape)} in steps of {list(given.layout.strides)}"


def _named(plan: Plan) -> str:
    return ", ".join(plan.steps[i].op.name for i in plan.live)
