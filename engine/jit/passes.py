"""The passes of a kernel over each row: one for every reduction that later values wait for, and what each computes.

What is written in C and in CUDA alike stands here; `source` and `cuda` write the loops around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.jit.steps import Layout
from engine.jit.symbol import DEAR, EACH, ROW, Symbol, Tape

INFIX = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "eq": "==", "ne": "!=", "gt": ">", "ge": ">=", "lt": "<",
    "le": "<=", "and": "&&", "or": "||",
}  # fmt: skip


ENDS = ("sum", "max", "min")  # what a pass over a row ends with


class Output(NamedTuple):
    """A value to write: for each element ("full"), each row ("row") or each column ("column").

    `exact`: in the type that is computed in, not the one that arrays hold.
    """

    symbol: Symbol
    form: str
    exact: bool = False


class Traits(NamedTuple):
    """What a launch has to know of a kernel.

    `flat`: all elements are one row; `reduces`: there is a sum or an extreme of rows; `columns`: the numbers of the
    outputs that are sums over all rows; `numbers`: how many plain numbers it takes.
    """

    flat: bool
    reduces: bool
    columns: tuple[int, ...]
    numbers: int = 0


class Passes:
    """One kernel, `name`: what each pass computes, and the expressions for it."""

    # What is kept for later passes. Where arithmetic is cheap beside memory, nothing is.
    dear: frozenset[str] = DEAR

    def __init__(self, name: str, tape: Tape, inputs: Sequence[Layout], outputs: Sequence[Output]) -> None:
        self.name, self.tape, self.inputs, self.outputs = name, tape, inputs, outputs
        used = needed([o.symbol for o in outputs])
        self.used = used
        # Where nothing depends on where a row ends, all elements are one row, and threads share it.
        self.flat = all(layout.form in ("full", "one") for layout in self._read()) and not any(
            s.op in (*ENDS, "column") or s.level == ROW for s in used
        ) and all(o.form == "full" for o in outputs)  # fmt: skip
        self.columns = [i for i, o in enumerate(outputs) if o.form == "column"]  # numbers of outputs
        self.stages = 1 + max(
            [s.stage for s in used if s.level == EACH or s.op in ENDS] + [o.symbol.stage for o in outputs],
            default=0,
        )
        self.kept: dict[int, str] = {}  # symbols that later passes read, and the array they are in
        self._plan()

    def _read(self) -> list[Layout]:
        return [self.inputs[s.value] for s in self.used if s.op == "input"]

    # --- what each pass computes ---

    def _plan(self) -> None:
        """From the last pass to the first: what it needs of earlier ones is kept by them."""
        self.full = {
            o.symbol.index: i for i, o in reversed(list(enumerate(self.outputs))) if o.form == "full"
        }
        self.roots: list[list[Symbol]] = [[] for _ in range(self.stages)]
        for s in self.used:
            if s.op in ENDS:
                self.roots[s.args[0].stage].append(s.args[0])
        for o in self.outputs:
            if o.form == "full":
                self.roots[o.symbol.stage].append(o.symbol)
            elif o.form == "column":
                self.roots[o.symbol.stage].append(o.symbol.args[0])
        self.order: list[list[Symbol]] = [[] for _ in range(self.stages)]
        scratch = 0
        for stage in range(self.stages - 1, -1, -1):
            seen: dict[int, Symbol] = {}
            stack = list(self.roots[stage])
            while stack:
                s = stack.pop()
                if s.index in seen or s.level < EACH:
                    continue
                seen[s.index] = s
                if s.stage < stage and s.op in self.dear:
                    if s.index not in self.kept:
                        if s.index in self.full:
                            self.kept[s.index] = f"o{self.full[s.index]}r"
                        else:
                            self.kept[s.index] = f"k{scratch}"
                            scratch += 1
                            self.roots[s.stage].append(s)
                    continue
                stack.extend(s.args)
            self.order[stage] = sorted(seen.values(), key=lambda s: s.index)
        self.scratch = scratch

    # --- text ---

    def _name(self, s: Symbol) -> str:
        return f"v{s.index}"

    def _value(self, s: Symbol, stage: int) -> str:
        op = s.op
        if op == "constant":
            return _constant(s.value)
        if op == "argument":
            return f"(T)args[{s.value}]"
        if op == "input":
            return self._load(s)
        if s.level == EACH and s.stage < stage and s.index in self.kept:
            return f"{self.kept[s.index]}[c]"
        args = [self._name(a) for a in s.args]
        if op == "as":
            return args[0]
        if op in INFIX:
            return f"{args[0]} {INFIX[op]} {args[1]}"
        if op == "neg":
            return f"-{args[0]}"
        if op == "not":
            return f"!{args[0]}"
        if op == "where":
            return f"{args[0]} ? {args[1]} : {args[2]}"
        if op == "isnan":
            return f"{args[0]} != {args[0]}"
        if op == "isinf":
            return f"abs_({args[0]}) == INFINITY"
        if op == "isfinite":
            return f"abs_({args[0]}) < INFINITY"
        return f"{op}_({', '.join(args)})"

    def _load(self, s: Symbol) -> str:
        k, layout = s.value, self.inputs[s.value]
        if layout.form == "one":
            return f"i{k}[0]"
        if layout.form == "row":
            return f"i{k}[r]"
        if layout.form == "last":
            return f"i{k}[c]"
        if layout.form == "full":
            return f"i{k}r[c]"
        step = layout.strides[-1]
        return f"i{k}r[{'0' if step == 0 else 'c' if step == 1 else f'c * {step}'}]"

    def _declared(self, s: Symbol, stage: int) -> str:
        return f"const {'int' if s.truth else 'T'} {self._name(s)} = {self._value(s, stage)};"

    def _row_start(self, k: int) -> str:
        layout = self.inputs[k]
        if layout.form == "full":
            where = "r * C"
        else:
            terms, below = [], 1
            for size, step in zip(reversed(layout.shape[:-1]), reversed(layout.strides[:-1]), strict=True):
                if step and size > 1:
                    index = "r" if below == 1 else f"r / {below}"
                    terms.append(f"({index}) % {size} * {step}")
                below *= size
            where = " + ".join(terms) or "0"
        return f"const {self._kind(k)} *i{k}r = i{k} + {where};"

    @property
    def traits(self) -> Traits:
        """What a launch has to know."""
        numbers = 1 + max([s.value for s in self.used if s.op == "argument"], default=-1)
        return Traits(self.flat, any(s.op in ENDS for s in self.used), tuple(self.columns), numbers)

    def _numbers(self) -> list[int]:
        """The inputs that are read."""
        return sorted({s.value for s in self.used if s.op == "input"})

    def _kind(self, k: int) -> str:
        """The type that input `k` holds."""
        return "unsigned char" if self.inputs[k].truth else "T"

    def _rows(self, stage: int, done: set[int]) -> list[str]:
        """Values of the row that are known before pass `stage`."""
        lines = []
        for s in self.used:
            if s.level == ROW and s.stage <= stage and s.index not in done:
                done.add(s.index)
                if s.op not in ENDS:
                    lines.append(self._declared(s, stage))
        return lines

    def _body(self, stage: int) -> list[str]:
        lines = [self._declared(s, stage) for s in self.order[stage]]
        for i, o in enumerate(self.outputs):
            if o.form == "full" and o.symbol.stage == stage:
                lines.append(f"o{i}r[c] = {self._name(o.symbol)};")
            elif o.form == "column" and o.symbol.stage == stage:
                lines.append(f"o{i}[c] += {self._name(o.symbol.args[0])};")
        for index, place in self.kept.items():
            s = self.tape.symbols[index]
            if s.stage == stage and place[0] == "k":
                lines.append(f"{place}[c] = {self._name(s)};")
        return lines


def _constant(value: float) -> str:
    if value != value:
        return "(T)NAN"
    if value in (float("inf"), float("-inf")):
        return "(T)INFINITY" if value > 0 else "(T)-INFINITY"
    return f"(T){value!r}"


def needed(roots: Sequence[Symbol]) -> list[Symbol]:
    """All symbols that `roots` are made of, arguments first."""
    seen: dict[int, Symbol] = {}
    stack = list(roots)
    while stack:
        s = stack.pop()
        if s.index not in seen:
            seen[s.index] = s
            stack.extend(s.args)
    return sorted(seen.values(), key=lambda s: s.index)
