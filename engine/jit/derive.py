"""The kernels of a region from the records of its ops: their forward functions and gradient rules, run on symbols.

Nothing here knows an op. What the backward pass needs is computed again from the region's inputs, but for what takes a
pass of its own (sums and extremes of rows), which the forward kernel writes down, a number for each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.jit import cuda, source
from engine.jit.passes import Output, Passes, Traits, needed
from engine.jit.steps import Input, Layout, Step
from engine.jit.symbol import DEAR, ROW, Symbol, Tape, Unsupported
from engine.op import Op


class Backward(NamedTuple):
    """The gradient of a region, given those of the steps `of`.

    It reads the region's inputs `inputs`, its outputs `outputs` (numbers of the forward kernel's) and the gradients, in
    this order; `to` are the inputs that get a gradient, of the forms `forms`.
    """

    of: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    to: tuple[int, ...]
    forms: tuple[str, ...]


class Derived(NamedTuple):
    """The C or the CUDA of a region. The forward kernel writes the steps `live`, then `extra` values for each row.

    For gradients the inputs `inputs` are kept and the results of the steps `results`.
    """

    text: str
    inputs: frozenset[int]
    results: frozenset[int]
    live: tuple[int, ...]
    forms: tuple[str, ...]
    extra: int
    traits: Traits
    backward: Backward | None
    backward_traits: Traits | None


class Standin:
    """What a gradient rule is given for an argument it does not read: its shape and type."""

    def __init__(self, symbol: Symbol, requires: bool) -> None:
        self.shape, self.dtype, self.requires = symbol.shape, symbol.dtype, requires
        self.ndim = len(self.shape)


def derive(
    steps: Sequence[Step], inputs: Sequence[Input], domain: tuple[int, ...], dtype: Any, live: tuple[int, ...],
    of: tuple[int, ...], far: bool = False,
) -> Derived:  # fmt: skip
    """The kernels for `steps`, of which `live` are wanted, and gradients come to the steps `of`; `far`: for a GPU.

    Raises `Unsupported` where a rule does something no C is written for.
    """
    write: Any = cuda if far else source
    tape = Tape(domain, dtype)
    given = [tape.input(k, i.shape, i.layout.level, i.layout.truth) for k, i in enumerate(inputs)]
    made: list[Symbol] = []
    more: list[dict[str, Any]] = []  # what each op keeps for its gradient beside arguments and result
    for step in steps:
        args = [_argument(tape, a, made, given) for a in step.args]
        out = step.op.forward(tape.xp, *args, **dict(step.kwargs))
        rest: tuple[Any, ...] = ()
        if step.op.extras:
            out, rest = out[0], out[1:]
        more.append(dict(zip(step.op.extras, rest, strict=True)))
        if not isinstance(out, Symbol) or out.shape != step.shape:
            raise Unsupported(f"{step.op.name} as symbols gives another shape")
        made.append(out)
    written = [Output(made[i], _form(made[i], tape)) for i in live]
    layouts = [i.layout for i in inputs]
    backward = None
    functions: list[Passes] = []
    extra: list[Symbol] = []
    if of:
        gradients = _gradients(tape, steps, inputs, made, more, given, of)
        backward, function, extra = _backward(write.Function, tape, layouts, made, live, of, gradients)
        functions.append(function)
    outputs = [*written, *(Output(s, "row", exact=True) for s in extra)]
    forward = write.Function("forward", tape, layouts, outputs)
    kept, results = _kept(steps, inputs, live)
    if backward is not None:
        kept |= set(backward.inputs)
        results |= {live[n] for n in backward.outputs if n < len(live)}
    return Derived(
        write.program([forward, *functions], tape),
        frozenset(kept),
        frozenset(results),
        live,
        tuple(o.form for o in written),
        len(extra),
        forward.traits,
        backward,
        functions[0].traits if functions else None,
    )


def _argument(tape: Tape, argument: tuple[str, Any], made: list[Symbol], given: list[Symbol]) -> Any:
    kind, value = argument
    if kind == "step":
        return made[value]
    if kind == "input":
        return given[value]
    return tape.argument(value) if kind == "argument" else value


def _form(symbol: Symbol, tape: Tape) -> str:
    if symbol.shape == tape.domain:
        return "full"
    if symbol.shape in (tape.rows, tape.domain[:-1]) and symbol.level <= ROW:
        return "row"
    raise Unsupported(f"a result of shape {list(symbol.shape)}")


def _gradients(
    tape: Tape, steps: Sequence[Step], inputs: Sequence[Input], made: list[Symbol],
    more: list[dict[str, Any]], given: list[Symbol],
    of: tuple[int, ...],
) -> dict[int, Symbol]:  # fmt: skip
    """The gradient of each input that takes one, by the rules of the ops, newest first."""
    coming: dict[tuple[str, int], Symbol] = {}
    for j, i in enumerate(of):
        level = ROW if _form(made[i], tape) == "row" else 2
        coming["step", i] = tape.input(len(inputs) + j, made[i].shape, level)
    for i in range(len(steps) - 1, -1, -1):
        step = steps[i]
        g = coming.pop(("step", i), None)
        if g is None or not step.requires or step.op.vjp is None:
            continue
        g = tape.summed(g, step.shape)
        wants = [_requires(a, steps, inputs) for a in step.args]
        values = [_argument(tape, a, made, given) for a in step.args]
        found = step.op.vjp(
            tape.xp, g, *_saved(step.op, values, wants, made[i]), **dict(step.kwargs), **more[i]
        )
        found = found if isinstance(found, tuple) else (found,)
        for argument, wanted, pg in zip(step.args, wants, found, strict=True):
            if pg is None or not wanted:
                continue
            parent = values[step.args.index(argument)].shape
            pg = tape.lifted(pg)
            if pg.shape == ():
                pg = tape.shaped(pg, step.shape)
            if pg.shape not in (parent, tape.domain):
                # A number for each row is not what a value that is the same in all of them gets.
                raise Unsupported(f"a gradient of {list(pg.shape)} for {list(parent)}")
            held = coming.get(argument)
            if held is not None and held.shape != pg.shape:
                held, pg = tape.summed(held, parent), tape.summed(pg, parent)
            coming[argument] = pg if held is None else held + pg
    return {
        k: tape.summed(coming["input", k], given[k].shape)
        for k, i in enumerate(inputs)
        if i.requires and ("input", k) in coming
    }


def _requires(argument: tuple[str, Any], steps: Sequence[Step], inputs: Sequence[Input]) -> bool:
    kind, value = argument
    return (kind == "step" and steps[value].requires) or (kind == "input" and inputs[value].requires)


def _saved(op: Op, values: list[Any], wants: list[bool], out: Symbol) -> list[Any]:
    """The result and the arguments as the gradient rule is given them: what the op declared it saves."""
    rules = op.saves_args
    saved: list[Any] = []
    for i, (value, wanted) in enumerate(zip(values, wants, strict=True)):
        rule = rules[min(i, len(rules) - 1)]
        if rule is None:
            saved.append(
                Standin(value, wanted) if isinstance(value, Symbol) and value.op != "argument" else value
            )
        elif not rule or any(wants[j] for j in rule):
            saved.append(value)
        else:
            saved.append(None)
    return [out if op.saves_out else None, *saved]


def _kept(steps: Sequence[Step], inputs: Sequence[Input], live: tuple[int, ...]) -> tuple[set[int], set[int]]:
    """The inputs and the live results that all the ops would save can be computed of."""
    kept: set[int] = set()
    results: set[int] = set()
    seen: set[int] = set()

    def need(argument: tuple[str, Any]) -> None:
        kind, v = argument
        if kind == "input":
            kept.add(v)
        elif kind == "step" and v in live:
            results.add(v)
        elif kind == "step" and v not in seen:
            seen.add(v)
            for a in steps[v].args:
                need(a)

    for i, step in enumerate(steps):
        if not step.requires:
            continue
        rules = step.op.saves_args
        wants = [_requires(a, steps, inputs) for a in step.args]
        for n, argument in enumerate(step.args):
            rule = rules[min(n, len(rules) - 1)]
            if step.op.extras or (rule is not None and (not rule or any(wants[j] for j in rule))):
                need(argument)
        if step.op.saves_out:
            need(("step", i))
    return kept, results


def _backward(
    kind: type[Passes], tape: Tape, layouts: list[Layout], made: list[Symbol], live: tuple[int, ...], of: tuple[int, ...],
    gradients: dict[int, Symbol],
) -> tuple[Backward, Passes, list[Symbol]]:  # fmt: skip
    """The backward kernel on a tape of its own, where what the forward kernel wrote down is an input."""
    forward = {s.index for s in needed(made)}
    results = {made[i].index: n for n, i in reversed(list(enumerate(live)))}
    extra: list[Symbol] = []
    numbers: dict[int, int] = {}  # of `extra` among the forward kernel's outputs
    fresh = Tape(tape.domain, tape.dtype)
    copies: dict[int, Symbol] = {}
    sources: list[tuple[str, int]] = []  # of each input of the new tape, in the order they are met
    forms: list[Layout] = []

    def read(kind: str, number: int, s: Symbol, layout: Layout) -> Symbol:
        place = sources.index((kind, number)) if (kind, number) in sources else len(sources)
        if place == len(sources):
            sources.append((kind, number))
            forms.append(layout)
        return fresh.input(place, s.shape, layout.level, layout.truth)

    def copy(s: Symbol) -> Symbol:
        found = copies.get(s.index)
        if found is not None:
            return found
        if s.op == "input":
            if s.value < len(layouts):
                found = read("input", s.value, s, layouts[s.value])
            else:
                found = read(
                    "gradient", s.value - len(layouts), s, Layout("row" if s.level == ROW else "full")
                )
        elif s.index in results and s.index in forward and any(n.op in DEAR for n in needed([s])):
            found = read("output", results[s.index], s, Layout("row" if s.level == ROW else "full"))
        elif s.index in forward and s.op in ("sum", "max", "min"):
            if s.index not in numbers:
                numbers[s.index] = len(live) + len(extra)
                extra.append(s)
            number = numbers[s.index]
            found = read("output", number, s, Layout("row", exact=True))
        else:
            args = tuple(copy(a) for a in s.args)
            found = fresh._made(s.op, args, s.value, s.shape, s.level)
            found.truth = s.truth
            if s.op in ("sum", "max", "min"):
                found.stage = args[0].stage + 1
        copies[s.index] = found
        return found

    written = []
    for k in gradients:
        s = copy(gradients[k])
        form = "column" if s.op == "column" else "full" if s.shape == tape.domain else "row"
        if form == "row" and s.shape != tape.rows:
            raise Unsupported(f"a gradient of shape {list(s.shape)}")
        written.append(Output(s, form))
    # The kernel reads inputs, then results, then gradients.
    rank = {"input": 0, "output": 1, "gradient": 2}
    order = sorted(range(len(sources)), key=lambda n: (rank[sources[n][0]], sources[n][1]))
    reads = [sources[n][1] for n in order if sources[n][0] == "input"]
    outputs = [sources[n][1] for n in order if sources[n][0] == "output"]
    for j in range(len(of)):  # a gradient that nothing depends on is given all the same
        if ("gradient", j) not in sources:
            order.append(len(sources))
            sources.append(("gradient", j))
            forms.append(Layout("full"))
    order.sort(key=lambda n: (rank[sources[n][0]], sources[n][1]))
    place = {n: at for at, n in enumerate(order)}
    for s in fresh.symbols:
        if s.op == "input":
            s.value = place[s.value]
    function = kind("backward", fresh, [forms[n] for n in order], written)
    backward = Backward(of, tuple(reads), tuple(outputs), tuple(gradients), tuple(o.form for o in written))
    return backward, function, extra
