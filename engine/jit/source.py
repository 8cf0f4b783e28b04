"""C for a graph of symbols: a pass over each row for every reduction that later values wait for.

Elements are computed in the order they are written; the compiler may neither contract products and sums nor change the
order of anything but sums and extremes over a row, which are taken in lanes and in pieces of `PIECE` elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.jit.prelude import prelude
from engine.jit.steps import Layout
from engine.jit.symbol import DEAR, EACH, ROW, UNIFORM, Symbol, Tape

PIECE = 2048
PIECES = 16  # at most, of the rows, in which columns are summed

INFIX = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "eq": "==", "ne": "!=", "gt": ">", "ge": ">=", "lt": "<",
    "le": "<=", "and": "&&", "or": "||",
}  # fmt: skip


class Output(NamedTuple):
    """A value to write: for each element ("full"), each row ("row") or each column ("column")."""

    symbol: Symbol
    form: str


class Function:
    """The C of one kernel, `name`."""

    def __init__(self, name: str, tape: Tape, inputs: Sequence[Layout], outputs: Sequence[Output]) -> None:
        self.name, self.tape, self.inputs, self.outputs = name, tape, inputs, outputs
        used = _needed([o.symbol for o in outputs])
        self.used = used
        # Where nothing depends on where a row ends, all elements are one row, and threads share it.
        self.flat = all(layout.form in ("full", "one") for layout in self._read()) and not any(
            s.op in ("sum", "max", "min", "column") or s.level == ROW for s in used
        ) and all(o.form == "full" for o in outputs)  # fmt: skip
        self.columns = [i for i, o in enumerate(outputs) if o.form == "column"]  # numbers of outputs
        self.stages = 1 + max(
            [s.stage for s in used if s.level == EACH or s.op in ("sum", "max", "min")]
            + [o.symbol.stage for o in outputs],
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
            if s.op in ("sum", "max", "min"):
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
                if s.stage < stage and s.op in DEAR:
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
        kind = "unsigned char" if layout.truth else "T"
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
        return f"const {kind} *i{k}r = i{k} + {where};"

    def text(self) -> str:
        """The function that does a range of the rows, and the one that shares them out to threads."""
        lines = [
            f"static void {self.name}_part(void **in, void **out, const double *args, const long C,",
            "  const long lo, const long hi, T *scratch, T *columns) {",
        ]
        numbers = sorted({s.value for s in self.used if s.op == "input"})
        for k in numbers:
            kind = "unsigned char" if self.inputs[k].truth else "T"
            lines.append(f"const {kind} *i{k} = in[{k}];")
        for i, o in enumerate(self.outputs):
            if o.form == "column":
                lines.append(f"T *restrict o{i} = columns + C * {self.columns.index(i)};")
            else:
                lines.append(f"T *restrict o{i} = out[{i}];")
        lines += [f"T *restrict k{n} = scratch + C * {n};" for n in range(self.scratch)]
        lines += [self._declared(s, 0) for s in self.used if s.level == UNIFORM]
        if self.flat:
            lines += [f"const {self._kind(k)} *i{k}r = i{k};" for k in numbers]
            lines += [f"T *restrict o{i}r = o{i};" for i in range(len(self.outputs))]
            lines += ["#pragma omp simd", "for (long c = lo; c < hi; c++) {"]
            lines += self._body(0)
            lines += ["}", "}"]
            return "\n".join(lines) + self._entry()
        lines.append("for (long r = lo; r < hi; r++) {")
        lines += [self._row_start(k) for k in numbers if self.inputs[k].form in ("full", "strided")]
        lines += [
            f"T *restrict o{i}r = o{i} + r * C;" for i, o in enumerate(self.outputs) if o.form == "full"
        ]
        done: set[int] = set()
        for stage in range(self.stages):
            lines += self._rows(stage, done)
            lines += self._pass(stage)
        lines += self._rows(self.stages, done)
        for i, o in enumerate(self.outputs):
            if o.form == "row":
                lines.append(f"o{i}[r] = {self._name(o.symbol)};")
        lines += ["}", "}"]
        return "\n".join(lines) + self._entry()

    def _kind(self, k: int) -> str:
        return "unsigned char" if self.inputs[k].truth else "T"

    def _rows(self, stage: int, done: set[int]) -> list[str]:
        """Values of the row that are known before pass `stage`."""
        lines = []
        for s in self.used:
            if s.level == ROW and s.stage <= stage and s.index not in done:
                done.add(s.index)
                if s.op not in ("sum", "max", "min"):
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

    def _pass(self, stage: int) -> list[str]:
        ends = [s for s in self.used if s.op in ("sum", "max", "min") and s.args[0].stage == stage]
        body = self._body(stage)
        if not ends and not any(line.lstrip().startswith(("o", "k")) for line in body):
            return []
        before, clauses, inside, after = [], [], [], []
        for s in ends:
            name, arg = self._name(s), self._name(s.args[0])
            if s.op == "sum":
                before.append(f"double t{s.index} = 0;")
                inside.append((f"T p{s.index} = 0;", f"p{s.index} += {arg};", f"t{s.index} += p{s.index};"))
                clauses.append(f"reduction(+:p{s.index})")
                after.append(f"const T {name} = (T)t{s.index};")
            else:
                worst, op = ("-INFINITY", ">") if s.op == "max" else ("INFINITY", "<")
                before.append(f"T t{s.index} = {worst}; int n{s.index} = 0;")
                inside.append(
                    (
                        f"T p{s.index} = {worst}; int q{s.index} = 0;",
                        f"p{s.index} = {arg} {op} p{s.index} ? {arg} : p{s.index}; q{s.index} |= {arg} != {arg};",
                        f"t{s.index} = p{s.index} {op} t{s.index} ? p{s.index} : t{s.index}; n{s.index} |= q{s.index};",
                    )
                )
                clauses.append(f"reduction({s.op}:p{s.index}) reduction(|:q{s.index})")
                after.append(f"const T {name} = n{s.index} ? NAN : t{s.index};")
        pragma = "#pragma omp simd " + " ".join(clauses)
        if not ends:
            return [pragma, "for (long c = 0; c < C; c++) {", *body, "}"]
        return [
            *before,
            f"for (long b = 0; b < C; b += {PIECE}) {{",
            f"const long e = b + {PIECE} < C ? b + {PIECE} : C;",
            *(start for start, _, _ in inside),
            pragma,
            "for (long c = b; c < e; c++) {",
            *body,
            *(add for _, add, _ in inside),
            "}",
            *(end for _, _, end in inside),
            "}",
            *after,
        ]

    def _entry(self) -> str:
        count = len(self.columns)
        join = "".join(
            f"T *o{n} = out[{i}];\nmemset(o{n}, 0, C * sizeof(T));\nfor (long p = 0; p < pieces; p++)\n"
            f"  for (long c = 0; c < C; c++) o{n}[c] += columns[(p * {count} + {n}) * C + c];\n"
            for n, i in enumerate(self.columns)
        )
        return (
            ENTRY.replace("NAME", self.name)
            .replace("SCRATCH", str(self.scratch))
            .replace("COLUMNS", str(count))
            .replace("JOIN", join)
            .replace("PIECES", f"rows < {8 * PIECES} ? (rows + 7) / 8 : {PIECES}" if count else "threads")
            .replace("ALIGN", "16" if self.flat else "1")
        )


ENTRY = """
/* 0, or 1 where there was no memory. What is summed over rows is so in pieces that their number alone decides: no bit
   depends on the number of threads. */
int NAME(void **in, void **out, const double *args, long rows, long C, int threads) {
  threads = threads > 64 ? 64 : threads;
  const long pieces = PIECES, share = ((rows + pieces - 1) / pieces + ALIGN - 1) / ALIGN * ALIGN;
  T *scratch = 0, *columns = 0;
  if (SCRATCH && !(scratch = malloc(threads * SCRATCH * C * sizeof(T)))) return 1;
  if (COLUMNS && !(columns = calloc(pieces * COLUMNS * C, sizeof(T)))) return free(scratch), 1;
  TEAM for (long p = 0; p < pieces; p++) {
    const long lo = p * share < rows ? p * share : rows, hi = lo + share < rows ? lo + share : rows;
    NAME_part(in, out, args, C, lo, hi, scratch + SCRATCH * C * MEMBER, columns + COLUMNS * C * p);
  }
JOIN  free(scratch);
  free(columns);
  return 0;
}
"""


def _constant(value: float) -> str:
    if value != value:
        return "(T)NAN"
    if value in (float("inf"), float("-inf")):
        return "(T)INFINITY" if value > 0 else "(T)-INFINITY"
    return f"(T){value!r}"


def _needed(roots: Sequence[Symbol]) -> list[Symbol]:
    """All symbols that `roots` are made of, arguments first."""
    seen: dict[int, Symbol] = {}
    stack = list(roots)
    while stack:
        s = stack.pop()
        if s.index not in seen:
            seen[s.index] = s
            stack.extend(s.args)
    return sorted(seen.values(), key=lambda s: s.index)


def program(functions: Sequence[Function], single: bool) -> str:
    """The whole C file."""
    return prelude(single) + "\n".join(function.text() for function in functions)
